"""SIP and SIPS URIs (RFC 3261 sections 19.1 and 25.1), and the choice among the kinds of URI.

Comparison lives in :mod:`uri_comparison`, tel URIs in :mod:`tel_uri`, all others in :mod:`absolute_uri`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias, TypedDict, Unpack

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.absolute_uri import AbsoluteURI as AbsoluteURI
from twisted_sip.message.escapes import normal_form, unescape, unescape_user
from twisted_sip.message.grammar import NO_PARAMS, Params
from twisted_sip.message.hosts import HOST, canonical_host, check_port, ipv6_bytes, printable
from twisted_sip.message.limits import SHORT
from twisted_sip.message.tel_uri import TelURI as TelURI
from twisted_sip.message.uri_comparison import canonical, equivalent

# One pass over the whole URI, possessive throughout. "#" is no legal user character, but phones dial it unescaped;
# "@", ";" and "," stand unescaped in many a headers part (Replaces in Refer-To), where they cannot be mistaken.
_SIP_URI = re.compile(
    r"([Ss][Ii][Pp][Ss]?+):"
    r"(?:((?:[A-Za-z0-9\-_.!~*'()&=+$,;?/#]++|%[0-9A-Fa-f]{2})++)"
    r"(?::((?:[A-Za-z0-9\-_.!~*'()&=+$,]++|%[0-9A-Fa-f]{2})*+))?+@)?+"
    rf"({HOST})(?::([0-9]{{1,19}}+))?+"
    r"((?:;(?!=)(?:[A-Za-z0-9\-_.!~*'()\[\]/:&+$=]++|%[0-9A-Fa-f]{2})++)*+)"
    r"(?:\?((?:[A-Za-z0-9\-_.!~*'()\[\]/?:+$=&;,@]++|%[0-9A-Fa-f]{2})++))?+"
).fullmatch


class _Fields(TypedDict, total=False):
    scheme: str
    user: str | None
    password: str | None
    host: str
    port: int | None
    params: Params | Iterable[tuple[str, str | None]]
    headers: str


class SIPURI:
    """A sip or sips URI. Treat as immutable.

    :ivar scheme: ``sip`` or ``sips``.
    :ivar user: the user part as written, escapes and all; None where there is none.
    :ivar password: the password as written, None where there is none.
    :ivar host: the host as written; an IPv6 reference keeps its brackets.
    :ivar port: the port, None where it is left out.
    :ivar headers: the headers part as written, without its ``?``; an empty string where there is none.
    :ivar text: the whole URI as written.
    """

    __slots__ = ("_aor", "_params", "_params_text", "headers", "host", "password", "port", "scheme", "text", "user")

    scheme: str
    user: str | None
    password: str | None
    host: str
    port: int | None
    headers: str
    text: str
    _params_text: str
    _params: Params | None
    _aor: str

    def __init__(
        self,
        host: str,
        user: str | None = None,
        port: int | None = None,
        params: Params | Iterable[tuple[str, str | None]] = (),
        *,
        scheme: str = "sip",
        password: str | None = None,
        headers: str = "",
    ) -> None:
        """Make a URI. Parts are given as they are to be written (see escapes.escape_user and escape_parameter).

        :raises LocalProtocolError: a part is not legal in its place.
        """
        given = params if isinstance(params, Params) else Params(params)
        tail = str(given)
        text = [scheme, ":"]
        if user is not None:
            text.append(f"{user}@" if password is None else f"{user}:{password}@")
        text.append(host if port is None else f"{host}:{port}")
        text.append(tail)
        if headers:
            text.append(f"?{headers}")
        try:
            self._read("".join(text))
        except RemoteProtocolError as error:
            raise LocalProtocolError(error.reason) from error
        parts = (scheme, user, password, host, port, given.items(), headers)
        if parts != (self.scheme, self.user, self.password, self.host, self.port, self.params.items(), self.headers):
            raise LocalProtocolError(f"{self.text!r} would not read back as it was put together")

    @classmethod
    def parse(cls, text: str) -> SIPURI:
        """Parse a sip or sips URI.

        :raises RemoteProtocolError: it is malformed.
        """
        uri = cls.__new__(cls)
        uri._read(text)
        return uri

    def _read(self, text: str) -> None:
        found = _SIP_URI(text)
        if found is None:
            raise RemoteProtocolError(f"Malformed SIP URI {printable(text)}")
        scheme, self.user, self.password, host, port, self._params_text, headers = found.groups()
        self.scheme = scheme if scheme == "sip" else scheme.lower()
        if host[0] == "[" and ipv6_bytes(host) is None:
            raise RemoteProtocolError(f"Malformed IPv6 reference in {printable(text)}")
        self.host = host
        self.port = None if port is None else check_port(port)
        self.headers = headers or ""
        self._params = None
        self._aor = ""
        self.text = text

    def replace(self, **fields: Unpack[_Fields]) -> SIPURI:
        """Return this URI with some parts replaced: scheme, user, password, host, port, params, headers.

        :raises LocalProtocolError: a part is not legal in its place.
        """
        return SIPURI(
            fields.get("host", self.host),
            fields.get("user", self.user),
            fields.get("port", self.port),
            fields.get("params", self.params),
            scheme=fields.get("scheme", self.scheme),
            password=fields.get("password", self.password),
            headers=fields.get("headers", self.headers),
        )

    @property
    def params(self) -> Params:
        """The uri-parameters. Names are found in any case and escaped or not; values are as written."""
        params = self._params
        if params is None:
            text = self._params_text
            params = self._params = _parse_params(text) if text else NO_PARAMS
        return params

    def with_user(self, user: str) -> SIPURI:
        """Return this URI, which has no user part, with *user*, unreserved characters alone: nothing is checked."""
        made = SIPURI.__new__(SIPURI)
        made.scheme = scheme = self.scheme
        made.user = user
        made.password = None
        made.host = self.host
        made.port = self.port
        made.headers = self.headers
        made._params_text = self._params_text
        made._params = self._params
        made._aor = ""
        made.text = f"{scheme}:{user}@{self.text[len(scheme) + 1 :]}"
        return made

    @property
    def secure(self) -> bool:
        """True for sips."""
        return self.scheme == "sips"

    @property
    def transport(self) -> str:
        """The transport parameter in lower case, an empty string where there is none."""
        return self._value("transport").lower() if self._params_text else ""

    @property
    def lr(self) -> bool:
        """True if the element at this URI is a loose router (section 19.1.1)."""
        return "lr" in self.params if self._params_text else False

    @property
    def maddr(self) -> str:
        """The maddr parameter, an empty string where there is none."""
        return self._value("maddr") if self._params_text else ""

    @property
    def ttl(self) -> int | None:
        """The ttl parameter, None where there is none.

        :raises RemoteProtocolError: it is no number up to 255.
        """
        value = self._value("ttl")
        if not value:
            return None
        if not (value.isdigit() and value.isascii() and len(value) < 4 and int(value) < 256):
            raise RemoteProtocolError(f"Malformed ttl in {printable(self.text)}")
        return int(value)

    @property
    def method(self) -> str:
        """The method parameter, an empty string where there is none."""
        return self._value("method")

    @property
    def is_phone(self) -> bool:
        """True if the user part is a telephone-subscriber (``user=phone``, section 19.1.6)."""
        return self._value("user").lower() == "phone"

    def _value(self, name: str) -> str:
        return unescape(self.params.get(name) or "")

    @property
    def address_of_record(self) -> str:
        """The URI as a registrar's key (section 10.3 step 5): ``sip:user@host``.

        Scheme ``sip``, escapes in the user part undone where they may be, host canonical; nothing else.
        """
        aor = self._aor
        if not aor:
            host = canonical_host(self.host)
            aor = f"sip:{host}" if self.user is None else f"sip:{unescape_user(self.user)}@{host}"
            self._aor = aor
        return aor

    def canonical(self) -> str:
        """Return a key that equivalent URIs share (section 19.1.4); others may share it, :meth:`equivalent` decides."""
        return canonical(self)

    def equivalent(self, other: object) -> bool:
        """Tell whether *other* is an equivalent URI (section 19.1.4, RFC 5954). Not transitive."""
        return isinstance(other, SIPURI) and equivalent(self, other, parse_uri)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<SIPURI {self.text}>"

    def __eq__(self, other: object) -> bool:
        """Tell whether the text is the same; :meth:`equivalent` is the comparison of meaning."""
        return self.text == other.text if isinstance(other, SIPURI) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.text)


def _parse_params(text: str) -> Params:
    items: list[tuple[str, str | None]] = []
    for part in text[1:].split(";"):
        name, equal, value = part.partition("=")
        items.append((name, value if equal else None))
    return Params(items, _escaped_key) if "%" in text else Params(items)


def _escaped_key(name: str) -> str:
    return normal_form(name).lower()


URI: TypeAlias = SIPURI | TelURI | AbsoluteURI


def parse_uri(text: str) -> URI:
    """Parse a URI of any scheme.

    Texts repeat and values are immutable, so the latest are kept.

    :raises RemoteProtocolError: it is malformed. A foreign scheme is no mistake here; who must reach it answers 416.
    """
    return _kept(text) if len(text) <= SHORT else _read_uri(text)


def _read_uri(text: str) -> URI:
    if text.startswith("sip:"):
        return SIPURI.parse(text)
    scheme = text[:5].lower()
    if scheme.startswith(("sip:", "sips:")):
        return SIPURI.parse(text)
    if scheme.startswith("tel:"):
        return TelURI(text)
    return AbsoluteURI(text)


_kept = lru_cache(maxsize=4096)(_read_uri)
