"""What the peer of a session can do, as its messages tell.

Allow and Supported of RFC 3261 sections 13.2.1, 13.2.2.1 and 13.3.1.4, Recv-Info of RFC 6086 section 5.2.
"""

from __future__ import annotations

from twisted_sip.dialog.session_terms import option_tags, tokens_of
from twisted_sip.message.header_map import HeaderMap
from twisted_sip.message.kept import Kept
from twisted_sip.message.message import Message

#: The most names of one list that are kept, and the longest that is.
_MOST_NAMES = 100
_LONGEST_NAME = 100

_NONE: frozenset[str] = frozenset()

#: The header fields that tell of it.
TELLING = frozenset(("allow", "supported", "recv-info"))


class Peer:
    """What the peer can do.

    :ivar packages: the Info Packages that it takes, None if it has not said.
    """

    packages: tuple[str, ...] | None = None
    _allow: frozenset[str] | None = None
    _supported: frozenset[str] = _NONE
    _forbidden: frozenset[str] = _NONE

    def learn(self, message: Message) -> None:
        """Take note of what *message* says; the newest word counts."""
        headers = message.headers
        names = headers.names
        if "allow" in names:
            line = headers.lines[names.index("allow")]
            self._allow = _METHODS[line] if names.count("allow") == 1 else _methods(headers)
        if "supported" in names:
            self._supported = frozenset(_kept(option_tags(message, "supported")))
        if "recv-info" in names:
            self.packages = tuple(_kept(tokens_of(headers, "recv-info") or ()))

    def allows(self, method: str) -> bool | None:
        """Tell whether it takes *method*, None if it has not said."""
        if method in self._forbidden:
            return False
        return None if self._allow is None else method in self._allow

    def forbid(self, method: str) -> None:
        """It has answered *method* as one that it does not know."""
        self._forbidden |= {method}

    def supports(self, tag: str) -> bool:
        """Tell whether it has said to support the option *tag*."""
        return tag.lower() in self._supported


def _kept(names: tuple[str, ...] | frozenset[str]) -> list[str]:
    return [name for name in names if len(name) <= _LONGEST_NAME][:_MOST_NAMES]


def _methods(headers: HeaderMap) -> frozenset[str]:
    return frozenset(_kept(tokens_of(headers, "allow") or ()))


#: Allow lines -> the methods in them: phones of one kind say the same.
_METHODS: Kept[str, frozenset[str]] = Kept(lambda line: _methods(HeaderMap.from_lines(["allow"], [line])), 1024)
