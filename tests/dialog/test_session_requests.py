"""What the peer asks for in a session: order, tags, BYE, INFO, OPTIONS, PRACK, UPDATE (RFC 3261 section 12.2.2)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.dialog.session import CONFIRMED, TERMINATED, TERMINATING, Session
from twisted_sip.dialog.session_terms import SessionTerms
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.testing.session_end import Received

SDP = ("content-type", "application/sdp")


class Answers:
    """Takes the place of a server transaction."""

    def __init__(self) -> None:
        self.got: list[Response] = []

    def send(self, response: Response) -> None:
        self.got.append(response)

    @property
    def statuses(self) -> list[int]:
        return [response.status for response in self.got]


def ask(
    pair: Any, session: Session, method: str, *headers: tuple[str, str], cseq: int | None = None, body: bytes = b""
) -> Answers:
    """Alice asks bob in the dialog of his *session*."""
    other = next(s for s in pair.alice.sessions if s.dialog.call_id == session.dialog.call_id)
    request = other.dialog.request(method, headers, body, cseq=cseq)
    if method in ("INVITE", "UPDATE"):
        request.headers.set("contact", "<sip:alice>")
    answers = Answers()
    session.request_received(Received(request, answers))
    return answers


class TestOrder:
    @pytest.mark.parametrize("method", ["INVITE", "UPDATE", "INFO", "OPTIONS", "BYE", "PRACK"])
    def test_number_goes_back(self, pair: Any, method: str) -> None:
        """RFC 3261 section 12.2.2; the same number is a replay."""
        _, bob = pair.talking()
        for number in (0, 1):
            assert ask(pair, bob, method, cseq=number).statuses == [500]
        assert bob.state == CONFIRMED
        pair.settle()

    def test_require(self, pair: Any) -> None:
        _, bob = pair.talking()
        answers = ask(pair, bob, "UPDATE", ("require", "foo"))
        assert answers.statuses == [420] and answers.got[0].headers.first("unsupported") == "foo"
        pair.settle()

    def test_not_a_sessions(self, pair: Any) -> None:
        _, bob = pair.talking()
        assert not bob.request_received(Received(Request("MESSAGE", "sip:bob"), Answers()))
        pair.settle()

    def test_bye_that_cannot_be_sent(self, pair: Any) -> None:
        alice, bob = pair.talking()
        with pytest.raises(LocalProtocolError):
            alice.bye([("x-why", "two\r\nlines")])
        assert alice.state == CONFIRMED
        alice.bye([("x-why", "one line")])
        pair.advance(1)
        assert bob.over
        pair.settle()

    def test_acks_that_fit_nothing(self, pair: Any) -> None:
        _, bob = pair.talking()
        for cseq in ("9 ACK", "x"):
            ack = Request("ACK", "sip:bob", [("cseq", cseq)])
            bob.ack_received(ack)
        assert bob.state == CONFIRMED
        pair.settle()

    def test_damaged_body(self, pair: Any) -> None:
        _, bob = pair.talking()
        assert ask(pair, bob, "INVITE", ("content-type", "?"), body=b"x").statuses == [400]
        assert ask(pair, bob, "UPDATE", SDP, ("content-encoding", "gzip"), body=b"x").statuses == [415]
        assert bob.can_reinvite
        pair.settle()

    @pytest.mark.parametrize(
        ("fields", "status"),
        [
            ([("content-type", "text/plain")], 415),
            ([("content-type", "text/plain"), ("content-disposition", "render;handling=optional")], 200),
            ([SDP, ("content-disposition", "signal")], 415),
            ([SDP, ("content-disposition", "session;handling=optional")], 200),
        ],
    )
    def test_body_not_understood(self, pair: Any, fields: Any, status: int) -> None:
        """RFC 3261 section 8.2.3."""
        _, bob = pair.talking()
        for method in ("UPDATE", "INVITE"):
            answers = ask(pair, bob, method, *fields, body=b"x")
            assert answers.statuses == [status]
            if status == 415:
                assert answers.got[0].headers.first("accept") == "application/sdp"
        pair.settle()


class TestBye:
    def test_bye(self, pair: Any) -> None:
        alice, bob = pair.talking()
        alice.bye([("reason", 'Q.850;cause=16;text="Terminated"')])
        assert alice.state == TERMINATING and pair.alice.names() == ["ended"]
        pair.advance(0.1)
        assert (bob.ending.by, bob.ending.cause, bob.ending.reasons[0].cause) == ("remote", "bye", 16)
        assert alice.state == bob.state == TERMINATED
        assert pair.alice.names() == pair.bob.names() == ["ended", "gone"]
        assert not len(pair.alice.dialogs) and not len(pair.bob.dialogs)
        pair.settle()

    def test_both_at_once(self, pair: Any) -> None:
        """RFC 5407 section 3.2.1."""
        alice, bob = pair.talking()
        alice.bye()
        bob.bye()
        pair.advance(0.1)
        assert pair.link.words().count("200 BYE") == 2
        assert alice.ending.by == bob.ending.by == "local"
        pair.settle()

    def test_other_requests_cross_it(self, pair: Any) -> None:
        """RFC 5407 section 3.2.2."""
        alice, bob = pair.talking()
        bob.bye()
        alice.reinvite(pair.alice.describe("offer"))
        pair.advance(0.1)
        assert "481 INVITE" in pair.link.words() and alice.ending.cause == "bye"
        pair.settle()

    def test_never_answered(self, pair: Any) -> None:
        alice, _ = pair.talking()
        pair.link.drop = lambda sender, message: True
        alice.bye()
        pair.link.advance(33, 0.5)
        assert alice.state == TERMINATED
        pair.settle()

    def test_outcome_never_told(self, pair: Any) -> None:
        alice, _ = pair.talking()
        pair.alice.send = lambda machine, outgoing: None
        alice.bye()
        pair.link.advance(129, 1.0)
        assert alice.state == TERMINATED and not pair.alice.timers.pending
        pair.settle()

    def test_a_host_that_is_sure_of_an_outcome_is_believed(self, pair: Any) -> None:
        alice, _ = pair.talking()
        kept: list[Any] = []

        def send(machine: Any, outgoing: Any) -> bool:
            kept.append(outgoing)
            return True

        pair.alice.send = send
        pending = pair.alice.timers.pending
        alice.bye()
        assert alice.state == TERMINATING and pair.alice.timers.pending <= pending
        kept[0].failed(408)
        assert alice.state == TERMINATED
        pair.settle()

    def test_no_number_is_left(self, pair: Any) -> None:
        alice, _ = pair.talking()
        alice.dialog.local_cseq = (1 << 32) - 1
        alice.bye()
        assert alice.state == TERMINATED and "BYE" not in pair.link.words()
        pair.settle()

    def test_what_waits_is_answered(self, pair: Any) -> None:
        """Section 15.1.2: 487."""
        pair.bob.manual |= {"offer_received", "reinvited"}
        alice, bob = pair.talking()
        alice.reinvite(pair.alice.describe("offer"))
        pair.advance(0.1)
        alice.bye()
        pair.advance(0.2)
        assert "487 INVITE" in pair.link.words() and bob.over
        alice, bob = pair.talking()
        alice.update(pair.alice.describe("offer"))
        pair.advance(0.1)
        bob.bye()
        pair.advance(0.2)
        assert "487 UPDATE" in pair.link.words()
        for offer in pair.bob.pending:
            offer.answer(pair.bob.describe("answer"))
        pair.settle()

    def test_dialog_destroyed(self, pair: Any) -> None:
        """RFC 5057 section 5.1: by another usage."""
        alice, _ = pair.talking()
        pair.alice.dialogs.destroy(alice.dialog.id, 404)
        assert (alice.ending.cause, alice.ending.status, alice.state) == ("dialog", 404, TERMINATED)
        pair.settle()

    def test_close(self, pair: Any) -> None:
        alice, bob = pair.talking()
        bob.bye()
        bob.close()
        alice.close()
        assert alice.ending.cause == "closed" and repr(alice).startswith("<Session terminated")
        pair.settle()


class TestInfo:
    def test_legacy(self, pair: Any) -> None:
        alice, _ = pair.talking()
        outcome: list[Any] = []
        alice.info(b"5", [("content-type", "application/dtmf")], done=lambda *told: outcome.append(told[1]))
        pair.advance(0.1)
        assert pair.bob.told == [("info_received", ("", b"5"))] and outcome == [200]
        pair.settle()

    def test_refused(self, pair: Any) -> None:
        alice, _ = pair.talking()

        def refuse(*_: Any) -> None:
            raise RemoteProtocolError("Unsupported", status=415)

        pair.bob.info_received = refuse
        outcome: list[Any] = []
        alice.info(b"5", done=lambda *told: outcome.append(told[1]))
        pair.advance(0.1)
        assert outcome == [415] and alice.state == CONFIRMED
        pair.settle()

    def test_packages(self, pair: Any) -> None:
        """RFC 6086 section 5.2."""
        pair.again(SessionTerms(recv_info=()), SessionTerms(recv_info=("foo", "bar")))
        alice, bob = pair.talking()
        assert alice.peer_packages == ("foo", "bar") and bob.peer_packages == ()
        alice.info(b"x", [("content-type", "text/plain")], "Foo;a=b")
        pair.advance(0.1)
        info = next(m for _, m in pair.link.carried if isinstance(m, Request))
        assert info.headers.first("content-disposition") == "Info-Package"
        assert pair.bob.told == [("info_received", ("Foo", b"x"))]
        for session, package in ((alice, "baz"), (bob, "foo")):
            with pytest.raises(LocalProtocolError, match="does not take"):
                session.info(b"", (), package)
        for value in ("baz", "foo, bar", ""):
            answers = ask(pair, bob, "INFO", ("info-package", value))
            assert answers.statuses == [469] and answers.got[0].headers.first("recv-info") == "foo, bar"
        assert bob.state == CONFIRMED
        pair.settle()

    @pytest.mark.parametrize(("status", "cause"), [(481, "dialog"), (408, "timeout"), (404, "dialog")])
    def test_outcomes_that_end_it(self, pair: Any, status: int, cause: str) -> None:
        alice, _ = pair.talking()
        pair.link.drop = lambda sender, message: True
        alice.info(b"5")
        outgoing = next(o for o in pair.alice._transactions if o.method == "INFO")
        if status == 408:
            outgoing.failed(408)
            outgoing.failed(408)
        else:
            outgoing.response_received(Response(100, "", [("cseq", "2 INFO")]))
            outgoing.response_received(Response(status, "", [("cseq", "2 INFO")]))
            outgoing.response_received(Response(status, "", [("cseq", "2 INFO")]))
        assert (alice.ending.cause, alice.ending.status) == (cause, status)
        with pytest.raises(LocalProtocolError, match="over"):
            alice.info(b"5")
        pair.settle()


class TestOthers:
    def test_options(self, pair: Any) -> None:
        alice, _ = pair.talking()
        outcome: list[Any] = []
        alice.request("OPTIONS", done=lambda response, status: outcome.append(response))
        pair.advance(0.1)
        assert "INVITE" in outcome[0].headers.first("allow") and outcome[0].headers.first("accept") == "application/sdp"
        alice.request("MESSAGE", [("content-type", "text/plain")], b"hello")
        pair.advance(0.1)
        assert pair.link.words()[-1] == "200 MESSAGE"
        pair.settle()

    @pytest.mark.parametrize("method", ["INVITE", "ACK", "CANCEL", "BYE", "PRACK", "UPDATE"])
    def test_has_a_method_of_its_own(self, pair: Any, method: str) -> None:
        alice, _ = pair.talking()
        with pytest.raises(LocalProtocolError):
            alice.request(method)
        pair.settle()

    def test_what_the_peer_can_do(self, pair: Any) -> None:
        alice, _ = pair.talking()
        assert alice.peer_allows("UPDATE") is True and alice.peer_allows("REFER") is False
        assert alice.peer_supports("100rel") and not alice.peer_supports("foo")
        pair.settle()

    def test_challenge_and_numbers(self, pair: Any) -> None:
        """An answered challenge has used up a number: what has it already gets another one."""
        alice, _ = pair.talking()
        pair.link.drop = lambda sender, message: True
        alice.info(b"1")
        alice.info(b"2")
        outgoing = next(o for o in pair.alice._transactions if o.method == "INFO")
        again = outgoing.request.copy()
        again.headers.set("cseq", "3 INFO")
        outgoing.sent(again)
        assert again.cseq.number == 4 and alice.dialog.local_cseq == 4
        assert "INFO" in repr(outgoing)
        pair.settle()


class TestPrack:
    def test_no_match(self, pair: Any) -> None:
        """RFC 3262 section 3."""
        alice, bob = pair.talking()
        assert ask(pair, bob, "PRACK", ("rack", "1 1 INVITE")).statuses == [481]
        assert ask(pair, bob, "PRACK").statuses == [400]
        assert ask(pair, alice, "PRACK", ("rack", "1 1 INVITE"), cseq=5).statuses == [481]
        pair.settle()

    def test_offer(self, pair: Any) -> None:
        pair.bob.manual.add("offer_received")
        _, bob = pair.ringing()
        bob.invite.progress(180, reliable=False)
        pair.advance(0.05)
        bob.invite.progress(183, body=pair.bob.describe("answer"))
        pair.alice.sessions[0].prack_offer = pair.alice.describe("offer")
        pair.advance(0.1)
        offer = pair.bob.pending.pop()
        assert (offer.carrier, offer.request.method) == ("PRACK", "PRACK")
        bob.invite.accept()
        pair.advance(0.1)
        offer.answer(pair.bob.describe("answer"))
        pair.advance(0.1)
        alice = pair.alice.sessions[0]
        assert alice.offers.remote == bob.offers.local and bob.state == CONFIRMED
        pair.settle()


def test_byes_cross_before_the_ack(pair: Any) -> None:
    """The BYE that waits for the ACK is not needed any more."""
    attempt, session = pair.ringing()
    pair.link.drop = lambda name, message: isinstance(message, Request) and message.method == "ACK"
    session.invite.accept(pair.bob.describe("answer"))
    session.bye()
    pair.advance(0.1)
    attempt.winner.bye()
    pair.advance(0.1)
    assert session.state == TERMINATED and pair.bob.names()[-1] == "gone"
    sent = pair.link.words("bob").count("200 INVITE")
    pair.link.advance(40, 0.1)
    assert pair.link.words("bob").count("200 INVITE") == sent and "BYE" not in pair.link.words("bob")
    pair.settle()
