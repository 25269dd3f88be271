"""The seam between a call and its media: who writes and reads the session descriptions, and what sound is.

RFC 3264 (offer/answer) as RFC 3261 section 13.2.1 carries it, RFC 6337. The default is
:class:`twisted_sip.media.session.MediaSession`; a call without any media session is signalling only.

Sound inside the program is linear PCM: signed 16-bit samples in the byte order of the host, one channel, in frames
of bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import attrs
from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from twisted_sip.sdp.description import SessionDescription


@attrs.frozen(slots=True, kw_only=True)
class MediaStatistics:
    """How the media of a call do, or did: all zero before anything was agreed.

    :ivar codec: the codec that is sent, as ``PCMU/8000``; empty before there is one.
    :ivar packets_sent: RTP packets sent.
    :ivar bytes_sent: octets of RTP payload sent.
    :ivar packets_received: RTP packets taken.
    :ivar bytes_received: octets of RTP payload taken.
    :ivar packets_lost: packets that were expected and have not come (RFC 3550 appendix A.3); duplicates make it
        negative.
    :ivar fraction_lost: the part of packets that was lost on the way to us in the whole call, 0.0 to 1.0.
    :ivar packets_late: packets that came too late to be played.
    :ivar packets_duplicate: packets that came twice.
    :ivar packets_refused: datagrams that were dropped: strangers, malformed, floods, wrong payload type.
    :ivar jitter: interarrival jitter on the way to us in seconds (RFC 3550 section 6.4.1).
    :ivar round_trip: seconds, from RTCP (RFC 3550 section 6.4.1); None while it is not known.
    :ivar remote_fraction_lost: what the peer reports lost of what we send, 0.0 to 1.0; None while it is not known.
    :ivar remote_jitter: what the peer reports as jitter, in seconds; None while it is not known.
    :ivar mos: estimated listening quality of what we hear, 1.0 to 4.5; 0.0 before anything came.
    """

    codec: str = ""
    packets_sent: int = 0
    bytes_sent: int = 0
    packets_received: int = 0
    bytes_received: int = 0
    packets_lost: int = 0
    fraction_lost: float = 0.0
    packets_late: int = 0
    packets_duplicate: int = 0
    packets_refused: int = 0
    jitter: float = 0.0
    round_trip: float | None = None
    remote_fraction_lost: float | None = None
    remote_jitter: float | None = None
    mos: float = 0.0


class IMediaSession(Interface):
    """The media of one call. One offer at a time, as RFC 3264 section 4 has it; the call sees to that.

    An offer or answer that needs time (ports of a relay, addresses from a STUN server) may be a Deferred.
    """

    def offer() -> SessionDescription | Deferred[SessionDescription]:
        """Return an offer from the present wishes: the first one, or one that changes what was agreed.

        The origin stays the same in all of them, its version goes up with each change (RFC 3264 section 8).

        :raises LocalProtocolError: an offer is outstanding, or the session is closed.
        """

    def answer(offer: SessionDescription) -> SessionDescription | Deferred[SessionDescription]:
        """Apply the peer's offer and return the answer to it (RFC 3264 section 6).

        :raises twisted_sip.errors.MediaRefused: nothing in it can be used; its ``status`` answers the request, with
            its ``warning_code`` and ``warning_text`` as Warning. What was agreed before stays.
        """

    def answered(answer: SessionDescription) -> None:
        """Apply the peer's answer to our last offer.

        May be called again for the same offer, when another fork answers or a 2xx repeats what a reliable 18x said:
        the last one counts.

        :raises twisted_sip.errors.MediaRefused: it cannot be used, or does not fit the offer.
        """

    def rolled_back() -> None:
        """Go back to what was agreed: our offer, or our answer, came to nothing (RFC 6141, RFC 3261 section 14.1)."""

    def hold(on: bool) -> None:
        """Wish to hold the peer, or no longer to, in the next offer (RFC 3264 section 8.4); no effect before it."""

    def statistics() -> MediaStatistics:
        """Return how the media do; after :meth:`close` how they did."""

    def close() -> None:
        """Let go of every port and timer. On every path out of a call; harmless when repeated."""


class AudioSource(Protocol):
    """Something to listen to: a file, a tone, another call."""

    @property
    def rate(self) -> int:
        """Samples per second."""
        ...

    def read(self, samples: int) -> bytes | None:
        """Return the next *samples* samples, fewer at the end, empty for silence now, None when it is over."""
        ...


class AudioSink(Protocol):
    """Something that listens: a file, a detector, another call."""

    @property
    def rate(self) -> int:
        """Samples per second that it wants."""
        ...

    def write(self, pcm: bytes) -> None:
        """Take the next samples."""
        ...

    def close(self) -> None:
        """Nothing more comes. Harmless when repeated."""
        ...


class IAudioSession(IMediaSession):
    """A media session with sound in it, which a program can play to, record from and press keys in.

    Hooks are attributes that a program sets; each holds a callable or None.
    """

    on_dtmf: Callable[[str, float, str], object] | None = Attribute(
        "Called as (digit, seconds, how) for each key of the peer: one of ``0123456789*#ABCD!``; *how* is ``rtp`` "
        "(RFC 4733) or ``inband``. Told once, when the key is let go."
    )
    on_timeout: Callable[[float], object] | None = Attribute(
        "Called with the seconds for which nothing came, once, when that is as long as the settings say; not on hold."
    )
    on_silence: Callable[[bool], object] | None = Attribute(
        "Called with True when the peer has been silent for as long as the settings say, with False when it speaks."
    )

    def play(source: AudioSource) -> Deferred[bool]:
        """Send what *source* gives, in place of what was sent before; it may be called before there is an answer.

        :returns: a Deferred that fires with True when the source is over, with False when it was replaced, stopped
            or the session closed. Cancelling it stops the source.
        """

    def stop_playing() -> None:
        """Send silence again. Harmless when nothing is played."""

    def record(sink: AudioSink) -> None:
        """Write what the peer says to *sink*, until :meth:`stop_recording` or :meth:`close`, which close it."""

    def stop_recording() -> None:
        """Close the sink. Harmless when there is none."""

    def echo(on: bool = True) -> None:
        """Send back what comes, or no longer."""

    def bridge(other: Any) -> None:
        """Join the sound of this session and *other*, a session of the same kind; None parts them."""

    def send_dtmf(
        digits: str, *, duration: float = 0.1, gap: float = 0.1, inband: bool | None = None
    ) -> Deferred[bool]:
        """Press keys one after the other.

        :param digits: of ``0123456789*#ABCD!``; a comma waits for a second.
        :param duration: of each, in seconds.
        :param gap: of silence after each, in seconds.
        :param inband: True for tones in the sound, False for events of RFC 4733, None for what was negotiated.
        :returns: a Deferred that fires with True when the last one has gone out, with False when the session closed
            first.
        :raises LocalProtocolError: a character that is none of them, too many, or no event was negotiated.
        """


#: Makes the media of a call: takes the call, returns an IMediaSession, or None for signalling only.
MediaFactory = Callable[[Any], Any]
