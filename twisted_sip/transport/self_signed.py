"""A certificate of our own making, to try TLS out before there is a real one (RFC 5922 section 6)."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path

import idna
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from twisted.logger import Logger

from twisted_sip.errors import ConfigurationError
from twisted_sip.transport.certificates import load_key_pair, utc_now
from twisted_sip.transport.listener import bare, is_numeric
from twisted_sip.transport.settings import CertificateFiles

_log = Logger()

#: How long it holds. Some phones refuse certificates that hold longer than this.
LIFETIME = timedelta(days=820)

KEY_NAME = "self-signed-key.pem"
CERTIFICATE_NAME = "self-signed-certificate.pem"


def self_signed_certificate(
    directory: Path, names: Iterable[str], now: Callable[[], datetime] = utc_now
) -> CertificateFiles:
    """Return the self-signed certificate in *directory*; make one, with a warning, if there is none that is valid.

    :param names: domains and numeric addresses that it proves.
    :raises ConfigurationError: it cannot be written.
    """
    files = CertificateFiles(private_key=str(directory / KEY_NAME), certificate=str(directory / CERTIFICATE_NAME))
    wanted = [name.lower() for name in names]
    try:
        load_key_pair(files, now())
        return files
    except ConfigurationError:
        key, certificate = make_self_signed(wanted, now())
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The key first and the certificate last: a pair is complete when its certificate is there.
        _write(Path(files.private_key), key, 0o600)
        _write(Path(files.certificate), certificate, 0o644)
    except OSError as error:
        raise ConfigurationError(
            [f"{directory}: cannot write the self-signed certificate: {error.strerror}"]
        ) from error
    _log.warn(
        "Made a self-signed certificate for {names} in {path}: peers cannot verify it; give a real one for real use",
        names=", ".join(wanted),
        path=files.certificate,
    )
    return files


def make_self_signed(names: Iterable[str], now: datetime) -> tuple[bytes, bytes]:
    """Return a new private key and a certificate for *names* that it signs itself, both in PEM.

    Each domain stands there as a sip URI and as a DNS name (RFC 5922 section 4), each address as an IP address.
    """
    domains: list[str] = []
    addresses: list[str] = []
    for name in dict.fromkeys(names):
        plain = bare(name)
        if is_numeric(plain):
            addresses.append(plain)
        else:
            domains.append(plain if plain.isascii() else idna.encode(plain, uts46=True).decode("ascii"))
    alternatives: list[x509.GeneralName] = []
    alternatives += [x509.UniformResourceIdentifier(f"sip:{domain}") for domain in domains]
    alternatives += [x509.DNSName(domain) for domain in domains]
    alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    title = next(iter(domains + addresses), "twisted_sip")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, title[:64])])
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
    )
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    certificate = builder.sign(key, SHA256())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem, certificate.public_bytes(Encoding.PEM)


def _write(path: Path, data: bytes, mode: int) -> None:
    """Write a file whole or not at all, never readable by more than *mode* says."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
