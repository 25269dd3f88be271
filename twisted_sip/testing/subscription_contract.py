"""What every subscription store must do, as test cases (ISubscriptionStore; RFC 6665).

Mix it into a test case of your own, and run that with trial or pytest::

    class MyStoreTests(SubscriptionStoreContract, unittest.TestCase):
        def make_store(self, clock):
            return MyStore(clock)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted_sip.interfaces.subscription import ISubscriptionStore, SubscriptionChange, SubscriptionRecord
from twisted_sip.testing.record_contract import RecordStoreContract
from twisted_sip.testing.waiting import START


def subscription(key: str = "one", *, expires_at: float = START + 3600, **fields: Any) -> SubscriptionRecord:
    """Return a subscription to put into a store."""
    made: dict[str, Any] = {
        "event": "presence",
        "resource": "sip:alice@example.com",
        "watcher": "sip:bob@example.com",
        "state": "active",
        "created_at": START - 1,
        "dialog": "{}",
        "cseq_limit": 4096,
        **fields,
    }
    return SubscriptionRecord(key=key, expires_at=expires_at, **made)


class SubscriptionStoreContract(RecordStoreContract):
    """Test cases for one kind of store; see RecordStoreContract for what to fill in."""

    interface = ISubscriptionStore

    def record(self, key: str = "one", *, number: int = 0, expires_at: float = START + 3600) -> SubscriptionRecord:
        """Return a record to put into a store."""
        return subscription(key, cseq_limit=number, expires_at=expires_at)

    def whole_record(self) -> SubscriptionRecord:
        """Return a record with everything in it."""
        return SubscriptionRecord(
            key="odd \udcff key",
            event="presence.winfo",
            event_id="42",
            resource="sip:alice@example.com",
            watcher="sips:bob@[2001:db8::7]",
            state="pending",
            expires_at=START + 0.5,
            created_at=START - 0.25,
            dialog='{"call_id": "a@b"}',
            cseq_limit=2**31 - 1,
            flow="UBMAAgcTxMAAC",
            accept=("application/pidf+xml", "application/xpidf+xml"),
            options='{"rates": [["max-rate", "0.1"]]}',
        )

    def change(self, put: Iterable[Any] = (), remove: Iterable[str] = ()) -> SubscriptionChange:
        """Return a change."""
        return SubscriptionChange(tuple(put), tuple(remove))
