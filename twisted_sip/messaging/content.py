"""What a message is: typing, or something to keep (RFC 3428, 3862, 3994)."""

from __future__ import annotations

import attrs

from twisted_sip.documents import cpim, iscomposing
from twisted_sip.documents.cpim import CPIMMessage, parse_cpim
from twisted_sip.errors import DocumentError, RemoteProtocolError
from twisted_sip.message.media_types import MediaType
from twisted_sip.message.multipart import parse_multipart

#: How many CPIM messages may be in one another: an envelope of somebody on the way is legal (RFC 3862 section 6).
_DEPTH = 4


@attrs.frozen(slots=True, kw_only=True)
class Content:
    """What is known of a body.

    :ivar composing: it tells that its sender is typing, or not any more: of use at once or never (RFC 3994).
    :ivar cpim: the body, where it is a CPIM message.
    """

    composing: bool = False
    cpim: CPIMMessage | None = None


_OPAQUE = Content()


def content_of(content_type: str | None, body: bytes) -> Content:
    """Return what *body* is; what cannot be read, or is signed or encrypted, is somebody else's to judge.

    :param content_type: the Content-Type value, None where it is missing.
    """
    if not content_type:
        return _OPAQUE
    try:
        kind = MediaType.parse(content_type)
        return Content(
            composing=_is_composing(kind, body, 0), cpim=parse_cpim(body) if kind.key == cpim.MEDIA_TYPE else None
        )
    except (RemoteProtocolError, DocumentError):
        return _OPAQUE


def _is_composing(kind: MediaType, body: bytes, depth: int) -> bool:
    if kind.key == iscomposing.MEDIA_TYPE:
        return True
    if depth >= _DEPTH:
        return False
    if kind.key == cpim.MEDIA_TYPE:
        message = parse_cpim(body)
        return _is_composing(message.content_type, message.body, depth + 1)
    if kind.type == "multipart":
        leaves = parse_multipart(kind, body).leaves()
        return all(_is_composing(leaf.content_type, leaf.body, depth + 1) for leaf in leaves)
    return False
