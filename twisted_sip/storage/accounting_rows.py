"""Call records as rows of their database: its schema, what is written of a call, and how it is read again.

A call has its row when it is over. Those that are answered and not over stand together, as JSON, in the row of the
batch in which they were written; that row goes with the last of them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain, groupby
from typing import Any, TypeAlias

from twisted_sip.interfaces.accounting import CallRecord
from twisted_sip.storage.accounting_text import kept_legs_text, legs_from, record_from
from twisted_sip.storage.sqlite import Schema

#: The name of the database in a state directory.
ACCOUNTING_FILE = "calls.db"

# Released migrations never change; a new version is a new entry at the end.
ACCOUNTING_SCHEMA = Schema(
    kind="call record",
    application_id=0x54534331,
    migrations=(
        (
            # The order of seq is the order in which calls were over.
            """CREATE TABLE call (
                seq INTEGER PRIMARY KEY, id TEXT NOT NULL, user TEXT NOT NULL, callee_user TEXT NOT NULL,
                caller TEXT NOT NULL, callee TEXT NOT NULL, call_id TEXT NOT NULL, set_up REAL NOT NULL, ringing REAL,
                answered REAL, ended REAL NOT NULL, result TEXT NOT NULL, status INTEGER NOT NULL, reason TEXT NOT NULL,
                ended_by TEXT NOT NULL, known_until REAL, interval REAL NOT NULL, caller_tag TEXT NOT NULL,
                callee_tag TEXT NOT NULL, target TEXT NOT NULL, legs TEXT)""",
            "CREATE INDEX call_set_up ON call (set_up)",
            "CREATE TABLE under_way (batch INTEGER PRIMARY KEY, records TEXT NOT NULL)",
            # What has to be told elsewhere, in the order in which it happened.
            "CREATE TABLE callback (number INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL)",
            # When this program last said that it runs.
            "CREATE TABLE sign_of_life (only INTEGER PRIMARY KEY CHECK (only = 1), seen_at REAL NOT NULL)",
        ),
    ),
)

_COLUMNS = (
    "id", "user", "callee_user", "caller", "callee", "call_id", "set_up", "ringing", "answered", "ended", "result",
    "status", "reason", "ended_by", "known_until", "interval", "caller_tag", "callee_tag", "target", "legs",
)  # fmt: skip
_TEXTS = (
    "id", "user", "callee_user", "caller", "callee", "call_id", "result", "reason", "ended_by", "caller_tag",
    "callee_tag", "target",
)  # fmt: skip

#: What :func:`record_of` wants, as SELECT has it.
COLUMNS = ", ".join(_COLUMNS)

_ROW = f"({', '.join('?' * len(_COLUMNS))})"
#: Rows of one statement: 1,280 variables. The fewer statements, the less often Python's lock changes hands.
_MOST_ROWS = 64
_INSERTS = [f"INSERT INTO call ({COLUMNS}) VALUES {', '.join([_ROW] * count)}" for count in range(_MOST_ROWS + 1)]
_OVER = _INSERTS[1]
_UNDER_WAY = "INSERT INTO under_way VALUES (?, ?)"
_NOT_UNDER_WAY = "DELETE FROM under_way WHERE batch = ?"
_CALLBACK = "INSERT INTO callback (body) VALUES (?)"
_SIGN = "INSERT OR REPLACE INTO sign_of_life VALUES (1, ?)"

#: Statements in the order in which those of a batch are run: a batch is there before it goes.
_ORDER = {statement: place for place, statement in enumerate((_UNDER_WAY, _OVER, _NOT_UNDER_WAY, _CALLBACK, _SIGN))}

#: One statement and its values.
Step: TypeAlias = "tuple[str, tuple[Any, ...]]"


def over(record: CallRecord) -> Step:
    """Return the step that keeps *record*, of a call that is over."""
    legs = record.legs
    return _OVER, (
        record.id,
        record.user,
        record.callee_user,
        record.caller,
        record.callee,
        record.call_id,
        record.set_up,
        record.ringing,
        record.answered,
        record.ended,
        record.result,
        record.status,
        record.reason,
        record.ended_by,
        record.known_until,
        record.interval,
        record.caller_tag,
        record.callee_tag,
        record.target,
        kept_legs_text(legs) if legs else None,
    )


def under_way(batch: int, records: Sequence[str]) -> Step:
    """Return the step that keeps *records*, each as open_text() gives it."""
    return _UNDER_WAY, (batch, "\n".join(records))


def not_under_way(batch: int) -> Step:
    """Return the step that drops what :func:`under_way` has kept: all of it is over."""
    return _NOT_UNDER_WAY, (batch,)


def callback(body: str) -> Step:
    """Return the step that queues *body*."""
    return _CALLBACK, (body,)


def sign_of_life(now: float) -> Step:
    """Return the step that notes that this program runs *now*."""
    return _SIGN, (now,)


def write_steps(connection: sqlite3.Connection, steps: Sequence[Step]) -> None:
    """Make *steps* durable in one transaction, all or none.

    :raises sqlite3.Error: they are not durable.
    """
    try:
        _write(connection, steps)
    except UnicodeEncodeError:
        # Peers may send bytes that are no UTF-8, which text carries as lone surrogates: such values go in as bytes.
        _write(connection, [(statement, tuple(map(as_stored, values))) for statement, values in steps])


def _write(connection: sqlite3.Connection, steps: Sequence[Step]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Each statement once.
        for statement, run in groupby(sorted(steps, key=_place), key=_statement):
            rows = [values for _, values in run]
            if statement is _OVER:
                for start in range(0, len(rows), _MOST_ROWS):
                    part = rows[start : start + _MOST_ROWS]
                    connection.execute(_INSERTS[len(part)], list(chain.from_iterable(part)))
            else:
                connection.executemany(statement, rows)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _statement(step: Step) -> str:
    return step[0]


def _place(step: Step) -> int:
    return _ORDER[step[0]]


def as_stored(value: Any) -> Any:
    """Return *value* as it stands in a row."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "surrogateescape")
    return value


