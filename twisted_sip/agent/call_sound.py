"""The sound of a call: play, record, keys, echo, how it does. With a media session that has sound in it."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from twisted_sip.agent.call_core import CallCore
from twisted_sip.agent.call_events import DTMF, InfoReceived
from twisted_sip.agent.dtmf import RELAY, check_digits, relay_body
from twisted_sip.errors import LocalProtocolError, RequestRefused
from twisted_sip.interfaces.media import MediaStatistics
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call

#: Seconds that a comma among keys waits in INFO.
_PAUSE = 1.0


class CallSound(CallCore):
    """What can be heard in a call."""

    def play(self, source: Any) -> Deferred[bool]:
        """Play to the peer.

        :param source: an AudioSource, or the path of a WAV file.
        :return: fires with True when it is over, with False when something else came first. Cancelling stops it.
        :raises LocalProtocolError: there is no sound in this call, or the file is none.
        """
        sound = self._sound()
        made = source
        if isinstance(source, str | PathLike):
            from twisted_sip.media.wav import WavSource

            made = WavSource(source)
        playing: Deferred[bool] = sound.play(made)
        return playing

    def stop_playing(self) -> None:
        """Send silence again."""
        self._sound().stop_playing()

    def record(self, sink: Any) -> None:
        """Record what the peer says, until :meth:`stop_recording` or the end.

        :param sink: an AudioSink, or the path of the WAV file to write.
        :raises LocalProtocolError: there is no sound in this call.
        """
        sound = self._sound()
        made = sink
        if isinstance(sink, str | PathLike):
            from twisted_sip.media.wav import WavSink

            made = WavSink(sink)
        sound.record(made)

    def stop_recording(self) -> None:
        """Record no more."""
        self._sound().stop_recording()

    def echo(self, on: bool = True) -> None:
        """Send back what the peer says, or no longer."""
        self._sound().echo(on)

    def bridge(self, other: Call | None) -> None:
        """Let this peer and that of *other* hear each other; None parts them."""
        self._sound().bridge(None if other is None else other.media)

    def statistics(self) -> MediaStatistics:
        """Return how its media do, or did; all zero without any."""
        media = self.media
        found: MediaStatistics = media.statistics() if media is not None else MediaStatistics()
        return found

    # -- keys --------------------------------------------------------------------------------

    def send_dtmf(self, digits: str, how: str = "auto", *, duration: float = 0.1, gap: float = 0.1) -> Deferred[bool]:
        """Press keys, one after the other.

        :param digits: of ``0123456789*#ABCD!``; a comma waits for a second.
        :param how: ``rtp`` (RFC 4733), ``inband`` (tones), ``info`` (INFO requests), ``auto``: what was negotiated.
        :param duration: of each, in seconds, and *gap*, of the pause after it.
        :return: fires with True when the last one has gone out, with False if the call ended before; with ``info`` it
            fails with RequestRefused where the peer does not take them.
        :raises LocalProtocolError: no such keys or way, or the call is not established.
        """
        keys = check_digits(digits)
        if how == "info" or (how == "auto" and self.media is None):
            return self._send_info_keys(keys, duration, gap)
        inband = {"auto": None, "rtp": False, "inband": True}
        if how not in inband:
            raise LocalProtocolError(f"{how!r} is no way to send keys: auto, rtp, inband, info")
        sending: Deferred[bool] = self._sound().send_dtmf(keys, duration=duration, gap=gap, inband=inband[how])
        return sending

    def _send_info_keys(self, keys: str, duration: float, gap: float) -> Deferred[bool]:
        self._confirmed_session()
        result: Deferred[bool] = Deferred()
        timers = self.agent.element.timers
        left = list(keys)

        def next_key() -> None:
            if self.over:
                result.callback(False)
            elif not left:
                result.callback(True)
            elif left[0] == ",":
                left.pop(0)
                timers.start(_PAUSE, next_key)
            else:
                key = left.pop(0)
                sent = self.info(relay_body(key, duration), RELAY)
                sent.addCallbacks(lambda _: timers.start(duration + gap, next_key), failed)

        def failed(failure: Failure) -> None:
            if self.over:
                result.callback(False)
            else:
                result.errback(failure)

        next_key()
        return result

    def key_pressed(self, digit: str, seconds: float, how: str) -> None:
        """The peer has pressed a key."""
        self.log.add(DTMF(digit=digit, seconds=seconds, how=how))

    # -- INFO -----------------------------------------------------------------------------------

    def info(
        self,
        body: bytes = b"",
        content_type: str = "",
        package: str = "",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Deferred[Response]:
        """Send an INFO (RFC 6086).

        :param package: an Info Package that the peer takes; without one it is of the legacy kind.
        :return: fires with the 2xx; fails with RequestRefused.
        """
        fields = [*([("content-type", content_type)] if content_type else ()), *headers]
        result: Deferred[Response] = Deferred()
        try:
            session = self._confirmed_session()
            session.info(body, fields, package, outcome_to(result, "INFO"))
        except LocalProtocolError:
            return fail(Failure())
        return result

    def info_arrived(self, package: str, info: Request) -> None:
        """An INFO that is no key."""
        content_type = info.headers.first("content-type") or ""
        self.log.add(InfoReceived(package=package, content_type=content_type, body=info.body))

    # -- parts ----------------------------------------------------------------------------------

    def use_media(self, media: Any) -> None:
        """Have *media*; keys that it hears are events of this call, and where no media can pass it ends."""
        self.descriptions.media = media
        if media is not None and hasattr(media, "on_dtmf"):
            media.on_dtmf = self.key_pressed
        if media is not None and hasattr(media, "on_failure"):
            # RFC 5763 section 5: a peer that is another than was told gets no session.
            media.on_failure = self.end_for_media
        if media is not None and getattr(media, "on_timeout", self) is None:
            # A program that has set the hook itself decides itself.
            media.on_timeout = self.peer_is_silent

    def peer_is_silent(self, seconds: float) -> None:
        """Nothing has come from the peer for so long: hang up, unless somebody is on hold (RFC 3326)."""
        if self.established and not self.on_hold and not self.held:
            self.end_without_media(f"nothing came for {seconds:.0f} s")

    def _sound(self) -> Any:
        media = self.media
        if media is None or not hasattr(media, "play"):
            raise LocalProtocolError("there is no sound in this call")
        return media


def outcome_to(result: Deferred[Response], method: str) -> Any:
    """Return what takes the outcome of a request and fires *result* with a 2xx, or fails it with RequestRefused."""

    def done(response: Response | None, status: int) -> None:
        if result.called:
            return
        if response is not None and 200 <= response.status < 300:
            result.callback(response)
        else:
            reason = response.reason if response is not None else ""
            result.errback(RequestRefused(f"{method} was refused: {status} {reason}".rstrip(), status=status))

    return done
