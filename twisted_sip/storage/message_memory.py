"""A message store that forgets with the process: for tests, and for trying out (RFC 3428 section 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from twisted_sip.errors import StoreError, StoreFull
from twisted_sip.interfaces.message_store import IMessageStore, StoredMessage
from twisted_sip.storage.message_table import MessageLimits, MessageTable


@implementer(IMessageStore)
class MemoryMessageStore:
    """Keeps messages in memory; one is as durable as it gets when add returns."""

    def __init__(self, clock: IReactorTime, limits: MessageLimits | None = None) -> None:
        """Make an empty store.

        :param clock: a reactor, or a task.Clock; its seconds are seconds since the epoch.
        """
        self._table = MessageTable(clock, limits)
        self._open = True

    def __len__(self) -> int:
        """The number of messages held, for metrics."""
        return len(self._table)

    def add(self, message: StoredMessage) -> Deferred[None]:
        if not self._open:
            return fail(StoreError("messages: closed"))
        try:
            self._table.begin(message)
        except StoreFull as error:
            return fail(error)
        self._table.settle(message.key, True)
        return succeed(None)

    def waiting(self, recipient: str) -> Sequence[StoredMessage]:
        return self._table.waiting(recipient)

    def expired(self) -> Sequence[StoredMessage]:
        return self._table.expired()

    def recipients(self) -> Iterable[str]:
        return self._table.recipients()

    def remove(self, keys: Iterable[str]) -> Deferred[None]:
        if not self._open:
            return fail(StoreError("messages: closed"))
        self._table.remove(keys)
        return succeed(None)

    def observe(self, observer: Callable[[str], None]) -> Callable[[], None]:
        return self._table.observe(observer)

    def close(self) -> Deferred[None]:
        self._open = False
        self._table.close()
        return succeed(None)
