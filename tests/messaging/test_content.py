"""What a body is, as far as it matters here."""

from __future__ import annotations

import pytest

from twisted_sip.messaging.content import content_of

TYPING = "application/im-iscomposing+xml"


def wrapped(body: bytes, kind: str, times: int) -> bytes:
    for _ in range(times):
        body = b"From: <im:a@b>\r\n\r\nContent-Type: " + kind.encode() + b"\r\n\r\n" + body
        kind = "message/cpim"
    return body


@pytest.mark.parametrize(
    ("kind", "body", "composing"),
    [
        (None, b"", False),
        ("", b"", False),
        ("nonsense", b"", False),
        ("text/plain", b"x", False),
        (TYPING, b"", True),
        ("Application/IM-isComposing+XML; charset=utf-8", b"", True),
        ("message/cpim", wrapped(b"", TYPING, 1), True),
        ("message/cpim", wrapped(b"", TYPING, 4), True),
        ("message/cpim", wrapped(b"", TYPING, 6), False),
        ("message/cpim", b"nonsense", False),
        ("multipart/mixed;boundary=b", f"--b\r\nContent-Type: {TYPING}\r\n\r\n\r\n--b--".encode(), True),
        (
            "multipart/mixed;boundary=b",
            f"--b\r\nContent-Type: {TYPING}\r\n\r\n\r\n--b\r\n\r\nx\r\n--b--".encode(),
            False,
        ),
        ("multipart/mixed", b"", False),
    ],
)
def test_who_is_typing(kind: str | None, body: bytes, composing: bool) -> None:
    found = content_of(kind, body)
    assert found.composing is composing
    assert (found.cpim is not None) == (kind == "message/cpim" and body != b"nonsense")
