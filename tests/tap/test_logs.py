"""The log: one line for each event, no line that a peer wrote, no secret."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from twisted_sip.tap.logs import observer, open_file
from twisted_sip.tap.sections import LogSection
from twisted_sip.tap.server_log import ServerLog
from twisted_sip.tap.startup import StartFailure


def log(section: LogSection) -> tuple[Logger, io.StringIO]:
    stream = io.StringIO()
    return Logger(namespace="test", observer=observer(section, stream)), stream


def test_text() -> None:
    logger, stream = log(LogSection())
    logger.info("call {call_id} ended", call_id="abc")
    (line,) = stream.getvalue().splitlines()
    assert line.endswith("[test#info] call abc ended")


def test_json_carries_the_fields() -> None:
    logger, stream = log(LogSection(format="json"))
    logger.warn("call {call_id} ended after {count}", call_id="abc", count=3, peer=Path("/x"), data=b"\xff", many=[1])
    (event,) = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert event.pop("time").endswith("+00:00")
    assert event == {
        "level": "warn",
        "system": "test",
        "text": "call abc ended after 3",
        "call_id": "abc",
        "count": 3,
        "peer": "/x",
        "data": "\ufffd",
        "many": [1],
    }


@pytest.mark.parametrize("format", ["text", "json"])
def test_what_a_peer_sent_makes_no_line_of_its_own(format: str) -> None:
    logger, stream = log(LogSection(format=format))  # type: ignore[arg-type]
    logger.info("odd name {name}", name="x\r\n2026-01-01T00:00:00+0000 [-] forged \x1b[2J")
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()


def test_levels() -> None:
    for threshold, seen in (("debug", 3), ("info", 2), ("error", 1), ("critical", 0)):
        logger, stream = log(LogSection(level=threshold))  # type: ignore[arg-type]
        for level in (LogLevel.debug, LogLevel.info, LogLevel.error):
            logger.emit(level, "x")
        assert len(stream.getvalue().splitlines()) == seen


def test_failures_come_with_their_traceback() -> None:
    for section in (LogSection(), LogSection(format="json")):
        logger, stream = log(section)
        try:
            raise RuntimeError("broken")
        except RuntimeError:
            logger.failure("it failed", Failure())
        assert "RuntimeError: broken" in stream.getvalue()
        assert "Traceback" in stream.getvalue()


def test_credentials_in_a_field_are_masked() -> None:
    logger, stream = log(LogSection(format="json"))
    logger.info("got it", data=b'REGISTER sip:a SIP/2.0\r\nAuthorization: Digest response="s3cret"\r\n\r\n')
    assert "s3cret" not in stream.getvalue()


def test_a_file(tmp_path: Path) -> None:
    logger = Logger(namespace="test", observer=ServerLog(LogSection(file=tmp_path / "sip.log")))
    logger.info("Grüße")
    assert (tmp_path / "sip.log").read_text("utf-8").endswith("Grüße\n")


def test_a_file_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(StartFailure, match=r"the log cannot be written \(no such file or directory\)"):
        open_file(str(tmp_path / "none" / "sip.log"))
