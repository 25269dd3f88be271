"""Records as rows of one table: the statements that put, drop and read them, and how text gets in and out."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from twisted_sip.storage.sqlite import Schema

Record = TypeVar("Record")
_Put = TypeVar("_Put", covariant=True)

#: A statement, and the rows that it is run for.
Step = tuple[str, list[tuple[Any, ...]]]


class RecordChange(Protocol[_Put]):
    """An atomic change: records to put, and the keys of those to drop, which goes first."""

    @property
    def put(self) -> Sequence[_Put]: ...

    @property
    def remove(self) -> Sequence[Any]: ...


class RecordTable(Generic[Record]):
    """One table of records that expire; it must have a column ``expires_at`` and a rowid.

    :ivar schema: the database that it stands in.
    """

    def __init__(
        self,
        schema: Schema,
        name: str,
        columns: Sequence[str],
        *,
        keys: int,
        row_of: Callable[[Record], tuple[Any, ...]],
        record_of: Callable[[dict[str, Any]], Record],
        binary: Iterable[str] = (),
    ) -> None:
        """Describe a table.

        :param columns: their names, those of the primary key first.
        :param keys: how many of them are the primary key.
        :param row_of: gives the values of a record in the order of *columns*.
        :param record_of: gives the record of a row, by the names of its columns.
        :param binary: columns whose values are bytes; all others are text or numbers.
        """
        self.schema = schema
        self._row_of = row_of
        self._record_of = record_of
        self._columns = tuple(columns)
        self._binary = frozenset(binary)
        self._keys = keys
        key, rest = self._columns[:keys], self._columns[keys:]
        names = ", ".join(self._columns)
        # An update keeps the rowid: it is the order in which records were first made.
        self._put = (
            f"INSERT INTO {name} ({names}) VALUES ({', '.join('?' * len(self._columns))})"
            f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {', '.join(f'{one} = excluded.{one}' for one in rest)}"
        )
        self._remove = f"DELETE FROM {name} WHERE {' AND '.join(f'{one} = ?' for one in key)}"
        self._read = f"SELECT {names} FROM {name} WHERE expires_at > ? ORDER BY rowid"
        self._drop = f"DELETE FROM {name} WHERE expires_at <= ?"

    def steps_of(self, changes: Iterable[RecordChange[Record]]) -> list[Step]:
        """Return what *changes*, all in one transaction, make of the table: what is removed, then what is put.

        Of several changes of a record the last one counts. One that is removed and put again goes to the end.

        For the thread that makes the changes, not for the one that writes.
        """
        removed: dict[Any, tuple[Any, ...]] = {}
        put: dict[Any, tuple[Any, ...]] = {}
        keys, row_of = self._keys, self._row_of
        for change in changes:
            for key in change.remove:
                put.pop(key, None)
                removed[key] = key if keys > 1 else (key,)
            for record in change.put:
                row = row_of(record)
                put[row[:keys] if keys > 1 else row[0]] = row
        steps: list[Step] = []
        if removed:
            steps.append((self._remove, list(removed.values())))
        if put:
            steps.append((self._put, list(put.values())))
        return steps

    def read(self, connection: sqlite3.Connection, now: float) -> list[Record]:
        """Return the records that live beyond *now*, in the order in which they were first made.

        :raises sqlite3.Error: they cannot be read.
        """
        binary = self._binary
        return [
            self._record_of(
                {
                    name: value if name in binary else _loaded(value)
                    for name, value in zip(self._columns, row, strict=True)
                }
            )
            for row in connection.execute(self._read, (now,))
        ]

    def drop_expired(self, connection: sqlite3.Connection, now: float) -> None:
        """Delete the records that ended at *now* or before.

        :raises sqlite3.Error: it did not work.
        """
        connection.execute(self._drop, (now,))


def write_steps(connection: sqlite3.Connection, steps: Sequence[Step]) -> None:
    """Make *steps* durable in one transaction, all or none.

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
