"""Arithmetic on linear PCM: signed 16-bit samples in the byte order of the host, one channel, as bytes.

Written so that the loops over samples run inside the interpreter's own functions.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from operator import add, mul, sub

#: Values of a sample.
HIGHEST = 32767
LOWEST = -32768


def samples_of(pcm: bytes) -> array[int]:
    """Return the samples; an odd octet at the end is left out."""
    samples = array("h")
    samples.frombytes(pcm if not len(pcm) & 1 else pcm[:-1])
    return samples


def saturated(values: Sequence[int]) -> bytes:
    """Return *values* as PCM, each held at the highest or lowest value it may have."""
    try:
        return array("h", values).tobytes()
    except OverflowError:
        return array(
            "h", [HIGHEST if value > HIGHEST else LOWEST if value < LOWEST else value for value in values]
        ).tobytes()


def mix(first: bytes, second: bytes) -> bytes:
    """Return the sum of both, saturated, as long as the longer one."""
    if len(first) < len(second):
        first, second = second, first
    if len(second) < len(first):
        second += bytes(len(first) - len(second))
    return saturated(list(map(add, samples_of(first), samples_of(second))))


def summed(parts: Sequence[bytes], samples: int) -> list[int]:
    """Return the sums of the samples of all *parts*, not saturated; parts of another length are cut or filled."""
    size = 2 * samples
    total = [0] * samples
    for part in parts:
        if len(part) != size:
            part = part[:size] + bytes(size - len(part[:size]))
        total = list(map(add, total, samples_of(part)))
    return total


def without(total: list[int], own: bytes) -> list[int]:
    """Return *total* minus *own*, not saturated: what one party of a conference hears."""
    size = 2 * len(total)
    if len(own) != size:
        own = own[:size] + bytes(size - len(own[:size]))
    return list(map(sub, total, samples_of(own)))


def scaled(pcm: bytes, gain: float) -> bytes:
    """Return *pcm* times *gain*, saturated."""
    if gain == 1.0:
        return pcm
    return saturated([int(sample * gain) for sample in samples_of(pcm)])


def faded(pcm: bytes, begin: float, end: float) -> bytes:
    """Return *pcm* with a gain that goes in a line from *begin* to *end*; both 0.0 to 1.0."""
    samples = samples_of(pcm)
    step = (end - begin) / max(1, len(samples))
    return array("h", [int(sample * (begin + step * place)) for place, sample in enumerate(samples)]).tobytes()


def energy(samples: Sequence[int]) -> int:
    """Return the sum of squares."""
    return sum(map(mul, samples, samples))


def level(pcm: bytes) -> float:
    """Return the level in dBov: 0.0 for a square wave of full size, -96.0 and less for silence (RFC 3389 3.1)."""
    samples = samples_of(pcm)
    if not samples:
        return -127.0
    power = energy(samples) / len(samples)
    return 10 * math.log10(power / (32768.0 * 32768.0)) if power else -127.0


def silence(samples: int) -> bytes:
    """Return so many samples of silence."""
    return bytes(2 * samples)
