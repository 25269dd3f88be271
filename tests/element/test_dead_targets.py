"""The memory of dead targets: bounded, in order, with an end."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from twisted_sip.element.dead_targets import DeadTargets
from twisted_sip.interfaces.destination import Destination
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TCP, UDP
from twisted_sip.transaction.timers import TimerQueue

A, B, C = (Destination(UDP, Address(f"192.0.2.{n}", 5060), "example.com") for n in (1, 2, 3))


class Desk:
    def __init__(self, **how: Any) -> None:
        self.clock = Clock()
        self.dead = DeadTargets(TimerQueue(self.clock), **how)

    def suspect(self, *destinations: Destination) -> None:
        for destination in destinations:
            self.dead.suspect(destination.kind, destination.address)


def test_an_empty_memory_gives_back_what_it_gets() -> None:
    servers = (A, B)
    assert Desk().dead.order(servers, True) is servers


def test_suspects_come_last_and_in_their_order() -> None:
    desk = Desk()
    desk.suspect(A, C)
    assert desk.dead.order((A, B, C), True) == [B, A, C]
    assert desk.dead.suspected(A.kind, A.address)
    assert not desk.dead.suspected(TCP, A.address)


def test_suspicion_ends() -> None:
    desk = Desk(suspect_for=10.0)
    desk.suspect(A)
    desk.clock.advance(9.9)
    assert desk.dead.order((A, B), True) == [B, A]
    desk.clock.advance(0.2)
    assert desk.dead.order((A, B), True) == [A, B]
    assert len(desk.dead) == 0


def test_one_that_answers_is_trusted_again() -> None:
    desk = Desk()
    desk.suspect(A)
    desk.dead.forget(A.kind, A.address)
    desk.dead.forget(B.kind, B.address)
    assert len(desk.dead) == 0


def test_held_targets_are_left_alone_for_their_time() -> None:
    desk = Desk()
    desk.dead.hold(A.kind, A.address, 60)
    assert desk.dead.order((A, B), True) == [B]
    assert desk.dead.order((A,), True) == []
    assert desk.dead.order((A, B), False) == [B, A]
    desk.clock.advance(60)
    assert desk.dead.order((A, B), True) == [A, B]


def test_a_hold_outlives_an_answer_and_a_failure() -> None:
    desk = Desk()
    desk.dead.hold(A.kind, A.address, 100)
    desk.dead.forget(A.kind, A.address)
    desk.suspect(A)
    desk.clock.advance(99)
    assert desk.dead.order((A,), True) == []


def test_retry_after_is_believed_within_limits() -> None:
    desk = Desk(longest=300.0)
    desk.dead.hold(A.kind, A.address, 4_000_000_000)
    desk.dead.hold(B.kind, B.address, 0)
    assert len(desk.dead) == 1
    desk.clock.advance(300)
    assert not desk.dead.suspected(A.kind, A.address)


def test_how_long_all_are_held() -> None:
    desk = Desk()
    desk.dead.hold(A.kind, A.address, 60)
    desk.dead.hold(B.kind, B.address, 20)
    desk.clock.advance(5)
    assert desk.dead.held_for((A, B)) == 15
    assert desk.dead.held_for((A, B, C)) == 0
    desk.suspect(C)
    assert desk.dead.held_for((A, C)) == 0
    assert desk.dead.held_for(()) == 0


def test_the_memory_is_bounded_and_forgets_the_oldest() -> None:
    desk = Desk(max_entries=3)
    desk.suspect(A, B, C)
    desk.suspect(A)
    other = Destination(TCP, Address("192.0.2.9", 5060), "example.com")
    desk.suspect(other)
    assert len(desk.dead) == 3
    assert not desk.dead.suspected(B.kind, B.address)
    assert desk.dead.suspected(A.kind, A.address)


def test_what_is_out_of_date_goes_first() -> None:
    desk = Desk(max_entries=3)
    desk.dead.hold(A.kind, A.address, 100)
    desk.suspect(B, C)
    desk.clock.advance(31)
    desk.suspect(Destination(TCP, Address("192.0.2.9", 5060), "example.com"))
    assert len(desk.dead) == 2
    assert desk.dead.suspected(A.kind, A.address)


def test_what_has_ended_can_be_dropped_without_asking_for_it() -> None:
    desk = Desk(suspect_for=30.0)
    desk.suspect(A)
    desk.clock.advance(20.0)
    desk.suspect(B)
    desk.clock.advance(15.0)
    desk.dead.expire()
    assert len(desk.dead) == 1
    assert desk.dead.suspected(B.kind, B.address)
    desk.clock.advance(15.0)
    desk.dead.expire()
    assert len(desk.dead) == 0
