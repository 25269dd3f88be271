"""Users and what is kept of their passwords, in SQLite (RFC 7616, RFC 8760).

What is remembered of the database, and how changes by others are noticed, is in :mod:`users_database`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from twisted_sip.interfaces.credentials import Credential, ICredentialStore
from twisted_sip.storage.passwords import make_credential
from twisted_sip.storage.users_database import POLL_INTERVAL, UsersDatabase

#: How many credentials are remembered; whoever exceeds it costs a query again.
_MOST_REMEMBERED = 100_000

#: How many names of nobody are remembered.
_MOST_ABSENT = 1024

_UPSERT = (
    "INSERT INTO credential (user, realm, md5, sha256, sha512_256, algorithm) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (realm, user) DO UPDATE SET md5 = excluded.md5, sha256 = excluded.sha256,"
    " sha512_256 = excluded.sha512_256, algorithm = excluded.algorithm"
)
_SELECT = "SELECT user, realm, md5, sha256, sha512_256, algorithm FROM credential"


def _row(credential: Credential) -> tuple[str, ...]:
    ha1 = credential.ha1
    return (
        credential.user, credential.realm, ha1["MD5"], ha1["SHA-256"], ha1["SHA-512-256"], credential.algorithm
    )  # fmt: skip


def _credential(row: Sequence[Any]) -> Credential:
    user, realm, md5, sha256, sha512_256, algorithm = row
    return Credential(user, realm, {"MD5": md5, "SHA-256": sha256, "SHA-512-256": sha512_256}, algorithm)


@implementer(ICredentialStore)
class SQLiteCredentialStore(UsersDatabase):
    """Credentials in an SQLite database. Every call is synchronous; changes take a few milliseconds each."""

    def __init__(
        self,
        path: Path,
        clock: IReactorTime | None = None,
        *,
        poll_interval: float = POLL_INTERVAL,
        timeout: float = 5.0,
    ) -> None:
        """As UsersDatabase."""
        super().__init__(path, clock, poll_interval=poll_interval, timeout=timeout)
        self._known: dict[tuple[str, str], Credential] = {}
        self._absent: set[tuple[str, str]] = set()

    # -- for a server ---------------------------------------------------------

    def lookup(self, user: str, realm: str) -> Credential | None:
        self._look()
        found = self._known.get((user, realm))
        if found is not None:
            return found
        key = (user, realm)
        if key in self._absent:
            return None
        found = self._select(user, realm)
        if found is None:
            # A few of those who are not there are remembered, too, or the time that an answer takes would tell them
            # from the others; few, since strangers would fill the memory.
            if len(self._absent) >= _MOST_ABSENT:
                self._absent.clear()
            self._absent.add(key)
            return None
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[key] = found
        return found

    def _forget(self) -> None:
        self._known.clear()
        self._absent.clear()

    def _select(self, user: str, realm: str) -> Credential | None:
        try:
            user.encode()
            realm.encode()
        except UnicodeEncodeError:
            # Bytes that are no UTF-8: nobody is called that here.
            return None
        query = f"{_SELECT} WHERE realm = ? AND user = ?"
        row = self._run(lambda db: db.execute(query, (realm, user)).fetchone())
        return None if row is None else _credential(row)

    # -- for the command line -------------------------------------------------

    def add(self, user: str, realm: str, password: str, *, algorithm: str = "") -> bool:
        """Keep *password* for a new *user* of *realm*.

        :param algorithm: what to challenge this user with, empty for the server's default.
        :return: False if there is such a user already; nothing is changed then.
        :raises LocalProtocolError: a value that cannot be used.
        :raises StoreError: the database cannot be changed.
        """
        credential = make_credential(user, realm, password, algorithm)
        statement = _UPSERT.partition(" ON CONFLICT")[0] + " ON CONFLICT DO NOTHING"
        return self._change(statement, [_row(credential)]) == 1

    def set_password(self, user: str, realm: str, password: str, *, algorithm: str | None = None) -> bool:
        """Keep another *password* for *user* of *realm*.

        :param algorithm: what to challenge this user with from now on, None for what it is.
        :return: False if there is no such user.
        :raises LocalProtocolError: a value that cannot be used.
        :raises StoreError: the database cannot be changed.
        """
        known = self._select(user, realm)
        if known is None:
            return False
        credential = make_credential(user, realm, password, known.algorithm if algorithm is None else algorithm)
        statement = "UPDATE credential SET md5 = ?3, sha256 = ?4, sha512_256 = ?5, algorithm = ?6"
        return self._change(f"{statement} WHERE user = ?1 AND realm = ?2", [_row(credential)]) == 1

    def remove(self, user: str, realm: str) -> bool:
        """Forget *user* of *realm*.

        :return: False if there was no such user.
        :raises StoreError: the database cannot be changed.
        """
        return self._change("DELETE FROM credential WHERE user = ? AND realm = ?", [(user, realm)]) == 1

    def import_users(
        self,
        users: Iterable[tuple[str, str, str]],
        *,
        algorithm: str = "",
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """Keep the passwords of many, (user, realm, password) each, new ones and known ones: all or none.

        :param progress: called with the number done so far, every now and then.
        :return: how many there were.
        :raises LocalProtocolError: a value that cannot be used; nothing is changed.
        :raises StoreError: the database cannot be changed.
        """
        rows: list[tuple[str, ...]] = []
        for user, realm, password in users:
            rows.append(_row(make_credential(user, realm, password, algorithm)))
            if progress is not None and len(rows) % 100 == 0:
                progress(len(rows))
        self._change(_UPSERT, rows)
        if progress is not None:
            progress(len(rows))
        return len(rows)

    def users(self, realm: str = "") -> list[Credential]:
        """Return all credentials, of *realm* only if it is given, by realm and user.

        :raises StoreError: the database cannot be read.
        """
        where = " WHERE realm = ?" if realm else ""
        query = f"{_SELECT}{where} ORDER BY realm, user"
        values = (realm,) if realm else ()
        return self._run(lambda db: [_credential(row) for row in db.execute(query, values)])

    def _change(self, statement: str, rows: Sequence[tuple[str, ...]]) -> int:
        """Run *statement* for all *rows*, all or none; return how many rows it changed."""

        def change(db: sqlite3.Connection) -> int:
            db.execute("BEGIN IMMEDIATE")
            try:
                count = db.executemany(statement, rows).rowcount
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            return count

        try:
            return self._run(change)
        finally:
            # One's own changes do not move data_version.
            self._forget()
