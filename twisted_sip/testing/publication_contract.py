"""What every publication store must do, as test cases (IPublicationStore; RFC 3903).

Mix it into a test case of your own, and run that with trial or pytest::

    class MyStoreTests(PublicationStoreContract, unittest.TestCase):
        def make_store(self, clock):
            return MyStore(clock)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted_sip.interfaces.publication import IPublicationStore, Publication, PublicationChange
from twisted_sip.testing.record_contract import RecordStoreContract
from twisted_sip.testing.waiting import START

ALICE = "sip:alice@example.com"


def publication(key: str = "one", *, expires_at: float = START + 3600, **fields: Any) -> Publication:
    """Return a publication to put into a store."""
    made: dict[str, Any] = {
        "resource": ALICE,
        "package": "presence",
        "etag": "e1",
        "content_type": "application/pidf+xml",
        "body": b"<presence/>",
        "published_at": START - 1,
        **fields,
    }
    return Publication(key=key, expires_at=expires_at, **made)


class PublicationStoreContract(RecordStoreContract):
    """Test cases for one kind of store; see RecordStoreContract for what to fill in."""

    interface = IPublicationStore

    def record(self, key: str = "one", *, number: int = 0, expires_at: float = START + 3600) -> Publication:
        """Return a record to put into a store."""
        return publication(key, etag=f"e{number}", expires_at=expires_at)

    def whole_record(self) -> Publication:
        """Return a record with everything in it."""
        return Publication(
            resource="sips:bob@[2001:db8::7]",
            package="dialog",
            key="odd \udcff key",
            etag="etag",
            content_type="application/xml; charset=utf-8",
            body=bytes(range(256)),
            expires_at=START + 0.5,
            published_at=START - 0.25,
            publisher=ALICE,
            source="TCP:[2001:db8::7]:5062",
        )

    def change(self, put: Iterable[Any] = (), remove: Iterable[str] = ()) -> PublicationChange:
        """Return a change."""
        return PublicationChange(tuple(put), tuple((ALICE, "presence", key) for key in remove))
