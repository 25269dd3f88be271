"""A SIP response (RFC 3261 section 7.2)."""

from __future__ import annotations

from collections.abc import Iterable

from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.grammar import check_value
from twisted_sip.message.header_map import HeaderMap
from twisted_sip.message.message import Message
from twisted_sip.message.status import reason_phrase


class Response(Message):
    """A SIP response.

    :ivar status: the status code, 100 to 699.
    :ivar reason: the reason phrase.
    """

    __slots__ = ("reason", "status")

    def __init__(
        self,
        status: int,
        reason: str = "",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        """Make a response with *status*; an empty *reason* becomes the registered phrase.

        :raises LocalProtocolError: the status is out of range, or CR, LF or NUL would reach the head.
        """
        if not 100 <= status <= 699:
            raise LocalProtocolError(f"{status} is no response status: 100 to 699")
        check_value(reason)
        self.status = status
        self.reason = reason or reason_phrase(status)
        self.headers = HeaderMap(headers)
        self.body = body
        self.flow = None

    @classmethod
    def from_parts(cls, status: int, reason: str, headers: HeaderMap, body: bytes) -> Response:
        """Return a response made of parts that are known to be right; nothing is checked."""
        made = cls.__new__(cls)
        made.status = status
        made.reason = reason
        made.headers = headers
        made.body = body
        made.flow = None
        return made

    @property
    def start_line(self) -> str:
        return f"SIP/2.0 {self.status} {self.reason}"

    def to_bytes(self) -> bytes:
        # The start line is put together here, since a property is slow to ask for.
        return self._on_the_wire(f"SIP/2.0 {self.status} {self.reason}")

    def copy(self) -> Response:
        """Return an independent copy that shares the lines' text."""
        made = Response.from_parts(self.status, self.reason, self.headers.copy(), self.body)
        made.flow = self.flow
        return made

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.reason}>"
