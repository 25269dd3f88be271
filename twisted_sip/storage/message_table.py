"""The messages of this node in memory: what every embedded message store answers from (RFC 3428 section 7).

A message takes its place when it is to be kept, so that limits hold for what is not durable yet, and waits from when it
is durable. Those of one recipient are in the order in which they became so, which is that in which they came.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from twisted_sip.errors import QuotaExceeded, StoreFull
from twisted_sip.interfaces.message_store import StoredMessage

#: What a message takes beside its texts and its body, in bytes, roughly.
_OVERHEAD = 512

#: How many expired messages are given at a time.
_AT_A_TIME = 100


@attrs.frozen(slots=True, kw_only=True)
class MessageLimits:
    """How much a store holds.

    :ivar per_user: messages that may wait for one recipient.
    :ivar bytes_per_user: bytes that they may take.
    :ivar messages: messages in the whole store.
    :ivar bytes: bytes that they may take.
    """

    per_user: int = 200
    bytes_per_user: int = 1 << 20
    messages: int = 100_000
    bytes: int = 256 << 20


def size_of(message: StoredMessage) -> int:
    """Return what *message* counts for, in bytes."""
    texts = len(message.from_value) + len(message.to_value) + len(message.call_id) + 2 * len(message.recipient)
    return _OVERHEAD + texts + sum(len(name) + len(value) for name, value in message.headers) + len(message.body)


class MessageTable:
    """All messages by recipient, their limits, their expiry, and who wants to hear of changes.

    :ivar limits: may be replaced at any time; what is there stays.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, limits: MessageLimits | None = None) -> None:
        """Make an empty table.

        :param clock: its seconds are seconds since the epoch, as those of a reactor are.
        """
        self._clock = clock
        self.limits = limits or MessageLimits()
        self._recipients: dict[str, dict[str, StoredMessage]] = {}
        self._messages: dict[str, StoredMessage] = {}
        # Messages on their way to the disk, by key, and how many additions each stands for.
        self._under_way: dict[str, tuple[StoredMessage, int]] = {}
        # What each recipient has here, all in all: messages and bytes.
        self._loads: dict[str, tuple[int, int]] = {}
        self._size = 0
        self._dates: list[tuple[float, str]] = []
        self._observers: dict[object, Callable[[str], None]] = {}

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def size(self) -> int:
        """The bytes that everything takes, roughly."""
        return self._size

    # -- what waits ------------------------------------------------------------------

    def waiting(self, recipient: str) -> list[StoredMessage]:
        """Return what waits for *recipient* and has not expired."""
        now = self._clock.seconds()
        return [message for message in self._recipients.get(recipient, {}).values() if message.expires_at > now]

    def recipients(self) -> list[str]:
        """Return everybody for whom something waits."""
        return [recipient for recipient in self._recipients if self.waiting(recipient)]

    def expired(self) -> list[StoredMessage]:
        """Return messages that have expired and are still here, 100 at most."""
        now = self._clock.seconds()
        found: list[tuple[float, str]] = []
        dates = self._dates
        while dates and dates[0][0] <= now and len(found) < _AT_A_TIME:
            date = heapq.heappop(dates)
            message = self._messages.get(date[1])
            if message is not None and message.expires_at == date[0]:
                found.append(date)
        # They stay until they are removed: should that fail they are given again.
        for date in found:
            heapq.heappush(dates, date)
        return [self._messages[key] for key in dict.fromkeys(key for _, key in found)]

    # -- changes ------------------------------------------------------------------------

    def load(self, messages: Iterable[StoredMessage]) -> None:
        """Fill the empty table; nobody is told, no limit applies."""
        for message in messages:
            self._charge(message, 1)
            self._put(message)

    def begin(self, message: StoredMessage) -> None:
        """Take room for *message*, which is going to be made durable.

        :raises StoreFull: there is none.
        :raises QuotaExceeded: its recipient has enough waiting.
        """
        key = message.key
        known = self._under_way.get(key)
        if known is not None:
            self._under_way[key] = (known[0], known[1] + 1)
            return
        if key not in self._messages:
            self._check(message)
            self._charge(message, 1)
        self._under_way[key] = (message, 1)

    def _check(self, message: StoredMessage) -> None:
        limits = self.limits
        size = size_of(message)
        if len(self._messages) + len(self._under_way) >= limits.messages or self._size + size > limits.bytes:
            key = "messaging.max_bytes" if len(self._messages) < limits.messages else "messaging.max_messages"
            raise StoreFull(f"messages: {limits.messages} or {limits.bytes} bytes are kept", key=key)
        recipient = message.recipient
        count, taken = self._loads.get(recipient, (0, 0))
        if count >= limits.per_user or taken + size > limits.bytes_per_user:
            now = self._clock.seconds()
            past = [other for other in self._recipients.get(recipient, {}).values() if other.expires_at <= now]
            count -= len(past)
            if count >= limits.per_user or taken - sum(map(size_of, past)) + size > limits.bytes_per_user:
                key = "messaging.max_bytes_per_user" if count < limits.per_user else "messaging.max_per_user"
                raise QuotaExceeded(f"messages: {count} wait for {recipient}", key=key)

    def _charge(self, message: StoredMessage, sign: int) -> None:
        """Count *message* in (1) or out (-1)."""
        size = sign * size_of(message)
        self._size += size
        count, taken = self._loads.get(message.recipient, (0, 0))
        if count + sign:
            self._loads[message.recipient] = (count + sign, taken + size)
        else:
            del self._loads[message.recipient]

    def settle(self, key: str, durable: bool) -> None:
        """What :meth:`begin` began has become *durable*, or has failed; observers are told."""
        known = self._under_way.get(key)
        if known is None:
            # Removed meanwhile: it waits for nobody.
            return
        message, count = known
        if durable or count == 1:
            del self._under_way[key]
        else:
            self._under_way[key] = (message, count - 1)
            return
        if key in self._messages:
            return
        if not durable:
            self._charge(message, -1)
            return
        self._put(message)
        self.tell(message.recipient)

    def remove(self, keys: Iterable[str]) -> None:
        """Drop messages; observers are told."""
        changed: dict[str, None] = {}
        for key in keys:
            message = self._messages.pop(key, None)
            if message is not None:
                known = self._recipients[message.recipient]
                del known[key]
                if not known:
                    del self._recipients[message.recipient]
                changed[message.recipient] = None
            under_way = self._under_way.pop(key, None)
            if message is None and under_way is not None:
                message = under_way[0]
            if message is not None:
                self._charge(message, -1)
        for recipient in changed:
            self.tell(recipient)

    def _put(self, message: StoredMessage) -> None:
        key = message.key
        self._messages[key] = message
        self._recipients.setdefault(message.recipient, {})[key] = message
        heapq.heappush(self._dates, (message.expires_at, key))
        if len(self._dates) > 2 * len(self._messages) + 64:
            # Dates of messages that were delivered stay until they are reached; they must not pile up.
            self._dates = [(known.expires_at, key) for key, known in self._messages.items()]
            heapq.heapify(self._dates)

    # -- observers --------------------------------------------------------------------------

    def observe(self, observer: Callable[[str], None]) -> Callable[[], None]:
        """Call *observer* with each recipient that :meth:`tell` is told; return what ends it."""
        token = object()
        self._observers[token] = observer

        def end() -> None:
            self._observers.pop(token, None)

        return end

    def tell(self, recipient: str) -> None:
        """Call the observers; one that raises is logged and does not stop the others."""
        for observer in list(self._observers.values()):
            try:
                observer(recipient)
            except Exception:
                self._log.failure("an observer of the message store failed for {recipient}", recipient=recipient)

    def close(self) -> None:
        """Forget everything."""
        self._recipients.clear()
        self._messages.clear()
        self._under_way.clear()
        self._loads.clear()
        self._dates.clear()
        self._observers.clear()
        self._size = 0
