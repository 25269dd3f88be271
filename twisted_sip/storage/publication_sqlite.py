"""The embedded publication store (RFC 3903): SQLite remembers what the presence service has in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from twisted_sip.interfaces.publication import IPublicationStore, Publication
from twisted_sip.storage.batch_writer import WorkThread
from twisted_sip.storage.record_store import SQLiteRecordStore
from twisted_sip.storage.record_table import RecordTable
from twisted_sip.storage.sqlite import Schema

#: The name of the database in a state directory.
PUBLICATION_FILE = "publications.db"

# Released migrations never change; a new version is a new entry at the end.
PUBLICATION_SCHEMA = Schema(
    kind="publications",
    application_id=0x54535031,
    migrations=(
        (
            """CREATE TABLE publication (
                resource TEXT NOT NULL, package TEXT NOT NULL, key TEXT NOT NULL, etag TEXT NOT NULL,
                content_type TEXT NOT NULL, body BLOB NOT NULL, expires_at REAL NOT NULL, published_at REAL NOT NULL,
                publisher TEXT NOT NULL, source TEXT NOT NULL, PRIMARY KEY (resource, package, key))""",
        ),
    ),
)

PUBLICATIONS: RecordTable[Publication] = RecordTable(
    PUBLICATION_SCHEMA,
    "publication",
    Publication._fields,
    keys=3,
    # The fields of a publication are the columns.
    row_of=tuple,
    record_of=lambda row: Publication(**row),
    binary=("body",),
)


@implementer(IPublicationStore)
class SQLitePublicationStore(SQLiteRecordStore[Publication]):
    """Keeps publications in an SQLite database that one server owns."""

    def __init__(self, path: Path, clock: IReactorTime, thread: WorkThread | None = None, **how: Any) -> None:
        """Open the database at *path*, make it if it is not there; the rest as in SQLiteRecordStore.

        :raises StoreError: the database is locked, damaged, not writable or of a newer version.
        """
        super().__init__(PUBLICATIONS, path, clock, thread, **how)
