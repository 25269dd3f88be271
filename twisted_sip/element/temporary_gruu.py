"""Temporary GRUUs: URIs of one device that do not tell whose they are (RFC 5627 sections 3.1.2, 5.1, 5.4 and A.2).

Nothing is kept of them. The user part is the user and the series of registrations that the URI is good for, encrypted
with AES-SIV (RFC 5297) together with random bytes: two of them have nothing in common that others could see, one that
was tampered with is none, and the secret, which is kept in the state directory, makes them outlive a restart. A series
is text of the binding (:class:`~twisted_sip.interfaces.location.Binding`); when it has ended, so have its GRUUs.

Proxy Unique Registration References, by which requests in a dialog find the device that has to be woken (RFC 8599
section 6.2.1), are made alike.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from twisted_sip.interfaces.location import Binding
from twisted_sip.message.uri import SIPURI

#: What the user part of a temporary GRUU begins with.
PREFIX = "tgruu."

#: Bytes that make each one different, and bytes of what it is good for.
_RANDOM, _MARK = 10, 8
#: User names are filled up to a multiple of this, so that the length of the URI tells little of theirs.
_FILL = 24
#: No such text is longer.
_MOST = 1024

_GRUU, _PURR = b"temporary GRUU", b"PURR"


class TemporaryGRUUs:
    """Makes and reads temporary GRUUs and PURRs.

    :param key: the secret.
    :param random_bytes: gives that many random bytes.
    """

    __slots__ = ("_cipher", "_random_bytes")

    def __init__(self, key: bytes, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
        # The secret has other uses as well: from one of them nothing follows for another.
        self._cipher = AESSIV(hashlib.blake2b(key, digest_size=64, person=b"temporary gruu").digest())
        self._random_bytes = random_bytes

    def new_series(self, cseq: int) -> str:
        """Return what names a new series of registrations, which begins with the CSeq number *cseq*."""
        return f"{cseq}.{self._random_bytes(_MARK).hex()}"

    def make(self, binding: Binding) -> str:
        """Return a new temporary GRUU of the device behind *binding*, which has a series.

        It is the sips version for a sips contact (RFC 5630 section 5.2.1).
        """
        aor = binding.aor
        scheme = "sips" if binding.contact[:5].lower() == "sips:" else "sip"
        mark = bytes.fromhex(binding.series.partition(".")[2])
        user, _, host = aor[4:].rpartition("@")
        return f"{scheme}:{PREFIX}{self._sealed(user, mark, _GRUU, host)}@{host};gr"

    def read(self, uri: SIPURI) -> tuple[str, str] | None:
        """Return the address-of-record and the series that *uri* stands for, as :meth:`belongs` wants it.

        None for what is none of our temporary GRUUs.
        """
        user = uri.user or ""
        if not user.startswith(PREFIX) or uri.params.get("gr"):
            return None
        host = uri.address_of_record.rpartition("@")[2]
        opened = self._opened(user[len(PREFIX) :], _GRUU, host)
        return None if opened is None else (f"sip:{opened[0]}@{host}", opened[1])

    def owner_of(self, uri: SIPURI) -> str:
        """Return the address-of-record of whom *uri* is, an address, a GRUU or a temporary GRUU; empty for what looks
        like a temporary GRUU and is none."""
        if ";" not in uri.text or uri.params.get("gr", "-"):
            return uri.address_of_record
        meant = self.read(uri)
        return "" if meant is None else meant[0]

    @staticmethod
    def belongs(binding: Binding, series: str) -> bool:
        """Tell whether *binding* is one of the *series* that :meth:`read` has given."""
        return binding.series.partition(".")[2] == series

    def make_purr(self, binding: Binding) -> str:
        """Return a new PURR of the device behind *binding*, which has push parameters (RFC 8599 section 6.2.1)."""
        return self._sealed(binding.aor, _push_mark(binding.push), _PURR)

    def read_purr(self, text: str) -> tuple[str, str] | None:
        """Return the address-of-record and the device that the PURR *text* stands for, as :meth:`of_purr` wants it;
        None for what is none of ours."""
        return self._opened(text, _PURR)

    @staticmethod
    def of_purr(bindings: Iterable[Binding], device: str) -> list[Binding]:
        """Return those of *bindings* that are of the *device* that :meth:`read_purr` has given."""
        return [binding for binding in bindings if binding.push and _push_mark(binding.push).hex() == device]

    def _sealed(self, text: str, mark: bytes, purpose: bytes, host: str = "") -> str:
        data = _bytes(text)
        data += b"\0" * (-len(data) % _FILL)
        sealed = self._cipher.encrypt(self._random_bytes(_RANDOM) + mark + data, [purpose, _bytes(host)])
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")

    def _opened(self, text: str, purpose: bytes, host: str = "") -> tuple[str, str] | None:
        if len(text) > _MOST or not text.isascii():
            return None
        try:
            sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            opened = self._cipher.decrypt(sealed, [purpose, _bytes(host)])
        except (ValueError, InvalidTag):
            return None
        data = opened[_RANDOM + _MARK :].rstrip(b"\0")
        return data.decode("utf-8", "surrogateescape"), opened[_RANDOM : _RANDOM + _MARK].hex()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _push_mark(push: str) -> bytes:
    return hashlib.blake2s(_bytes(push), digest_size=_MARK).digest()
