"""What requests and responses share: header fields with typed access, a body, and their way onto the wire.

RFC 3261 section 7. A header field is parsed when asked for and the result is kept until the field changes.
"""

from __future__ import annotations

from typing import Any

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.address_lines import address_in, named, party_in
from twisted_sip.message.cseq import CSeq, cseq_in
from twisted_sip.message.header_fields import FIELDS
from twisted_sip.message.header_map import HeaderMap, first_element, line_value
from twisted_sip.message.header_names import display
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.via import Via

#: The lines for bodies of less than this many bytes need not be put together each time.
_USUAL = 2048
_LENGTHS = tuple([f"Content-Length: {size}" for size in range(_USUAL)])
#: What the usual Max-Forwards lines say.
_HOPS = {f"Max-Forwards: {hops}": hops for hops in range(256)}


class Message:
    """A SIP message.

    :ivar headers: the header fields.
    :ivar body: the body, as bytes.
    :ivar flow: the flow over which it came in (an interfaces.flow.Flow), None for a message made here.
    """

    __slots__ = ("body", "flow", "headers")

    headers: HeaderMap
    body: bytes
    flow: Any

    @property
    def start_line(self) -> str:
        """The request line or status line, without its CRLF."""
        raise AssertionError("a Message is a Request or a Response")

    def to_bytes(self) -> bytes:
        """Return the message as it goes onto the wire; untouched lines are the bytes that came in.

        Content-Length is set to the body's length where it is missing or differs (RFC 3261 section 20.14).
        """
        return self._on_the_wire(self.start_line)

    def _on_the_wire(self, start_line: str) -> bytes:
        headers = self.headers
        lines = headers.lines
        body = self.body
        size = len(body)
        length = _LENGTHS[size] if size < _USUAL else f"Content-Length: {size}"
        names = headers.names
        # Mostly the last one: that is where the search begins.
        if names and names[-1] == "content-length":
            place = -1
        elif "content-length" in names:
            place = names.index("content-length")
        else:
            names.append("content-length")
            lines.append(length)
            place = -1
        line = lines[place]
        if line != length and line.partition(":")[2].strip(" \t") != str(size):
            lines[place] = length
            headers.parsed.pop("content-length", None)
        head = "\r\n".join([start_line, *lines, "", ""])
        try:
            data = head.encode()
        except UnicodeEncodeError:
            # There were octets that are no UTF-8.
            data = head.encode("utf-8", "surrogateescape")
        return data + body if body else data

    def __bytes__(self) -> bytes:
        return self.to_bytes()

    # -- typed access --------------------------------------------------------

    def _required_line(self, name: str) -> str:
        headers = self.headers
        try:
            return headers.lines[headers.names.index(name)]
        except ValueError:
            raise RemoteProtocolError(f"Missing {display(name)} header field", header=display(name)) from None

    @property
    def top_via(self) -> Via:
        """The topmost Via value (RFC 3261 section 20.42).

        :raises RemoteProtocolError: there is none, or it is malformed.
        """
        parsed = self.headers.parsed
        via = parsed.get("via")
        if via is None:
            headers = self.headers
            if "via" not in headers.names:
                raise RemoteProtocolError("Missing Via header field", header="Via")
            value = line_value(headers.lines[headers.names.index("via")])
            if "," in value:
                value = first_element(value)
            via = parsed["via"] = Via.parse(value)
        return via

    @property
    def vias(self) -> list[Via]:
        """All Via values, topmost first.

        :raises RemoteProtocolError: one is malformed.
        """
        return [Via.parse(value) for value in self.headers.elements("via")]

    @property
    def from_(self) -> NameAddr:
        """The From value (RFC 3261 section 20.20).

        :raises RemoteProtocolError: it is missing or malformed.
        """
        parsed = self.headers.parsed
        value = parsed.get("from")
        if value is None:
            value = parsed["from"] = party_in("From", self._required_line("from"))
        return value

    @property
    def to(self) -> NameAddr:
        """The To value (RFC 3261 section 20.39).

        :raises RemoteProtocolError: it is missing or malformed.
        """
        parsed = self.headers.parsed
        value = parsed.get("to")
        if value is None:
            value = parsed["to"] = party_in("To", self._required_line("to"))
        return value

    @property
    def call_id(self) -> str:
        """The Call-ID (RFC 3261 section 20.8).

        :raises RemoteProtocolError: it is missing.
        """
        parsed = self.headers.parsed
        value = parsed.get("call-id")
        if value is None:
            value = parsed["call-id"] = line_value(self._required_line("call-id"))
        return value

    @property
    def cseq(self) -> CSeq:
        """The CSeq (RFC 3261 section 20.16).

        :raises RemoteProtocolError: it is missing or malformed.
        """
        parsed = self.headers.parsed
        value = parsed.get("cseq")
        if value is None:
            value = parsed["cseq"] = cseq_in(self._required_line("cseq"))
        return value

    @property
    def max_forwards(self) -> int | None:
        """Max-Forwards (RFC 3261 section 20.22), None where it is missing.

        :raises RemoteProtocolError: it is malformed.
        """
        headers = self.headers
        if "max-forwards" not in headers.names:
            return None
        line = headers.lines[headers.names.index("max-forwards")]
        usual = _HOPS.get(line)
        if usual is not None:
            return usual
        value = line_value(line)
        if value.isdigit() and value.isascii() and len(value) < 10:
            return int(value)
        number: int = self.typed("max-forwards")
        return number

    @property
    def expires(self) -> int | None:
        """Expires in seconds (RFC 3261 section 20.19), None where it is missing.

        :raises RemoteProtocolError: it is malformed.
        """
        seconds: int | None = self.typed("expires")
        return seconds

    @property
    def contact_star(self) -> bool:
        """True if the Contact is ``*`` (RFC 3261 section 10.2.2), alone or not."""
        headers = self.headers
        count = headers.names.count("contact")
        if count == 1 and "*" not in headers.lines[headers.names.index("contact")]:
            return False
        return count > 0 and "*" in headers.elements("contact")

    @property
    def contacts(self) -> list[NameAddr]:
        """The Contact values (RFC 3261 section 20.10) but ``*``.

        :raises RemoteProtocolError: one is malformed.
        """
        return self._addresses("contact")

    @property
    def routes(self) -> list[NameAddr]:
        """The Route values, topmost first (RFC 3261 section 20.34).

        :raises RemoteProtocolError: one is malformed.
        """
        return self._addresses("route")

    @property
    def record_routes(self) -> list[NameAddr]:
        """The Record-Route values, topmost first (RFC 3261 section 20.30).

        :raises RemoteProtocolError: one is malformed.
        """
        return self._addresses("record-route")

    def _addresses(self, name: str) -> list[NameAddr]:
        headers = self.headers
        found = headers.parsed.get(name)
        if found is None:
            if name not in headers.names:
                return []
            label = display(name)
            line = headers.lines[headers.names.index(name)]
            if "," not in line and "*" not in line and headers.names.count(name) == 1 and line_value(line):
                found = [address_in(label, line)]
            else:
                found = [named(label, text) for text in headers.elements(name) if text != "*"]
            headers.parsed[name] = found
        return found

    def typed(self, name: str) -> Any:
        """Return the parsed value of the header field *name*: a list for fields that may have several values (empty
        where it is missing), else one value (None where it is missing); plain text for fields that are not known.

        :raises RemoteProtocolError: it is malformed, or stands twice where it may stand once.
        """
        field = FIELDS.get(name)
        headers = self.headers
        if field is None:
            return headers.first(name)
        if name not in headers.names:
            return [] if field.many else None
        if field.many:
            # Challenges and credentials have a line each: their commas separate parameters (section 7.3.1).
            return [field.parse(text) for text in (headers.elements(name) if field.comma else headers.all(name))]
        texts = headers.all(name)
        if len(texts) > 1:
            raise RemoteProtocolError(f"More than one {display(name)} header field", header=display(name))
        return field.parse(texts[0])
