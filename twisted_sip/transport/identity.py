"""SIP domain identities in certificates (RFC 5922 sections 7.1 and 7.2)."""

from __future__ import annotations

import ipaddress
import re

import idna
from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

from twisted_sip.transport.listener import bare, is_numeric

_DNS_NAME = re.compile(r"(?:[a-z0-9_][a-z0-9_-]{0,62}\.)+[a-z][a-z0-9-]{0,62}").fullmatch


def sip_identities(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the SIP identities in *certificate*, domains in lower case, addresses in their usual spelling.

    Domains by RFC 5922 section 7.1: sip URIs without a user part; without any of those, DNS names; without a
    subjectAltName at all, the common name. IP addresses in the subjectAltName are identities of URIs that have one
    for their host; RFC 5922 speaks of domains only.
    """
    try:
        extension = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    except x509.ExtensionNotFound:
        return _common_name(certificate)
    except ValueError:
        # An extension that cannot be read proves nothing.
        return ()
    names = extension.value
    assert isinstance(names, x509.SubjectAlternativeName)
    domains = [host for uri in names.get_values_for_type(x509.UniformResourceIdentifier) if (host := _sip_host(uri))]
    if not domains:
        domains = [name.lower().rstrip(".") for name in names.get_values_for_type(x509.DNSName)]
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return tuple(dict.fromkeys(domains + addresses))


def _sip_host(uri: str) -> str:
    """Return the host of a ``sip:`` URI without a user part, an empty string for any other URI (section 7.1)."""
    scheme, _, rest = uri.partition(":")
    if scheme.lower() != "sip" or "@" in rest:
        return ""
    host = rest.partition(";")[0].partition("?")[0]
    if host.startswith("["):
        return _canonical(host.partition("]")[0] + "]")
    return host.partition(":")[0].lower().rstrip(".")


def _common_name(certificate: x509.Certificate) -> tuple[str, ...]:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    found = [str(name.value).lower().rstrip(".") for name in names]
    # Only a valid DNS name counts (section 7.1, 2).
    return tuple(name for name in found[-1:] if _DNS_NAME(name))


def proves(identities: tuple[str, ...], name: str) -> bool:
    """Tell whether one of *identities* is *name*, a domain or numeric host (section 7.2: whole names, no wildcards)."""
    return bool(name) and _canonical(name) in identities


def _canonical(name: str) -> str:
    name = bare(name)
    if is_numeric(name):
        return str(ipaddress.ip_address(name))
    name = name.lower().rstrip(".")
    if name.isascii():
        return name
    try:
        # Section 7.2: internationalised names are compared in their ASCII form (RFC 5280 section 7.2).
        return idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError:
        return name
