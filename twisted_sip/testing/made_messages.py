"""Messages to put into a message store (IMessageStore)."""

from __future__ import annotations

from typing import Any

from twisted_sip.interfaces.message_store import StoredMessage

#: When the tests begin, in seconds since the epoch.
START = 1_800_000_000.0
ALICE = "sip:alice@example.com"
BOB = "sip:bob@example.com"


def message(
    key: str = "one", recipient: str = BOB, *, expires_at: float = START + 3600, **fields: Any
) -> StoredMessage:
    """Return a message to put into a store."""
    made: dict[str, Any] = {
        "sender": ALICE,
        "from_value": f"<{ALICE}>;tag=a",
        "to_value": f"<{recipient}>",
        "call_id": f"call-{key}",
        "cseq": 1,
        "received_at": START,
        "headers": (("Content-Type", "text/plain"),),
        "body": b"hello",
        **fields,
    }
    return StoredMessage(key=key, recipient=recipient, expires_at=expires_at, **made)
