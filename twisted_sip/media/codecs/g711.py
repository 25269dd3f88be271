"""PCMU and PCMA (ITU-T G.711, RFC 3551 sections 4.5.14): 8 kHz, one octet for each sample, by tables of our own.

Decoding is two translations of bytes; encoding is one look-up for each sample in a table of 65,536.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable

from twisted_sip.media.concealment import Concealment

_LITTLE = sys.byteorder == "little"


def ulaw_value(code: int) -> int:
    """Return the 16-bit sample of a u-law octet (G.711 table 2a, scaled by four)."""
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return -magnitude if code & 0x80 else magnitude


def alaw_value(code: int) -> int:
    """Return the 16-bit sample of an A-law octet (G.711 table 1a, scaled by sixteen)."""
    code ^= 0x55
    segment = code >> 4 & 7
    magnitude = ((code & 0x0F) << 4) + 8
    if segment:
        magnitude = magnitude + 0x100 << segment - 1
    return magnitude if code & 0x80 else -magnitude


def ulaw_code(sample: int) -> int:
    """Return the u-law octet of a 16-bit sample (G.711 section 3.3)."""
    # 14 bits count; the bias puts every segment on a power of two.
    value = sample >> 2
    sign = 0x80 if value < 0 else 0
    magnitude = min(abs(value) + 33, 0x1FFF)
    segment = magnitude.bit_length() - 6
    return ~(sign | segment << 4 | magnitude >> segment + 1 & 0x0F) & 0xFF


def alaw_code(sample: int) -> int:
    """Return the A-law octet of a 16-bit sample (G.711 section 3.2)."""
    sign = 0x80 if sample >= 0 else 0
    # 13 bits count.
    magnitude = (sample if sample >= 0 else ~sample) >> 4
    segment = max(0, magnitude.bit_length() - 4)
    return (sign | segment << 4 | magnitude >> max(0, segment - 1) & 0x0F) ^ 0x55


def _halves(value: Callable[[int], int]) -> tuple[bytes, bytes]:
    words = [value(code) & 0xFFFF for code in range(256)]
    low, high = bytes(word & 0xFF for word in words), bytes(word >> 8 for word in words)
    return (low, high) if _LITTLE else (high, low)


def _codes(code: Callable[[int], int]) -> bytes:
    # By the unsigned reading of the sample.
    return bytes(code(sample) for sample in (*range(0x8000), *range(-0x8000, 0)))


class _Tables:
    def __init__(self, value: Callable[[int], int], code: Callable[[int], int]) -> None:
        self.first, self.second = _halves(value)
        # A list: its look-up is faster than that of bytes.
        self.look_up = list(_codes(code)).__getitem__


_ULAW = _Tables(ulaw_value, ulaw_code)
_ALAW = _Tables(alaw_value, alaw_code)

#: From one law to the other, octet by octet, without sound in between.
ULAW_TO_ALAW = bytes(alaw_code(ulaw_value(code)) for code in range(256))
ALAW_TO_ULAW = bytes(ulaw_code(alaw_value(code)) for code in range(256))


class G711:
    """One direction or both of a G.711 stream.

    :ivar name: ``PCMU`` or ``PCMA``.
    :ivar clock_rate: of RTP timestamps, in Hz.
    :ivar rate: samples per second.
    """

    __slots__ = ("_codes", "_concealment", "_first", "_second", "name")

    clock_rate = 8000
    rate = 8000
    channels = 1

    def __init__(self, name: str) -> None:
        """Make a codec for *name*, ``PCMU`` or ``PCMA``."""
        tables = _ULAW if name == "PCMU" else _ALAW
        self.name = name
        self._first = tables.first
        self._second = tables.second
        self._codes = tables.look_up
        self._concealment = Concealment(8000)

    def encode(self, pcm: bytes) -> bytes:
        """Return the payload of so many samples."""
        return bytes(map(self._codes, array("H", pcm)))

    def decode(self, payload: bytes) -> bytes:
        """Return the samples of a payload."""
        pcm = bytearray(2 * len(payload))
        pcm[0::2] = payload.translate(self._first)
        pcm[1::2] = payload.translate(self._second)
        sound = bytes(pcm)
        self._concealment.heard(sound)
        return sound

    def conceal(self, samples: int) -> bytes:
        """Return something for *samples* samples that are missing."""
        return self._concealment.fill(samples)

    def samples(self, payload: bytes) -> int:
        """Return how many samples a payload holds."""
        return len(payload)

    def close(self) -> None:
        """Let go of what the codec holds: nothing."""
