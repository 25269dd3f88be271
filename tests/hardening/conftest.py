"""Servers for the tests, made once for each module: what they did to requests before must not matter."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from twisted_sip.storage.batch_writer import InlineThread

sys.path.insert(0, str(Path(__file__).parent))

from houses import House


class LaterThread(InlineThread):
    """Does its work a moment later: packages come to the notifier before its subscriptions are read."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def submit(self, work: Any, done: Any) -> None:
        self._reactor.callLater(0.001, partial(super().submit, work, done))


@pytest.fixture(scope="module")
def make_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., House]]:
    """Makes servers; threads would need the time of the world, and the control socket a real one."""
    made: list[House] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("twisted_sip.tap.composition.ControlSocket", lambda reactor, directory, commands: None)
        patch.setattr("twisted_sip.tap.stores.WriterThread", lambda reactor, name: InlineThread())
        for module in ("presence_part", "reg_event_part", "accounting_part"):
            patch.setattr(
                f"twisted_sip.tap.{module}.WriterThread", lambda reactor, name: LaterThread(reactor), raising=False
            )

        def make(kind: str, text: str = "") -> House:
            house = House(kind, tmp_path_factory.mktemp(kind), text)
            made.append(house)
            return house

        yield make
        for house in made:
            house.stop()


@pytest.fixture(scope="module")
def houses(make_house: Callable[..., House]) -> Callable[[str], House]:
    """Gives the server of a kind; bob's phone is registered at it."""
    known: dict[str, House] = {}

    def house(kind: str) -> House:
        if kind not in known:
            known[kind] = make_house(kind)
            known[kind].register_bob()
        return known[kind]

    return house
