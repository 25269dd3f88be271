"""Disposition notifications, asked for and sent (RFC 5438)."""

from __future__ import annotations

import pytest

from twisted_sip.documents.cpim import CPIMHeader, CPIMMessage, parse_cpim
from twisted_sip.documents.imdn import (
    HEADER_NAMESPACE,
    STATUSES,
    Category,
    Notification,
    NotificationRequest,
    is_notification,
    notification_message,
    notification_request,
    parse_imdn,
    request_headers,
)
from twisted_sip.errors import DocumentError

#: The example of section 7.1.1.3.
MESSAGE = b"""From: Alice <im:alice@example.com>
To: Bob <im:bob@example.com>
NS: imdn <urn:ietf:params:imdn>
imdn.Message-ID: 34jk324j
DateTime: 2006-04-04T12:16:49-05:00
imdn.Disposition-Notification: positive-delivery, negative-delivery

Content-type: text/plain
Content-length: 12

Hello World"""

#: The example of section 7.2.1.1.
IMDN = b"""From: Bob <im:bob@example.com>
To: Alice <im:alice@example.com>
NS: imdn <urn:ietf:params:imdn>
imdn.Message-ID: d834jied93rf

Content-type: message/imdn+xml
Content-Disposition: notification
Content-length: ...

<?xml version="1.0" encoding="UTF-8"?>
<imdn xmlns="urn:ietf:params:xml:ns:imdn">
      <message-id>34jk324j</message-id>
      <datetime>2008-04-04T12:16:49-05:00</datetime>
     <recipient-uri>im:bob@example.com</recipient-uri>
      <original-recipient-uri
         >im:bob@example.com</original-recipient-uri>
      <delivery-notification>
         <status>
            <delivered/>
         </status>
      </delivery-notification>
    </imdn>"""


def test_the_examples_of_the_rfc() -> None:
    message = parse_cpim(MESSAGE)
    assert notification_request(message) == NotificationRequest(
        message_id="34jk324j",
        wanted=frozenset(("positive-delivery", "negative-delivery")),
        date_time="2006-04-04T12:16:49-05:00",
    )
    assert not is_notification(message)
    answer = parse_cpim(IMDN)
    assert is_notification(answer)
    notification = parse_imdn(answer.body)
    assert notification == Notification(
        message_id="34jk324j",
        date_time="2008-04-04T12:16:49-05:00",
        category=Category.DELIVERY,
        status="delivered",
        recipient_uri="im:bob@example.com",
        original_recipient_uri="im:bob@example.com",
    )
    assert notification.message_id == message.first("Message-ID", HEADER_NAMESPACE), "section 7.1.2"


def test_a_request_reads_back() -> None:
    message = CPIMMessage(headers=request_headers("id1", "display", "processing"))
    request = notification_request(parse_cpim(message.to_bytes()))
    assert request is not None and request.wanted == {"display", "processing"} and request.message_id == "id1"


@pytest.mark.parametrize(
    "change",
    [
        (b"positive-delivery, negative-delivery", b" , ;x"),
        (b"imdn.Message-ID: 34jk324j", b"imdn.Other: x"),
        (b"Content-type: text/plain", b"Content-type: message/imdn+xml"),
        (b"Content-length: 12", b"Content-Disposition: notification"),
        (b"urn:ietf:params:imdn", b"urn:something:else"),
    ],
)
def test_what_asks_for_nothing(change: tuple[bytes, bytes]) -> None:
    assert notification_request(parse_cpim(MESSAGE.replace(*change))) is None


@pytest.mark.parametrize("category", list(Category))
def test_a_notification_reads_back(category: Category) -> None:
    for status in STATUSES[category]:
        made = Notification(
            message_id="<1> & \x01\udcff", date_time="", category=category, status=status, recipient_uri="sip:b@c",
            original_recipient_uri="sip:d@e", subject="ö",
        )  # fmt: skip
        read = parse_imdn(made.to_bytes())
        assert (read.message_id, read.category, read.status) == ("<1> &", category, status)
        assert (read.recipient_uri, read.original_recipient_uri, read.subject) == ("sip:b@c", "sip:d@e", "ö")
    bare = parse_imdn(Notification(message_id="x", date_time="", category=None, status="").to_bytes())
    assert (bare.category, bare.status, bare.recipient_uri) == (None, "", "")


def test_a_notification_for_a_message() -> None:
    extra = [
        CPIMHeader("Original-To", "<im:list@example.com>", HEADER_NAMESPACE),
        CPIMHeader("IMDN-Record-Route", "<im:one@x>", HEADER_NAMESPACE),
        CPIMHeader("IMDN-Record-Route", "<im:two@x>", HEADER_NAMESPACE),
    ]
    original = parse_cpim(MESSAGE)
    original = CPIMMessage(headers=(*original.headers, *extra), content_headers=original.content_headers)
    request = notification_request(original)
    assert request is not None
    made = notification_message(original, request, Category.DISPLAY, "displayed", message_id="new", headers=extra[:0])
    made = parse_cpim(made.to_bytes())
    assert made.first("From") == "Bob <im:bob@example.com>" and made.first("To") == "Alice <im:alice@example.com>"
    assert made.first("Message-ID", HEADER_NAMESPACE) == "new" and is_notification(made)
    assert made.all("IMDN-Route", HEADER_NAMESPACE) == ["<im:one@x>", "<im:two@x>"]
    assert not made.all("IMDN-Record-Route", HEADER_NAMESPACE) and notification_request(made) is None
    told = parse_imdn(made.body)
    assert (told.message_id, told.date_time, told.status) == ("34jk324j", "2006-04-04T12:16:49-05:00", "displayed")
    assert (told.recipient_uri, told.original_recipient_uri) == ("im:bob@example.com", "im:list@example.com")


def test_a_message_without_addresses() -> None:
    original = CPIMMessage(headers=request_headers("id1", "display"))
    request = notification_request(original)
    assert request is not None
    made = notification_message(original, request, Category.DISPLAY, "error", message_id="n", recipient_uri="sip:b@c")
    assert made.first("From") == "<sip:b@c>" and parse_imdn(made.body).recipient_uri == "sip:b@c"
    assert parse_imdn(notification_message(original, request, Category.DISPLAY, "error", message_id="n").body)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<imdn/>", "namespace"),
        (b'<!DOCTYPE imdn><imdn xmlns="urn:ietf:params:xml:ns:imdn"/>', "document type"),
        (b'<imdn xmlns="urn:ietf:params:xml:ns:imdn"><datetime>x</datetime></imdn>', "message-id"),
        (
            b'<imdn xmlns="urn:ietf:params:xml:ns:imdn"><message-id>x</message-id><display-notification><status>'
            b"<!-- displayed --></status></display-notification></imdn>",
            "empty status",
        ),
    ],
)
def test_what_is_no_notification(body: bytes, reason: str) -> None:
    with pytest.raises(DocumentError, match=reason):
        parse_imdn(body)
