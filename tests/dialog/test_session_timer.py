"""Session timers (RFC 4028)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from twisted_sip.dialog.session import CONFIRMED
from twisted_sip.dialog.session_terms import SessionTerms
from twisted_sip.dialog.session_timer import SessionTimer
from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.builders import response_to
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.transaction.timers import TimerQueue

from .test_session_requests import ask

TIMER = ("supported", "timer")


def make(**how: Any) -> SessionTimer:
    return SessionTimer(SessionTerms(**how), TimerQueue(Clock()), lambda: None, lambda: None)


def request(*headers: tuple[str, str]) -> Request:
    return Request("INVITE", "sip:bob", headers)


class TestWords:
    def test_request(self) -> None:
        """Sections 7.1 and 7.4."""
        assert make().request_fields() == []
        assert SessionTerms(session_expires=600).interval_fields(0) == [("session-expires", "600")]
        assert SessionTerms(session_expires=100, min_se=200, refresher="local").interval_fields(0) == [
            ("session-expires", "200;refresher=uac"),
            ("min-se", "200"),
        ]
        assert make(session_expires=600, supported=()).request_fields() == []
        timer = make(session_expires=600)
        timer.answer(request(("session-expires", "120;refresher=uac"), TIMER))
        timer.request_received(request(("min-se", "100")))
        assert timer.request_fields() == [("session-expires", "120;refresher=uas"), ("min-se", "100")]

    @pytest.mark.parametrize(
        ("how", "fields", "answer", "refresher"),
        [
            # Table 2.
            ({}, [("session-expires", "120")], "120;refresher=uas", "local"),
            ({}, [("session-expires", "120"), TIMER], "120;refresher=uac", "remote"),
            ({"refresher": "local"}, [("session-expires", "120"), TIMER], "120;refresher=uas", "local"),
            ({"refresher": "local"}, [("session-expires", "120;refresher=uac"), TIMER], "120;refresher=uac", "remote"),
            ({}, [("session-expires", "120;refresher=uas"), TIMER], "120;refresher=uas", "local"),
            # Never longer than asked for, never shorter than Min-SE.
            ({"session_expires": 600}, [("session-expires", "120"), TIMER], "120;refresher=uac", "remote"),
            ({"session_expires": 100}, [("session-expires", "900"), TIMER], "100;refresher=uac", "remote"),
            (
                {"session_expires": 100},
                [("session-expires", "900"), ("min-se", "200"), TIMER],
                "200;refresher=uac",
                "remote",
            ),
            ({"session_expires": 100}, [("min-se", "200"), TIMER], "200;refresher=uac", "remote"),
            # For us alone.
            ({"session_expires": 100}, [], "", "local"),
            ({"session_expires": 100}, [("session-expires", "1")], "", "local"),
            # None.
            ({}, [TIMER], "", ""),
            ({}, [("session-expires", "x"), TIMER], "", ""),
            ({}, [("session-expires", "1")], "", ""),
            ({"supported": ()}, [("session-expires", "120"), TIMER], "", ""),
        ],
    )
    def test_answer(self, how: Any, fields: Any, answer: str, refresher: str) -> None:
        """Section 9."""
        timer = make(**how)
        made = dict(timer.answer(request(*fields)))
        assert made.get("session-expires", "") == answer and timer.refresher == refresher
        assert ("require" in made) is bool(answer and TIMER in fields)

    @pytest.mark.parametrize(
        ("fields", "minimum"),
        [
            ([("session-expires", "100"), TIMER], 200),
            ([("session-expires", "200"), TIMER], 0),
            ([("session-expires", "100")], 0),
            ([TIMER], 0),
        ],
    )
    def test_minimum(self, fields: Any, minimum: int) -> None:
        assert make(min_se=200).minimum_for(request(*fields)) == minimum

    @pytest.mark.parametrize(
        ("asked", "told", "interval", "refresher"),
        [
            ("100", "120;refresher=uas", 120, "remote"),
            ("100", "120;refresher=uac", 120, "local"),
            ("100", "20;refresher=uac", 90, "local"),
            ("", "120", 120, "local"),
            ("100", "", 100, "local"),
            ("", "", 0, ""),
        ],
    )
    def test_response(self, asked: str, told: str, interval: int, refresher: str) -> None:
        """Section 7.2."""
        timer = make(session_expires=100)
        sent = request(*([("session-expires", asked)] if asked else []))
        timer.response_received(sent, Response(200, "", [("session-expires", told)] if told else []))
        assert (timer.interval, timer.refresher) == (interval, refresher)


class TestInCalls:
    def test_uac_refreshes_with_update(self, pair: Any) -> None:
        """Section 7.4: at half time, over two periods."""
        pair.again(SessionTerms(session_expires=90))
        alice, bob = pair.talking()
        assert (alice.timer.refresher, bob.timer.refresher) == ("local", "remote")
        pair.link.advance(181, 1.0)
        updates = [m for _, m in pair.link.carried if isinstance(m, Request) and m.method == "UPDATE"]
        assert len(updates) >= 4 and not alice.over and not bob.over
        assert updates[0].headers.first("session-expires") == "90;refresher=uac" and not updates[0].body
        pair.settle()

    def test_uas_refreshes_with_reinvite(self, pair: Any) -> None:
        without = tuple(method for method in SessionTerms().allow if method != "UPDATE")
        pair.again(SessionTerms(session_expires=90, refresher="remote", allow=without))
        alice, bob = pair.talking()
        assert (alice.timer.refresher, bob.timer.refresher) == ("remote", "local")
        pair.link.advance(181, 1.0)
        assert ("offer_wanted", "refresh") in pair.bob.told and not alice.over and not bob.over
        assert pair.link.words("bob").count("INVITE") >= 4
        pair.settle()

    def test_peer_without_timers(self, pair: Any) -> None:
        pair.again(SessionTerms(session_expires=90), SessionTerms(supported=()))
        alice, bob = pair.talking()
        assert alice.timer.refresher == "local" and bob.timer.interval == 0
        pair.link.advance(100, 1.0)
        assert not alice.over
        pair.settle()

    @pytest.mark.parametrize("refresher", ["local", "remote"])
    def test_no_refresh(self, pair: Any, refresher: Any) -> None:
        """Section 10: BYE, a third of the interval before it is over, but not more than 32 s."""
        pair.again(SessionTerms(session_expires=90, refresher=refresher))
        alice, bob = pair.talking()
        pair.link.drop = lambda sender, message: isinstance(message, Request) and message.method == "UPDATE"
        pair.link.advance(59.5, 0.1)
        assert not alice.over and not bob.over
        pair.link.advance(2, 0.1)
        assert alice.over and bob.over
        causes = {alice.ending.cause, bob.ending.cause}
        assert "expired" in causes
        pair.settle()

    def test_refused_for_a_while(self, pair: Any) -> None:
        """Section 10: 500 is tried again, in time."""
        pair.again(SessionTerms(session_expires=300))
        pair.bob.manual.add("offer_received")
        alice, bob = pair.talking()
        statuses = iter([500, 500, 200])

        def refuse(sender: str, message: Any) -> bool:
            if sender == "bob" and isinstance(message, Response) and message.cseq.method == "UPDATE":
                message.status = next(statuses, 200)
                if message.status == 500:
                    outgoing = next(o for o in reversed(list(pair.alice._transactions)) if o.method == "UPDATE")
                    outgoing.response_received(Response(500, "", [("cseq", "2 UPDATE")]))
                    return True
            return False

        pair.link.drop = refuse
        pair.link.advance(250, 0.5)
        updates = pair.link.words("alice").count("UPDATE")
        assert updates >= 3 and not alice.over and not bob.over
        pair.settle()

    @pytest.mark.parametrize(("wait", "at"), [(40, [150, 190]), (3, [150, 153]), (120, [150, 160])])
    def test_refused_for_so_long(self, pair: Any, wait: int, at: list[int]) -> None:
        """RFC 3261 section 20.33: Retry-After counts, unless the session would be over by then."""
        pair.again(SessionTerms(session_expires=300))
        alice, _ = pair.talking()
        began = pair.link.clock.seconds()
        times: dict[int, int] = {}

        def refuse(sender: str, message: Any) -> bool:
            if isinstance(message, Request) and message.method == "UPDATE":
                times.setdefault(message.cseq.number, round(pair.link.clock.seconds() - began))
            elif message.cseq.method == "UPDATE" and len(times) == 1:
                message.status = 500
                message.headers.set("retry-after", str(wait))
                outgoing = next(o for o in pair.alice._transactions if o.method == "UPDATE")
                outgoing.response_received(message)
                return True
            return False

        pair.link.drop = refuse
        pair.link.advance(200, 0.1)
        assert list(times.values())[:2] == at and not alice.over
        pair.settle()

    def test_422(self, pair: Any) -> None:
        """Section 7.3: the UPDATE is sent again with the longer interval, offer and all."""
        pair.again(SessionTerms(session_expires=200), SessionTerms(min_se=200))
        alice, _ = pair.talking()
        for method in (alice.update, alice.reinvite):
            alice.timer.stop()
            alice.timer.min_se = 0
            alice.timer._terms = SessionTerms(session_expires=100)
            method(pair.alice.describe("offer"))
            pair.advance(0.3)
            assert alice.timer.interval == 200 and alice.offers.stable
        assert {"422 UPDATE", "200 UPDATE", "422 INVITE", "200 INVITE"} <= set(pair.link.words())
        assert "rolled_back" not in pair.alice.names()
        pair.settle()

    def test_422_again_and_again(self, pair: Any) -> None:
        pair.again(SessionTerms(session_expires=100))
        alice, _ = pair.talking()
        pair.link.drop = lambda sender, message: True
        alice.update()
        for seconds in (200, 300, 400):
            outgoing = [o for o in pair.alice._transactions if o.method == "UPDATE"][-1]
            outgoing.response_received(Response(422, "", [("cseq", "2 UPDATE"), ("min-se", str(seconds))]))
        assert pair.alice.told[-2][1] == ("UPDATE", 422)
        pair.settle()

    def test_asked_in_the_dialog(self, pair: Any) -> None:
        pair.again(bob=SessionTerms(min_se=200))
        _, bob = pair.talking()
        for method in ("INVITE", "UPDATE"):
            answers = ask(pair, bob, method, TIMER, ("session-expires", "100"))
            assert answers.statuses == [422] and answers.got[0].headers.first("min-se") == "200"
        answers = ask(pair, bob, "UPDATE", TIMER, ("session-expires", "250;refresher=uas"))
        assert answers.got[0].headers.first("require") == "timer" and bob.timer.refresher == "local"
        pair.settle()

    def test_a_caller_who_does_not_know_of_timers(self, pair: Any) -> None:
        """He is asked now and then whether he is still there."""
        pair.again(SessionTerms(supported=("100rel",)), SessionTerms(session_expires=100))
        alice, bob = pair.talking()
        assert bob.timer.refresher == "local" and bob.timer.alone and not alice.timer.interval
        pair.link.advance(300, 0.5)
        assert pair.link.words("bob").count("UPDATE") >= 5 and bob.state == CONFIRMED
        pair.link.drop = lambda sender, message: sender == "alice"
        pair.link.advance(150, 0.5)
        assert bob.ending.by == "network" and "BYE" in pair.link.words("bob")
        pair.settle()

    def test_refusals_show_that_he_is_there(self, pair: Any) -> None:
        pair.again(SessionTerms(supported=("100rel",)), SessionTerms(session_expires=100))
        _, bob = pair.talking()
        pair.link.drop = lambda sender, message: sender == "bob"
        for _ in range(4):
            pair.link.advance(51, 0.5)
            refused = [o for o in pair.bob._transactions if o.method == "UPDATE"][-1]
            refused.response_received(response_to(refused.request, 488))
        assert bob.state == CONFIRMED
        pair.settle()

    def test_required(self, pair: Any) -> None:
        """Who requires session timers knows them."""
        pair.again(bob=SessionTerms(min_se=200))
        _, bob = pair.talking()
        require = ("require", "timer")
        assert ask(pair, bob, "UPDATE", require, ("session-expires", "100")).statuses == [422]
        answers = ask(pair, bob, "UPDATE", require, ("session-expires", "250"))
        assert answers.got[0].headers.first("session-expires") == "250;refresher=uac"
        assert answers.got[0].headers.first("require") == "timer" and bob.timer.refresher == "remote"
        pair.settle()

    def test_refresh_waits_for_what_is_under_way(self, pair: Any) -> None:
        pair.again(SessionTerms(session_expires=90))
        pair.bob.manual.add("offer_received")
        alice, _ = pair.talking()
        pair.link.advance(40, 1.0)
        alice.update(pair.alice.describe("offer"))
        pair.link.advance(4.9, 0.1)
        alice.refresh()
        pair.bob.pending.pop().answer(pair.bob.describe("answer"))
        pair.link.advance(30, 0.5)
        assert not alice.over
        alice.bye()
        alice.refresh()
        pair.settle()

    def test_glare_of_a_refresh(self, pair: Any) -> None:
        alice, _ = pair.talking()
        pair.link.drop = lambda sender, message: True
        alice.update()
        outgoing = [o for o in pair.alice._transactions if o.method == "UPDATE"][-1]
        outgoing.response_received(Response(491, "", [("cseq", "2 UPDATE")]))
        pair.link.drop = lambda sender, message: False
        pair.advance(5)
        assert "200 UPDATE" in pair.link.words() and "offer_wanted" not in pair.alice.names()
        pair.settle()

    def test_before_the_answer(self, pair: Any) -> None:
        """What an early UPDATE asks for ends nobody's ringing."""
        _, bob = pair.ringing()
        bob.invite.progress(180, reliable=False)
        pair.advance(0.1)
        assert ask(pair, bob, "UPDATE", TIMER, ("session-expires", "90;refresher=uac")).statuses == [200]
        pair.link.advance(120, 1.0)
        assert not bob.over
        bob.invite.accept(pair.bob.describe("answer"))
        pair.advance(1)
        assert bob.state == CONFIRMED and bob.acknowledged
        pair.settle()

    def test_glare_of_a_refresh_behind_another(self, pair: Any) -> None:
        """What has met with the first one is not forgotten."""
        alice, _ = pair.talking()
        pair.link.drop = lambda sender, message: True
        alice.reinvite(pair.alice.describe("offer"))
        for method in ("INVITE", "UPDATE"):
            if method == "UPDATE":
                alice.update()
            outgoing = [o for o in pair.alice._transactions if o.method == method][-1]
            outgoing.response_received(response_to(outgoing.request, 491))
        pair.link.drop = lambda sender, message: False
        pair.advance(5)
        assert ("offer_wanted", "glare") in pair.alice.told and alice.can_reinvite
        pair.settle()

    @pytest.mark.parametrize("how", [{"min_se": 60}, {"session_expires": -1}, {"ring_timeout": 0}])
    def test_terms(self, how: Any) -> None:
        with pytest.raises((ValueError, LocalProtocolError)):
            SessionTerms(**how)
