"""Masking: no value with which credentials could be used again or guessed is left, and the rest is as it was."""

from __future__ import annotations

import time

import pytest

from twisted_sip.element.trace_masking import masked

HEAD = "REGISTER sip:example.com SIP/2.0\r\n"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            'Authorization: Digest username="a", realm="r", nonce="n,1", uri="sip:r", response="0f", nc=00000001,'
            ' cnonce="c\\"c", opaque=o, qop=auth, algorithm=MD5',
            'Authorization: Digest username="a", realm="r", nonce="***", uri="sip:r", response="***", nc=00000001,'
            ' cnonce="***", opaque=***, qop=auth, algorithm=MD5',
        ),
        ('proxy-authorization:digest RESPONSE = "x"', 'proxy-authorization:digest RESPONSE = "***"'),
        ('Authorization: Digest response="unclosed', 'Authorization: Digest response="***"'),
        ('Authorization: Digest future-secret="x"', 'Authorization: Digest future-secret="***"'),
        ("Authorization: Basic YWxhZGRpbjpvcGVu==", "Authorization: Basic ***"),
        ("Authorization: Bearer abc.def, x", "Authorization: Bearer ***"),
        (
            'WWW-Authenticate: Digest realm="r", nonce="n", stale=true',
            'WWW-Authenticate: Digest realm="r", nonce="***", stale=true',
        ),
        (
            'Authentication-Info: rspauth="x", nextnonce="y", qop=auth',
            'Authentication-Info: rspauth="***", nextnonce="***", qop=auth',
        ),
        ("Contact: <sip:alice:secret@192.0.2.1>", "Contact: <sip:alice:***@192.0.2.1>"),
        ("Contact: <sip:alice@192.0.2.1:5060>", "Contact: <sip:alice@192.0.2.1:5060>"),
        ("Route: <sip:192.0.2.1:5060;lr>, <sip:b@c>", "Route: <sip:192.0.2.1:5060;lr>, <sip:b@c>"),
        ("Subject: nonce=abc", "Subject: nonce=abc"),
    ],
)
def test_header_fields(line: str, shown: str) -> None:
    assert masked(f"{HEAD}{line}\r\nCSeq: 1 REGISTER\r\n\r\n".encode()) == f"{HEAD}{shown}\r\nCSeq: 1 REGISTER\r\n\r\n"


def test_folded_lines_belong_to_the_field_above() -> None:
    text = masked(
        f'{HEAD}Authorization: Digest\r\n nonce="n",\r\n\tresponse="r"\r\nSubject: x\r\n response="r"\r\n\r\n'.encode()
    )
    assert 'nonce="***",\r\n\tresponse="***"\r\n' in text
    assert 'Subject: x\r\n response="r"' in text


def test_keys_of_media_in_the_body() -> None:
    body = "v=0\r\nk=clear:key\r\na=crypto:1 AES_CM_128 inline:SECRET|2^20\r\na=ice-pwd:SECRET\r\na=ice-ufrag:x\r\n"
    text = masked(f"{HEAD}\r\n{body}".encode())
    assert text.endswith(
        "v=0\r\nk=clear:***\r\na=crypto:1 AES_CM_128 inline:***|2^20\r\na=ice-pwd:***\r\na=ice-ufrag:x\r\n"
    )


def test_bytes_that_are_no_text() -> None:
    assert masked(b"OPTIONS sip:a SIP/2.0\r\nSubject: \xff\r\n\r\n\x00\xfe") == (
        "OPTIONS sip:a SIP/2.0\r\nSubject: \ufffd\r\n\r\n\x00\ufffd"
    )


@pytest.mark.parametrize(
    "text",
    [
        "INVITE sip:x SIP/2.0\r\nX: " + "sip:a:" * 5000,
        "INVITE sip:x SIP/2.0\r\nX: " + "sip:a?" * 5000 + "@",
        "INVITE sip:x SIP/2.0\r\nAuthorization: Digest " + "a" * 32000,
        "INVITE sip:x SIP/2.0\r\nAuthorization: Digest " + 'a="\\' * 8000,
        "INVITE sip:x SIP/2.0\r\nAuthorization: Digest a" + " " * 32000,
    ],
)
def test_nobody_makes_masking_take_long(text: str) -> None:
    # Quadratic patterns take some ten seconds for each of these, in the reactor.
    started = time.process_time()
    masked(text.encode())
    assert time.process_time() - started < 1.0
