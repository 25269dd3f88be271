"""The embedded subscription store: SQLite remembers what the notifier has in memory (RFC 6665).

A power cut may cost the last changes; the watchers concerned then hear 481 and subscribe anew.
"""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from twisted_sip.interfaces.subscription import ISubscriptionStore, SubscriptionRecord
from twisted_sip.storage.batch_writer import WorkThread
from twisted_sip.storage.record_store import SQLiteRecordStore
from twisted_sip.storage.record_table import RecordTable
from twisted_sip.storage.sqlite import Schema

#: The name of the database in a state directory.
SUBSCRIPTION_FILE = "subscriptions.db"

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
_plain = attrgetter(*_PLAIN)


def _record(row: dict[str, Any]) -> SubscriptionRecord:
    accept = row.pop("accept")
    return SubscriptionRecord(accept=tuple(accept.split("\n")) if accept else (), **row)


SUBSCRIPTIONS: RecordTable[SubscriptionRecord] = RecordTable(
    SUBSCRIPTION_SCHEMA,
    "subscription",
    (*_PLAIN, "accept"),
    keys=1,
    row_of=lambda record: (*_plain(record), "\n".join(record.accept)),
    record_of=_record,
)


@implementer(ISubscriptionStore)
class SQLiteSubscriptionStore(SQLiteRecordStore[SubscriptionRecord]):
    """Keeps subscriptions in an SQLite database that one server owns."""

    def __init__(self, path: Path, clock: IReactorTime, thread: WorkThread | None = None, **how: Any) -> None:
        """Open the database at *path*, make it if it is not there; the rest as in SQLiteRecordStore.

        :raises StoreError: the database is locked, damaged, not writable or of a newer version.
        """
        super().__init__(SUBSCRIPTIONS, path, clock, thread, **how)
