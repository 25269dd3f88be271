"""Client certificates: as whom their owners may speak, and requests sent back over their connections.

RFC 3261 section 26.3.1, RFC 5922 section 7.4, RFC 5923.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.transport.test_tls import NOW, Pair, write
from twisted_sip.errors import LocalProtocolError
from twisted_sip.interfaces.destination import Destination
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TCP, TLS
from twisted_sip.transport.client_identity import NOTHING, fingerprint_of, is_pinned, proved_by
from twisted_sip.transport.settings import CertificateFiles, KnownCertificate, TLSSettings

PEER = "198.51.100.7"
ALICE = x509.UniformResourceIdentifier("sip:alice@Example.com")


class Authority:
    """Signs certificates."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority")])
        builder = self._builder(self.name, self.key.public_key())
        self.certificate = builder.add_extension(x509.BasicConstraints(True, None), True).sign(self.key, SHA256())
        self.path = str(directory / "authority.pem")
        Path(self.path).write_bytes(self.certificate.public_bytes(Encoding.PEM))

    def _builder(self, subject: x509.Name, key: Any) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=30))
        )

    def sign(self, *names: x509.GeneralName, subject: str = "phone") -> tuple[CertificateFiles, x509.Certificate]:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]), key.public_key())
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        certificate = builder.sign(self.key, SHA256())
        files = CertificateFiles(private_key=str(self.directory / "c.key"), certificate=str(self.directory / "c.pem"))
        Path(files.private_key).write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        Path(files.certificate).write_bytes(certificate.public_bytes(Encoding.PEM))
        return files, certificate


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def files(tmp_path: Path) -> CertificateFiles:
    return write(tmp_path, "server", ["example.com"])


def connected(
    recorder: Any, files: CertificateFiles, phone: CertificateFiles | None, authority: Authority, **server: Any
) -> tuple[Pair, Any]:
    """Return a connection of a client with the certificate *phone*, and its flow at the server, None if refused."""
    how = {"client_certificates": "ask", "client_roots": authority.path, **server}
    pair = Pair(
        recorder,
        TLSSettings(certificates=(files,), **how),
        TLSSettings(
            certificates=() if phone is None else (phone,), trust_roots=files.certificate, client_certificates="ask"
        ),
        "example.com",
    )
    pair.flow = pair.connect()  # type: ignore[attr-defined]
    found = pair.server.connections.flows()
    return pair, found[0] if found else None


# -- whom a certificate proves -------------------------------------------------------------------


def test_users_in_a_certificate(recorder: Any, files: Any, authority: Authority) -> None:
    phone, _ = authority.sign(
        ALICE,
        x509.UniformResourceIdentifier("sip:example.net"),
        x509.UniformResourceIdentifier("https://bob@example.com"),
        x509.UniformResourceIdentifier("sip:@@"),
        x509.DNSName("phone.example.com"),
    )
    _, flow = connected(recorder, files, phone, authority)
    assert flow.proved.users == ("sip:alice@example.com",)
    assert flow.proved.domains == ()
    assert flow.identities == ("example.net",), "domains are another matter (RFC 5922 section 7.1)"


def test_nobody_without_a_certificate(recorder: Any, files: Any, authority: Authority) -> None:
    assert connected(recorder, files, None, authority)[1].proved == NOTHING


def test_nobody_where_none_is_asked_for(recorder: Any, files: Any, authority: Authority) -> None:
    phone, _ = authority.sign(ALICE)
    assert connected(recorder, files, phone, authority, client_certificates="none")[1].proved == NOTHING


def test_nobody_whom_others_have_signed(recorder: Any, files: Any, authority: Authority, tmp_path: Path) -> None:
    phone, _ = authority.sign(ALICE)
    _, flow = connected(recorder, files, phone, authority, client_roots=files.certificate)
    assert (flow.proved, flow.identities) == (NOTHING, ())


def test_authorities_of_the_system_vouch_for_no_user(authority: Authority) -> None:
    _, certificate = authority.sign(ALICE)
    assert proved_by(certificate, True, TLSSettings()) == NOTHING
    assert proved_by(certificate, True, TLSSettings(trust_roots="ca.pem")).users


