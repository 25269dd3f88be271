"""For all tests: what takes longest begins first, so that it does not run on alone at the end; what was logged."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.logger import LogEvent, globalLogPublisher

#: Tests that take minutes, most of them waiting.
_LONGEST = ("tests/soak/test_soak_load.py",)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(_LONGEST))


@pytest.fixture
def failures() -> Iterator[list[BaseException]]:
    """What was logged with a traceback."""
    found: list[BaseException] = []

    def keep(event: LogEvent) -> None:
        if event.get("log_failure") is not None:
            found.append(event["log_failure"].value)

    globalLogPublisher.addObserver(keep)
    yield found
    globalLogPublisher.removeObserver(keep)
