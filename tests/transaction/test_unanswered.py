"""The lines of first timers: who is passed over, and who still has a turn."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from twisted_sip.transaction.states import COMPLETED, TRYING
from twisted_sip.transaction.timers import TimerQueue
from twisted_sip.transaction.unanswered import AwaitingAnswer, Unanswered

T1 = 0.5


class _Client:
    def __init__(self, name: str, fired: list[str], fails: bool = False) -> None:
        self.due = 0.0
        self.name, self.fired, self.fails = name, fired, fails

    def awaits_first_timer(self, due: float) -> bool:
        return self.due == due

    def first_timer(self) -> None:
        self.fired.append(self.name)
        self.due = 0.0
        if self.fails:
            raise ValueError(self.name)


class _Server:
    def __init__(self, name: str, fired: list[str]) -> None:
        self.ends_at = 0.0
        self.state: str = TRYING
        self.name, self.fired = name, fired

    def late(self) -> None:
        self.fired.append(self.name)


class _Line:
    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.rightNow = 100.0
        self.timers = TimerQueue(self.clock)
        self.fired: list[str] = []
        self.clients: dict[tuple[str, str], _Client] = {}
        self.line = Unanswered(self.timers, T1, self.clients)  # type: ignore[arg-type]

    def start(self, name: str, fails: bool = False) -> _Client:
        client = self.clients[name, "OPTIONS"] = _Client(name, self.fired, fails)
        client.due = self.line.add((name, "OPTIONS"))
        return client


@pytest.fixture
def line() -> _Line:
    return _Line()


def test_each_has_its_own_time(line: _Line) -> None:
    line.start("a")
    line.clock.advance(0.25)
    line.start("b")
    line.clock.advance(0.25)
    assert line.fired == ["a"]
    line.clock.advance(0.25)
    assert line.fired == ["a", "b"]
    assert line.timers.held == 0


def test_who_was_answered_is_passed_over(line: _Line) -> None:
    line.start("a")
    line.start("b")
    del line.clients["a", "OPTIONS"]
    line.clock.advance(T1)
    assert line.fired == ["b"]


def test_a_key_that_is_used_again_has_its_time_from_then_on(line: _Line) -> None:
    line.start("a")
    line.clock.advance(0.25)
    line.start("a")
    line.clock.advance(0.25)
    assert line.fired == []
    line.clock.advance(0.25)
    assert line.fired == ["a"]


def test_the_others_have_their_turn_where_one_fails(line: _Line) -> None:
    line.start("a", fails=True)
    line.start("b")
    with pytest.raises(ValueError, match="a"):
        line.clock.advance(T1)
    line.clock.advance(0)
    assert line.fired == ["a", "b"]
    assert line.timers.held == 0


def test_the_line_ends_when_the_last_one_leaves(line: _Line) -> None:
    first, second = line.start("a"), line.start("b")
    first.due = 0.0
    line.line.left()
    assert line.timers.pending == 1
    second.due = 0.0
    line.line.left()
    assert line.timers.pending == 0


def test_stopped_before_anybody_has_come(line: _Line) -> None:
    line.line.stop()
    assert line.timers.pending == 0


def test_servers_that_have_answered_are_passed_over(line: _Line) -> None:
    waiting = AwaitingAnswer(line.timers, 3.5)
    servers = [_Server(name, line.fired) for name in "abc"]
    for server in servers:
        waiting.add(server)  # type: ignore[arg-type]
        line.clock.advance(1)
    servers[1].state = COMPLETED
    line.clock.advance(0.5)
    assert line.fired == ["a"]
    line.clock.advance(2)
    assert line.fired == ["a", "c"]
    assert line.timers.held == 0
