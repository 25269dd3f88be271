"""From bytes to messages: one datagram, or a head that the framer cut out of a stream (RFC 3261 sections 7 and 18.3).

Only what every receiver needs is looked at: the start line, the shape of the header lines, Content-Length, and the
fields that name the transaction and the dialog (section 8.1.1). All other fields stay text.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.address_lines import party_in
from twisted_sip.message.cseq import cseq_in
from twisted_sip.message.grammar import is_token
from twisted_sip.message.header_map import HeaderMap, line_value
from twisted_sip.message.header_names import CANONICAL, canonical, display
from twisted_sip.message.limits import DEFAULT_LIMITS, MessageLimits
from twisted_sip.message.methods import METHODS
from twisted_sip.message.ordinary import ONCE, SIZES, read_ordinary
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.start_line import OTHER_VERSION, is_request_uri, read_status_line
from twisted_sip.message.uri import SIPURI

#: Where NUL may stand: section 25.1 has it in quoted-pairs alone (RFC 4475 section 3.1.1.2). These two go from message
#: to message as they came; others are taken apart and written anew, where no NUL can be.
_NUL_ALLOWED = frozenset(("from", "to"))


def parse_message(data: bytes, limits: MessageLimits = DEFAULT_LIMITS) -> Request | Response:
    """Read one datagram.

    Octets after the body that Content-Length announces are ignored (RFC 3261 section 18.3).

    :raises RemoteProtocolError: it is no SIP message, with the status that answers it; ``message`` holds what could be
        read where that is enough for an answer.
    """
    message = read_ordinary(data, limits)
    return parse_with_care(data, limits) if message is None else message


def parse_with_care(data: bytes, limits: MessageLimits) -> Request | Response:
    """Read one datagram of which ``read_ordinary`` makes nothing.

    :raises RemoteProtocolError: as :func:`parse_message`.
    """
    if len(data) > limits.message:
        raise RemoteProtocolError("Message Too Large", status=513, message=_salvage(data, limits))
    head, blank, body = data.partition(b"\r\n\r\n")
    if head[:2] == b"\r\n" or not head:
        # Section 7.5: empty lines before the start line are ignored.
        stripped = data.lstrip(b"\r\n")
        if not stripped:
            raise RemoteProtocolError("Empty message")
        head, blank, body = stripped.partition(b"\r\n\r\n")
    message = parse_head(head if blank else head.removesuffix(b"\r\n"), limits)
    if not blank and (head[-2:] != b"\r\n" or not _is_bodiless(message)):
        check_mandatory(message)
        raise RemoteProtocolError("No empty line behind the header fields", message=message)
    if "content-length" in message.headers.names:
        size = content_length(message)
        if size > len(body) and not _usable(message, body, size):
            raise RemoteProtocolError("Content-Length beyond the datagram", header="Content-Length", message=message)
        message.body = body if size == len(body) else body[:size]
    else:
        message.body = body
    check_mandatory(message)
    return message


def parse_head(head: bytes, limits: MessageLimits) -> Request | Response:
    """Read the start line and header fields of one message; *head* ends before the blank line.

    :raises RemoteProtocolError: as :func:`parse_message`.
    """
    if len(head) > limits.head:
        raise RemoteProtocolError("Message Too Large: head", status=513, message=_salvage(head, limits))
    text = head.decode("utf-8", "surrogateescape")
    lines = text.split("\r\n")
    start = lines.pop(0)
    ends = len(lines)
    names = [_known(name) if colon else None for name, colon, _ in [line.partition(":") for line in lines]]
    fault = ""
    odd = text.count("\n") != ends or text.count("\r") != ends or "\0" in text
    if odd or None in names or ends > limits.header_count:
        lines, names, fault = _lines_with_care(lines, limits)  # type: ignore[assignment]
    headers = HeaderMap.from_lines(names, lines)  # type: ignore[arg-type]
    if start[:4].upper() == "SIP/":
        return _response(start, headers, fault)
    return _request(start, headers, fault, limits)


#: Canonical names by every usual spelling; a plain dict, since this is asked for every line of every message.
_known: Callable[[str], str | None] = dict(CANONICAL).get


def _lines_with_care(lines: list[str], limits: MessageLimits) -> tuple[list[str], list[str], str]:
    """Return header lines, their names and what is wrong, with folded lines joined and lines beyond use left out."""
    kept: list[str] = []
    names: list[str] = []
    fault = ""
    for line in _join_folded(lines):
        plain = line.replace("\r\n ", "").replace("\r\n\t", "")
        spelled, colon, _ = line.partition(":")
        name = canonical(spelled) if colon else ""
        if "\r" in plain or "\n" in plain:
            # A bare CR or LF would be a line end to somebody else: never pass it on.
            fault = fault or "CR or LF inside a line"
        elif not is_token(name):
            fault = fault or ("Malformed header field name" if ":" in line else "Header line without a colon")
        elif "\0" in line and name not in _NUL_ALLOWED:
            fault = fault or f"NUL in {display(name)} header field"
        elif len(kept) == limits.header_count:
            fault = fault or "Too many header fields"
        else:
            kept.append(line)
            names.append(name)
    return kept, names, fault


def _join_folded(lines: list[str]) -> list[str]:
    joined: list[str] = []
    for line in lines:
        if line[:1] in (" ", "\t") and joined:
            joined[-1] += "\r\n" + line
        else:
            joined.append(line)
    return joined


def _request(start: str, headers: HeaderMap, fault: str, limits: MessageLimits) -> Request:
    method, _, rest = start.partition(" ")
    uri, _, version = rest.rpartition(" ")
    message = Request.from_parts(method, uri, headers, b"")
    if version != "SIP/2.0":
        protocol, _, number = version.partition("/")
        if protocol.upper() != "SIP" or not number:
            raise RemoteProtocolError("Malformed request line", message=message)
        if number != "2.0":
            # Section 21.5.6.
            raise RemoteProtocolError("Version Not Supported", status=505, message=message)
    if method not in METHODS and not is_token(method):
        raise RemoteProtocolError("Malformed method", message=message)
    if len(uri) > limits.uri:
        raise RemoteProtocolError("Request-URI Too Long", status=414, message=message)
    if not is_request_uri(uri):
        raise RemoteProtocolError("Malformed Request-URI", message=message)
    if fault:
        raise RemoteProtocolError(fault, message=message)
    return message


def _response(start: str, headers: HeaderMap, fault: str) -> Response:
    status, reason, wrong = read_status_line(start)
    message = Response.from_parts(status, reason, headers, b"")
    if wrong or fault:
        # Dropped, never answered; with the message a stream knows where the next one begins.
        raise RemoteProtocolError(wrong or fault, status=505 if wrong == OTHER_VERSION else 400, message=message)
    return message


def content_length(message: Request | Response) -> int:
    """Return the Content-Length of *message*, which has at least one.

    :raises RemoteProtocolError: it is no number, or stands more than once (RFC 4475 section 3.3.9).
    """
    headers = message.headers
    line = headers.lines[headers.names.index("content-length")]
    size = SIZES[line]
    if size < 0 or headers.names.count("content-length") > 1:
        raise RemoteProtocolError("Malformed Content-Length header field", header="Content-Length", message=message)
    return size


def _is_bodiless(message: Request | Response) -> bool:
    """Tell whether a datagram that ends behind a header field is whole all the same, because it announces no body.

    RFC 4475 section 3.1.2.15 has one. Any other has been cut and lost nobody knows what.
    """
    return "content-length" in message.headers.names and content_length(message) == 0


def _usable(message: Request | Response, body: bytes, size: int) -> bool:
    """Tell whether *body* is whole though fewer than the announced *size* octets came.

    RFC 5118 section 4.7 means its example to be understood: a session description that ends with a line end and whose
    sender has counted a few octets too many. Anything else is an error (RFC 3261 section 18.3).
    """
    if size - len(body) > 20 or body[-2:] != b"\r\n" or body[:2] != b"v=":
        return False
    return (message.headers.first("content-type") or "").lower().startswith("application/sdp")


def check_mandatory(message: Request | Response) -> None:
    """Check the fields that the transaction and dialog rules rest on (RFC 3261 section 8.1.1).

    :raises RemoteProtocolError: one is missing, doubled or malformed; ``message`` is *message*.
    """
    headers = message.headers
    names, lines = headers.names, headers.lines
    count, place = names.count, names.index
    try:
        if not (count("from") == count("to") == count("call-id") == count("cseq") == 1):
            _wrong_count(names)
        cseq = cseq_in(lines[place("cseq")])
        call_id = lines[place("call-id")].partition(":")[2].strip(" \t")
        if not call_id or " " in call_id or "," in call_id or ";" in call_id or "\t" in call_id:
            call_id = line_value(lines[place("call-id")])
            if not call_id or " " in call_id or "," in call_id or ";" in call_id or "\t" in call_id:
                raise RemoteProtocolError("Malformed Call-ID header field", header="Call-ID")
        headers.parsed = {
            "via": message.top_via,
            "from": party_in("From", lines[place("from")]),
            "to": party_in("To", lines[place("to")]),
            "cseq": cseq,
            "call-id": call_id,
        }
        if isinstance(message, Request):
            if cseq[1] != message.method:
                # Section 8.1.1.5; RFC 4475 sections 3.1.2.17 and, for methods that nobody knows, 3.1.2.18.
                status = 400 if message.method in METHODS else 501
                raise RemoteProtocolError("CSeq method does not match the request line", status=status, header="CSeq")
            if count("max-forwards") > 1:
                raise RemoteProtocolError("More than one Max-Forwards header field", header="Max-Forwards")
            if "?" in message.uri_text and isinstance(message.uri, SIPURI) and message.uri.headers:
                # Section 19.1.1, table 1: no headers in a Request-URI.
                raise RemoteProtocolError("Malformed Request-URI: it holds header fields")
    except RemoteProtocolError as error:
        error.message = message
        raise


def _wrong_count(names: list[str]) -> None:
    for name in ONCE:
        count = names.count(name)
        if count != 1:
            label = display(name)
            fault = f"Missing {label} header field" if not count else f"More than one {label} header field"
            raise RemoteProtocolError(fault, header=label)


def check_all(message: Request | Response) -> None:
    """Parse every header field that has a known grammar, and the Request-URI: for those who want to be strict.

    :raises RemoteProtocolError: one is malformed; the reason names it.
    """
    check_mandatory(message)
    try:
        if isinstance(message, Request):
            message.uri  # noqa: B018
        message.vias  # noqa: B018
        for name in dict.fromkeys(message.headers.names):
            if name == "contact":
                for contact in message.contacts:
                    contact.uri  # noqa: B018
            elif name not in ("via", "cseq"):
                message.typed(name)
    except RemoteProtocolError as error:
        error.message = message
        raise


def _salvage(data: bytes, limits: MessageLimits) -> Request | None:
    """Return what can be answered of a request that is too long, None if nothing can."""
    head = data[: min(limits.head, len(data))].partition(b"\r\n\r\n")[0]
    cut = head.rfind(b"\r\n") if len(head) >= limits.head else len(head)
    if cut <= 0:
        return None
    lines = head[:cut].decode("utf-8", "surrogateescape").split("\r\n")
    method, _, rest = lines.pop(0).partition(" ")
    if not is_token(method):
        return None
    wanted = [(canonical(line.partition(":")[0]), line) for line in _join_folded(lines) if ":" in line]
    kept = [(name, line) for name, line in wanted if name == "via" or name in ONCE]
    return Request.from_parts(
        method, rest.rpartition(" ")[0], HeaderMap.from_lines([n for n, _ in kept], [line for _, line in kept]), b""
    )
