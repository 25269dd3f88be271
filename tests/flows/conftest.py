"""A stage for the flows of the RFCs; nothing may be logged as an error, and nothing may be left."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.flows.ladder import Stage
from twisted_sip.testing.observation import LoggedFailures


@pytest.fixture
def stage() -> Iterator[Stage]:
    with LoggedFailures() as failures:
        made = Stage()
        yield made
        made.end()
    assert not failures.texts
