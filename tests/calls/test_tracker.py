"""What the call tracker makes of single requests and responses (RFC 4235 section 3.7.1)."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from twisted_sip.calls.settings import CallTrackerSettings
from twisted_sip.calls.tracker import CallTracker
from twisted_sip.interfaces.calls import Call, ICallTracker
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.routing import IForwardingPolicy, Target
from twisted_sip.message.builders import response_to
from twisted_sip.message.header_map import HeaderMap
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, URI, parse_uri
from twisted_sip.testing.observation import LoggedFailures

ALICE, BOB, CAROL = "sip:alice@example.com", "sip:bob@example.com", "sip:carol@example.com"


def is_local(uri: URI) -> bool:
    return isinstance(uri, SIPURI) and uri.host == "example.com"


def flow(host: str, port: int = 5060) -> Any:
    return SimpleNamespace(remote=Address(host, port))


class Desk:
    """A tracker and one INVITE after the other."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.clock.advance(1_800_000_000)
        self.tracker = CallTracker(self.clock, is_local, CallTrackerSettings(**settings))
        self.told: list[tuple[str, str]] = []
        self.calls: list[Call] = []
        self.tracker.observe(self._told)

    def _told(self, call: Call) -> None:
        self.told.append((call.state, call.event))
        if call not in self.calls:
            self.calls.append(call)

    def request(self, method: str = "INVITE", call_id: str = "c", to_tag: str = "", **more: Any) -> Request:
        from_tag = more.pop("from_tag", "f")
        fields = [
            ("via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"),
            ("from", f'"Alice" <{more.pop("from_", ALICE)}>;tag={from_tag}'),
            ("to", f"<{BOB}>" + (f";tag={to_tag}" if to_tag else "")),
            ("call-id", call_id),
            ("cseq", f"1 {method}"),
            *more.pop("headers", ()),
        ]
        made = Request(method, more.pop("uri", BOB), fields, more.pop("body", b""))
        assert not more
        return made

    def sent(self, request: Request, aor: str = BOB, user: str = ALICE, **target: Any) -> Any:
        """The proxy sends *request* on a branch."""
        incoming: Any = SimpleNamespace(request=request, user=user)
        uri = parse_uri(target.pop("uri", "sip:bob@192.0.2.5"))
        self.tracker.branch(request.copy(), Target(uri=uri, aor=aor, **target), incoming)
        return incoming

    def answered(
        self,
        request: Request,
        status: int,
        tag: str = "t",
        *headers: tuple[str, str],
        body: bytes = b"",
        user: str = ALICE,
        by: Any = None,
    ) -> None:
        """A response goes upstream."""
        response = response_to(request, status, "", headers, body, tag)
        response.flow = by
        self.forwarded(response, request, user)

    def forwarded(self, response: Response, request: Request, user: str = ALICE) -> None:
        context = SimpleNamespace(
            request=request,
            calls=request.method == "INVITE",
            in_dialog=bool(request.to.tag),
            incoming=SimpleNamespace(user=user),
        )
        self.tracker.response(response, context)

    def call(self, call_id: str = "c", tag: str = "t", **more: Any) -> Call:
        """Set a call up and return it."""
        request = self.request(call_id=call_id, **more)
        self.sent(request)
        self.answered(request, 200, tag)
        return self.tracker.of(ALICE)[-1]


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    with LoggedFailures() as failures:
        yield made
    assert not failures.texts
    # Past the last deadline everything is empty.
    made.clock.pump([30] * 2000)
    assert not len(made.tracker) and not made.tracker.invitations and not made.tracker._by_aor
    assert not made.clock.getDelayedCalls()


def test_interfaces(desk: Desk) -> None:
    verifyObject(ICallTracker, desk.tracker)
    verifyObject(IForwardingPolicy, desk.tracker)


def test_every_state(desk: Desk) -> None:
    invite = desk.request()
    desk.sent(invite)
    desk.answered(invite, 183, "")
    desk.answered(invite, 183, "")
    desk.answered(invite, 180)
    # There is no way back, and no news in what is known.
    desk.answered(invite, 183, "")
    desk.answered(invite, 180)
    desk.answered(invite, 200)
    desk.answered(invite, 200)
    desk.answered(invite, 180)
    assert [state for state, _ in desk.told] == ["trying", "proceeding", "early", "confirmed"]
    # A 2xx without tag is nothing that a dialog could be made of.
    desk.answered(invite, 200, "")
    bye = desk.request("BYE", to_tag="t")
    desk.sent(bye)
    desk.sent(bye)
    assert desk.told[4:] == [("terminated", "bye")]
    assert desk.calls[0].event_for(True) == "local-bye" and desk.calls[0].event_for(False) == "remote-bye"


