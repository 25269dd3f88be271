"""Tones of the telephone network, by country (ITU-T E.180), and DTMF as sound (ITU-T Q.23).

A tone is an AudioSource; its samples are made once for a whole period and then copied.
"""

from __future__ import annotations

import math
from array import array
from functools import lru_cache

import attrs

from twisted_sip.errors import LocalProtocolError

#: Q.23: rows and columns of the key pad in Hz.
ROWS = (697, 770, 852, 941)
COLUMNS = (1209, 1336, 1477, 1633)
PAD = ("123A", "456B", "789C", "*0#D")

#: The two frequencies of each key.
KEY_TONES = {key: (ROWS[row], COLUMNS[place]) for row, keys in enumerate(PAD) for place, key in enumerate(keys)}

#: The level of each frequency, of full size.
_AMPLITUDE = 0.2


@attrs.frozen(slots=True)
class Cadence:
    """A tone as the network plays it.

    :ivar pattern: (seconds, frequencies in Hz) one after the other; no frequencies are silence.
    :ivar repeat: how often it is played, None for ever.
    """

    pattern: tuple[tuple[float, tuple[float, ...]], ...]
    repeat: int | None = None


def _on_off(on: float, off: float, *frequencies: float) -> Cadence:
    return Cadence(((on, frequencies), (off, ())))


#: By country and name: dial, ringback, busy, congestion. E.180 supplement 2.
TONES: dict[str, dict[str, Cadence]] = {
    "us": {
        "dial": Cadence(((1.0, (350, 440)),)),
        "ringback": _on_off(2.0, 4.0, 440, 480),
        "busy": _on_off(0.5, 0.5, 480, 620),
        "congestion": _on_off(0.25, 0.25, 480, 620),
    },
    "eu": {
        "dial": Cadence(((1.0, (425,)),)),
        "ringback": _on_off(1.0, 4.0, 425),
        "busy": _on_off(0.5, 0.5, 425),
        "congestion": _on_off(0.2, 0.2, 425),
    },
    "uk": {
        "dial": Cadence(((1.0, (350, 440)),)),
        "ringback": Cadence(((0.4, (400, 450)), (0.2, ()), (0.4, (400, 450)), (2.0, ()))),
        "busy": _on_off(0.375, 0.375, 400),
        "congestion": Cadence(((0.4, (400,)), (0.35, ()), (0.225, (400,)), (0.525, ()))),
    },
    "de": {
        "dial": Cadence(((1.0, (425,)),)),
        "ringback": _on_off(1.0, 4.0, 425),
        "busy": _on_off(0.48, 0.48, 425),
        "congestion": _on_off(0.24, 0.24, 425),
    },
    "fr": {
        "dial": Cadence(((1.0, (440,)),)),
        "ringback": _on_off(1.5, 3.5, 440),
        "busy": _on_off(0.5, 0.5, 440),
        "congestion": _on_off(0.25, 0.25, 440),
    },
    "jp": {
        "dial": Cadence(((1.0, (400,)),)),
        "ringback": _on_off(1.0, 2.0, 400),
        "busy": _on_off(0.5, 0.5, 400),
        "congestion": _on_off(0.5, 0.5, 400),
    },
}


@lru_cache(maxsize=128)
def _sound(frequencies: tuple[float, ...], samples: int, rate: int, amplitude: float = _AMPLITUDE) -> bytes:
    if not frequencies:
        return bytes(2 * samples)
    size = 32767 * amplitude
    turns = [2 * math.pi * frequency / rate for frequency in frequencies]
    return array("h", [int(size * sum(math.sin(turn * n) for turn in turns)) for n in range(samples)]).tobytes()


class ToneSource:
    """An AudioSource that plays a cadence."""

    def __init__(self, cadence: Cadence, rate: int = 8000) -> None:
        self.rate = rate
        self._left = cadence.repeat
        self._period = b"".join(_sound(tuple(f), round(seconds * rate), rate) for seconds, f in cadence.pattern)
        if not self._period:
            raise LocalProtocolError("a tone needs a length")
        self._place = 0

    def read(self, samples: int) -> bytes | None:
        """Return the next *samples* samples, fewer at the end, None when it is over."""
        wanted = 2 * samples
        parts = []
        while wanted:
            if self._left == 0:
                break
            part = self._period[self._place : self._place + wanted]
            parts.append(part)
            wanted -= len(part)
            self._place += len(part)
            if self._place >= len(self._period):
                self._place = 0
                if self._left is not None:
                    self._left -= 1
        return b"".join(parts) if parts else None


def tone(name: str, country: str = "us", rate: int = 8000) -> ToneSource:
    """Return the tone *name* (dial, ringback, busy or congestion) of *country*, a two-letter code.

    Countries that are not in the table have the tones that Europe recommends.

    :raises LocalProtocolError: there is no tone of that name.
    """
    tones = TONES.get(country.lower(), TONES["eu"])
    if name not in tones:
        raise LocalProtocolError(f"there is no tone {name!r}")
    return ToneSource(tones[name], rate)


def key_sound(key: str, seconds: float, rate: int) -> bytes:
    """Return the sound of a key (Q.23); silence for what makes none.

    :param seconds: how long, up to a minute.
    """
    frequencies = KEY_TONES.get(key.upper(), ())
    return _sound(frequencies, round(min(seconds, 60.0) * rate), rate)


class KeySource:
    """An AudioSource that presses keys one after the other, in the sound itself."""

    def __init__(self, digits: str, duration: float = 0.1, gap: float = 0.1, rate: int = 8000) -> None:
        """Make one; a comma waits for a second, times are in seconds."""
        self.rate = rate
        self._sounds = [(key, 1.0 if key == "," else duration, 0.0 if key == "," else gap) for key in digits]
        self._place = 0
        self._current = b""

    def read(self, samples: int) -> bytes | None:
        """Return the next *samples* samples, fewer at the end, None when it is over."""
        while self._place >= len(self._current):
            if not self._sounds:
                return None
            key, duration, gap = self._sounds.pop(0)
            self._current = key_sound(key, duration, self.rate) + bytes(2 * round(gap * self.rate))
            self._place = 0
        piece = self._current[self._place : self._place + 2 * samples]
        self._place += len(piece)
        if len(piece) < 2 * samples:
            piece += self.read(samples - len(piece) // 2) or b""
        return piece
