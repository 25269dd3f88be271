"""How ``twisted-sip calls`` shows calls: rows for people, objects for programs, CSV that a spreadsheet only shows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from twisted_sip.cli.output import duration
from twisted_sip.interfaces.accounting import CallRecord
from twisted_sip.storage.accounting_reading import UserTotals
from twisted_sip.storage.accounting_text import record_text

#: What a spreadsheet takes for a formula, or for the beginning of a new cell.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

_TIMES = ("set_up", "ringing", "answered", "ended", "known_until")

#: Columns of CSV, in their order.
_CSV = (
    "id", "set_up", "ringing", "answered", "ended", "seconds", "result", "status", "reason", "ended_by", "user",
    "callee_user", "caller", "callee", "target", "call_id", "known_until",
)  # fmt: skip


def call_columns(now: float) -> tuple[str, ...]:
    """Return the heads of :func:`call_row`; *now* in seconds since the epoch."""
    zone = datetime.fromtimestamp(now).astimezone().strftime("%Z")
    return (f"begun ({zone})", "from", "to", "rang", "talked", "result", "")


def call_row(record: CallRecord, now: float) -> tuple[str, ...]:
    """Return a row of the table; *now* in seconds since the epoch."""
    rang = ""
    if record.ringing is not None:
        rang = duration((record.answered or record.ended or now) - record.ringing)
    talked = duration((record.ended or now) - record.answered) if record.answered is not None else ""
    return (
        datetime.fromtimestamp(record.set_up).astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        record.caller.removeprefix("sip:"),
        record.callee.removeprefix("sip:"),
        rang,
        talked,
        record.result or _going_on(record),
        _why(record),
    )


def _going_on(record: CallRecord) -> str:
    if record.answered is not None:
        return "talking"
    return "calling" if record.ringing is None else "ringing"


def _why(record: CallRecord) -> str:
    if not record.result:
        return ""
    if record.result == "answered":
        reason = f": {record.reason}" if record.reason else ""
        return f"by {record.ended_by}{reason}"
    return f"{record.status or ''} {record.reason}".strip()


def record_object(record: CallRecord) -> dict[str, Any]:
    """Return *record* for programs: times in local time with their zone, in the form of RFC 3339."""
    found: dict[str, Any] = json.loads(record_text(record))
    for name in _TIMES:
        if found[name] is not None:
            found[name] = datetime.fromtimestamp(found[name]).astimezone().isoformat(timespec="milliseconds")
    return found


def totals_columns() -> tuple[str, ...]:
    """Return the heads of :func:`totals_row`."""
    return ("user", "calls made", "answered", "talked", "calls got", "answered", "talked")


def totals_row(totals: UserTotals) -> tuple[object, ...]:
    """Return a row of the table."""
    return (
        totals.user.removeprefix("sip:"),
        totals.made,
        totals.made_answered,
        duration(totals.made_seconds),
        totals.got,
        totals.got_answered,
        duration(totals.got_seconds),
    )


def csv_text(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Return *rows* as CSV (RFC 4180); what would be a formula has an apostrophe before it, and is only shown."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(column)) for column in columns])
    return text.getvalue()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, str):
        # Line breaks and the like are no part of any value here; lone bytes cannot be printed.
        if not value.isprintable():
            value = "".join(char if char.isprintable() else " " for char in value)
        return f"'{value}" if value.startswith(_FORMULA) else value
    return value


def print_calls_csv(records: Sequence[CallRecord]) -> None:
    """Print *records* as CSV."""
    click.echo(csv_text(_CSV, [record_object(record) for record in records]), nl=False)


def print_totals_csv(totals: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print *totals* as CSV."""
    click.echo(csv_text(columns, totals), nl=False)
