"""Messages for those who are away, and the store that keeps them (RFC 3428)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Interface


@attrs.frozen(slots=True, kw_only=True)
class StoredMessage:
    """One MESSAGE that waits for its recipient.

    A delivery repeats Call-ID, From with its tag and CSeq, so that a second one can be known for what it is.

    :ivar key: tells it from all other messages; the same message that comes again has the same key.
    :ivar recipient: the canonical address-of-record it is for.
    :ivar sender: the canonical URI of who sent it.
    :ivar from_value: the From value as it came, tag included.
    :ivar to_value: the To value as it came; a tag in it names a dialog, and does not go out again.
    :ivar call_id: its Call-ID.
    :ivar cseq: its CSeq number.
    :ivar headers: further header fields that belong to it, (name, value): Content-Type, Subject, Date and so on.
    :ivar body: its body.
    :ivar received_at: seconds since the epoch.
    :ivar expires_at: when it is of no use any more, seconds since the epoch.
    :ivar instance: the key of the one instance of the recipient that it is for (RFC 5627; message.gruu.instance_key),
        empty where any device may have it.
    """

    key: str
    recipient: str
    sender: str
    from_value: str
    to_value: str
    call_id: str
    cseq: int
    received_at: float
    expires_at: float
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    instance: str = ""


class IMessageStore(Interface):
    """Keeps messages until they are delivered or expire.

    Every implementation passes ``twisted_sip.testing.message_contract``.
    """

    def add(message: StoredMessage) -> Deferred[None]:
        """Keep *message*; fires with None once it would survive a crash of the machine, from when on it waits.

        One whose key is kept already is not kept twice. Fails with StoreError: with StoreFull where there is no room,
        with QuotaExceeded where its recipient has too many, or too much, waiting.
        """

    def waiting(recipient: str) -> Sequence[StoredMessage] | Deferred[Sequence[StoredMessage]]:
        """Return what waits for *recipient* and has not expired, in the order in which it came."""

    def expired() -> Sequence[StoredMessage] | Deferred[Sequence[StoredMessage]]:
        """Return messages that have expired and are still kept, first those that expired first, some at a time.

        They count for no quota of a recipient and are gone when they are removed, by who tells their senders.
        """

    def recipients() -> Iterable[str] | Deferred[Iterable[str]]:
        """Return everybody for whom something waits."""

    def remove(keys: Iterable[str]) -> Deferred[None]:
        """Drop messages: delivered, refused for good or expired; fires with None once that is durable.

        They wait no more from the call on. If the change cannot be written the Deferred fails with StoreError, and they
        wait again only after a restart. Unknown keys are passed over.
        """

    def observe(observer: Callable[[str], None]) -> Callable[[], None]:
        """Call *observer* with the recipient whenever what waits for him changes; return what ends it."""

    def close() -> Deferred[None]:
        """Flush and release what is held; fires with None."""
