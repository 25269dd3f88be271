"""TLS with real handshakes in memory (RFC 5922 section 7, RFC 8996)."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.testing import MemoryReactorClock, StringTransport

from twisted_sip.errors import ConfigurationError, TransportError
from twisted_sip.interfaces.destination import Destination
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TLS
from twisted_sip.transport.certificates import WatchedKeyPair, load_key_pair
from twisted_sip.transport.layer import TransportLayer
from twisted_sip.transport.self_signed import make_self_signed
from twisted_sip.transport.settings import CertificateFiles, TLSSettings, TransportSettings

NOW = datetime.now(UTC)


def write(directory: Path, name: str, names: list[str], now: datetime = NOW) -> CertificateFiles:
    key, certificate = make_self_signed(names, now)
    files = CertificateFiles(private_key=str(directory / f"{name}.key"), certificate=str(directory / f"{name}.pem"))
    Path(files.private_key).write_bytes(key)
    Path(files.certificate).write_bytes(certificate)
    return files


class Pair:
    """A client layer and a server layer with one connection between them, moved by hand."""

    def __init__(self, recorder: Any, server: TLSSettings, client: TLSSettings, name: str) -> None:
        self.clock = MemoryReactorClock()
        self.recorder = recorder
        self.server = TransportLayer(self.clock, recorder, TransportSettings(tls=server), boot="s")
        self.client = TransportLayer(self.clock, recorder, TransportSettings(tls=client), boot="c")
        self.listeners = self.server.listen("tls:5061:interface=192.0.2.10")
        self.name = name
        self.outcome: list[Any] = []

    def connect(self, pump: bool = True) -> Any:
        """Open the connection; return the client's flow or the failure's exception, None if neither came to be."""
        self.outcome = []
        destination = Destination(TLS, Address("192.0.2.10", 5061), self.name)
        self.client.flow_to(destination).addBoth(self.outcome.append)
        here, there = IPv4Address("TCP", "198.51.100.7", 40000), IPv4Address("TCP", "192.0.2.10", 5061)
        self.inner = self.clock.tcpClients[-1][2].buildProtocol(there)
        self.outer = self.clock.tcpServers[0][1].buildProtocol(here)
        self.inner_transport = StringTransport(here, there)
        self.outer_transport = StringTransport(there, here)
        self.outer.makeConnection(self.outer_transport)
        self.inner.makeConnection(self.inner_transport)
        if pump:
            self.pump()
        if not self.outcome:
            return None
        return getattr(self.outcome[0], "value", self.outcome[0])

    def pump(self) -> None:
        for _ in range(20):
            self.clock.advance(0)
            for source, sink in (
                (self.inner_transport, self.outer),
                (self.outer_transport, self.inner),
            ):
                data = source.value()
                source.clear()
                if data:
                    sink.dataReceived(data)

    def end(self) -> None:
        from twisted.internet.error import ConnectionDone
        from twisted.python.failure import Failure

        for protocol in (self.inner, self.outer):
            protocol.connectionLost(Failure(ConnectionDone()))


@pytest.fixture
def files(tmp_path: Path) -> CertificateFiles:
    return write(tmp_path, "server", ["example.com", "192.0.2.10"])


def settings(files: CertificateFiles, trusted: CertificateFiles | None = None, **more: Any) -> tuple[Any, Any]:
    roots = (trusted or files).certificate
    return TLSSettings(certificates=(files,), **more), TLSSettings(trust_roots=roots)


@pytest.mark.parametrize("name", ["example.com", "EXAMPLE.com", "192.0.2.10"])
def test_the_right_name(recorder, files, options, name):
    pair = Pair(recorder, *settings(files), name)
    flow = pair.connect()
    assert flow.identities == ("example.com", "192.0.2.10")
    assert (flow.kind, flow.open) == (TLS, True)
    assert len(pair.server.connections) == 1
    flow.send(options("SIP/2.0/TLS 198.51.100.7:5061;branch=z9hG4bK1"), None)
    pair.pump()
    (request,) = recorder.requests
    assert request.flow.kind is TLS
    assert request.flow.identities == ()
    assert pair.client.flow_to(Destination(TLS, flow.remote, name)) is flow


@pytest.mark.parametrize("name", ["example.net", "sip.example.com", "com", "192.0.2.11"])
def test_another_name_is_refused(recorder, files, name):
    """RFC 5922 section 7.3: closed immediately."""
    pair = Pair(recorder, *settings(files), name)
    error = pair.connect()
    assert isinstance(error, TransportError)
    assert name in str(error)
    assert pair.inner_transport.disconnected
    assert len(pair.client.connections) == 0


def test_connection_proves_one_name_only(recorder, files):
    """A connection to one domain does not carry what goes to another one at the same address."""
    pair = Pair(recorder, *settings(files), "example.com")
    flow = pair.connect()
    assert pair.client.connections.find(Destination(TLS, flow.remote, "example.net")) is None


def test_unknown_authority_is_refused(recorder, files, tmp_path):
    pair = Pair(recorder, *settings(files, write(tmp_path, "other", ["example.com"])), "example.com")
    pair.connect()
    pair.end()
    assert isinstance(pair.outcome[0].value, TransportError)
    assert len(pair.server.connections) == 0


def test_unverified_peer_has_no_identity(recorder, files):
    pair = Pair(recorder, TLSSettings(certificates=(files,)), TLSSettings(verify_peers=False), "example.net")
    flow = pair.connect()
    assert flow.open
    assert flow.identities == ()


@pytest.mark.parametrize(("version", "accepted"), [(SSL.TLS1_1_VERSION, False), (SSL.TLS1_2_VERSION, True)])
def test_old_versions_are_refused(recorder, files, version, accepted):
    """RFC 8996: TLS 1.2 or later."""
    pair = Pair(recorder, *settings(files), "example.com")
    context = pair.client.contexts.client("example.com")._context
    context.set_min_proto_version(SSL.TLS1_VERSION)
    context.set_max_proto_version(version)
    context.set_cipher_list(b"ALL:@SECLEVEL=0")
    pair.connect()
    pair.end()
    assert (len(recorder.closed) == 2) is accepted
    assert isinstance(getattr(pair.outcome[0], "value", None), TransportError) is not accepted


def test_handshake_has_to_be_done_in_time(recorder, files):
    pair = Pair(recorder, *settings(files), "example.com")
    pair.connect(pump=False)
    pair.clock.advance(11)
    assert isinstance(pair.outcome[0].value, TransportError)
    assert pair.inner_transport.disconnected
    assert pair.outer_transport.disconnected


def test_garbage_instead_of_a_handshake(recorder, files, options):
    pair = Pair(recorder, *settings(files), "example.com")
    pair.connect(pump=False)
    pair.outer.dataReceived(options())
    assert pair.outer_transport.disconnecting
    assert recorder.requests == []


def test_certificate_is_reloaded(recorder, files, tmp_path):
    pair = Pair(recorder, *settings(files), "example.com")
    first = pair.connect()
    renewed = write(tmp_path, "renewed", ["example.com", "new.example.com"])
    os.replace(renewed.private_key, files.private_key)
    os.replace(renewed.certificate, files.certificate)
    pair.client.connections.remove(first)
    second = pair.connect()
    assert "new.example.com" in second.identities
    assert first.open


def test_faulty_certificate_is_not_loaded(recorder, files, tmp_path):
    pair = Pair(recorder, *settings(files), "example.com")
    other = write(tmp_path, "other", ["example.com"])
    os.replace(other.private_key, files.private_key)
    flow = pair.connect()
    assert flow.open
    os.replace(other.certificate, files.certificate)
    pair.client.connections.remove(flow)
    assert pair.connect().open


def test_expired_renewal_keeps_the_old_one(files, tmp_path):
    watched = WatchedKeyPair(files)
    old = watched.pair
    expired = write(tmp_path, "expired", ["example.com"], NOW - timedelta(days=2000))
    os.replace(expired.private_key, files.private_key)
    os.replace(expired.certificate, files.certificate)
    assert not watched.refresh()
    assert watched.pair is old
    Path(files.certificate).unlink()
    assert not watched.refresh()


def test_damaged_authorities_keep_the_old_ones(recorder, files, tmp_path):
    roots = tmp_path / "roots.pem"
    roots.write_bytes(Path(files.certificate).read_bytes())
    server = TLSSettings(certificates=(files,), client_certificates="ask", trust_roots=str(roots))
    pair = Pair(recorder, server, TLSSettings(trust_roots=str(roots)), "example.com")
    first = pair.connect()
    roots.write_text("damaged")
    pair.client.connections.remove(first)
    assert pair.connect().open


def test_server_name_chooses_the_certificate(recorder, files, tmp_path):
    """RFC 5922 section 7.8."""
    second = write(tmp_path, "second", ["example.org"])
    both = tmp_path / "both.pem"
    both.write_bytes(Path(files.certificate).read_bytes() + Path(second.certificate).read_bytes())
    client = TLSSettings(trust_roots=str(both))
    for name in ("example.org", "example.com"):
        pair = Pair(recorder, TLSSettings(certificates=(files, second)), client, name)
        assert pair.connect().identities[0] == name


@pytest.mark.parametrize(
    ("asked", "trusted", "identities"),
    [("ask", True, ("phone.example",)), ("ask", False, ()), ("require", True, ("phone.example",)), ("none", True, ())],
)
def test_client_certificates(recorder, files, tmp_path, options, asked, trusted, identities):
    """RFC 5922 section 7.4."""
    phone = write(tmp_path, "phone", ["phone.example"])
    server = TLSSettings(
        certificates=(files,), client_certificates=asked, trust_roots=(phone if trusted else files).certificate
    )
    pair = Pair(recorder, server, TLSSettings(certificates=(phone,), trust_roots=files.certificate), "example.com")
    flow = pair.connect()
    flow.send(options(), None)
    pair.pump()
    assert [request.flow.identities for request in recorder.requests] == [identities]


def test_required_client_certificate_is_missing(recorder, files, options):
    server = TLSSettings(certificates=(files,), client_certificates="require", trust_roots=files.certificate)
    pair = Pair(recorder, server, TLSSettings(trust_roots=files.certificate), "example.com")
    pair.connect()
    assert len(pair.server.connections) == 0
    assert pair.outer_transport.disconnecting


def test_faults_are_told_in_one_line_each(tmp_path, files):
    other = write(tmp_path, "other", ["example.com"])
    expired = write(tmp_path, "expired", ["example.com"], NOW - timedelta(days=2000))
    (tmp_path / "junk").write_text("junk")
    cases = [
        (CertificateFiles(private_key=other.private_key, certificate=files.certificate), "is not that of"),
        (expired, "expired on"),
        (CertificateFiles(private_key=str(tmp_path / "none"), certificate=files.certificate), "No such file"),
        (CertificateFiles(private_key=files.private_key, certificate=str(tmp_path / "junk")), "no certificate in PEM"),
        (CertificateFiles(private_key=str(tmp_path / "junk"), certificate=files.certificate), "no private key in PEM"),
    ]
    for case, told in cases:
        with pytest.raises(ConfigurationError, match=told) as caught:
            load_key_pair(case, NOW)
        assert len(caught.value.problems) == 1
        assert "\n" not in caught.value.problems[0]


def test_unreadable_authorities(recorder, tmp_path, clock):
    layer = TransportLayer(clock, recorder, TransportSettings(tls=TLSSettings(trust_roots=str(tmp_path / "none"))))
    failures: list[Any] = []
    layer.flow_to(Destination(TLS, Address("192.0.2.10", 5061), "example.com")).addErrback(failures.append)
    assert failures[0].check(TransportError)
    assert layer.connections.opening == 0
