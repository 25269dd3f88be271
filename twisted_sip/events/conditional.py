"""Entity-tags and the conditions on them: the notifier's side of RFC 5839."""

from __future__ import annotations

from hashlib import blake2s

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.event_package import Notification
from twisted_sip.message.grammar import is_token
from twisted_sip.message.request import Request

#: The condition that is always true (section 5.2).
ANY = "*"


def condition_of(request: Request) -> str:
    """Return the Suppress-If-Match of a SUBSCRIBE, empty where it has none (section 7.2).

    :raises RemoteProtocolError: it is malformed, or stands twice.
    """
    if "suppress-if-match" not in request.headers.names:
        return ""
    values = request.headers.all("suppress-if-match")
    if len(values) > 1 or not is_token(values[0]):
        # "*" is a token too.
        raise RemoteProtocolError("Malformed Suppress-If-Match header field", header="Suppress-If-Match")
    return values[0]


def entity_tag_of(notification: Notification, event: str) -> str:
    """Return the entity-tag of what *notification* tells (section 6.1): the package's, or one made of the entity, body
    and header fields about it (section 4).

    A tag of the package that cannot stand in a header field counts as none.
    """
    etag = notification.etag
    if etag and etag != ANY and is_token(etag):
        return etag
    made = blake2s(notification.body, digest_size=8)
    made.update(f"\n{event}\n{notification.content_type}\n{notification.headers}".encode("utf-8", "surrogateescape"))
    return made.hexdigest()


def holds(condition: str, etag: str) -> bool:
    """Tell whether *condition*, a Suppress-If-Match, is true for *etag* (section 6.3); an empty one is not."""
    return condition in (etag, ANY)
