"""Media of a program that fail in ways that nobody has foreseen: calls end, and are changed, all the same."""

from __future__ import annotations

from typing import Any

import pytest

from .agents import FakeMedia, Scene


class Faulty(FakeMedia):
    """Fails in the methods that are named."""

    def __init__(self, call: Any, *methods: str) -> None:
        super().__init__(call)
        self.methods = methods

    def _fail(self, method: str) -> None:
        if method in self.methods:
            raise KeyError(method)

    def close(self) -> None:
        super().close()
        self._fail("close")

    def answered(self, answer: Any) -> None:
        super().answered(answer)
        self._fail("answered")

    def rolled_back(self) -> None:
        super().rolled_back()
        self._fail("rolled_back")

    def hold(self, on: bool) -> None:
        self._fail("hold")
        super().hold(on)


class Two:
    """Two agents, and a call between them: *faulty* has the media that fail."""

    def __init__(self, caller: bool, *methods: str) -> None:
        self.scene = Scene()
        agents = self.scene.agent("alice", 1), self.scene.agent("bob", 2)
        faulty = agents[0 if caller else 1]

        def make(call: Any) -> Faulty:
            self.scene.media.append(Faulty(call, *methods))
            return self.scene.media[-1]  # type: ignore[return-value]

        faulty.make_media = make
        agents[1].does = lambda call: call.answer()
        self.call = agents[0].call(agents[1].uri)
        self.scene.run()
        other = agents[1].arrived[-1]
        self.faulty, self.good = (self.call, other) if caller else (other, self.call)


@pytest.mark.parametrize("caller", [True, False])
@pytest.mark.parametrize("ends", [True, False])
def test_media_that_cannot_be_closed(failures: list[Any], caller: bool, ends: bool) -> None:
    two = Two(caller, "close")
    over: list[Any] = []
    two.faulty.ended.addCallback(over.append)
    (two.faulty if ends else two.good).hangup()
    two.scene.run()
    assert [end.cause for end in over] == ["bye"]
    assert two.faulty.over and two.faulty not in two.faulty.agent.calls
    assert [str(failure) for failure in failures] == ["'close'"]
    two.scene.stop()


def test_media_that_can_make_nothing_of_an_answer(failures: list[Any]) -> None:
    two = Two(True, "answered")
    assert two.faulty.over and two.good.over and two.faulty.ending.cause == "media"
    assert [str(failure) for failure in failures] == ["'answered'"]
    two.scene.stop()


def test_an_answer_to_a_new_offer(failures: list[Any]) -> None:
    two = Two(False, "answered")
    outcomes: list[Any] = []
    two.faulty.hold().addBoth(outcomes.append)
    two.scene.run()
    assert outcomes and two.faulty.established and two.good.established
    assert [str(failure) for failure in failures] == ["'answered'"]
    two.scene.stop()


def test_media_that_cannot_be_held() -> None:
    two = Two(True, "hold")
    refused: list[Any] = []
    for _ in range(2):
        two.faulty.hold().addErrback(refused.append)
    two.scene.run()
    assert [failure.value.args for failure in refused] == [("hold",), ("hold",)]
    # Other changes are possible.
    updated: list[Any] = []
    two.faulty.update().addCallback(updated.append)
    two.scene.run()
    assert updated == [two.faulty]
    two.scene.stop()


def test_media_that_cannot_be_rolled_back(failures: list[Any]) -> None:
    from twisted_sip.errors import MediaRefused

    two = Two(True, "rolled_back")
    two.good.media.refuses = MediaRefused("no")
    refused: list[Any] = []
    two.faulty.update().addErrback(refused.append)
    two.scene.run()
    assert [failure.value.status for failure in refused] == [488] and two.faulty.established
    assert [str(failure) for failure in failures] == ["'rolled_back'"]
    two.scene.stop()
