"""Diversion: who has had a call forwarded, and why (RFC 5806, of historic use: gateways to older networks want it)."""

from __future__ import annotations

from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.grammar import is_token, quote
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.parameterized import Parameters, named, parameter
from twisted_sip.message.uri import URI

#: The reasons that RFC 5806 section 4 names.
REASONS = frozenset(
    (
        "unknown",
        "user-busy",
        "no-answer",
        "unavailable",
        "unconditional",
        "time-of-day",
        "do-not-disturb",
        "deflection",
        "follow-me",
        "out-of-service",
        "away",
    )
)

_parse_address = named("Diversion", NameAddr.parse)


class Diversion:
    """One element of Diversion; the one of the latest diversion stands first.

    :ivar address: who has had the call forwarded, with all parameters.
    """

    __slots__ = ("address",)

    def __init__(self, address: NameAddr) -> None:
        """Wrap *address*."""
        self.address = address

    @classmethod
    def parse(cls, text: str) -> Diversion:
        """Return the value in *text*.

        :raises RemoteProtocolError: it is malformed.
        """
        return cls(_parse_address(text))

    @classmethod
    def build(
        cls, uri: URI | str, reason: str, *, counter: int = 1, privacy: str = "", params: Parameters = ()
    ) -> Diversion:
        """Return a value to send.

        :param reason: one of :data:`REASONS`, or another word.
        :param counter: how many diversions it stands for, from 1 to 99.
        :param privacy: ``full``, ``name``, ``uri`` or ``off``, empty to leave it out.
        :raises LocalProtocolError: a value that cannot be sent.
        """
        if not 1 <= counter <= 99:
            raise LocalProtocolError(f"{counter} is no counter of a Diversion: 1 to 99")
        made: list[tuple[str, str | None]] = [("reason", reason if is_token(reason) else quote(reason))]
        made.append(("counter", str(counter)))
        if privacy:
            made.append(("privacy", privacy if is_token(privacy) else quote(privacy)))
        return cls(NameAddr.build(uri, "", [*made, *params]))

    @property
    def reason(self) -> str:
        """The reason in lower case, ``unknown`` where none is given."""
        return parameter(self.address.params, "reason").lower() or "unknown"

    @property
    def counter(self) -> int:
        """How many diversions it stands for: 1 where that is not said or makes no sense."""
        text = parameter(self.address.params, "counter")
        return int(text) if text.isascii() and text.isdigit() and 0 < len(text) < 3 and int(text) else 1

    @property
    def privacy(self) -> str:
        """What of it is not to be shown, in lower case: ``full``, ``name``, ``uri``; empty or ``off`` for nothing."""
        return parameter(self.address.params, "privacy").lower()

    def __str__(self) -> str:
        return str(self.address)

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, Diversion) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"<Diversion {self}>"
