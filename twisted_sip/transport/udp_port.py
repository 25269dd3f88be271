"""Twisted's UDP port, which also hears of ICMP errors where Linux tells them (RFC 3261 section 18.4).

An unconnected UDP socket is told nothing of refused datagrams unless it asks for the error queue (IP_RECVERR). A
socket with something in that queue polls as broken, which Twisted's own port takes for its end; this one empties the
queue and goes on.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from typing import Any

from twisted.internet import udp
from twisted.internet.interfaces import IHalfCloseableDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sip.interfaces.flow import Address
from twisted_sip.transport.rest import Rest, make_rest
from twisted_sip.transport.rounds import Rounds

_log = Logger()

# From <linux/in.h>, <linux/in6.h> and <linux/errqueue.h>; the socket module lacks them.
_IP_RECVERR = 11
_IPV6_RECVERR = 25
_SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55
# SK_MEMINFO_RMEM_ALLOC and SK_MEMINFO_RCVBUF of <linux/sock_diag.h>.
_MEMINFO = struct.Struct("=II")
_ORIGIN_ICMP = 2
_ORIGIN_ICMP6 = 3
_EXTENDED_ERROR = struct.Struct("=IBBBBII")
_ICMP_TIME_EXCEEDED = {_ORIGIN_ICMP: 11, _ORIGIN_ICMP6: 3}

#: A socket rests only if it may expect so many datagrams meanwhile; and not longer than it takes so many to come.
_FEWEST, _ENOUGH = 8, 48
#: Seconds over which it is counted how many come.
_SPAN = 0.1

#: How many queued errors are looked at in one go.
_ERRORS_PER_WAKEUP = 64


@implementer(IHalfCloseableDescriptor)
class SIPUDPPort(udp.Port):
    """A UDP port whose protocol has ``refused(address)`` called for each destination that an ICMP error names."""

    def __init__(
        self, *args: Any, per_wakeup: int = 64, gather: float = 0.0, rounds: Rounds | None = None, **named: Any
    ) -> None:
        """As twisted.internet.udp.Port.

        :param per_wakeup: how many datagrams to read before other sockets have their turn.
        :param gather: the most seconds that the socket rests once it has been read empty and many come, so that more
            are read at once; 0.0 for never. A process that wakes up for each datagram finds its memory in no cache.
        :param rounds: told of each rest.
        """
        super().__init__(*args, **named)  # type: ignore[no-untyped-call]
        self.per_wakeup = per_wakeup
        self.gather = gather
        self._rounds = rounds
        self._since = self._rate = 0.0
        self._count = 0
        self._resting = False
        self._rest: Rest
        self._clock: Any = self.reactor
        self._errors_wanted = False
        # Each datagram is copied out of one buffer. A bytes object that is made for the largest one and cut afterwards
        # leaves a gap behind what is kept of it, too small for the next: the heap grows to many times what is in it.
        self._buffer = memoryview(bytearray(self.maxPacketSize))

    def createInternetSocket(self) -> socket.socket:
        sock: socket.socket = super().createInternetSocket()
        if sys.platform == "linux":
            try:
                if sock.family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
                else:
                    sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
                self._errors_wanted = True
            except OSError as error:
                _log.warn("ICMP errors will not be heard of: {error}", error=str(error))
        return sock

    def startListening(self) -> None:
        super().startListening()  # type: ignore[no-untyped-call]
        self._rest = make_rest(self._clock, self._rested)

    def doRead(self) -> None:
        receive = self.socket.recvfrom_into
        received = self.protocol.datagramReceived
        buffer = self._buffer
        six = self.addressFamily == socket.AF_INET6
        for count in range(self.per_wakeup):
            try:
                size, addr = receive(buffer)
            except BlockingIOError:
                if self.gather:
                    self._read_empty(count)
                return
            except OSError as error:
                # A pending ICMP error is told once through any call; the queue says what it was about.
                if not self.drain_errors() and error.errno != errno.EINTR:
                    _log.warn("UDP {host}: {error}", host=self.interface, error=str(error))
                    return
                continue
            try:
                received(buffer[:size].tobytes(), addr[:2] if six else addr)
            except Exception:
                # One datagram must not cost the socket.
                _log.failure("A datagram from {peer} could not be dealt with", peer=addr[0])
            if not self.connected or self.disconnecting:
                return
        self._count += self.per_wakeup

    def _read_empty(self, count: int) -> None:
        """After *count* datagrams nothing waits any more: rest if many come."""
        self._count += count
        now = self._clock.seconds()
        elapsed = now - self._since
        if not 0 <= elapsed < _SPAN:
            # Negative, and not busy until more is known, where the clock was set back.
            self._rate = self._count / elapsed
            self._since, self._count = now, 0
        if self._rate * self.gather >= _FEWEST:
            self.stopReading()  # type: ignore[no-untyped-call]
            seconds = min(self.gather, _ENOUGH / self._rate)
            self._resting = True
            self._rest.start(seconds)
            if self._rounds is not None:
                self._rounds.begin(seconds)

    def _rested(self) -> None:
        self._resting = False
        rounds = self._rounds
        if rounds is not None:
            rounds.over()
        if self.connected and not self.disconnecting:
            self.doRead()
            if not self._resting and self.connected and not self.disconnecting:
                self.startReading()  # type: ignore[no-untyped-call]
        if rounds is not None:
            rounds.end()

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._rest.close()
        if self._resting:
            self._resting = False
            if self._rounds is not None:
                self._rounds.over()
                self._rounds.end()
        super().connectionLost(reason)  # type: ignore[no-untyped-call]

    def backlog(self) -> float:
        """How full the receive buffer of the socket is, 0.0 to 1.0; 0.0 where the system does not tell."""
        if sys.platform != "linux":
            return 0.0
        try:
            known = self.socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        except OSError:
            return 0.0
        if len(known) < _MEMINFO.size:
            return 0.0
        waiting, room = _MEMINFO.unpack(known)
        return float(waiting / room) if room else 0.0

    def drain_errors(self) -> int:
        """Empty the error queue and report whom it says unreachable; return how many errors there were."""
        if not self._errors_wanted:
            return 0
        count = 0
        while count < _ERRORS_PER_WAKEUP:
            try:
                _, ancillary, _, addr = self.socket.recvmsg(0, 512, socket.MSG_ERRQUEUE)
            except OSError:
                # Empty, which is how every loop over it ends.
                break
            count += 1
            for _, _, value in ancillary:
                if len(value) >= _EXTENDED_ERROR.size and addr and is_refusal(value):
                    self._clock.callLater(0, self._refused, Address(addr[0], addr[1]))
        return count

    def _refused(self, address: Address) -> None:
        if self.connected and not self.disconnecting:
            self.protocol.refused(address)

    # -- what the reactor says when the socket polls as broken and holds no datagram -----------

    def readConnectionLost(self, reason: Failure) -> None:
        """Empty the error queue and read on: the reactor has stopped reading because the socket polls as broken."""
        if not self.connected or self.disconnecting:
            return
        self.drain_errors()
        if not self._resting:
            self.startReading()  # type: ignore[no-untyped-call]

    def writeConnectionLost(self, reason: Failure) -> None:
        """Nothing is ever half-closed here."""


def is_refusal(extended_error: bytes) -> bool:
    """Tell whether a ``sock_extended_err`` is an ICMP error that RFC 3261 section 18.4 wants reported."""
    code, origin, kind, _, _, _, _ = _EXTENDED_ERROR.unpack_from(extended_error)
    if origin not in _ICMP_TIME_EXCEEDED or kind == _ICMP_TIME_EXCEEDED[origin]:
        # Errors of this host's own are told by sendto; TTL exceeded is ignored (section 18.4).
        return False
    return bool(code != errno.EMSGSIZE)


def set_receive_buffer(sock: socket.socket, size: int) -> None:
    """Ask the kernel for a receive buffer of *size* bytes; what it grants is its own affair."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        if sys.platform == "linux" and sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) < size:
            # net.core.rmem_max is in the way; the superuser may pass it.
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except PermissionError:
        granted = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        _log.debug("Receive buffer of {granted} bytes granted, {size} asked for", granted=granted, size=size)
    except OSError as error:
        _log.warn("No receive buffer of {size} bytes: {error}", size=size, error=str(error))
