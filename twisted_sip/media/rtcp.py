"""RTCP packets from bytes and to bytes: SR, RR, SDES, BYE, in compounds (RFC 3550 section 6, appendices A.2, A.4, A.5).

Sans-I/O. Packets of other types are left out when a compound is read (section 6.1), APP among them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import attrs

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError

#: Packet types (section 12.1).
SR, RR, SDES, BYE = 200, 201, 202, 203

#: SDES items (section 12.2).
CNAME = 1

#: No more packets are read of one datagram.
_MOST_PACKETS = 64

_HEAD = struct.Struct("!BBH")
_BLOCK = struct.Struct("!IIIIII")
_SENDER = struct.Struct("!IIIIII")


@attrs.frozen(slots=True)
class ReportBlock:
    """A reception report block (section 6.4.1).

    :ivar ssrc: of the source that it is about.
    :ivar fraction_lost: since the previous report, in 256ths.
    :ivar lost: cumulative; 24 bits, signed.
    :ivar highest: the extended highest sequence number received.
    :ivar jitter: interarrival jitter in timestamp units.
    :ivar last_sr: the middle 32 bits of the NTP timestamp of the last SR, 0 before one.
    :ivar delay: since that SR, in 65536ths of a second.
    """

    ssrc: int
    fraction_lost: int = 0
    lost: int = 0
    highest: int = 0
    jitter: int = 0
    last_sr: int = 0
    delay: int = 0

    def to_bytes(self) -> bytes:
        """Return the block as it goes onto the wire; the loss is clamped (appendix A.3)."""
        lost = max(-0x800000, min(0x7FFFFF, self.lost)) & 0xFFFFFF
        return _BLOCK.pack(
            self.ssrc,
            self.fraction_lost << 24 | lost,
            self.highest & 0xFFFFFFFF,
            min(self.jitter, 0xFFFFFFFF),
            self.last_sr,
            max(0, min(self.delay, 0xFFFFFFFF)),
        )


@attrs.frozen(slots=True)
class SenderReport:
    """SR (section 6.4.1).

    :ivar ntp: 64 bits: seconds since 1900 and their fraction.
    :ivar rtp_timestamp: the same moment in units of the RTP clock.
    """

    ssrc: int
    ntp: int
    rtp_timestamp: int
    packets: int
    octets: int
    blocks: tuple[ReportBlock, ...] = ()

    def to_bytes(self) -> bytes:
        """Return the packet as it goes onto the wire."""
        values = (self.ssrc, self.ntp >> 32, self.ntp, self.rtp_timestamp, self.packets, self.octets)
        body = _SENDER.pack(*(value & 0xFFFFFFFF for value in values))
        return _packet(SR, len(self.blocks), body + b"".join(block.to_bytes() for block in self.blocks))


@attrs.frozen(slots=True)
class ReceiverReport:
    """RR (section 6.4.2)."""

    ssrc: int
    blocks: tuple[ReportBlock, ...] = ()

    def to_bytes(self) -> bytes:
        """Return the packet as it goes onto the wire."""
        body = struct.pack("!I", self.ssrc) + b"".join(block.to_bytes() for block in self.blocks)
        return _packet(RR, len(self.blocks), body)


@attrs.frozen(slots=True)
class SourceDescription:
    """One chunk of SDES (section 6.5): *items* are (type, text) pairs."""

    ssrc: int
    items: tuple[tuple[int, str], ...] = ()

    @property
    def cname(self) -> str:
        """The canonical name, empty if it is not told."""
        return next((text for kind, text in self.items if kind == CNAME), "")

    def to_bytes(self) -> bytes:
        """Return a packet with this chunk alone (appendix A.4).

        :raises LocalProtocolError: an item is longer than 255 octets.
        """
        body = struct.pack("!I", self.ssrc)
        for kind, text in self.items:
            value = text.encode("utf-8")
            if len(value) > 255:
                raise LocalProtocolError("an SDES item has at most 255 octets")
            body += bytes((kind, len(value))) + value
        # The list ends with at least one null octet, up to the next word.
        body += bytes(4 - len(body) % 4)
        return _packet(SDES, 1, body)


@attrs.frozen(slots=True)
class Bye:
    """BYE (section 6.6)."""

    ssrcs: tuple[int, ...]
    reason: str = ""

    def to_bytes(self) -> bytes:
        """Return the packet as it goes onto the wire."""
        body = b"".join(struct.pack("!I", ssrc) for ssrc in self.ssrcs)
        if self.reason:
            value = self.reason.encode("utf-8")[:255]
            body += bytes((len(value),)) + value
            body += bytes(-len(body) % 4)
        return _packet(BYE, len(self.ssrcs), body)


RTCPPacket = SenderReport | ReceiverReport | SourceDescription | Bye


def compound(packets: Iterable[RTCPPacket]) -> bytes:
    """Return one datagram (section 6.1): the report comes first, and there is a CNAME; the caller sees to both."""
    return b"".join(packet.to_bytes() for packet in packets)


def parse_compound(data: bytes) -> list[RTCPPacket]:
    """Read one datagram; SDES becomes one value for each chunk.

    :raises RemoteProtocolError: it is no RTCP compound (appendix A.2), or a packet in it is malformed.
    """
    # Appendix A.2: version, no padding in the first packet, which is SR or RR.
    if len(data) < 8 or data[0] & 0xE0 != 0x80 or data[1] not in (SR, RR):
        raise RemoteProtocolError("an RTCP compound begins with SR or RR")
    packets: list[RTCPPacket] = []
    place = 0
    size = len(data)
    count = 0
    while place < size:
        count += 1
        if size - place < 4 or count > _MOST_PACKETS:
            raise RemoteProtocolError("RTCP lengths do not add up")
        first, kind, words = _HEAD.unpack_from(data, place)
        end = place + 4 + 4 * words
        if first >> 6 != 2 or end > size:
            raise RemoteProtocolError("RTCP lengths do not add up")
        body = data[place + 4 : end]
        if first & 0x20:
            # Section 6.4.1: only the last one may be padded.
            if end != size or not body or not 4 <= body[-1] <= len(body):
                raise RemoteProtocolError("wrong RTCP padding")
            body = body[: -body[-1]]
        try:
            _read(kind, first & 0x1F, body, packets)
        except (struct.error, IndexError):
            raise RemoteProtocolError("an RTCP packet is too short for what it holds") from None
        place = end
    return packets


def _read(kind: int, count: int, body: bytes, packets: list[RTCPPacket]) -> None:
    if kind == SR:
        ssrc, high, low, timestamp, sent, octets = _SENDER.unpack_from(body)
        packets.append(SenderReport(ssrc, high << 32 | low, timestamp, sent, octets, _blocks(body, 24, count)))
    elif kind == RR:
        packets.append(ReceiverReport(struct.unpack_from("!I", body)[0], _blocks(body, 4, count)))
    elif kind == SDES:
        _chunks(body, count, packets)
    elif kind == BYE:
        ssrcs = struct.unpack_from(f"!{count}I", body)
        place = 4 * count
        reason = ""
        if place < len(body):
            reason = body[place + 1 : place + 1 + body[place]].decode("utf-8", "replace")
        packets.append(Bye(ssrcs, reason))


def _blocks(body: bytes, start: int, count: int) -> tuple[ReportBlock, ...]:
    blocks = []
    for index in range(count):
        ssrc, loss, highest, jitter, last_sr, delay = _BLOCK.unpack_from(body, start + 24 * index)
        lost = loss & 0xFFFFFF
        if lost & 0x800000:
            lost -= 0x1000000
        blocks.append(ReportBlock(ssrc, loss >> 24, lost, highest, jitter, last_sr, delay))
    return tuple(blocks)


def _chunks(body: bytes, count: int, packets: list[RTCPPacket]) -> None:
    # Appendix A.5.
    place = 0
    for _ in range(count):
        ssrc = struct.unpack_from("!I", body, place)[0]
        place += 4
        items = []
        while body[place]:
            kind, length = body[place], body[place + 1]
            value = body[place + 2 : place + 2 + length]
            if len(value) != length:
                raise IndexError
            items.append((kind, value.decode("utf-8", "replace")))
            place += 2 + length
        place += 4 - place % 4
        packets.append(SourceDescription(ssrc, tuple(items)))


def _packet(kind: int, count: int, body: bytes) -> bytes:
    if count > 31:
        raise LocalProtocolError("an RTCP packet has at most 31 parts")
    return _HEAD.pack(0x80 | count, kind, len(body) // 4) + body
