"""The call tracker of a server that serves presence: calls end when their records do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from twisted_sip.tap.packages_part import PackagesPart
from twisted_sip.tap.presence_part import PresencePart

from .reloading import Stage, at_once


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once(monkeypatch)


@pytest.fixture
def part(tmp_path: Path) -> Iterator[PackagesPart]:
    presence = PresencePart()
    made = PackagesPart(presence)
    stage: Any = Stage(tmp_path, "[accounting]\nmax_duration = 600\n", parts=[presence, made])
    yield made
    stage.stop()


def test_calls_without_session_timer_are_over_with_their_records(part: PackagesPart) -> None:
    assert part.calls is not None
    assert part.calls.settings.max_duration == 600
    assert part.counts() == {"calls": 0, "calls not tracked": 0}