def record_of(row: Sequence[Any]) -> CallRecord:
    """Return the record in *row*, which has :data:`COLUMNS`.

    :raises ValueError: it is not what was written; so do TypeError and AttributeError say.
    """
    fields: dict[str, Any] = dict(zip(_COLUMNS, row, strict=True))
    for name in _TEXTS:
        value = fields[name]
        if isinstance(value, bytes):
            fields[name] = value.decode("utf-8", "surrogateescape")
        elif not isinstance(value, str):
            raise ValueError(f"{name} is no text")
    legs = fields.pop("legs")
    return CallRecord(**fields, legs=() if legs is None else legs_from(json.loads(legs)))


def read_under_way(connection: sqlite3.Connection) -> list[CallRecord]:
    """Return the records of calls that are answered and not over.

    :raises sqlite3.Error: they cannot be read; ValueError, TypeError and AttributeError say that they are not what was
        written.
    """
    found: dict[str, CallRecord] = {}
    for (records,) in connection.execute("SELECT records FROM under_way ORDER BY batch"):
        for line in records.splitlines():
            record = record_from(json.loads(line))
            record.known_until = record.answered
            found[record.id] = record
    if found:
        first = min(record.set_up for record in found.values()) - 1
        # The row of a batch may outlive most of its calls.
        for (id,) in connection.execute("SELECT id FROM call WHERE set_up >= ?", (first,)):
            found.pop(id, None)
    return list(found.values())


def keep_under_way(connection: sqlite3.Connection, batches: Iterable[tuple[int, Sequence[str]]]) -> None:
    """Put *batches* in the place of all that was under way.

    :raises sqlite3.Error: they are not durable.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("DELETE FROM under_way")
        connection.executemany(_UNDER_WAY, [under_way(batch, records)[1] for batch, records in batches])
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def last_sign(connection: sqlite3.Connection) -> float | None:
    """Return when the program before this one last said that it runs, None if it has not."""
    found = connection.execute("SELECT seen_at FROM sign_of_life").fetchone()
    return None if found is None else float(found[0])


# -- the queue of callbacks ----------------------------------------------------------------------


def queued(connection: sqlite3.Connection, most: int) -> list[tuple[int, str]]:
    """Return the first *most* of what is queued, with their numbers."""
    return connection.execute("SELECT number, body FROM callback ORDER BY number LIMIT ?", (most,)).fetchall()


def count_queued(connection: sqlite3.Connection) -> int:
    """Return how much is queued."""
    return int(connection.execute("SELECT count(*) FROM callback").fetchone()[0])


def unqueue(connection: sqlite3.Connection, up_to: int) -> int:
    """Drop what is queued up to the number *up_to*; return how much that was."""
    return connection.execute("DELETE FROM callback WHERE number <= ?", (up_to,)).rowcount


# -- what goes ------------------------------------------------------------------------------------


def prune(connection: sqlite3.Connection, before: float, most: int) -> int:
    """Remove records of calls that were set up before *before*, *most* of them; return how many."""
    return connection.execute(
        "DELETE FROM call WHERE seq IN (SELECT seq FROM call WHERE set_up < ? LIMIT ?)", (before, most)
    ).rowcount


def remove_records_of(connection: sqlite3.Connection, aor: str) -> int:
    """Remove the records of calls from and to the user *aor* that are over; return how many."""
    return connection.execute("DELETE FROM call WHERE ? IN (user, callee_user)", (as_stored(aor),)).rowcount
