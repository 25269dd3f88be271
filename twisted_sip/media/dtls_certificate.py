"""Self-signed certificates for DTLS, and their fingerprints (RFC 5763 section 5, RFC 8122 section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from twisted_sip.sdp.fingerprint import Fingerprint

#: Hash functions that a peer may use, the strongest first. RFC 8122 section 5 wants SHA-256 of everybody.
_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "sha-512": hashes.SHA512,
    "sha-384": hashes.SHA384,
    "sha-256": hashes.SHA256,
    "sha-224": hashes.SHA224,
    "sha-1": hashes.SHA1,
}

_BEFORE, _AFTER = timedelta(days=1), timedelta(days=3650)


class DTLSCertificate:
    """A key on the curve P-256 and a certificate that nobody but itself has signed, and that names nobody.

    RFC 5763 section 6.1: one for each call tells nobody that two calls are of the same caller.

    :ivar key: the private key.
    :ivar certificate: what the peer is shown.
    """

    def __init__(self, now: float) -> None:
        """Make one.

        :param now: seconds since 1970; peers that look see it valid for ten years.
        """
        self.key = ec.generate_private_key(ec.SECP256R1())
        begin = datetime.fromtimestamp(now, UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "media")])
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin - _BEFORE)
            .not_valid_after(begin + _AFTER)
            .sign(self.key, hashes.SHA256())
        )

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """What session descriptions tell of it."""
        return Fingerprint.of("sha-256", self.certificate.fingerprint(hashes.SHA256()))


def usable(fingerprints: Sequence[Fingerprint]) -> tuple[Fingerprint, ...]:
    """Return those with the best hash function among them that is had here (RFC 8122 section 5.1)."""
    for name in _HASHES:
        found = tuple(one for one in fingerprints if one.hash_function == name)
        if found:
            return found
    return ()


def matches(certificate: x509.Certificate, fingerprints: Sequence[Fingerprint]) -> bool:
    """Tell whether *certificate* is one of those that were told (RFC 8122 section 5.1)."""
    told = usable(fingerprints)
    if not told:
        return False
    digest = certificate.fingerprint(_HASHES[told[0].hash_function]())
    return any(one.digest == digest for one in told)
