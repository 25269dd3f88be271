"""Bindings as rows of the location database: its schema, its statements, and how text gets in and out.

Changes are appended to a journal, which touches a page or two for a whole batch, where updates of rows in their places
would touch one page or two for each. Now and then, and when the database is opened, the journal is folded into the
table of bindings. So the state is the table, then the journal in its order.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from twisted_sip.interfaces.location import Binding, LocationChange
from twisted_sip.storage.sqlite import Schema

# Released migrations never change; a new version is a new entry at the end.
LOCATION_SCHEMA = Schema(
    kind="location",
    application_id=0x54534C31,
    migrations=(
        (
            # With a rowid, which an update keeps: it is the order in which bindings were first made.
            """CREATE TABLE binding (
                aor TEXT NOT NULL, key TEXT NOT NULL, contact TEXT NOT NULL, call_id TEXT NOT NULL,
                cseq INTEGER NOT NULL, expires_at REAL NOT NULL, q INTEGER NOT NULL, params TEXT NOT NULL,
                instance TEXT NOT NULL, reg_id INTEGER NOT NULL, flow TEXT NOT NULL, received TEXT NOT NULL,
                user_agent TEXT NOT NULL, registered_at REAL NOT NULL, node TEXT NOT NULL, path TEXT NOT NULL,
                PRIMARY KEY (aor, key))""",
            # A row without a contact is a removal.
            """CREATE TABLE journal (
                seq INTEGER PRIMARY KEY, aor TEXT, key TEXT, contact TEXT, call_id TEXT, cseq INTEGER,
                expires_at REAL, q INTEGER, params TEXT, instance TEXT, reg_id INTEGER, flow TEXT, received TEXT,
                user_agent TEXT, registered_at REAL, node TEXT, path TEXT)""",
        ),
        # Temporary GRUUs and push notifications.
        (
            "ALTER TABLE binding ADD COLUMN series TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE binding ADD COLUMN push TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE journal ADD COLUMN series TEXT",
            "ALTER TABLE journal ADD COLUMN push TEXT",
            "UPDATE journal SET series = '', push = '' WHERE contact IS NOT NULL",
        ),
    ),
)

_PLAIN = (
    "aor", "key", "contact", "call_id", "cseq", "expires_at", "q", "params",
    "instance", "reg_id", "flow", "received", "user_agent", "registered_at", "node",
    "series", "push",
)  # fmt: skip
_COLUMNS = (*_PLAIN, "path")
_NAMES = ", ".join(_COLUMNS)
_plain = attrgetter(*_PLAIN)
_REMOVAL = (None,) * (len(_COLUMNS) - 2)

_ROW = f"({', '.join('?' * len(_COLUMNS))})"
#: Rows of one statement: 1,152 variables.
_MOST_ROWS = 64
_MOST_VALUES = _MOST_ROWS * len(_COLUMNS)
_INSERTS = [f"INSERT INTO journal ({_NAMES}) VALUES {','.join([_ROW] * count)}" for count in range(_MOST_ROWS + 1)]

_FOLD = (
    "DELETE FROM binding WHERE rowid IN (SELECT binding.rowid FROM journal JOIN binding USING (aor, key)"
    " WHERE journal.contact IS NULL)",
    f"""INSERT INTO binding ({_NAMES})
        SELECT {", ".join(f"journal.{name}" for name in _COLUMNS)} FROM journal JOIN (
            SELECT max(added.seq) AS last, min(added.seq) AS first
            FROM journal AS added LEFT JOIN (
                SELECT aor, key, max(seq) AS seq FROM journal WHERE contact IS NULL GROUP BY aor, key
            ) AS removed USING (aor, key)
            WHERE removed.seq IS NULL OR added.seq > removed.seq
            GROUP BY added.aor, added.key
        ) AS span ON journal.seq = span.last
        ORDER BY span.first
        ON CONFLICT (aor, key) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[2:])}""",
    "DELETE FROM journal",
)


def rows_of(changes: Iterable[LocationChange]) -> list[list[Any]]:
    """Return the rows that *changes* add to the journal: the values of up to 64 rows end to end, list after list.

    For the thread that makes the changes, not for the one that writes: while that one runs Python code each system call
    of the other costs a hand-over of the interpreter lock.
    """
    values: list[Any] = []
    for change in changes:
        for key in change.remove:
            values += (change.aor, key, *_REMOVAL)
        for binding in change.put:
            values += _plain(binding)
            values.append("\n".join(binding.path))
    return [values[start : start + _MOST_VALUES] for start in range(0, len(values), _MOST_VALUES)]


def write_rows(connection: sqlite3.Connection, rows: Sequence[list[Any]]) -> int:
    """Make what :func:`rows_of` gave durable in one transaction, all or none.

    :return: the number of rows that the journal grew by.
    :raises sqlite3.Error: they are not durable.
    """
    try:
        _append(connection, rows)
    except UnicodeEncodeError:
        # Peers may send bytes that are no UTF-8, which text carries as lone surrogates: such values go in as bytes.
        _append(connection, [[_stored(value) for value in values] for values in rows])
    return sum(map(len, rows)) // len(_COLUMNS)


def _append(connection: sqlite3.Connection, rows: Sequence[list[Any]]) -> None:
    # Every statement that runs hands the interpreter lock over and takes it back, which a busy reactor makes slow and
    # dear: so many rows are one statement, and one statement is a transaction of its own.
    if len(rows) == 1:
        connection.execute(*_insert(rows[0]))
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for values in rows:
            connection.execute(*_insert(values))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _insert(values: list[Any]) -> tuple[str, list[Any]]:
    """Return the statement for *values*; there are few enough of them for all to be kept compiled."""
    return _INSERTS[len(values) // len(_COLUMNS)], values


def _stored(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "surrogateescape")
    return value


def _loaded(value: Any) -> Any:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def fold(connection: sqlite3.Connection) -> None:
    """Bring the table of bindings up to date and empty the journal.

    :raises sqlite3.Error: it did not work; nothing has changed.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in _FOLD:
            connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    # It has gone through everything; what follows touches a page or two, and needs no such cache.
    connection.execute("PRAGMA shrink_memory")


def read_bindings(connection: sqlite3.Connection, now: float) -> list[Binding]:
    """Return the bindings that live beyond *now*, those of one address-of-record in the order of their first making.

    :raises sqlite3.Error: they cannot be read.
    """
    bindings: dict[tuple[str, str], Binding] = {}
    connection.execute("BEGIN")
    try:
        for table, order in (("binding", "rowid"), ("journal", "seq")):
            for row in connection.execute(f"SELECT {_NAMES} FROM {table} ORDER BY {order}"):
                fields: dict[str, Any] = dict(zip(_COLUMNS, map(_loaded, row), strict=True))
                place = (fields["aor"], fields["key"])
                if fields["contact"] is None:
                    bindings.pop(place, None)
                    continue
                path = fields.pop("path")
                bindings[place] = Binding(path=tuple(path.split("\n")) if path else (), **fields)
    finally:
        connection.execute("COMMIT")
    return [binding for binding in bindings.values() if binding.expires_at > now]


def drop_expired(connection: sqlite3.Connection, now: float) -> None:
    """Delete the bindings that ended at *now* or before from the table; the journal has to be folded."""
    connection.execute("DELETE FROM binding WHERE expires_at <= ?", (now,))
