"""Messages of ``message/cpim`` in and out (RFC 3862)."""

from __future__ import annotations

import pytest

from twisted_sip.documents.cpim import (
    CPIM_NAMESPACE,
    CPIMAddress,
    CPIMHeader,
    CPIMMessage,
    escape,
    format_date_time,
    parse_cpim,
    parse_date_time,
    unescape,
)
from twisted_sip.errors import DocumentError, LocalProtocolError

#: The example of section 5.1.
EXAMPLE = b"""From: MR SANDERS <im:piglet@100akerwood.com>
To: Depressed Donkey <im:eeyore@100akerwood.com>
DateTime: 2000-12-13T13:40:00-08:00
Subject: the weather will be fine today
Subject:;lang=fr beau temps prevu pour aujourd'hui
NS: MyFeatures <mid:MessageFeatures@id.foo.com>
Require: MyFeatures.VitalMessageOption
MyFeatures.VitalMessageOption: Confirmation-requested
MyFeatures.WackyMessageOption: Use-silly-font

Content-type: text/xml; charset=utf-8
Content-ID: <1234567890@foo.com>

<body>
Here is the text of my message.
</body>""".replace(b"\n", b"\r\n")

FEATURES = "mid:MessageFeatures@id.foo.com"


def test_the_example_of_section_5() -> None:
    message = parse_cpim(EXAMPLE)
    assert message.sender == CPIMAddress("im:piglet@100akerwood.com", "MR SANDERS")
    assert message.recipients == [CPIMAddress("im:eeyore@100akerwood.com", "Depressed Donkey")]
    assert message.sent_at == 976743600.0
    assert [(header.text, header.language) for header in message.headers if header.name == "Subject"] == [
        ("the weather will be fine today", ""),
        ("beau temps prevu pour aujourd'hui", "fr"),
    ]
    assert message.first("VitalMessageOption", FEATURES) == "Confirmation-requested"
    assert message.all("WackyMessageOption", FEATURES) == ["Use-silly-font"]
    assert message.first("WackyMessageOption") is None
    assert message.content_type.key == "text/xml" and message.content_header("content-ID") == "<1234567890@foo.com>"
    assert message.body == b"<body>\r\nHere is the text of my message.\r\n</body>"


def test_a_message_reads_back() -> None:
    for message in (
        parse_cpim(EXAMPLE),
        CPIMMessage(content_headers=(("Content-Type", "text/plain"),), body=b"\x00\xff"),
        CPIMMessage(
            headers=(
                CPIMHeader("From", str(CPIMAddress("im:a@b", 'Größe "x" \\ \t'))),
                CPIMHeader("Message-ID", "1", "urn:ietf:params:imdn"),
                CPIMHeader("Odd", "2", "http://a.example/b/"),
                CPIMHeader("Subject", "s \udcff", CPIM_NAMESPACE, "de"),
            ),
        ),
    ):
        assert parse_cpim(message.to_bytes()) == message
    assert message.sender == CPIMAddress("im:a@b", 'Größe "x" \\ \t')
    assert message.to_bytes().startswith(b"From: ") and b"NS: imdn <urn:ietf:params:imdn>\r\n" in message.to_bytes()
    assert b"NS: ns2 <http://a.example/b/>\r\nns2.Odd: 2" in message.to_bytes()


def test_what_others_write_is_read() -> None:
    message = parse_cpim(
        b'From:"Al" <im:a@b>\nTo :  <im:b@c> \nTo: nonsense\nNS: <urn:x>\nHere: y\nundeclared.Name: z\n\n'
        b"Content-Disposition: notification ;x=y\nX-Folded: a\n\tb\n\nhello"
    )
    assert message.sender == CPIMAddress("im:a@b", "Al") and message.recipients == [CPIMAddress("im:b@c")]
    assert message.first("Here", "urn:x") == "y" and message.first("Name", "") == "z"
    assert message.content_header("x-folded") == "a b" and message.disposition == "notification"
    assert message.content_type.key == "text/plain" and message.sent_at is None and message.body == b"hello"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no empty line"),
        (b"From: <im:a@b>\r\n", "no empty line"),
        (b"From: <im:a@b>\r\n\r\nContent-Type: text/plain\r\n", "no empty line"),
        (b"no header\r\n\r\n\r\n", "header is malformed"),
        (b"a b: c\r\n\r\n\r\n", "header is malformed"),
        (b"NS: x\r\n\r\n\r\n", "namespace is malformed"),
        (b"\r\nnothing\r\n\r\n", "content header is malformed"),
        (b"\r\n folded\r\n\r\n", "content header is malformed"),
        (b"X: y\r\n" * 201 + b"\r\n\r\n", "too many"),
        (b"\r\n\r\n" + b"x" * 70000, "longer"),
    ],
)
def test_what_is_no_such_message(body: bytes, reason: str) -> None:
    with pytest.raises(DocumentError, match=reason) as caught:
        parse_cpim(body)
    assert caught.value.too_large == (reason in ("too many", "longer"))


def test_parts_that_cannot_be_read() -> None:
    message = parse_cpim(b"From: x\r\n\r\nContent-Type: nonsense\r\nContent-Disposition: ;\r\n\r\n")
    assert (message.sender, message.recipients, message.disposition) == (None, [], "")
    with pytest.raises(DocumentError, match="Content-Type"):
        _ = message.content_type
    assert parse_cpim(b"\r\n\r\n").disposition == ""


def test_escapes() -> None:
    text = 'a\\b\b\t\n\r\x00\x1f\x7f"ö'
    assert escape(text) == 'a\\\\b\\b\\t\\n\\r\\u0000\\u001f\\u007f"ö'
    assert unescape(escape(text)) == text
    assert unescape("\\\"\\'\\x\\u12\\ud83d\\ude00\\") == "\"'xu12\U0001f600"


@pytest.mark.parametrize(
    "message",
    [
        CPIMMessage(headers=(CPIMHeader("a b", "c"),)),
        CPIMMessage(headers=(CPIMHeader("a", "c\r\nd: e"),)),
        CPIMMessage(content_headers=(("a", "c\nd"),)),
    ],
)
def test_what_cannot_be_sent(message: CPIMMessage) -> None:
    with pytest.raises(LocalProtocolError):
        message.to_bytes()


def test_dates() -> None:
    assert parse_date_time("2006-04-04T12:16:49-05:00") == 1144171009.0
    assert parse_date_time("2006-04-04t17:16:49z") == parse_date_time("2006-04-04T17:16:49") == 1144171009.0
    assert format_date_time(1144171009.7) == "2006-04-04T17:16:49Z"
    for text in ("", "2006-04-04", "yesterday at noon", "2006-04-04T17:16:49Z" + " " * 99):
        assert parse_date_time(text) is None


def test_long_lines_take_no_time() -> None:
    with pytest.raises(DocumentError):
        parse_cpim(b"NS: " + b" " * 60000 + b"x\r\n\r\n\r\n")
    message = parse_cpim(b"From: " + b" a" * 30000 + b"\r\nTo: " + b'"' * 2000 + b"\r\n\r\n\r\n")
    assert message.sender is None and message.recipients == []
