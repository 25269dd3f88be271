"""Responses to our INVITE that are not as they should be: no tag, no Contact, too many of them."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.dialog.invite_attempt import InviteAttempt
from twisted_sip.dialog.session import CONFIRMED
from twisted_sip.message.builders import build_request, response_to

from .conftest import REL, Peers


def test_ringing_without_tag(peers: Peers) -> None:
    """A peer of RFC 2543, or a proxy that forgets it, is heard ringing; its early media too."""
    peers.reply(183, "", body=b"preview")
    assert peers.alice.names()[-2:] == ["progressed", "answer_received"]
    peers.reply(199, "")
    peers.reply(200, "b", body=b"answer")
    assert [session.dialog.remote_tag for session in peers.alice.sessions] == ["", "b"]
    assert peers.attempt.winner is peers.alice.sessions[1]
    assert not peers.sent("BYE")
    peers.settle()


def test_a_peer_that_never_has_a_tag(peers: Peers) -> None:
    peers.reply(180, "", contact=None)
    peers.reply(200, "", body=b"answer")
    [session] = peers.alice.sessions
    assert session.state == CONFIRMED and peers.attempt.winner is session
    peers.settle()


def test_ringing_without_contact(peers: Peers) -> None:
    """RFC 3261 section 12.1.1 wants one; the first response that has it makes up for it."""
    peers.reply(180, "b", contact=None)
    assert peers.alice.names()[-1] == "progressed"
    [session] = peers.alice.sessions
    assert session.dialog.remote_target == "sip:bob" and session.dialog.early
    peers.reply(180, "b", contact="*")
    peers.reply(183, "b", *REL, ("rseq", "1"), ("record-route", "<sip:p;lr>"), contact="<sip:bob@192.0.2.4>")
    assert session.dialog.early
    [prack] = peers.sent("PRACK")
    assert prack.uri_text == "sip:bob@192.0.2.4" and prack.headers.all("route") == ["<sip:p;lr>"]
    # Nothing but the 2xx changes it any more.
    peers.reply(180, "b", contact="<sip:bob@192.0.2.5>")
    assert session.dialog.remote_target == "sip:bob@192.0.2.4"
    peers.reply(200, "b", body=b"answer", contact="<sip:bob@192.0.2.6>")
    assert session.state == CONFIRMED and session.dialog.remote_target == "sip:bob@192.0.2.6"
    peers.settle()


def test_a_request_uri_of_another_scheme(pair: Any) -> None:
    """There is nobody to send an ACK to."""
    invite = build_request("INVITE", "tel:+1", from_="<sip:a>;tag=t", to="<tel:+1>", call_id="c", cseq=1)
    pair.link.drop = lambda sender, message: True
    attempt = InviteAttempt(
        invite, pair.alice, pair.alice.timers, pair.alice.dialogs, pair.alice.terms, random=lambda: 0.5
    )
    attempt.start()
    outgoing = attempt._outgoing
    assert outgoing is not None
    for status in (180, 200):
        outgoing.response_received(response_to(outgoing.request, status, to_tag="b"))
    assert not attempt.sessions and not attempt.over
    attempt.cancel()
    pair.link.advance(600.0, 2.0)
    assert attempt.gone and pair.alice.settled()


@pytest.mark.parametrize("early", [True, False])
def test_a_2xx_behind_one_that_was_of_no_use(peers: Peers, early: bool) -> None:
    """The attempt is over by then: the second one is declined as well."""
    if early:
        peers.reply(180, "b")
    peers.reply(200, "a", body=b"answer", contact=None)
    assert peers.attempt.over and peers.attempt.winner is None
    peers.reply(200, "b", body=b"answer")
    assert [request.to.tag for request in peers.sent("BYE")] == ["a", "b"]
    assert peers.attempt.winner is None and "confirmed" not in peers.alice.names()
    peers.settle()


def test_a_flood_of_2xx(peers: Peers) -> None:
    """Each one costs a dialog, an ACK and a BYE: there is an end to that."""
    for number in range(500):
        peers.reply(180, f"early{number}")
    for number in range(500):
        peers.reply(200, f"late{number}", body=b"answer")
    assert len(peers.attempt.sessions) == len(peers.alice.sessions) == 64
    assert len(peers.sent("ACK")) == 32 and len(peers.sent("BYE")) == 31
    # Those that are known are still acknowledged.
    peers.reply(200, "early3", body=b"answer")
    peers.reply(200, "late0", body=b"answer")
    assert [request.to.tag for request in peers.sent("ACK")][-2:] == ["early3", "late0"]
    peers.settle()


def test_a_2xx_without_contact_in_a_dialog_that_has_one(peers: Peers) -> None:
    """What the 18x has said is good enough."""
    peers.reply(180, "b", contact="<sip:bob@192.0.2.4>")
    peers.reply(200, "b", body=b"answer", contact=None)
    session = peers.attempt.winner
    assert session is not None and session.state == CONFIRMED
    assert peers.sent("ACK")[0].uri_text == "sip:bob@192.0.2.4" and not peers.sent("BYE")
    peers.settle()


def test_a_2xx_whose_contact_is_of_no_use(peers: Peers) -> None:
    peers.reply(200, "b", body=b"answer", contact="<tel:1>")
    assert peers.attempt.winner is None and peers.alice.sessions[0].ending.cause == "protocol"
    assert len(peers.sent("ACK")) == len(peers.sent("BYE")) == 1
    peers.settle()


def test_a_flood_of_reliable_responses(peers: Peers) -> None:
    """Each one costs a PRACK: no more of them than so many are on their way at a time."""
    for number in range(1, 100):
        peers.reply(180, "b", *REL, ("rseq", str(number)))
    assert len(peers.sent("PRACK")) == 16 and peers.alice.names().count("progressed") == 16
    peers.answer("PRACK", 200)
    peers.reply(180, "b", *REL, ("rseq", "17"))
    assert peers.sent("PRACK")[-1].headers.first("rack") == "17 1 INVITE"
    peers.settle()
