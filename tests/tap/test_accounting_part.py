"""Call records of a whole server on the simulated network: where they go, restarts, users that are removed, reloads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.errors import ConfigurationError
from twisted_sip.interfaces.accounting import CallRecord
from twisted_sip.storage.accounting_reading import CallFilter, CallReader
from twisted_sip.storage.batch_writer import InlineThread
from twisted_sip.tap.accounting_part import AccountingPart
from twisted_sip.tap.b2bua_part import B2BUAPart
from twisted_sip.tap.configuration import read
from twisted_sip.tap.control import CommandError
from twisted_sip.tap.control_rows import LOOKS_FOR_A_ROW, Rows
from twisted_sip.testing.behaviour import Behaviour
from twisted_sip.testing.phone import SimulatedPhone

from .reloading import HOST, Stage, at_once

ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"
OPEN = "[auth]\nrequired = false\n[b2bua]\nmedia = 'direct'\n"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once(monkeypatch)
    monkeypatch.setattr("twisted_sip.tap.accounting_part.WriterThread", lambda reactor, name: InlineThread())


class House(Stage):
    """A server with call records, and phones."""

    def __init__(self, directory: Path, text: str = "", *, b2bua: bool = False) -> None:
        self.part = AccountingPart()
        parts = [self.part, B2BUAPart(self.part)] if b2bua else [self.part]
        super().__init__(directory, OPEN + text, parts=parts, forwards=not b2bua)
        self.phones = 0

    def phone(self, user: str) -> SimulatedPhone:
        self.phones += 1
        node = self.network.node(f"198.51.100.{self.phones}")
        made = SimulatedPhone(self.network, node, user, proxy=f"sip:{HOST}:5060;lr")
        made.registration.start(600)
        self.network.advance(2)
        return made

    def call(self, talks: float = 10.0) -> Any:
        """Have alice call bob, who answers after two seconds."""
        bob = self.phone("bob")
        bob.behaviour = Behaviour(talks=10_000)
        return self.phone("alice").call(BOB, Behaviour(talks=talks))

    def live(self) -> list[dict[str, Any]]:
        return self.told({})

    def told(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        """Return what a client is told of live calls."""
        answer = self.part.commands()["calls"](request)
        assert isinstance(answer, Rows)
        return [row for row in answer.rows if row is not None]

    @property
    def records(self) -> list[Any]:
        """What is kept, the latest first."""
        reader = CallReader(self.directory / "state" / "calls.db")
        try:
            return reader.calls(CallFilter())
        finally:
            reader.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.stop()


@pytest.mark.parametrize("b2bua", [False, True])
def test_a_call_is_live_and_then_a_record(tmp_path: Path, b2bua: bool) -> None:
    house = House(tmp_path, "[accounting]\njson_lines = 'calls.jsonl'\n", b2bua=b2bua)
    call = house.call()
    house.network.advance(1)
    (ringing,) = house.live()
    assert ringing["caller"] == ALICE and ringing["answered"] is None and ringing["ringing"]
    house.network.advance(4)
    (talking,) = house.live()
    assert talking["answered"] and talking["callee_user"] == BOB and house.part.counts()["answered calls"] == 1
    house.network.advance(20)
    assert call.over and house.live() == []
    (record,) = house.records
    assert (record.result, record.callee_user, record.ended_by) == ("answered", BOB, "caller")
    assert round(record.seconds) == 10 and record.call_id
    lines = [json.loads(line) for line in (tmp_path / "state" / "calls.jsonl").read_text().splitlines()]
    assert [line["result"] for line in lines] == ["", "answered"] and lines[1]["id"] == record.id
    house.stop()


def test_of_many_calls_those_that_are_asked_for_are_told(house: House) -> None:
    calls = house.told
    house.part.live.append(
        lambda: [CallRecord(id=str(number), caller=ALICE, callee=BOB, set_up=float(number)) for number in range(50)]
    )
    assert [one["id"] for one in calls({"limit": 2})] == ["49", "48"]
    assert [one["id"] for one in calls({"limit": 2, "wanted": {"until": 10}})] == ["9", "8"]
    assert calls({"wanted": {"callee": "carol"}}) == []
    assert len(calls({})) == 50
    wrong: dict[str, Any]
    for wrong in ({"limit": "x"}, {"wanted": {"nothing": 1}}, {"wanted": {"caller": 5}}, {"wanted": []}):
        with pytest.raises(CommandError):
            calls(wrong)


@pytest.mark.parametrize("request_", [{}, {"limit": 5}, {"limit": 5, "wanted": {"callee": "carol"}}])
def test_of_very_many_calls_is_told_a_few_at_a_time(house: House, request_: dict[str, Any]) -> None:
    given = 0

    def many() -> Iterator[CallRecord]:
        nonlocal given
        for number in range(10_000):
            given += 1
            yield CallRecord(id=str(number), caller=ALICE, callee=BOB, set_up=float(number))

    house.part.live.append(many)
    answer = house.part.commands()["calls"](request_)
    assert isinstance(answer, Rows)
    rows = iter(answer.rows)
    assert given == 0
    for taken in range(1, 20):
        next(rows)
        assert given <= taken * LOOKS_FOR_A_ROW + 1


def test_nobody_answers_where_nobody_is(house: House) -> None:
    house.phone("alice").call(BOB)
    house.network.advance(5)
    (record,) = house.records
    assert (record.result, record.status, record.ended_by) == ("failed", 480, "server")


def restarted(house: House, tmp_path: Path) -> House:
    """Stop the server without a word to its calls, and have another one on its state."""
    house.server.stopService()
    house.network.advance(1)
    return House(tmp_path, house.text.removeprefix(OPEN))


def test_calls_of_a_proxy_are_waited_for_after_a_restart(tmp_path: Path) -> None:
    house = House(tmp_path, "[accounting]\nmax_duration = 300\n")
    house.call(talks=10_000)
    house.network.advance(25)
    other = restarted(house, tmp_path)
    assert len(other.live()) == 1 and other.part.counts()["answered calls"] == 1 and not other.records
    other.network.advance(400)
    (record,) = other.records
    assert record.result == "interrupted" and record.ended_by == "server" and record.seconds > 15
    other.stop()


def test_calls_of_a_b2bua_are_over_with_it(tmp_path: Path) -> None:
    house = House(tmp_path, b2bua=True)
    house.call(talks=10_000)
    house.network.advance(25)
    assert house.part._database is not None
    house.part._database.abandon()
    house.part._database = house.part.sink = None
    (tmp_path / "other" / "state").mkdir(parents=True)
    shutil.copy(tmp_path / "state" / "calls.db", tmp_path / "other" / "state")
    other = House(tmp_path / "other", b2bua=True)
    other.network.advance(1)
    (record,) = other.records
    assert record.result == "interrupted" and 10 < record.seconds < 25 and all(leg.ended for leg in record.legs)
    other.stop()


def test_records_go_with_their_user_where_that_is_wanted(house: House) -> None:
    house.call()
    house.network.advance(20)

    def removed(keep: bool) -> Any:
        results: list[Any] = []
        Deferred.fromCoroutine(house.part.remove_user(BOB, keep)).addBoth(results.append)
        return results[0]

    assert removed(False) == {}
    told = house.reload(OPEN + "[accounting]\nremove_with_user = true")
    assert any("accounting.remove_with_user" in line for line in told)
    assert removed(True) == {} and len(house.records) == 1
    assert removed(False) == {"call records": 1} and not house.records


def test_old_records_go(tmp_path: Path) -> None:
    house = House(tmp_path, "[accounting]\nkeep_days = 36500\n")
    house.call()
    house.network.advance(20)
    assert len(house.records) == 1
    # The times of the simulation are those of another year.
    house.reload(OPEN + "[accounting]\nkeep_days = 0")
    house.network.advance(4000)
    assert len(house.records) == 1
    house.stop()


def test_without_accounting_there_is_nothing(tmp_path: Path) -> None:
    house = House(tmp_path, "[accounting]\nenabled = false\n")
    call = house.call()
    house.network.advance(20)
    assert call.over and house.part.policies() == () and house.part.counts() == {} and house.live() == []
    assert not (tmp_path / "state" / "calls.db").exists()
    house.stop()


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("url = 'http://example.com/'", "accounting.url: 'http://example.com/' would tell who calls whom in the clear"),
        ("url = 'calls'", "accounting.url: 'calls' is no http or https URL"),
        ("token = 'a b'", "accounting.token: is no token"),
        ("json_lines = '/x'", 'accounting.json_lines: "/x" is not a file name'),
        ("patience = 0.0", "accounting.patience: 0 is out of range"),
        ("keep = 3", "accounting.keep: unknown key"),
    ],
)
def test_faults_of_the_section(line: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read(f"[accounting]\n{line}\n", "sip.toml", tmp_path)
    (problem,) = raised.value.problems
    assert problem.startswith(f"sip.toml: {fault}")
