"""Privacy (RFC 3323 section 4.2) and the rules of P-Asserted-Identity and P-Preferred-Identity (RFC 3325)."""

from __future__ import annotations

from collections.abc import Iterable

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.grammar import is_token
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.parameterized import check_token, refuse
from twisted_sip.message.tel_uri import TelURI
from twisted_sip.message.uri import SIPURI


class Privacy:
    """Privacy: what a user wants hidden.

    :ivar values: the values in lower case, in order, each once: ``id``, ``header``, ``session``, ``user``, ``none``,
        ``critical``, ``history`` (RFC 7044 section 10.1) or others.
    """

    __slots__ = ("values",)

    def __init__(self, values: Iterable[str]) -> None:
        """Make a value to send.

        :raises LocalProtocolError: a value is no token, or there is none.
        """
        self.values = tuple(dict.fromkeys(check_token(value, "privacy value").lower() for value in values))
        if not self.values:
            check_token("", "privacy value")

    @classmethod
    def parse(cls, text: str) -> Privacy:
        """Return the value in *text*; lenient, commas separate as semicolons do.

        :raises RemoteProtocolError: it is malformed or empty.
        """
        values = [part.strip(" \t") for part in text.replace(",", ";").split(";")]
        values = [value for value in values if value]
        if not values or not all(map(is_token, values)):
            refuse("Privacy", "no token")
        return cls(values)

    def __contains__(self, value: object) -> bool:
        return value in self.values

    @property
    def none(self) -> bool:
        """True if the user wants nothing hidden, whatever the defaults are (RFC 3323 section 4.2)."""
        return "none" in self.values

    @property
    def critical(self) -> bool:
        """True if the request shall fail where the privacy cannot be had (RFC 3323 section 4.2)."""
        return "critical" in self.values

    @property
    def id(self) -> bool:
        """True if the asserted identity stays inside of the trust domain (RFC 3325 section 9.3)."""
        return "id" in self.values

    def __str__(self) -> str:
        return ";".join(self.values)

    def __eq__(self, other: object) -> bool:
        return set(self.values) == set(other.values) if isinstance(other, Privacy) else NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(self.values))

    def __repr__(self) -> str:
        return f"<Privacy {self}>"


def check_identities(identities: Iterable[NameAddr], header: str = "P-Asserted-Identity") -> None:
    """Refuse a list of asserted or preferred identities that RFC 3325 sections 9.1 and 9.2 do not allow.

    :raises RemoteProtocolError: more than one SIP or SIPS URI, more than one tel URI, or another scheme.
    """
    kinds: set[str] = set()
    for identity in identities:
        uri = identity.uri
        kind = "sip" if isinstance(uri, SIPURI) else "tel" if isinstance(uri, TelURI) else ""
        if not kind:
            raise RemoteProtocolError(f"Malformed {header} header field: sip, sips or tel is required", header=header)
        if kind in kinds:
            raise RemoteProtocolError(f"Malformed {header} header field: two {kind} URIs", header=header)
        kinds.add(kind)
