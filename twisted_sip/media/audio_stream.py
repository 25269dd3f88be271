"""One audio stream: port, latches, RTP both ways and RTCP, driven by the ticker once in each packet time."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.media import AudioSink, MediaStatistics
from twisted_sip.media.audio_receiver import AudioReceiver, Format
from twisted_sip.media.audio_sender import AudioSender
from twisted_sip.media.codecs.table import AudioCodec, CodecKind
from twisted_sip.media.latch import Latch
from twisted_sip.media.own_source import OwnSource
from twisted_sip.media.packet_budget import PacketBudget
from twisted_sip.media.port import MediaPort
from twisted_sip.media.proven_target import ProvenTarget
from twisted_sip.media.quality import mos
from twisted_sip.media.rtcp_session import RTCPSession
from twisted_sip.media.rtp import split
from twisted_sip.media.settings import MediaSettings
from twisted_sip.media.sockets import PortRange
from twisted_sip.media.stream_user import StreamUser
from twisted_sip.media.ticker import Ticker

#: How often silence of the peer and ends of keys are looked for, in seconds.
_LOOK = 0.1

#: Later than that nobody was awake to listen.
_ASLEEP = 1.0


@attrs.frozen(slots=True, kw_only=True)
class StreamTerms:
    """What was agreed for an audio stream.

    :ivar kind: the codec that is sent, None if there is none.
    :ivar payload_type: its number.
    :ivar events: the payload type for keys, None without.
    :ivar events_rate: the clock rate of those.
    :ivar event_codes: the events that the peer takes (RFC 4733 section 2.5.1.1).
    :ivar noise: the payload type of comfort noise, None without.
    :ivar formats: what may come.
    :ivar ptime: milliseconds in a packet that we send.
    :ivar sends: we send.
    :ivar receives: the peer may send.
    :ivar target: where RTP goes; None if it goes nowhere.
    :ivar rtcp_target: where RTCP goes.
    :ivar muxed: RTP and RTCP share a port.
    """

    kind: CodecKind | None = None
    payload_type: int = 0
    events: int | None = None
    events_rate: int = 8000
    event_codes: frozenset[int] = frozenset(range(16))
    noise: int | None = None
    formats: dict[int, Format] = attrs.Factory(dict)
    ptime: int = 20
    sends: bool = False
    receives: bool = False
    target: tuple[str, int] | None = None
    rtcp_target: tuple[str, int] | None = None
    muxed: bool = False


class AudioStream:
    """The stream of a session.

    :ivar port: its sockets.
    :ivar latch: whom RTP is taken from, and where it goes.
    :ivar rtcp_latch: the same for RTCP.
    :ivar sinks: those who listen to the peer.
    :ivar rate: samples per second of the frames.
    :ivar terms: what was agreed.
    """

    def __init__(
        self,
        user: StreamUser,
        ports: PortRange,
        settings: MediaSettings,
        *,
        ticker: Callable[[int], Ticker],
        now: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        cname: str,
    ) -> None:
        """Bind the ports.

        :param ticker: gives the ticker for so many milliseconds.
        :param now: the time in seconds since 1970.
        :raises MediaRefused: there is no port.
        """
        self._user = user
        self._settings = settings
        self._tickers = ticker
        self._now = now
        self._random_bytes = random_bytes
        self._cname = cname
        self.latch = Latch(symmetric=settings.symmetric, relatch=settings.relatch)
        self.rtcp_latch = Latch(symmetric=settings.symmetric, relatch=settings.relatch, insist=1)
        self.sender = AudioSender(random_bytes)
        self.receiver = AudioReceiver(
            random_bytes, user.stream_key, least=settings.jitter_least, most=settings.jitter_most
        )
        self.sinks: list[AudioSink] = []
        self.echoing = False
        self.rate = 8000
        self.terms = StreamTerms()
        self._ticker: Ticker | None = None
        self._rtcp: RTCPSession | None = None
        self._peer = PacketBudget(settings.most_rate)
        self._strangers = PacketBudget(settings.most_rate)
        self._packets_sent = 0
        self._bytes_sent = 0
        self.malformed = 0
        self.flooded = 0
        self.unknown = 0
        self._look_at = 0.0
        self._heard_at = 0.0
        self._told_silent = False
        self._own = OwnSource()
        self._proof = ProvenTarget(settings.unproved)
        self._codec_name = ""
        self._codec_key: tuple[CodecKind, int] | None = None
        self._closed = False
        self.port = MediaPort(ports, self)

    # -- what was agreed -------------------------------------------------------------------------

    def expect(self, formats: dict[int, Format]) -> None:
        """An offer of ours is out: these may come before its answer does (RFC 3264 section 5.1)."""
        self.terms = attrs.evolve(self.terms, formats={**self.terms.formats, **formats}, receives=True)
        self.receiver.configure(self.terms.formats, self.rate, self.sender.samples)
        self._run(self.terms.ptime)

    def agree(self, terms: StreamTerms) -> None:
        """Go by *terms* from now on."""
        self.terms = terms
        if terms.kind is not None:
            key = (terms.kind, terms.payload_type)
            codec: AudioCodec | None = self.sender.codec
            if codec is None or key != self._codec_key:
                codec = terms.kind.make()
                self._codec_key = key
            self.rate = codec.rate
            self._codec_name = terms.kind.name
            self.sender.configure(
                codec,
                terms.payload_type,
                terms.ptime,
                events=terms.events,
                events_rate=terms.events_rate,
                noise=terms.noise,
            )
        self.receiver.configure(terms.formats, self.rate, self.rate * terms.ptime // 1000)
        if terms.muxed:
            self.port.mux(final=True)
        self.latch.tell(terms.target)
        self.latch.renew()
        self.rtcp_latch.tell(terms.target if terms.muxed else terms.rtcp_target)
        self.rtcp_latch.renew()
        self.receiver.renew()
        self._told_silent = False
        self._heard_at = self._now()
        if self._rtcp is None and terms.kind is not None:
            self._rtcp = self._new_rtcp(terms.kind.bandwidth)
        if terms.kind is None:
            self._stop()
        else:
            self._run(terms.ptime)

    def _new_rtcp(self, bandwidth: int) -> RTCPSession:
        return RTCPSession(
            self.sender.ssrc,
            self._cname,
            self.receiver.rtp,
            now=self._now(),
            bandwidth=2.0 * bandwidth,
            random=lambda: int.from_bytes(self._random_bytes(4), "big") / 2**32,
        )

    def _run(self, ptime: int) -> None:
        ticker = self._tickers(ptime)
        if self._closed or ticker is self._ticker:
            return
        self._stop()
        self._ticker = ticker
        self._look_at = self._now()
        ticker.add(self._tick)

    def _stop(self) -> None:
        if self._ticker is not None:
            self._ticker.remove(self._tick)
            self._ticker = None

    # -- inwards ---------------------------------------------------------------------------------

    def rtp_received(self, data: bytes, address: tuple[str, int]) -> None:
        """Take a packet."""
        now = self._now()
        latch = self.latch
        # What strangers send does not use up what the peer may.
        budget = self._peer if address == latch.latched else self._strangers
        budget.left -= 1
        if budget.left < 0 and not budget.refill(now):
            self.flooded += 1
            return
        try:
            second, sequence, timestamp, ssrc, payload = split(data)
        except RemoteProtocolError:
            self.malformed += 1
            return
        receiver = self.receiver
        if not receiver.knows(second & 0x7F):
            self.unknown += 1
            return
        if not latch.accepts(address, now):
            return
        if ssrc == self.sender.ssrc and not (
            address == latch.target and self._own.mirrors(sequence, self.sender.sequence)
        ):
            self._collision(address, now)
            return
        self._heard_at = now
        if address[0] != self._proof.host:
            self._proof.heard(address[0], latch.target)
        receiver.take(second, sequence, timestamp, ssrc, payload, now)

    def _collision(self, address: tuple[str, int], now: float) -> None:
        # RFC 3550 section 8.2: once for each source: BYE, and another identifier. Afterwards it is a loop.
        self.receiver.rtp.collisions += 1
        if not self._own.collides(address):
            return
        rtcp = self._rtcp
        target = self.rtcp_latch.target
        if rtcp is not None and target is not None:
            bye = rtcp.bye(now, self.sender.timestamp, "SSRC collision")
            if bye is not None:
                self.port.send_rtcp(bye, target)
        ssrc = int.from_bytes(self._random_bytes(4), "big")
        self.sender.change_ssrc(ssrc)
        if rtcp is not None:
            rtcp.change_ssrc(ssrc)

    def rtcp_received(self, data: bytes, address: tuple[str, int]) -> None:
        """Take a compound: of the host whose RTP is taken, or that was told."""
        now = self._now()
        rtcp = self._rtcp
        budget = self._peer if address == self.rtcp_latch.latched else self._strangers
        budget.left -= 1
        if budget.left < 0 and not budget.refill(now):
            self.flooded += 1
            return
        if rtcp is None:
            return
        hosts = [one[0] for one in (self.latch.latched, self.latch.target) if one is not None]
        known = not hosts or address[0] in hosts or address == self.terms.rtcp_target
        if not known and not self.rtcp_latch.open and not self.rtcp_latch.knows(address):
            self.rtcp_latch.refused += 1
            return
        before = rtcp.malformed
        rtcp.received(data, now)
        if rtcp.malformed != before:
            return
        self.rtcp_latch.accepts(address, now)
        self._heard_at = now
        self._proof.heard(address[0], self.latch.target)
        if rtcp.collided:
            rtcp.collided = False
            if not self._own.mirrored:
                self._collision(address, now)

    # -- each packet time ------------------------------------------------------------------------

    def _tick(self, now: float) -> None:
        terms = self.terms
        sinks = self.sinks
        heard = self.receiver.play(bool(sinks) or self.echoing) if terms.receives else b""
        if heard:
            for sink in sinks:
                sink.write(heard)
        sender = self.sender
        target = self.latch.target
        port, proof = self.port, self._proof
        # What leads to a path was checked there (RFC 8445 section 7).
        proved = target is not None and (target[0] == proof.host or port.path is not None)
        if terms.sends and target is not None:
            frame = self._user.stream_frame(heard, sender.samples)
            if frame is None and not sender.silence_is_noise:
                frame = bytes(2 * sender.samples)
            packet = sender.next(frame)
            # Where nobody is, a file still comes to its end.
            if packet is not None and (proved or proof.patient):
                if port.send_rtp(packet, target) and not proved:
                    proof.sent(target[0], terms.ptime / 1000)
                self._packets_sent += 1
                self._bytes_sent += sender.size
                if self._rtcp is not None:
                    self._rtcp.data_sent(sender.size, now)
        else:
            sender.skip()
        rtcp = self._rtcp
        if rtcp is not None and now >= rtcp.due_at:
            self._report(rtcp, now)
        if now >= self._look_at:
            self._look(now)

    def _report(self, rtcp: RTCPSession, now: float) -> None:
        data = rtcp.poll(now, self.sender.timestamp)
        target = self.rtcp_latch.target
        if data is not None and target is not None:
            self.port.send_rtcp(data, target)

    def _look(self, now: float) -> None:
        late = now - self._look_at
        if late > _ASLEEP:
            # We have slept, or the clock was set: what has come meanwhile is still to be read.
            self._heard_at = min(now, self._heard_at + late)
        self._look_at = now + _LOOK
        self.receiver.tick(now)
        limit = self._settings.timeout
        silent = now - self._heard_at
        if not limit or not self.terms.receives or self.terms.kind is None:
            self._heard_at = now
        elif silent < limit:
            self._told_silent = False
        elif not self._told_silent:
            self._told_silent = True
            self._user.stream_silent(silent)
        self._user.stream_sent()

    # -- the end ---------------------------------------------------------------------------------

    def statistics(self) -> MediaStatistics:
        """Return how it does."""
        receiver, rtcp, latch = self.receiver, self._rtcp, self.latch
        rtp, buffer = receiver.rtp, receiver.buffer
        expected = rtp.received + rtp.lost
        # Copies hide losses in what RTCP tells (RFC 3550 section 6.4.1); here they do not.
        lost = max(0, rtp.lost + buffer.duplicates) / expected if expected > 0 else 0.0
        kind = self.terms.kind
        trip = None if rtcp is None else rtcp.round_trip
        depth = buffer.depth * (receiver.packet_seconds or 0.02)
        unheard = min(1.0, lost + buffer.late / expected) if expected > 0 else 0.0
        clock_rate = kind.clock_rate if kind is not None else 8000
        return MediaStatistics(
            codec=f"{kind.name}/{kind.clock_rate}" if kind is not None else "",
            packets_sent=self._packets_sent,
            bytes_sent=self._bytes_sent,
            packets_received=receiver.packets,
            bytes_received=receiver.octets,
            packets_lost=rtp.lost,
            fraction_lost=lost,
            packets_late=buffer.late,
            packets_duplicate=buffer.duplicates,
            packets_refused=latch.refused
            + self.rtcp_latch.refused
            + self.malformed
            + self.flooded
            + self.unknown
            + rtp.refused
            + rtp.collisions
            + receiver.malformed
            + self.port.malformed
            + self.port.refused
            + (rtcp.malformed if rtcp is not None else 0),
            jitter=rtp.jitter,
            round_trip=trip,
            remote_fraction_lost=None if rtcp is None else rtcp.remote_fraction_lost,
            remote_jitter=None if rtcp is None or rtcp.remote_jitter is None else rtcp.remote_jitter / clock_rate,
            mos=mos(unheard, (trip or 0.0) / 2 + depth, self._codec_name.upper()) if receiver.packets else 0.0,
        )

    def close(self) -> None:
        """Say BYE and let go of everything. Harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        self._stop()
        rtcp, target = self._rtcp, self.rtcp_latch.target
        if rtcp is not None and target is not None:
            bye = rtcp.bye(self._now(), self.sender.timestamp)
            if bye is not None:
                self.port.send_rtcp(bye, target)
        self.port.close()
        self.sender.close()
        self.receiver.close()
        self.sinks.clear()