@pytest.mark.parametrize("what", ["fingerprint", "colons", "subject", "name"])
def test_certificates_that_are_known(authority: Authority, what: str) -> None:
    _, certificate = authority.sign(x509.DNSName("GW.example.net"), subject="gateway")
    fingerprint = fingerprint_of(certificate)
    which = {
        "fingerprint": {"fingerprint": fingerprint.upper()},
        "colons": {"fingerprint": ":".join(fingerprint[at : at + 2] for at in range(0, 64, 2))},
        "subject": {"subject": "CN=gateway"},
        "name": {"name": "gw.example.net"},
    }[what]
    known = (KnownCertificate(domain="Example.com", **which), KnownCertificate(user="sip:a%6cice@example.com", **which))
    assert proved_by(certificate, True, TLSSettings(clients=known)) == (("sip:alice@example.com",), ("example.com",))
    unverified = proved_by(certificate, False, TLSSettings(clients=known))
    assert (unverified != NOTHING) is ("fingerprint" in which), "what is written in it anybody can write"
    _, other = authority.sign(x509.DNSName("other.example.net"), subject="other")
    assert proved_by(other, True, TLSSettings(clients=known)) == NOTHING


def test_without_alternative_names(authority: Authority) -> None:
    _, certificate = authority.sign(subject="gateway")
    settings = TLSSettings(trust_roots="ca.pem", clients=(KnownCertificate(name="gateway", domain="example.com"),))
    assert proved_by(certificate, True, settings) == NOTHING


@pytest.mark.parametrize("asked", ["ask", "require"])
def test_one_known_by_its_fingerprint_needs_no_authority(
    recorder: Any, files: Any, authority: Authority, tmp_path: Path, asked: str
) -> None:
    own = write(tmp_path, "own", ["gw.example.net"])
    certificate = x509.load_pem_x509_certificate(Path(own.certificate).read_bytes())
    known = KnownCertificate(fingerprint=fingerprint_of(certificate), user="sip:gw@example.com")
    _, flow = connected(recorder, files, own, authority, client_certificates=asked, clients=(known,))
    assert flow.proved.users == ("sip:gw@example.com",)
    assert flow.identities == (), "its names are its own invention"


def test_where_one_is_required_others_are_refused(
    recorder: Any, files: Any, authority: Authority, tmp_path: Path
) -> None:
    known = KnownCertificate(fingerprint="0" * 64, user="sip:gw@example.com")
    how: dict[str, Any] = {"client_certificates": "require", "clients": (known,)}
    pair, flow = connected(recorder, files, write(tmp_path, "own", ["gw.example.net"]), authority, **how)
    assert flow is None and pair.outer_transport.disconnected
    pair, flow = connected(recorder, files, None, authority, **how)
    assert flow is None
    phone, certificate = authority.sign(ALICE)
    assert connected(recorder, files, phone, authority, **how)[1].proved.users == ("sip:alice@example.com",)
    assert not is_pinned(certificate, TLSSettings(**how))


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({}, "fingerprint: is missing, write one of"),
        ({"fingerprint": "0" * 64, "name": "x", "user": "sip:a@b"}, "name: stands beside fingerprint"),
        ({"name": "x"}, "user: is missing, write one of"),
        ({"name": "x", "user": "sip:a@b", "domain": "b"}, "domain: stands beside user, write one of"),
        ({"fingerprint": "abc", "domain": "b"}, "fingerprint: is no"),
        ({"name": "x", "user": "sip:b"}, "write sip:user@domain"),
        ({"name": "x", "user": "alice"}, "write sip:user@domain"),
    ],
)
def test_faults(fields: Any, fault: str) -> None:
    with pytest.raises(LocalProtocolError, match=fault):
        KnownCertificate(**fields)


# -- aliases (RFC 5923) ----------------------------------------------------------------------------


def via(host: str = "peer.example.net", params: str = ";alias", transport: str = "TLS") -> str:
    return f"SIP/2.0/{transport} {host};branch=z9hG4bK1{params}"


