"""Which codecs there are, by the names of RFC 3551 and the registered media types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs

from twisted_sip.errors import LocalProtocolError
from twisted_sip.media.codecs.g711 import G711
from twisted_sip.media.codecs.linear import L16
from twisted_sip.media.codecs.opus import Opus, is_available


class AudioCodec(Protocol):
    """Sound to payloads and back, for one stream.

    ``name`` as in rtpmap, ``clock_rate`` of RTP timestamps, ``rate`` samples per second of the sound, ``channels`` as
    in rtpmap.
    """

    @property
    def name(self) -> str: ...

    @property
    def clock_rate(self) -> int: ...

    @property
    def rate(self) -> int: ...

    @property
    def channels(self) -> int: ...

    def encode(self, pcm: bytes) -> bytes:
        """Return the payload of a frame."""
        ...

    def decode(self, payload: bytes) -> bytes:
        """Return the samples of a payload; raises RemoteProtocolError if it makes no sense."""
        ...

    def conceal(self, samples: int) -> bytes:
        """Return something in place of what is missing."""
        ...

    def samples(self, payload: bytes) -> int:
        """Return how many samples a payload holds, without decoding it."""
        ...

    def close(self) -> None:
        """Let go of what it holds. Harmless when repeated."""
        ...


@attrs.frozen(slots=True)
class CodecKind:
    """One row of the table.

    :ivar name: as in rtpmap.
    :ivar clock_rate: of RTP timestamps in Hz.
    :ivar channels: as in rtpmap.
    :ivar payload_type: the static one of RFC 3551 table 4, None for dynamic.
    :ivar make: makes a codec for one stream.
    :ivar parameters: of fmtp that we offer.
    :ivar bandwidth: of a stream with headers, in octets per second; RTCP is a part of that.
    """

    name: str
    clock_rate: int
    channels: int
    payload_type: int | None
    make: Callable[[], AudioCodec]
    parameters: str = ""
    bandwidth: int = 10_000

    @property
    def key(self) -> tuple[str, int, int]:
        """What two sides compare: name in capitals, clock rate, channels."""
        return self.name.upper(), self.clock_rate, self.channels


#: Every codec that may be there.
KINDS: tuple[CodecKind, ...] = (
    CodecKind("PCMU", 8000, 1, 0, lambda: G711("PCMU")),
    CodecKind("PCMA", 8000, 1, 8, lambda: G711("PCMA")),
    CodecKind("opus", 48000, 2, None, Opus, "useinbandfec=1", 5_000),
    CodecKind("L16", 8000, 1, None, lambda: L16(8000), "", 18_000),
    CodecKind("L16", 16000, 1, None, lambda: L16(16000), "", 34_000),
    CodecKind("L16", 44100, 1, 11, lambda: L16(44100), "", 90_000),
    CodecKind("L16", 48000, 1, None, lambda: L16(48000), "", 98_000),
)


def codec_kinds(names: tuple[str, ...]) -> tuple[CodecKind, ...]:
    """Return the rows for *names* in that order: ``PCMU``, ``opus``, ``L16/16000``; Opus is left out without libopus.

    :raises LocalProtocolError: there is no codec of that name.
    """
    chosen = []
    for name in names:
        plain, _, rate = name.upper().partition("/")
        wanted = int(rate) if rate.isdigit() else None
        rows = [kind for kind in KINDS if kind.name.upper() == plain and wanted in (None, kind.clock_rate)]
        if not rows or (rate and wanted is None):
            raise LocalProtocolError(f"there is no codec {name!r}")
        if plain != "OPUS" or is_available():
            chosen.append(rows[0])
    return tuple(dict.fromkeys(chosen))
