"""The ordinary datagram, read in as few steps as can be: names that are known, values of the usual shape.

Most lines have come before, whole, and are known: those of one phone differ in Via, From, Call-ID and a few more. Which
lines those are tells where everything stands, and each of the others is compared with what is expected there.

Whatever is not ordinary in any way is left to :mod:`twisted_sip.message.parser`, which reads everything, says what is
wrong, and comes to the same result for what is read here (RFC 3261 sections 7, 8.1.1 and 18.3).
"""

from __future__ import annotations

from typing import TypeAlias

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.address_lines import RECIPIENTS, SENDERS, is_plain_tag, named
from twisted_sip.message.cseq import cseq_in
from twisted_sip.message.grammar import is_token
from twisted_sip.message.header_map import HeaderMap, line_value
from twisted_sip.message.header_names import CANONICAL, canonical
from twisted_sip.message.kept import Kept
from twisted_sip.message.limits import SHORT, MessageLimits
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.start_line import START_LINES, StartLine
from twisted_sip.message.via import via_in

#: Fields that stand exactly once in every message (RFC 3261 section 8.1.1, 8.2.6.2; table 2 of section 20).
ONCE = ("from", "to", "call-id", "cseq")
#: Fields that are looked at here.
_LOOKED_AT = frozenset((*ONCE, "via", "content-length", "max-forwards"))
#: Fields whose lines come again and again.
_REPEATED = frozenset(
    (
        "accept",
        "accept-encoding",
        "accept-language",
        "allow",
        "allow-events",
        "contact",
        "content-disposition",
        "content-length",
        "content-type",
        "event",
        "expires",
        "max-forwards",
        "min-se",
        "p-asserted-identity",
        "p-preferred-identity",
        "privacy",
        "proxy-require",
        "require",
        "server",
        "session-expires",
        "supported",
        "user-agent",
    )
)
#: The longest CSeq line that is taken to come again: those with a large number do not.
_CSEQ = len("CSeq: 999 REGISTER")


#: Where the fields stand that are looked at: the canonical names of all lines, the numbers of the lines of the topmost
#: Via, From, To, Call-ID, CSeq and Content-Length (-1 where there is none), whether the To line is one that has come
#: before, without a tag, and the other lines that have not come before: the number, how such a line has to begin, and
#: how long it may be to be kept. A plain tuple, since taking others apart is slow.
_Layout: TypeAlias = tuple[list[str], int, int, int, int, int, int, bool, tuple[tuple[int, str, int], ...]]


def _read_size(line: str) -> int:
    """Return the number in a Content-Length *line*, -1 where there is none or it hides in a very long line."""
    text = line_value(line) if len(line) <= SHORT else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else -1


def _beginning(line: str) -> str:
    """Return what of *line* stands before its value; empty if it has no colon."""
    return line[: line.find(":") + 1]


#: Canonical names by every usual spelling with its colon.
_known = {f"{spelling}:": name for spelling, name in CANONICAL.items()}.get
#: Content-Length lines -> the number in them, -1 where there is none.
SIZES: Kept[str, int] = Kept(_read_size, 1024)
#: Lines without CR, LF or NUL that have come before -> their canonical names.
_LINES: Kept[str, str | None] = Kept(lambda line: _known(_beginning(line)), 4096)
_name_of = _LINES.get
_new = object.__new__
#: The names of lines, None for each that is not known -> the layout of the message that had them last.
_LAYOUTS: dict[tuple[str | None, ...], _Layout] = {}
#: How many of them are kept, and of how many lines: no peer can fill the memory with them.
_MOST_LAYOUTS = 1024
_MOST_LINES = 48


def read_ordinary(data: bytes, limits: MessageLimits) -> Request | Response | None:
    """Return the message in the datagram *data*, None if it is not ordinary."""
    if data[-4:] == b"\r\n\r\n":
        # Nothing behind the head: if there is, the blank line before it is found among the lines.
        head, body = data[:-4], b""
    else:
        head, blank, body = data.partition(b"\r\n\r\n")
        if not blank:
            return None
    if len(data) > limits.message or len(head) > limits.head:
        return None
    try:
        lines = head.decode().split("\r\n")
    except UnicodeDecodeError:
        return None
    start = START_LINES[lines.pop(0)]
    if start is None or len(lines) > limits.header_count:
        return None
    shape = tuple(map(_name_of, lines))
    layout = _LAYOUTS.get(shape)
    message = None if layout is None else _read(lines, layout, start, body, limits)
    if message is None:
        # A new order of lines, or another one of which as many are not known.
        found = _lay_out(lines, shape)
        if found is not None and found != layout:
            if len(lines) <= _MOST_LINES and sum([len(beginning) for _, beginning, _ in found[-1]]) <= SHORT:
                if len(_LAYOUTS) >= _MOST_LAYOUTS:
                    _LAYOUTS.clear()
                _LAYOUTS[shape] = found
            message = _read(lines, found, start, body, limits)
    return message


