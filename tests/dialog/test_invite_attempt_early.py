"""Early dialogs at the UAC: PRACK (RFC 3262), 199 (RFC 6228), BYE; and 422 (RFC 4028 section 7.3)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.dialog.session import CONFIRMED, Session
from twisted_sip.dialog.session_terms import SessionTerms
from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.builders import response_to

from .conftest import REL, Peers


class TestReliable:
    def test_cancel_that_cannot_be_sent(self, peers: Peers) -> None:
        with pytest.raises(LocalProtocolError):
            peers.attempt.cancel([("reason", "two\r\nlines")])
        assert not peers.attempt.cancelled
        peers.reply(180, "b")
        peers.attempt.cancel([("reason", "SIP;cause=200")])
        assert peers.attempt.cancelled
        peers.settle()

    def test_prack_in_order(self, peers: Peers) -> None:
        """RFC 3262 section 4."""
        peers.reply(183, "b", *REL, ("rseq", "7"), body=b"answer")
        peers.reply(183, "b", *REL, ("rseq", "7"), body=b"answer")
        peers.reply(180, "b", *REL, ("rseq", "9"))
        assert [p.headers.first("rack") for p in peers.sent("PRACK")] == ["7 1 INVITE"]
        peers.reply(180, "b", *REL, ("rseq", "8"))
        peers.reply(180, "c", *REL, ("rseq", "100"))
        assert [p.headers.first("rack") for p in peers.sent("PRACK")][1:] == ["8 1 INVITE", "100 1 INVITE"]
        session: Session = peers.alice.sessions[0]
        assert session.offers.stable and session.offers.established
        assert peers.alice.names().count("progressed") == 3
        peers.reply(180, "b", *REL, ("rseq", "x"))
        peers.reply(200, "b")
        assert session.state == CONFIRMED
        peers.settle()

    def test_offer_in_prack(self, peers: Peers) -> None:
        peers.reply(183, "b")
        session = peers.alice.sessions[0]
        session.prack_offer = peers.alice.describe("offer")
        peers.reply(183, "b", *REL, ("rseq", "7"), body=b"answer")
        assert peers.sent("PRACK")[0].body == session.offers.offer.data
        assert not session.can_offer_update
        peers.answer("PRACK", 200, b"second answer")
        assert session.offers.remote.data == b"second answer" and session.can_offer_update
        assert peers.alice.told[-1] == ("answer_received", b"second answer")
        peers.settle()

    @pytest.mark.parametrize("status", [488, 200])
    def test_offer_in_prack_refused(self, peers: Peers, status: int) -> None:
        peers.reply(183, "b")
        session = peers.alice.sessions[0]
        session.prack_offer = peers.alice.describe("offer")
        peers.reply(183, "b", *REL, ("rseq", "7"), body=b"answer")
        peers.answer("PRACK", status)
        assert session.offers.stable and session.offers.remote.data == b"answer"
        assert peers.alice.names()[-1] == "rolled_back"
        peers.settle()

    def test_late_offer(self, pair: Any) -> None:
        peers = Peers(pair, offer=False)
        peers.alice.manual.add("offer_received")
        peers.reply(183, "b", *REL, ("rseq", "7"), body=b"offer")
        assert not peers.sent("PRACK")
        offer = peers.alice.pending.pop()
        assert (offer.carrier, offer.body.data, offer.request) == ("1xx", b"offer", None)
        offer.answer(peers.alice.describe("answer"))
        offer.answer(peers.alice.describe("answer"))
        offer.refuse()
        assert len(peers.sent("PRACK")) == 1 and peers.sent("PRACK")[0].body.startswith(b"answer")
        peers.answer("PRACK", 200)
        peers.reply(200, "b", body=b"ignored")
        assert peers.attempt.winner.offers.remote.data == b"offer"
        peers.settle()

    def test_late_offer_refused(self, pair: Any) -> None:
        """RFC 6337 section 2.3: nothing is left but to give up."""
        peers = Peers(pair, offer=False)
        peers.alice.manual.add("offer_received")
        peers.reply(183, "b", *REL, ("rseq", "7"), body=b"offer")
        peers.alice.pending.pop().refuse()
        assert [len(peers.sent(m)) for m in ("PRACK", "BYE")] == [1, 1]
        assert peers.alice.sessions[0].ending.cause == "no-answer"
        peers.settle()

    def test_late_offer_in_the_2xx(self, pair: Any) -> None:
        peers = Peers(pair, offer=False)
        peers.alice.manual.add("offer_received")
        peers.reply(183, "b", *REL, ("rseq", "7"))
        peers.reply(200, "b", body=b"offer")
        peers.reply(200, "b", body=b"offer")
        assert not peers.sent("ACK") and not peers.attempt.winner.acknowledged
        peers.alice.pending.pop().answer(peers.alice.describe("answer"), [("x-extra", "1")])
        assert peers.sent("ACK")[0].body.startswith(b"answer")
        assert peers.sent("ACK")[0].headers.first("x-extra") == "1"
        assert peers.attempt.winner.can_reinvite
        peers.settle()

    @pytest.mark.parametrize("how", ["refuse", "wait", "bye"])
    def test_late_offer_in_the_2xx_without_answer(self, pair: Any, how: str) -> None:
        peers = Peers(pair, offer=False)
        peers.alice.manual.add("offer_received")
        peers.reply(200, "b", body=b"offer")
        offer = peers.alice.pending.pop()
        if how == "refuse":
            offer.refuse(488)
        elif how == "bye":
            peers.attempt.winner.bye()
            assert offer.answered
        else:
            peers.link.advance(32.1, 1.0)
        assert [len(peers.sent(m)) for m in ("ACK",)] == [1] and peers.sent("BYE")
        peers.settle()

    def test_signalling_only(self, pair: Any) -> None:
        peers = Peers(pair, offer=False)
        peers.reply(200, "b")
        assert peers.attempt.winner.can_reinvite and not peers.attempt.winner.offers.established
        peers.settle()

    def test_require(self, pair: Any) -> None:
        peers = Peers(pair, terms=SessionTerms(require_reliable=True, recv_info=("foo",)))
        invite = peers.sent("INVITE")[0]
        assert invite.headers.first("require") == "100rel" and invite.headers.first("recv-info") == "foo"
        peers.settle()


class TestEarlyEnd:
    def test_199(self, peers: Peers) -> None:
        """RFC 6228 section 4."""
        peers.reply(199, "a")
        peers.reply(180, "b")
        peers.reply(180, "c")
        peers.reply(199, "b", ("reason", "SIP;cause=404"))
        peers.reply(199, "c", ("reason", "Q.850;cause=17"))
        peers.reply(199, "d", *REL, ("rseq", "1"))
        assert list(peers.attempt.sessions) == ["b", "c", "d"]
        assert [(s.ending.cause, s.ending.status) for s in peers.alice.sessions] == [
            ("199", 404),
            ("199", 0),
            ("199", 0),
        ]
        assert len(peers.sent("PRACK")) == 1 and not peers.attempt.over
        peers.reply(183, "b")
        assert peers.alice.names().count("progressed") == 5
        # Whoever accepts after that is told that it is over.
        peers.reply(200, "b", body=b"answer")
        assert len(peers.sent("ACK")) == len(peers.sent("BYE")) == 1
        peers.settle()

    def test_bye_in_an_early_dialog(self, peers: Peers) -> None:
        """Section 15: the caller may; RFC 5407 section 3.1.3: a 2xx may cross it."""
        peers.reply(180, "b")
        session = peers.alice.sessions[0]
        session.bye()
        session.bye()
        assert session.ending.cause == "bye" and not peers.attempt.over
        peers.answer("BYE", 200)
        peers.reply(200, "b", body=b"answer")
        assert len(peers.sent("ACK")) == len(peers.sent("BYE")) == 1
        peers.settle()


class TestSessionInterval:
    def test_422(self, pair: Any) -> None:
        """RFC 4028 section 7.3."""
        peers = Peers(pair, terms=SessionTerms(session_expires=100))
        peers.reply(180, "b")
        for seconds in (200, 300):
            peers.reply(422, "b", ("min-se", str(seconds)))
            again = peers.sent("INVITE")[-1]
            assert again.headers.first("session-expires") == again.headers.first("min-se") == str(seconds)
        assert again.cseq.number == 3 and again.call_id == peers.sent("INVITE")[0].call_id
        assert peers.alice.sessions[0].ending.status == 422
        peers.reply(422, "b", ("min-se", "400"))
        assert peers.attempt.status == 422
        peers.settle()

    @pytest.mark.parametrize("value", ["", "x", "60", "9999999"])
    def test_422_without_sense(self, pair: Any, value: str) -> None:
        peers = Peers(pair, terms=SessionTerms(session_expires=100))
        peers.reply(422, "b", *((("min-se", value),) if value else ()))
        assert peers.attempt.status == 422
        peers.settle()

    def test_old_responses(self, pair: Any) -> None:
        peers = Peers(pair, terms=SessionTerms(session_expires=100))
        first = peers.attempt._outgoing
        peers.reply(422, "b", ("min-se", "200"))
        peers.attempt.response_received(first, response_to(first.request, 180, to_tag="x"))  # type: ignore
        assert not peers.attempt.sessions
        peers.settle()
