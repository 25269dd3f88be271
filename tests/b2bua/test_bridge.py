"""What a bridge makes of offers that come at the wrong moment, between two sessions that do as they are told."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from twisted_sip.b2bua.exchange import Bridge
from twisted_sip.b2bua.passage import DirectPassage
from twisted_sip.b2bua.session_lines import OwnSession
from twisted_sip.dialog.session import CONFIRMED
from twisted_sip.dialog.session_terms import SessionBody

from .scripted import sdp


def body(port: int) -> SessionBody:
    return SessionBody("application/sdp", sdp(port))


@attrs.define(eq=False)
class Offers:
    local: Any = None
    stable: bool = True


@attrs.define(eq=False)
class FakeSession:
    """Takes note of what is asked of it."""

    can_reinvite: bool = True
    can_offer_update: bool = False
    over: bool = False
    state: str = CONFIRMED
    sent: list[Any] = attrs.Factory(list)
    offers: Offers = attrs.Factory(Offers)
    modification: Any = None

    def __attrs_post_init__(self) -> None:
        self.modification = type(
            "M", (), {"invite": None, "update": None, "cancel": lambda: self.sent.append("cancel")}
        )

    def peer_allows(self, method: str) -> bool:
        return True

    def reinvite(self, offer: SessionBody | None) -> None:
        assert self.can_reinvite
        self.can_reinvite = False
        self.sent.append(None if offer is None else int(offer.data.split(b"audio ")[1].split()[0]))

    @property
    def free(self) -> FakeSession:
        """It is ready for changes again."""
        self.can_reinvite = True
        return self


@attrs.define(eq=False)
class FakeLeg:
    session: FakeSession = attrs.Factory(FakeSession)
    remote: Any = None
    own: OwnSession = attrs.Factory(lambda: OwnSession(1, "192.0.2.1"))


@attrs.define(eq=False)
class Waiter:
    """Waits for an answer."""

    patient: bool = False
    quick: bool = False
    stale: bool = False
    got: list[Any] = attrs.Factory(list)

    def answer(self, answer: SessionBody) -> None:
        self.got.append("answer")

    def refuse(self, status: int, headers: Any) -> None:
        self.got.append(status)


class Pair:
    """A bridge between two."""

    def __init__(self) -> None:
        self.bridge = Bridge(DirectPassage(), "direct")
        self.legs = [FakeLeg(), FakeLeg()]
        made: Any = self.legs
        self.bridge.legs = list(made)

    def offer(self, side: int, port: int, waiter: Waiter) -> None:
        self.bridge.offer_from(side, body(port), waiter)

    def outcome(self, side: int, status: int, method: str = "INVITE") -> None:
        session: Any = self.legs[side].session
        self.bridge.modified(side, session, method, status)

    def wanted(self, side: int, why: str) -> None:
        session: Any = self.legs[side].session
        self.bridge.offer_wanted(side, session, why)


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_one_at_a_time(pair: Pair) -> None:
    first, second, third, fourth = Waiter(), Waiter(), Waiter(patient=True), Waiter(patient=True)
    pair.offer(0, 1000, first)
    pair.offer(1, 2000, second)
    assert second.got == [491] and pair.legs[1].session.sent == [1000]
    pair.offer(1, 3000, third)
    pair.offer(1, 4000, fourth)
    assert third.got == [] and fourth.got == [491] and pair.bridge.busy
    pair.bridge.answer_from(1, body(2000))
    assert first.got == ["answer"] and pair.legs[0].session.sent == [3000]
    pair.bridge.answer_from(0, body(1000))
    assert third.got == ["answer"] and not pair.bridge.busy


def test_what_waits_until_the_other_side_is_ready(pair: Pair) -> None:
    waiter = Waiter(patient=True)
    pair.legs[1].session.can_reinvite = False
    pair.offer(0, 1000, waiter)
    pair.bridge.free()
    assert not pair.legs[1].session.sent and not waiter.got
    assert pair.legs[1].session.free
    pair.bridge.free()
    assert pair.legs[1].session.sent == [1000]


def test_what_waits_when_the_call_ends(pair: Pair) -> None:
    under_way, waiter = Waiter(), Waiter(patient=True)
    pair.offer(0, 1000, under_way)
    pair.offer(0, 2000, waiter)
    pair.bridge.close()
    assert under_way.got == waiter.got == [487] and not pair.bridge.busy


def test_nobody_is_there(pair: Pair) -> None:
    waiter, patient = Waiter(), Waiter(patient=True)
    pair.legs[1].session.over = True
    pair.offer(0, 1000, waiter)
    pair.offer(0, 1000, patient)
    assert waiter.got == patient.got == [491]


def test_the_other_leg_goes_meanwhile(pair: Pair) -> None:
    waiter = Waiter()
    pair.offer(0, 1000, waiter)
    pair.bridge.legs[0] = None
    pair.bridge.answer_from(1, body(2000))
    assert waiter.got == [500]


def test_a_glare_of_an_offer_that_cannot_be_refused(pair: Pair) -> None:
    """It is sent again as soon as that is possible, not before."""
    waiter = Waiter(patient=True)
    pair.offer(0, 1000, waiter)
    pair.outcome(1, 491)
    pair.wanted(1, "glare")
    assert pair.legs[1].session.sent == [1000]
    assert pair.legs[1].session.free
    pair.bridge.free()
    assert pair.legs[1].session.sent == [1000, 1000]
    assert pair.legs[1].session.free
    pair.bridge.free()
    assert pair.legs[1].session.sent == [1000, 1000]


def test_who_is_to_make_an_offer_does_not(pair: Pair) -> None:
    """The other one is asked, once."""
    for leg in pair.legs:
        leg.remote = body(1)
    pair.bridge.ask(1)
    assert pair.legs[1].session.sent == [None]
    assert pair.legs[1].session.free
    pair.outcome(1, 488)
    assert pair.legs[0].session.sent == [None]
    assert pair.legs[0].session.free
    pair.outcome(0, 200)
    pair.bridge.free()
    assert not pair.bridge.busy and pair.legs[1].session.sent == [None]


def test_a_glare_of_a_question(pair: Pair) -> None:
    pair.bridge.ask(1)
    pair.outcome(1, 491)
    assert pair.legs[1].session.free
    pair.wanted(1, "glare")
    assert pair.legs[1].session.sent == [None, None]
    pair.offer(1, 2000, Waiter(patient=True))
    assert pair.legs[0].session.sent == [2000] and pair.bridge.exchange is not None


def test_a_question_at_the_wrong_moment(pair: Pair) -> None:
    waiter: Any = Waiter()
    pair.legs[1].session.can_reinvite = False
    pair.bridge.asked_by(0, waiter)
    assert waiter.got == [491] and not pair.bridge.busy


@pytest.mark.parametrize("why", ["refresh", "resync"])
def test_a_refresh_with_news(pair: Pair, why: str) -> None:
    """What we have said is said again; the other side hears of an answer that is another one."""
    session = pair.legs[0].session
    pair.wanted(0, why)
    assert not session.sent
    session.offers.local = body(7000)
    pair.legs[0].remote = body(1000)
    pair.wanted(0, why)
    assert session.sent == [7000]
    pair.bridge.answer_from(0, body(1000))
    assert not pair.legs[1].session.sent
    pair.bridge.answer_from(0, body(1002))
    assert pair.legs[1].session.sent == [1002]
    pair.bridge.answer_from(1, body(2000))
    assert not pair.bridge.busy


def test_news_wait_for_who_waits_for_an_answer(pair: Pair) -> None:
    """That exchange brings both up to date anyway."""
    waiter = Waiter(patient=True)
    pair.legs[0].session.can_reinvite = pair.legs[1].session.can_reinvite = False
    pair.offer(1, 2000, waiter)
    pair.bridge.answer_from(0, body(1002))
    assert pair.legs[0].session.free
    pair.bridge.free()
    assert pair.legs[0].session.sent == [2000] and not waiter.got
    pair.bridge.answer_from(0, body(1002))
    assert waiter.got == ["answer"] and not pair.bridge.busy


def test_news_that_are_outdated(pair: Pair) -> None:
    pair.legs[1].session.can_reinvite = False
    pair.bridge.answer_from(0, body(1000))
    pair.bridge.answer_from(0, body(1002))
    assert pair.legs[1].session.free
    pair.bridge.free()
    assert pair.legs[1].session.sent == [1002]
    # Nobody has asked for it, so nobody is told that it was refused.
    pair.bridge.answer_from(1, SessionBody("application/sdp", b"nonsense"))
    assert not pair.bridge.busy


def test_descriptions_that_nobody_can_compare(pair: Pair) -> None:
    pair.legs[0].remote = SessionBody("application/sdp", b"nonsense")
    pair.legs[0].session.offers.local = body(1)
    waiter = Waiter()
    pair.offer(0, 1000, waiter)
    assert pair.legs[1].session.sent == [1000]


def test_an_offer_that_is_given_up(pair: Pair) -> None:
    waiter = Waiter()
    pair.offer(0, 1000, waiter)
    pair.bridge.rolled_back(0)
    assert pair.legs[1].session.sent == [1000]
    waiter.stale = True
    pair.bridge.rolled_back(0)
    assert pair.legs[1].session.sent == [1000, "cancel"]
    pair.outcome(1, 487)
    assert not pair.bridge.busy
    pair.bridge.given_up(0)
    assert pair.legs[1].session.sent == [1000, "cancel"]