def test_who_is_tracked(desk: Desk) -> None:
    desk.sent(desk.request(call_id="1", from_="sip:x@elsewhere.example"), aor="", user="")
    assert desk.tracker.of(BOB)[0].callee_aor == BOB
    strange = desk.request(call_id="2", from_="sip:x@elsewhere.example", uri="sip:y@elsewhere.example")
    desk.sent(strange, aor="", user="")
    desk.sent(desk.request(call_id="3", from_="tel:+1", uri="tel:+2"), aor="", user="")
    assert len(desk.tracker) == 1
    # Without authentication the From counts, and where there is some, who was proved.
    desk.sent(desk.request(call_id="4", uri="sip:y@elsewhere.example"), aor="", user="")
    desk.sent(desk.request(call_id="5", uri="sip:y@elsewhere.example"), aor="", user=CAROL)
    assert [len(desk.tracker.of(aor)) for aor in (ALICE, BOB, CAROL)] == [1, 1, 1]


def test_what_is_not_understood_is_not_tracked(desk: Desk) -> None:
    broken = desk.request()
    broken.headers = HeaderMap([("from", "<<"), ("to", f"<{BOB}>"), ("call-id", "c")])
    desk.sent(broken)
    desk.sent(desk.request(call_id="c" * 600))
    assert not len(desk.tracker)
    desk.sent(desk.request("BYE", to_tag="t"))
    broken.method = "BYE"
    desk.sent(broken)
    invite = desk.request()
    desk.sent(invite)
    odd = response_to(invite, 180, to_tag="t")
    odd.headers.set("to", "<<")
    desk.forwarded(odd, invite)
    desk.answered(invite, 180, "t" * 600)
    assert desk.told == [("trying", "")]
    desk.answered(invite, 180, "t", ("contact", "<sip:" + "b" * 600 + "@192.0.2.5>"))
    assert desk.tracker.of(BOB)[0].callee_contact == ""


def test_other_methods_and_unknown_calls_are_nothing(desk: Desk) -> None:
    message = desk.request("MESSAGE")
    desk.sent(message)
    desk.answered(message, 200)
    invite = desk.request()
    desk.answered(invite, 200)
    desk.sent(desk.request(to_tag="t"))
    desk.answered(desk.request("INFO", to_tag="t"), 481)
    desk.answered(desk.request("UPDATE", to_tag="t"), 200)
    assert not len(desk.tracker) and not desk.told


def test_there_is_a_limit(desk: Desk) -> None:
    desk = Desk(max_calls=2, max_forks=2)
    first, second = desk.request(call_id="1"), desk.request(call_id="2")
    desk.sent(first)
    desk.sent(second)
    desk.sent(desk.request(call_id="3"))
    desk.answered(first, 180, "t")
    desk.answered(first, 180, "u")
    assert len(desk.tracker) == 2 and desk.tracker.untracked == 2
    desk.answered(second, 486)
    desk.answered(first, 180, "u")
    desk.answered(first, 180, "v")
    assert len(desk.tracker) == 2 and desk.tracker.untracked == 3
    desk.sent(first, aor=CAROL)
    desk.sent(first, aor="sip:dave@example.com")
    assert not desk.tracker.of(CAROL) and not desk.tracker.of("sip:dave@example.com")
    desk.tracker.stop()
    desk.tracker.stop()
    assert not len(desk.tracker) and not desk.clock.getDelayedCalls()


