"""Notifications that this server sends of itself: a message was stored, a message could not be delivered.

RFC 5438 sections 8 and 12.2, as an intermediary that keeps messages: only for messages that were answered 202, only
where the sender asks for it, at most one of each category. They are kept like messages, and delivered like them, so
that they outlive a crash; made of the same message again they have the same key and are kept once. Positive
notifications, and those of display, are for the recipient's device alone to send.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from twisted_sip.documents.cpim import MEDIA_TYPE, CPIMHeader, format_date_time
from twisted_sip.documents.imdn import Category, notification_message, notification_request
from twisted_sip.errors import DocumentError, LocalProtocolError, RemoteProtocolError
from twisted_sip.interfaces.message_store import StoredMessage
from twisted_sip.message.dates import SIPDate
from twisted_sip.message.uri import URI, parse_uri
from twisted_sip.messaging.content import content_of

#: Category -> what the sender has to ask for (RFC 5438 section 7.1.1.3).
_ASKED = {Category.PROCESSING: "processing", Category.DELIVERY: "negative-delivery"}


def stored_notification(
    message: StoredMessage, is_local_uri: Callable[[URI], bool], now: float, lifetime: float
) -> StoredMessage | None:
    """Return what tells the sender of *message* that it was stored (section 8.1), None if nothing is to be told.

    :param is_local_uri: tells whether a URI is ours: who is not may be somebody else than he says (section 14).
    :param lifetime: seconds for which the notification is kept.
    """
    return _notification(message, Category.PROCESSING, "stored", is_local_uri, now, lifetime)


def failed_notification(
    message: StoredMessage, is_local_uri: Callable[[URI], bool], now: float, lifetime: float
) -> StoredMessage | None:
    """Return what tells the sender of *message* that it will not be delivered (section 8.2); as before."""
    return _notification(message, Category.DELIVERY, "failed", is_local_uri, now, lifetime)


def _notification(
    message: StoredMessage,
    category: Category,
    status: str,
    is_local_uri: Callable[[URI], bool],
    now: float,
    lifetime: float,
) -> StoredMessage | None:
    content_type = next((value for name, value in message.headers if name.lower() == "content-type"), None)
    original = content_of(content_type, message.body).cpim
    if original is None or not _is_ours(message.sender, is_local_uri):
        return None
    try:
        request = notification_request(original)
        if request is None or _ASKED[category] not in request.wanted or request.record_routes:
            # With IMDN-Record-Route it would have to go by way of intermediaries that are not known here.
            return None
        # Not to be guessed by who has not seen the message (section 6.3), and the same should it be made again.
        token = hashlib.blake2s(f"{message.key}\n{category}".encode("utf-8", "surrogateescape")).hexdigest()
        body = notification_message(
            original,
            request,
            category,
            status,
            message_id=token[:32],
            headers=[CPIMHeader("DateTime", format_date_time(now))],
        ).to_bytes()
    except (DocumentError, LocalProtocolError):
        return None
    # Section 12.1.3.1: Request-URI and To are what the From of the message was.
    return StoredMessage(
        key=token[:32],
        recipient=message.sender,
        sender=message.recipient,
        from_value=f"<{message.recipient}>;tag={token[32:48]}",
        to_value=f"<{message.sender}>",
        call_id=token[16:48],
        cseq=1,
        received_at=now,
        expires_at=now + lifetime,
        headers=(("Content-Type", MEDIA_TYPE), ("Date", str(SIPDate(now)))),
        body=body,
    )


def _is_ours(sender: str, is_local_uri: Callable[[URI], bool]) -> bool:
    try:
        return is_local_uri(parse_uri(sender))
    except RemoteProtocolError:
        return False
