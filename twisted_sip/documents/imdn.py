"""Instant message disposition notifications: what a sender asks for, and ``message/imdn+xml`` (RFC 5438).

The request stands in the headers of a CPIM message, the notification is the content of one.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

import attrs
from lxml import etree

from twisted_sip.documents.cpim import CPIMHeader, CPIMMessage
from twisted_sip.documents.xml import Element, parse_xml, serialize
from twisted_sip.errors import DocumentError

MEDIA_TYPE = "message/imdn+xml"
#: The namespace of the CPIM headers (section 6.1) and that of the elements (section 11.1).
HEADER_NAMESPACE = "urn:ietf:params:imdn"
XML_NAMESPACE = "urn:ietf:params:xml:ns:imdn"
#: The Content-Disposition of a notification (section 15.4).
DISPOSITION = "notification"


class Category(enum.StrEnum):
    """The three categories of disposition (section 5), by their elements without ``-notification``."""

    DELIVERY = "delivery"
    PROCESSING = "processing"
    DISPLAY = "display"


#: The states of each category (section 5 and the schema in section 11.1.9).
STATUSES = {
    Category.DELIVERY: ("delivered", "failed", "forbidden", "error"),
    Category.PROCESSING: ("processed", "stored", "forbidden", "error"),
    Category.DISPLAY: ("displayed", "forbidden", "error"),
}


@attrs.frozen(slots=True, kw_only=True)
class NotificationRequest:
    """What the sender of a message wants to be told (section 7.1.1).

    :ivar message_id: what tells this message from others.
    :ivar wanted: the values of Disposition-Notification that stand there: ``positive-delivery``, ``negative-delivery``,
        ``processing``, ``display`` or what extensions define.
    :ivar date_time: the DateTime of the message as written, or empty.
    :ivar original_to: the Original-To value as written, or empty.
    :ivar record_routes: the IMDN-Record-Route values, topmost first: a notification goes by way of them.
    """

    message_id: str
    wanted: frozenset[str]
    date_time: str = ""
    original_to: str = ""
    record_routes: tuple[str, ...] = ()


def notification_request(message: CPIMMessage) -> NotificationRequest | None:
    """Return what the sender of *message* wants to be told, None if nothing.

    A notification asks for none, whatever stands in it (section 7.2.1); without Message-ID nothing can be told.

    :raises DocumentError: the Content-Type of *message* is malformed.
    """
    wanted = {
        value.partition(";")[0].strip(" ")
        for line in message.all("Disposition-Notification", HEADER_NAMESPACE)
        for value in line.split(",")
    } - {""}
    message_id = message.first("Message-ID", HEADER_NAMESPACE)
    if not wanted or not message_id or is_notification(message):
        return None
    return NotificationRequest(
        message_id=message_id,
        wanted=frozenset(wanted),
        date_time=message.first("DateTime") or "",
        original_to=message.first("Original-To", HEADER_NAMESPACE) or "",
        record_routes=tuple(message.all("IMDN-Record-Route", HEADER_NAMESPACE)),
    )


def request_headers(message_id: str, *wanted: str) -> tuple[CPIMHeader, ...]:
    """Return the CPIM headers that ask for notifications (sections 6.2 and 6.3); DateTime has to stand beside them.

    :param message_id: hard to guess: 64 bits of chance or more.
    :param wanted: values of Disposition-Notification.
    """
    return (
        CPIMHeader("Message-ID", message_id, HEADER_NAMESPACE),
        CPIMHeader("Disposition-Notification", ", ".join(wanted), HEADER_NAMESPACE),
    )


def is_notification(message: CPIMMessage) -> bool:
    """Tell whether the content of *message* is a notification (section 9), or several (section 8.3).

    :raises DocumentError: its Content-Type is malformed.
    """
    return message.content_type.key == MEDIA_TYPE or message.disposition == DISPOSITION


@attrs.frozen(slots=True, kw_only=True)
class Notification:
    """One notification (section 11).

    :ivar message_id: the Message-ID of the message that it tells of.
    :ivar date_time: the DateTime of that message.
    :ivar category: the category of the disposition; None where no known one stands there.
    :ivar status: its state: one of :data:`STATUSES`, or the local name of an extension.
    :ivar recipient_uri: the URI of the recipient, or empty.
    :ivar original_recipient_uri: the URI that the sender had sent it to, or empty.
    :ivar subject: the Subject of the message, or empty.
    """

    message_id: str
    date_time: str
    category: Category | None
    status: str
    recipient_uri: str = ""
    original_recipient_uri: str = ""
    subject: str = ""

    def to_bytes(self) -> bytes:
        """Return the document."""
        root = etree.Element(f"{{{XML_NAMESPACE}}}imdn", nsmap={None: XML_NAMESPACE})  # type: ignore[dict-item]
        _child(root, "message-id", self.message_id)
        _child(root, "datetime", self.date_time)
        if self.recipient_uri:
            _child(root, "recipient-uri", self.recipient_uri)
            # The schema has the two together.
            _child(root, "original-recipient-uri", self.original_recipient_uri or self.recipient_uri)
            if self.subject:
                _child(root, "subject", self.subject)
        if self.category is not None:
            _child(_child(_child(root, f"{self.category}-notification"), "status"), self.status)
        return serialize(root)


def _child(parent: Element, name: str, text: str | None = None) -> Element:
    element = etree.SubElement(parent, f"{{{XML_NAMESPACE}}}{name}")
    if text is not None:
        # What XML 1.0 cannot hold is left out: it comes from the headers of a peer.
        element.text = "".join(char for char in text if char >= " " and not "\ud800" <= char <= "\udfff")
    return element


def parse_imdn(body: bytes) -> Notification:
    """Return the notification in *body*.

    :raises DocumentError: it is none.
    """
    root = parse_xml(body, root=(XML_NAMESPACE, "imdn"), elements=256)
    message_id = _text(root, "message-id")
    if not message_id:
        raise DocumentError("IMDN has no message-id")
    category, status = _disposition(root)
    return Notification(
        message_id=message_id,
        date_time=_text(root, "datetime"),
        category=category,
        status=status,
        recipient_uri=_text(root, "recipient-uri"),
        original_recipient_uri=_text(root, "original-recipient-uri"),
        subject=_text(root, "subject"),
    )


def _text(root: Element, name: str) -> str:
    found = root.find(f"{{{XML_NAMESPACE}}}{name}")
    return "" if found is None else (found.text or "").strip()


def _disposition(root: Element) -> tuple[Category | None, str]:
    for category in Category:
        status = root.find(f"{{{XML_NAMESPACE}}}{category}-notification/{{{XML_NAMESPACE}}}status")
        if status is not None:
            for element in status:
                if isinstance(element.tag, str):
                    return category, etree.QName(element).localname
            raise DocumentError("IMDN has an empty status")
    return None, ""


def notification_message(
    message: CPIMMessage,
    request: NotificationRequest,
    category: Category,
    status: str,
    *,
    message_id: str,
    recipient_uri: str = "",
    headers: Iterable[CPIMHeader] = (),
) -> CPIMMessage:
    """Return the CPIM message that tells the sender of *message* what has become of it (sections 7.2.1 and 8).

    :param request: what :func:`notification_request` gave for *message*.
    :param message_id: the Message-ID of the notification itself, as hard to guess as any.
    :param recipient_uri: the URI of the recipient; that of the To header unless given.
    :param headers: further headers: DateTime, say.
    """
    to = message.first("To") or ""
    recipients = message.recipients
    recipient_uri = recipient_uri or (recipients[0].uri if recipients else "")
    original = request.original_to.partition("<")[2].partition(">")[0]
    body = Notification(
        message_id=request.message_id,
        date_time=request.date_time,
        category=category,
        status=status,
        recipient_uri=recipient_uri,
        original_recipient_uri=original,
    ).to_bytes()
    return CPIMMessage(
        headers=(
            CPIMHeader("From", to or f"<{recipient_uri}>"),
            CPIMHeader("To", message.first("From") or ""),
            CPIMHeader("Message-ID", message_id, HEADER_NAMESPACE),
            *(CPIMHeader("IMDN-Route", route, HEADER_NAMESPACE) for route in request.record_routes),
            *headers,
        ),
        content_headers=(
            ("Content-Type", MEDIA_TYPE),
            ("Content-Disposition", DISPOSITION),
            ("Content-Length", str(len(body))),
        ),
        body=body,
    )