def test_each_user_who_is_asked_has_a_call_of_his_own(desk: Desk) -> None:
    invite = desk.request(uri="sip:sales@example.com")
    desk.sent(invite, uri="sip:bob@192.0.2.5")
    desk.sent(invite, uri="sip:bob@192.0.2.6")
    desk.sent(invite, aor=CAROL, uri="sip:carol@192.0.2.7:5070")
    assert [len(desk.tracker.of(aor)) for aor in (ALICE, BOB, CAROL)] == [2, 1, 1]
    desk.answered(invite, 180, "carol", by=flow("192.0.2.7", 5070))
    desk.answered(invite, 180, "bob", ("contact", "<sip:bob@192.0.2.6>"))
    assert desk.tracker.of(CAROL)[0].callee_tag == "carol" and desk.tracker.of(BOB)[0].callee_tag == "bob"
    desk.answered(invite, 200, "carol", by=flow("192.0.2.7", 5070))
    assert not desk.tracker.of(BOB) and desk.tracker.of(CAROL)[0].state == "confirmed"


def test_flows_tell_who_answers(desk: Desk) -> None:
    invite = desk.request()
    ways = flow("192.0.2.8"), flow("192.0.2.9")
    desk.sent(invite, flow=ways[0])
    desk.sent(invite, aor=CAROL, flow=ways[1], uri="tel:+1")
    desk.answered(invite, 180, "b", by=ways[0])
    # One whom nobody was asked to reach: it is taken for the last one.
    desk.answered(invite, 180, "c", ("contact", "<sip:x@192.0.2.10>"), by=flow("192.0.2.10"))
    assert desk.tracker.of(BOB)[0].callee_tag == "b" and desk.tracker.of(CAROL)[0].callee_tag == "c"


def test_voicemail_that_answers_for_a_user_is_not_the_user(desk: Desk) -> None:
    invite = desk.request()
    desk.sent(invite)
    desk.answered(invite, 180, "bob", by=flow("192.0.2.5"))
    desk.sent(invite, aor="", uri="sip:voicemail@192.0.2.99")
    desk.answered(invite, 200, "vm", by=flow("192.0.2.99"))
    assert not desk.tracker.of(BOB)
    (known,) = desk.tracker.of(ALICE)
    assert (known.callee_tag, known.callee_aor, known.number) == ("vm", "", 1)


def test_another_invite_with_the_same_identifiers_changes_nothing(desk: Desk) -> None:
    invite = desk.request()
    desk.sent(invite)
    forged = desk.request()
    desk.sent(forged, aor=CAROL, user="sip:eve@example.com")
    desk.answered(forged, 603, user="sip:eve@example.com")
    desk.answered(forged, 200, "x", user="sip:eve@example.com")
    assert desk.told == [("trying", "")] and not desk.tracker.of(CAROL)


def test_errors_in_a_dialog_end_it(desk: Desk) -> None:
    for number, status in enumerate((481, 408)):
        call = desk.call(f"c{number}")
        desk.answered(desk.request("INFO", f"c{number}", to_tag="t"), 404)
        assert call.state == "confirmed"
        desk.answered(desk.request("INFO", f"c{number}", to_tag="t"), status)
        assert (call.state, call.event, call.code) == ("terminated", "error", status)


def test_a_bye_that_is_not_believed_ends_nothing(desk: Desk) -> None:
    call = desk.call()
    # From the callee: the tags are the other way round. It found no way to the caller, but is gone.
    bye = desk.request("BYE", to_tag="f", from_tag="t", from_=BOB)
    desk.answered(bye, 407)
    desk.answered(bye, 100)
    assert call.state == "confirmed"
    desk.answered(bye, 430)
    assert (call.state, call.event_for(True)) == ("terminated", "remote-bye")


def test_replaced_calls_end_by_their_bye(desk: Desk) -> None:
    call = desk.call()
    replaces = [("replaces", "c;to-tag=t;from-tag=f"), ("referred-by", "<sip:dave@example.com>")]
    desk.sent(desk.request(call_id="e", headers=replaces), aor="sip:eve@example.com", user="sip:eve@example.com")
    assert not call.replaced
    desk.sent(desk.request(call_id="n", headers=replaces), user=CAROL)
    assert call.replaced and call.state == "confirmed"
    assert desk.tracker.of(CAROL)[0].replaces == "c;to-tag=t;from-tag=f"
    assert desk.tracker.of(CAROL)[0].referred_by == "<sip:dave@example.com>"
    desk.sent(desk.request("BYE", to_tag="t"))
    assert call.event == "replaced"
    # Malformed, or nobody's.
    desk.sent(desk.request(call_id="m", headers=[("replaces", "x")]), user=CAROL)
    desk.sent(desk.request(call_id="o", headers=[("replaces", "x;to-tag=1;from-tag=2")]), user=CAROL)
    assert len(desk.tracker.of(CAROL)) == 3


