"""Certificates on disk: read, checked, and read again when the files change (RFC 5922 section 6, RFC 5280).

A faulty file never replaces a good one: what was loaded last stays in use and the fault is logged once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime

import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from twisted.logger import Logger

from twisted_sip.errors import ConfigurationError
from twisted_sip.transport.identity import sip_identities
from twisted_sip.transport.settings import CertificateFiles

_log = Logger()

#: What a file looked like: changes of it are noticed by these.
_Signature = tuple[int, int, int]


def utc_now() -> datetime:
    """Return the time by which certificates are valid or not."""
    return datetime.now(UTC)


@attrs.frozen(slots=True)
class KeyPair:
    """A private key, its certificate and the chain above it.

    :ivar identities: the SIP domain identities in the certificate.
    """

    private_key: PrivateKeyTypes
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    identities: tuple[str, ...]


def load_key_pair(files: CertificateFiles, now: datetime) -> KeyPair:
    """Read and check a key and its certificate.

    :raises ConfigurationError: one line for each fault: unreadable, no PEM, expired, not valid yet, key of another
        certificate.
    """
    problems: list[str] = []
    key: PrivateKeyTypes | None = None
    certificates: list[x509.Certificate] = []
    try:
        with open(files.private_key, "rb") as file:
            key = load_pem_private_key(file.read(), None)
    except OSError as error:
        problems.append(f"{files.private_key}: cannot read the private key: {error.strerror}")
    except TypeError:
        problems.append(f"{files.private_key}: the private key has a passphrase; give one without")
    except (ValueError, UnsupportedAlgorithm):
        problems.append(f"{files.private_key}: no private key in PEM format")
    try:
        with open(files.certificate, "rb") as file:
            certificates = x509.load_pem_x509_certificates(file.read())
    except OSError as error:
        problems.append(f"{files.certificate}: cannot read the certificate: {error.strerror}")
    except ValueError:
        problems.append(f"{files.certificate}: no certificate in PEM format")
    if certificates:
        leaf = certificates[0]
        if leaf.not_valid_after_utc <= now:
            problems.append(
                f"{files.certificate}: the certificate expired on {leaf.not_valid_after_utc:%Y-%m-%d}; renew it"
            )
        elif leaf.not_valid_before_utc > now:
            problems.append(f"{files.certificate}: not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC")
        if key is not None and not _belongs(key, leaf):
            problems.append(f"{files.private_key}: the private key is not that of {files.certificate}")
    if problems or key is None or not certificates:
        raise ConfigurationError(problems or [f"{files.certificate}: no certificate in PEM format"])
    return KeyPair(key, certificates[0], tuple(certificates[1:]), sip_identities(certificates[0]))


def _belongs(key: PrivateKeyTypes, certificate: x509.Certificate) -> bool:
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    try:
        return key.public_key().public_bytes(*form) == certificate.public_key().public_bytes(*form)
    except (ValueError, UnsupportedAlgorithm):
        return False


class WatchedKeyPair:
    """A key pair that follows its files.

    :ivar pair: what is in use.
    """

    def __init__(self, files: CertificateFiles, now: Callable[[], datetime] = utc_now) -> None:
        """Read the files.

        :raises ConfigurationError: they cannot be used.
        """
        self._files = files
        self._now = now
        self._signature = self._look()
        self.pair = load_key_pair(files, now())

    def refresh(self) -> bool:
        """Read the files again if they have changed; return True if another pair is in use now."""
        signature = self._look()
        if signature == self._signature:
            return False
        # Noted before reading, so that a faulty file is not read again until it changes.
        self._signature = signature
        try:
            self.pair = load_key_pair(self._files, self._now())
        except ConfigurationError as error:
            for problem in error.problems:
                _log.error("The changed certificate is not used, the old one stays: {problem}", problem=problem)
            return False
        _log.info("Certificate {path} read anew", path=self._files.certificate)
        return True

    def _look(self) -> tuple[_Signature | None, _Signature | None]:
        return file_signature(self._files.private_key), file_signature(self._files.certificate)


def file_signature(path: str) -> _Signature | None:
    """Return what tells whether the file at *path* has changed, None if it cannot be looked at."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
