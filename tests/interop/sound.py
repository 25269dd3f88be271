"""Sound to say, and what became of it: files that no piece of is like another, and how like two recordings are.

Everything is 8 kHz, one channel, 16 bits.
"""

from __future__ import annotations

import math
import random
import wave
from array import array
from itertools import accumulate
from pathlib import Path

RATE = 8000
#: Samples between two shifts that are tried first.
_COARSE = 4


def write_wav(path: Path, samples: array[int]) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return path


def babble(path: Path, seconds: float, seed: int = 1) -> Path:
    """Write tones of random pitch and length: nothing in it comes twice."""
    chance = random.Random(seed)
    samples = array("h")
    while len(samples) < seconds * RATE:
        length = int(RATE * chance.uniform(0.06, 0.2))
        turns = [2 * math.pi * chance.uniform(250, 1500) / RATE for _ in range(4)]
        size = chance.uniform(1500, 3500)
        samples.extend(int(size * sum(math.sin(turn * n) for turn in turns)) for n in range(length))
    return write_wav(path, samples[: int(seconds * RATE)])


def read_wav(path: Path) -> array[int]:
    """Return the samples, also of a file whose writer has not finished its header."""
    data = path.read_bytes()
    at = data.find(b"data")
    body = data[at + 8 :] if at >= 0 else b""
    samples = array("h")
    samples.frombytes(body[: len(body) // 2 * 2])
    return samples


def likeness(said: array[int], heard: array[int], most_shift: float = 8.0) -> float:
    """Return the correlation of *said* with the piece of *heard* that is most like it, -1.0 to 1.0.

    :param most_shift: seconds into *heard* at which it may begin.
    """
    return max((_at(said, heard, shift) for shift in _candidates(said, heard, most_shift)), default=0.0)


def _candidates(said: array[int], heard: array[int], most_shift: float) -> list[int]:
    """Return the shifts at which the envelopes are most like each other, and those around them."""
    block = 80
    one, other = _levels(said, block), _levels(heard, block)
    last = min(int(most_shift * RATE) // block, max(0, len(other) - len(one)))
    ranked = sorted(range(last + 1), key=lambda place: -_correlation(one, other[place : place + len(one)]))
    shifts: list[int] = []
    for place in ranked[:3]:
        begin = max(0, (place - 2) * block)
        # Every shift: pitches up to 1.5 kHz turn over within three samples.
        piece = said[: 4 * RATE // 10]
        end = min((place + 3) * block, len(heard) - 1)
        best = max(
            range(begin, max(begin + 1, end)), key=lambda shift: _correlation(piece, heard[shift : shift + len(piece)])
        )
        shifts.append(best)
    return shifts


def _levels(samples: array[int], block: int) -> list[float]:
    return [
        math.sqrt(sum(one * one for one in samples[at : at + block]) / block)
        for at in range(0, len(samples) - block, block)
    ]


def _at(said: array[int], heard: array[int], shift: int) -> float:
    length = min(len(said), len(heard) - shift)
    return _correlation(said[:length], heard[shift : shift + length]) if length > len(said) * 3 // 4 else 0.0


def _correlation(one: array[int] | list[float], other: array[int] | list[float]) -> float:
    length = min(len(one), len(other))
    if not length:
        return 0.0
    mean, other_mean = sum(one[:length]) / length, sum(other[:length]) / length
    dot = square = other_square = 0.0
    for first, second in zip(one[:length], other[:length], strict=True):
        a, b = first - mean, second - other_mean
        dot += a * b
        square += a * a
        other_square += b * b
    return dot / math.sqrt(square * other_square) if square and other_square else 0.0


def loud(samples: array[int], least: int = 200) -> array[int]:
    """Return what is between the first and the last sample that can be heard."""
    places = [place for place, one in enumerate(samples) if abs(one) > least]
    return samples[places[0] : places[-1] + 1] if places else array("h")


def total(values: list[int]) -> list[int]:
    """Return the running sums."""
    return list(accumulate(values))
