"""What call policies make of calls, and how they are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_sip.calls.call_policy import PROCEED, Action, Outcome, PolicyDecision, caller_of, decide, names
from twisted_sip.errors import LocalProtocolError
from twisted_sip.interfaces.call_policy import CallPolicy, Hours, check_caller, check_target
from twisted_sip.message.uri import SIPURI, parse_uri
from twisted_sip.testing.call_policy_contract import WHOLE

CAROL = "sip:carol@example.com"
#: A Wednesday.
NOON = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
ANN = "ann@example.net"


def told(policy: CallPolicy | None, caller: str = ANN, now: datetime = NOON, outcome: Outcome = Outcome.ARRIVED) -> Any:
    """Return (rule, target or status) of the decision, None to proceed."""
    made = decide(policy, caller, now, outcome)
    if made.action is Action.PROCEED:
        assert made == PROCEED
        return None
    assert (made.action is Action.FORWARD) == bool(made.target)
    assert (made.action is Action.DECLINE) == bool(made.status)
    return made.rule, made.target or made.status


def test_who_has_no_wishes_is_called() -> None:
    for outcome in Outcome:
        assert told(None, outcome=outcome) is None
        assert told(CallPolicy(), outcome=outcome) is None


def test_forwarding_by_what_has_become_of_the_call() -> None:
    policy = CallPolicy(forward_busy=CAROL, forward_no_answer="sip:dan@example.com", forward_unavailable="sip:e@x.org")
    assert told(policy) is None
    assert told(policy, outcome=Outcome.BUSY) == ("forward_busy", CAROL)
    assert told(policy, outcome=Outcome.NO_ANSWER) == ("forward_no_answer", "sip:dan@example.com")
    assert told(policy, outcome=Outcome.UNAVAILABLE) == ("forward_unavailable", "sip:e@x.org")
    assert told(CallPolicy(forward_always=CAROL)) == ("forward_always", CAROL)
    assert told(CallPolicy(forward_always=CAROL), outcome=Outcome.BUSY) is None


def test_blocked_callers() -> None:
    policy = CallPolicy(blocked=("ann@example.net", "@spam.example", "+4990*", "anonymous"), forward_always=CAROL)
    assert told(policy) == ("blocked", 603)
    assert told(policy, "any@spam.example") == ("blocked", 603)
    assert told(policy, "+4990123@gateway.example") == ("blocked", 603)
    assert told(policy, "anonymous") == ("blocked", 433)
    assert told(policy, "bob@example.net") == ("forward_always", CAROL)
    assert told(policy, "any@sub.spam.example") == ("forward_always", CAROL)


def test_allowed_callers_get_through_all_but_forwarding() -> None:
    policy = CallPolicy(
        allowed=(ANN,), blocked=("@example.net",), allowed_only=True, do_not_disturb=True,
        hours=(Hours.parse("00:00-00:01"),),
    )  # fmt: skip
    assert told(policy) is None
    assert told(policy, "bob@example.net") == ("blocked", 603)
    assert told(policy, "bob@example.org") == ("allowed_only", 603)
    assert told(CallPolicy(allowed=(ANN,), forward_always=CAROL)) == ("forward_always", CAROL)


def test_do_not_disturb() -> None:
    assert told(CallPolicy(do_not_disturb=True)) == ("do_not_disturb", 480)
    assert told(CallPolicy(do_not_disturb=True, forward_busy=CAROL)) == ("do_not_disturb", CAROL)
    assert told(CallPolicy(do_not_disturb=True, forward_always=CAROL)) == ("forward_always", CAROL)
    assert decide(CallPolicy(do_not_disturb=True), ANN, NOON) == PolicyDecision(
        action=Action.DECLINE, rule="do_not_disturb", status=480, reason="Do Not Disturb"
    )


def test_hours() -> None:
    policy = CallPolicy(hours=(Hours.parse("mon-fri 09:00-17:00"), Hours.parse("sat 22:00-02:00")))
    assert told(policy) is None
    assert told(policy, now=NOON.replace(hour=17)) == ("hours", 480)
    assert told(policy, now=NOON.replace(hour=9)) is None
    assert told(policy, now=NOON.replace(hour=8, minute=59)) == ("hours", 480)
    saturday = NOON + timedelta(days=3)
    assert told(policy, now=saturday) == ("hours", 480)
    assert told(policy, now=saturday.replace(hour=23)) is None
    assert told(policy, now=saturday.replace(hour=1)) == ("hours", 480)
    assert told(policy, now=saturday.replace(hour=1) + timedelta(days=1)) is None
    assert told(policy, now=saturday.replace(hour=2) + timedelta(days=1)) == ("hours", 480)
    there = CallPolicy(hours=policy.hours, time_zone="America/New_York", forward_closed=CAROL)
    assert told(there) == ("forward_closed", CAROL)  # eight in the morning
    assert told(there, now=NOON.replace(hour=20)) is None


def test_callers() -> None:
    assert caller_of(SIPURI.parse("sip:Ann:x@EXAMPLE.net:5070;user=phone")) == "Ann@example.net"
    assert caller_of(SIPURI.parse("sip:example.net")) == "@example.net"
    assert caller_of(SIPURI.parse("sips:%61nn@example.net.")) == "ann@example.net"
    assert caller_of(SIPURI.parse("sip:ann%40home@[2001:DB8:0::1]")) == "ann%40home@[2001:db8::1]"
    assert caller_of(SIPURI.parse("sip:anonymous@anonymous.invalid")) == "anonymous"
    assert caller_of(SIPURI.parse("sip:ann@example.net"), anonymous=True) == "anonymous"
    assert caller_of(parse_uri("tel:+4989123")) == "anonymous"
    assert caller_of(None) == "anonymous"
    assert not names("anon*", "anonymous")
    assert not names("@", "anonymous")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("sip:Ann@Example.NET", "Ann@example.net"), ("SIPS:ann@x", "ann@x"), ("@X.org", "@x.org"),
        ("+49*", "+49*"), ("*", "*"), ("Anonymous", "anonymous"),
    ],
)  # fmt: skip
def test_how_callers_are_written(text: str, kept: str) -> None:
    assert check_caller(text) == kept
    assert check_caller(kept) == kept


@pytest.mark.parametrize("text", ["", "ann", "a b@x", "a@", "*@x", "a*b", "a@b@c\n", "+49**"])
def test_what_is_no_caller(text: str) -> None:
    with pytest.raises(LocalProtocolError):
        check_caller(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("mon-fri 09:00-17:00", "mon-fri 09:00-17:00"), ("9:00-17:30", "09:00-17:30"),
        ("SAT,sun 10:00 - 12:00", "sat,sun 10:00-12:00"), ("fri-mon 0:00-24:00", "mon,fri,sat,sun 00:00-24:00"),
        ("mon-sun 22:00-06:00", "22:00-06:00"), ("wed 00:00-00:00", "wed 00:00-00:00"),
        ("mon,tue-thu 01:02-03:04", "mon-thu 01:02-03:04"),
    ],
)  # fmt: skip
def test_how_hours_are_written(text: str, written: str) -> None:
    assert str(Hours.parse(text)) == written
    assert Hours.parse(written) == Hours.parse(text)


@pytest.mark.parametrize(
    "text",
    ["", "always", "mon-foo 09:00-10:00", "mon 9-10", "25:00-26:00", "24:00-01:00", "09:60-10:00", "x 1:00-2:00"],
)
def test_what_are_no_hours(text: str) -> None:
    with pytest.raises(LocalProtocolError):
        Hours.parse(text)


@given(st.builds(Hours, st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
                 st.integers(0, 1439), st.integers(0, 1440)))  # fmt: skip
def test_hours_come_back(hours: Hours) -> None:
    assert Hours.parse(str(hours)) == hours


def test_targets() -> None:
    assert check_target("carol@example.com") == CAROL
    assert check_target("") == ""
    for wrong in ("sip:", "tel:+49", "a b@c", "rubbish"):
        with pytest.raises(LocalProtocolError):
            check_target(wrong)


def test_a_policy_comes_back() -> None:
    assert CallPolicy.from_mapping(WHOLE.to_mapping()) == WHOLE
    assert CallPolicy().to_mapping() == {}
    assert CallPolicy(hours=(Hours.parse("9:00-10:00"),)).to_mapping() == {"hours": ["09:00-10:00"]}
    assert CallPolicy.from_mapping({"forward_busy": "bob@x", "blocked": ["sip:A@B", "A@b"]}) == CallPolicy(
        forward_busy="sip:bob@x", blocked=("A@b",)
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"colour": "red"}, {"do_not_disturb": 1}, {"no_answer_after": 0}, {"no_answer_after": 181},
        {"no_answer_after": True}, {"blocked": "ann@x"}, {"blocked": [1]}, {"hours": ["x"]}, {"time_zone": "Mars/Base"},
        {"time_zone": "../etc"}, {"time_zone": ""}, {"forward_always": "sip:"}, {"hours": ["9:00-10:00"] * 51},
        {"blocked": [f"a{n}@x" for n in range(1001)]},
    ],
)  # fmt: skip
def test_what_is_no_policy(wrong: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError):
        CallPolicy.from_mapping(wrong)


def test_values_are_checked_wherever_they_come_from() -> None:
    with pytest.raises(LocalProtocolError):
        CallPolicy(forward_always="carol@example.com")
    with pytest.raises(LocalProtocolError):
        CallPolicy(allowed=("sip:a@b",))