def _read(
    lines: list[str], layout: _Layout, start: StartLine, body: bytes, limits: MessageLimits
) -> Request | Response | None:
    """Return the message of *start*, *lines* and *body*, None if it has another layout than this one or is odd."""
    names, via_at, from_at, to_at, call_id_at, cseq_at, length_at, to_known, fresh = layout
    for place, beginning, most in fresh:
        line = lines[place]
        if not line.startswith(beginning) or "\r" in line or "\n" in line or "\0" in line:
            return None
        if len(line) <= most:
            # Known from now on.
            _LINES[line]
    if length_at >= 0:
        size = SIZES[lines[length_at]]
        if size != len(body):
            if not 0 <= size < len(body):
                return None
            # Section 18.3: what comes behind the body is ignored.
            body = body[:size]
    via = via_in(lines[via_at])
    line = lines[call_id_at]
    spelled, _, call_id = line.partition(": ")
    if spelled != "Call-ID":
        if _known(_beginning(line)) != "call-id":
            return None
        call_id = line.partition(":")[2].strip(" \t")
    if via is None or not call_id or " " in call_id or "," in call_id or ";" in call_id or "\t" in call_id:
        return None
    if "\r" in call_id or "\n" in call_id or "\0" in call_id:
        return None
    method, text, uri, status = start
    headers = _new(HeaderMap)
    headers.names = names.copy()
    headers.lines = lines
    headers.parsed = parsed = {"via": via, "call-id": call_id}
    try:
        line = lines[to_at]
        if to_known:
            parsed["to"] = RECIPIENTS[line]
        else:
            untagged, mark, tag = line.partition(";tag=")
            address = RECIPIENTS[untagged]
            if address is None or (mark and not (tag.isalnum() or tag.replace("-", "").isalnum() or is_plain_tag(tag))):
                if not _is_clean(line, "to"):
                    return None
                parsed["to"] = named("To", line_value(line))
            elif not mark:
                parsed["to"] = address
                _LINES[line]
            elif uri is not None:
                # Whoever gets a request looks at both tags; responses are known by their branch.
                parsed["to"] = address.tagged(tag)
        line = lines[from_at]
        untagged, mark, tag = line.partition(";tag=")
        address = SENDERS[untagged]
        if address is None or (mark and not (tag.isalnum() or tag.replace("-", "").isalnum() or is_plain_tag(tag))):
            if not _is_clean(line, "from"):
                return None
            parsed["from"] = named("From", line_value(line))
        elif uri is not None:
            parsed["from"] = address.tagged(tag) if mark else address
        parsed["cseq"] = cseq = cseq_in(lines[cseq_at])
    except RemoteProtocolError:
        return None
    if uri is None:
        response = _new(Response)
        response.status = status
        response.reason = text
        response.headers = headers
        response.body = body
        response.flow = None
        return response
    if cseq[1] != method or len(text) > limits.uri:
        return None
    request = _new(Request)
    request.method = method
    request.uri_text = text
    request.known_uri = uri
    request.headers = headers
    request.body = body
    request.flow = None
    return request


def _is_clean(line: str, name: str) -> bool:
    """Tell whether *line* is called *name* and holds nothing that would break it."""
    return _known(_beginning(line)) == name and not ("\r" in line or "\n" in line or "\0" in line)


def _lay_out(lines: list[str], shape: tuple[str | None, ...]) -> _Layout | None:
    """Return the layout of *lines*, of which *shape* tells the known names; None where one is missing or odd."""
    names: list[str] = []
    fresh: list[tuple[int, str, int]] = []
    for place, line in enumerate(lines):
        name = shape[place]
        if name is None:
            beginning = _beginning(line)
            name = _known(beginning) or _unusual_name(beginning)
            if not name or "\r" in line or "\n" in line or "\0" in line:
                return None
            if name not in ("from", "to", "call-id") and (name != "via" or "via" in names):
                fresh.append((place, beginning, SHORT if name in _REPEATED else _CSEQ if name == "cseq" else 0))
        names.append(name)
    count = names.count
    if any(count(name) != 1 for name in ONCE) or "via" not in names:
        return None
    if count("max-forwards") > 1 or count("content-length") > 1:
        return None
    at = names.index
    length = at("content-length") if "content-length" in names else -1
    to_known = shape[at("to")] is not None
    return names, at("via"), at("from"), at("to"), at("call-id"), at("cseq"), length, to_known, tuple(fresh)


def _unusual_name(beginning: str) -> str:
    """Return the name at the *beginning* of a line if it is well-formed and none that is looked at, else nothing."""
    name = canonical(beginning[:-1])
    # A line that begins with white space continues the one before (section 7.3.1).
    return "" if beginning[:1] in ("", " ", "\t") or not is_token(name) or name in _LOOKED_AT else name
