"""Keys in the sound itself (ITU-T Q.23 and Q.24), by correlation with the eight frequencies (Goertzel's measure).

Sound that is not loud, or whose power is not in one row and one column, is told apart after the first steps, so that
speech costs little. An AudioSink at 8 kHz.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from operator import mul

from twisted_sip.media.pcm import energy, samples_of
from twisted_sip.media.tones import COLUMNS, PAD, ROWS

#: One block: 12.75 ms; its bins are wide enough for frequencies 1.5 % off and narrow enough to part the rows.
BLOCK = 102

_RATE = 8000

#: Quieter blocks hold no key: about -36 dBm0 for each tone (Q.24 annex A).
_LEAST = BLOCK * 150.0**2

#: The row may be 8 dB below the column, and 6 dB above it with some tolerance: normal and reverse twist (Q.24). The
#: strong column is measured a little too strong, since the bins are wide.
_TWIST_COLUMN = 10 ** (10.5 / 10)
_TWIST_ROW = 10 ** (7 / 10)

#: The strongest row, or column, against the second one of its group.
_DOMINANCE = 4.0

#: Part of the power of the block that the two tones hold: speech has more elsewhere.
_PURITY = 0.72

#: Power at the second harmonic of the column against the column: speech has it, Q.24 senders do not.
_HARMONIC = 0.1

#: Blocks in a row that make a key, and that end it: at least 38 ms and 25 ms.
_BLOCKS_ON = 3
_BLOCKS_OFF = 2


def _tables(frequency: float) -> tuple[list[float], list[float]]:
    turn = 2 * math.pi * frequency / _RATE
    return [math.cos(turn * n) for n in range(BLOCK)], [math.sin(turn * n) for n in range(BLOCK)]


_ROW_TABLES = tuple(_tables(frequency) for frequency in ROWS)
_COLUMN_TABLES = tuple(_tables(frequency) for frequency in COLUMNS)
# Those of the rows are too near to the columns to tell anything.
_HARMONICS = tuple(_tables(2 * frequency) for frequency in COLUMNS)

#: A tone of energy E in the block measures E * BLOCK / 2.
_SCALE = 2.0 / BLOCK


def _power(samples: array[int], tables: tuple[list[float], list[float]]) -> float:
    cosine: float = sum(map(mul, samples, tables[0]))
    sine: float = sum(map(mul, samples, tables[1]))
    return (cosine * cosine + sine * sine) * _SCALE


def _strongest(powers: list[float]) -> int | None:
    best = max(range(4), key=powers.__getitem__)
    second = max(power for place, power in enumerate(powers) if place != best)
    return best if powers[best] > _DOMINANCE * second else None


def key_of(samples: array[int]) -> str:
    """Return the key that a block of :data:`BLOCK` samples at 8 kHz holds, empty for none."""
    total = energy(samples)
    if total < _LEAST:
        return ""
    rows = [_power(samples, tables) for tables in _ROW_TABLES]
    row = _strongest(rows)
    if row is None or rows[row] < total * 0.05:
        return ""
    columns = [_power(samples, tables) for tables in _COLUMN_TABLES]
    column = _strongest(columns)
    if column is None:
        return ""
    low, high = rows[row], columns[column]
    if high > low * _TWIST_COLUMN or low > high * _TWIST_ROW or low + high < _PURITY * total:
        return ""
    if _power(samples, _HARMONICS[column]) > _HARMONIC * high:
        return ""
    return PAD[row][column]


class KeyDetector:
    """Listens for keys.

    :ivar pressed: the key that is held down now, empty for none.
    """

    rate = _RATE

    def __init__(self, told: Callable[[str, float], object]) -> None:
        """Make one.

        :param told: called with the key and how long it was held, in seconds, when it is let go.
        """
        self._told = told
        self._waiting: array[int] = array("h")
        self._candidate = ""
        self._count = 0
        self._missed = 0
        self._blocks = 0
        self.pressed = ""

    def write(self, pcm: bytes) -> None:
        """Listen to the next samples."""
        waiting = self._waiting
        waiting.extend(samples_of(pcm))
        place = 0
        while len(waiting) - place >= BLOCK:
            self._block(key_of(waiting[place : place + BLOCK]))
            place += BLOCK
        del waiting[:place]

    def _block(self, key: str) -> None:
        if self.pressed:
            self._blocks += 1
            if key == self.pressed:
                self._missed = 0
                return
            self._missed += 1
            if self._missed >= _BLOCKS_OFF:
                self._release()
        if key and key == self._candidate:
            self._count += 1
            if self._count == _BLOCKS_ON and not self.pressed:
                self.pressed = key
                self._blocks = _BLOCKS_ON
                self._missed = 0
        else:
            self._candidate = key
            self._count = 1 if key else 0

    def _release(self) -> None:
        key, blocks = self.pressed, self._blocks - self._missed
        self.pressed = ""
        self._candidate = ""
        self._count = 0
        self._told(key, blocks * BLOCK / _RATE)

    def close(self) -> None:
        """The sound is over: a key that is held down is let go."""
        if self.pressed:
            self._release()
