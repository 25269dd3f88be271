"""`twisted-sip calls` on a database without a server: filters, totals, CSV, odd values."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from twisted.internet.task import Clock

from twisted_sip.cli.calls import seconds_in
from twisted_sip.cli.main import cli
from twisted_sip.interfaces.accounting import CallRecord
from twisted_sip.storage.accounting_sqlite import SQLiteAccounting

ALICE, BOB, CAROL = (f"sip:{name}@example.com" for name in ("alice", "bob", "carol"))
NOW = 1_900_000_000.0


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(time, "time", lambda: NOW)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def record(id: str, **how: Any) -> CallRecord:
    fields: dict[str, Any] = {
        "user": ALICE, "callee_user": BOB, "caller": ALICE, "callee": BOB, "call_id": f"call-{id}",
        "set_up": NOW - 1000, "ringing": NOW - 998, "answered": NOW - 995, "ended": NOW - 900, "result": "answered",
        "status": 200, "ended_by": "caller", "target": "sip:bob@192.0.2.5",
    }  # fmt: skip
    return CallRecord(id=id, **(fields | how))


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    clock = Clock()
    clock.advance(NOW)
    sink = SQLiteAccounting(tmp_path / "calls.db", clock)
    sink.ended(record("1"))
    nothing = {"answered": None, "ringing": None, "status": 486, "reason": "Busy Here", "ended_by": "callee"}
    sink.ended(record("2", set_up=NOW - 500, ended=NOW - 499, result="refused", **nothing))
    sink.ended(record("3", user=BOB, caller=BOB, callee_user=CAROL, callee="sip:+49@example.com", set_up=NOW - 90000))
    sink.answered(record("4", set_up=NOW - 30, answered=NOW - 20, ended=None, result="", user=CAROL, caller=CAROL))
    sink.close()
    return tmp_path


def run(kept: Path, *options: str) -> Result:
    return CliRunner().invoke(cli, ["calls", "--state-dir", str(kept), *options], catch_exceptions=False)


def ids(kept: Path, *options: str) -> list[str]:
    done = run(kept, "--json", *options)
    assert done.exit_code == 0, done.output
    return [one["id"] for one in json.loads(done.stdout)]


def test_where_there_is_nothing_nobody_says_that_there_is_no_call(tmp_path: Path) -> None:
    for option in ("--live", "--totals", "--csv"):
        done = run(tmp_path, option)
        assert done.exit_code == 1 and done.stdout == "" and len(done.stderr.splitlines()) == 1
    assert "no server runs with the state directory" in run(tmp_path, "--live").stderr


def test_filters(kept: Path) -> None:
    assert ids(kept) == ["4", "2", "1", "3"]
    assert ids(kept, "--live") == ["4"]
    assert ids(kept, "--limit", "2") == ["4", "2"] and ids(kept, "--limit", "1") == ["4"]
    assert ids(kept, "--limit", "0") == ["4", "2", "1", "3"]
    assert ids(kept, "--user", "alice@example.com") == ["2", "1"]
    assert ids(kept, "--user", "carol@example.com") == ["4", "3"]
    assert ids(kept, "--from", "BOB") == ["3"] and ids(kept, "--to", "+49") == ["3"]
    assert ids(kept, "--result", "refused") == ["2"] and ids(kept, "--result", "failed") == []
    assert ids(kept, "--min-duration", "1m") == ["1", "3"] and ids(kept, "--min-duration", "15") == ["4", "1", "3"]
    assert ids(kept, "--since", "10m") == ["4", "2"] and ids(kept, "--until", "10m") == ["1", "3"]
    assert ids(kept, "--since", "2030-03-17", "--until", "2030-03-17 18:30:01") == ["1"]
    assert ids(kept, "--since", "20300317", "--until", "20300318") == ["4", "2", "1"]
    assert ids(kept, "--since", "yesterday", "--until", "today") == ["3"]
    assert ids(kept, "--call-id", "call-2") == ["2"]


@pytest.mark.parametrize("options", [(), ("--json",), ("--csv",)])
def test_it_is_said_that_there_are_more(kept: Path, options: tuple[str, ...]) -> None:
    assert run(kept, *options).stderr == ""
    clock = Clock()
    clock.advance(NOW)
    sink = SQLiteAccounting(kept / "calls.db", clock)
    for number in range(46):
        sink.ended(record(f"more-{number}"))
    sink.close()
    # Those of before and these are 50.
    assert run(kept, *options).stderr == ""
    sink = SQLiteAccounting(kept / "calls.db", clock)
    sink.ended(record("one more"))
    sink.close()
    told = run(kept, *options)
    assert told.stderr == "twisted-sip: these are the latest 50, --limit 0 lists all\n"
    assert "these are" not in told.stdout
    for given in ("50", "0"):
        assert run(kept, *options, "--limit", given).stderr == ""
    assert len(ids(kept)) == 50 and len(ids(kept, "--limit", "0")) == 51
    assert ids(kept, "--limit", "1") == ["4"] and ids(kept, "--limit", "2") == ["4", "2"]
    assert run(kept, *options, "--live").stderr == ""


def test_the_table_for_people(kept: Path) -> None:
    text = run(kept).stdout
    assert "begun (CET)" in text and "talking" in text and "486 Busy Here" in text and "by caller" in text
    assert "2030-03-17 18:30:00" in text
    assert run(kept, "--user", "nobody@example.com").stdout == "no call\n"


def test_totals(kept: Path) -> None:
    found = {one["user"]: one for one in json.loads(run(kept, "--totals", "--json").stdout)}
    assert set(found) == {ALICE, BOB, CAROL}
    assert (found[ALICE]["made"], found[ALICE]["made_answered"], found[ALICE]["made_seconds"]) == (2, 1, 95)
    assert (found[BOB]["made"], found[BOB]["got"], found[BOB]["got_answered"]) == (1, 2, 1)
    assert "alice@example.com" in run(kept, "--totals", "--user", "alice@example.com").stdout
    rows = list(csv.DictReader(io.StringIO(run(kept, "--totals", "--csv", "--since", "10m").stdout)))
    assert [(row["user"], row["made"], row["got"]) for row in rows] == [(ALICE, "1", "0"), (BOB, "0", "1")]


def test_csv_is_shown_by_spreadsheets_and_not_executed(tmp_path: Path) -> None:
    sink = SQLiteAccounting(tmp_path / "calls.db", Clock())
    evil = {
        "caller": '=cmd|" /C calc"!A0', "callee": "+49,30\r\nx", "reason": "@SUM(1)", "call_id": "-1+1",
        "user": "sip:\udcff", "target": "\t=1",
    }  # fmt: skip
    sink.ended(record("1", **evil))
    sink.close()
    done = run(tmp_path, "--csv")
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert row["caller"] == "'" + evil["caller"] and row["callee"] == "'+49,30  x"
    assert (row["reason"], row["call_id"]) == ("'@SUM(1)", "'-1+1") and not row["target"].startswith(("=", "\t"))
    assert row["set_up"] == "2030-03-17T18:30:00.000+01:00" and row["seconds"] == "95.0" and row["known_until"] == ""
    # The same on a terminal: nothing that could steer it.
    assert "\r\n" not in run(tmp_path).stdout


def test_what_cannot_be(kept: Path, tmp_path: Path) -> None:
    for option in (("--since", "soon"), ("--min-duration", "x"), ("--result", "fine"), ("--limit", "-1")):
        assert run(kept, *option).exit_code == 2
    assert "leave --live out" in run(kept, "--live", "--totals").stderr
    done = run(tmp_path / "nowhere")
    assert done.exit_code == 1 and "no call was recorded yet" in done.stderr
    assert run(tmp_path / "nowhere", "--totals").exit_code == 1
    (kept / "calls.db").write_bytes(b"x" * 5000)
    assert run(kept).exit_code == 1


def test_durations() -> None:
    assert [seconds_in(text) for text in ("90", "1.5m", "2h", "7d", "1w", "", "m", "1y", "²")] == [
        90, 90, 7200, 604800, 604800, None, None, None, None,
    ]  # fmt: skip
