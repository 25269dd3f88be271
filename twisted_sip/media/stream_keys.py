"""Whether and how the media of a session are protected: policy, offers and answers with keys.

RFC 4568 section 5.1, RFC 5763 section 5; the keys themselves are in sdes.py and dtls_keying.py. Best effort is an offer
of RTP/AVP with keys beside it: a peer that does not know them answers without.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
from twisted.logger import Logger

from twisted_sip.errors import LocalProtocolError, MediaRefused
from twisted_sip.media.dtls_certificate import DTLSCertificate, usable
from twisted_sip.media.dtls_keying import DTLSKeying, DTLSTerms
from twisted_sip.media.port import RTP, MediaPort
from twisted_sip.media.sdes import OwnKeys, agreed_keys
from twisted_sip.media.srtp import SRTP, srtp_library
from twisted_sip.media.srtp_profile import profiles_of
from twisted_sip.sdp.attributes import Attribute
from twisted_sip.sdp.fingerprint import Setup
from twisted_sip.sdp.local_stream import AVP, DTLS_SAVP, DTLS_SAVPF, SAVP, SAVPF, LocalStream
from twisted_sip.sdp.media_description import MediaDescription

if TYPE_CHECKING:
    from twisted_sip.media.audio_stream import AudioStream
    from twisted_sip.media.session import MediaSession

_log = Logger()


class SecurityState(enum.Enum):
    """How far the protection of a stream is."""

    PLAIN = "plain"
    PENDING = "pending"
    SECURE = "secure"
    FAILED = "failed"


@attrs.frozen(slots=True)
class MediaSecurity:
    """The protection of a stream.

    :ivar state: FAILED means that no media pass.
    :ivar keying: ``sdes``, ``dtls`` or empty.
    :ivar suite: of SRTP, empty before it is known.
    :ivar reason: why it failed.
    """

    state: SecurityState = SecurityState.PLAIN
    keying: str = ""
    suite: str = ""
    reason: str = ""


class StreamKeys:
    """The StreamExtension for SRTP; one for each session.

    :ivar security: what is in force.
    :ivar on_security: called with a MediaSecurity when that changes; None for nobody.
    :ivar protection: what packets go through, None while they are plain; its counters tell what was dropped.
    """

    def __init__(self, session: MediaSession) -> None:
        """Make one.

        :raises MissingExtra: there is no SRTP library.
        """
        srtp_library()
        self.protocols: tuple[str, ...] = (SAVP, SAVPF, DTLS_SAVP, DTLS_SAVPF)
        self.session_attributes: tuple[Attribute, ...] = ()
        plane = session.plane
        self._session = session
        self._settings = session.settings
        self._profiles = profiles_of(session.settings.suites)
        self._now: Callable[[], float] = plane.clock.seconds
        self._own = OwnKeys(self._profiles, plane.random_bytes)
        self._sdes = SRTP(self._now)
        self._keying: DTLSKeying | None = None
        self._certificates: list[DTLSCertificate] = []
        self._renewed = False
        self._way = ""
        self._protocol = AVP
        self._theirs = ("", 0)
        self._remote: MediaDescription | None = None
        self._exchanged = False
        self._stream: AudioStream | None = None
        self.security = MediaSecurity()
        self.on_security: Callable[[MediaSecurity], object] | None = None

    @property
    def protection(self) -> SRTP | None:
        """What the RTP of the stream goes through, None while it is plain."""
        if self._way == "dtls" and self._keying is not None:
            return self._keying.rtp
        return self._sdes if self._way == "sdes" else None

    def renew(self) -> None:
        """Have other keys from the next offer or answer of ours on (RFC 4568 section 5.1.4, RFC 5763 section 6.6)."""
        self._own.renew()
        self._renewed = True

    # -- offers --------------------------------------------------------------------------------

    def prepare(self, stream: LocalStream, offered: MediaDescription | None) -> LocalStream:
        """See StreamExtension."""
        return self._offer(stream) if offered is None else self._answer(stream, offered)

    def _offer(self, stream: LocalStream) -> LocalStream:
        required = self._settings.srtp == "required"
        way, protocol = self._way, self._protocol
        if not way:
            way = self._first_way()
            protocol = AVP if not required else SAVP if way == "sdes" else DTLS_SAVP
        if not way:
            if required:
                raise LocalProtocolError(
                    "Keys inside of session descriptions need signalling that is encrypted (RFC 4568 section 8.3)"
                )
            return stream
        if not self._exchanged:
            # Whether what comes before the answer is protected nobody knows: noise, or not what was asked for.
            self._port.protection = SRTP(self._now)
        if way == "sdes":
            return attrs.evolve(stream, protocols=(protocol,), crypto=self._own.lines())
        self._listen()
        # RFC 5763 section 5: actpass, ready for a ClientHello at once.
        return attrs.evolve(
            stream, protocols=(protocol,), fingerprints=(self._certificate().fingerprint,), rtcp_mux=True
        )

    def _first_way(self) -> str:
        for way in self._settings.keying:
            if way == "dtls" or self._settings.sdes_in_clear or self._session.signalling_is_secure:
                return way
        return ""

    # -- answers -------------------------------------------------------------------------------

    def _answer(self, stream: LocalStream, offered: MediaDescription) -> LocalStream:
        protocol = offered.protocol.upper()
        keying = self._settings.keying
        if "sdes" in keying and not protocol.startswith("UDP/TLS/"):
            if self._is_elsewhere(offered):
                self._own.renew()
            chosen = self._own.answer(offered.crypto)
            if chosen is not None:
                return attrs.evolve(stream, protocols=(offered.protocol,), crypto=(chosen[0],))
        if "dtls" in keying and usable(offered.fingerprints) and offered.setup is not Setup.HOLDCONN:
            self._listen()
            wished = self._kept_setup(offered)
            return attrs.evolve(
                stream,
                protocols=(offered.protocol,),
                fingerprints=(self._certificate().fingerprint,),
                setup=wished,
                rtcp_mux=True,
            )
        if "SAVP" in protocol:
            # RFC 4568 section 5.1.2: none of them can be had.
            raise MediaRefused("No keys in common", warning_code=306)
        if self._settings.srtp == "required":
            raise MediaRefused("SRTP is required", warning_code=302)
        return stream

    def _is_elsewhere(self, offered: MediaDescription) -> bool:
        """Tell whether the stream was handed over to somebody else (RFC 4568 section 7.1.4).

        He cannot know the rollover counter under our keys, which is zero under others.
        """
        before = self._remote
        if before is None or self._way != "sdes" or (before.address, before.port) == (offered.address, offered.port):
            return False
        known = {one.key_params for one in before.crypto}
        return known.isdisjoint(one.key_params for one in offered.crypto)

    def _kept_setup(self, offered: MediaDescription) -> Setup | None:
        # RFC 5763 section 6.6: an association is kept if nothing but the words change.
        client = None if self._keying is None else self._keying.client
        if client is None:
            return None
        return Setup.ACTIVE if client else Setup.PASSIVE

    # -- what was agreed -----------------------------------------------------------------------

    def agreed(self, local: MediaDescription, remote: MediaDescription, *, offered: bool) -> None:
        """See StreamExtension."""
        offer, answer = (local, remote) if offered else (remote, local)
        over_dtls = answer.protocol.upper().startswith("UDP/TLS/")
        if offer.has("crypto") and answer.has("crypto") and not over_dtls:
            self._agree_sdes(local, remote, offered)
        elif offer.fingerprints and answer.fingerprints:
            self._agree_dtls(local, remote, offered)
        elif self._settings.srtp == "required" or "SAVP" in answer.protocol.upper():
            # RFC 4568 section 7.4.
            raise MediaRefused("The answer has no keys", warning_code=306)
        else:
            self._way = ""
            self._port.protection = None
            self._close_keying()
            self._tell(MediaSecurity())
        self._protocol = answer.protocol
        self._remote = remote
        self._exchanged = True

    def _agree_sdes(self, local: MediaDescription, remote: MediaDescription, offered: bool) -> None:
        ours, theirs = agreed_keys(local, remote, offered=offered)
        self._sdes.use(ours, theirs)
        self._way = "sdes"
        self._port.protection = self._sdes
        self._close_keying()
        self._tell(MediaSecurity(SecurityState.SECURE, "sdes", self._sdes.profile))

    def _agree_dtls(self, local: MediaDescription, remote: MediaDescription, offered: bool) -> None:
        told = usable(remote.fingerprints)
        ours = local.fingerprint
        certificate = next((one for one in self._certificates if one.fingerprint == ours), None)
        if not told or certificate is None:
            raise MediaRefused("No fingerprint that could be verified", warning_code=306)
        answered = remote.setup if offered else local.setup
        if offered and answered is Setup.HOLDCONN:
            raise MediaRefused("No DTLS with holdconn", warning_code=306)
        # RFC 5763 section 5: active is what an answer says, if it does not say passive.
        client = (answered is Setup.PASSIVE) is offered
        terms = DTLSTerms(
            certificate, client, told, local.rtcp_mux and remote.rtcp_mux, *self._addresses(local, remote)
        )
        keying = self._listen()
        self._way = "dtls"
        if self._port.protection is None:
            self._port.protection = keying.protection
        keying.agree(terms)
        if keying.established:
            self.keying_established(keying.rtp.profile)
        else:
            self._tell(MediaSecurity(SecurityState.PENDING, "dtls"))

    def _addresses(self, local: MediaDescription, remote: MediaDescription) -> tuple[tuple[str, int], tuple[str, int]]:
        if local.ice_ufrag and remote.ice_ufrag:
            # The candidates count, and come and go.
            return ("", 0), ("", 0)
        if not remote.has_no_address:
            # Hold by an address of zeros moves nobody.
            self._theirs = (remote.address, remote.port)
        return (local.address, local.port), self._theirs

    # -- DTLS ----------------------------------------------------------------------------------

    @property
    def _port(self) -> MediaPort:
        return self._audio.port

    @property
    def _audio(self) -> AudioStream:
        # Kept: what is sent last is sent by a session that is closed.
        if self._stream is None:
            self._stream = self._session.stream
        return self._stream

    def _certificate(self) -> DTLSCertificate:
        """Return the certificate of this call, another one after :meth:`renew`."""
        known = self._certificates
        if not known or self._renewed:
            self._renewed = False
            per_process = self._settings.certificates == "process" and not known
            made = self._session.plane.certificate() if per_process else DTLSCertificate(self._now())
            # The one before is needed after a rollback.
            self._certificates = [made, *known[:1]]
        return self._certificates[0]

    def _listen(self) -> DTLSKeying:
        keying = self._keying
        if keying is None:
            plane = self._session.plane
            keying = self._keying = DTLSKeying(self, plane.timers, self._profiles, self._now)
            self._port.dtls = self._received
            self._port.path_found = self._path_found
        return keying

    def _received(self, component: int, data: bytes, address: tuple[str, int]) -> None:
        stream = self._audio
        latch = stream.latch if component == RTP else stream.rtcp_latch
        if self._keying is not None and (latch.target is None or latch.accepts(address, self._now())):
            self._keying.datagram(component, data)

    def _path_found(self, component: int) -> None:
        if self._keying is not None:
            self._keying.hasten()

    def keying_send(self, component: int, data: bytes) -> None:
        """See DTLSKeyingUser."""
        stream = self._audio
        latch = stream.latch if component == RTP else stream.rtcp_latch
        port = self._port
        if port.path is not None:
            port.path(component, data)
        elif latch.target is not None:
            port.send_raw(component, data, latch.target)

    def keying_established(self, suite: str) -> None:
        """See DTLSKeyingUser."""
        if self._way == "dtls" and self._keying is not None:
            self._port.protection = self._keying.protection
            self._tell(MediaSecurity(SecurityState.SECURE, "dtls", suite))

    def keying_failed(self, reason: str) -> None:
        """See DTLSKeyingUser."""
        if self._way == "dtls":
            # RFC 5763 section 5: no media, not under the keys before either.
            self._port.protection = SRTP(self._now)
            # For the peer the association may stand: with another certificate the next offer makes a new one.
            self._renewed = True
            self._tell(MediaSecurity(SecurityState.FAILED, "dtls", "", reason))

    def _close_keying(self) -> None:
        keying, self._keying = self._keying, None
        if keying is not None:
            keying.close()
            self._port.dtls = None
            self._port.path_found = None

    def _tell(self, security: MediaSecurity) -> None:
        if security == self.security:
            return
        self.security = security
        _log.debug(
            "Media are {state} by {keying} {suite} {reason}",
            state=security.state.value,
            keying=security.keying,
            suite=security.suite,
            reason=security.reason,
        )
        if self.on_security is not None:
            self.on_security(security)
        if security.state is SecurityState.FAILED:
            self._session.failed(security.reason)

    def close(self) -> None:
        """See StreamExtension."""
        keying, self._keying = self._keying, None
        if keying is not None:
            keying.close()
