"""Messages made from other messages: responses, ACK and CANCEL (RFC 3261 sections 8.2.6, 9.1, 17.1.1.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import compress
from operator import itemgetter
from typing import TypeAlias

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.cseq import CSeq
from twisted_sip.message.grammar import check_value, is_token
from twisted_sip.message.header_map import HeaderMap, make_line
from twisted_sip.message.limits import SHORT
from twisted_sip.message.methods import METHODS
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.status import REASON_PHRASES, reason_phrase
from twisted_sip.message.uri import URI

_new = object.__new__


def response_to(
    request: Request,
    status: int,
    reason: str = "",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    to_tag: str = "",
) -> Response:
    """Return a response to *request* (RFC 3261 section 8.2.6.2): Via, From, To, Call-ID and CSeq are its own lines.

    :param to_tag: the To tag to add where the request has none and the status is not 100.
    :raises LocalProtocolError: a bad status, or CR, LF or NUL in a value.
    """
    if not 100 <= status <= 699:
        raise LocalProtocolError(f"{status} is no response status: 100 to 699")
    if reason:
        check_value(reason)
    source = request.headers
    shape = tuple(source.names)
    names, pick, to, timestamps = _COPIED_OF.get(shape) or _copied(shape)
    names = names.copy()
    lines = list(pick(source.lines))
    # 100 copies the To as it is (section 8.2.6.2).
    known_to = source.parsed.get("to")
    if to_tag and status > 100 and to and not (_has_tag(request) if known_to is None else known_to.tag):
        if not ((to_tag.isalnum() and to_tag.isascii()) or is_token(to_tag)):
            raise LocalProtocolError(f"{to_tag!r} is no tag")
        for place in to:
            lines[place] = f"{lines[place].rstrip(' ')};tag={to_tag}"
    if timestamps and status != 100:
        # Section 8.2.6.1: it is of use in a 100 alone.
        for place in reversed(timestamps):
            del names[place], lines[place]
    made = _new(Response)
    made.status = status
    made.reason = reason or REASON_PHRASES.get(status) or reason_phrase(status)
    made.headers = fields = _new(HeaderMap)
    fields.names = names
    fields.lines = lines
    call_id = source.parsed.get("call-id")
    fields.parsed = {} if call_id is None else {"call-id": call_id}
    made.body = body
    made.flow = None
    if headers:
        fields.extend(headers)
    return made


#: What a response has of its request (section 8.2.6.2), Timestamp in a 100 only.
_COPIED = frozenset(("via", "from", "to", "call-id", "cseq", "timestamp"))


#: What a response has of requests whose header fields stand in one certain order: the names, what picks the lines out
#: of those of the request, the places of To among them (one, but in a request that is refused for it), and those of
#: Timestamp. A plain tuple, since taking others apart is slow.
_Copied: TypeAlias = tuple[list[str], Callable[[list[str]], Iterable[str]], list[int], list[int]]

#: By the names in a request: the same few orders come again and again.
_COPIED_OF: dict[tuple[str, ...], _Copied] = {}
_MOST_ORDERS = 1024


def _copied(shape: tuple[str, ...]) -> _Copied:
    kept = [name in _COPIED for name in shape]
    names = list(compress(shape, kept))
    places = list(compress(range(len(shape)), kept))
    pick = itemgetter(*places) if len(places) > 1 else lambda lines: [lines[place] for place in places]
    to = [place for place, name in enumerate(names) if name == "to"]
    timestamps = [place for place, name in enumerate(names) if name == "timestamp"]
    copied = (names, pick, to, timestamps)
    if sum(map(len, shape)) <= SHORT:
        if len(_COPIED_OF) >= _MOST_ORDERS:
            _COPIED_OF.clear()
        _COPIED_OF[shape] = copied
    return copied


def _has_tag(request: Request) -> bool:
    try:
        return bool(request.to.tag)
    except RemoteProtocolError:
        # The answer to a request whose To cannot be read says so, with the To as it came.
        return True


def _transaction_request(invite: Request, method: str, to_line: str | None) -> Request:
    """Return a request of *method* in the client transaction of *invite*: the same branch, one Via."""
    names: list[str] = []
    lines: list[str] = []
    for name, line in zip(invite.headers.names, invite.headers.lines, strict=True):
        if name == "via":
            if "via" not in names:
                names.append("via")
                lines.append(f"Via: {invite.top_via}")
        elif name in ("from", "call-id", "route", "max-forwards"):
            names.append(name)
            lines.append(line)
        elif name == "to":
            names.append("to")
            lines.append(to_line or line)
        elif name == "cseq":
            names.append("cseq")
            lines.append(f"CSeq: {invite.cseq.number} {method}")
    return Request.from_parts(method, invite.uri_text, HeaderMap.from_lines(names, lines), b"")


def ack_for(invite: Request, response: Response) -> Request:
    """Return the ACK for a final *response* to *invite* that is no 2xx (RFC 3261 section 17.1.1.3)."""
    place = response.headers.names.index("to")
    return _transaction_request(invite, "ACK", response.headers.lines[place])


def cancel_for(invite: Request, headers: Iterable[tuple[str, str]] = ()) -> Request:
    """Return the CANCEL for *invite* (RFC 3261 section 9.1).

    :param headers: further header fields, a Reason (RFC 3326) above all.
    :raises LocalProtocolError: CR, LF or NUL in a value.
    """
    made = _transaction_request(invite, "CANCEL", None)
    made.headers.extend(headers)
    return made


def build_request(
    method: str,
    uri: URI | str,
    *,
    from_: NameAddr | str,
    to: NameAddr | str,
    call_id: str,
    cseq: int,
    max_forwards: int = 70,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> Request:
    """Return a request with its mandatory header fields but Via, which its sender adds (RFC 3261 section 8.1.1).

    :raises LocalProtocolError: a value that SIP does not allow.
    """
    if method not in METHODS and not is_token(method):
        raise LocalProtocolError(f"{method!r} is no method name")
    made = _new(Request)
    made.method = method
    made.set_uri(uri)
    # As HeaderMap would do it: these come first, and each of them once.
    made.headers = fields = _new(HeaderMap)
    sender, recipient = f"From: {from_!s}", f"To: {to!s}"
    if not (sender.isprintable() and recipient.isprintable() and call_id.isprintable()):
        for name, value in (("from", str(from_)), ("to", str(to)), ("call-id", call_id)):
            make_line(name, value)
    fields.names = ["max-forwards", "from", "to", "call-id", "cseq"]
    fields.lines = [
        f"Max-Forwards: {max_forwards}",
        sender,
        recipient,
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
    ]
    # What is looked at on the way out.
    fields.parsed = {"call-id": call_id, "cseq": CSeq(cseq, method)}
    if type(from_) is NameAddr:
        fields.parsed["from"] = from_
    if headers:
        fields.extend(headers)
    made.body = body
    made.flow = None
    return made
