"""Call policies in SQLite, in the database of the users (see :mod:`users_database`)."""

from __future__ import annotations

import json
from pathlib import Path

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from twisted_sip.errors import LocalProtocolError, StoreError
from twisted_sip.interfaces.call_policy import CallPolicy, ICallPolicyStore
from twisted_sip.storage.users_database import POLL_INTERVAL, UsersDatabase

#: How many policies are remembered, and for how many it is remembered that there is none.
_MOST_REMEMBERED = 100_000


@implementer(ICallPolicyStore)
class SQLiteCallPolicyStore(UsersDatabase):
    """Call policies in an SQLite database. Every call is synchronous; changes take a few milliseconds each."""

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
        self._known: dict[str, CallPolicy | None] = {}

    def lookup(self, aor: str) -> CallPolicy | None:
        self._look()
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

    def _forget(self) -> None:
        self._known.clear()

    def _policy(self, aor: str, text: str) -> CallPolicy:
        try:
            return CallPolicy.from_mapping(json.loads(text))
        except (ValueError, AttributeError) as error:  # LocalProtocolError is a ValueError
            raise StoreError(f"{self._path}: the call policy of {aor} cannot be read ({error})") from error

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
