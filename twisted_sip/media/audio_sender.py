"""The sending half of an audio stream: sound and keys to RTP packets (RFC 3550 section 5.1, RFC 3551 section 4.1)."""

from __future__ import annotations

from collections.abc import Callable

from twisted_sip.media.codecs.comfort_noise import comfort_noise
from twisted_sip.media.codecs.table import AudioCodec
from twisted_sip.media.rtp import pack_header
from twisted_sip.media.telephone_event import EventSender

#: Packet times after which the level of the background is told again while there is silence.
_NOISE_AGAIN = 50


class AudioSender:
    """Makes one packet for each packet time.

    :ivar ssrc: ours.
    :ivar timestamp: of the next frame.
    :ivar sequence: of the last packet.
    :ivar samples: of a frame, at the rate of the sound inside.
    :ivar size: octets of the last payload.
    :ivar events: sends keys; None if they were not negotiated.
    """

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        # RFC 3550 section 5.1: identifier, first number and first timestamp are random.
        drawn = random_bytes(10)
        self.ssrc = int.from_bytes(drawn[:4], "big")
        self.sequence = int.from_bytes(drawn[4:6], "big") & 0x7FFF
        self.timestamp = int.from_bytes(drawn[6:10], "big")
        self.codec: AudioCodec | None = None
        self.events: EventSender | None = None
        self.samples = 160
        self.size = 0
        self._payload_type = 0
        self._events_type = 0
        self._noise_type: int | None = None
        self._step = 160
        self._marker = True
        self._silent = 0

    def configure(
        self,
        codec: AudioCodec,
        payload_type: int,
        ptime: int,
        *,
        events: int | None = None,
        events_rate: int = 0,
        noise: int | None = None,
    ) -> None:
        """Send with *codec* from now on.

        :param ptime: milliseconds of sound in a packet.
        :param events: the payload type of telephone events, None without.
        :param events_rate: their clock rate, 0 for that of the codec.
        :param noise: the payload type of comfort noise, None without.
        """
        if self.codec is not codec:
            if self.codec is not None:
                self.codec.close()
            self.codec = codec
            self._marker = True
        step = codec.clock_rate * ptime // 1000
        if events is None:
            self.events = None
        else:
            rate = events_rate or codec.clock_rate
            clocks = (rate, rate * ptime // 1000, codec.clock_rate)
            if self.events is None:
                self.events = EventSender(*clocks)
            elif self.events.clocks != clocks:
                self.events.retime(*clocks)
        self._payload_type = payload_type
        self._events_type = events or 0
        self._noise_type = noise
        self._step = step
        self.samples = codec.rate * ptime // 1000

    @property
    def silence_is_noise(self) -> bool:
        """Whether comfort noise may go out in place of silence."""
        return self._noise_type is not None

    def skip(self) -> None:
        """Send nothing in this packet time."""
        self.timestamp = (self.timestamp + self._step) & 0xFFFFFFFF
        self._marker = True

    def next(self, pcm: bytes | None) -> bytes | None:
        """Return the packet of this packet time, None if none is to be sent.

        :param pcm: the frame, None for silence: that is comfort noise, or no packet at all.
        """
        timestamp = self.timestamp
        self.timestamp = (timestamp + self._step) & 0xFFFFFFFF
        events = self.events
        if events is not None and events.busy:
            event = events.next(timestamp)
            if event is not None:
                payload, begin, marker = event
                self._marker = True
                return self._packet(self._events_type | marker << 7, begin, payload)
        codec = self.codec
        if codec is None:
            return None
        if pcm is None:
            return self._noise(timestamp)
        self._silent = 0
        second = self._payload_type
        if self._marker:
            # RFC 3551 section 4.1: the first packet after silence.
            second |= 0x80
            self._marker = False
        payload = codec.encode(pcm)
        self.size = len(payload)
        self.sequence = sequence = (self.sequence + 1) & 0xFFFF
        return pack_header(0x80, second, sequence, timestamp, self.ssrc) + payload

    def _noise(self, timestamp: int) -> bytes | None:
        self._marker = True
        kind = self._noise_type
        self._silent += 1
        if kind is None or self._silent % _NOISE_AGAIN != 1:
            return None
        # RFC 3389 section 4: without marker.
        return self._packet(kind, timestamp, comfort_noise(b""))

    def _packet(self, second: int, timestamp: int, payload: bytes) -> bytes:
        self.sequence = sequence = (self.sequence + 1) & 0xFFFF
        self.size = len(payload)
        return pack_header(0x80, second, sequence, timestamp, self.ssrc) + payload

    def change_ssrc(self, ssrc: int) -> None:
        """Go on under another identifier (RFC 3550 section 8.2)."""
        self.ssrc = ssrc

    def close(self) -> None:
        """Let go of the codec. Harmless when repeated."""
        if self.codec is not None:
            self.codec.close()
            self.codec = None
        self.events = None
