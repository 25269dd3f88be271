"""A simulated phone against a scripted peer that stands for its proxy."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from twisted_sip.message.builders import cancel_for
from twisted_sip.message.request import Request
from twisted_sip.testing.behaviour import BUSY, NO_ANSWER, Behaviour
from twisted_sip.testing.network import Network
from twisted_sip.testing.peer import Peer
from twisted_sip.testing.phone import SimulatedPhone

PROXY = ("192.0.2.1", 5060)
PHONE = ("192.0.2.2", 5060)
ROUTE = ("record-route", "<sip:192.0.2.1;lr>")
CONTACT = ("contact", "<sip:peer@192.0.2.1>")


class Pair:
    def __init__(self, **how: Any) -> None:
        self.network = Network()
        self.proxy = Peer(self.network.node(PROXY[0]))
        node = self.network.node(PHONE[0])
        self.phone = SimulatedPhone(self.network, node, "alice", proxy="sip:192.0.2.1;lr", **how)

    def invite(self, branch: str = "1", **changes: str) -> None:
        """Call the phone."""
        fields = {
            "Via": f"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{branch}",
            "From": "<sip:peer@example.com>;tag=p",
            "To": "<sip:alice@example.com>",
            "Call-ID": "call",
            "CSeq": "1 INVITE",
            "Contact": "<sip:peer@192.0.2.1>",
            "Record-Route": "<sip:192.0.2.1;lr>",
            **{name.replace("_", "-"): value for name, value in changes.items()},
        }
        method = fields["CSeq"].split()[1]
        lines = [f"{method} sip:alice@192.0.2.2 SIP/2.0", *(f"{name}: {value}" for name, value in fields.items())]
        self.proxy.send("\n".join(lines), PHONE)

    def end(self) -> None:
        self.phone.disconnect()
        self.network.advance(400.0)
        assert self.phone.leftovers() == {}


def test_a_2xx_comes_again_until_its_ack() -> None:
    pair = Pair(behaviour=Behaviour(reacts_after=0.0, rings_after=None, talks=500.0))
    pair.invite()
    response = pair.proxy.expect(200)
    pair.network.advance(4.0)
    times = [arrival.time for arrival in pair.proxy.arrivals if arrival.message is not None]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps == pytest.approx([0.5, 1.0, 2.0], abs=0.05)
    assert response.headers.all("record-route") == ["<sip:192.0.2.1;lr>"]
    pair.proxy.skip()
    pair.invite("2", CSeq="1 ACK", To=response.headers.first("to"))
    pair.proxy.expect_nothing(within=40.0)
    [leg] = pair.phone.incoming
    assert leg.acknowledged and not leg.over
    pair.phone.dialogs[leg.dialog.id].hang_up()  # type: ignore[union-attr]
    bye = pair.proxy.expect("BYE")
    assert bye.uri_text == "sip:peer@192.0.2.1"
    assert bye.headers.first("route") == "<sip:192.0.2.1;lr>"
    pair.proxy.answer(bye, 200)
    pair.end()


def test_without_an_ack_it_hangs_up_after_64_t1() -> None:
    pair = Pair(behaviour=Behaviour(reacts_after=0.0, rings_after=None))
    pair.invite()
    pair.proxy.expect(200)
    began = pair.network.clock.seconds()
    bye = pair.proxy.expect("BYE", within=40.0)
    assert pair.network.clock.seconds() - began == pytest.approx(32.0, abs=0.1)
    pair.proxy.answer(bye, 481)
    pair.network.advance(1.0)
    [leg] = pair.phone.incoming
    assert leg.dialog is not None
    assert (leg.acknowledged, leg.dialog.ended, leg.dialog.bye_outcome) == (False, "no ack", 481)
    pair.end()


def test_a_bye_before_the_ack_ends_it() -> None:
    pair = Pair(behaviour=Behaviour(reacts_after=0.0, rings_after=None))
    pair.invite()
    to = pair.proxy.expect(200).headers.first("to")
    pair.invite("2", CSeq="2 BYE", To=to)
    pair.proxy.expect(200)
    pair.proxy.expect_nothing(within=40.0)
    assert pair.phone.incoming[0].dialog.ended == "bye received"  # type: ignore[union-attr]
    pair.invite("3", CSeq="3 BYE", To=to)
    pair.proxy.expect(481)
    pair.end()


def test_every_2xx_gets_its_ack_and_the_second_dialog_a_bye() -> None:
    pair = Pair()
    call = pair.phone.call("sip:bob@example.com", Behaviour(talks=5.0))
    invite = pair.proxy.expect("INVITE")
    pair.proxy.answer(invite, 200, [CONTACT, ROUTE], to_tag="one")
    assert pair.proxy.expect("ACK").to.tag == "one"
    pair.proxy.answer(invite, 200, [CONTACT, ROUTE], to_tag="one")
    ack = pair.proxy.expect("ACK")
    assert (ack.to.tag, ack.cseq.number, ack.uri_text) == ("one", invite.cseq.number, "sip:peer@192.0.2.1")
    assert ack.headers.first("route") == "<sip:192.0.2.1;lr>"
    pair.proxy.answer(invite, 200, [CONTACT, ROUTE], to_tag="two")
    assert pair.proxy.expect("ACK").to.tag == "two"
    assert pair.proxy.expect("BYE", within=1.0).to.tag == "two"
    assert call.sent.outcomes == 1
    assert pair.proxy.expect(lambda message: _is_bye_of(message, "one"), within=6.0)
    pair.end()


def _is_bye_of(message: Any, tag: str) -> bool:
    return isinstance(message, Request) and message.method == "BYE" and message.to.tag == tag


def test_a_caller_cancels_and_says_so_once() -> None:
    pair = Pair()
    call = pair.phone.call("sip:bob@example.com", Behaviour(patience=1.0))
    invite = pair.proxy.expect("INVITE")
    pair.proxy.answer(invite, 180, [CONTACT])
    cancel = pair.proxy.expect("CANCEL")
    assert cancel.top_via.branch == invite.top_via.branch
    pair.proxy.answer(cancel, 200)
    pair.proxy.answer(invite, 487)
    pair.proxy.expect("ACK")
    assert (call.status, call.cancelled, call.over) == (487, True, True)
    pair.end()


def test_a_callee_that_is_cancelled() -> None:
    pair = Pair(behaviour=Behaviour(reaction=NO_ANSWER))
    pair.invite()
    pair.proxy.expect(180)
    invite = Request(
        "INVITE",
        "sip:alice@192.0.2.2",
        [
            ("via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"),
            ("from", "<sip:peer@example.com>;tag=p"),
            ("to", "<sip:alice@example.com>"),
            ("call-id", "call"),
            ("cseq", "1 INVITE"),
        ],
    )
    pair.proxy.send(cancel_for(invite), PHONE)
    pair.proxy.expect(200)
    pair.proxy.expect(487)
    assert pair.phone.incoming[0].was_cancelled
    pair.end()


def test_a_call_that_nobody_picks_up_and_nobody_cancels_ends_by_itself() -> None:
    pair = Pair(behaviour=Behaviour(reaction=NO_ANSWER))
    pair.invite()
    pair.proxy.expect(480, within=230.0)
    pair.end()


def test_a_merged_request_is_no_second_call() -> None:
    pair = Pair(behaviour=Behaviour(reaction=BUSY, reacts_after=1.0))
    pair.invite("one")
    pair.invite("two")
    pair.proxy.expect(482)
    assert len(pair.phone.incoming) == 1
    pair.end()


def test_a_re_invite_is_answered_and_one_that_crosses_ours_is_not() -> None:
    pair = Pair()
    call = pair.phone.call("sip:bob@example.com", Behaviour(talks=60.0, reinvites_after=1.0))
    invite = pair.proxy.expect("INVITE")
    pair.proxy.answer(invite, 200, [CONTACT], to_tag="p")
    pair.proxy.expect("ACK")
    ours = pair.proxy.expect("INVITE")
    assert (ours.to.tag, ours.cseq.number) == ("p", invite.cseq.number + 1)
    ends = {
        "From": f"<sip:bob@example.com>;tag={ours.to.tag}",
        "To": f"<sip:alice@example.com>;tag={ours.from_.tag}",
        "Call_ID": ours.call_id,
    }
    pair.invite("2", CSeq="1 INVITE", **ends)
    pair.proxy.expect(491)
    pair.proxy.answer(ours, 488)
    pair.invite("3", CSeq="2 INVITE", **ends)
    pair.proxy.expect(200)
    pair.invite("4", CSeq="3 INVITE", **ends)
    pair.proxy.expect(500)
    pair.invite("5", CSeq="2 ACK", **ends)
    pair.invite("6", CSeq="2 BYE", **ends)
    # Its number is not higher than the last one's (section 12.2.2).
    pair.proxy.expect(500)
    call.hang_up()
    pair.proxy.expect("BYE")
    pair.end()


def test_the_dialog_ends_when_a_re_invite_finds_nobody() -> None:
    pair = Pair()
    call = pair.phone.call("sip:bob@example.com", Behaviour(talks=60.0, reinvites_after=1.0))
    pair.proxy.answer(pair.proxy.expect("INVITE"), 200, [CONTACT], to_tag="p")
    pair.proxy.answer(pair.proxy.expect("INVITE"), 481)
    bye = pair.proxy.expect("BYE", within=1.0)
    pair.proxy.answer(bye, 481)
    pair.network.advance(1.0)
    [dialog] = call.dialogs.values()
    assert (dialog.ended, dialog.bye_outcome, call.over) == ("bye sent", 481, True)
    pair.end()


@pytest.mark.parametrize(
    ("act", "method"),
    [
        (lambda phone: phone.message("sip:bob@example.com", "hello"), "MESSAGE"),
        (lambda phone: phone.options("sip:bob@example.com"), "OPTIONS"),
    ],
)
def test_requests_have_one_outcome(act: Callable[[SimulatedPhone], Any], method: str) -> None:
    pair = Pair()
    answered, unanswered = act(pair.phone), act(pair.phone)
    request = pair.proxy.expect(lambda message: message.call_id == answered.call_id)
    assert (request.method, request.headers.first("route")) == (method, "<sip:192.0.2.1;lr>")
    pair.proxy.answer(request, 202)
    pair.proxy.answer(request, 404)
    pair.network.advance(40.0)
    assert (answered.finals, answered.failures) == ([202], [])
    assert (unanswered.finals, unanswered.failures) == ([], [408])
    assert {answered.outcomes, unanswered.outcomes} == {1}
    # On the wire there were two.
    assert {202, 404} in pair.phone.finals.values()
    pair.end()


def test_what_a_phone_answers() -> None:
    pair = Pair()
    for method, status in (("MESSAGE", 200), ("OPTIONS", 200), ("BYE", 481), ("SUBSCRIBE", 405)):
        pair.invite(method, CSeq=f"1 {method}", Call_ID=method)
        pair.proxy.expect(status)
    assert pair.phone.messages == [("sip:peer@example.com", b"")]
    pair.end()


def test_keep_alives() -> None:
    pair = Pair(keep_alive=10.0)
    pair.network.advance(35.0)
    assert [arrival.data for arrival in pair.proxy.arrivals] == [b"\r\n\r\n"] * 4
    pair.phone.disconnect()
    pair.network.advance(35.0)
    assert len(pair.proxy.arrivals) == 4
    pair.end()
