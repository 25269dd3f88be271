"""Who gets what the transports receive: the seam between the transport and element floors (RFC 3261 section 18)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.flow import Address, Flow
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

#: What sees every message go by: ``(message, data, flow)``.
Watcher = Callable[[Request | Response, bytes, Flow], None]


class Receiver(Protocol):
    """What a TransportLayer hands its messages to. No method may raise.

    :ivar message_sent: called for each message sent, or None.
    :ivar message_seen: called for each message received, or None.
    """

    message_sent: Watcher | None
    message_seen: Watcher | None

    def admit(self, source_host: str) -> bool:
        """Say whether a message from *source_host* may be looked at; called before anything is parsed."""

    def request_received(self, request: Request, flow: Flow) -> None:
        """Take a request; received and rport are filled in (section 18.2.1, RFC 3581 section 4)."""

    def response_received(self, response: Response, flow: Flow) -> None:
        """Take a response whose topmost Via is ours (section 18.1.2)."""

    def malformed(self, error: RemoteProtocolError, data: bytes, flow: Flow) -> None:
        """Answer what cannot be read, if ``error.message`` allows it; a stream is closed afterwards if it must be.

        *data* is the datagram, or empty for a stream.
        """

    def flow_closed(self, flow: Flow) -> None:
        """A connection is gone, and what was sent over it may be lost."""

    def destination_refused(self, address: Address) -> None:
        """An ICMP error says that UDP to *address* does not arrive (section 18.4)."""


class HasTransports(Protocol):
    """What SIPDatagramProtocol and SIPFactory are made with: an element."""

    @property
    def transports(self) -> Any:
        """Its TransportLayer."""
