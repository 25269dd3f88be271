"""Call records read for people, also while a server writes them or when none runs: by filters, summed by user."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import attrs

from twisted_sip.errors import StoreError
from twisted_sip.interfaces.accounting import CallRecord
from twisted_sip.storage.accounting_rows import ACCOUNTING_SCHEMA, COLUMNS, as_stored, read_under_way, record_of
from twisted_sip.storage.sqlite import explain, open_database

T = TypeVar("T")


@attrs.frozen(slots=True, kw_only=True)
class CallFilter:
    """Which calls are wanted: those that fit everything that is given.

    :ivar user: from or to this address-of-record.
    :ivar caller: a part of the caller's URI; *callee* of the Request-URI.
    :ivar since: set up at this time or later, in seconds since the epoch; *until* before it.
    :ivar result: how it came out.
    :ivar seconds: talked for so long at least.
    :ivar call_id: with this Call-ID.
    """

    user: str = ""
    caller: str = ""
    callee: str = ""
    since: float | None = None
    until: float | None = None
    result: str = ""
    seconds: float = 0.0
    call_id: str = ""

    def where(self) -> tuple[str, list[Any]]:
        """Return it as a condition of SQL with its values."""
        found: list[tuple[str, Any]] = []
        if self.user:
            found.append(("? IN (user, callee_user)", as_stored(self.user)))
        if self.caller:
            found.append(("instr(lower(caller), lower(?))", as_stored(self.caller)))
        if self.callee:
            found.append(("instr(lower(callee), lower(?))", as_stored(self.callee)))
        if self.since is not None:
            found.append(("set_up >= ?", self.since))
        if self.until is not None:
            found.append(("set_up < ?", self.until))
        if self.result:
            found.append(("result = ?", self.result))
        if self.seconds:
            found.append(("answered IS NOT NULL AND ended - answered >= ?", self.seconds))
        if self.call_id:
            found.append(("call_id = ?", as_stored(self.call_id)))
        return " AND ".join([condition for condition, _ in found]) or "1", [value for _, value in found]

    def fits(self, record: CallRecord, now: float) -> bool:
        """Tell whether *record*, perhaps of a call that goes on, is one of them."""
        talked = 0.0 if record.answered is None else (now if record.ended is None else record.ended) - record.answered
        return (
            (not self.user or self.user in (record.user, record.callee_user))
            and self.caller.lower() in record.caller.lower()
            and self.callee.lower() in record.callee.lower()
            and (self.since is None or record.set_up >= self.since)
            and (self.until is None or record.set_up < self.until)
            and (not self.result or record.result == self.result)
            and (not self.seconds or talked >= self.seconds)
            and (not self.call_id or record.call_id == self.call_id)
        )


@attrs.frozen(slots=True, kw_only=True)
class UserTotals:
    """What calls of one user come to.

    :ivar user: the address-of-record.
    :ivar made: how many calls from the user there were, *made_answered* of them answered, for *made_seconds* in all.
    :ivar got: the same of calls to the user.
    """

    user: str
    made: int = 0
    made_answered: int = 0
    made_seconds: float = 0.0
    got: int = 0
    got_answered: int = 0
    got_seconds: float = 0.0


class CallReader:
    """Reads the database of call records at a path.

    :raises StoreError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise StoreError(f"{path}: no such database; no call was recorded yet")
        self._path = path
        self._connection = open_database(path, ACCOUNTING_SCHEMA, synchronous="NORMAL", check=False, only_read=True)

    def calls(self, wanted: CallFilter, limit: int = 0) -> list[CallRecord]:
        """Return the calls that are over and *wanted*, the latest first.

        :param limit: how many at most, 0 for all.
        :raises StoreError: they cannot be read.
        """
        where, values = wanted.where()
        query = f"SELECT {COLUMNS} FROM call WHERE {where} ORDER BY set_up DESC, seq DESC LIMIT ?"
        return self._read(lambda: [record_of(row) for row in self._connection.execute(query, (*values, limit or -1))])

    def under_way(self) -> list[CallRecord]:
        """Return the calls that are answered and not over; where no server runs, those that it has left behind.

        :raises StoreError: they cannot be read.
        """
        return self._read(lambda: read_under_way(self._connection))

    def totals(self, wanted: CallFilter) -> list[UserTotals]:
        """Return what the calls that are over and *wanted* come to, by user.

        :raises StoreError: they cannot be read.
        """
        where, values = wanted.where()
        sums: dict[str, dict[str, Any]] = {}
        for column, side in (("user", "made"), ("callee_user", "got")):
            query = (
                f"SELECT {column}, count(*), count(answered), coalesce(sum(ended - answered), 0) FROM call "
                f"WHERE {column} <> '' AND {where} GROUP BY {column}"
            )
            rows: list[Any] = self._read(partial(self._all, query, values))
            for user, count, answered, seconds in rows:
                name = user.decode("utf-8", "surrogateescape") if isinstance(user, bytes) else user
                sums.setdefault(name, {}).update(
                    {side: count, f"{side}_answered": answered, f"{side}_seconds": round(seconds, 3)}
                )
        return [UserTotals(user=user, **sums[user]) for user in sorted(sums) if not wanted.user or user == wanted.user]

    def _all(self, query: str, values: Sequence[Any]) -> list[Any]:
        return self._connection.execute(query, values).fetchall()

    def _read(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except sqlite3.Error as error:
            raise explain(self._path, error) from error
        except (TypeError, ValueError, AttributeError) as error:
            raise StoreError(f"{self._path}: damaged ({error}); restore a backup or move the file away") from error

    def close(self) -> None:
        """Close it."""
        self._connection.close()
