"""UDP sockets for media, and where their numbers come from (RFC 3550 section 11: even for RTP, the next one for RTCP).

Thinner than a Twisted port: a packet costs one system call and one call of Python each way. Simulations bring sockets
of their own (:class:`SocketMaker`).
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from twisted_sip.errors import MediaRefused

_log = Logger()

#: Larger datagrams are no media: they are dropped.
LARGEST = 4096

#: Datagrams that are read before other sockets have their turn.
_PER_WAKEUP = 32

#: How often any free port is tried for an even one with a free neighbour.
_TRIES = 64

#: What is called for each datagram.
Received = Callable[[bytes, tuple[str, int]], object]


class DatagramSocket(Protocol):
    """A bound socket.

    ``host`` and ``port`` are what it is bound to; ``received`` may be set anew at any time.
    """

    host: str
    port: int
    received: Received

    def send(self, data: bytes, address: tuple[str, int]) -> None:
        """Send a datagram. It may be lost; nothing is raised."""
        ...

    def close(self) -> None:
        """Let go of the port. Harmless when repeated."""
        ...


class SocketMaker(Protocol):
    """Makes sockets."""

    def bind(self, host: str, port: int, received: Received) -> DatagramSocket:
        """Return a socket bound to *host* and *port*, 0 for any free one.

        :raises OSError: it is taken, or not ours.
        """
        ...


@implementer(IReadDescriptor)
class UDPSocket:
    """A UDP socket in a reactor.

    :ivar unsent: datagrams that the system did not take.
    :ivar oversized: datagrams that were too large.
    """

    def __init__(self, reactor: Any, sock: socket.socket, received: Received) -> None:
        self._reactor = reactor
        self._socket = sock
        self._recvfrom = sock.recvfrom
        self._sendto = sock.sendto
        self._six = sock.family == socket.AF_INET6
        self.host, self.port = sock.getsockname()[:2]
        self.received = received
        self.unsent = 0
        self.oversized = 0
        self._open = True
        reactor.addReader(self)

    def fileno(self) -> int:
        """The descriptor, -1 once it is closed."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """What the reactor calls it."""
        return "media"

    def doRead(self) -> None:
        """Read what has come, within a bound."""
        recvfrom = self._recvfrom
        six = self._six
        for _ in range(_PER_WAKEUP):
            try:
                data, address = recvfrom(LARGEST)
            except BlockingIOError:
                return
            except OSError:
                # An error of an earlier datagram, told once.
                return
            if len(data) >= LARGEST:
                self.oversized += 1
                continue
            try:
                self.received(data, address[:2] if six else address)
            except Exception:
                # One datagram must not cost the socket.
                _log.failure("A datagram from {peer} could not be dealt with", peer=address[0])
            if not self._open:
                return

    def send(self, data: bytes, address: tuple[str, int]) -> None:
        """Send a datagram."""
        try:
            self._sendto(data, address)
        except OSError:
            # No route, no buffer: media do not wait.
            self.unsent += 1
        except (OverflowError, TypeError):
            self.unsent += 1

    def connectionLost(self, reason: Any) -> None:
        """The reactor has stopped, or the socket polls as broken."""
        self.close()

    def close(self) -> None:
        """Let go of the port. Harmless when repeated."""
        if self._open:
            self._open = False
            self._reactor.removeReader(self)
            self._socket.close()


class UDPSockets:
    """Makes UDP sockets in a reactor.

    :param reactor: an IReactorFDSet.
    :param dscp: the mark of every packet, 0 for none (RFC 2474).
    """

    def __init__(self, reactor: Any, dscp: int = 0) -> None:
        self._reactor = reactor
        self._dscp = dscp

    def bind(self, host: str, port: int, received: Received) -> UDPSocket:
        """Return a socket bound to *host* and *port*, 0 for any free one.

        :raises OSError: it is taken, or not ours.
        """
        six = ":" in host
        sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            if six:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((host, port))
            if self._dscp:
                self._mark(sock, six)
        except BaseException:
            sock.close()
            raise
        return UDPSocket(self._reactor, sock, received)

    def _mark(self, sock: socket.socket, six: bool) -> None:
        try:
            if six:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, self._dscp << 2)
            else:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, self._dscp << 2)
        except OSError as error:
            _log.warn("Media packets cannot be marked: {error}", error=str(error))


class PortRange:
    """Gives pairs of ports out of a range, one after the other, so that a freed one rests for a while.

    :ivar pairs: how many pairs are in use.
    """

    def __init__(self, makes: SocketMaker, host: str, ports: tuple[int, int] = (0, 0)) -> None:
        """Make one.

        :param ports: both ends included; (0, 0) for whatever is free.
        """
        self._makes = makes
        self._host = host
        low, high = ports
        self._first = low + low % 2
        self._count = (high - self._first + 1) // 2 if high else 0
        self._next = 0
        self.pairs = 0

    def bind(self, rtp: Received, rtcp: Received) -> tuple[DatagramSocket, DatagramSocket]:
        """Return two sockets, for RTP and RTCP, neighbours where that can be; :meth:`released` must follow.

        :raises MediaRefused: with 503, if there is none.
        """
        found = self._from_range(rtp, rtcp) if self._count else self._any(rtp, rtcp)
        self.pairs += 1
        return found

    def released(self) -> None:
        """A pair was closed."""
        self.pairs -= 1

    def _from_range(self, rtp: Received, rtcp: Received) -> tuple[DatagramSocket, DatagramSocket]:
        for _ in range(self._count):
            port = self._first + 2 * self._next
            self._next = (self._next + 1) % self._count
            pair = self._pair(port, rtp, rtcp)
            if pair is not None:
                return pair
        raise MediaRefused("No media port is free", status=503, warning_code=399)

    def _any(self, rtp: Received, rtcp: Received) -> tuple[DatagramSocket, DatagramSocket]:
        for _ in range(_TRIES):
            pair = self._pair(0, rtp, rtcp)
            if pair is not None:
                return pair
        raise MediaRefused("No media port is free", status=503, warning_code=399)

    def _pair(self, port: int, rtp: Received, rtcp: Received) -> tuple[DatagramSocket, DatagramSocket] | None:
        try:
            first = self._makes.bind(self._host, port, rtp)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and port:
                return None
            raise MediaRefused(f"No media port: {error.strerror}", status=503, warning_code=399) from None
        if not first.port % 2 and first.port < 65535:
            try:
                return first, self._makes.bind(self._host, first.port + 1, rtcp)
            except OSError:
                pass
        first.close()
        return None
