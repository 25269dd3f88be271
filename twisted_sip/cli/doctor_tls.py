"""What ``twisted-sip doctor`` finds about certificates beyond their files: chain, trust, and what is served."""

from __future__ import annotations

import contextlib
import socket
import ssl
import warnings
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from twisted_sip.cli.findings import Finding
from twisted_sip.errors import ConfigurationError
from twisted_sip.tap.configuration import Configuration
from twisted_sip.transport.certificates import KeyPair, load_key_pair, utc_now
from twisted_sip.transport.descriptors import parse_descriptor
from twisted_sip.transport.settings import CertificateFiles

#: Bits of an RSA key that others still accept.
_FEWEST_BITS = 2048
_PATIENCE = 3.0
_SOON = timedelta(days=30)


def certificate_files(configuration: Configuration) -> list[CertificateFiles]:
    """Return the certificates that the configuration names."""
    found = [parse_descriptor(text).certificate for text in configuration.server.listen]
    pairs = [files for files in found if files is not None]
    section = configuration.tls
    if section.certificate is not None and section.private_key is not None:
        pairs.append(CertificateFiles(private_key=str(section.private_key), certificate=str(section.certificate)))
    return pairs


def chain_findings(configuration: Configuration) -> Iterator[Finding]:
    """Yield whether peers can verify the certificates; whether they can be used at all is found out elsewhere."""
    for files in certificate_files(configuration):
        try:
            pair = load_key_pair(files, utc_now())
        except ConfigurationError:
            continue
        subject = f"chain {files.certificate}"
        findings = list(_chain(subject, pair, configuration.tls.ca))
        yield from findings or [Finding("ok", subject, "leads to an authority that this machine trusts")]


def _chain(subject: str, pair: KeyPair, ca: Path | None) -> Iterator[Finding]:
    leaf = pair.certificate
    key = leaf.public_key()
    if isinstance(key, RSAPublicKey) and key.key_size < _FEWEST_BITS:
        yield Finding("error", subject, f"has a key of {key.key_size} bits", "get one with 2048 or more")
    if isinstance(leaf.signature_hash_algorithm, SHA1):
        yield Finding("error", subject, "is signed with SHA-1, which nobody accepts", "get another")
    if leaf.issuer == leaf.subject:
        mend = "get one from an authority, or give it to every phone as trusted"
        yield Finding("warning", subject, "is self-signed, so that no peer can verify it", mend)
        return
    links = [leaf, *pair.chain]
    for place, (below, above) in enumerate(pairwise(links)):
        if not _signed(below, above):
            wrong = f"certificate {place + 2} of the file has not signed certificate {place + 1}"
            yield Finding("error", subject, wrong, "write our own first, then each that signed the one before")
            return
    for place, link in enumerate(links[1:], 2):
        left = link.not_valid_after_utc - utc_now()
        if left < timedelta():
            yield Finding("error", subject, f"certificate {place} of the file has expired", "get the chain anew")
        elif left < _SOON:
            yield Finding("warning", subject, f"certificate {place} of the file ends in {left.days} days", "renew it")
    top = links[-1]
    if top.issuer != top.subject and top.issuer.public_bytes() not in _trusted(ca):
        name = top.issuer.rfc4514_string()
        mend = "append the certificates between ours and the authority to the file, or set [tls] ca"
        yield Finding("warning", subject, f"ends at {name}, which this machine does not know", mend)


def _signed(below: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _trusted(ca: Path | None) -> set[bytes]:
    """Return the subjects of the authorities that are trusted: those in *ca*, or those of the system."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(str(ca))
    except (OSError, ssl.SSLError):
        return set()
    found = {_subject(data) for data in context.get_ca_certs(True)}
    paths = ssl.get_default_verify_paths()
    if ca is None and not found and paths.capath:
        # Those in a directory are not loaded until they are needed.
        for path in Path(paths.capath).glob("*.pem"):
            with contextlib.suppress(OSError, ValueError):
                found.add(_subject(ssl.PEM_cert_to_DER_cert(path.read_text("ascii"))))
    return found


def _subject(data: bytes) -> bytes:
    """Return the subject of a certificate, empty where it cannot be read: some authorities of old make mistakes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return x509.load_der_x509_certificate(data).subject.public_bytes()
        except ValueError:
            return b""


def served_findings(configuration: Configuration, addresses: Sequence[tuple[str, int]]) -> Iterator[Finding]:
    """Yield whether the running server shows at *addresses*, where it listens over TLS, what the files have now."""
    known: set[bytes] = set()
    for files in certificate_files(configuration):
        try:
            known.add(load_key_pair(files, utc_now()).certificate.fingerprint(SHA256()))
        except ConfigurationError:
            return
    for host, port in addresses:
        subject = f"TLS on {host}:{port}"
        shown = _shown(host, port)
        if isinstance(shown, str):
            mend = "look into its log, and whether a firewall is in the way"
            yield Finding("error", subject, f"there is no handshake ({shown})", mend)
            continue
        left = shown.not_valid_after_utc - utc_now()
        if left < timedelta():
            yield Finding("error", subject, f"shows a certificate that ended {(-left).days} days ago", "renew it")
        elif known and shown.fingerprint(SHA256()) not in known:
            mend = "see its log for what is wrong with the new one, then reload or restart it"
            yield Finding("error", subject, "shows another certificate than the file has", mend)
        else:
            yield Finding("ok", subject, f"shows a certificate that is good for {left.days} days")


def _shown(host: str, port: int) -> x509.Certificate | str:
    """Return the certificate that is shown at an address, or why there is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), _PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            data = secure.getpeercert(binary_form=True)
    except (OSError, ValueError) as error:
        return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
    return x509.load_der_x509_certificate(data) if data else "no certificate"
