"""What all media of a process share: ports, tickers, settings; it makes the sessions and the relays."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime

from twisted_sip.errors import MediaRefused
from twisted_sip.media.settings import MediaSettings
from twisted_sip.media.sockets import PortRange, SocketMaker, UDPSockets
from twisted_sip.media.ticker import Ticker
from twisted_sip.transaction.timers import TimerQueue

if TYPE_CHECKING:
    from twisted_sip.media.dtls_certificate import DTLSCertificate
    from twisted_sip.media.relay import MediaRelay
    from twisted_sip.media.session import MediaSession
    from twisted_sip.media.stream_extension import StreamExtension


class MediaPlane:
    """Makes media; a MediaFactory as it is.

    :ivar sessions: those that are not closed.
    :ivar relays: those that are not closed.
    :ivar timers: of DTLS.
    :ivar extensions: each is called with a new session and returns what takes part in its offers and answers (SRTP,
        ICE), or None.
    """

    def __init__(
        self,
        reactor: Any,
        settings: MediaSettings | None = None,
        *,
        sockets: SocketMaker | None = None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        extensions: Sequence[Callable[[MediaSession], StreamExtension | None]] = (),
    ) -> None:
        """Make one; nothing is bound before it is needed.

        :param reactor: an IReactorTime; an IReactorFDSet too unless there are *sockets*.
        :param sockets: makes sockets; real ones of *reactor* by default.
        :param random_bytes: gives that many random bytes.
        :raises MissingExtra: the settings want SRTP, and its library is not installed.
        """
        self.settings = settings = settings or MediaSettings()
        self.reactor = reactor
        self.clock: IReactorTime = reactor
        self.random_bytes = random_bytes
        self.timers = TimerQueue(self.clock)
        self.extensions = (*self._configured(), *extensions)
        self._certificate: DTLSCertificate | None = None
        makes = sockets if sockets is not None else UDPSockets(reactor, settings.dscp)
        self.ports = PortRange(makes, settings.host, settings.ports)
        self.cname = f"{random_bytes(8).hex()}@{settings.address}"
        self.sessions: set[MediaSession] = set()
        self.relays: set[MediaRelay] = set()
        self._tickers: dict[int, Ticker] = {}

    def _configured(self) -> list[Callable[[MediaSession], StreamExtension | None]]:
        made: list[Callable[[MediaSession], StreamExtension | None]] = []
        # Keys first: what they do to ports is known then.
        if self.settings.srtp != "off":
            from twisted_sip.media.srtp import srtp_library
            from twisted_sip.media.stream_keys import StreamKeys

            srtp_library()
            made.append(StreamKeys)
        if self.settings.ice != "off":
            from twisted_sip.media.ice_extension import ICEMedia

            lite = self.settings.ice == "lite"
            made.append(ICEMedia(self.clock, self.random_bytes, self.settings.ice_settings, lite=lite))
        return made

    def certificate(self) -> DTLSCertificate:
        """Return the certificate for DTLS of the whole process."""
        from twisted_sip.media.dtls_certificate import DTLSCertificate

        if self._certificate is None:
            self._certificate = DTLSCertificate(self.clock.seconds())
        return self._certificate

    def ticker(self, milliseconds: int) -> Ticker:
        """Return the one ticker of this interval."""
        ticker = self._tickers.get(milliseconds)
        if ticker is None:
            ticker = self._tickers[milliseconds] = Ticker(self.clock, milliseconds / 1000)
        return ticker

    @property
    def tickers(self) -> Sequence[Ticker]:
        """Every ticker there is."""
        return tuple(self._tickers.values())

    def resolve(self, host: str) -> Deferred[str]:
        """Return a Deferred that fires with a numeric address of *host*, a name."""
        resolve = getattr(self.reactor, "resolve", None)
        if resolve is None:
            return fail(OSError(f"{host} cannot be resolved here"))
        found: Deferred[str] = resolve(host)
        return found

    def __call__(self, call: Any = None) -> MediaSession:
        """Return the media of *call*.

        :raises MediaRefused: there are as many as there may be.
        """
        from twisted_sip.media.session import MediaSession

        self.admit()
        return MediaSession(self, call)

    def relay(self) -> MediaRelay:
        """Return a relay between two sides.

        :raises MediaRefused: there are as many as there may be.
        """
        from twisted_sip.media.relay import MediaRelay

        self.admit()
        return MediaRelay(self)

    def admit(self) -> None:
        """Look whether there may be another one.

        :raises MediaRefused: with 503.
        """
        if len(self.sessions) + len(self.relays) >= self.settings.most_sessions:
            raise MediaRefused("Too many media sessions", status=503, warning_code=399)

    def close(self) -> None:
        """Close all that is open."""
        for session in list(self.sessions):
            session.close()
        for relay in list(self.relays):
            relay.close()
        self.timers.stop()
