"""WAV files to play and to record: linear PCM of 8 or 16 bits, any rate, any number of channels."""

from __future__ import annotations

import os
import wave
from array import array
from typing import IO

from twisted_sip.errors import LocalProtocolError
from twisted_sip.media.pcm import samples_of

#: What is read or written at a time, in samples: a file costs one system call for many frames.
_PIECE = 8000

#: Rates that make sense.
_RATES = range(4000, 192001)


class WavSource:
    """An AudioSource that plays a file, all channels mixed into one."""

    def __init__(self, file: str | os.PathLike[str] | IO[bytes], *, repeat: bool = False) -> None:
        """Open *file*, a path or a binary file.

        :param repeat: play it again and again.
        :raises LocalProtocolError: it is no WAV file of 8 or 16 bits.
        :raises OSError: it cannot be read.
        """
        target = os.fspath(file) if isinstance(file, (str, os.PathLike)) else file
        try:
            self._wave = wave.open(target, "rb")  # noqa: SIM115
        except (wave.Error, EOFError, RuntimeError) as error:
            # RuntimeError: a chunk that goes on beyond the end of the file.
            raise LocalProtocolError(f"not a WAV file that can be played: {error}") from None
        self.rate: int = self._wave.getframerate()
        self._width = self._wave.getsampwidth()
        self._channels = self._wave.getnchannels()
        self._repeat = repeat and self._wave.getnframes() > 0
        self._waiting = b""
        self._over = False
        if self._width not in (1, 2) or self.rate not in _RATES:
            self._wave.close()
            raise LocalProtocolError("a WAV file to play has 8 or 16 bits and a rate from 4 to 192 kHz")

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self._wave.getnframes() / self.rate

    def read(self, samples: int) -> bytes | None:
        """Return the next *samples* samples, fewer at the end, None when it is over."""
        wanted = 2 * samples
        while len(self._waiting) < wanted and not self._over:
            # A file that was cut off may end with less than a sample of each channel: that is nothing.
            piece = self._mono(self._wave.readframes(_PIECE))
            if not piece and self._repeat:
                self._wave.rewind()
                piece = self._mono(self._wave.readframes(_PIECE))
            if piece:
                self._waiting += piece
            else:
                self._over = True
                self._wave.close()
        if not self._waiting:
            return None
        piece, self._waiting = self._waiting[:wanted], self._waiting[wanted:]
        return piece

    def _mono(self, piece: bytes) -> bytes:
        # The wave module gives 16 bits in the byte order of the host; 8 bits are unsigned.
        samples = array("h", [(octet - 128) << 8 for octet in piece]) if self._width == 1 else samples_of(piece)
        count = self._channels
        if count > 1:
            whole = len(samples) - len(samples) % count
            parts = [samples[channel:whole:count] for channel in range(count)]
            samples = array("h", [sum(group) // count for group in zip(*parts, strict=True)])
        return samples.tobytes()

    def close(self) -> None:
        """Close the file. Harmless when repeated."""
        self._over = True
        self._waiting = b""
        self._wave.close()


class WavSink:
    """An AudioSink that records into a file.

    :ivar seconds: how much was recorded.
    :ivar fault: why the file is not what was recorded (a disk that is full), None where it is.
    """

    def __init__(
        self, file: str | os.PathLike[str] | IO[bytes], rate: int = 8000, *, longest: float = 4 * 3600.0
    ) -> None:
        """Create *file*, a path or a binary file that can seek.

        :param rate: samples per second.
        :param longest: nothing is written after so many seconds: a call must not fill the disk.
        :raises OSError: it cannot be written.
        """
        target = os.fspath(file) if isinstance(file, (str, os.PathLike)) else file
        self.rate = rate
        self.seconds = 0.0
        self.fault: OSError | None = None
        self._longest = longest
        self._parts: list[bytes] = []
        self._held = 0
        self._wave: wave.Wave_write | None = wave.open(target, "wb")  # noqa: SIM115
        self._wave.setnchannels(1)
        self._wave.setsampwidth(2)
        self._wave.setframerate(rate)

    def write(self, pcm: bytes) -> None:
        """Take the next samples; they reach the file a second at a time.

        :raises OSError: they do not.
        """
        if self._wave is None or self.seconds >= self._longest:
            return
        self._parts.append(pcm)
        self._held += len(pcm)
        self.seconds += len(pcm) / (2 * self.rate)
        if self._held >= 2 * _PIECE:
            self._flush(self._wave)

    def _flush(self, file: wave.Wave_write) -> None:
        data = b"".join(self._parts)
        self._parts.clear()
        self._held = 0
        try:
            file.writeframesraw(data)
        except OSError as error:
            self.fault = self.fault or error
            raise

    def close(self) -> None:
        """Write the rest and the header. Harmless when repeated.

        :raises OSError: they cannot be written.
        """
        found, self._wave = self._wave, None
        if found is None:
            return
        try:
            try:
                self._flush(found)
            finally:
                found.close()
        except OSError as error:
            self.fault = self.fault or error
            raise
