"""Comfort noise: the level of the background in place of silence (RFC 3389).

The level is sent and heard; of a spectrum that a peer sends its reflection coefficients shape the noise, up to a
modest order (section 3: a decoder may reduce the order). Chance is passed in.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable

from twisted_sip.media.pcm import level

#: The static payload type at 8000 Hz (section 4).
PAYLOAD_TYPE = 13

#: Higher orders are reduced to this one.
_MOST_ORDER = 10

#: A piece of noise that is played again from changing places: as good as new to the ear.
_POOL = 4096

#: Noise with a spectrum costs more to make: less of it, and a new one only after so many samples of the old one.
_SHAPED_POOL, _SHAPED_LASTS = 2048, 1600

#: What is heard is never louder than that, whatever the peer says: noise is no signal.
_LOUDEST = 30


def comfort_noise(pcm: bytes) -> bytes:
    """Return the payload that describes the background *pcm*: its level alone, a model of order 0 (section 3.3)."""
    return bytes((min(127, max(0, round(-level(pcm)))),))


class NoiseGenerator:
    """Makes the noise that a peer describes.

    :param random_bytes: gives that many random bytes.
    """

    __slots__ = ("_payload", "_place", "_pool", "_random", "_read")

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random = random_bytes
        self._payload = b""
        self._pool = array("h")
        self._place = 0
        self._read = _SHAPED_LASTS

    def describe(self, payload: bytes) -> None:
        """Take a payload (section 3.3); an empty one is silence."""
        if payload == self._payload or (len(payload) > 1 and self._read < _SHAPED_LASTS):
            return
        self._payload = payload
        if not payload or payload[0] & 0x7F >= 90:
            self._pool = array("h")
            return
        loudness = max(_LOUDEST, payload[0] & 0x7F)
        size = 32768 * 10 ** (-loudness / 20)
        coefficients = [258 * (index - 127) / 32768 for index in payload[1 : 1 + _MOST_ORDER] if index != 255]
        noise = [value - 127.5 for value in self._random(_SHAPED_POOL if coefficients else _POOL)]
        if coefficients:
            self._read = 0
            noise = _shaped(noise, coefficients)
        power = math.sqrt(sum(value * value for value in noise) / len(noise)) or 1.0
        gain = size / power
        self._pool = array("h", [int(max(-32768.0, min(32767.0, value * gain))) for value in noise])

    def read(self, samples: int) -> bytes:
        """Return the next *samples* samples."""
        pool = self._pool
        self._read += samples
        if not pool:
            return bytes(2 * samples)
        size = len(pool)
        begin = self._place % size
        # A step that shares no factor with the size: the same piece comes again after a long time only.
        self._place = (begin + samples + 997) % size
        if begin + samples <= size:
            return pool[begin : begin + samples].tobytes()
        return (pool[begin:] + pool * (samples // size + 1))[:samples].tobytes()


def _shaped(noise: list[float], coefficients: list[float]) -> list[float]:
    # The lattice filter that reflection coefficients describe (section 3.2); stable since each is below one.
    order = len(coefficients)
    behind = [0.0] * (order + 1)
    result = []
    for value in noise:
        forward = value
        for index in range(order - 1, -1, -1):
            forward += coefficients[index] * behind[index]
            behind[index + 1] = behind[index] - coefficients[index] * forward
        behind[0] = forward
        result.append(forward)
    return result
