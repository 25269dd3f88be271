"""L16: uncompressed samples in network byte order (RFC 3551 section 4.5.11)."""

from __future__ import annotations

import sys
from array import array

from twisted_sip.media.concealment import Concealment

_SWAP = sys.byteorder == "little"


class L16:
    """A stream of L16; of several channels the mean is heard, and all get the same."""

    __slots__ = ("_concealment", "channels", "clock_rate", "rate")

    name = "L16"

    def __init__(self, rate: int, channels: int = 1) -> None:
        self.rate = self.clock_rate = rate
        self.channels = channels
        self._concealment = Concealment(rate)

    def encode(self, pcm: bytes) -> bytes:
        """Return the payload of so many samples."""
        samples = array("h", pcm)
        if self.channels > 1:
            spread = array("h", bytes(2 * len(samples) * self.channels))
            for channel in range(self.channels):
                spread[channel :: self.channels] = samples
            samples = spread
        if _SWAP:
            samples.byteswap()
        return samples.tobytes()

    def decode(self, payload: bytes) -> bytes:
        """Return the samples of a payload; octets that make no whole sample are left out."""
        samples = array("h")
        samples.frombytes(payload[: len(payload) - len(payload) % (2 * self.channels)])
        if _SWAP:
            samples.byteswap()
        if self.channels > 1:
            groups = [samples[channel :: self.channels] for channel in range(self.channels)]
            samples = array("h", [sum(group) // self.channels for group in zip(*groups, strict=True)])
        sound = samples.tobytes()
        self._concealment.heard(sound)
        return sound

    def conceal(self, samples: int) -> bytes:
        """Return something for *samples* samples that are missing."""
        return self._concealment.fill(samples)

    def samples(self, payload: bytes) -> int:
        """Return how many samples a payload holds."""
        return len(payload) // (2 * self.channels)

    def close(self) -> None:
        """Let go of what the codec holds: nothing."""
