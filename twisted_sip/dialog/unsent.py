"""A request as it was before it left, so that it can leave once more (RFC 3261 section 13.2.2.4, RFC 4028 section 7.3).

On its way out a request gains a Via, and what else belongs to its way. Its lines alone take less than a copy of it.
"""

from __future__ import annotations

from typing import NamedTuple

from twisted_sip.message.header_map import HeaderMap
from twisted_sip.message.request import Request


class Unsent(NamedTuple):
    """What a request is made of.

    :ivar method: its method.
    :ivar uri: its Request-URI, as text.
    :ivar names: the names of its header fields.
    :ivar lines: the lines of them.
    :ivar body: its body.
    """

    method: str
    uri: str
    names: tuple[str, ...]
    lines: tuple[str, ...]
    body: bytes

    @classmethod
    def of(cls, request: Request) -> Unsent:
        """Return what *request* is made of now."""
        headers = request.headers
        return _new(cls, (request.method, request.uri_text, tuple(headers.names), tuple(headers.lines), request.body))

    def request(self) -> Request:
        """Return the request once more."""
        headers = HeaderMap.from_lines(list(self.names), list(self.lines))
        return Request.from_parts(self.method, self.uri, headers, self.body)


_new = tuple.__new__
