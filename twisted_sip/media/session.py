"""The built-in media of a call: its sound, above the offers and answers of :mod:`session_exchange`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from twisted_sip.errors import LocalProtocolError
from twisted_sip.interfaces.media import AudioSink, AudioSource, IAudioSession, MediaStatistics
from twisted_sip.media.audio_stream import AudioStream
from twisted_sip.media.bridge import Bridge, Party
from twisted_sip.media.dtmf_detector import KeyDetector
from twisted_sip.media.ice_extension import ICEExtension
from twisted_sip.media.session_exchange import SessionExchange
from twisted_sip.media.session_sound import GuardedSink, SessionSound
from twisted_sip.media.silence_detector import SilenceDetector
from twisted_sip.media.stream_extension import StreamExtension
from twisted_sip.media.stream_keys import MediaSecurity, StreamKeys
from twisted_sip.media.telephone_event import KEYS, PAUSE, check_keys

if TYPE_CHECKING:
    from twisted_sip.media.plane import MediaPlane

_log = Logger()


@implementer(IAudioSession)
class MediaSession(SessionExchange):
    """The media of one call: one audio stream; other streams as :attr:`other_streams` says.

    :ivar on_timeout: see IAudioSession.
    :ivar on_failure: called with the reason when no media can pass any more: the DTLS handshake has failed, or ICE; the
        application ends the call then.
    """

    def __init__(self, plane: MediaPlane, call: Any = None) -> None:
        """Make one; ports are bound with the first offer or answer.

        :param call: whose media they are; its ``signalling_is_secure`` says whether it travels encrypted.
        """
        super().__init__(plane)
        self._call = call
        self.on_failure: Callable[[str], object] | None = None
        self.on_timeout: Callable[[float], object] | None = None
        self._on_dtmf: Callable[[str, float, str], object] | None = None
        self._on_silence: Callable[[bool], object] | None = None
        self._key_detector: GuardedSink | None = None
        self._events_heard = False
        self._silence_detector: GuardedSink | None = None
        self._sound = SessionSound()
        self._waiting_keys: list[Deferred[bool]] = []
        self._statistics = MediaStatistics()
        self._extensions = self._make_extensions()
        plane.sessions.add(self)

    def _make_extensions(self) -> list[StreamExtension]:
        return [made for make in self._plane.extensions if (made := make(self)) is not None]

    def _be_at(self, plane: MediaPlane) -> None:
        plane.sessions.add(self)
        if plane is not self._plane:
            self._plane.sessions.discard(self)
        super()._be_at(plane)

    def _new_stream(self) -> AudioStream:
        plane = self._plane
        return AudioStream(
            self,
            plane.ports,
            self.settings,
            ticker=plane.ticker,
            now=plane.clock.seconds,
            random_bytes=plane.random_bytes,
            cname=plane.cname,
        )

    def _stream_changed(self, stream: AudioStream) -> None:
        self._sound.at(stream.rate)
        self._listen()

    # -- what protects it, and how it goes -------------------------------------------------------

    @property
    def plane(self) -> MediaPlane:
        """What made it."""
        return self._plane

    @property
    def signalling_is_secure(self) -> bool:
        """Whether the descriptions of this session travel encrypted, as far as the call knows."""
        return bool(getattr(self._call, "signalling_is_secure", False))

    @property
    def keys(self) -> StreamKeys | None:
        """SRTP, None if it is off."""
        return next((one for one in self._extensions if isinstance(one, StreamKeys)), None)

    @property
    def ice(self) -> ICEExtension | None:
        """ICE, None if it is off."""
        return next((one for one in self._extensions if isinstance(one, ICEExtension)), None)

    @property
    def security(self) -> MediaSecurity:
        """The protection in force."""
        keys = self.keys
        return MediaSecurity() if keys is None else keys.security

    def renew_keys(self) -> None:
        """Have other keys from the next offer on; no effect before it, and none without SRTP."""
        if self.keys is not None:
            self.keys.renew()

    def failed(self, reason: str) -> None:
        """No media can pass any more: what extensions say."""
        if self.on_failure is not None and not self._closed:
            self.on_failure(reason)

    # -- sound -----------------------------------------------------------------------------------

    @property
    def rate(self) -> int:
        """Samples per second of the sound now."""
        return self._sound.rate

    def play(self, source: AudioSource) -> Deferred[bool]:
        """See IAudioSession."""
        self._check_open()
        return self._sound.play(source)

    def stop_playing(self) -> None:
        """See IAudioSession."""
        self._sound.stop_playing()

    def record(self, sink: AudioSink) -> None:
        """See IAudioSession."""
        self._check_open()
        self._sound.record(sink)
        self._listen()

    def stop_recording(self) -> None:
        """See IAudioSession."""
        self._sound.stop_recording()
        self._listen()

    def echo(self, on: bool = True) -> None:
        """See IAudioSession."""
        self._sound.echoing = on
        self._listen()

    def join(self, bridge: Bridge | None, name: str = "") -> Party | None:
        """Take part in *bridge*, and in no other one; None leaves it.

        :raises LocalProtocolError: it is full, or the session is closed.
        """
        if bridge is not None:
            self._check_open()
        party = self._sound.join(bridge, name)
        self._listen()
        return party

    def bridge(self, other: Any) -> None:
        """See IAudioSession; a Bridge may be given as well."""
        if isinstance(other, Bridge) or other is None:
            self.join(other)
            return
        self._check_open()
        bridge = Bridge(max(self.rate, other.rate))
        # The other one first: if it cannot, nothing has changed here.
        other.join(bridge)
        self.join(bridge)

    def send_dtmf(
        self, digits: str, *, duration: float = 0.1, gap: float = 0.1, inband: bool | None = None
    ) -> Deferred[bool]:
        """See IAudioSession."""
        self._check_open()
        digits = check_keys(digits)
        events = None if self._stream is None else self._stream.sender.events
        if inband or (inband is None and events is None and self._agreed is not None):
            return self._sound.press(digits, duration, gap)
        if events is None or self._stream is None:
            raise LocalProtocolError("telephone events were not negotiated")
        wrong = [key for key in digits if key != PAUSE and KEYS.index(key) not in self._stream.terms.event_codes]
        if wrong:
            # RFC 4733 section 2.5.1.1: those that the peer has told, 0 to 15 without a word of his.
            raise LocalProtocolError(f"the peer takes no event for the key {wrong[0]!r}")
        events.press(digits, duration, gap)
        done: Deferred[bool] = Deferred()
        self._waiting_keys.append(done)
        return done

    @property
    def on_dtmf(self) -> Callable[[str, float, str], object] | None:
        """See IAudioSession."""
        return self._on_dtmf

    @on_dtmf.setter
    def on_dtmf(self, called: Callable[[str, float, str], object] | None) -> None:
        self._on_dtmf = called
        self._listen()

    @property
    def on_silence(self) -> Callable[[bool], object] | None:
        """See IAudioSession."""
        return self._on_silence

    @on_silence.setter
    def on_silence(self, called: Callable[[bool], object] | None) -> None:
        self._on_silence = called
        self._listen()

    def _listen(self) -> None:
        sound, stream = self._sound, self._stream
        if stream is None:
            return
        # In-band keys are listened for where there is no other way for them to come.
        events = any(form.role.value == "events" for form in stream.terms.formats.values())
        rate = sound.rate
        wish = self.settings.inband_keys
        if self._on_dtmf is None or wish == "never" or (events and (wish == "auto" or self._events_heard)):
            self._key_detector = None
        elif self._key_detector is None:
            self._key_detector = GuardedSink(KeyDetector(lambda key, held: self._key(key, held, "inband")), rate)
        if self._on_silence is None:
            self._silence_detector = None
        elif self._silence_detector is None or self._silence_detector.rate != rate:
            self._silence_detector = GuardedSink(SilenceDetector(self._silence, self.settings.silence, rate), rate)
        if self._key_detector is not None:
            self._key_detector = self._key_detector.at(rate)
        sound.detectors = [one for one in (self._key_detector, self._silence_detector) if one is not None]
        stream.sinks[:] = sound.sinks()
        stream.echoing = sound.echoing

    def _key(self, key: str, held: float, how: str) -> None:
        self._tell(self._on_dtmf, key, held, how)

    def _silence(self, silent: bool) -> None:
        self._tell(self._on_silence, silent)

    def _tell(self, hook: Callable[..., object] | None, *told: object) -> None:
        if hook is None:
            return
        try:
            hook(*told)
        except Exception:
            # A fault in one key must not cost the keys to come.
            _log.failure("A hook of a media session failed")

    # -- what the stream says --------------------------------------------------------------------

    def stream_frame(self, heard: bytes, samples: int) -> bytes | None:
        """See StreamUser."""
        return self._sound.frame(heard, samples)

    def stream_sent(self) -> None:
        """See StreamUser."""
        stream = self._stream
        if self._waiting_keys and stream is not None:
            events = stream.sender.events
            if events is None or not events.busy:
                waiting, self._waiting_keys = self._waiting_keys, []
                for done in waiting:
                    done.callback(events is not None)

    def stream_key(self, key: str, seconds: float) -> None:
        """See StreamUser."""
        if not self._events_heard:
            # Who sends events may send the tones as well: no key shall count twice (RFC 4733 section 2.5.2.2).
            self._events_heard = True
            self._listen()
        self._key(key, seconds, "rtp")

    def stream_silent(self, seconds: float) -> None:
        """See StreamUser."""
        if self.on_timeout is not None:
            self.on_timeout(seconds)

    # -- the end ---------------------------------------------------------------------------------

    def statistics(self) -> MediaStatistics:
        """See IMediaSession."""
        return self._statistics if self._stream is None else self._stream.statistics()

    def close(self) -> None:
        """See IMediaSession."""
        if self._closed:
            return
        self._closed = True
        self._plane.sessions.discard(self)
        self._stay()
        for extension in self._extensions:
            extension.close()
        stream, self._stream = self._stream, None
        if stream is not None:
            self._statistics = stream.statistics()
            stream.close()
        waiting, self._waiting_keys = self._waiting_keys, []
        for done in waiting:
            done.callback(False)
        self._sound.close()
        self._offer = self._agreed = self._before = None
