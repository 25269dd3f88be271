"""Other sampling rates, by linear interpolation and averages: 8, 16 and 48 kHz quickly, any others as well.

Good for speech on the telephone; no filter for music.
"""

from __future__ import annotations

from array import array
from operator import add

from twisted_sip.interfaces.media import AudioSink, AudioSource
from twisted_sip.media.pcm import samples_of


class Resampler:
    """Converts a stream of PCM from one rate to another, piece by piece.

    :ivar source_rate: samples per second that come.
    :ivar target_rate: samples per second that are wanted.
    """

    __slots__ = ("_last", "_left", "_place", "source_rate", "target_rate")

    def __init__(self, source_rate: int, target_rate: int) -> None:
        self.source_rate = source_rate
        self.target_rate = target_rate
        self._last = 0
        self._left = array("h")
        self._place = 0.0

    def convert(self, pcm: bytes) -> bytes:
        """Return the next piece at the other rate."""
        source, target = self.source_rate, self.target_rate
        if source == target:
            return pcm
        if not pcm:
            return b""
        if not target % source:
            return self._up(samples_of(pcm), target // source)
        if not source % target:
            return self._down(samples_of(pcm), source // target)
        return self._any(samples_of(pcm))

    def _up(self, samples: array[int], factor: int) -> bytes:
        # Between the sample before and this one, so that nothing of the next piece is needed.
        before = array("h", [self._last])
        before.extend(samples[:-1])
        self._last = samples[-1]
        result = array("h", bytes(2 * factor * len(samples)))
        if factor == 2:
            result[0::2] = array("h", [total >> 1 for total in map(add, before, samples)])
            result[1::2] = samples
            return result.tobytes()
        for step in range(1, factor):
            rest = factor - step
            result[step - 1 :: factor] = array(
                "h", [(a * rest + b * step) // factor for a, b in zip(before, samples, strict=True)]
            )
        result[factor - 1 :: factor] = samples
        return result.tobytes()

    def _down(self, samples: array[int], factor: int) -> bytes:
        if self._left:
            samples = self._left + samples
        whole = len(samples) - len(samples) % factor
        self._left = samples[whole:]
        parts = [samples[start:whole:factor] for start in range(factor)]
        if factor == 2:
            return array("h", [total >> 1 for total in map(add, *parts)]).tobytes()
        return array("h", [sum(group) // factor for group in zip(*parts, strict=True)]).tobytes()

    def _any(self, samples: array[int]) -> bytes:
        step = self.source_rate / self.target_rate
        line = array("h", [self._last])
        line.extend(samples)
        place = self._place
        end = len(samples)
        result = array("h")
        while place < end:
            index = int(place)
            first = line[index]
            result.append(int(first + (line[index + 1] - first) * (place - index)))
            place += step
        self._place = place - end
        self._last = samples[-1]
        return result.tobytes()


class ResampledSource:
    """An AudioSource at another rate."""

    def __init__(self, source: AudioSource, rate: int) -> None:
        self.rate = rate
        self._source = source
        self._resampler = Resampler(source.rate, rate)
        self._waiting = b""
        self._over = False

    def read(self, samples: int) -> bytes | None:
        """Return the next *samples* samples, fewer at the end, empty for silence now, None when it is over."""
        wanted = 2 * samples
        while len(self._waiting) < wanted and not self._over:
            missing = (wanted - len(self._waiting)) // 2
            piece = self._source.read(max(1, missing * self._source.rate // self.rate))
            if piece is None:
                self._over = True
            elif not piece:
                break
            else:
                self._waiting += self._resampler.convert(piece)
        if self._over and not self._waiting:
            return None
        piece, self._waiting = self._waiting[:wanted], self._waiting[wanted:]
        return piece


class ResampledSink:
    """An AudioSink that is given another rate than it wants."""

    def __init__(self, sink: AudioSink, rate: int) -> None:
        """Wrap *sink*; what is written has *rate* samples per second."""
        self.rate = rate
        self._sink = sink
        self._resampler = Resampler(rate, sink.rate)

    def write(self, pcm: bytes) -> None:
        """Take the next samples."""
        self._sink.write(self._resampler.convert(pcm))

    def close(self) -> None:
        """Nothing more comes."""
        self._sink.close()


def source_at(source: AudioSource, rate: int) -> AudioSource:
    """Return *source* with *rate* samples per second: itself, if that is what it has."""
    return source if source.rate == rate else ResampledSource(source, rate)


def sink_at(sink: AudioSink, rate: int) -> AudioSink:
    """Return *sink* for *rate* samples per second: itself, if that is what it wants."""
    return sink if sink.rate == rate else ResampledSink(sink, rate)
