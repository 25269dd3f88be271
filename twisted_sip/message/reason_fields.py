"""Reason (RFC 3326) and Warning (RFC 3261 section 20.43): why something happened, for people and for logs."""

from __future__ import annotations

import re
from typing import ClassVar

from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.grammar import check_value, quote, unquote
from twisted_sip.message.parameterized import Parameters, TokenWithParams, parameter, refuse

_WARNING = re.compile(r'[ \t]*+([0-9]{3})[ \t]++([^ \t"]++)[ \t]*+("(?:[^"\\]++|\\.)*+")[ \t]*+', re.DOTALL).fullmatch


class Reason(TokenWithParams):
    """One element of Reason (RFC 3326 section 2): a protocol, a cause and a text."""

    __slots__ = ()

    header: ClassVar[str] = "Reason"

    @classmethod
    def build(cls, protocol: str, cause: int | None = None, text: str = "", params: Parameters = ()) -> Reason:
        """Return a value to send: ``Reason.build("SIP", 200, "Call completed elsewhere")``.

        :raises LocalProtocolError: *protocol* is no token, *cause* negative, or CR, LF or NUL stands in a value.
        """
        made: list[tuple[str, str | None]] = []
        if cause is not None:
            if cause < 0:
                raise LocalProtocolError(f"{cause} is no cause")
            made.append(("cause", str(cause)))
        value = cls(protocol, [*made, *params])
        if text:
            # A quoted string even where a token would do (RFC 3326 section 2).
            value.params = value.params.with_("text", quote(text))
        return value

    @property
    def protocol(self) -> str:
        """The protocol in upper case: ``SIP``, ``Q.850``."""
        return self.token.upper()

    @property
    def cause(self) -> int | None:
        """The cause, None if there is none that is a number."""
        text = parameter(self.params, "cause")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None

    @property
    def text(self) -> str:
        """The text, empty if there is none."""
        return parameter(self.params, "text")


class SIPWarning:
    """One element of Warning (RFC 3261 section 20.43).

    :ivar code: 100 to 999.
    :ivar agent: host, host and port, or pseudonym of who warns.
    :ivar text: the text.
    """

    __slots__ = ("agent", "code", "text")

    def __init__(self, code: int, agent: str, text: str) -> None:
        """Make a value to send.

        :raises LocalProtocolError: *code* has not three digits, *agent* is empty or holds white space or quotes, or CR,
            LF or NUL stands in a value.
        """
        check_value(agent + text)
        if not 100 <= code <= 999:
            raise LocalProtocolError(f"{code} is no warning code: 100 to 999")
        if not agent or any(mark in agent for mark in ' \t",;<>'):
            raise LocalProtocolError(f"{agent!r} is no warning agent: a host or a token is required")
        self.code = code
        self.agent = agent
        self.text = text

    @classmethod
    def parse(cls, text: str) -> SIPWarning:
        """Return the value in *text*.

        :raises RemoteProtocolError: it is malformed, or its code has not three digits (RFC 4475 section 3.1.2.5).
        """
        found = _WARNING(text)
        if found is None:
            refuse("Warning", "a code of three digits, an agent and a quoted text are required")
        code, agent, quoted = found.groups()
        try:
            return cls(int(code), agent, unquote(quoted))
        except LocalProtocolError:
            refuse("Warning", "bad code, agent or text")

    def __str__(self) -> str:
        return f"{self.code} {self.agent} {quote(self.text)}"

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, SIPWarning) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"<Warning {self}>"
