"""Subscriptions as rows of their database: its schema, its statements, and how text gets in and out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from twisted_sip.interfaces.subscription import SubscriptionChange, SubscriptionRecord
from twisted_sip.storage.sqlite import Schema

# Released migrations never change; a new version is a new entry at the end.
SUBSCRIPTION_SCHEMA = Schema(
    kind="subscriptions",
    application_id=0x54535331,
    migrations=(
        (
            # With a rowid, which an update keeps: it is the order in which subscriptions were first made.
            """CREATE TABLE subscription (
                key TEXT NOT NULL PRIMARY KEY, event TEXT NOT NULL, event_id TEXT NOT NULL, resource TEXT NOT NULL,
                watcher TEXT NOT NULL, state TEXT NOT NULL, expires_at REAL NOT NULL, created_at REAL NOT NULL,
                dialog TEXT NOT NULL, cseq_limit INTEGER NOT NULL, flow TEXT NOT NULL, accept TEXT NOT NULL,
                options TEXT NOT NULL)""",
        ),
    ),
)

_PLAIN = (
    "key", "event", "event_id", "resource", "watcher", "state", "expires_at", "created_at", "dialog", "cseq_limit",
    "flow", "options",
)  # fmt: skip
_COLUMNS = (*_PLAIN, "accept")
_NAMES = ", ".join(_COLUMNS)
_plain = attrgetter(*_PLAIN)
_PUT = (
    f"INSERT INTO subscription ({_NAMES}) VALUES ({', '.join('?' * len(_COLUMNS))})"
    f" ON CONFLICT (key) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS[1:])}"
)
_REMOVE = "DELETE FROM subscription WHERE key = ?"

#: Rows for one statement.
Step = tuple[str, list[tuple[Any, ...]]]


def steps_of(changes: Iterable[SubscriptionChange]) -> list[Step]:
    """Return what *changes* do to the table, in order: statements, each with the rows that it is run for.

    For the thread that makes the changes, not for the one that writes.
    """
    steps: list[Step] = []

    def add(statement: str, row: tuple[Any, ...]) -> None:
        if steps and steps[-1][0] is statement:
            steps[-1][1].append(row)
        else:
            steps.append((statement, [row]))

    for change in changes:
        for key in change.remove:
            add(_REMOVE, (key,))
        for record in change.put:
            add(_PUT, (*_plain(record), "\n".join(record.accept)))
    return steps


def write_steps(connection: sqlite3.Connection, steps: Sequence[Step]) -> None:
    """Make what :func:`steps_of` gave durable in one transaction, all or none.

    :raises sqlite3.Error: they are not durable.
    """
    try:
        _run(connection, steps)
    except UnicodeEncodeError:
        # Peers may send bytes that are no UTF-8, which text carries as lone surrogates: such values go in as bytes.
        _run(connection, [(statement, [tuple(map(_stored, row)) for row in rows]) for statement, rows in steps])


def _run(connection: sqlite3.Connection, steps: Sequence[Step]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement, rows in steps:
            connection.executemany(statement, rows)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _stored(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "surrogateescape")
    return value


def _loaded(value: Any) -> Any:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def read_subscriptions(connection: sqlite3.Connection, now: float) -> list[SubscriptionRecord]:
    """Return the subscriptions that live beyond *now*, in the order in which they were first made.

    :raises sqlite3.Error: they cannot be read.
    """
    records: list[SubscriptionRecord] = []
    for row in connection.execute(f"SELECT {_NAMES} FROM subscription WHERE expires_at > ? ORDER BY rowid", (now,)):
        fields: dict[str, Any] = dict(zip(_COLUMNS, map(_loaded, row), strict=True))
        accept = fields.pop("accept")
        records.append(SubscriptionRecord(accept=tuple(accept.split("\n")) if accept else (), **fields))
    return records


def drop_expired(connection: sqlite3.Connection, now: float) -> None:
    """Delete the subscriptions that ended at *now* or before.

    :raises sqlite3.Error: it did not work.
    """
    connection.execute("DELETE FROM subscription WHERE expires_at <= ?", (now,))
