"""TLS contexts, for servers and clients (RFC 3261 section 26.3.1, RFC 5922 section 7, RFC 8996: TLS 1.2 or later).

Twisted's own client options check host names by the rules of HTTP; SIP domains are checked by those of RFC 5922, so
the contexts here check the chain and leave the name to the transport layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import idna
from cryptography import x509
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from twisted.logger import Logger
from zope.interface import implementer

from twisted_sip.errors import ConfigurationError, TransportError
from twisted_sip.transport.certificates import KeyPair, WatchedKeyPair, file_signature, utc_now
from twisted_sip.transport.client_identity import NOTHING, Proved, is_pinned, proved_by
from twisted_sip.transport.identity import proves, sip_identities
from twisted_sip.transport.listener import bare, is_numeric
from twisted_sip.transport.settings import CertificateFiles, TLSSettings

_log = Logger()

#: Forward secrecy first; RSA key exchange with AES stands at the end, since RFC 3261 section 26.3.1 made it the one
#: suite that every phone has.
CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES:RSA+AESGCM:RSA+AES:!aNULL:!eNULL:!MD5:!PSK"


def _new_context() -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(CIPHERS)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    return context


def _present(context: Any, pair: KeyPair) -> None:
    context.use_certificate(pair.certificate)
    for certificate in pair.chain:
        context.add_extra_chain_cert(certificate)
    context.use_privatekey(pair.private_key)


def _trust(context: SSL.Context, roots: str) -> None:
    if roots:
        try:
            context.load_verify_locations(roots)
        except SSL.Error:
            raise ConfigurationError([f"{roots}: no readable certificates of authorities in PEM format"]) from None
    else:
        context.set_default_verify_paths()


def _note_unverified(connection: SSL.Connection, _cert: Any, _errno: int, _depth: int, ok: int) -> bool:
    """Let any certificate pass, and remember that this one proves nothing."""
    if not ok:
        protocol: Any = connection.get_app_data()
        protocol.unverified_peer = True
    return True


def _as_found(_connection: SSL.Connection, _cert: Any, _errno: int, _depth: int, ok: int) -> bool:
    return bool(ok)


@implementer(IOpenSSLServerConnectionCreator)
class ServerTLS:
    """Makes the server side of TLS connections; certificates are read again when their files change."""

    def __init__(
        self, certificates: Sequence[CertificateFiles], settings: TLSSettings, now: Callable[[], datetime] = utc_now
    ) -> None:
        """Read the *certificates*; the first is presented to clients that ask for no name, or for an unknown one.

        :raises ConfigurationError: they cannot be used.
        """
        if not certificates:
            raise ConfigurationError(["TLS needs a certificate: give privateKey and certKey"])
        self._settings = settings
        problems: list[str] = []
        self._watched: list[WatchedKeyPair] = []
        for files in certificates:
            try:
                self._watched.append(WatchedKeyPair(files, now))
            except ConfigurationError as error:
                problems.extend(error.problems)
        if problems:
            raise ConfigurationError(problems)
        self._client_roots = settings.client_roots or settings.trust_roots
        self._roots = file_signature(self._client_roots)
        self._contexts = [self._build(watched.pair) for watched in self._watched]

    @property
    def pairs(self) -> list[KeyPair]:
        """The key pairs in use."""
        return [watched.pair for watched in self._watched]

    def _build(self, pair: KeyPair) -> SSL.Context:
        context = _new_context()
        _present(context, pair)
        context.set_tlsext_servername_callback(self._choose)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_session_id(b"twisted_sip")
        wanted = self._settings.client_certificates
        if wanted != "none":
            # A resumed session would bring a certificate along that nobody has verified.
            context.set_options(SSL.OP_NO_TICKET)
            _trust(context, self._client_roots)
            if wanted == "require" and not any(known.fingerprint for known in self._settings.clients):
                context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _as_found)
            else:
                # Of one that is known by its fingerprint no authority is asked: see TLSContexts.
                missing = SSL.VERIFY_FAIL_IF_NO_PEER_CERT if wanted == "require" else 0
                context.set_verify(SSL.VERIFY_PEER | missing, _note_unverified)
        return context

    def _choose(self, connection: SSL.Connection) -> None:
        """Present the certificate for the server name asked for (RFC 5922 section 7.8)."""
        asked = connection.get_servername()
        if asked is None:
            return
        name = asked.decode("ascii", "replace")
        for place, watched in enumerate(self._watched):
            if proves(watched.pair.identities, name):
                connection.set_context(self._contexts[place])
                return

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """Make one connection. Files are looked at once for each handshake, which costs far more."""
        roots = file_signature(self._client_roots)
        changed = roots != self._roots and self._settings.client_certificates != "none"
        self._roots = roots
        for place, watched in enumerate(self._watched):
            if watched.refresh() or changed:
                try:
                    self._contexts[place] = self._build(watched.pair)
                except (ConfigurationError, SSL.Error) as error:
                    _log.error("Changed certificates are not used, the old ones stay: {error}", error=str(error))
        return SSL.Connection(self._contexts[0], None)


@implementer(IOpenSSLClientConnectionCreator)
class ClientTLS:
    """Makes the client side of TLS connections to one name."""

    def __init__(self, name: str, context: SSL.Context, verify: bool) -> None:
        self._name = name
        self._context = context
        self._verify = verify

    def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """Make one connection; it asks for its name (RFC 5922 section 7.8), unless that is numeric (RFC 6066)."""
        connection = SSL.Connection(self._context, None)
        if not self._verify:
            protocol.unverified_peer = True
        if not is_numeric(self._name):
            connection.set_tlsext_host_name(_ascii_name(self._name))
        return connection


def _ascii_name(name: str) -> bytes:
    name = name.rstrip(".")
    if name.isascii():
        return name.encode("ascii")
    try:
        return idna.encode(name, uts46=True)
    except idna.IDNAError:
        return name.encode("ascii", "replace")


class TLSContexts:
    """The TLS contexts of one transport layer."""

    def __init__(self, settings: TLSSettings, now: Callable[[], datetime] = utc_now) -> None:
        """Make them as they are asked for.

        :param now: gives the time by which certificates are valid; for tests.
        """
        self._settings = settings
        self._now = now
        self._client: SSL.Context | None = None
        self._own: WatchedKeyPair | None = None
        self._roots: Any = None
        roots = settings.client_roots or settings.trust_roots
        signature = file_signature(roots) if roots and settings.client_certificates != "none" else None
        #: What decides as whom clients may speak: where it is another, those that are connected are asked about again.
        self.client_terms = (settings.client_certificates, roots, signature, settings.clients)

    def server(self, certificates: Sequence[CertificateFiles] = ()) -> ServerTLS:
        """Return what makes server connections that present *certificates*, or those of the settings if there are none.

        :raises ConfigurationError: they cannot be used.
        """
        return ServerTLS(certificates or self._settings.certificates, self._settings, self._now)

    def client(self, name: str) -> ClientTLS:
        """Return what makes client connections to *name*, the domain to be proved.

        :raises ConfigurationError: the trusted authorities cannot be read.
        """
        return ClientTLS(bare(name), self._client_context(), self._settings.verify_peers)

    def _client_context(self) -> SSL.Context:
        settings = self._settings
        roots = file_signature(settings.trust_roots) if settings.trust_roots else None
        if self._own is None and settings.certificates:
            self._own = WatchedKeyPair(settings.certificates[0], self._now)
        changed = self._own is not None and self._own.refresh()
        if self._client is not None and not changed and roots == self._roots:
            return self._client
        self._roots = roots
        try:
            context = _new_context()
            if settings.verify_peers:
                _trust(context, settings.trust_roots)
                context.set_verify(SSL.VERIFY_PEER, _as_found)
            if self._own is not None:
                _present(context, self._own.pair)
        except (ConfigurationError, SSL.Error) as error:
            if self._client is None:
                raise
            _log.error("Changed certificates are not used, the old ones stay: {error}", error=str(error))
            return self._client
        self._client = context
        return context

    def peer_identities(self, transport: Any) -> tuple[str, ...]:
        """Return the SIP domain identities that the peer of *transport* proved; none without a verified one."""
        if getattr(transport, "unverified_peer", False):
            return ()
        certificate = _certificate_of(transport)
        return () if certificate is None else sip_identities(certificate)

    def client_proved(self, transport: Any) -> Proved:
        """Return as whom the client may speak that has opened *transport*.

        :raises TransportError: it must have a certificate that we know or whose authority we do, and has none.
        """
        settings = self._settings
        if settings.client_certificates == "none":
            return NOTHING
        certificate = _certificate_of(transport)
        if certificate is None:
            return NOTHING
        verified = not getattr(transport, "unverified_peer", False)
        if not verified and settings.client_certificates == "require" and not is_pinned(certificate, settings):
            raise TransportError("its certificate is signed by nobody whom we believe, and is not known itself")
        return proved_by(certificate, verified, settings)

    def client_proves_still(self, transport: Any) -> tuple[tuple[str, ...], Proved]:
        """Return the SIP domains of the client that has opened *transport*, under other settings, and as whom it may
        speak by these; nothing where its authority is none any more."""
        certificate = _certificate_of(transport)
        if self._settings.client_certificates == "none" or certificate is None:
            return (), NOTHING
        verified = self._verifies(transport)
        return sip_identities(certificate) if verified else (), proved_by(certificate, verified, self._settings)

    def _verifies(self, transport: Any) -> bool:
        """Tell whether the chain of the peer's certificate leads to an authority of clients."""
        connection = transport.getHandle()
        context = _new_context()
        try:
            _trust(context, self._settings.client_roots or self._settings.trust_roots)
            store = context.get_cert_store()
            certificate, chain = connection.get_peer_certificate(), connection.get_peer_cert_chain()
            if store is None or certificate is None:
                return False
            store.set_time(self._now())
            crypto.X509StoreContext(store, certificate, chain).verify_certificate()
        except (ConfigurationError, SSL.Error, crypto.X509StoreContextError):
            return False
        return True


def _certificate_of(transport: Any) -> x509.Certificate | None:
    certificate = transport.getPeerCertificate() if hasattr(transport, "getPeerCertificate") else None
    found: x509.Certificate | None = None if certificate is None else certificate.to_cryptography()
    return found
