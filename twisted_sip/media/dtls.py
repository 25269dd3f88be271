"""One DTLS association that makes keys for SRTP (RFC 5764), as a machine: datagrams in, datagrams and keys out.

OpenSSL does the handshake. It reads the wall clock for its retransmissions; the timers here are those of a TimerQueue.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Protocol

import attrs
from OpenSSL import SSL
from twisted.logger import Logger

from twisted_sip.media.dtls_certificate import DTLSCertificate, matches
from twisted_sip.media.srtp_profile import MasterKey, SRTPProfile
from twisted_sip.sdp.fingerprint import Fingerprint
from twisted_sip.transaction.timers import Timer, TimerQueue

#: Octets of a datagram at most: what passes through tunnels and TURN too.
MTU = 1200

#: Seconds until the first retransmission, and between two at most (RFC 6347 has 1 and 60).
_FIRST, _MOST = 1.0, 8.0

#: Seconds for the whole handshake.
LIMIT = 30.0

_LABEL = b"EXTRACTOR-dtls_srtp"
_DTLS_1_2 = 0xFEFD
_HEADER = 13

#: Content types change_cipher_spec and handshake.
_OF_HANDSHAKES = (20, 22)

#: How often the last flight is sent again because the peer repeats its own.
_REPEATS = 8

_log = Logger()


@attrs.frozen(slots=True, repr=False)
class DTLSKeys:
    """What a handshake has come to (RFC 5764 section 4.2)."""

    ours: MasterKey
    theirs: MasterKey


class DTLSUser(Protocol):
    """Who carries the datagrams of an association and waits for its keys."""

    def dtls_send(self, data: bytes) -> object:
        """Send a datagram. It may be lost; it must not raise."""
        ...

    def dtls_established(self, keys: DTLSKeys) -> object:
        """The peer is the one whose fingerprint was told, and these are the keys. Once."""
        ...

    def dtls_failed(self, reason: str) -> object:
        """There will be no keys. Once, and not after :meth:`dtls_established`."""
        ...


class DTLSAssociation:
    """From the first flight to the keys.

    :ivar state: ``new``, ``handshake``, ``established``, ``failed`` or ``closed``.
    :ivar client: whether we open it (``a=setup:active``).
    :ivar retransmissions: of flights.
    :ivar deceived: the peer has shown another certificate than was told.
    """

    def __init__(
        self,
        user: DTLSUser,
        timers: TimerQueue,
        certificate: DTLSCertificate,
        profiles: Sequence[SRTPProfile],
        fingerprints: Sequence[Fingerprint],
        *,
        client: bool,
        mtu: int = MTU,
    ) -> None:
        """Make one; nothing is sent before :meth:`start`.

        :param certificate: ours.
        :param profiles: in order of preference.
        :param fingerprints: the peer's.
        :param client: we open.
        :param mtu: octets of a datagram at most.
        """
        self._user = user
        self._timers = timers
        self._profiles = tuple(profiles)
        self._fingerprints = tuple(fingerprints)
        self._mtu = mtu
        self.client = client
        self.state = "new"
        self.retransmissions = 0
        self.deceived = False
        self._flight: list[bytes] = []
        self._repeats = _REPEATS
        self._delay = _FIRST
        self._retransmission: Timer | None = None
        self._limit: Timer | None = None
        context = SSL.Context(SSL.DTLS_METHOD)
        # RFC 8996 section 6: DTLS 1.0 is not to be used.
        context.set_min_proto_version(_DTLS_1_2)
        context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.use_privatekey(certificate.key)
        context.use_certificate(certificate.certificate)
        # RFC 5763 section 5: both show a certificate. What it is worth the fingerprint says, not a signature.
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        context.set_tlsext_use_srtp(":".join(one.dtls for one in self._profiles).encode("ascii"))
        self._connection = connection = SSL.Connection(context, None)
        connection.set_ciphertext_mtu(mtu)
        if client:
            connection.set_connect_state()
        else:
            connection.set_accept_state()

    @property
    def idle(self) -> bool:
        """True when no timer runs."""
        return self._retransmission is None and self._limit is None

    def start(self) -> None:
        """Begin: a client sends its first flight, a server waits for it."""
        if self.state == "new":
            self.state = "handshake"
            self._limit = self._timers.start(LIMIT, self._too_late)
            self._advance()

    def hasten(self) -> None:
        """There is a way to the peer now: what was sent before has not arrived."""
        if self.state == "handshake" and self._retransmission is not None:
            self._cancel_retransmission()
            self._delay = _FIRST
            self._retransmit()

    def datagram(self, data: bytes) -> None:
        """Take a datagram of the peer's. Never raises for what it holds."""
        if self.state == "new":
            self.start()
        if self.state not in ("handshake", "established"):
            return
        self._connection.bio_write(data)
        if self.state == "handshake":
            self._advance()
        else:
            self._listen(data)

    # -- the handshake -----------------------------------------------------------------------

    def _advance(self) -> None:
        reason = ""
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            self._flush()
            return
        except SSL.Error as error:
            reason = _reason(error)
        self._flush()
        if not reason:
            reason = self._complete()
        if reason:
            self._fail(reason)

    def _complete(self) -> str:
        """Look whom we have to do with; return what is wrong, or nothing."""
        connection = self._connection
        certificate = connection.get_peer_certificate(as_cryptography=True)
        if certificate is None or not matches(certificate, self._fingerprints):
            # RFC 5763 section 5: the session ends at once.
            self.deceived = True
            self._shut()
            return "the certificate is not the one whose fingerprint was told"
        name = connection.get_selected_srtp_profile().decode("ascii")
        profile = next((one for one in self._profiles if one.dtls == name), None)
        if profile is None:
            self._shut()
            return "no SRTP profile in common"
        key, salt = profile.key_length, profile.salt_length
        text = connection.export_keying_material(_LABEL, 2 * (key + salt))
        # RFC 5764 section 4.2: both keys come first, then both salts.
        client = MasterKey(profile, text[:key] + text[2 * key : 2 * key + salt])
        server = MasterKey(profile, text[key : 2 * key] + text[2 * key + salt :])
        self.state = "established"
        self._stop()
        self._user.dtls_established(DTLSKeys(client, server) if self.client else DTLSKeys(server, client))
        return ""

    def _listen(self, data: bytes) -> None:
        """After the handshake: a retransmission of the peer's wants our last flight again; all else is nothing."""
        before = self._flight
        with contextlib.suppress(SSL.Error):
            # A datagram holds many records. What is not read would be kept.
            while True:
                self._connection.recv(4096)
        self._flush()
        if self._flight is before and not self.client and data[0] in _OF_HANDSHAKES and self._repeats:
            # Ours has not arrived. Strangers must not draw flights without end.
            self._repeats -= 1
            for one in before:
                self._user.dtls_send(one)

    def _fail(self, reason: str) -> None:
        self.state = "failed"
        self._stop()
        self._user.dtls_failed(reason)

    def _too_late(self) -> None:
        self._limit = None
        self._fail("the DTLS handshake was not finished in time")

    # -- flights -----------------------------------------------------------------------------

    def _flush(self) -> None:
        flight = self._outgoing()
        if not flight:
            return
        self._flight = flight
        self._cancel_retransmission()
        self._delay = _FIRST
        if self.state == "handshake":
            self._retransmission = self._timers.start(self._delay, self._retransmit)
        for data in flight:
            self._user.dtls_send(data)

    def _outgoing(self) -> list[bytes]:
        parts = []
        while True:
            try:
                parts.append(self._connection.bio_read(65536))
            except SSL.WantReadError:
                break
        return list(_datagrams(b"".join(parts), self._mtu))

    def _retransmit(self) -> None:
        self._retransmission = None
        self.retransmissions += 1
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error as error:
            self._fail(_reason(error))
            return
        # By the wall clock it may not be time yet: then the same once more.
        self._flight = self._outgoing() or self._flight
        self._delay = min(2 * self._delay, _MOST)
        self._retransmission = self._timers.start(self._delay, self._retransmit)
        for data in self._flight:
            self._user.dtls_send(data)

    # -- the end -----------------------------------------------------------------------------

    def _shut(self) -> None:
        try:
            self._connection.shutdown()
        except SSL.Error:
            return
        for data in self._outgoing():
            self._user.dtls_send(data)

    def _cancel_retransmission(self) -> None:
        if self._retransmission is not None:
            self._retransmission.cancel()
            self._retransmission = None

    def _stop(self) -> None:
        self._cancel_retransmission()
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def close(self, quiet: bool = False) -> None:
        """End it; the keys stay good. Harmless when repeated.

        :param quiet: do not tell the peer.
        """
        if self.state == "established" and not quiet:
            self._shut()
        self._stop()
        self.state = "closed"


def _reason(error: SSL.Error) -> str:
    # OpenSSL tells a list of (library, function, reason).
    told = error.args[0] if error.args else ()
    text = told[-1][-1] if isinstance(told, list) and told else ""
    return f"the DTLS handshake failed: {text or type(error).__name__}"


def _datagrams(data: bytes, mtu: int) -> Iterator[bytes]:
    """Yield whole records, as many in a datagram as fit (RFC 6347)."""
    begin = place = 0
    while place + _HEADER <= len(data):
        end = place + _HEADER + int.from_bytes(data[place + 11 : place + 13], "big")
        if end - begin > mtu and place > begin:
            yield data[begin:place]
            begin = place
        place = end
    if place > begin:
        yield data[begin:place]
