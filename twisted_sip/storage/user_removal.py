"""What one user has in the databases of a server that does not run: removed, for good.

A server that runs does that itself, since its memory is the master of what it has opened.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import attrs

from twisted_sip.errors import StoreError
from twisted_sip.storage.accounting_rows import ACCOUNTING_FILE, ACCOUNTING_SCHEMA, remove_records_of
from twisted_sip.storage.documents_sqlite import DOCUMENTS_FILE, DOCUMENTS_SCHEMA
from twisted_sip.storage.location_rows import LOCATION_SCHEMA, fold
from twisted_sip.storage.location_sqlite import LOCATION_FILE
from twisted_sip.storage.message_rows import MESSAGE_SCHEMA
from twisted_sip.storage.message_sqlite import MESSAGE_FILE
from twisted_sip.storage.publication_sqlite import PUBLICATION_FILE, PUBLICATION_SCHEMA
from twisted_sip.storage.sqlite import DatabaseLock, Schema, explain, open_database
from twisted_sip.storage.subscription_sqlite import SUBSCRIPTION_FILE, SUBSCRIPTION_SCHEMA
from twisted_sip.storage.users_database import USERS_FILE, USERS_SCHEMA


@attrs.frozen(slots=True)
class _Kind:
    """One kind of what a user has.

    :ivar name: what people call it.
    :ivar file: the database.
    :ivar table: the table.
    :ivar column: which of its columns says whose it is.
    :ivar expires: whether it is worth counting for so long alone.
    :ivar lasts: whether it is more than the state of devices that are there.
    """

    name: str
    file: str
    schema: Schema
    table: str
    column: str
    expires: bool = True
    lasts: bool = False


_KINDS = (
    _Kind("contacts", LOCATION_FILE, LOCATION_SCHEMA, "binding", "aor"),
    _Kind("subscriptions", SUBSCRIPTION_FILE, SUBSCRIPTION_SCHEMA, "subscription", "watcher"),
    _Kind("publications", PUBLICATION_FILE, PUBLICATION_SCHEMA, "publication", "resource"),
    _Kind("messages", MESSAGE_FILE, MESSAGE_SCHEMA, "message", "recipient", lasts=True),
    _Kind("call settings", USERS_FILE, USERS_SCHEMA, "call_policy", "aor", expires=False),
    _Kind("documents", DOCUMENTS_FILE, DOCUMENTS_SCHEMA, "document", "owner", expires=False, lasts=True),
)


_CALLS = _Kind("call records", ACCOUNTING_FILE, ACCOUNTING_SCHEMA, "call", "user", expires=False, lasts=True)


def remove_user(
    directory: Path,
    aor: str,
    now: float,
    *,
    keep_data: bool = False,
    pass_by_open: bool = False,
    with_calls: bool = False,
) -> dict[str, int]:
    """Remove what *aor* has in the databases in *directory*.

    :param aor: the canonical address-of-record.
    :param now: seconds since the epoch.
    :param keep_data: keep messages and documents.
    :param pass_by_open: leave databases alone that a server has opened.
    :param with_calls: remove the records of calls from and to the user, too.
    :return: how much of what was removed, contacts, subscriptions, publications, messages, call settings, documents,
        call records, where there was any; what had expired goes, too, and is not counted.
    :raises StoreError: a database cannot be changed, or a server has opened it; others may have been changed.
    """
    removed: dict[str, int] = {}
    for kind in (*_KINDS, *((_CALLS,) if with_calls else ())):
        path = directory / kind.file
        if (kind.lasts and keep_data) or not path.exists():
            continue
        with contextlib.ExitStack() as stack:
            try:
                lock = DatabaseLock(path)
            except StoreError:
                if pass_by_open:
                    continue
                raise
            stack.callback(lock.release)
            connection = open_database(path, kind.schema, synchronous="FULL")
            stack.callback(connection.close)
            with _explained(path):
                count = _remove(connection, kind, aor, now)
            if count:
                removed[kind.name] = count
    return removed


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise explain(path, error) from error


def _remove(connection: sqlite3.Connection, kind: _Kind, aor: str, now: float) -> int:
    if kind is _CALLS:
        return remove_records_of(connection, aor)
    if kind.schema is LOCATION_SCHEMA:
        fold(connection)
    owner: str | bytes = aor
    try:
        aor.encode()
    except UnicodeEncodeError:
        # As every store keeps what is no UTF-8.
        owner = aor.encode("utf-8", "surrogateescape")
    where = f"FROM {kind.table} WHERE {kind.column} = ?"
    query, values = (f"{where} AND expires_at > ?", (owner, now)) if kind.expires else (where, (owner,))
    (count,) = connection.execute(f"SELECT count(*) {query}", values).fetchone()
    connection.execute(f"DELETE {where}", (owner,))
    return int(count)
