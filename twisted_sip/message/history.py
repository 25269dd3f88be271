"""History-Info: the targets that a request had on its way (RFC 7044 section 5)."""

from __future__ import annotations

from typing import Literal

from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.parameterized import Parameters, make_params, named, parameter, refuse
from twisted_sip.message.uri import URI

#: How a target came about: registered contact, mapped to another user, no change (RFC 7044 section 5).
Target = Literal["rc", "mp", "np"]
Index = tuple[int, ...]

_TARGETS: tuple[Target, ...] = ("rc", "mp", "np")
_parse_address = named("History-Info", NameAddr.parse)


def parse_index(text: str) -> Index:
    """Return the numbers of an index, ``1.1.2`` as (1, 1, 2).

    :raises RemoteProtocolError: it is malformed.
    """
    numbers = text.split(".")
    # Lenient: leading zeros, which RFC 4244 allowed. Nine digits are more than any tree of targets has.
    if not all(number.isascii() and number.isdigit() and len(number) < 10 for number in numbers):
        refuse("History-Info", "bad index")
    return tuple(map(int, numbers))


def format_index(index: Index) -> str:
    """Return *index* as text.

    :raises LocalProtocolError: it is empty or a number is negative.
    """
    if not index or min(index) < 0:
        raise LocalProtocolError(f"{index!r} is no index of a History-Info")
    return ".".join(map(str, index))


class HistoryEntry:
    """One element of History-Info: an address, its index, and how it came about.

    :ivar address: the hi-targeted-to-uri with all parameters. Its Reason and Privacy stand in the headers of its URI.
    """

    __slots__ = ("address",)

    def __init__(self, address: NameAddr) -> None:
        """Wrap *address*."""
        self.address = address

    @classmethod
    def parse(cls, text: str) -> HistoryEntry:
        """Return the value in *text*; lenient, an index may be missing.

        :raises RemoteProtocolError: it is malformed.
        """
        made = cls(_parse_address(text))
        for name in ("index", *_TARGETS):
            if name in made.address.params:
                parse_index(parameter(made.address.params, name))
        return made

    @classmethod
    def build(
        cls,
        uri: URI | str,
        index: Index,
        target: Target | None = None,
        of: Index = (),
        *,
        display_name: str = "",
        params: Parameters = (),
    ) -> HistoryEntry:
        """Return a value to send.

        :param target: how it came about, None where that is not known.
        :param of: the index of the entry it came from, required with *target*.
        :raises LocalProtocolError: a bad index or a value that cannot be sent.
        """
        made: list[tuple[str, str | None]] = [("index", format_index(index))]
        if target is not None:
            made.append((target, format_index(of)))
        return cls(NameAddr.build(uri, display_name, make_params([*made, *params]).items()))

    @property
    def index(self) -> Index:
        """The index, empty if there is none."""
        text = parameter(self.address.params, "index")
        return parse_index(text) if text else ()

    @property
    def target(self) -> tuple[Target, Index] | None:
        """How it came about and from which entry, None if that is not said."""
        for name in _TARGETS:
            if name in self.address.params:
                return name, parse_index(parameter(self.address.params, name))
        return None

    def __str__(self) -> str:
        return str(self.address)

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, HistoryEntry) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"<HistoryEntry {self}>"
