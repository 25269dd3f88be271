"""Certificates as ``twisted-sip doctor`` sees them: their chain, what is served, and ports that answer."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from twisted_sip.cli.doctor_server import options, reach_findings
from twisted_sip.cli.doctor_tls import certificate_files, chain_findings, served_findings
from twisted_sip.tap.configuration import Configuration
from twisted_sip.tap.constraints import ListenDescriptor
from twisted_sip.tap.sections import ServerSection, TLSSection

NOW = datetime.now(UTC)


class Authority:
    """Makes certificates, those of other authorities among them."""

    def __init__(self, name: str, above: Authority | None = None, days: int = 900) -> None:
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = (above or self).sign(self.name, self.key.public_key(), days, authority=True)

    def sign(self, name: x509.Name, key: Any, days: int = 90, *, authority: bool = False) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=1000))
            .not_valid_after(NOW + timedelta(days=days))
            .add_extension(x509.BasicConstraints(authority, None), True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("example.com")]), False)
        )
        return builder.sign(self.key, SHA256())


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


class Files:
    """The files of one certificate, and the configuration that names them."""

    def __init__(
        self, directory: Path, authority: Authority, *chain: x509.Certificate, key: Any = None, days: int = 90
    ) -> None:
        made = key or ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "example.com")])
        self.key, self.certificate = directory / "k.pem", directory / "c.pem"
        self.key.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.certificate.write_bytes(pem(authority.sign(name, made.public_key(), days), *chain))
        self.ca = directory / "ca.pem"

    def configuration(self, *trusted: x509.Certificate) -> Configuration:
        self.ca.write_bytes(pem(*trusted))
        tls = TLSSection(certificate=self.certificate, private_key=self.key, ca=self.ca if trusted else None)
        return attrs.evolve(Configuration(), tls=tls)


def chain(files: Files, *trusted: x509.Certificate) -> list[tuple[str, str]]:
    found = list(chain_findings(files.configuration(*trusted)))
    assert all(one.mend for one in found if one.level != "ok")
    return [(one.level, one.text) for one in found]


ROOT = Authority("root")
MIDDLE = Authority("middle", ROOT)


def test_a_chain_that_is_whole(tmp_path: Path) -> None:
    well = [("ok", "leads to an authority that this machine trusts")]
    assert chain(Files(tmp_path, MIDDLE, MIDDLE.certificate), ROOT.certificate) == well
    assert chain(Files(tmp_path, MIDDLE, MIDDLE.certificate, ROOT.certificate)) == well
    # The authorities of the system do not know it.
    [(level, text)] = chain(Files(tmp_path, MIDDLE, MIDDLE.certificate))
    assert (level, text) == ("warning", "ends at CN=root, which this machine does not know")


def test_a_chain_with_holes(tmp_path: Path) -> None:
    [(level, text)] = chain(Files(tmp_path, MIDDLE), ROOT.certificate)
    assert (level, text) == ("warning", "ends at CN=middle, which this machine does not know")
    [(level, text)] = chain(Files(tmp_path, MIDDLE, ROOT.certificate))
    assert (level, text) == ("error", "certificate 2 of the file has not signed certificate 1")


def test_a_chain_that_ends_before_the_certificate(tmp_path: Path) -> None:
    for days, level, text in (
        (5, "warning", "certificate 2 of the file ends in 4 days"),
        (-5, "error", "certificate 2 of the file has expired"),
    ):
        middle = Authority("middle", ROOT, days)
        found = chain(Files(tmp_path, middle, middle.certificate), ROOT.certificate)
        assert found == [(level, text)]


def test_weak_keys(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 1024)
    found = chain(Files(tmp_path, MIDDLE, MIDDLE.certificate, key=key), ROOT.certificate)
    assert found == [("error", "has a key of 1024 bits")]


def test_certificates_of_descriptors_and_bad_files(tmp_path: Path) -> None:
    files = Files(tmp_path, MIDDLE)
    listen = ListenDescriptor(f"tls:5061:privateKey={files.key}:certKey={files.certificate}")
    configuration = attrs.evolve(Configuration(), server=ServerSection(listen=(listen,)))
    [found] = certificate_files(configuration)
    assert found.certificate == str(files.certificate)
    files.certificate.write_bytes(b"nonsense")
    # What cannot be read is told by others.
    assert list(chain_findings(configuration)) == []
    assert list(served_findings(configuration, [("127.0.0.1", 1)])) == []


# -- what is served ----------------------------------------------------------------------------


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[str, int]]]:
    """Starts a server of one connection that answers what it reads with what is given, over TLS with files."""
    threads: list[threading.Thread] = []

    def start(answer: bytes = b"", files: Files | None = None, times: int = 1) -> tuple[str, int]:
        listening = socket.create_server(("127.0.0.1", 0))

        def run() -> None:
            with listening:
                for _ in range(times):
                    connection = listening.accept()[0]
                    with connection, contextlib.suppress(OSError):
                        if files is not None:
                            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                            context.load_cert_chain(files.certificate, files.key)
                            connection = context.wrap_socket(connection, server_side=True)
                        with connection:
                            if connection.recv(65536) and answer:
                                connection.sendall(answer)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        host, port = listening.getsockname()
        return host, port

    yield start
    for thread in threads:
        thread.join(10)


def closed() -> tuple[str, int]:
    """Return where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        host, port = made.getsockname()
        return host, port


def test_what_is_served(tmp_path: Path, serve: Callable[..., tuple[str, int]]) -> None:
    files = Files(tmp_path, MIDDLE)
    configuration = files.configuration()
    [found] = served_findings(configuration, [serve(files=files)])
    assert (found.level, found.text) == ("ok", "shows a certificate that is good for 89 days")
    # It was renewed, and the server has not seen that.
    place = serve(files=files)
    other = tmp_path / "other"
    other.mkdir()
    [found] = served_findings(Files(other, MIDDLE).configuration(), [place])
    assert (found.level, found.text) == ("error", "shows another certificate than the file has")
    [found] = served_findings(configuration, [closed()])
    assert found.level == "error" and "there is no handshake" in found.text


def test_what_is_served_has_ended(tmp_path: Path, serve: Callable[..., tuple[str, int]]) -> None:
    made = Files(tmp_path, MIDDLE, days=-3)
    [found] = served_findings(Configuration(), [serve(files=made)])
    assert found.level == "error" and "ended 3 days ago" in found.text


def test_ports_that_answer(tmp_path: Path, serve: Callable[..., tuple[str, int]]) -> None:
    assert options("tcp", *serve(b"SIP/2.0 200 OK\r\n\r\n")) == ""
    assert options("tls", *serve(b"SIP/2.0 403 Forbidden\r\n\r\n", Files(tmp_path, MIDDLE))) == ""
    assert options("tcp", *serve(b"HTTP/1.1 400 Bad Request\r\n\r\n")) == "what answers speaks no SIP"
    assert options("tcp", *closed()) == "connection refused"


def test_ports_of_a_server(serve: Callable[..., tuple[str, int]]) -> None:
    host, port = serve(b"SIP/2.0 200 OK\r\n\r\n", times=2)
    nobody = closed()
    listening = {"tcp": [f"{host}:{port}"], "udp": [f"{nobody[0]}:{nobody[1]}"]}
    found = list(reach_findings({"listening": listening}, "127.0.0.1"))
    assert [(one.level, one.subject.partition(" ")[0]) for one in found] == [
        ("error", "udp"), ("warning", "udp"), ("ok", "tcp"), ("ok", "tcp"),
    ]  # fmt: skip
