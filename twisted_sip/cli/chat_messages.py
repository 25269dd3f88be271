"""What the instant messages of a chat carry, out and in.

Text as it is or in CPIM (RFC 3862) with a request for notifications (RFC 5438 section 7.1.1), notifications, and who is
typing (RFC 3994), all in MESSAGE (RFC 3428).
"""

from __future__ import annotations

import attrs

from twisted_sip.documents import cpim, imdn, iscomposing
from twisted_sip.documents.cpim import CPIMHeader, CPIMMessage, format_date_time, parse_cpim
from twisted_sip.documents.imdn import Category, Notification, NotificationRequest, parse_imdn
from twisted_sip.documents.iscomposing import IsComposing, parse_iscomposing
from twisted_sip.errors import DocumentError, LocalProtocolError, RemoteProtocolError
from twisted_sip.message.dates import SIPDate
from twisted_sip.message.media_types import MediaType
from twisted_sip.message.request import Request

PLAIN = "text/plain"
#: What is taken, for Accept (RFC 3428 section 7).
ACCEPT = (PLAIN, cpim.MEDIA_TYPE, imdn.MEDIA_TYPE, iscomposing.MEDIA_TYPE)

#: A message in a message is an envelope of somebody on the way (RFC 3862 section 6).
_DEPTH = 4
_WANTED = ("positive-delivery", "negative-delivery", "processing", "display")


@attrs.frozen(slots=True, kw_only=True)
class Body:
    """The body of a MESSAGE.

    :ivar content_type: its Content-Type.
    :ivar data: the body itself.
    """

    content_type: str
    data: bytes


@attrs.frozen(slots=True, kw_only=True)
class Received:
    """What came in a MESSAGE: one of the first three is there.

    :ivar text: a text for people, None where it is none.
    :ivar composing: who is typing.
    :ivar notification: what has become of a message of ours.
    :ivar sent_at: when it was written, seconds since the epoch, None where that is not said.
    :ivar envelope: the CPIM message around it, None without one.
    :ivar asked: the notifications that its sender wants, None for none.
    """

    text: str | None = None
    composing: IsComposing | None = None
    notification: Notification | None = None
    sent_at: float | None = None
    envelope: CPIMMessage | None = None
    asked: NotificationRequest | None = None


def text_body(text: str) -> Body:
    """Return *text* as it is."""
    return Body(content_type=f"{PLAIN};charset=UTF-8", data=text.encode("utf-8", "replace"))


def enveloped(text: str, sender: str, recipient: str, message_id: str, now: float) -> Body:
    """Return *text* in an envelope that asks for every notification there is.

    :param sender: a URI, as is *recipient*.
    :param now: seconds since the epoch.
    """
    inner = text_body(text)
    message = CPIMMessage(
        headers=(
            CPIMHeader("From", f"<{sender}>"),
            CPIMHeader("To", f"<{recipient}>"),
            CPIMHeader("DateTime", format_date_time(now)),
            *imdn.request_headers(message_id, *_WANTED),
        ),
        content_headers=(("Content-Type", inner.content_type), ("Content-Length", str(len(inner.data)))),
        body=inner.data,
    )
    return Body(content_type=cpim.MEDIA_TYPE, data=message.to_bytes())


def composing_body(composing: IsComposing) -> Body:
    """Return what tells that somebody is typing, or not any more."""
    return Body(content_type=iscomposing.MEDIA_TYPE, data=composing.to_bytes())


def notification_body(received: Received, category: Category, status: str, message_id: str, now: float) -> Body | None:
    """Return what tells the sender of *received* what has become of it, None if it is not to be told.

    With IMDN-Record-Route it would have to go by way of somebody who is not known here (RFC 5438 section 9).
    """
    asked, envelope = received.asked, received.envelope
    if asked is None or envelope is None or asked.record_routes:
        return None
    wanted = {Category.DELIVERY: "positive-delivery", Category.DISPLAY: "display"}[category]
    if wanted not in asked.wanted:
        return None
    stamp = CPIMHeader("DateTime", format_date_time(now))
    try:
        made = imdn.notification_message(envelope, asked, category, status, message_id=message_id, headers=[stamp])
        return Body(content_type=cpim.MEDIA_TYPE, data=made.to_bytes())
    except LocalProtocolError:
        # What stands in the envelope cannot stand in ours.
        return None


def read(request: Request) -> Received | None:
    """Return what *request*, a MESSAGE, carries, None if it is nothing that is taken here (415).

    :raises RemoteProtocolError: it is damaged.
    """
    try:
        kind = MediaType.parse(request.headers.first("content-type") or PLAIN)
        return _read(kind, request.body, Received(sent_at=_date(request)), 0)
    except DocumentError as error:
        raise RemoteProtocolError(error.reason, status=400) from error


def _date(request: Request) -> float | None:
    try:
        return float(SIPDate.parse(request.headers.first("date") or "").timestamp)
    except RemoteProtocolError:
        # Missing, or of no use.
        return None


def _read(kind: MediaType, body: bytes, so_far: Received, depth: int) -> Received | None:
    if kind.key == PLAIN:
        return attrs.evolve(so_far, text=_decoded(body, kind.charset))
    if kind.key == iscomposing.MEDIA_TYPE:
        return attrs.evolve(so_far, composing=parse_iscomposing(body))
    if kind.key == imdn.MEDIA_TYPE:
        return attrs.evolve(so_far, notification=parse_imdn(body))
    if kind.key != cpim.MEDIA_TYPE or depth >= _DEPTH:
        return None
    message = parse_cpim(body)
    found = attrs.evolve(so_far, envelope=message, asked=imdn.notification_request(message))
    if message.sent_at is not None:
        found = attrs.evolve(found, sent_at=message.sent_at)
    return _read(message.content_type, message.body, found, depth + 1)


def _decoded(body: bytes, charset: str) -> str:
    try:
        return body.decode(charset, "replace")
    except (LookupError, UnicodeError):
        return body.decode("utf-8", "replace")
