"""Media passed on between two sides without being decoded, for phones that cannot reach each other (RFC 3550 2.3).

A side is 0 or 1. A description that came from one side is rewritten for the other: the addresses in it become those of
the relay. Works for every kind of RTP stream, protected ones too; ICE ends here, so its attributes are taken out.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING

import attrs

from twisted_sip.errors import LocalProtocolError, MediaRefused
from twisted_sip.media.latch import Latch
from twisted_sip.media.relay_leg import RelayLeg
from twisted_sip.sdp.attributes import without_attributes
from twisted_sip.sdp.connection import Connection
from twisted_sip.sdp.description import SessionDescription
from twisted_sip.sdp.media_description import MediaDescription

if TYPE_CHECKING:
    from twisted_sip.media.plane import MediaPlane

#: What a relay takes out of descriptions: what names addresses beside c= and m= (RFC 8839, RFC 3605).
_NAMES_ADDRESSES = (
    "candidate",
    "end-of-candidates",
    "ice-lite",
    "ice-mismatch",
    "ice-options",
    "ice-pacing",
    "ice-pwd",
    "ice-ufrag",
    "remote-candidates",
    "rtcp",
)

#: Streams in one call.
MOST_STREAMS = 8


@attrs.frozen(slots=True)
class RelayCounts:
    """What one side has sent through a relay."""

    packets: int = 0
    octets: int = 0
    refused: int = 0
    flooded: int = 0


class _RelayedStream:
    """Four sockets: RTP and RTCP at each side."""

    def __init__(self, plane: MediaPlane) -> None:
        settings = plane.settings
        self._plane = plane
        self.legs = [[RelayLeg(self._latch(), settings.most_rate) for _ in range(2)] for _ in range(2)]
        self._bound = 0
        try:
            for side in self.legs:
                rtp, rtcp = plane.ports.bind(side[0].received, side[1].received)
                side[0].bound(rtp)
                side[1].bound(rtcp)
                self._bound += 1
        except Exception:
            self.close()
            raise
        for one, other in zip(*self.legs, strict=True):
            one.other, other.other = other, one

    def _latch(self) -> Latch:
        return Latch(relatch=self._plane.settings.relatch)

    def port(self, side: int) -> int:
        """The port of RTP that *side* sends to."""
        sock = self.legs[side][0].socket
        assert sock is not None
        return sock.port

    def heard_from(self, media: MediaDescription, side: int, now: float) -> None:
        """*side* has described its stream."""
        target = rtcp = None
        listens = not media.has_no_address
        if listens:
            target = _numeric(media.address, media.port)
            # Whether both share a port is for the two to agree: each port is passed on to its counterpart.
            rtcp = _numeric(*media.rtcp_address_unmuxed)
        self.legs[side][0].tell(target, now, follow=listens)
        self.legs[side][1].tell(rtcp, now, follow=listens)

    def close(self) -> None:
        """Let go of the sockets. Harmless when repeated."""
        for side in self.legs:
            for leg in side:
                sock, leg.socket = leg.socket, None
                leg.target = leg.other = None
                if sock is not None:
                    sock.close()
        for _ in range(self._bound):
            self._plane.ports.released()
        self._bound = 0


class MediaRelay:
    """The media of a call that is passed on.

    :ivar on_timeout: called with the seconds for which nothing came from either side, once.
    """

    def __init__(self, plane: MediaPlane) -> None:
        """Make one; ports are bound with the first description."""
        self._plane = plane
        self._streams: list[_RelayedStream | None] = []
        self._packets: dict[RelayLeg, int] = {}
        self._quiet = 0.0
        self._told = False
        self._counted = [RelayCounts(), RelayCounts()]
        self._ticker = plane.ticker(1000)
        self._closed = False
        self.on_timeout: Callable[[float], object] | None = None
        plane.relays.add(self)
        self._ticker.add(self._second)

    def pass_on(self, description: SessionDescription, side: int, *, offer: bool = False) -> SessionDescription:
        """Return the description that the other side is to get in place of *description*, which came from *side*.

        :param offer: it may be refused: the ports of streams that it removes stay until they are removed by the answer.
        :raises MediaRefused: there is no port, an address of a group (330), or there are too many streams.
        :raises LocalProtocolError: the relay is closed.
        """
        if self._closed:
            raise LocalProtocolError("the relay is closed")
        if len(description.media) > MOST_STREAMS:
            raise MediaRefused(f"No more than {MOST_STREAMS} streams", warning_code=399)
        if any(_is_group(one) for one in description.media):
            raise MediaRefused("Multicast not available", warning_code=330)
        media = tuple([self._one(place, one, side, offer) for place, one in enumerate(description.media)])
        address = self._plane.settings.address
        return attrs.evolve(
            description,
            origin=attrs.evolve(description.origin, address=address, address_type=""),
            connection=None if description.connection is None else Connection(address),
            attributes=without_attributes(description.attributes, *_NAMES_ADDRESSES),
            media=media,
        )

    def _one(self, place: int, media: MediaDescription, side: int, offer: bool) -> MediaDescription:
        while len(self._streams) <= place:
            self._streams.append(None)
        stream = self._streams[place]
        if not media.port:
            # RFC 3264 section 8.2: removed, or rejected; the port is free again.
            if stream is not None and not offer:
                self._drop(place, stream)
            named = media.connections and not media.has_no_address
            return attrs.evolve(
                media,
                connections=(Connection(self._plane.settings.address),) if named else media.connections,
                attributes=without_attributes(media.attributes, *_NAMES_ADDRESSES),
            )
        if stream is None:
            stream = self._streams[place] = _RelayedStream(self._plane)
        stream.heard_from(media, side, self._plane.clock.seconds())
        self._told = False
        self._quiet = 0.0
        there = media.connection
        address = self._plane.settings.address
        return attrs.evolve(
            media,
            port=stream.port(1 - side),
            port_count=None,
            # RFC 3264 section 8.4: hold as it was before directions is passed on as it is.
            connections=(there,) if there is not None and media.has_no_address else (Connection(address),),
            attributes=without_attributes(media.attributes, *_NAMES_ADDRESSES),
        )

    def _drop(self, place: int, stream: _RelayedStream) -> None:
        self._streams[place] = None
        for side in (0, 1):
            self._counted[side] = _added(self._counted[side], stream, side)
            for leg in stream.legs[side]:
                self._packets.pop(leg, None)
        stream.close()

    def counts(self, side: int) -> RelayCounts:
        """Return what *side* has sent so far."""
        counts = self._counted[side]
        for stream in self._streams:
            if stream is not None:
                counts = _added(counts, stream, side)
        return counts

    def _second(self, now: float) -> None:
        heard = False
        for stream in self._streams:
            if stream is None:
                continue
            for side in stream.legs:
                for leg in side:
                    moved = self._packets.get(leg, 0) != leg.packets
                    self._packets[leg] = leg.packets
                    leg.second(now, moved)
                    heard = heard or moved
        self._quiet = 0.0 if heard else self._quiet + 1.0
        if heard:
            self._told = False
        limit = self._plane.settings.timeout
        if limit and self._quiet >= limit and not self._told and self._streams:
            self._told = True
            if self.on_timeout is not None:
                self.on_timeout(self._quiet)

    def close(self) -> None:
        """Let go of every port. Harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        self._ticker.remove(self._second)
        for place, stream in enumerate(self._streams):
            if stream is not None:
                self._drop(place, stream)
        self._streams.clear()
        self._packets.clear()
        self._plane.relays.discard(self)


def _added(counts: RelayCounts, stream: _RelayedStream, side: int) -> RelayCounts:
    legs = stream.legs[side]
    return RelayCounts(
        counts.packets + sum(leg.packets for leg in legs),
        counts.octets + sum(leg.octets for leg in legs),
        counts.refused + sum(leg.refused for leg in legs),
        counts.flooded + sum(leg.flooded for leg in legs),
    )


def _is_group(media: MediaDescription) -> bool:
    return bool(media.port) and (media.is_multicast or media.address == "255.255.255.255")


def _numeric(host: str, port: int) -> tuple[str, int] | None:
    # A name is not resolved: the first packet of that side tells where it is.
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return None if not port or address.is_multicast or address.is_unspecified else (str(address), port)
