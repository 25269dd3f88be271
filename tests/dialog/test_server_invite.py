"""INVITEs at the UAS: progress, answer, refusal, and the wait for PRACK and ACK (RFC 3261 section 13.3, RFC 3262)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.dialog.session import CONFIRMED, EARLY, Session
from twisted_sip.dialog.session_terms import InviteRefused, SessionBody, SessionTerms
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.builders import build_request, response_to
from twisted_sip.message.reliability import RAck
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.testing.session_end import Received

OLD = SessionTerms(supported=("timer",))
PLAIN = SessionTerms(reliable=False)


def invite(*headers: tuple[str, str], body: bytes = b"") -> Request:
    return build_request(
        "INVITE",
        "sip:bob",
        from_="<sip:carol>;tag=c",
        to="<sip:bob>",
        call_id="c",
        cseq=1,
        headers=[("contact", "<sip:carol>"), *headers],
        body=body,
    )


def asked(pair: Any, request: Request) -> Session:
    bob = pair.bob
    return Session.invited(
        Received(request), bob, bob.timers, bob.dialogs, bob.terms, local_tag="b", random=lambda: 0.5
    )


def responses(pair: Any, status: int) -> list[Response]:
    return [m for name, m in pair.link.carried if name == "bob" and isinstance(m, Response) and m.status == status]


class TestRefusedAtOnce:
    def test_require(self, pair: Any) -> None:
        with pytest.raises(InviteRefused) as caught:
            asked(pair, invite(("require", "100rel, foo, Bar")))
        assert caught.value.status == 420 and caught.value.headers == (("unsupported", "bar, foo"),)

    def test_interval(self, pair: Any) -> None:
        """RFC 4028 section 9."""
        pair.again(bob=SessionTerms(min_se=200))
        with pytest.raises(InviteRefused) as caught:
            asked(pair, invite(("supported", "timer"), ("session-expires", "100")))
        assert caught.value.status == 422 and caught.value.headers == (("min-se", "200"),)
        assert pair.bob.settled()

    def test_no_room(self, pair: Any) -> None:
        pair.bob.dialogs.limit = 0
        with pytest.raises(InviteRefused) as caught:
            asked(pair, invite())
        assert caught.value.status == 503
        assert pair.bob.settled()

    def test_twice(self, pair: Any) -> None:
        session = asked(pair, invite())
        with pytest.raises(InviteRefused):
            asked(pair, invite())
        session.close()
        assert pair.bob.settled()

    @pytest.mark.parametrize(
        ("fields", "status"),
        [
            ((("content-type", "x"),), 400),
            ((("content-type", "multipart/mixed"),), 400),
            ((("content-type", "application/sdp"), ("content-encoding", "gzip")), 415),
        ],
    )
    def test_body(self, pair: Any, fields: Any, status: int) -> None:
        with pytest.raises(RemoteProtocolError) as caught:
            asked(pair, invite(*fields, body=b"x"))
        assert caught.value.status == status
        assert pair.bob.settled()


class TestProvisional:
    def test_unreliable(self, pair: Any) -> None:
        pair.again(alice=OLD)
        _, session = pair.ringing()
        answer = pair.bob.describe("answer")
        with pytest.raises(LocalProtocolError, match="support"):
            session.invite.progress(reliable=True)
        session.invite.progress(183, body=answer)
        with pytest.raises(LocalProtocolError, match="before"):
            session.invite.progress(183, body=pair.bob.describe("answer"))
        session.invite.progress(183, body=answer, headers=[("alert-info", "<urn:x>")], reason="Ringing Now")
        pair.advance(1)
        assert [r.headers.first("rseq") for r in responses(pair, 183)] == [None, None]
        session.invite.accept()
        pair.advance(1)
        assert pair.alice.told[-3:] == [("confirmed", pair.alice.sessions[0]), *pair.alice.told[-2:]]
        assert session.offers.local == answer
        pair.settle()

    @pytest.mark.parametrize("status", [100, 200])
    def test_status(self, pair: Any, status: int) -> None:
        _, session = pair.ringing()
        with pytest.raises(LocalProtocolError):
            session.invite.progress(status)
        with pytest.raises(LocalProtocolError):
            session.invite.accept(status=180)
        with pytest.raises(LocalProtocolError):
            session.invite.reject(200)
        pair.settle()

    def test_repeated_each_minute(self, pair: Any) -> None:
        """Section 13.3.1.1."""
        pair.again(bob=PLAIN)
        _, session = pair.ringing()
        session.invite.progress()
        pair.link.advance(125, 1.0)
        assert len(responses(pair, 180)) == 3
        session.invite.reject(486)
        pair.settle()

    def test_reliable_ones_are_renewed(self, pair: Any) -> None:
        """RFC 3262 section 3."""
        _, session = pair.ringing()
        session.invite.progress()
        pair.link.advance(152, 1.0)
        assert len({r.headers.first("rseq") for r in responses(pair, 180)}) == 2
        pair.settle()

    def test_retransmitted(self, pair: Any) -> None:
        """RFC 3262 section 3: doubled each time, for 64*T1, then 504."""
        attempt, session = pair.ringing()
        pair.link.drop = lambda name, message: isinstance(message, Request) and message.method == "PRACK"
        session.invite.progress()
        pair.link.advance(31, 0.5)
        assert len(responses(pair, 180)) == 6
        pair.link.advance(3, 0.5)
        assert attempt.status == 504 and session.ending.cause == "timeout"
        pair.settle()

    def test_one_after_the_other(self, pair: Any) -> None:
        _, session = pair.ringing()
        session.invite.progress(180)
        session.invite.progress(181)
        session.invite.progress(183, body=pair.bob.describe("answer"))
        with pytest.raises(LocalProtocolError, match="has been sent"):
            session.invite.progress(183, body=pair.bob.describe("answer"))
        assert not responses(pair, 181)
        session.invite.accept()
        assert session.state == EARLY and session.invite.answered
        pair.advance(1)
        # The one without description was not needed any more.
        rseqs = [int(r.headers.first("rseq") or 0) for r in responses(pair, 180) + responses(pair, 183)]
        assert rseqs[1] == rseqs[0] + 1 and not responses(pair, 181)
        assert session.state == CONFIRMED
        pair.settle()

    def test_too_many_wait(self, pair: Any) -> None:
        _, session = pair.ringing()
        for _ in range(17):
            session.invite.progress(180)
        with pytest.raises(LocalProtocolError, match="too many"):
            session.invite.progress(180)
        pair.settle()

    def test_2xx_waits_for_the_prack_of_a_description_only(self, pair: Any) -> None:
        _, session = pair.ringing()
        session.invite.progress(180)
        session.invite.accept(pair.bob.describe("answer"))
        assert session.state == CONFIRMED
        pair.advance(1)
        # The PRACK comes late, and is welcome.
        assert pair.link.words().count("200 PRACK") == 1
        pair.settle()

    def test_withdrawn_while_it_waits(self, pair: Any) -> None:
        attempt, session = pair.ringing()
        session.invite.progress(183, body=pair.bob.describe("answer"))
        session.invite.accept()
        session.bye()
        pair.advance(1)
        assert attempt.status == 480 and session.ending.cause == "bye"
        pair.settle()

    @pytest.mark.parametrize("how", ["cancel", "bye"])
    def test_cancelled_while_it_waits(self, pair: Any, how: str) -> None:
        attempt, session = pair.ringing()
        pair.link.drop = lambda name, message: isinstance(message, Request) and message.method == "PRACK"
        session.invite.progress(183, body=pair.bob.describe("answer"))
        session.invite.accept()
        pair.advance(0.1)
        if how == "cancel":
            attempt.cancel([("reason", "SIP;cause=200")])
        else:
            pair.alice.sessions[0].bye()
        pair.advance(1)
        assert attempt.status == 487
        assert session.ending.cause == how
        assert [reason.cause for reason in session.ending.reasons] == ([200] if how == "cancel" else [])
        pair.settle()

    def test_required(self, pair: Any) -> None:
        pair.again(alice=SessionTerms(require_reliable=True), bob=PLAIN)
        _, session = pair.ringing(offer=False)
        with pytest.raises(LocalProtocolError, match="has to have one"):
            session.invite.progress()
        session.invite.progress(183, body=pair.bob.describe("offer"), reliable=False)
        pair.advance(1)
        assert session.offers.established and session.offers.remote.data.startswith(b"answer")
        session.invite.accept()
        pair.advance(1)
        assert session.state == CONFIRMED
        pair.settle()

    def test_late_offer(self, pair: Any) -> None:
        _, session = pair.ringing(offer=False)
        session.invite.progress(180)
        assert responses(pair, 180)[0].headers.first("rseq") is None
        with pytest.raises(LocalProtocolError, match="reliable"):
            session.invite.progress(183, body=pair.bob.describe("offer"), reliable=False)
        session.invite.progress(183, body=pair.bob.describe("offer"))
        assert not session.can_offer_update
        pair.advance(1)
        assert session.can_offer_update
        pair.settle()

    def test_prack_without_answer(self, pair: Any) -> None:
        pair.alice.manual.add("offer_received")
        _, session = pair.ringing(offer=False)
        session.invite.progress(183, body=pair.bob.describe("offer"))
        pair.advance(0.1)
        pair.alice.pending.pop().refuse()
        pair.link.advance(40, 0.5)
        assert "400 PRACK" in pair.link.words() and session.over
        pair.settle()

    def test_matching(self, pair: Any) -> None:
        _, session = pair.ringing()
        session.invite.progress()
        rseq = int(responses(pair, 180)[0].headers.first("rseq") or 0)
        assert session.invite.matches(RAck(rseq, 1, "INVITE"))
        for other in (RAck(rseq + 1, 1, "INVITE"), RAck(rseq, 2, "INVITE"), RAck(rseq, 1, "invite")):
            assert not session.invite.matches(other)
        pair.settle()


class TestFinal:
    def test_2xx_until_the_ack(self, pair: Any) -> None:
        """Section 13.3.1.4: at T1, doubled up to T2, for 64*T1; then BYE."""
        attempt, session = pair.ringing()
        pair.link.drop = lambda name, message: isinstance(message, Request) and message.method == "ACK"
        session.invite.accept(pair.bob.describe("answer"))
        pair.link.advance(31.5, 0.25)
        assert len(responses(pair, 200)) == 11
        assert pair.link.words("alice").count("ACK") == 10
        pair.link.advance(1, 0.25)
        assert session.ending.cause == "no-ack" and session.ending.by == "network"
        bye = [m for _, m in pair.link.carried if isinstance(m, Request) and m.method == "BYE"]
        assert bye[0].headers.first("reason") == 'SIP;cause=408;text="No ACK"'
        assert attempt.winner.ending.cause == "bye" and attempt.winner.ending.reasons[0].cause == 408
        pair.settle()

    def test_bye_waits_for_the_ack(self, pair: Any) -> None:
        """Section 15."""
        _, session = pair.ringing()
        session.invite.accept(pair.bob.describe("answer"))
        session.bye([("reason", "SIP;cause=1")])
        assert session.over and pair.bob.names()[-1] == "ended"
        assert "BYE" not in pair.link.words()
        pair.advance(1)
        assert pair.link.words("bob")[-1] == "BYE"
        pair.settle()

    def test_bye_without_ack(self, pair: Any) -> None:
        _, session = pair.ringing()
        pair.link.drop = lambda name, message: isinstance(message, Request) and message.method == "ACK"
        session.invite.accept(pair.bob.describe("answer"))
        session.bye()
        pair.link.advance(33, 0.1)
        assert pair.link.words("bob").count("BYE") == 1 and pair.bob.names()[-1] == "gone"
        pair.settle()

    def test_early_bye_of_the_callee(self, pair: Any) -> None:
        _, session = pair.ringing()
        with pytest.raises(LocalProtocolError, match="early"):
            session.bye()
        session.invite.reject(603, "No", [("warning", '399 bob "no"')], b"")
        for call in (session.invite.progress, session.invite.accept, lambda: session.invite.reject(486)):
            with pytest.raises(LocalProtocolError, match="answered"):
                call()
        session.bye()
        session.invite.cancelled()
        pair.settle()

    def test_a_caller_who_knows_of_nothing(self, pair: Any) -> None:
        """RFC 3261 section 15: there is no BYE before the answer; the INVITE is refused."""
        attempt, session = pair.ringing()
        session.invite.progress(180, reliable=False)
        pair.advance(0.1)
        pair.link.drop = lambda name, message: message.cseq.method == "UPDATE"
        session.update()
        outgoing = next(one for one in pair.bob._transactions if one.method == "UPDATE")
        outgoing.response_received(response_to(outgoing.request, 481))
        pair.advance(1)
        assert attempt.status == 487 and (session.ending.cause, session.ending.status) == ("dialog", 481)
        assert "BYE" not in pair.link.words()
        pair.settle()

    def test_answer_needed(self, pair: Any) -> None:
        _, session = pair.ringing()
        with pytest.raises(LocalProtocolError, match="answered"):
            session.invite.accept()
        pair.settle()

    def test_offer_in_the_2xx(self, pair: Any) -> None:
        pair.alice.manual.add("offer_received")
        _, session = pair.ringing(offer=False)
        session.invite.accept(pair.bob.describe("offer"))
        pair.advance(3)
        pair.alice.pending.pop().answer(SessionBody("text/x-description", b"answer"))
        pair.advance(1)
        assert session.offers.remote == SessionBody("text/x-description", b"answer")
        assert pair.bob.told[-3][0] == "answer_received" and session.acknowledged
        pair.settle()

    @pytest.mark.parametrize("fields", [(), (("content-type", "?"),)])
    def test_ack_without_answer(self, pair: Any, fields: Any) -> None:
        pair.alice.manual.add("offer_received")
        _, session = pair.ringing(offer=False)
        session.invite.accept(pair.bob.describe("offer"))
        ack = invite(*fields, body=b"x" if fields else b"")
        ack.headers.set("cseq", "1 ACK")
        session.ack_received(ack)
        assert session.ending.cause == "no-answer" and "rolled_back" in pair.bob.names()
        session.ack_received(ack)
        pair.settle()

    def test_signalling_only(self, pair: Any) -> None:
        attempt, session = pair.ringing(offer=False)
        session.invite.accept()
        pair.advance(1)
        assert attempt.winner.can_reinvite and session.can_reinvite
        pair.settle()

    def test_nobody_answers(self, pair: Any) -> None:
        _, session = pair.ringing()
        pair.alice.timers.stop()
        pair.link.advance(181, 1.0)
        assert (session.ending.cause, session.ending.status) == ("timeout", 480)
        pair.settle()

    @pytest.mark.parametrize(("expires", "seconds", "status"), [("20", 20, 487), ("1000", 180, 480), ("x", 180, 480)])
    def test_expires(self, pair: Any, expires: str, seconds: int, status: int) -> None:
        """Section 13.3.1."""
        session = asked(pair, invite(("expires", expires)))
        pair.link.advance(seconds - 1, 1.0)
        assert not session.over
        pair.link.advance(1.5, 0.5)
        assert session.ending.status == status
        pair.settle()

    def test_cancel(self, pair: Any) -> None:
        attempt, session = pair.ringing()
        attempt.cancel([("reason", 'SIP;cause=200;text="Call completed elsewhere"')])
        pair.advance(1)
        assert attempt.status == 487
        assert (session.ending.by, session.ending.cause, session.ending.status) == ("remote", "cancel", 487)
        assert session.ending.reasons[0].cause == 200
        pair.settle()

    def test_cancel_crosses_the_2xx(self, pair: Any) -> None:
        """Section 9.1, 15: the call is up at the callee, and ended by BYE."""
        attempt, session = pair.ringing()
        attempt.cancel()
        session.invite.accept(pair.bob.describe("answer"))
        pair.advance(1)
        assert attempt.status == 200 and attempt.winner is None
        assert session.ending.cause == "bye"
        pair.settle()
