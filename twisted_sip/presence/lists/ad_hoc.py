"""Lists that come in the body of a SUBSCRIBE (RFC 5367, RFC 5363)."""

from __future__ import annotations

from typing import Final

from twisted_sip.documents import resource_lists
from twisted_sip.documents.resource_lists import ResourceList
from twisted_sip.errors import DocumentError, RemoteProtocolError
from twisted_sip.events.subscribe_request import SubscribeRefused
from twisted_sip.message.media_types import ContentDisposition
from twisted_sip.message.multipart import parse_multipart, understood_parts
from twisted_sip.message.request import Request

#: The option tag (section 9.2), and the disposition of the list (RFC 5363 section 4).
OPTION_TAG: Final = "recipient-list-subscribe"
DISPOSITION: Final = "recipient-list"

#: The bodies that can hold a list.
BODY_TYPES: Final = (resource_lists.MEDIA_TYPE, "multipart/mixed", "multipart/alternative")


def brings_list(request: Request) -> bool:
    """Tell whether *request* requires that the list in its body be subscribed to (section 3).

    :raises SubscribeRefused: 400: it does, without a list.
    """
    if OPTION_TAG not in [tag.lower() for tag in request.typed("require")]:
        return False
    disposition: ContentDisposition | None = None
    if "content-disposition" in request.headers.names:
        disposition = request.typed("content-disposition")
    multipart = (request.headers.first("content-type") or "").lower().startswith("multipart/")
    if not request.body or (disposition is not None and disposition.key != DISPOSITION and not multipart):
        raise SubscribeRefused(400, "Missing Recipient List")
    return True


def recipient_list(content_type: str, body: bytes) -> ResourceList:
    """Return the list in the body of a SUBSCRIBE. All lists of the document are one; references are not followed
    (section 4).

    :raises SubscribeRefused: 400, 413, 415.
    """
    try:
        whole = parse_multipart(content_type, body)
        parts = [whole]
        if whole.parts:
            parts = understood_parts(whole, (resource_lists.MEDIA_TYPE,), (DISPOSITION,))
        if not parts:
            raise SubscribeRefused(400, "Missing Recipient List")
        found = resource_lists.parse(parts[0].body)
    except RemoteProtocolError as error:
        raise SubscribeRefused(error.status, error.reason if error.status == 400 else "") from error
    except DocumentError as error:
        raise SubscribeRefused(400, "Malformed Recipient List") from error
    return ResourceList(members=found.lists)
