"""The two sockets of one stream, or the one that RTP and RTCP share (RFC 5761); who gets what (RFC 7983 section 7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted_sip.media.protection import Protection
from twisted_sip.media.sockets import DatagramSocket, PortRange

#: Components as ICE counts them (RFC 8445 section 4).
RTP, RTCP = 1, 2

#: Takes a component, a datagram and where it came from.
Taken = Callable[[int, bytes, tuple[str, int]], object]


class MediaPortUser(Protocol):
    """Who gets the packets, opened if they were protected."""

    def rtp_received(self, data: bytes, address: tuple[str, int]) -> object:
        """A datagram that begins like RTP."""
        ...

    def rtcp_received(self, data: bytes, address: tuple[str, int]) -> object:
        """A datagram that begins like RTCP."""
        ...


class MediaPort:
    """Sockets of one stream.

    :ivar protection: SRTP, None without.
    :ivar stun: takes STUN, and TURN channels (first octets 0 to 3 and 64 to 79); None drops them.
    :ivar dtls: takes DTLS (first octets 20 to 63); None drops it.
    :ivar path: takes component and datagram in place of the sockets when something is sent (ICE, TURN); None without.
    :ivar path_found: called with a component when its path leads somewhere, or elsewhere than before; None for nobody.
    :ivar muxed: RTP and RTCP share the RTP socket.
    :ivar malformed: datagrams that begin like nothing that is known (RFC 7983 section 7), and empty ones.
    :ivar refused: datagrams that nobody takes, or that protection refuses.
    """

    def __init__(self, ports: PortRange, user: MediaPortUser) -> None:
        """Bind.

        :raises MediaRefused: there is no port.
        """
        self._ports = ports
        self._user = user
        self.protection: Protection | None = None
        self.stun: Taken | None = None
        self.dtls: Taken | None = None
        self.path: Callable[[int, bytes], object] | None = None
        self.path_found: Callable[[int], object] | None = None
        self.muxed = False
        self.malformed = 0
        self.refused = 0
        self._rtp, self._rtcp = ports.bind(self._on_rtp, self._on_rtcp)
        self._rtcp_open = True
        self._open = True

    @property
    def host(self) -> str:
        """The address that both sockets are bound to."""
        return self._rtp.host

    @property
    def port(self) -> int:
        """The port of RTP."""
        return self._rtp.port

    @property
    def rtcp_port(self) -> int:
        """The port of RTCP; that of RTP if both share it."""
        return self._rtp.port if self.muxed else self._rtcp.port

    def socket(self, component: int) -> DatagramSocket:
        """Return the socket of *component*, as it is without what ICE and SRTP add."""
        return self._rtp if component == RTP or self.muxed else self._rtcp

    def mux(self, final: bool = False) -> None:
        """RTP and RTCP share the RTP socket from now on (RFC 5761 section 5.1.1).

        :param final: both sides have said so: the RTCP socket is closed.
        """
        self.muxed = True
        if final and self._rtcp_open:
            self._rtcp_open = False
            self._rtcp.close()

    # -- inwards ---------------------------------------------------------------------------------

    def _on_rtp(self, data: bytes, address: tuple[str, int]) -> None:
        self.received(RTP, data, address)

    def _on_rtcp(self, data: bytes, address: tuple[str, int]) -> None:
        self.received(RTCP, data, address)

    def received(self, component: int, data: bytes, address: tuple[str, int]) -> None:
        """Deal with a datagram from a socket, or out of a relay (RFC 7983 section 7)."""
        if len(data) < 2:
            self.malformed += 1
            return
        first = data[0]
        if 128 <= first <= 191:
            protection = self.protection
            # RFC 5761 section 4: packet types 192 to 223 are RTCP.
            if 192 <= data[1] <= 223:
                plain = data if protection is None else protection.unprotect_rtcp(data)
                if plain is not None:
                    self._user.rtcp_received(plain, address)
                    return
            elif component == RTP:
                plain = data if protection is None else protection.unprotect_rtp(data)
                if plain is not None:
                    self._user.rtp_received(plain, address)
                    return
            self.refused += 1
        elif first <= 3 or 64 <= first <= 79:
            self._give(self.stun, component, data, address)
        elif 20 <= first <= 63:
            self._give(self.dtls, component, data, address)
        else:
            # ZRTP (16 to 19) is for nobody here either.
            self.malformed += 1

    def _give(self, taken: Taken | None, component: int, data: bytes, address: tuple[str, int]) -> None:
        if taken is None:
            self.refused += 1
        else:
            taken(component, data, address)

    # -- outwards --------------------------------------------------------------------------------

    def send_rtp(self, data: bytes, address: tuple[str, int]) -> bool:
        """Send an RTP packet to *address*, which a path may know better; tell whether it could be protected."""
        protection = self.protection
        if protection is not None:
            protected = protection.protect_rtp(data)
            if protected is None:
                return False
            data = protected
        if self.path is not None:
            self.path(RTP, data)
        elif self._open:
            self._rtp.send(data, address)
        return True

    def send_rtcp(self, data: bytes, address: tuple[str, int]) -> None:
        """Send an RTCP compound to *address*, which a path may know better."""
        protection = self.protection
        if protection is not None:
            protected = protection.protect_rtcp(data)
            if protected is None:
                return
            data = protected
        if self.path is not None:
            self.path(RTP if self.muxed else RTCP, data)
        elif self._open:
            self.socket(RTCP).send(data, address)

    def send_raw(self, component: int, data: bytes, address: tuple[str, int]) -> None:
        """Send a datagram as it is: STUN, DTLS."""
        if self._open:
            self.socket(component).send(data, address)

    def close(self) -> None:
        """Let go of both ports. Harmless when repeated."""
        if self._open:
            self._open = False
            self.path = None
            self._rtp.close()
            if self._rtcp_open:
                self._rtcp_open = False
                self._rtcp.close()
            self._ports.released()
