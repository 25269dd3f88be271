"""The database of users, which several stores keep tables in: credentials, call policies.

It is changed by the command line while servers are running on it, so a server asks SQLite now and then whether somebody
else has changed it (``PRAGMA data_version``) and forgets what it remembered. Changes use ``synchronous=FULL``: a user
who has been removed stays removed whatever happens to the machine.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from twisted.internet.interfaces import IReactorTime

from twisted_sip.errors import StoreError
from twisted_sip.storage.sqlite import Schema, explain, open_database

#: The name of the database in a state directory.
USERS_FILE = "users.db"

#: For how many seconds a server may not notice what another process has changed.
POLL_INTERVAL = 1.0

# Released migrations never change; a new version is a new entry at the end.
USERS_SCHEMA = Schema(
    kind="credential",
    application_id=0x54535531,
    migrations=(
        (
            """CREATE TABLE credential (
                realm TEXT NOT NULL, user TEXT NOT NULL, md5 TEXT NOT NULL, sha256 TEXT NOT NULL,
                sha512_256 TEXT NOT NULL, algorithm TEXT NOT NULL,
                PRIMARY KEY (realm, user)) WITHOUT ROWID""",
        ),
        ("CREATE TABLE call_policy (aor TEXT NOT NULL PRIMARY KEY, policy TEXT NOT NULL) WITHOUT ROWID",),
    ),
)

_Result = TypeVar("_Result")


class UsersDatabase:
    """One connection to the database of users, for a store that remembers what it has read."""

    def __init__(
        self,
        path: Path,
        clock: IReactorTime | None = None,
        *,
        poll_interval: float = POLL_INTERVAL,
        timeout: float = 5.0,
    ) -> None:
        """Open the database at *path*, make it if it is not there.

        :param clock: a reactor, or a task.Clock; None (the command line) asks the database every time.
        :param poll_interval: seconds for which a change by another process may go unnoticed.
        :param timeout: seconds to wait for a process that holds the database.
        :raises StoreError: the database is locked, damaged, not writable or of a newer version.
        """
        self._path = path
        self._clock = clock
        self._interval = poll_interval
        self._connection = open_database(path, USERS_SCHEMA, synchronous="FULL", timeout=timeout)
        self._version = -1
        self._next_poll = 0.0

    def changed(self) -> None:
        """Somebody has changed the database: look at the next opportunity, not within a second."""
        self._next_poll = 0.0

    def close(self) -> None:
        """Close the database."""
        self._connection.close()
        self._forget()

    def _forget(self) -> None:
        """Forget what has been read."""
        raise NotImplementedError

    def _look(self) -> None:
        """Forget what has been read if it is time to look, and somebody else has changed the database."""
        now = 0.0
        if self._clock is not None and (now := self._clock.seconds()) < self._next_poll:
            return
        version = self._run(lambda db: int(db.execute("PRAGMA data_version").fetchone()[0]))
        if version != self._version:
            self._version = version
            self._forget()
        # Only once that has gone well: what cannot be read is tried again at once.
        self._next_poll = now + self._interval

    def _run(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        try:
            return work(self._connection)
        except sqlite3.Error as error:
            raise explain(self._path, error) from error
        except UnicodeEncodeError as error:
            raise StoreError(f"{self._path}: a name that is no UTF-8") from error
