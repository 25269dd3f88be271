"""An INVITE outside of dialogs at the UAC: forks, several 2xx, CANCEL (RFC 3261 section 13.2)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.dialog.invite_attempt import InviteAttempt
from twisted_sip.dialog.session import CONFIRMED, EARLY, TERMINATED
from twisted_sip.dialog.session_terms import SessionBody
from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.builders import response_to
from twisted_sip.message.request import Request

from .conftest import Peers


class TestForks:
    def test_one_session_for_each_tag(self, peers: Peers) -> None:
        peers.reply(180, "a")
        peers.reply(180, "b")
        peers.reply(180, "a")
        peers.reply(100, "c")
        assert list(peers.attempt.sessions) == ["a", "b"]
        assert peers.alice.names().count("forked") == 2
        assert all(session.state == EARLY for session in peers.alice.sessions)
        assert len(peers.alice.dialogs) == 2
        peers.settle()

    def test_the_first_2xx_wins(self, peers: Peers) -> None:
        peers.reply(180, "a")
        peers.reply(180, "b")
        peers.reply(200, "b", body=b"answer")
        first, second = peers.alice.sessions
        assert peers.attempt.winner is second and second.state == CONFIRMED
        assert first.state == TERMINATED and first.ending.cause == "fork"
        assert peers.attempt.status == 200 and peers.attempt.over and not peers.attempt.gone
        # Both others accept as well: ACK, then BYE.
        peers.reply(200, "a", body=b"answer a")
        peers.reply(200, "c", body=b"answer c")
        assert [r.to.tag for r in peers.sent("ACK")] == ["b", "a", "c"]
        assert [r.to.tag for r in peers.sent("BYE")] == ["a", "c"]
        assert peers.sent("BYE")[1].headers.first("reason") is not None
        assert peers.alice.sessions[2].ending.cause == "fork"
        peers.link.advance(32.1, 1.0)
        assert peers.attempt.gone
        peers.reply(200, "d", body=b"answer")
        assert "d" not in peers.attempt.sessions
        peers.settle()

    def test_ack_again(self, peers: Peers) -> None:
        """The ACK that is sent again is the same, BYE or not."""
        peers.reply(200, "b", body=b"answer")
        peers.reply(200, "b", body=b"another answer")
        session = peers.attempt.winner
        assert session is not None
        session.bye()
        peers.reply(200, "b", body=b"answer")
        acks = peers.sent("ACK")
        assert len(acks) == 3 and len({a.cseq for a in acks}) == 1 and len({a.top_via.branch for a in acks}) == 3
        assert session.offers.remote == SessionBody("application/sdp", b"answer")
        assert peers.alice.names().count("answer_received") == 1
        peers.settle()

    def test_keep_all(self, pair: Any) -> None:
        peers = Peers(pair, keep_all=True)
        peers.reply(200, "a", body=b"answer")
        peers.reply(200, "b", body=b"answer")
        assert [session.state for session in peers.alice.sessions] == [CONFIRMED, CONFIRMED]
        assert not peers.sent("BYE")
        peers.settle()

    def test_early_dialogs_end_64_t1_after_the_2xx(self, pair: Any) -> None:
        """Section 13.2.2.4."""
        peers = Peers(pair, keep_all=True)
        peers.reply(180, "a")
        peers.reply(200, "b", body=b"answer")
        peers.link.advance(31.0, 1.0)
        assert peers.alice.sessions[0].state == EARLY
        peers.link.advance(1.1, 1.0)
        assert peers.alice.sessions[0].ending.cause == "timeout"
        peers.settle()

    def test_too_many(self, peers: Peers) -> None:
        for number in range(40):
            peers.reply(180, f"t{number}")
        assert len(peers.attempt.sessions) == 32
        peers.settle()

    def test_no_room_for_dialogs(self, peers: Peers) -> None:
        peers.alice.dialogs.limit = 0
        peers.reply(180, "a")
        assert not peers.attempt.sessions
        peers.reply(200, "b", body=b"answer")
        assert len(peers.sent("ACK")) == len(peers.sent("BYE")) == 1
        assert peers.attempt.over and peers.attempt.winner is None
        peers.settle()


class TestFinal:
    @pytest.mark.parametrize("status", [302, 404, 486, 500, 603])
    def test_refused(self, peers: Peers, status: int) -> None:
        peers.reply(180, "a")
        peers.reply(status, "a", ("contact", "<sip:carol@example.com>"), ("reason", 'Q.850;cause=17;text="busy"'))
        assert (peers.attempt.status, peers.attempt.gone) == (status, True)
        assert peers.attempt.response is not None and peers.attempt.response.contacts[0].uri_text.startswith("sip:c")
        ending = peers.alice.sessions[0].ending
        assert (ending.by, ending.cause, ending.status, ending.reasons[0].cause) == ("remote", "refused", status, 17)
        assert peers.alice.names()[-4:] == ["ended", "gone", "attempt_over", "attempt_gone"]
        peers.reply(180, "a")
        peers.settle()

    def test_no_response(self, peers: Peers) -> None:
        peers.link.advance(33.0, 1.0)
        assert (peers.attempt.status, peers.attempt.response, peers.attempt.gone) == (408, None, True)
        peers.settle()

    def test_without_contact(self, peers: Peers) -> None:
        """A 2xx that makes no dialog is acknowledged and ended all the same."""
        peers.reply(180, "b", contact=None)
        peers.reply(200, "b", ("record-route", "<sip:proxy;lr>"), body=b"answer", contact=None)
        assert peers.sent("ACK")[0].uri_text == peers.sent("BYE")[0].uri_text == "sip:bob"
        assert peers.alice.sessions[0].ending.cause == "protocol"
        assert peers.attempt.winner is None and peers.attempt.over
        peers.settle()

    def test_bad_contact_in_the_2xx_of_a_known_dialog(self, peers: Peers) -> None:
        peers.reply(180, "b")
        peers.reply(200, "b", ("record-route", "<tel:1>"), body=b"answer")
        assert peers.alice.sessions[0].state == CONFIRMED
        assert len(peers.sent("ACK")) == 1
        peers.settle()

    def test_without_answer(self, peers: Peers) -> None:
        """Section 13.2.1: the 2xx must have it."""
        peers.reply(200)
        assert len(peers.sent("ACK")) == len(peers.sent("BYE")) == 1
        assert peers.alice.sessions[0].ending.cause == "no-answer"
        assert "rolled_back" in peers.alice.names() and "confirmed" not in peers.alice.names()
        peers.settle()

    def test_answer_in_the_preview_only(self, peers: Peers) -> None:
        peers.reply(183, body=b"early")
        assert peers.alice.told[-1] == ("answer_received", b"early")
        peers.reply(183, body=b"other")
        peers.reply(200)
        session = peers.attempt.winner
        assert session is not None and session.offers.remote == SessionBody("application/sdp", b"early")
        assert peers.alice.names().count("answer_received") == 1
        peers.settle()

    def test_damaged_to(self, peers: Peers) -> None:
        for status, to in ((180, "<<>"), (180, '"x'), (200, '"x'), (200, "<<>")):
            outgoing = peers.attempt._outgoing
            assert outgoing is not None
            response = response_to(outgoing.request, status, "", [("contact", "<sip:bob>")], to_tag="b")
            response.headers.set("to", to)
            outgoing.response_received(response)
        assert len(peers.sent("ACK")) == len(peers.sent("BYE")) == 1
        peers.settle()

    def test_credentials_in_the_ack(self, peers: Peers) -> None:
        outgoing = peers.attempt._outgoing
        assert outgoing is not None
        again = outgoing.request.copy()
        again.headers.set("cseq", "2 INVITE")
        again.headers.append("proxy-authorization", 'Digest username="alice"')
        outgoing.sent(again)
        peers.reply(200, body=b"answer")
        ack = peers.sent("ACK")[0]
        assert ack.cseq.number == 2 and ack.headers.first("proxy-authorization") == 'Digest username="alice"'
        session = peers.attempt.winner
        assert session is not None
        session.bye()
        assert peers.sent("BYE")[0].cseq.number == 3
        peers.settle()


class TestCancel:
    def test_cancel(self, peers: Peers) -> None:
        """Section 9.1: not before a provisional response."""
        peers.attempt.cancel([("reason", "SIP;cause=200")])
        peers.attempt.cancel()
        assert not peers.sent("CANCEL")
        transaction = next(iter(peers.alice.layer.clients.values()))
        transaction.receive(response_to(peers.sent("INVITE")[0], 180, "", [("contact", "<sip:bob>")], to_tag="b"))
        assert peers.sent("CANCEL")[0].headers.first("reason") == "SIP;cause=200"
        peers.reply(487, "b")
        ending = peers.alice.sessions[0].ending
        assert (ending.by, ending.cause, ending.status) == ("local", "cancel", 487)
        assert peers.attempt.status == 487
        peers.attempt.cancel()
        peers.settle()

    def test_2xx_after_all(self, peers: Peers) -> None:
        peers.reply(180, "b")
        peers.attempt.cancel()
        peers.reply(200, "b", body=b"answer")
        assert len(peers.sent("ACK")) == len(peers.sent("BYE")) == 1
        assert peers.attempt.winner is None and peers.attempt.status == 200
        assert peers.alice.sessions[0].ending.cause == "cancel"
        peers.settle()

    def test_2xx_is_welcome(self, peers: Peers) -> None:
        peers.attempt.cancel()
        peers.attempt.wanted = True
        peers.reply(200, "b", body=b"answer")
        assert peers.attempt.winner is not None and not peers.sent("BYE")
        peers.settle()

    def test_no_final_response(self, peers: Peers) -> None:
        peers.reply(180, "b")
        peers.attempt.cancel()
        peers.link.advance(100.0, 1.0)
        assert peers.attempt.gone and peers.attempt.status in (408, 487)
        assert peers.alice.sessions[0].ending.cause == "cancel"
        peers.settle()

    @pytest.mark.parametrize(("how", "seconds"), [({"expires": 20}, 20.0), ({}, 180.0)])
    def test_it_takes_too_long(self, pair: Any, how: dict[str, int], seconds: float) -> None:
        peers = Peers(pair, **how)
        assert peers.sent("INVITE")[0].expires == how.get("expires")
        transaction = next(iter(peers.alice.layer.clients.values()))
        transaction.receive(response_to(peers.sent("INVITE")[0], 180, "", [("contact", "<sip:bob>")], to_tag="b"))
        peers.link.advance(seconds - 1, 1.0)
        assert not peers.attempt.cancelled
        peers.link.advance(1.1, 1.0)
        assert peers.attempt.timed_out and peers.sent("CANCEL")
        peers.settle()

    def test_close(self, peers: Peers) -> None:
        peers.reply(180, "b")
        peers.attempt.close()
        assert peers.attempt.gone and peers.alice.sessions[0].ending.cause == "closed"
        peers.attempt.close()
        outgoing = peers.attempt._outgoing
        assert outgoing is not None
        peers.attempt.failed(outgoing, 408)
        peers.settle()

    def test_nothing_to_cancel(self, pair: Any) -> None:
        alice = pair.alice
        how: dict[str, Any] = {"random": lambda: 0.0}
        invite = Request("INVITE", "sip:bob", [("cseq", "1 INVITE")])
        attempt = InviteAttempt(invite, alice, alice.timers, alice.dialogs, alice.terms, **how)
        attempt.cancel()
        assert not attempt.cancelled and "under way" in repr(attempt)
        with pytest.raises(LocalProtocolError):
            InviteAttempt(invite, alice, alice.timers, alice.dialogs, alice.terms, expires=0, **how)
