"""Who speaks and who is silent: a level with a floor that follows the background."""

from __future__ import annotations

from collections.abc import Callable

from twisted_sip.media.pcm import level

#: Below this, in dBov, nobody speaks, however quiet the background is.
_FLOOR = -55.0

#: Speech is so many dB above the background.
_ABOVE = 9.0

#: How fast the idea of the background rises, in dB per second; it falls at once.
_RISE = 3.0


class SilenceDetector:
    """An AudioSink that tells when nobody has spoken for a while, and when somebody speaks again.

    :ivar silent: what was told last.
    :ivar background: the level of the background in dBov.
    """

    def __init__(self, told: Callable[[bool], object], seconds: float = 2.0, rate: int = 8000) -> None:
        """Make one.

        :param told: called with True after *seconds* of silence, with False when there is speech again.
        """
        self.rate = rate
        self._told = told
        self._needed = seconds
        self._quiet = 0.0
        self.silent = False
        self.background = _FLOOR

    def write(self, pcm: bytes) -> None:
        """Listen to the next samples."""
        if not pcm:
            return
        length = len(pcm) / (2 * self.rate)
        loudness = level(pcm)
        if loudness < self.background:
            self.background = max(-80.0, loudness)
        else:
            self.background = min(-30.0, self.background + _RISE * length)
        if loudness < _FLOOR or loudness < self.background + _ABOVE:
            self._quiet += length
            if self._quiet >= self._needed and not self.silent:
                self.silent = True
                self._told(True)
        else:
            self._quiet = 0.0
            if self.silent:
                self.silent = False
                self._told(False)

    def close(self) -> None:
        """Nothing more comes."""
