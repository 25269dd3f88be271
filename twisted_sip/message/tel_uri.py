"""tel URIs: telephone numbers (RFC 3966)."""

from __future__ import annotations

import re

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.escapes import normal_form
from twisted_sip.message.grammar import NO_PARAMS, Params
from twisted_sip.message.hosts import printable

_GLOBAL = re.compile(r"\+[\-.()]*+[0-9][0-9\-.()]*+").fullmatch
_LOCAL = re.compile(r"[\-.()]*+[0-9A-Fa-f*#][0-9A-Fa-f*#\-.()]*+").fullmatch
_EXTENSION = re.compile(r"[0-9\-.()]+").fullmatch
_DOMAIN = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9\-]*+\.)*[A-Za-z][A-Za-z0-9\-]*+\.?").fullmatch
_NAME = re.compile(r"[A-Za-z0-9\-]+").fullmatch
_VALUE = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()\[\]/:&+$]++|%[0-9A-Fa-f]{2})++").fullmatch
# isub takes any uric; "?" and "," and "=" and "@" on top.
_SUBADDRESS = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()\[\]/:&+$?,=@]++|%[0-9A-Fa-f]{2})++").fullmatch
_SEPARATORS = str.maketrans("", "", "-.()")


class TelURI:
    """A telephone number as a URI. Treat as immutable.

    :ivar scheme: ``tel``.
    :ivar number: the number as written, visual separators and a leading ``+`` included.
    :ivar params: the parameters.
    """

    __slots__ = ("_text", "number", "params")

    scheme = "tel"

    def __init__(self, text: str) -> None:
        """Read *text*.

        :raises RemoteProtocolError: it is no tel URI (RFC 3966 section 3).
        """
        self._text = text
        scheme, _, rest = text.partition(":")
        number, semicolon, tail = rest.partition(";")
        if scheme.lower() != "tel" or (_GLOBAL if number.startswith("+") else _LOCAL)(number) is None:
            raise RemoteProtocolError(f"Malformed tel URI {printable(text)}")
        self.number = number
        self.params = _parse_params(text, tail) if semicolon else NO_PARAMS
        if number[0] != "+" and "phone-context" not in self.params:
            # Section 5.1.5: a local number is nothing without its context.
            raise RemoteProtocolError(f"Local number without phone-context in {printable(text)}")

    @classmethod
    def parse(cls, text: str) -> TelURI:
        """Parse *text*.

        :raises RemoteProtocolError: it is no tel URI.
        """
        return cls(text)

    @property
    def is_global(self) -> bool:
        """True for a global number, which starts with ``+`` (section 5.1.4)."""
        return self.number[0] == "+"

    @property
    def digits(self) -> str:
        """The number without visual separators (section 5.1.1), in lower case, with its ``+`` if it is global."""
        return self.number.translate(_SEPARATORS).lower()

    @property
    def phone_context(self) -> str:
        """Where a local number is valid (section 5.1.5), an empty string for most global ones."""
        return self.params.get("phone-context") or ""

    @property
    def mandatory_params(self) -> tuple[str, ...]:
        """The names of ``m-`` parameters; whoever does not know them all must not use the URI (section 5.4)."""
        return tuple(name for name in self.params if name.startswith("m-"))

    def canonical(self) -> str:
        """Return a key that equivalent URIs share, and only they (section 4)."""
        pairs = []
        for name in sorted(self.params):
            value = self.params.get(name)
            if value is None:
                pairs.append(f";{name}")
                continue
            if name == "ext" or (name == "phone-context" and value.startswith("+")):
                value = value.translate(_SEPARATORS)
            pairs.append(f";{name}={normal_form(value).lower()}")
        return f"tel:{self.digits}{''.join(pairs)}"

    def equivalent(self, other: object) -> bool:
        """Tell whether *other* means the same number (section 4)."""
        return isinstance(other, TelURI) and self.canonical() == other.canonical()

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"<TelURI {self._text}>"

    def __eq__(self, other: object) -> bool:
        """Tell whether the text is the same; :meth:`equivalent` is the comparison of meaning."""
        return self._text == other._text if isinstance(other, TelURI) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)


def _parse_params(text: str, tail: str) -> Params:
    items: list[tuple[str, str | None]] = []
    for part in tail.split(";"):
        name, equal, value = part.partition("=")
        key = name.lower()
        if _NAME(name) is None or not _is_value(key, value if equal else None):
            raise RemoteProtocolError(f"Malformed parameter in {printable(text)}")
        items.append((name, value if equal else None))
    params = Params(items)
    if len(set(params)) != len(items):
        raise RemoteProtocolError(f"Parameter stands twice in {printable(text)}")
    if "isub" in params and "ext" in params:
        raise RemoteProtocolError(f"Both isub and ext in {printable(text)}")  # section 5.3
    return params


def _is_value(key: str, value: str | None) -> bool:
    if key == "phone-context":
        return value is not None and (_GLOBAL if value.startswith("+") else _DOMAIN)(value) is not None
    if key == "ext":
        return value is not None and _EXTENSION(value) is not None
    if key == "isub":
        return value is not None and _SUBADDRESS(value) is not None
    return value is None or _VALUE(value) is not None
