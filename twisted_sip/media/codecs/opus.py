"""Opus through the system's libopus, where there is one (RFC 7587 for its use in RTP).

Sound inside is taken at 16 kHz, mono; the RTP clock is 48 kHz whatever the sound is (RFC 7587 section 4.1).
"""

from __future__ import annotations

import ctypes
import ctypes.util
from functools import cache
from typing import Any

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError

_APPLICATION_VOIP = 2048
_SET_BITRATE = 4002
_SET_INBAND_FEC = 4012
_SET_PACKET_LOSS = 4014

#: The longest packet: 120 ms (RFC 7587 section 4.2).
_LONGEST = 0.12

#: The largest payload that is asked for; larger ones are no speech.
_MOST_OCTETS = 1276


@cache
def library() -> Any | None:
    """Return libopus, None where it is not installed."""
    name = ctypes.util.find_library("opus")
    if name is None:
        return None
    try:
        found = ctypes.CDLL(name)
        found.opus_encoder_create.restype = ctypes.c_void_p
        found.opus_decoder_create.restype = ctypes.c_void_p
        found.opus_encoder_destroy.argtypes = found.opus_decoder_destroy.argtypes = [ctypes.c_void_p]
        found.opus_encode.argtypes = [
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_int32,
        ]
        found.opus_decode.argtypes = [
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_int32,
            ctypes.c_char_p,
            ctypes.c_int,
            ctypes.c_int,
        ]
        found.opus_packet_get_nb_samples.argtypes = [ctypes.c_char_p, ctypes.c_int32, ctypes.c_int32]
    except (OSError, AttributeError):
        return None
    return found


def is_available() -> bool:
    """Tell whether Opus can be used on this machine."""
    return library() is not None


class Opus:
    """One stream, encoder and decoder made when they are first needed."""

    name = "opus"
    clock_rate = 48000
    channels = 2

    def __init__(self, rate: int = 16000, bitrate: int = 24000) -> None:
        """Make one.

        :param rate: samples per second of the sound inside: 8000, 12000, 16000, 24000 or 48000.
        :param bitrate: of what is sent, in bits per second.
        :raises LocalProtocolError: libopus is not installed.
        """
        self._encoder: int | None = None
        self._decoder: int | None = None
        found = library()
        if found is None:
            raise LocalProtocolError("Opus needs libopus, which is not installed")
        self.rate = rate
        self._library = found
        self._bitrate = bitrate
        self._room = ctypes.create_string_buffer(_MOST_OCTETS)
        self._most = int(rate * _LONGEST)
        self._sound = ctypes.create_string_buffer(2 * self._most)

    def encode(self, pcm: bytes) -> bytes:
        """Return the payload of a frame of 10, 20, 40 or 60 ms.

        :raises LocalProtocolError: it has another length.
        """
        encoder = self._encoder
        if encoder is None:
            encoder = self._encoder = self._make("opus_encoder_create", self.rate, 1, _APPLICATION_VOIP)
            control = self._library.opus_encoder_ctl
            control(ctypes.c_void_p(encoder), _SET_BITRATE, ctypes.c_int32(self._bitrate))
            control(ctypes.c_void_p(encoder), _SET_INBAND_FEC, ctypes.c_int32(1))
            control(ctypes.c_void_p(encoder), _SET_PACKET_LOSS, ctypes.c_int32(5))
        size = self._library.opus_encode(encoder, pcm, len(pcm) // 2, self._room, _MOST_OCTETS)
        if size < 0:
            raise LocalProtocolError(f"libopus refuses a frame of {len(pcm) // 2} samples: {size}")
        return self._room.raw[:size]

    def decode(self, payload: bytes) -> bytes:
        """Return the samples of a payload.

        :raises RemoteProtocolError: it is no Opus.
        """
        if not payload:
            return b""
        return self._decode(payload, self._most)

    def conceal(self, samples: int) -> bytes:
        """Return something for *samples* samples that are missing, from what libopus knows of the voice."""
        # The decoder takes multiples of 2.5 ms.
        unit = self.rate // 400
        return self._decode(None, max(unit, min(samples - samples % unit, self._most)))

    def _decode(self, payload: bytes | None, most: int) -> bytes:
        decoder = self._decoder
        if decoder is None:
            decoder = self._decoder = self._make("opus_decoder_create", self.rate, 1)
        size = 0 if payload is None else len(payload)
        count = self._library.opus_decode(decoder, payload, size, self._sound, most, 0)
        if count < 0:
            raise RemoteProtocolError(f"not Opus: {count}")
        return ctypes.string_at(self._sound, 2 * count)

    def samples(self, payload: bytes) -> int:
        """Return how many samples a payload holds, 0 for what is no Opus."""
        return max(0, self._library.opus_packet_get_nb_samples(payload, len(payload), self.rate)) if payload else 0

    def _make(self, name: str, *args: int) -> int:
        error = ctypes.c_int()
        made: int | None = getattr(self._library, name)(*args, ctypes.byref(error))
        if error.value or not made:
            raise LocalProtocolError(f"{name}: {error.value}")
        return made

    def close(self) -> None:
        """Free encoder and decoder. Harmless when repeated."""
        if self._encoder is not None:
            self._library.opus_encoder_destroy(self._encoder)
            self._encoder = None
        if self._decoder is not None:
            self._library.opus_decoder_destroy(self._decoder)
            self._decoder = None

    def __del__(self) -> None:
        self.close()
