"""Sound in place of what is missing: the last pitch period again and again, fading (as G.711 appendix I does)."""

from __future__ import annotations

from array import array
from operator import mul, sub

from twisted_sip.media.pcm import energy, faded, samples_of

#: How many frames in a row are made up before there is silence, and what is left of the sound after each.
MOST_FRAMES = 3
_GAINS = (1.0, 0.7, 0.4, 0.0)

#: Voices are between 66 and 200 Hz: lags in seconds.
_SHORTEST, _LONGEST = 0.005, 0.015


class Concealment:
    """What was heard last of one stream.

    :param rate: samples per second.
    """

    __slots__ = ("_before", "_history", "_lost", "_period", "_rate")

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._before = b""
        self._history = b""
        self._period: array[int] = array("h")
        self._lost = 0

    def heard(self, pcm: bytes) -> None:
        """Remember what was played."""
        # Two packets: a deep voice does not fit twice into one.
        self._before = self._history
        self._history = pcm
        self._lost = 0

    def fill(self, samples: int) -> bytes:
        """Return *samples* samples to play in place of what has not come."""
        lost = self._lost
        self._lost = lost + 1
        if lost >= MOST_FRAMES or not self._history:
            return bytes(2 * samples)
        if not lost:
            self._period = self._last_period()
        period = self._period
        # The phase goes on from frame to frame.
        begin = lost * samples % len(period)
        copies = period * (samples // len(period) + 2)
        return faded(copies[begin : begin + samples].tobytes(), _GAINS[lost], _GAINS[lost + 1])

    def _last_period(self) -> array[int]:
        samples = samples_of(self._before + self._history)
        shortest = int(self._rate * _SHORTEST)
        longest = min(int(self._rate * _LONGEST), len(samples) - shortest)
        if longest <= shortest:
            return samples
        step = max(1, self._rate // 8000)
        recent = samples[-shortest::step]
        best, least = longest, None
        end = len(samples)
        for lag in range(shortest, longest + 1, step):
            earlier = samples[end - shortest - lag : end - lag : step]
            difference = list(map(sub, recent, earlier))
            value = sum(map(mul, difference, difference))
            if least is None or value < least:
                best, least = lag, value
        if least is not None and least > energy(recent):
            # Nothing that repeats: noise. A longer piece does not hum.
            best = longest
        return samples[-best:]
