"""Where requests in a dialog go, as the message that makes it tells: Contact and Record-Route.

RFC 3261 section 12.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.header_map import line_value
from twisted_sip.message.kept import Kept
from twisted_sip.message.message import Message
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.parameterized import named
from twisted_sip.message.uri import SIPURI


def target_of(message: Message, secure: bool) -> str:
    """Return the URI of the Contact, fit for a Request-URI (RFC 3261 sections 8.1.1.8 and 12.1).

    Where there are several the first one counts.

    :param secure: the dialog is secure.
    """
    headers = message.headers
    names = headers.names
    if not secure and names.count("contact") == 1:
        usual = _TARGETS[headers.lines[names.index("contact")]]
        if usual:
            return usual
    contacts = message.contacts
    if message.contact_star:
        raise RemoteProtocolError("Malformed Contact header field: * names nobody", header="Contact")
    if not contacts:
        raise RemoteProtocolError("Missing Contact header field", header="Contact")
    uri = contacts[0].uri
    if not isinstance(uri, SIPURI):
        raise RemoteProtocolError("Malformed Contact header field: no SIP or SIPS URI", header="Contact")
    if secure and not uri.secure:
        # RFC 5630 section 5.2: sips and sip URIs used inconsistently.
        raise RemoteProtocolError("Malformed Contact header field: no SIPS URI", header="Contact")
    if uri.headers or (";" in uri.text and "method" in uri.params):
        # Section 19.1.1: neither may stand in a Request-URI.
        uri = uri.replace(headers="", params=uri.params.without("method"))
    return uri.text


def _usual_target(line: str) -> str:
    """Return the URI in a Contact *line* with one value, empty where it needs a closer look."""
    try:
        address = NameAddr.parse(line_value(line))
        uri = address.uri
    except RemoteProtocolError:
        return ""
    usual = isinstance(uri, SIPURI) and not uri.headers and "method" not in uri.params and uri.text == address.uri_text
    # A comma may stand between two values.
    return address.uri_text if usual and "," not in line else ""


#: Contact lines -> the URI in them: each message of a phone has the same.
_TARGETS: Kept[str, str] = Kept(_usual_target, 2048)


def checked_route_set(message: Any, taken: Callable[[Any], tuple[str, ...]]) -> tuple[str, ...]:
    """Return what *taken* takes of the Record-Route of *message*, if requests can be routed along it."""
    if "record-route" not in message.headers.names:
        return ()
    route_set = taken(message)
    for value in route_set:
        if not isinstance(_record_route(value), SIPURI):
            raise RemoteProtocolError("Malformed Record-Route header field: no SIP or SIPS URI", header="Record-Route")
    return route_set


_record_route = named("Record-Route", lambda text: NameAddr.parse(text).uri)
