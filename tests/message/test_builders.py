"""Responses, ACK and CANCEL made from what they belong to."""

from __future__ import annotations

import pytest

from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.builders import ack_for, build_request, cancel_for, response_to
from twisted_sip.message.parser import parse_message
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

RAW = (
    b"INVITE sip:b@example.com SIP/2.0\r\nv: SIP/2.0/UDP one;branch=z9hG4bK1, SIP/2.0/TCP two\r\n"
    b"Via: SIP/2.0/UDP three\r\nRoute: <sip:p1;lr>\r\nRoute: <sip:p2;lr>\r\nMax-Forwards: 9\r\n"
    b"From: A <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\n"
    b"Call-ID: c\r\nCSeq: 7 INVITE\r\nTimestamp: 5\r\nSubject: x\r\nContent-Length: 0\r\n\r\n"
)


def invite() -> Request:
    message = parse_message(RAW)
    assert isinstance(message, Request)
    return message


def test_a_response_has_the_lines_of_its_request() -> None:
    response = response_to(invite(), 200, "", [("contact", "<sip:b@h>")], b"x", "tt")
    assert response.to_bytes() == (
        b"SIP/2.0 200 OK\r\nv: SIP/2.0/UDP one;branch=z9hG4bK1, SIP/2.0/TCP two\r\nVia: SIP/2.0/UDP three\r\n"
        b"From: A <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>;tag=tt\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\n"
        b"Contact: <sip:b@h>\r\nContent-Length: 1\r\n\r\nx"
    )
    trying = response_to(invite(), 100, to_tag="tt")
    assert trying.to.tag in ("", None) and trying.headers.first("timestamp") == "5"


def test_an_existing_tag_stays() -> None:
    request = invite()
    request.headers.set("to", "<sip:b@example.com>;tag=old")
    assert response_to(request, 404, to_tag="new").to.tag == "old"


def test_what_cannot_be_a_response() -> None:
    for arguments in ((99,), (700,), (200, "a\r\nb"), (200, "", [("x", "a\nb")])):
        with pytest.raises(LocalProtocolError):
            response_to(invite(), *arguments)  # type: ignore[arg-type]
    with pytest.raises(LocalProtocolError):
        response_to(invite(), 200, to_tag="a b")
    for status in (99, 700):
        with pytest.raises(LocalProtocolError):
            Response(status)
    assert Response(486).start_line == "SIP/2.0 486 Busy Here"


def test_ack_and_cancel_stay_in_the_transaction() -> None:
    response = response_to(invite(), 486, to_tag="tt")
    ack = ack_for(invite(), response)
    assert ack.to_bytes() == (
        b"ACK sip:b@example.com SIP/2.0\r\nVia: SIP/2.0/UDP one;branch=z9hG4bK1\r\n"
        b"Route: <sip:p1;lr>\r\nRoute: <sip:p2;lr>\r\n"
        b"Max-Forwards: 9\r\nFrom: A <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>;tag=tt\r\nCall-ID: c\r\n"
        b"CSeq: 7 ACK\r\nContent-Length: 0\r\n\r\n"
    )
    cancel = cancel_for(invite(), [("reason", "SIP;cause=200")])
    assert cancel.cseq.method == "CANCEL" and cancel.to.tag in ("", None)
    assert cancel.headers.elements("route") == ["<sip:p1;lr>", "<sip:p2;lr>"]
    assert cancel.headers.first("reason") == "SIP;cause=200"
    assert len(cancel.vias) == 1


def test_requests_of_our_own() -> None:
    made = build_request(
        "OPTIONS",
        "sip:b@h",
        from_="<sip:a@h>;tag=1",
        to="<sip:b@h>",
        call_id="c",
        cseq=3,
        headers=[("accept", "a/b")],
        body=b"hi",
    )
    assert made.cseq == (3, "OPTIONS") and made.max_forwards == 70
    assert made.to_bytes().endswith(b"\r\nAccept: a/b\r\nContent-Length: 2\r\n\r\nhi")
    for method, uri in (("A B", "sip:b@h"), ("A", "sip:b @h"), ("A", ""), ("A", "sip:b\r\n")):
        with pytest.raises(LocalProtocolError):
            Request(method, uri)
    copy = made.copy()
    copy.set_uri("sip:c@h")
    assert made.uri_text == "sip:b@h" and copy.uri.user == "c"  # type: ignore[union-attr]
