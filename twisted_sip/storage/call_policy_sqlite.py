"""Call policies in SQLite, in the database of the users.

As that, it is changed by the command line while servers run on it, so a server asks SQLite now and then whether
somebody else has changed it and forgets what it remembered.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from twisted_sip.errors import LocalProtocolError, StoreError
from twisted_sip.interfaces.call_policy import CallPolicy, ICallPolicyStore
from twisted_sip.storage.credentials_sqlite import CREDENTIALS_SCHEMA, POLL_INTERVAL
from twisted_sip.storage.sqlite import explain, open_database

#: How many policies are remembered, and for how many it is remembered that there is none.
_MOST_REMEMBERED = 100_000

_Result = TypeVar("_Result")


@implementer(ICallPolicyStore)
class SQLiteCallPolicyStore:
    """Call policies in an SQLite database. Every call is synchronous; changes take a few milliseconds each."""

    def __init__(
        self,
        path: Path,
        clock: IReactorTime | None = None,
        *,
        poll_interval: float = POLL_INTERVAL,
        timeout: float = 5.0,
    ) -> None:
        """Open the database of users at *path*, make it if it is not there.

        :param clock: a reactor, or a task.Clock; None (the command line) asks the database every time.
        :param poll_interval: seconds for which a change by another process may go unnoticed.
        :param timeout: seconds to wait for a process that holds the database.
        :raises StoreError: the database is locked, damaged, not writable or of a newer version.
        """
        self._path = path
        self._clock = clock
        self._interval = poll_interval
        self._connection = open_database(path, CREDENTIALS_SCHEMA, synchronous="FULL", timeout=timeout)
        self._known: dict[str, CallPolicy | None] = {}
        self._version = -1
        self._next_poll = 0.0

    def lookup(self, aor: str) -> CallPolicy | None:
        if self._clock is None or (now := self._clock.seconds()) >= self._next_poll:
            self._poll()
            if self._clock is not None:
                self._next_poll = now + self._interval
        if aor in self._known:
            return self._known[aor]
        try:
            aor.encode()
        except UnicodeEncodeError:
            # Bytes that are no UTF-8: nobody is called that here.
            return None
        row = self._run(lambda db: db.execute("SELECT policy FROM call_policy WHERE aor = ?", (aor,)).fetchone())
        found = None if row is None else self._policy(aor, row[0])
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[aor] = found
        return found

    def _poll(self) -> None:
        version = self._run(lambda db: int(db.execute("PRAGMA data_version").fetchone()[0]))
        if version != self._version:
            self._version = version
            self._known.clear()

    def _policy(self, aor: str, text: str) -> CallPolicy:
        try:
            return CallPolicy.from_mapping(json.loads(text))
        except (ValueError, AttributeError) as error:  # LocalProtocolError is a ValueError
            raise StoreError(f"{self._path}: the call policy of {aor} cannot be read ({error})") from error

    def changed(self) -> None:
        """Somebody has changed the database: look at the next opportunity, not within a second."""
        self._next_poll = 0.0

    def set(self, aor: str, policy: CallPolicy) -> None:
        try:
            aor.encode()
        except UnicodeEncodeError as error:
            raise LocalProtocolError("an address-of-record that is no UTF-8") from error
        text = json.dumps(policy.to_mapping())
        statement = (
            "INSERT INTO call_policy (aor, policy) VALUES (?, ?)"
            " ON CONFLICT (aor) DO UPDATE SET policy = excluded.policy"
        )
        self._run(lambda db: db.execute(statement, (aor, text)))
        # One's own changes do not move data_version.
        self._known.pop(aor, None)

    def remove(self, aor: str) -> bool:
        count = self._run(lambda db: db.execute("DELETE FROM call_policy WHERE aor = ?", (aor,)).rowcount)
        self._known.pop(aor, None)
        return count == 1

    def policies(self) -> dict[str, CallPolicy]:
        """Return all policies, by address-of-record.

        :raises StoreError: the database cannot be read.
        """
        rows = self._run(lambda db: db.execute("SELECT aor, policy FROM call_policy ORDER BY aor").fetchall())
        return {aor: self._policy(aor, text) for aor, text in rows}

    def close(self) -> None:
        """Close the database."""
        self._connection.close()
        self._known.clear()

    def _run(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        try:
            return work(self._connection)
        except sqlite3.Error as error:
            raise explain(self._path, error) from error
