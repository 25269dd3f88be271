"""The privacy service (RFC 3323 section 5) as far as a proxy can be one; privacy of History-Info (RFC 7044 section 10).

A proxy hides what it may change: identities that it has asserted itself (``id``, RFC 3325 section 7), targets in its
own domain (``history``), and header fields that nobody needs (``user``). To hide Via, Contact and From or the media is
the work of a back-to-back user agent (sections 5.1 to 5.3): ``header``, ``session`` and ``user`` stay in Privacy for
somebody behind us, and where they are ``critical`` the request fails, 500 (section 5).
"""

from __future__ import annotations

from collections.abc import Callable, Container

from twisted_sip.element.anonymous import ANONYMOUS_HOST
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.message.builders import response_to
from twisted_sip.message.header_map import HeaderMap
from twisted_sip.message.history import HistoryEntry
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, URI

#: What is provided here.
_PROVIDED = frozenset(("id", "history", "none", "critical"))
#: What tells of the sender and is of no use to anybody but people (section 5.3).
INFORMATIONAL = ("subject", "call-info", "organization", "user-agent", "reply-to", "in-reply-to")
_ANONYMOUS = f"sip:anonymous@{ANONYMOUS_HOST}"


def levels_of(headers: HeaderMap) -> tuple[str, ...]:
    """Return what Privacy asks for, in lower case; read leniently, since what cannot be read must hide all the same."""
    if "privacy" not in headers.names:
        return ()
    words = ";".join(headers.all("privacy")).replace(",", ";").lower().split(";")
    return tuple(dict.fromkeys(word.strip(" \t") for word in words if word.strip(" \t")))


def privacy_refusal(incoming: IncomingRequest) -> Response | None:
    """Return the answer to a request whose privacy is critical and cannot be had here (section 5), else None."""
    request = incoming.request
    reason = failure_of(request.headers, _PROVIDED)
    if not reason:
        return None
    missing = reason.partition(": ")[2]
    incoming.note("privacy", "500: privacy is critical, and a proxy cannot provide: {0}", "", missing)
    return response_to(request, 500, reason, to_tag=incoming.to_tag)


def failure_of(headers: HeaderMap, provided: Container[str]) -> str:
    """Return the reason phrase of a 500 where Privacy is critical and asks for more than is *provided* (section 5);
    empty where it does not."""
    levels = levels_of(headers)
    if "critical" not in levels or "none" in levels:
        return ""
    missing = ", ".join([level for level in levels if level not in provided])
    # What stands there is a peer's.
    words = "".join([char for char in missing if char.isalnum() or char in "-, "])[:80]
    return f"Privacy Failure: {words}" if missing else ""


def hide_in_request(
    request: Request, incoming: IncomingRequest, leaves: bool, is_local_uri: Callable[[URI], bool]
) -> None:
    """Take out of *request*, on its way out, what its sender wants hidden.

    :param leaves: it goes to somebody who is neither one of our users nor trusted.
    """
    levels = levels_of(request.headers)
    if "none" in levels:
        # Section 4.2: nothing is hidden, and Privacy stays as it is.
        return
    headers = request.headers
    if "user" in levels:
        for name in INFORMATIONAL:
            headers.remove(name)
        incoming.note("privacy", "header fields that tell of the caller are taken out: Privacy is {0}", "", "user")
    if leaves and _hide_history(headers, levels, is_local_uri):
        incoming.note("privacy", "targets of ours in History-Info are hidden")
    if leaves and "history" in levels:
        _done(headers, levels, "history")


def hide_in_response(
    response: Response, leaves: bool, is_local_uri: Callable[[URI], bool], request: Request | None = None
) -> None:
    """Take out of *response*, on its way upstream, what its sender wants hidden.

    :param leaves: as for requests.
    :param request: what it answers, where that is from a stranger, to whom it is nothing new what he asked for: where
        our users are, and to whom they have calls forwarded, is.
    """
    levels = levels_of(response.headers)
    if "user" in levels and "none" not in levels:
        # RFC 3323 section 5.3: whoever answers may want it as well.
        for name in (*INFORMATIONAL, "server"):
            response.headers.remove(name)
    if leaves and "none" not in levels:
        _hide_history(response.headers, levels, is_local_uri, None if request is None else _known_of(request))
        if "history" in levels:
            _done(response.headers, levels, "history")


def _done(headers: HeaderMap, levels: tuple[str, ...], level: str) -> None:
    """Take *level*, which has been provided, out of Privacy (RFC 3323 section 5, RFC 7044 section 10.1.2)."""
    left = [each for each in levels if each != level]
    if any(each != "critical" for each in left):
        headers.set("privacy", ";".join(left))
        return
    headers.remove("privacy")
    if "proxy-require" in headers.names:
        required = [tag for tag in headers.elements("proxy-require") if tag.lower() != "privacy"]
        headers.remove("proxy-require")
        if required:
            headers.append("proxy-require", ", ".join(required))


def _known_of(request: Request) -> frozenset[str]:
    """Return the targets that the sender of *request* knows."""
    try:
        entries: list[HistoryEntry] = request.typed("history-info")
    except RemoteProtocolError:
        entries = []
    return frozenset(str(each).partition("?")[0] for each in (request.uri, *[entry.address.uri for entry in entries]))


def _hide_history(
    headers: HeaderMap,
    levels: tuple[str, ...],
    is_local_uri: Callable[[URI], bool],
    known: frozenset[str] | None = None,
) -> bool:
    """Make targets in our domain anonymous, all of them or those that ask for it (RFC 7044 section 10.1.2); tell
    whether there were any.

    :param known: all that are not among these are to be anonymous, whosever they are.
    """
    if "history-info" not in headers.names:
        return False
    everything = "history" in levels or "header" in levels
    made: list[str] = []
    hidden = False
    # Contacts of our users are in our domain though they have hosts of their own.
    ours: set[tuple[int, ...]] = set()
    for text in headers.elements("history-info"):
        try:
            entry = HistoryEntry.parse(text)
            uri = entry.address.uri
        except RemoteProtocolError:
            made.append(text)
            continue
        if not isinstance(uri, SIPURI) or uri.host == ANONYMOUS_HOST:
            made.append(text)
            continue
        how = entry.target
        mine = is_local_uri(uri) or (how is not None and how[0] != "mp" and how[1] in ours)
        if mine:
            ours.add(entry.index)
        news = known is not None and str(uri).partition("?")[0] not in known
        if news or (mine and (everything or _asks(uri))):
            kept = [field for field in uri.headers.split("&") if field.lower().startswith("reason=")]
            plain = _ANONYMOUS + ("?" + "&".join(kept) if kept else "")
            made.append(str(entry.address.with_uri(plain)))
            hidden = True
        else:
            made.append(text)
    if hidden:
        headers.set("history-info", ", ".join(made))
    return hidden


def _asks(uri: SIPURI) -> bool:
    """Tell whether an entry itself asks to be hidden."""
    return any(field.lower().startswith("privacy=") and "history" in field.lower() for field in uri.headers.split("&"))