@pytest.fixture
def peer(recorder: Any, files: Any, authority: Authority) -> tuple[Pair, Any]:
    phone, _ = authority.sign(x509.DNSName("peer.example.net"))
    return connected(recorder, files, phone, authority)


def reused(pair: Pair, name: str = "peer.example.net", port: int = 5061, host: str = PEER) -> Any:
    return pair.server.connections.find(Destination(TLS, Address(host, port), name))


@pytest.mark.parametrize(("host", "port"), [("peer.example.net", 5061), ("PEER.example.net:5071", 5071)])
def test_requests_go_back_over_it(peer: Any, options: Any, host: str, port: int) -> None:
    """Section 8.2: to the source address and the port in sent-by, 5061 if there is none."""
    pair, flow = peer
    assert reused(pair, port=port) is None
    pair.flow.send(options(via(host)), None)
    pair.pump()
    assert reused(pair, port=port) is flow
    # Section 9.3: for the domain that was proved, not for another one at the same address.
    assert reused(pair, "other.example.net", port=port) is None
    assert reused(pair, PEER, port=port) is None
    assert reused(pair, port=port + 1) is None
    assert reused(pair, port=port, host="198.51.100.8") is None


@pytest.mark.parametrize(
    "line",
    [
        via(params=""),
        via("other.example.net"),
        via(PEER),
        via(transport="TCP"),
        "SIP/2.0/TLS",
    ],
)
def test_never_otherwise(peer: Any, options: Any, line: str) -> None:
    pair, _ = peer
    pair.flow.send(options(line), None)
    pair.pump()
    assert reused(pair) is None


@pytest.mark.parametrize("how", [{"client_certificates": "none"}, {"alias": False}, {"client_roots": "files"}])
def test_not_without_a_certificate_that_counts(
    recorder: Any, files: Any, authority: Authority, options: Any, how: Any
) -> None:
    """Section 9.2."""
    phone, _ = authority.sign(x509.DNSName("peer.example.net"))
    if how.get("client_roots"):
        how = {"client_roots": files.certificate}
    pair, _ = connected(recorder, files, phone, authority, **how)
    pair.flow.send(options(via()), None)
    pair.pump()
    assert reused(pair) is None
    assert pair.server.connections._aliases == {}


def test_not_over_tcp(make_layer: Any, come_in: Any, options: Any) -> None:
    layer = make_layer(tls=TLSSettings(client_certificates="ask"))
    protocol, _ = come_in(layer)
    protocol.dataReceived(options(via(transport="TCP")))
    assert layer.connections.find(Destination(TCP, Address(PEER, 5060), "peer.example.net")) is None


def test_it_ends_with_its_connection(peer: Any, options: Any) -> None:
    pair, flow = peer
    for port in range(5061, 5071):
        pair.flow.send(options(via(f"peer.example.net:{port}")), None)
    pair.pump()
    table = pair.server.connections
    assert sum(map(len, table._aliases.values())) == 4, "bounded"
    pair.end()
    assert reused(pair) is None
    assert table._aliases == table._aliased == {}
    table.alias(flow, pair.recorder.requests[0])
    assert table._aliases == {}


def test_the_latest_connection_counts(recorder: Any, files: Any, authority: Authority, options: Any) -> None:
    phone, _ = authority.sign(x509.DNSName("peer.example.net"))
    pair, first = connected(recorder, files, phone, authority)
    pair.flow.send(options(via()), None)
    pair.pump()
    pair.client.connections.remove(pair.flow)
    again = pair.connect()
    again.send(options(via()), None)
    pair.pump()
    second = next(flow for flow in pair.server.connections.flows() if flow is not first)
    assert reused(pair) is second
    pair.server.connections.remove(second)
    assert reused(pair) is first


def test_what_we_open_is_offered(peer: Any, recorder: Any, files: Any, authority: Authority) -> None:
    """Section 8.1: where we have a certificate to show, and take such offers ourselves."""
    pair, flow = peer
    assert pair.flow.offers_alias and not flow.offers_alias
    assert not connected(recorder, files, None, authority)[0].flow.offers_alias
