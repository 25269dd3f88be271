"""The log under attack: the first lines of each second, and how many more there were."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.logger import LogEvent, LogLevel

from twisted_sip.tap.log_sampling import Sampling


def event(time: float, text: str = "refused {peer}", level: Any = LogLevel.warn, **fields: Any) -> LogEvent:
    return {"log_time": time, "log_level": level, "log_format": text, "log_namespace": "test", **fields}


def test_lines_of_one_kind_are_sampled_and_the_rest_is_counted() -> None:
    written: list[LogEvent] = []
    log = Sampling(written.append, 3)
    for number in range(10):
        log(event(1.0 + number / 100, peer=str(number)))
    assert [each["peer"] for each in written] == ["0", "1", "2"]
    log(event(1.5, "another line"))
    assert written[-1]["log_format"] == "another line"
    log(event(2.0, peer="x"))
    told, last = written[-2:]
    assert (told["count"], told["line"], told["log_level"]) == (7, "refused {peer}", LogLevel.warn)
    assert last["peer"] == "x"


def test_each_second_begins_anew_and_levels_are_parted() -> None:
    written: list[LogEvent] = []
    log = Sampling(written.append, 1)
    for second in range(5):
        log(event(float(second)))
        log(event(float(second), level=LogLevel.info))
    assert len(written) == 10


def test_what_is_critical_is_always_written() -> None:
    written: list[LogEvent] = []
    log = Sampling(written.append, 1)
    for _ in range(5):
        log(event(1.0, level=LogLevel.critical))
    assert len(written) == 5


@pytest.mark.parametrize("how", [{}, {"log_format": "{log_io}"}, {"log_format": "{log_text}"}])
def test_events_without_format_are_of_one_kind(how: dict[str, str]) -> None:
    written: list[LogEvent] = []
    log = Sampling(written.append, 1)
    for _ in range(3):
        log({"log_time": 1.0, "log_text": "of another library", **how})
    log({"log_time": 2.0})
    assert [each.get("line") for each in written] == [None, "(lines of another library)", None]
