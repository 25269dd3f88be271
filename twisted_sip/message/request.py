"""A SIP request (RFC 3261 section 7.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.grammar import is_token
from twisted_sip.message.header_map import HeaderMap
from twisted_sip.message.message import Message
from twisted_sip.message.uri import URI, parse_uri

#: What would break a request line apart.
_UNFIT = re.compile(r"[ \t\r\n\0<>]").search

_new = object.__new__


class Request(Message):
    """A SIP request.

    :ivar method: the method, case-sensitive.
    :ivar uri_text: the Request-URI as text.
    :ivar known_uri: the Request-URI if it has been read already, else None; for those to whom :attr:`uri` is too slow.
    """

    __slots__ = ("known_uri", "method", "uri_text")

    def __init__(
        self,
        method: str,
        uri: URI | str,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        """Make a request of *method* for *uri*.

        :param headers: (name, value) pairs.
        :raises LocalProtocolError: the method is no token, or CR, LF, NUL or white space would reach the head.
        """
        if not is_token(method):
            raise LocalProtocolError(f"{method!r} is no method name")
        self.method = method
        self.known_uri: URI | None = None
        self.uri_text = ""
        self.set_uri(uri)
        self.headers = HeaderMap(headers)
        self.body = body
        self.flow = None

    @classmethod
    def from_parts(cls, method: str, uri_text: str, headers: HeaderMap, body: bytes) -> Request:
        """Return a request made of parts that the parser has read; nothing is checked."""
        made = cls.__new__(cls)
        made.method = method
        made.uri_text = uri_text
        made.known_uri = None
        made.headers = headers
        made.body = body
        made.flow = None
        return made

    @property
    def uri(self) -> URI:
        """The Request-URI.

        :raises RemoteProtocolError: it is malformed.
        """
        uri = self.known_uri
        if uri is None:
            try:
                uri = self.known_uri = parse_uri(self.uri_text)
            except RemoteProtocolError as error:
                raise RemoteProtocolError(f"Malformed Request-URI: {error.reason}", status=error.status) from error
        return uri

    def set_uri(self, uri: URI | str) -> None:
        """Put another Request-URI in place.

        :raises LocalProtocolError: it holds white space, CR, LF or NUL, or is empty.
        """
        if isinstance(uri, str):
            if not uri or _UNFIT(uri) is not None:
                raise LocalProtocolError(f"{uri!r} cannot be a Request-URI")
            self.known_uri = None
            self.uri_text = uri
        else:
            # No kind of URI reads any of that.
            self.known_uri = uri
            self.uri_text = str(uri)

    @property
    def start_line(self) -> str:
        return f"{self.method} {self.uri_text} SIP/2.0"

    def to_bytes(self) -> bytes:
        # The start line is put together here, since a property is slow to ask for.
        return self._on_the_wire(f"{self.method} {self.uri_text} SIP/2.0")

    def copy(self) -> Request:
        """Return an independent copy that shares the lines' text (RFC 3261 section 16.6 step 1)."""
        made = _new(Request)
        made.method = self.method
        made.uri_text = self.uri_text
        made.known_uri = self.known_uri
        # HeaderMap.copy() without the call.
        source = self.headers
        made.headers = headers = _new(HeaderMap)
        headers.names = source.names.copy()
        headers.lines = source.lines.copy()
        headers.parsed = source.parsed.copy()
        made.body = self.body
        made.flow = self.flow
        return made

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.uri_text}>"
