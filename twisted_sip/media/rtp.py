"""RTP packets from bytes and to bytes (RFC 3550 section 5, header checks of appendix A.1).

Sans-I/O. :func:`split` is the hot path: it costs one unpacking for what phones really send.
"""

from __future__ import annotations

import struct

import attrs

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError

#: The version in the two highest bits of the first octet (section 5.1).
VERSION = 2

_FIXED = struct.Struct("!BBHII")
_EXTENSION = struct.Struct("!HH")

#: Version 2, neither padding nor extension nor contributing sources: nearly every packet there is.
_PLAIN = 0x80

#: Packs first octet, marker and payload type, sequence number, timestamp and SSRC.
pack_header = _FIXED.pack


@attrs.frozen(slots=True)
class RTPPacket:
    """One RTP packet (section 5.1).

    :ivar payload_type: 0 to 127.
    :ivar sequence: 16 bits.
    :ivar timestamp: 32 bits, in units of the clock rate.
    :ivar ssrc: 32 bits.
    :ivar payload: without padding.
    :ivar marker: the M bit.
    :ivar csrcs: up to fifteen contributing sources.
    :ivar extension: what the profile defines in 16 bits, and the words after it; None without one (section 5.3.1).
    :ivar padding: octets of padding to add, or that were found, the count included.
    """

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes = b""
    marker: bool = False
    csrcs: tuple[int, ...] = ()
    extension: tuple[int, bytes] | None = None
    padding: int = 0

    def to_bytes(self) -> bytes:
        """Return the packet as it goes onto the wire.

        :raises LocalProtocolError: a value does not fit its field.
        """
        if len(self.csrcs) > 15:
            raise LocalProtocolError("an RTP packet has at most fifteen contributing sources")
        if self.payload_type & ~0x7F or not 0 <= self.padding <= 255:
            raise LocalProtocolError("an RTP payload type is 0 to 127, padding 0 to 255 octets")
        first = VERSION << 6 | bool(self.padding) << 5 | (self.extension is not None) << 4 | len(self.csrcs)
        try:
            parts = [pack_header(first, self.marker << 7 | self.payload_type, self.sequence, self.timestamp, self.ssrc)]
            parts.extend(struct.pack("!I", csrc) for csrc in self.csrcs)
            if self.extension is not None:
                kind, words = self.extension
                if len(words) % 4:
                    raise LocalProtocolError("an RTP header extension is a multiple of four octets long")
                parts.append(_EXTENSION.pack(kind, len(words) // 4) + words)
        except struct.error as error:
            raise LocalProtocolError(f"a field of an RTP packet is out of range: {error}") from None
        parts.append(self.payload)
        if self.padding:
            parts.append(bytes(self.padding - 1) + bytes((self.padding,)))
        return b"".join(parts)


def split(data: bytes) -> tuple[int, int, int, int, bytes]:
    """Return the second octet (marker and payload type), sequence, timestamp, SSRC and payload of an RTP packet.

    :raises RemoteProtocolError: it is none (appendix A.1).
    """
    size = len(data)
    if size < 12:
        raise RemoteProtocolError("too short for RTP")
    first, second, sequence, timestamp, ssrc = _FIXED.unpack_from(data)
    if first == _PLAIN:
        return second, sequence, timestamp, ssrc, data[12:]
    start, end = _bounds(data, first, size)
    return second, sequence, timestamp, ssrc, data[start:end]


def _bounds(data: bytes, first: int, size: int) -> tuple[int, int]:
    if first >> 6 != VERSION:
        raise RemoteProtocolError("not RTP version 2")
    start = 12 + 4 * (first & 0x0F)
    if first & 0x10:
        if start + 4 > size:
            raise RemoteProtocolError("RTP header extension beyond the end of the packet")
        start += 4 + 4 * _EXTENSION.unpack_from(data, start)[1]
    end = size
    if first & 0x20:
        # Appendix A.1: a valid count, less than what stands after the header.
        padding = data[-1]
        end -= padding
        if not padding:
            raise RemoteProtocolError("RTP padding of no octets")
    if start > end:
        raise RemoteProtocolError("the parts of an RTP header are longer than the packet")
    return start, end


def parse_rtp(data: bytes) -> RTPPacket:
    """Read one RTP packet with all its parts.

    :raises RemoteProtocolError: it is none (appendix A.1).
    """
    second, sequence, timestamp, ssrc, payload = split(data)
    first = data[0]
    count = first & 0x0F
    csrcs = struct.unpack_from(f"!{count}I", data, 12) if count else ()
    extension = None
    if first & 0x10:
        place = 12 + 4 * count
        kind, words = _EXTENSION.unpack_from(data, place)
        extension = (kind, data[place + 4 : place + 4 + 4 * words])
    padding = data[-1] if first & 0x20 else 0
    return RTPPacket(second & 0x7F, sequence, timestamp, ssrc, payload, second > 0x7F, csrcs, extension, padding)


def is_rtcp(data: bytes) -> bool:
    """Tell RTCP from RTP on one port: packet types 192 to 223 are RTCP (RFC 5761 section 4)."""
    return len(data) > 1 and 192 <= data[1] <= 223
