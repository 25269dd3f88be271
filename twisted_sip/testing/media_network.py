"""A network for media on a Clock: delay, jitter, loss, copies and NAT, the same with each run; and media without sound.

``MediaNetwork(clock).plane("192.0.2.1")`` is a MediaPlane whose sockets are on it.
"""

from __future__ import annotations

import errno
import random
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from twisted_sip.errors import LocalProtocolError
from twisted_sip.interfaces.media import IMediaSession, MediaStatistics
from twisted_sip.media.plane import MediaPlane
from twisted_sip.media.settings import MediaSettings
from twisted_sip.media.sockets import Received
from twisted_sip.sdp.codec import Codec
from twisted_sip.sdp.connection import Origin
from twisted_sip.sdp.description import SessionDescription
from twisted_sip.sdp.direction import Direction
from twisted_sip.sdp.local_stream import LocalStream
from twisted_sip.sdp.negotiation import build_answer
from twisted_sip.sdp.offer import build_offer


class SimulatedSocket:
    """A socket on a :class:`MediaNetwork`."""

    def __init__(self, network: MediaNetwork, host: str, port: int, received: Received) -> None:
        self.host = host
        self.port = port
        self.received = received
        self.network = network
        self.closed = False

    def send(self, data: bytes, address: tuple[str, int]) -> None:
        """Send a datagram; nothing goes out of a closed socket."""
        if not self.closed:
            self.network.carry(data, (self.host, self.port), address)

    def close(self) -> None:
        """Let go of the port."""
        self.closed = True
        self.network.sockets.pop((self.host, self.port), None)


class MediaNetwork:
    """Datagrams on their way.

    :ivar delay: seconds that each takes.
    :ivar jitter: up to so many seconds more, which may put them into another order.
    :ivar loss: part that does not arrive, 0.0 to 1.0.
    :ivar copies: part that arrives twice.
    :ivar translated: (host, port) as others see it, by (host, port) of a socket: a NAT.
    :ivar sent: how many were sent.
    :ivar sockets: what is bound.
    """

    def __init__(self, clock: IReactorTime, seed: int = 1) -> None:
        self.clock = clock
        self.random = random.Random(seed)
        self.delay = 0.01
        self.jitter = 0.0
        self.loss = 0.0
        self.copies = 0.0
        self.sent = 0
        self.translated: dict[tuple[str, int], tuple[str, int]] = {}
        self.sockets: dict[tuple[str, int], SimulatedSocket] = {}
        self._next = 40000

    def bind(self, host: str, port: int, received: Received) -> SimulatedSocket:
        """Return a socket (a SocketMaker)."""
        if not port:
            port = self._next
            self._next += 2
        if (host, port) in self.sockets:
            raise OSError(errno.EADDRINUSE, "in use")
        made = self.sockets[host, port] = SimulatedSocket(self, host, port, received)
        return made

    def carry(self, data: bytes, source: tuple[str, int], target: tuple[str, int]) -> None:
        """Take a datagram to where it goes, or lose it."""
        self.sent += 1
        for _ in range(2 if self.random.random() < self.copies else 1):
            if self.random.random() >= self.loss:
                delay = self.delay + self.random.random() * self.jitter
                self.clock.callLater(delay, self._arrive, data, source, target)

    def _arrive(self, data: bytes, source: tuple[str, int], target: tuple[str, int]) -> None:
        inside = {outer: inner for inner, outer in self.translated.items()}.get(target, target)
        found = self.sockets.get(inside)
        if found is not None:
            found.received(data, self.translated.get(source, source))

    def plane(self, host: str = "192.0.2.1", **settings: Any) -> MediaPlane:
        """Return a plane whose sockets are at *host*; *settings* are those of MediaSettings."""
        settings.setdefault("ports", (0, 0))
        return MediaPlane(
            self.clock,
            MediaSettings(host=host, **settings),
            sockets=self,
            random_bytes=lambda count: self.random.randbytes(count),
        )


@implementer(IMediaSession)
@attrs.define(slots=True, eq=False)
class FakeMediaSession:
    """Descriptions without sound: what a call does with its media can be read off it.

    :ivar port: what it tells as its port.
    :ivar log: what was called, in order.
    :ivar refuse: raised by the next answer() or answered(), once.
    """

    port: int = 40000
    host: str = "192.0.2.1"
    log: list[str] = attrs.Factory(list)
    refuse: Exception | None = None
    closed: bool = False
    held: bool = False
    last: SessionDescription | None = None
    outstanding: bool = False
    version: int = 0

    def _stream(self) -> LocalStream:
        direction = Direction.SENDONLY if self.held else Direction.SENDRECV
        return LocalStream(codecs=(Codec("PCMU", 8000),), port=self.port, address=self.host, direction=direction)

    def _origin(self) -> Origin:
        self.version += 1
        return Origin("-", "1", self.version, self.host)

    def _refuse(self) -> None:
        refuse, self.refuse = self.refuse, None
        if refuse is not None:
            raise refuse

    def offer(self) -> SessionDescription | Deferred[SessionDescription]:
        """See IMediaSession."""
        self.log.append("offer")
        if self.closed or self.outstanding:
            raise LocalProtocolError("no offer can be made now")
        self.outstanding = True
        self.last = build_offer(self._origin(), self.host, [self._stream()], previous=self.last)
        return self.last

    def answer(self, offer: SessionDescription) -> SessionDescription | Deferred[SessionDescription]:
        """See IMediaSession."""
        self.log.append("answer")
        self._refuse()
        stream = self._stream()
        self.last = build_answer(
            offer, self._origin(), self.host, lambda place, media: stream if media.kind == "audio" else None
        )
        return self.last

    def answered(self, answer: SessionDescription) -> None:
        """See IMediaSession."""
        self.log.append("answered")
        self._refuse()
        self.outstanding = False

    def rolled_back(self) -> None:
        """See IMediaSession."""
        self.log.append("rolled_back")
        self.outstanding = False

    def hold(self, on: bool) -> None:
        """See IMediaSession."""
        self.log.append(f"hold {on}")
        self.held = on

    def statistics(self) -> MediaStatistics:
        """See IMediaSession."""
        return MediaStatistics()

    def close(self) -> None:
        """See IMediaSession."""
        if not self.closed:
            self.log.append("close")
        self.closed = True
