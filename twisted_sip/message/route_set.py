"""The one owner of route sets and next-hop rules (RFC 3261 sections 8.1.2, 12.1, 12.2.1.1, 16.4, 16.6 and 16.12)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.grammar import check_value
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, URI, parse_uri

#: A Route with one value of the shape of our Record-Routes.
_TOKEN_LINE = re.compile(r"Route: <sip:([A-Za-z0-9_\-]{1,250}+)@([A-Za-z0-9.\-:\[\]]{1,100}+);lr>").fullmatch


def next_hop(request: Request) -> URI:
    """Return the URI that *request* goes to: its topmost Route, else its Request-URI (RFC 3261 section 8.1.2).

    A strict router's URI stands in the Request-URI, and nothing in the request tells so: see
    :func:`apply_route_set` and :func:`leave_proxy`.

    :raises RemoteProtocolError: it is malformed.
    """
    if "route" in request.headers.names:
        routes = request.routes
        if routes:
            return routes[0].uri
    return request.uri


def route_set_of_uac(response: Response) -> tuple[str, ...]:
    """Return the route set that a UAC takes from *response*: Record-Route in reverse order (section 12.1.2)."""
    return tuple(reversed(response.headers.elements("record-route")))


def route_set_of_uas(request: Request) -> tuple[str, ...]:
    """Return the route set that a UAS takes from *request*: Record-Route in order (section 12.1.1)."""
    return tuple(request.headers.elements("record-route"))


def own_route_set(values: Iterable[str]) -> tuple[str, ...]:
    """Return the Route *values* that a program gives, nearest first.

    :raises LocalProtocolError: one of them is none.
    """
    made = tuple(values)
    try:
        for value in made:
            check_value(value)
            _ = NameAddr.parse(value).uri
    except RemoteProtocolError as error:
        raise LocalProtocolError(error.reason) from error
    return made


def apply_route_set(request: Request, route_set: Sequence[str], remote_target: URI | str) -> URI | None:
    """Put Route and Request-URI of an in-dialog *request* in place (section 12.2.1.1).

    :param route_set: Route values, nearest first, each as it stood in Record-Route.
    :param remote_target: the peer's Contact.
    :return: as :func:`leave_proxy`.
    :raises RemoteProtocolError: the first route is malformed.
    """
    if "route" in request.headers.names:
        request.headers.remove("route")
    if not route_set:
        if request.uri_text != remote_target:
            request.set_uri(remote_target)
        return None
    first = NameAddr.parse(route_set[0]).uri
    if isinstance(first, SIPURI) and not first.lr:
        # A strict router: it is the Request-URI, the remote target is the last Route.
        request.set_uri(_request_uri(first))
        request.headers.append("route", ", ".join([*route_set[1:], f"<{remote_target}>"]))
        return request.uri
    request.set_uri(remote_target)
    request.headers.append("route", ", ".join(route_set))
    return None


def _request_uri(uri: SIPURI) -> SIPURI:
    """Return *uri* without what a Request-URI may not hold (section 19.1.1: method and headers)."""
    if uri.headers or "method" in uri.params:
        return uri.replace(headers="", params=uri.params.without("method"))
    return uri


def enter_proxy(
    request: Request, is_own: Callable[[SIPURI], bool], is_own_route: Callable[[SIPURI], bool]
) -> list[SIPURI]:
    """Take our own values off *request* (section 16.4) and return them, topmost first.

    :param is_own: tells whether a Route URI names this element.
    :param is_own_route: tells whether a Request-URI is one that this element put into a Record-Route.
    :raises RemoteProtocolError: a Route is malformed.
    """
    taken: list[SIPURI] = []
    headers = request.headers
    if "route" not in headers.names:
        return taken
    uri = request.uri
    if headers.names.count("route") == 1:
        # The usual case in a dialog: one value, with a token that no other dialog has.
        place = headers.names.index("route")
        sole = _own_token(headers.lines[place], is_own)
        if sole is not None and not (isinstance(uri, SIPURI) and is_own_route(uri)):
            del headers.names[place], headers.lines[place]
            headers.parsed.pop("route", None)
            return [sole]
    routes = request.routes
    if routes and isinstance(uri, SIPURI) and is_own_route(uri):
        # A strict router before us put our Record-Route URI into the Request-URI; the last Route is the target.
        taken.append(uri)
        request.set_uri(routes[-1].uri)
        routes = routes[:-1]
        _put(request, routes)
    kept = 0
    for route in routes:
        first = route.uri
        if not isinstance(first, SIPURI) or not is_own(first):
            break
        taken.append(first)
        kept += 1
    if kept:
        _put(request, routes[kept:])
    return taken


def _own_token(line: str, is_own: Callable[[SIPURI], bool]) -> SIPURI | None:
    """Return the URI in a Route *line* as we write them, with a token for its user; None if it is not such a one.

    Read in two parts: what follows the token is the same each time, and has been read before.
    """
    found = _TOKEN_LINE(line)
    if found is None:
        return None
    token, where = found.groups()
    try:
        uri = parse_uri(f"sip:{where};lr")
    except RemoteProtocolError:
        return None
    return uri.with_user(token) if isinstance(uri, SIPURI) and is_own(uri) else None


def leave_proxy(request: Request) -> URI | None:
    """Make room for a strict router as the next hop (section 16.6 step 6).

    :return: the URI to send to if it is a strict router, which stands in the Request-URI now (step 7); None if
        :func:`next_hop` tells.
    :raises RemoteProtocolError: the topmost Route is malformed.
    """
    if "route" not in request.headers.names:
        return None
    routes = request.routes
    if not routes:
        return None
    first = routes[0].uri
    if isinstance(first, SIPURI) and not first.lr:
        target = request.uri_text
        request.set_uri(_request_uri(first))
        _put(request, [*routes[1:], NameAddr.parse(f"<{target}>")])
        return request.uri
    return None


def _put(request: Request, routes: Sequence[NameAddr]) -> None:
    if routes:
        request.headers.set("route", ", ".join(map(str, routes)))
    else:
        request.headers.remove("route")


def check_route_uri(uri: URI) -> SIPURI:
    """Return *uri* if a request can be sent to it.

    :raises RemoteProtocolError: its scheme is not sip or sips (status 416, section 8.2.2.1).
    """
    if not isinstance(uri, SIPURI):
        raise RemoteProtocolError("Unsupported URI Scheme", status=416)
    return uri
