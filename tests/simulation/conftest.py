"""Which seeds are run, and how a failing one is run again.

``SEEDS=50`` runs the seeds 0 to 49 (10 by default), ``SEED=123`` runs this one alone. ``SIMULATION_TRACE=1`` prints the
messages of a failing play.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from twisted_sip.testing.network import Network
from twisted_sip.testing.observation import LoggedFailures


def _seeds() -> list[int]:
    one = os.environ.get("SEED")
    return [int(one)] if one else list(range(int(os.environ.get("SEEDS", "10"))))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", _seeds())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    seed = getattr(item, "callspec", None) and item.callspec.params.get("seed")  # type: ignore[attr-defined]
    if report.failed and seed is not None:
        name = item.nodeid.partition("[")[0]
        report.sections.append(("Run it again", f"SEED={seed} python -m pytest {name}"))
    return report


@pytest.fixture
def failures() -> Iterator[LoggedFailures]:
    """What is logged as an error or with a failure meanwhile; there must be nothing."""
    with LoggedFailures() as observer:
        yield observer
    assert not observer.texts


@pytest.fixture
def network(failures: LoggedFailures) -> Network:
    """A network on which nothing gets lost."""
    return Network(1)
