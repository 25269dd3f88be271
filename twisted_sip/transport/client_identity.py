"""As whom a client may speak that has shown a certificate (RFC 3261 section 26.3.1, RFC 5922 sections 7.1 and 7.4).

What a certificate says is believed where its chain leads to an authority of ours; a certificate that the operator knows
by its fingerprint needs no authority, since the handshake has proved that the client has its key.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtensionOID

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.uri import SIPURI
from twisted_sip.transport.settings import KnownCertificate, TLSSettings

#: The most names of one certificate that are looked at.
_MOST = 32


class Proved(NamedTuple):
    """What a client has proved.

    :ivar users: the addresses-of-record that it may speak as.
    :ivar domains: the domains as whose users it may speak, in lower case.
    """

    users: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()


NOTHING = Proved()


def fingerprint_of(certificate: x509.Certificate) -> str:
    """Return the SHA-256 fingerprint of *certificate* in lower-case hexadecimal, without colons."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def is_pinned(certificate: x509.Certificate, settings: TLSSettings) -> bool:
    """Tell whether *certificate* is known by its fingerprint."""
    return any(known.fingerprint for known in settings.clients) and fingerprint_of(certificate) in [
        _plain(known.fingerprint) for known in settings.clients if known.fingerprint
    ]


def proved_by(certificate: x509.Certificate, verified: bool, settings: TLSSettings) -> Proved:
    """Return as whom the owner of *certificate* may speak.

    :param verified: its chain leads to an authority that we believe.
    """
    names = _alternative_names(certificate)
    users: dict[str, None] = {}
    domains: dict[str, None] = {}
    if verified and (settings.client_roots or settings.trust_roots):
        # Authorities of the system sign for names of hosts: what else they let stand in a certificate proves nothing.
        users |= dict.fromkeys(_users_in(names))
    found = [known for known in settings.clients if _matches(known, certificate, names, verified)]
    users |= dict.fromkeys([SIPURI.parse(known.user).address_of_record for known in found if known.user])
    domains |= dict.fromkeys([known.domain.lower().rstrip(".") for known in found if known.domain])
    return Proved(tuple(users), tuple(domains)) if users or domains else NOTHING


def _matches(
    known: KnownCertificate, certificate: x509.Certificate, names: x509.SubjectAlternativeName | None, verified: bool
) -> bool:
    if known.fingerprint:
        return _plain(known.fingerprint) == fingerprint_of(certificate)
    if not verified:
        return False
    if known.subject:
        return known.subject == certificate.subject.rfc4514_string()
    wanted = known.name.lower().rstrip(".")
    return names is not None and wanted in [
        name.lower().rstrip(".") for name in names.get_values_for_type(x509.DNSName)[:_MOST]
    ]


def _plain(fingerprint: str) -> str:
    return fingerprint.replace(":", "").lower()


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        value = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except (x509.ExtensionNotFound, ValueError):
        # One that cannot be read proves nothing.
        return None
    assert isinstance(value, x509.SubjectAlternativeName)
    return value


def _users_in(names: x509.SubjectAlternativeName | None) -> Iterable[str]:
    """Give the addresses-of-record that a certificate names: sip URIs with a user part."""
    if names is None:
        return
    for text in names.get_values_for_type(x509.UniformResourceIdentifier)[:_MOST]:
        try:
            uri = SIPURI.parse(text) if text[:4].lower() == "sip:" else None
        except RemoteProtocolError:
            continue
        if uri is not None and uri.user:
            yield uri.address_of_record