def test_session_timers(desk: Desk) -> None:
    request = desk.request()
    desk.sent(request)
    desk.answered(request, 200, "t", ("session-expires", "90"))
    call = desk.tracker.of(ALICE)[0]
    desk.clock.advance(60)
    refresh = desk.request("UPDATE", to_tag="t")
    desk.answered(refresh, 200, "t", ("session-expires", "90;refresher=uac"))
    desk.clock.pump([30] * 3)
    assert call.state == "confirmed"
    desk.answered(desk.request(to_tag="t"), 200, "t", ("session-expires", "soon"))
    desk.clock.pump([30] * 100)
    assert call.state == "confirmed"
    desk.answered(refresh, 200, "t", ("session-expires", "90"))
    desk.clock.pump([30] * 6)
    assert (call.state, call.event) == ("terminated", "timeout")


def test_an_invite_that_is_never_answered_is_over_in_time(desk: Desk) -> None:
    desk.sent(desk.request())
    desk.answered(desk.request("UPDATE", to_tag=""), 200)
    desk.clock.pump([30] * 122)
    assert desk.told[-1] == ("terminated", "timeout")


def test_session_descriptions_are_kept_where_that_is_wanted() -> None:
    desk = Desk(session_limit=20)
    invite = desk.request(headers=[("content-type", "application/sdp")], body=b"v=0 offer")
    desk.sent(invite)
    desk.answered(invite, 183, "t", ("content-type", "application/sdp"), body=b"v=0 answer")
    desk.answered(invite, 200, "t", ("content-type", "application/sdp"), body=b"v=0" * 20)
    (call,) = desk.tracker.of(ALICE)
    assert call.caller_session == ("application/sdp", b"v=0 offer")
    assert call.callee_session == ("application/sdp", b"v=0 answer")
    desk.tracker.stop()
    plain = Desk()
    plain.sent(invite)
    assert plain.tracker.of(ALICE)[0].caller_session is None
    plain.tracker.stop()


def test_observers_go_and_fail_by_themselves() -> None:
    desk = Desk()
    heard: list[Call] = []

    def broken(call: Call) -> None:
        raise ZeroDivisionError

    desk.tracker.observe(broken)
    end = desk.tracker.observe(heard.append)
    with LoggedFailures() as failures:
        desk.sent(desk.request())
        end()
        end()
        desk.answered(desk.request(), 180)
    assert len(heard) == 1 and len(failures.texts) == 2
    desk.tracker.stop()


def test_an_observer_may_end_everything_in_a_sweep() -> None:
    desk = Desk(max_setup=10)
    for number in range(3):
        desk.sent(desk.request(call_id=str(number)))

    def hang_up(call: Call) -> None:
        if call.event == "timeout":
            for other in list(desk.tracker.calls()):
                desk.answered(desk.request(call_id=other.call_id), 486)

    desk.tracker.observe(hang_up)
    desk.clock.advance(30)
    assert [event for _, event in desk.told if event] == ["timeout", "rejected", "rejected"]
    assert not len(desk.tracker) and not desk.clock.getDelayedCalls()


def test_users_who_call_themselves(desk: Desk) -> None:
    desk.sent(desk.request(), aor=ALICE)
    assert len(desk.tracker.of(ALICE)) == 1


def test_a_bye_that_the_proxy_refuses_itself_ends_the_call(desk: Desk) -> None:
    # Whom it is for has registered anew meanwhile: its GRUU leads nowhere.
    invite = desk.request()
    desk.sent(invite)
    desk.answered(invite, 200)
    for request, status in (
        (desk.request(call_id="c2"), 480),
        (desk.request("BYE", to_tag="t"), 401),
        (desk.request("INFO", to_tag="t"), 480),
    ):
        incoming: Any = SimpleNamespace(request=request, user=ALICE)
        desk.tracker.refused(incoming, response_to(request, status))
        assert len(desk.tracker) == 1
    bye = desk.request("BYE", to_tag="t")
    incoming = SimpleNamespace(request=bye, user=ALICE)
    desk.tracker.refused(incoming, response_to(bye, 480))
    assert not len(desk.tracker)
    assert desk.told[-1] == ("terminated", "bye")
