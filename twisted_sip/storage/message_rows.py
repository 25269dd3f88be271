"""Messages as rows of their database: its schema, its statements, and how text gets in and out (RFC 3428)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, TypeAlias

from twisted_sip.interfaces.message_store import StoredMessage
from twisted_sip.storage.sqlite import Schema

# Released migrations never change; a new version is a new entry at the end.
MESSAGE_SCHEMA = Schema(
    kind="message",
    application_id=0x54534D31,
    migrations=(
        (
            # The order of seq is the order in which messages came.
            """CREATE TABLE message (
                seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, recipient TEXT NOT NULL, sender TEXT NOT NULL,
                from_value TEXT NOT NULL, to_value TEXT NOT NULL, call_id TEXT NOT NULL, cseq INTEGER NOT NULL,
                received_at REAL NOT NULL, expires_at REAL NOT NULL, headers TEXT NOT NULL, body BLOB NOT NULL)""",
        ),
        # RFC 5627: for one device alone.
        ("ALTER TABLE message ADD COLUMN instance TEXT NOT NULL DEFAULT ''",),
    ),
)

_COLUMNS = (
    "key", "recipient", "sender", "from_value", "to_value", "call_id", "cseq", "received_at", "expires_at",
    "instance", "headers", "body",
)  # fmt: skip
_TEXTS = frozenset(("key", "recipient", "sender", "from_value", "to_value", "call_id", "instance"))
_NAMES = ", ".join(_COLUMNS)
_INSERT = f"INSERT OR IGNORE INTO message ({_NAMES}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_DELETE = "DELETE FROM message WHERE key = ?"

#: One statement and its values.
Step: TypeAlias = "tuple[str, tuple[Any, ...]]"


def addition(message: StoredMessage) -> Step:
    """Return the step that keeps *message*, unless its key is kept."""
    # Peers may send bytes that are no UTF-8, which text carries as lone surrogates: such values go in as bytes.
    return _INSERT, (
        *[_stored(getattr(message, name)) for name in _COLUMNS[:-2]],
        json.dumps(message.headers, separators=(",", ":")),
        message.body,
    )


def removal(key: str) -> Step:
    """Return the step that drops the message with *key*."""
    return _DELETE, (_stored(key),)


def _stored(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "surrogateescape")
    return value


def write_steps(connection: sqlite3.Connection, steps: Sequence[Step]) -> None:
    """Make *steps* durable in one transaction, in their order, all or none.

    :raises sqlite3.Error: they are not durable.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement, run in groupby(steps, key=lambda step: step[0]):
            connection.executemany(statement, [values for _, values in run])
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def read_messages(connection: sqlite3.Connection) -> Iterable[StoredMessage]:
    """Return every message, expired ones too, in the order in which they came.

    :raises sqlite3.Error: they cannot be read.
    :raises ValueError: they are not what was written; so do TypeError, OverflowError and AttributeError say.
    """
    messages: list[StoredMessage] = []
    for row in connection.execute(f"SELECT {_NAMES} FROM message ORDER BY seq"):
        fields: dict[str, Any] = dict(zip(_COLUMNS, row, strict=True))
        for name in _TEXTS:
            value = fields[name]
            if isinstance(value, bytes):
                fields[name] = value.decode("utf-8", "surrogateescape")
        headers = tuple((name, value) for name, value in json.loads(fields.pop("headers")))
        numbers = (fields["cseq"], fields["received_at"], fields["expires_at"])
        if not (isinstance(fields["body"], bytes) and all(isinstance(number, (int, float)) for number in numbers)):
            raise ValueError("a value is of the wrong type")
        messages.append(StoredMessage(headers=headers, **fields))
    return messages
