"""The receiving half of an audio stream: RTP packets to frames of sound, and to keys."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping

import attrs

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.media.codecs.comfort_noise import NoiseGenerator
from twisted_sip.media.codecs.table import AudioCodec, CodecKind
from twisted_sip.media.jitter_buffer import Buffered, JitterBuffer, Missing
from twisted_sip.media.resampling import Resampler
from twisted_sip.media.rtp_receiver import RTPReceiver
from twisted_sip.media.telephone_event import EventReceiver

#: Sound packets after an event until jitter is believed again: events stand still in time while they last.
_EVENT_JITTER = 64


class Role(enum.Enum):
    """What a payload type carries."""

    SOUND = "sound"
    EVENTS = "events"
    NOISE = "noise"


@attrs.frozen(slots=True)
class Format:
    """The meaning of a payload type.

    :ivar kind: the codec, None for what is not sound.
    """

    role: Role
    clock_rate: int
    kind: CodecKind | None = None


class AudioReceiver:
    """Takes packets as they come, gives one frame for each packet time.

    :ivar rtp: sources and their counters.
    :ivar buffer: the jitter buffer.
    :ivar packets: taken.
    :ivar octets: of payload taken.
    :ivar malformed: payloads that could not be decoded.
    """

    def __init__(
        self,
        random_bytes: Callable[[int], bytes],
        on_key: Callable[[str, float], object],
        *,
        least: int = 40,
        most: int = 240,
    ) -> None:
        """Make one; *least* and *most* are depths of the jitter buffer in milliseconds."""
        self.rtp = RTPReceiver()
        self.buffer = JitterBuffer()
        self.packets = 0
        self.octets = 0
        self.malformed = 0
        self._random = random_bytes
        self._on_key = on_key
        self._depths = (least, most)
        self._formats: Mapping[int, Format] = {}
        self._codecs: dict[int, AudioCodec] = {}
        self._resamplers: dict[int, Resampler] = {}
        self._events: EventReceiver | None = None
        self._noise: NoiseGenerator | None = None
        self._noisy = False
        self._rate = 8000
        self._samples = 160
        self._playing: AudioCodec | None = None
        self._playing_type = -1
        self._packet_samples = 0
        self._fifo = b""
        self._silence = bytes(320)
        self._changes = 0
        self._event_at = -_EVENT_JITTER

    def configure(self, formats: Mapping[int, Format], rate: int, samples: int) -> None:
        """Take these payload types from now on.

        :param rate: samples per second of the frames that :meth:`play` gives.
        :param samples: of each frame.
        """
        for payload_type in [one for one in self._codecs if formats.get(one) != self._formats.get(one)]:
            codec = self._codecs.pop(payload_type)
            codec.close()
            self._resamplers.pop(payload_type, None)
            if codec is self._playing:
                self._playing = None
        if rate != self._rate:
            self._resamplers.clear()
            self._fifo = b""
        self._formats = formats
        self._rate = rate
        self._samples = samples
        self._silence = bytes(2 * samples)

    def knows(self, payload_type: int) -> bool:
        """Tell whether a payload type was negotiated."""
        return payload_type in self._formats

    def take(self, second: int, sequence: int, timestamp: int, ssrc: int, payload: bytes, now: float) -> None:
        """Take one packet whose payload type is known and whose source is believed.

        :param second: the second octet of the header.
        :param now: the time in seconds.
        """
        payload_type = second & 0x7F
        form = self._formats[payload_type]
        rtp = self.rtp
        extended = rtp.take(ssrc, sequence, timestamp, form.clock_rate, now)
        if extended < 0:
            return
        if rtp.changes != self._changes:
            self._changes = rtp.changes
            self.buffer.reset()
            if self._events is not None:
                self._events.reset()
        self.packets += 1
        self.octets += len(payload)
        if form.role is Role.EVENTS:
            events = self._events
            if events is None or events.clock_rate != form.clock_rate:
                events = self._events = EventReceiver(form.clock_rate, self._on_key)
            events.received(payload, timestamp, now)
            self._event_at = self.packets
            self.buffer.put(extended, payload_type, timestamp, None)
            return
        self.buffer.put(extended, payload_type, timestamp, payload)
        if not self.packets & 0x1F and self._packet_samples and self.packets - self._event_at >= _EVENT_JITTER:
            self.buffer.widen(rtp.jitter, self._packet_samples / self._rate)

    def tick(self, now: float) -> None:
        """Look for keys whose end was lost; now and then."""
        if self._events is not None:
            self._events.tick(now)

    # -- outwards --------------------------------------------------------------------------------

    def play(self, wanted: bool = True) -> bytes:
        """Return the frame of this packet time.

        :param wanted: False if nobody listens: then packets are only taken away, and silence is returned.
        """
        need = len(self._silence)
        fifo = self._fifo
        while len(fifo) < need:
            packet = self.buffer.get()
            if packet is None:
                break
            sound = self._sound(packet) if wanted else self._unheard(packet)
            if not fifo and len(sound) == need:
                return sound
            fifo += sound
        if len(fifo) < need:
            fifo += self._filling(need - len(fifo)) if wanted else bytes(need - len(fifo))
        self._fifo = fifo[need:]
        return fifo[:need]

    def _sound(self, packet: Buffered | Missing) -> bytes:
        if isinstance(packet, Missing):
            return self._filling(2 * (self._packet_samples or self._samples))
        payload, payload_type = packet.payload, packet.codec_type
        form = self._formats.get(payload_type)
        if payload is None:
            return self._place_of_event()
        if form is None:
            return bytes(2 * (self._packet_samples or self._samples))
        if form.role is Role.NOISE:
            if self._noise is None:
                self._noise = NoiseGenerator(self._random)
            self._noise.describe(payload)
            self._noisy = True
            return self._noise.read(self._samples)
        self._noisy = False
        codec = self._codec(payload_type, form)
        try:
            sound = codec.decode(payload)
        except RemoteProtocolError:
            self.malformed += 1
            return self._filling(2 * (self._packet_samples or self._samples))
        if codec.rate != self._rate:
            resampler = self._resamplers.get(payload_type)
            if resampler is None:
                resampler = self._resamplers[payload_type] = Resampler(codec.rate, self._rate)
            sound = resampler.convert(sound)
        if len(sound) != 2 * self._packet_samples:
            self._resize(len(sound) // 2)
        return sound

    def _place_of_event(self) -> bytes:
        # Events may come beside the sound, and their ends in a heap: they take time only if nothing else fills it.
        if len(self.buffer) >= self.buffer.depth:
            return b""
        return bytes(2 * (self._packet_samples or self._samples))

    def _unheard(self, packet: Buffered | Missing) -> bytes:
        if isinstance(packet, Missing):
            return bytes(2 * (self._packet_samples or self._samples))
        if packet.payload is None:
            return self._place_of_event()
        form = self._formats.get(packet.codec_type)
        if form is None or form.role is not Role.SOUND:
            return self._silence
        codec = self._codec(packet.codec_type, form)
        samples = codec.samples(packet.payload) * self._rate // codec.rate
        if samples != self._packet_samples:
            self._resize(samples)
        return bytes(2 * samples)

    def _codec(self, payload_type: int, form: Format) -> AudioCodec:
        if payload_type == self._playing_type and self._playing is not None:
            return self._playing
        codec = self._codecs.get(payload_type)
        if codec is None:
            assert form.kind is not None
            codec = self._codecs[payload_type] = form.kind.make()
        self._playing, self._playing_type = codec, payload_type
        return codec

    def _resize(self, samples: int) -> None:
        # The buffer counts in packets, the settings in milliseconds.
        self._packet_samples = samples
        if samples:
            length = 1000 * samples / self._rate
            least, most = self._depths
            self.buffer.limit(max(1, round(least / length)), max(1, round(most / length)))

    def _filling(self, octets: int) -> bytes:
        if self._noisy and self._noise is not None:
            return self._noise.read(octets // 2)
        codec = self._playing
        if codec is None:
            return bytes(octets)
        sound = codec.conceal(octets // 2 * codec.rate // self._rate)
        if codec.rate != self._rate:
            resampler = self._resamplers.get(self._playing_type)
            if resampler is not None:
                sound = resampler.convert(sound)
        return sound[:octets] + bytes(octets - len(sound[:octets]))

    @property
    def packet_seconds(self) -> float:
        """The length of the packets that come, 0.0 before any was played."""
        return self._packet_samples / self._rate

    def renew(self) -> None:
        """The peer may be another one from now on.

        A key under way goes on: another source ends it, and the same one must not be heard twice.
        """
        self.rtp.forget()

    def close(self) -> None:
        """Let go of the codecs. Harmless when repeated."""
        for codec in self._codecs.values():
            codec.close()
        self._codecs.clear()
        self._playing = None
        self.buffer.reset()
        self._fifo = b""
