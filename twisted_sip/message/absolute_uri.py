"""URIs of schemes that SIP does not look into (``absoluteURI``, RFC 3261 section 25.1): kept as they are."""

from __future__ import annotations

import re

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.hosts import printable

_ABSOLUTE = re.compile(r"([A-Za-z][A-Za-z0-9+\-.]*+):[^\x00-\x20<>\"\x7f]++").fullmatch


class AbsoluteURI:
    """A URI of any other scheme. Treat as immutable.

    :ivar scheme: the scheme in lower case.
    :ivar opaque: everything behind the scheme's colon, as written.
    """

    __slots__ = ("_text", "opaque", "scheme")

    def __init__(self, text: str) -> None:
        """Read *text*.

        :raises RemoteProtocolError: it is no absolute URI.
        """
        found = _ABSOLUTE(text)
        if found is None:
            raise RemoteProtocolError(f"Malformed URI {printable(text)}")
        scheme: str = found[1]
        self.scheme = scheme.lower()
        self.opaque = text[len(scheme) + 1 :]
        self._text = text

    @classmethod
    def parse(cls, text: str) -> AbsoluteURI:
        """Parse *text*.

        :raises RemoteProtocolError: it is no absolute URI.
        """
        return cls(text)

    def equivalent(self, other: object) -> bool:
        """Tell whether *other* is the same URI: scheme in any case, the rest byte for byte (RFC 3986 section 6.2.1)."""
        return isinstance(other, AbsoluteURI) and self.canonical() == other.canonical()

    def canonical(self) -> str:
        """Return a key that equivalent URIs share."""
        return f"{self.scheme}:{self.opaque}"

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"<AbsoluteURI {self._text}>"

    def __eq__(self, other: object) -> bool:
        """Tell whether the text is the same; :meth:`equivalent` is the comparison of meaning."""
        return self._text == other._text if isinstance(other, AbsoluteURI) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)
