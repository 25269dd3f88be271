"""A flow: one way to one peer (RFC 5626 section 3.4), the single notion over which every transport sends.

Flow is an internal seam (a typing Protocol): the transports provide it, the transaction and element floors send
through it, the simulated network provides its own.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from twisted_sip.interfaces.transport_kind import TransportKind
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response


class Address(NamedTuple):
    """A numeric host (no brackets around IPv6) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Flow(Protocol):
    """One way to one peer: a UDP socket and a remote address, or a connection.

    Two flow objects to the same peer over the same socket compare equal and hash alike.
    """

    @property
    def kind(self) -> TransportKind: ...

    @property
    def local(self) -> Address:
        """The address of our socket."""

    @property
    def remote(self) -> Address:
        """The address of the peer."""

    @property
    def sent_by(self) -> str:
        """``host:port`` for the Via of a request that leaves here, advertised or real (RFC 3261 section 18.1.1)."""

    @property
    def open(self) -> bool:
        """False once the connection is gone; always true for a datagram flow whose socket listens."""

    @property
    def identities(self) -> tuple[str, ...]:
        """SIP domain identities that the peer's certificate proved (RFC 5922), empty without one."""

    @property
    def token(self) -> str:
        """A short text that names this flow on this node until the process or the connection ends, and, for a
        datagram flow, after a restart as well (see TransportLayer.flow_from_token)."""

    def send(self, data: bytes, message: Request | Response) -> None:
        """Send *data*, the serialised *message*. Never blocks.

        :raises TransportError: the connection is gone or its write buffer is over the limit.
        :raises MessageTooLarge: the datagram does not fit.
        """

    def reply_flow(self, request: Request) -> Flow:
        """The flow for responses to *request*, which came in here (RFC 3261 section 18.2.2, RFC 3581 section 4)."""
