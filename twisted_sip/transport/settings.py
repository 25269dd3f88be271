"""Settings of the transports: an immutable snapshot, every limit with a sane default."""

from __future__ import annotations

import re

import attrs

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.limits import DEFAULT_LIMITS, MessageLimits
from twisted_sip.message.uri import SIPURI


@attrs.frozen(slots=True, kw_only=True)
class CertificateFiles:
    """One certificate to present.

    :ivar private_key: path of the private key, PEM.
    :ivar certificate: path of the certificate and the chain after it, PEM.
    """

    private_key: str
    certificate: str


_FINGERPRINT = re.compile(r"[0-9A-Fa-f]{64}|(?:[0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}").fullmatch


@attrs.frozen(slots=True, kw_only=True)
class KnownCertificate:
    """A client certificate, and as whom its owner may speak: ``[[tls.client]]``.

    One of *fingerprint*, *subject* and *name* tells which certificate it is, one of *user* and *domain* who its owner
    is.
    """

    fingerprint: str = attrs.field(
        default="", metadata={"help": "SHA-256 fingerprint; no authority has to have signed such a certificate"}
    )
    subject: str = attrs.field(default="", metadata={"help": "its subject, like `CN=gateway,O=Example` (RFC 4514)"})
    name: str = attrs.field(default="", metadata={"help": "a DNS name among its subject alternative names"})
    user: str = attrs.field(default="", metadata={"help": "the user it speaks as, like `sip:alice@example.com`"})
    domain: str = attrs.field(
        default="", metadata={"help": "the domain as whose users it speaks, one of ours or that of a peer"}
    )

    def __attrs_post_init__(self) -> None:
        for names, right in (
            (("fingerprint", "subject", "name"), "write one of fingerprint, subject and name"),
            (("user", "domain"), "write one of user and domain"),
        ):
            given = [name for name in names if getattr(self, name)]
            if not given:
                raise LocalProtocolError(f"{names[0]}: is missing, {right}")
            if len(given) > 1:
                raise LocalProtocolError(f"{given[1]}: stands beside {given[0]}, {right}")
        if self.fingerprint and not _FINGERPRINT(self.fingerprint):
            raise LocalProtocolError("fingerprint: is no SHA-256 fingerprint, write 64 hexadecimal digits")
        if self.user:
            try:
                uri = SIPURI.parse(self.user)
            except RemoteProtocolError:
                uri = None
            if uri is None or not uri.user:
                raise LocalProtocolError(f'user: "{self.user}" is no address-of-record, write sip:user@domain')


@attrs.frozen(slots=True, kw_only=True)
class TLSSettings:
    """How TLS is spoken, at least version 1.2.

    :ivar certificates: what servers present, chosen by the server name that the client asks for (RFC 5922 section
        7.8), the first by default; the first is also what clients present when asked.
    :ivar trust_roots: path of a PEM file with the authorities to trust, empty for the system's own.
    :ivar verify_peers: check the servers we connect to (RFC 5922 section 7.3). Off means encrypted to whoever answers.
    :ivar client_certificates: what servers ask of clients (RFC 5922 section 7.4): ``none``, ``ask`` (a certificate that
        does not verify counts as none) or ``require``.
    :ivar client_roots: path of a PEM file with the authorities that client certificates are signed by, empty for
        *trust_roots*.
    :ivar clients: certificates of which we know as whom their owners may speak.
    :ivar alias: where clients are asked for certificates, let connections of peers that have proved their domain carry
        our requests to it, and say that ours may be used so (RFC 5923).
    """

    certificates: tuple[CertificateFiles, ...] = ()
    trust_roots: str = ""
    verify_peers: bool = True
    client_certificates: str = attrs.field(default="none", validator=attrs.validators.in_(("none", "ask", "require")))
    client_roots: str = ""
    clients: tuple[KnownCertificate, ...] = ()
    alias: bool = True

    @property
    def aliases(self) -> bool:
        """Whether connections are reused for requests in the other direction (RFC 5923)."""
        return self.alias and self.client_certificates != "none"


@attrs.frozen(slots=True, kw_only=True)
class TransportSettings:
    """Everything about transports that can be set. Times are in seconds, sizes in bytes.

    :ivar advertise: host or ``host:port`` to write into Via and Record-Route instead of the local address.
    :ivar receive_buffer: what UDP sockets ask of the kernel (SO_RCVBUF), 0 to leave it alone.
    :ivar datagrams_per_wakeup: how many datagrams are read before others have their turn.
    :ivar gather: how long a UDP socket over which some hundred datagrams come in a second, or more, may rest so that
        several are read at once, 0 for never: less CPU, and an answer may take so much longer. The more come, the
        shorter it rests.
    :ivar datagram_flows: how many flow objects of a UDP socket are kept for reuse.
    :ivar mtu: the path MTU where it is known, 0 where it is not (RFC 3261 section 18.1.1).
    :ivar connect_timeout: for a TCP connection to be established.
    :ivar handshake_timeout: for a TLS handshake to complete.
    :ivar first_message_timeout: for the first whole message on a connection that a peer opened.
    :ivar message_timeout: for one message to arrive from its first byte to its last.
    :ivar idle_timeout: for a connection over which nothing comes in; longer than the usual registration.
    :ivar write_timeout: for a peer to take what is buffered for it.
    :ivar throttle_timeout: how long a connection of a source over its rate is held back before it is closed.
    :ivar close_timeout: for a connection to close in good order.
    :ivar write_buffer: the most bytes that wait for one peer to read.
    :ivar connections: the most connections in all.
    :ivar connections_per_source: the most connections that one address has opened to us.
    :ivar connections_per_local_source: the same for loopback addresses.
    :ivar pending_connects: the most connections being opened at a time.
    :ivar backlog: the listen backlog of stream sockets.
    :ivar messages: limits on one message.
    :ivar tls: how TLS is spoken.
    """

    advertise: str = ""
    receive_buffer: int = 4 * 1024 * 1024
    datagrams_per_wakeup: int = 64
    gather: float = attrs.field(default=0.04, validator=[attrs.validators.ge(0), attrs.validators.le(0.1)])
    datagram_flows: int = 8192
    mtu: int = 0
    connect_timeout: float = 5.0
    handshake_timeout: float = 10.0
    first_message_timeout: float = 30.0
    message_timeout: float = 30.0
    idle_timeout: float = 3900.0
    write_timeout: float = 30.0
    throttle_timeout: float = 10.0
    close_timeout: float = 5.0
    write_buffer: int = 1024 * 1024
    connections: int = 20000
    connections_per_source: int = 512
    connections_per_local_source: int = 20000
    pending_connects: int = 1000
    backlog: int = 1024
    messages: MessageLimits = DEFAULT_LIMITS
    tls: TLSSettings = TLSSettings()

    @property
    def datagram_limit(self) -> int:
        """The largest request to send over UDP (RFC 3261 section 18.1.1): 1300, or 200 less than the path MTU."""
        return self.mtu - 200 if self.mtu else 1300
