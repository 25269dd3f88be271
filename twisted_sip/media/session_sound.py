"""What is heard and said in a session: sources, sinks, keys, echo, bridges; one frame for each packet time."""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from twisted_sip.errors import LocalProtocolError
from twisted_sip.interfaces.media import AudioSink, AudioSource
from twisted_sip.media.bridge import Bridge, Party
from twisted_sip.media.pcm import mix
from twisted_sip.media.resampling import sink_at, source_at
from twisted_sip.media.tones import KeySource

_log = Logger()

#: No more presses wait for those before them.
_MOST_WAITING = 64


class Playing:
    """A source that is played."""

    def __init__(self, source: AudioSource, done: Deferred[bool]) -> None:
        self.source = source
        self.read_at = 0
        self.reader: AudioSource | None = None
        self.done: Deferred[bool] | None = done

    def frame(self, samples: int, rate: int) -> bytes | None:
        """Return the next frame, None when it is over."""
        reader = self.reader
        if reader is None or self.read_at != rate:
            reader = self.reader = source_at(self.source, rate)
            self.read_at = rate
        try:
            return reader.read(samples)
        except Exception:
            # A source of somebody else's: its fault ends it, and not the call.
            _log.failure("A source of sound failed")
            return None

    def finish(self, whole: bool) -> None:
        """Close the source and tell whoever waits."""
        done, self.done = self.done, None
        close = getattr(self.source, "close", None)
        if close is not None and not isinstance(self.source, Party):
            try:
                close()
            except Exception:
                _log.failure("A source of sound could not be closed")
        if done is not None and not done.called:
            done.callback(whole)


class GuardedSink:
    """A sink of somebody else's: its fault ends it, and not the call."""

    def __init__(self, sink: AudioSink, rate: int) -> None:
        self._plain = sink
        self._sink: AudioSink | None = sink_at(sink, rate)
        self.rate = rate

    def write(self, pcm: bytes) -> None:
        """Pass the next samples on."""
        if self._sink is None:
            return
        try:
            self._sink.write(pcm)
        except Exception:
            _log.failure("A sink of sound failed")
            self._sink = None

    def at(self, rate: int) -> GuardedSink:
        """Return the same for another rate."""
        return self if rate == self.rate else GuardedSink(self._plain, rate)

    def close(self) -> None:
        """Close the sink."""
        try:
            self._plain.close()
        except Exception:
            _log.failure("A sink of sound could not be closed")


class SessionSound:
    """The sources and sinks of one session.

    :ivar rate: samples per second of its frames.
    """

    def __init__(self) -> None:
        self.rate = 8000
        self.playing: Playing | None = None
        self.keys: Playing | None = None
        self._more_keys: deque[Playing] = deque()
        self.recording: GuardedSink | None = None
        self.party: Party | None = None
        self.bridge: Bridge | None = None
        self._party_source: AudioSource | None = None
        self._party_sink: GuardedSink | None = None
        self.echoing = False
        self.detectors: list[GuardedSink] = []

    def at(self, rate: int) -> None:
        """Frames have another rate from now on."""
        if rate == self.rate:
            return
        self.rate = rate
        if self.recording is not None:
            self.recording = self.recording.at(rate)
        self.detectors = [one.at(rate) for one in self.detectors]
        if self.party is not None:
            self._connect(self.party)

    def sinks(self) -> list[AudioSink]:
        """Return who listens."""
        return [one for one in (self.recording, self._party_sink, *self.detectors) if one is not None]

    def play(self, source: AudioSource) -> Deferred[bool]:
        """Play *source* in place of what was played."""
        done: Deferred[bool] = Deferred(lambda _: self._cancelled(playing))
        playing = Playing(source, done)
        before, self.playing = self.playing, playing
        if before is not None:
            # Whoever waits for it may play something else at once, which then takes the place of this one.
            before.finish(False)
        return done

    def _cancelled(self, playing: Playing) -> None:
        if self.playing is playing:
            self.playing = None
        playing.finish(False)

    def stop_playing(self) -> None:
        """Play nothing."""
        playing, self.playing = self.playing, None
        if playing is not None:
            playing.finish(False)

    def press(self, digits: str, duration: float, gap: float) -> Deferred[bool]:
        """Press keys in the sound itself, after those that are being pressed.

        :raises LocalProtocolError: too many wait.
        """
        if len(self._more_keys) >= _MOST_WAITING:
            raise LocalProtocolError("too many keys wait to be pressed")
        done: Deferred[bool] = Deferred()
        playing = Playing(KeySource(digits, duration, gap, self.rate), done)
        if self.keys is None:
            self.keys = playing
        else:
            self._more_keys.append(playing)
        return done

    def record(self, sink: AudioSink) -> None:
        """Write what is heard to *sink*, in place of the one before."""
        self.stop_recording()
        self.recording = GuardedSink(sink, self.rate)

    def stop_recording(self) -> None:
        """Close the sink."""
        recording, self.recording = self.recording, None
        if recording is not None:
            recording.close()

    def join(self, bridge: Bridge | None, name: str = "") -> Party | None:
        """Take part in *bridge*, and in no other one."""
        self.bridge, party = bridge, self.party
        self.party = self._party_source = self._party_sink = None
        if party is not None:
            party.close()
        if bridge is not None:
            self.party = bridge.join(name)
            self._connect(self.party)
        return self.party

    def _connect(self, party: Party) -> None:
        self._party_source = source_at(party, self.rate)
        self._party_sink = GuardedSink(party, self.rate)

    def frame(self, heard: bytes, samples: int) -> bytes | None:
        """Return the next frame to send, None for silence."""
        frame: bytes | None = None
        while (playing := self.keys) is not None:
            frame = playing.frame(samples, self.rate)
            if frame is not None:
                return _whole(frame, samples)
            self.keys = self._more_keys.popleft() if self._more_keys else None
            playing.finish(True)
        playing = self.playing
        if playing is not None:
            frame = playing.frame(samples, self.rate)
            if frame is None:
                # Whoever waits may play the next one at once, which begins with the next frame.
                self.playing = None
                playing.finish(True)
        if self._party_source is not None:
            other = self._party_source.read(samples)
            if other:
                frame = mix(frame, other) if frame else other
        if self.echoing and heard:
            frame = mix(frame, heard) if frame else heard
        return _whole(frame, samples) if frame else None

    def close(self) -> None:
        """Let go of all of them. Harmless when repeated."""
        self.stop_playing()
        keys = (self.keys, *self._more_keys)
        self.keys = None
        self._more_keys.clear()
        for one in keys:
            if one is not None:
                one.finish(False)
        self.stop_recording()
        self.join(None)
        detectors, self.detectors = self.detectors, []
        for detector in detectors:
            detector.close()
        self.echoing = False


def _whole(frame: bytes, samples: int) -> bytes:
    size = 2 * samples
    if len(frame) == size:
        return frame
    return frame[:size] + bytes(size - len(frame[:size]))
