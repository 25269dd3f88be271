"""SIP identities in certificates and their comparison (RFC 5922 sections 7.1 and 7.2)."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from twisted_sip.transport.identity import proves, sip_identities

NOW = datetime(2030, 1, 1, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(common_name: str = "", names: list[x509.GeneralName] | None = None) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
    )
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(KEY, SHA256())


URI, DNS = x509.UniformResourceIdentifier, x509.DNSName


@pytest.mark.parametrize(
    ("names", "identities"),
    [
        ([URI("sip:Example.COM")], ("example.com",)),
        ([URI("SIP:example.com;x=y"), URI("sip:example.net:5061")], ("example.com", "example.net")),
        ([URI("sip:alice@example.com")], ()),
        ([URI("sips:example.com"), URI("https://example.com")], ()),
        ([DNS("pc.example.com"), DNS("example.org")], ("pc.example.com", "example.org")),
        # DNS names count only if no sip URI does.
        ([URI("sip:example.com"), DNS("pc.example.com")], ("example.com",)),
        ([URI("sip:alice@example.com"), DNS("pc.example.com")], ("pc.example.com",)),
        ([x509.IPAddress(ipaddress.ip_address("2001:db8::1"))], ("2001:db8::1",)),
        ([URI("sip:[2001:DB8:0::1]:5061")], ("2001:db8::1",)),
        ([x509.RFC822Name("a@example.com")], ()),
    ],
)
def test_alternative_names(names, identities):
    assert sip_identities(certificate("cn.example.com", names)) == identities


@pytest.mark.parametrize(
    ("common_name", "identities"),
    [("Example.com", ("example.com",)), ("", ()), ("Alice Smith", ()), ("localhost", ()), ("192.0.2.1", ())],
)
def test_common_name_without_alternative_names(common_name, identities):
    assert sip_identities(certificate(common_name)) == identities


@pytest.mark.parametrize(
    ("name", "proved"),
    [
        ("example.com", True),
        ("EXAMPLE.com.", True),
        ("com", False),
        ("sip.example.com", False),
        ("foo.example.net", False),
        (".example.net", False),
        ("192.0.2.1", True),
        ("[2001:db8:0::1]", True),
        ("bücher.example", True),
        ("", False),
    ],
)
def test_comparison(name, proved):
    identities = ("example.com", "*.example.net", "192.0.2.1", "2001:db8::1", "xn--bcher-kva.example")
    assert proves(identities, name) is proved
