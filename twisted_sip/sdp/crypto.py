"""Keys for SRTP in the description: ``a=crypto`` (RFC 4568)."""

from __future__ import annotations

import re

import attrs

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.hosts import printable
from twisted_sip.sdp.attributes import Attribute
from twisted_sip.sdp.lines import check_range, number

_SUITE = re.compile(r"[A-Za-z0-9_]+").fullmatch
_METHOD = re.compile(r"([A-Za-z0-9_]+):([\x21-\x3a\x3c-\x7e]+)").fullmatch
_VISIBLE = re.compile(r"[\x21-\x7e]+").fullmatch
_KEY_SALT = re.compile(r"[A-Za-z0-9+/=]+").fullmatch
_LIFETIME = re.compile(r"(?:2\^)?[0-9]{1,18}").fullmatch
_MKI = re.compile(r"([0-9]{1,39}):([0-9]{1,3})").fullmatch

_MOST_TAG = 999_999_999


@attrs.frozen(slots=True, repr=False)
class SRTPKey:
    """One SRTP master key (RFC 4568 section 6.1). Its repr does not tell the key.

    :ivar key_salt: master key and salt together in base64.
    :ivar lifetime: as written: ``2^20``, digits, or empty for the default of the suite.
    :ivar mki: the number of this key, None where packets carry none.
    :ivar mki_length: how many bytes the number takes in a packet, 1 to 128; 0 without one.
    """

    key_salt: str
    lifetime: str = ""
    mki: int | None = None
    mki_length: int = 0

    def __attrs_post_init__(self) -> None:
        if _KEY_SALT(self.key_salt) is None:
            raise LocalProtocolError("A key is base64")
        if self.lifetime and _LIFETIME(self.lifetime) is None:
            raise LocalProtocolError(f"{self.lifetime[:40]!r} is no lifetime of a key")
        if self.mki is not None:
            check_range(self.mki, "an MKI", 10**39 - 1)
            check_range(self.mki_length, "the length of an MKI", 128, 1)

    @classmethod
    def parse(cls, text: str) -> SRTPKey:
        """Return what stands behind ``inline:``.

        :raises RemoteProtocolError: it is malformed.
        """
        key_salt, *rest = text.split("|")
        lifetime, mki, mki_length = "", None, 0
        if rest and ":" not in rest[0]:
            lifetime = rest.pop(0)
        if rest:
            found = _MKI(rest.pop(0))
            if found is None or not 1 <= int(found[2]) <= 128:
                raise RemoteProtocolError("Malformed MKI in crypto", status=488)
            mki, mki_length = int(found[1]), int(found[2])
        if rest or _KEY_SALT(key_salt) is None or (lifetime and _LIFETIME(lifetime) is None):
            raise RemoteProtocolError("Malformed key in crypto", status=488)
        return cls(key_salt, lifetime, mki, mki_length)

    @property
    def packets(self) -> int | None:
        """After how many packets the key is used up, None where that is left to the suite."""
        if not self.lifetime:
            return None
        if self.lifetime.startswith("2^"):
            return 1 << min(int(self.lifetime[2:]), 64)
        return int(self.lifetime)

    def __str__(self) -> str:
        text = self.key_salt
        if self.lifetime:
            text += f"|{self.lifetime}"
        if self.mki is not None:
            text += f"|{self.mki}:{self.mki_length}"
        return text

    def __repr__(self) -> str:
        return f"<SRTPKey lifetime={self.lifetime!r} mki={self.mki!r}>"


@attrs.frozen(slots=True, repr=False)
class Crypto:
    """One crypto attribute (RFC 4568 section 4). Its repr does not tell the keys.

    :ivar tag: its number among those of a media description.
    :ivar suite: ``AES_CM_128_HMAC_SHA1_80`` and the like.
    :ivar key_params: each as written: ``inline:...``.
    :ivar session_params: each as written: ``UNENCRYPTED_SRTCP``, ``WSH=64``.
    """

    tag: int
    suite: str
    key_params: tuple[str, ...]
    session_params: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        check_range(self.tag, "the tag of a crypto attribute", _MOST_TAG)
        if _SUITE(self.suite) is None:
            raise LocalProtocolError(f"{self.suite[:40]!r} is no crypto suite")
        if not self.key_params or any(_METHOD(text) is None for text in self.key_params):
            raise LocalProtocolError("A crypto attribute has keys: inline:...")
        for text in self.session_params:
            if _VISIBLE(text) is None:
                raise LocalProtocolError(f"{text[:40]!r} is no session parameter of a crypto attribute")

    @classmethod
    def build(cls, tag: int, suite: str, *keys: SRTPKey, session_params: tuple[str, ...] = ()) -> Crypto:
        """Return an attribute to send with *keys*.

        :raises LocalProtocolError: a value cannot be sent.
        """
        return cls(tag, suite, tuple([f"inline:{key}" for key in keys]), session_params)

    @classmethod
    def parse(cls, value: str) -> Crypto:
        """Return the value of a crypto attribute.

        :raises RemoteProtocolError: it is malformed; the keys are not told.
        """
        words = value.split()
        # Some put white space behind the semicolons between keys.
        while len(words) > 3 and words[2].endswith(";"):
            words[2:4] = [words[2] + words[3]]
        if len(words) < 3:
            raise RemoteProtocolError("Malformed crypto attribute", status=488)
        key_params = tuple([text for text in words[2].split(";") if text])
        if _SUITE(words[1]) is None:
            raise RemoteProtocolError(f"Malformed crypto suite {printable(words[1])}", status=488)
        unfit = any(_METHOD(text) is None for text in key_params) or any(_VISIBLE(text) is None for text in words[3:])
        if not key_params or unfit:
            raise RemoteProtocolError("Malformed crypto attribute", status=488)
        return cls(number(words[0], "crypto tag", _MOST_TAG), words[1], key_params, tuple(words[3:]))

    @property
    def keys(self) -> tuple[SRTPKey, ...]:
        """The keys given inline, those of other methods left out.

        :raises RemoteProtocolError: one is malformed.
        """
        pairs = [text.partition(":") for text in self.key_params]
        return tuple([SRTPKey.parse(text) for method, _, text in pairs if method.lower() == "inline"])

    @property
    def mandatory_params(self) -> frozenset[str]:
        """The names of the session parameters that must be understood: those without a dash (section 6.3.7)."""
        names = [text.partition("=")[0] for text in self.session_params]
        return frozenset(name for name in names if not name.startswith("-"))

    @property
    def attribute(self) -> Attribute:
        """The attribute that says so."""
        return Attribute("crypto", str(self))

    def __str__(self) -> str:
        return " ".join([str(self.tag), self.suite, ";".join(self.key_params), *self.session_params])

    def __repr__(self) -> str:
        return f"<Crypto {self.tag} {self.suite} {' '.join(self.session_params)}>"
