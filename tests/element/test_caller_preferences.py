"""Which contacts a caller prefers: scores and order (RFC 3841 section 7.2)."""

from __future__ import annotations

from typing import Any, cast

import pytest

from twisted_sip.element.caller_preferences import disposition_of, features_of_target, preferred
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.location import Binding
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI

USER = "sip:user@example.com"


class Incoming:
    def __init__(self, *fields: str, method: str = "INVITE") -> None:
        given = [(name, value.strip()) for name, _, value in (field.partition(":") for field in fields)]
        self.request = Request(method, USER, given)
        self.notes: list[tuple[str, ...]] = []

    def note(self, *what: str) -> None:
        self.notes.append(what)


def contact(user: str, params: str = "", q: int = 1000) -> Target:
    binding = Binding(
        aor=USER, key=user, contact=f"sip:{user}@h.example.com", call_id="c", cseq=1, expires_at=1.0, params=params
    )
    return Target(uri=SIPURI.parse(binding.contact), q=q, aor=USER, key=user, binding=binding)


def order(found: Any) -> list[list[str]]:
    """Return the users in groups of equal q, best first, in the order in which they are."""
    qs = [target.q for target in found]
    assert qs == sorted(qs, reverse=True)
    return [[target.uri.user for target in found if target.q == q] for q in dict.fromkeys(qs)]


EXAMPLE = [
    contact("u1", ';audio;video;methods="INVITE,BYE"', 200),
    contact("u2", ';audio="FALSE";methods="INVITE";actor="msg-taker"', 200),
    contact("u3", ';audio;actor="msg-taker";methods="INVITE";video', 300),
    contact("u4", ';audio;methods="INVITE,OPTIONS"', 200),
    contact("u5", "", 500),
]


def test_the_example_of_the_rfc() -> None:
    """Section 7.2.5."""
    incoming = Incoming(
        'Reject-Contact: *;actor="msg-taker";video',
        "Accept-Contact: *;audio;require",
        "Accept-Contact: *;video;explicit",
        'Accept-Contact: *;methods="BYE";class="business";q=1.0',
    )
    assert order(preferred(incoming, EXAMPLE)) == [["u5"], ["u1"], ["u4"]]  # type: ignore[arg-type]
    assert incoming.notes == [("preferences", "the caller wants {0} of {1} contacts", "", "3", "5")]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        # Not present: no match of Reject-Contact, and a match of Accept-Contact without a score.
        ("Reject-Contact: *;automata", [["a", "v", "n"]]),
        ("Reject-Contact: *;video", [["a", "n"]]),
        ('Reject-Contact: *;video="FALSE"', [["a", "v", "n"]]),
        ("Accept-Contact: *;video", [["v", "n"], ["a"]]),
        ("Accept-Contact: *;video;require", [["v", "n"], ["a"]]),
        ("Accept-Contact: *;video;require;explicit", [["v", "n"]]),
        ("Accept-Contact: *;video;explicit", [["v", "n"], ["a"]]),
        ('Accept-Contact: *;video="FALSE"', [["n"], ["a", "v"]]),
        ('Accept-Contact: *;video="FALSE";require', [["n"], ["a"]]),
        ("Accept-Contact: *", [["a", "v", "n"]]),
    ],
)
def test_what_is_asked_for(field: str, expected: list[list[str]]) -> None:
    targets = [contact("a", ";audio"), contact("v", ";audio;video"), contact("n")]
    assert order(preferred(Incoming(field), targets)) == expected  # type: ignore[arg-type]


def test_nobody_may_be_left() -> None:
    """With explicit preferences (section 7.2.4); the proxy answers 480 then."""
    assert preferred(Incoming('Accept-Contact: *;audio="FALSE";require'), [contact("a", ";audio")]) == []  # type: ignore[arg-type]


def test_targets_of_which_nothing_is_known_are_immune() -> None:
    targets = [
        Target(uri=SIPURI.parse("sip:gateway.example.com")),
        contact("broken", ";audio;audio"),
        contact("n", ";x=1"),
    ]
    found = preferred(Incoming("Accept-Contact: *;video;require;explicit"), targets)  # type: ignore[arg-type]
    assert [target.uri for target in found] == [target.uri for target in targets]
    assert features_of_target(targets[1]) == {}


def test_malformed() -> None:
    with pytest.raises(RemoteProtocolError, match="Accept-Contact"):
        preferred(Incoming("Accept-Contact: audio"), [contact("a")])  # type: ignore[arg-type]


# -- implicit preferences (section 7.2.2) ---------------------------------------------------


def test_methods_that_devices_do_not_know() -> None:
    targets = [contact("phone", ';methods="INVITE,BYE"'), contact("chat", ';methods="message"'), contact("n", ";audio")]
    incoming = Incoming(method="MESSAGE")
    assert order(preferred(incoming, targets)) == [["chat", "n"]]  # type: ignore[arg-type]
    assert incoming.notes == [("preferences", "{0} of {1} contacts can MESSAGE", "", "2", "3")]


def test_where_nobody_can_everybody_is_asked() -> None:
    """So that the caller gets 405 and the like, not 480."""
    targets = [contact("a", ';methods="INVITE"'), contact("b", ';methods="INVITE"')]
    assert preferred(Incoming(method="MESSAGE"), targets) is targets  # type: ignore[arg-type]


@pytest.mark.parametrize("targets", [[contact("a", ';methods="INVITE"')], [contact("a", ";audio"), contact("b")]])
def test_without_a_choice_nothing_changes(targets: list[Target]) -> None:
    assert preferred(Incoming(method="MESSAGE"), targets) is targets  # type: ignore[arg-type]


def test_events() -> None:
    targets = [contact("a", ';events="presence"'), contact("b", ';events="dialog,reg"')]
    found = preferred(Incoming("Event: dialog;id=1", method="SUBSCRIBE"), targets)  # type: ignore[arg-type]
    assert order(found) == [["b"]]
    assert preferred(Incoming(method="SUBSCRIBE"), targets) is targets  # type: ignore[arg-type]
    assert preferred(Incoming("Event: dialog", method="INVITE"), targets) is targets  # type: ignore[arg-type]


# -- Request-Disposition --------------------------------------------------------------------


def test_wishes_are_for_those_who_own_the_domain() -> None:
    incoming = Incoming("Request-Disposition: no-fork, recurse", "Request-Disposition: redirect")
    found = disposition_of(incoming, lambda uri: True)  # type: ignore[arg-type]
    assert str(found) == "no-fork, recurse, redirect"
    assert incoming.notes == [("preferences", "the caller wishes: {0}", "", "no-fork, recurse, redirect")]
    assert disposition_of(incoming, lambda uri: False) is None  # type: ignore[arg-type]
    assert disposition_of(Incoming(), lambda uri: True) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fields",
    [
        ('Accept-Contact: *;priority="' + ",".join(["#=1"] * 300) + '"',),
        ("Accept-Contact: " + ", ".join(["*;audio"] * 200),),
        ("Accept-Contact: *;audio", "Reject-Contact: *;+sip.a" + "a" * 9000),
    ],
)
def test_nobody_wishes_without_end(fields: tuple[str, ...]) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        preferred(cast(Any, Incoming(*fields)), EXAMPLE)
    assert (caught.value.status, caught.value.reason) == (400, "Too Many Caller Preferences")


def test_a_contact_that_says_too_much_says_nothing() -> None:
    assert len(features_of_target(contact("few", ';priority="' + ",".join(["#=1"] * 64) + '"'))) == 1
    assert features_of_target(contact("many", ';priority="' + ",".join(["#=1"] * 65) + '"')) == {}
