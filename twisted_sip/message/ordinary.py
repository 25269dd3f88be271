"""The ordinary datagram, read in as few steps as can be: names that are known, values of the usual shape.

Whatever is not ordinary in any way is left to :mod:`twisted_sip.message.parser`, which reads everything, says what is
wrong, and comes to the same result for what is read here (RFC 3261 sections 7, 8.1.1 and 18.3).
"""

from __future__ import annotations

from typing import NamedTuple

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.address_lines import PARTIES, is_plain_tag, named
from twisted_sip.message.cseq import cseq_in
from twisted_sip.message.grammar import is_token
from twisted_sip.message.header_map import HeaderMap, line_value
from twisted_sip.message.header_names import CANONICAL, canonical
from twisted_sip.message.kept import Kept
from twisted_sip.message.limits import SHORT, MessageLimits
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.start_line import START_LINES
from twisted_sip.message.via import via_in

#: Fields that stand exactly once in every message (RFC 3261 section 8.1.1, 8.2.6.2; table 2 of section 20).
ONCE = ("from", "to", "call-id", "cseq")
#: Fields that are looked at here.
_LOOKED_AT = frozenset((*ONCE, "via", "content-length", "max-forwards"))


class _Layout(NamedTuple):
    """Where the fields stand that are looked at: numbers of lines.

    :ivar length: Content-Length, -1 where there is none.
    :ivar unknown: the lines whose names are not those of the registry in a usual spelling.
    """

    via: int
    from_: int
    to: int
    call_id: int
    cseq: int
    length: int
    unknown: tuple[int, ...]


def _read_layout(names: tuple[str | None, ...]) -> _Layout | None:
    """Return the layout of lines with these *names*, None where a field is missing or stands too often."""
    count = names.count
    if any(count(name) != 1 for name in ONCE) or "via" not in names:
        return None
    if count("max-forwards") > 1 or count("content-length") > 1:
        return None
    place = names.index
    return _Layout(
        place("via"),
        place("from"),
        place("to"),
        place("call-id"),
        place("cseq"),
        place("content-length") if "content-length" in names else -1,
        tuple([number for number, name in enumerate(names) if name is None]),
    )


def _read_size(line: str) -> int:
    """Return the number in a Content-Length *line*, -1 where there is none or it hides in a very long line."""
    text = line_value(line) if len(line) <= SHORT else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else -1


#: Content-Length lines -> the number in them, -1 where there is none.
SIZES: Kept[str, int] = Kept(_read_size, 1024)
_LAYOUTS: Kept[tuple[str | None, ...], _Layout | None] = Kept(_read_layout, 1024)
#: Canonical names by every usual spelling with its colon; a plain dict, since this is asked for every line of every
#: message.
_known = {f"{spelling}:": name for spelling, name in CANONICAL.items()}.get


def read_ordinary(data: bytes, limits: MessageLimits) -> Request | Response | None:
    """Return the message in the datagram *data*, None if it is not ordinary."""
    end = data.find(b"\r\n\r\n")
    if len(data) > limits.message or not 0 < end <= limits.head:
        return None
    try:
        text = data[:end].decode()
    except UnicodeDecodeError:
        return None
    # Cut at every kind of line end, and put together again with the right one: they differ where there is another.
    lines = text.splitlines()
    if "\r\n".join(lines) != text or "\0" in text or len(lines) > limits.header_count + 1:
        return None
    start = START_LINES[lines.pop(0)]
    if start is None:
        return None
    # A line without a colon is called nothing, which nobody knows.
    names: list[str] = [_known(line[: line.find(":") + 1]) for line in lines]  # type: ignore[misc]
    layout = _LAYOUTS[tuple(names)]
    if layout is None:
        return None
    via_at, from_at, to_at, call_id_at, cseq_at, length_at, unknown = layout
    if unknown and not _name(unknown, lines, names):
        return None
    body = data[end + 4 :]
    if length_at >= 0:
        size = SIZES[lines[length_at]]
        if size != len(body):
            if not 0 <= size < len(body):
                return None
            # Section 18.3: what comes behind the body is ignored.
            body = body[:size]
    via = via_in(lines[via_at])
    line = lines[call_id_at]
    call_id = line[9:] if line.startswith("Call-ID: ") else line.partition(":")[2].strip(" \t")
    if via is None or not call_id or " " in call_id or "," in call_id or ";" in call_id or "\t" in call_id:
        return None
    headers = HeaderMap.__new__(HeaderMap)
    headers.names = names
    headers.lines = lines
    headers.parsed = parsed = {"via": via, "call-id": call_id}
    method, text, uri, status = start
    try:
        line = lines[to_at]
        untagged, mark, tag = line.partition(";tag=")
        address = PARTIES[untagged]
        if address is None or not (tag.isalnum() or is_plain_tag(tag)):
            parsed["to"] = named("To", line_value(line))
        elif not mark:
            parsed["to"] = address
        elif uri is not None:
            # Whoever gets a request looks at both tags; responses are known by their branch.
            parsed["to"] = address.tagged(tag)
        line = lines[from_at]
        untagged, mark, tag = line.partition(";tag=")
        address = PARTIES[untagged]
        if address is None or not (tag.isalnum() or is_plain_tag(tag)):
            parsed["from"] = named("From", line_value(line))
        elif uri is not None:
            parsed["from"] = address.tagged(tag) if mark else address
        parsed["cseq"] = cseq = cseq_in(lines[cseq_at])
    except RemoteProtocolError:
        return None
    if uri is None:
        response = Response.__new__(Response)
        response.status = status
        response.reason = text
        response.headers = headers
        response.body = body
        response.flow = None
        return response
    if cseq[1] != method or len(text) > limits.uri:
        return None
    request = Request.__new__(Request)
    request.method = method
    request.uri_text = text
    request.known_uri = uri
    request.headers = headers
    request.body = body
    request.flow = None
    return request


def _name(unknown: tuple[int, ...], lines: list[str], names: list[str]) -> bool:
    """Put the names of *lines* that nobody knows into *names*; return whether all of them are well-formed."""
    for place in unknown:
        spelled, colon, _ = lines[place].partition(":")
        name = canonical(spelled)
        # A line that begins with white space continues the one before (section 7.3.1).
        if not colon or spelled[:1] in (" ", "\t") or not is_token(name) or name in _LOOKED_AT:
            return False
        names[place] = name
    return True
