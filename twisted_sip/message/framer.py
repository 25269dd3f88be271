"""Cuts a byte stream into messages by Content-Length (RFC 3261 sections 7.5 and 18.3) and finds keep-alives.

Sans-I/O: bytes in, events out. The stream may be fed in pieces of any size.
"""

from __future__ import annotations

import enum

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.limits import DEFAULT_LIMITS, MessageLimits
from twisted_sip.message.ordinary import read_ordinary
from twisted_sip.message.parser import check_mandatory, content_length, parse_head
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response


class KeepAlive(enum.Enum):
    """The type of :data:`PING`."""

    PING = "ping"


#: A double CRLF between messages, to be answered with one CRLF (RFC 5626 section 3.5.1).
PING = KeepAlive.PING

#: The most octets behind a head with which it is tried to read the message whole: many messages at once would be looked
#: at again and again.
_BEHIND = 4096

#: What comes out of the framer. An error is an event: what came before it in the same piece is not lost.
Event = Request | Response | KeepAlive | RemoteProtocolError


class StreamFramer:
    """The receiving side of one stream.

    A message whose head is at fault but whose length is known comes out as a RemoteProtocolError and the stream goes
    on. A RemoteProtocolError with ``fatal`` set means that the boundaries are lost (no usable Content-Length, too
    large): nothing that is fed afterwards is looked at and the connection should be closed.

    :ivar failed: True after a fatal error.
    """

    __slots__ = ("_body_size", "_buffer", "_crlfs", "_fault", "_limits", "_message", "_scanned", "failed")

    def __init__(self, limits: MessageLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._scanned = 0
        self._message: Request | Response | None = None
        self._fault: RemoteProtocolError | None = None
        self._body_size = 0
        self._crlfs = 0
        self.failed = False

    @property
    def in_message(self) -> bool:
        """True while a message has begun and is not complete: the time it may take is the owner's to limit."""
        return bool(self._buffer) or self._message is not None or self._fault is not None

    @property
    def buffered(self) -> int:
        """How many bytes are held."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes of the stream and return the events they complete, in order; never raises."""
        events: list[Event] = []
        if self.failed:
            return events
        self._buffer += data
        while not self.failed:
            event = self._body() if self._message is not None or self._fault is not None else self._head()
            if event is None:
                break
            events.append(event)
            if isinstance(event, RemoteProtocolError) and event.fatal:
                self.failed = True
                self._buffer.clear()
        return events

    def _head(self) -> Event | None:
        buffer = self._buffer
        while buffer[:2] == b"\r\n":
            del buffer[:2]
            self._scanned = 0
            self._crlfs += 1
            if self._crlfs == 2:
                self._crlfs = 0
                return PING
        if not buffer or buffer == b"\r":
            return None
        end = buffer.find(b"\r\n\r\n", max(0, self._scanned - 3))
        if end < 0:
            self._scanned = len(buffer)
            # Up to three octets of the empty line may be there already.
            if len(buffer) > self._limits.head + 3:
                return self._too_large(bytes(buffer))
            return None
        self._scanned = 0
        self._crlfs = 0
        if end > self._limits.head:
            return self._too_large(bytes(buffer[:end]))
        if len(buffer) - end <= _BEHIND:
            message = read_ordinary(bytes(buffer), self._limits)
            if message is not None and "content-length" in message.headers.names:
                # All of it is there, and nothing about it is odd.
                del buffer[: end + 4 + len(message.body)]
                return message
        head = bytes(buffer[:end])
        del buffer[: end + 4]
        return self._start(head)

    def _too_large(self, head: bytes) -> RemoteProtocolError:
        try:
            parse_head(head, self._limits)
        except RemoteProtocolError as error:
            error.fatal = True
            return error
        raise AssertionError("a head over the limit is always refused")  # pragma: no cover

    def _start(self, head: bytes) -> Event | None:
        try:
            message = parse_head(head, self._limits)
        except RemoteProtocolError as error:
            # Boundaries survive a bad start line or header line if the length can still be read.
            self._fault = error
            partial = error.message
            if partial is None:
                error.fatal = True
                return error
            message = partial
        try:
            if "content-length" not in message.headers.names:
                raise RemoteProtocolError(
                    "Missing Content-Length header field", header="Content-Length", message=message
                )
            size = content_length(message)
        except RemoteProtocolError as error:
            fault = self._fault or error
            self._fault = None
            fault.fatal = True
            return fault
        if size + len(head) + 4 > self._limits.message:
            self._fault = None
            return RemoteProtocolError("Message Too Large", status=513, message=message, fatal=True)
        self._message = message
        self._body_size = size
        return self._body()

    def _body(self) -> Event | None:
        size = self._body_size
        buffer = self._buffer
        if len(buffer) < size:
            return None
        message, fault = self._message, self._fault
        assert message is not None
        message.body = bytes(buffer[:size])
        del buffer[:size]
        self._message = self._fault = None
        if fault is not None:
            return fault
        try:
            check_mandatory(message)
        except RemoteProtocolError as error:
            return error
        return message
