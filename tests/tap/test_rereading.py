"""Settings that are read anew in a thread: whatever there is to read, the reactor does not wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from twisted_sip.errors import ConfigurationError
from twisted_sip.proxy.routes import least_cost
from twisted_sip.proxy.routes.least_cost import LeastCostSettings, rates_of
from twisted_sip.tap.reload import reload_logged

from .reloading import Stage, at_once

ROUTES = """
[[gateway]]
group = "berlin"
uri = "sip:192.0.2.50"
[[route]]
user = "0*"
to = "least-cost"
[gateways]
probe_interval = 0
[least_cost]
file = "rates.csv"
"""
HEAD = "prefix,rate,gateway\n"


class HeldThread:
    """Runs what it is given when it is told to, in a real thread that is waited for."""

    jobs: list[tuple[Callable[[], None], Callable[[Failure | None], None]]]

    def __init__(self) -> None:
        self.jobs = []
        self.stopped = 0

    def submit(self, work: Callable[[], None], done: Callable[[Failure | None], None]) -> None:
        self.jobs.append((work, done))

    def stop(self) -> None:
        self.stopped += 1

    def run(self) -> None:
        work, done = self.jobs.pop(0)
        outcome: list[Failure | None] = []

        def body() -> None:
            try:
                work()
                outcome.append(None)
            except Exception:
                outcome.append(Failure())

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        done(outcome[0])


@pytest.fixture
def thread(monkeypatch: pytest.MonkeyPatch) -> HeldThread:
    made = HeldThread()
    monkeypatch.setattr("twisted_sip.tap.reload.WriterThread", lambda reactor, name: made)
    return made


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    at_once(monkeypatch)
    rates(tmp_path, "49,0.02,berlin\n")
    made = Stage(tmp_path, ROUTES)
    yield made
    made.stop()


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each reading of a table, whether that was in the thread of the reactor."""
    seen: list[bool] = []
    read = least_cost.rates_of

    def looked(*what: Any) -> Any:
        seen.append(threading.current_thread() is threading.main_thread())
        return read(*what)

    monkeypatch.setattr(least_cost, "rates_of", looked)
    return seen


def rates(directory: Path, lines: str) -> None:
    (directory / "rates.csv").write_text(HEAD + lines)


def prefixes(stage: Stage) -> int:
    table = stage.server.routing._ways.least_cost
    return 0 if table is None else len(table)


def soon(stage: Stage, dry_run: bool = False) -> list[Any]:
    found: list[Any] = []
    stage.server.reload_soon(dry_run).addBoth(found.append)
    return found


def test_a_table_is_read_once_and_elsewhere(stage: Stage, thread: HeldThread, readers: list[bool]) -> None:
    rates(stage.directory, "49,0.02,berlin\n48,0.02,berlin\n")
    found = soon(stage)
    # Requests go on, by the old settings.
    assert not found and stage.ask("OPTIONS", "sip:example.com").status == 401 and prefixes(stage) == 1
    thread.run()
    # The file alone has changed.
    assert not found[0] and prefixes(stage) == 2 and readers == [False]
    assert thread.stopped == 1


def test_a_program_that_reads_no_file(stage: Stage, thread: HeldThread, readers: list[bool]) -> None:
    stage.server.reread = lambda: stage.server.configuration
    rates(stage.directory, "49,0.02,berlin\n48,0.02,berlin\n")
    soon(stage)
    thread.run()
    assert prefixes(stage) == 2 and readers == [False]


def test_a_faulty_table_changes_nothing(stage: Stage, thread: HeldThread) -> None:
    rates(stage.directory, "x,0.02,berlin\n")
    stage.text = '[proxy]\nfork = "sideways"\n' + ROUTES
    found = soon(stage)
    thread.run()
    assert [problem.split(": ")[1] for problem in found[0].value.problems] == ["proxy.fork"]
    stage.text = '[proxy]\nfork = "none"\n' + ROUTES + "[emergency]\nto = 'gateway:none'\n"
    found = soon(stage)
    thread.run()
    told = [problem.partition("sip.toml: ")[2].split(": ")[0] for problem in found[0].value.problems]
    assert told == ["emergency.to", "least_cost.file"]
    assert 'rates.csv:2: prefix "x" is no prefix' in found[0].value.problems[1]
    assert prefixes(stage) == 1 and stage.server.configuration.proxy.fork == "parallel"
    # Without a file of settings it is the part that says so.
    stage.server.reread = lambda: stage.server.configuration
    found = soon(stage)
    thread.run()
    assert isinstance(found[0].value, ConfigurationError) and prefixes(stage) == 1


def test_one_after_the_other(stage: Stage, thread: HeldThread) -> None:
    first, second = soon(stage, dry_run=True), soon(stage)
    assert len(thread.jobs) == 1
    rates(stage.directory, "49,0.02,berlin\n48,0.02,berlin\n")
    thread.run()
    assert first and not second and prefixes(stage) == 1
    thread.run()
    assert second and prefixes(stage) == 2


def test_the_end_meanwhile(stage: Stage, thread: HeldThread) -> None:
    found = soon(stage)
    element, stage.server.element = stage.server.element, None
    thread.run()
    stage.server.element = element
    assert "does not run" in found[0].value.problems[0]


def test_what_is_no_fault_of_the_configuration(stage: Stage, thread: HeldThread) -> None:
    def broken() -> Any:
        raise RuntimeError("broken")

    stage.server.reread = broken
    done: list[bool] = []
    with capturedLogs() as events:
        reload_logged(stage.server).addCallback(done.append)
        thread.run()
    assert done == [False] and events[0]["log_failure"].check(RuntimeError)


def test_a_thread_beside_the_reactor_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    monkeypatch.setattr(least_cost.time, "sleep", rests.append)
    text = HEAD + "49,0.02,g\n" * 1000
    assert len(rates_of(text, "t", "g".__eq__)[0]) == 1000 and rests == []
    found: list[Any] = []
    beside = threading.Thread(target=lambda: found.append(rates_of(text, "t", "g".__eq__)))
    beside.start()
    beside.join()
    assert len(found[0][0]) == 1000 and len(rests) == 10


def test_what_was_read_is_for_those_gateways_alone(tmp_path: Path) -> None:
    rates(tmp_path, "49,0.02,berlin\n")
    settings = LeastCostSettings(file=tmp_path / "rates.csv")
    names = frozenset(["berlin"])
    assert settings.take(names) is None
    assert settings.look(names) == [] and settings.take(frozenset(["berlin", "munich"])) is None
    assert settings.look(names) == [] and len(settings.take(names) or ()) == 1 and settings.take(names) is None
    assert settings == attrs.evolve(settings) and LeastCostSettings().look(names) == []
