"""One socket that is listened on, and what it was opened for."""

from __future__ import annotations

from typing import Any

import attrs

from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TransportKind
from twisted_sip.transport.listener import Listener
from twisted_sip.transport.tls import ServerTLS


@attrs.frozen(slots=True)
class Wanted:
    """One address of what a descriptor asks for.

    :ivar text: the descriptor as it was written.
    :ivar kind: the transport.
    :ivar address: numeric; port 0 for any free one.
    :ivar advertise: what peers are told, empty for the address itself.
    :ivar tls: makes the TLS connections, None without TLS.
    :ivar spread: it is one of several addresses; one that cannot be had is left out.
    """

    text: str
    kind: TransportKind
    address: Address
    advertise: str = ""
    tls: ServerTLS | None = None
    spread: bool = False


@attrs.define(slots=True, eq=False)
class Place:
    """A socket that is listened on.

    :ivar wanted: what it was opened for.
    :ivar port: Twisted's port.
    :ivar listener: where messages arrive by it.
    """

    wanted: Wanted
    port: Any
    listener: Listener

    @property
    def address(self) -> Address:
        """Where it is, with the real port."""
        return self.listener.address

    def serves(self, wanted: Wanted) -> bool:
        """Tell whether the socket that *wanted* asks for is this one."""
        ours = self.wanted
        if ours.kind.stream != wanted.kind.stream or ours.address.host != wanted.address.host:
            return False
        if not wanted.address.port or not ours.address.port:
            # Any free port: that of the same descriptor.
            return wanted.address.port == ours.address.port and wanted.text == ours.text
        return ours.address.port == wanted.address.port

    def __str__(self) -> str:
        return f"{self.listener.kind.parameter} {self.listener.address}"
