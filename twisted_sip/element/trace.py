"""A bounded memory of the messages of each call, by Call-ID, for people who ask what happened.

Recording is on the path of every message, so it keeps the bytes, the time and the ends of the flow and does nothing
else; lines are read and credentials are masked when somebody looks (:mod:`twisted_sip.element.trace_masking`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import attrs
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.element.trace_masking import masked
from twisted_sip.errors import SIPError
from twisted_sip.interfaces.flow import Address, Flow
from twisted_sip.interfaces.transport_kind import TransportKind
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

_log = Logger()

# What is kept of one Call-ID is a list, secrets included, for this process alone: how many bytes that takes, how many
# messages were left out, then six items for each message: time, sent, kind, local, remote, data. A tuple for each
# message would give the garbage collector tens of thousands of objects to go through.
_HEAD = 2
_ITEMS = 6

#: What a message costs beside its bytes, roughly: its float and its places in the list.
_ENTRY_BYTES = 160


@attrs.frozen(slots=True)
class TracedMessage:
    """One message for people and programs to look at, credentials masked.

    :ivar time: seconds since the epoch.
    :ivar sent: True if it went out, False if it came in.
    :ivar transport: ``UDP``, ``TCP``, ``TLS``.
    :ivar local: our end as ``host:port``.
    :ivar remote: the peer's end as ``host:port``.
    :ivar text: the message, bytes that are no UTF-8 replaced.
    """

    time: float
    sent: bool
    transport: str
    local: str
    remote: str
    text: str

    @classmethod
    def of(
        cls, time: float, sent: bool, kind: TransportKind, local: Address, remote: Address, data: bytes
    ) -> TracedMessage:
        """Return what was recorded, with its credentials masked."""
        return cls(time, sent, kind.token, str(local), str(remote), masked(data))


def _messages(call: list[Any]) -> Iterator[tuple[Any, ...]]:
    """Give the items of each message of *call*."""
    return zip(*[islice(call, _HEAD, None)] * _ITEMS, strict=True)


@attrs.frozen(slots=True)
class CallSummary:
    """One line of the list of traced calls.

    :ivar call_id: the Call-ID.
    :ivar started: time of the first message, seconds since the epoch.
    :ivar ended: time of the last message.
    :ivar messages: how many messages are kept.
    :ivar left_out: how many came after the call had its fill.
    :ivar start_line: the first line of the first message.
    """

    call_id: str
    started: float
    ended: float
    messages: int
    left_out: int
    start_line: str


class Trace:
    """Keeps the messages of the most recent calls.

    :param clock: the time in seconds since the epoch.
    :param max_calls: Call-IDs kept; the one seen first goes first.
    :param max_messages: messages kept of one call: the first ones, which tell how it was set up.
    :param max_bytes: memory for all of it, in bytes.
    :ivar sent: keeps a message whose bytes went out over a flow: ``sent(message, data, flow)``.
    :ivar seen: keeps a message whose bytes came in over a flow, likewise.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        max_calls: int = 2000,
        max_messages: int = 200,
        max_bytes: int = 32 * 1024 * 1024,
    ) -> None:
        self._clock = clock
        self._calls: dict[str, list[Any]] = {}
        # In the order of the first message; the first key of a dict that others have left is slow to find.
        self._order: deque[str] = deque()
        self._bytes = 0
        self._followers: list[Callable[[str, TracedMessage], None]] = []
        self.configure(max_calls, max_messages, max_bytes)

    def configure(self, max_calls: int, max_messages: int, max_bytes: int) -> None:
        """Keep as much as these say, as at the beginning, from now on; ``sent`` and ``seen`` are others then."""
        self._max_calls = max_calls
        self._max_items = max_messages * _ITEMS + _HEAD
        self._max_bytes = max_bytes
        while len(self._calls) > max_calls:
            self._forget_oldest()
        self._forget_oldest_ones()
        self.sent: Callable[[Request | Response, bytes, Flow], None] = self._recorder(True)
        self.seen: Callable[[Request | Response, bytes, Flow], None] = self._recorder(False)

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def size(self) -> int:
        """Bytes of memory that the messages take, roughly."""
        return self._bytes

    def _recorder(self, sent: bool) -> Callable[[Request | Response, bytes, Flow], None]:
        calls = self._calls
        order = self._order
        clock = self._clock
        max_calls, max_items, max_bytes = self._max_calls, self._max_items, self._max_bytes

        def record(message: Request | Response, data: bytes, flow: Flow) -> None:
            parsed = message.headers.parsed
            if "call-id" in parsed:
                call_id = parsed["call-id"]
            else:
                try:
                    call_id = message.call_id
                except SIPError:
                    call_id = ""  # of a message that has none: they share a place, and one may look for them
            call = calls.get(call_id)
            if call is None:
                call = calls[call_id] = [0, 0]
                order.append(call_id)
                if len(calls) > max_calls:
                    self._forget_oldest()
            if len(call) < max_items:
                call += (clock(), sent, flow.kind, flow.local, flow.remote, data)
                size = len(data) + _ENTRY_BYTES
                call[0] += size
                self._bytes = kept = self._bytes + size
                if kept > max_bytes:
                    self._forget_oldest_ones()
            else:
                call[1] += 1
            if self._followers:
                self._tell(call_id, TracedMessage.of(clock(), sent, flow.kind, flow.local, flow.remote, data))

        return record

    def _forget_oldest_ones(self) -> None:
        while self._bytes > self._max_bytes and len(self._calls) > 1:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        self._bytes -= self._calls.pop(self._order.popleft())[0]

    def _tell(self, call_id: str, message: TracedMessage) -> None:
        for follower in list(self._followers):
            try:
                follower(call_id, message)
            except Exception:
                # One who looks on must not stop the message.
                _log.failure("a follower of the trace failed and is dropped", Failure())
                self._followers = [other for other in self._followers if other is not follower]

    def call(self, call_id: str) -> list[TracedMessage]:
        """Return the messages of *call_id* in the order of time, empty if none is known."""
        call = self._calls.get(call_id)
        return [] if call is None else [TracedMessage.of(*entry) for entry in _messages(call)]

    def calls(self, last: int = 50) -> list[CallSummary]:
        """Return the *last* calls that began, the newest first."""
        newest: deque[tuple[str, list[Any]]] = deque(self._calls.items(), maxlen=last)
        return [self._summary(call_id, call) for call_id, call in reversed(newest) if len(call) > _HEAD]

    def _summary(self, call_id: str, call: list[Any]) -> CallSummary:
        start_line = masked(call[_HEAD + _ITEMS - 1].partition(b"\r\n")[0])
        return CallSummary(call_id, call[_HEAD], call[-_ITEMS], len(call) // _ITEMS, call[1], start_line)

    def find(self, text: str) -> Iterator[str]:
        """Yield the Call-IDs that begin with *text*, newest first."""
        return (call_id for call_id in reversed(self._calls) if call_id.startswith(text))

    def follow(self, follower: Callable[[str, TracedMessage], None]) -> Callable[[], None]:
        """Call *follower* with the Call-ID and each message from now on; return what ends it.

        One that raises is dropped.
        """
        self._followers.append(follower)

        def end() -> None:
            self._followers = [other for other in self._followers if other is not follower]

        return end

    def counts(self) -> dict[str, Any]:
        """Return what is held, for a status page."""
        return {"calls": len(self._calls), "bytes": self._bytes, "followers": len(self._followers)}
