"""Datagrams in, messages out; what is wrong is named, with the status that answers it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.limits import MessageLimits
from twisted_sip.message.parser import check_all, parse_message
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

HEAD = (
    b"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1\r\n"
    b"Max-Forwards: 70\r\nFrom: \xc3\x84 <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\n"
    b"Call-ID: 1@h\r\nCSeq: 1 %s\r\n"
)


def request(
    method: bytes = b"INVITE", uri: bytes = b"sip:b@example.com", more: bytes = b"", body: bytes = b""
) -> bytes:
    return b"%s %s SIP/2.0\r\n" % (method, uri) + HEAD % method + more + b"\r\n" + body


def refused(data: bytes, limits: MessageLimits | None = None) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_message(data, limits or MessageLimits())
    return caught.value


def test_a_request_goes_out_as_it_came_in() -> None:
    raw = request(more=b"X-Odd :  \xff\xfe  \r\nContent-Length: 3\r\n", body=b"abc")
    message = parse_message(raw)
    assert isinstance(message, Request)
    assert message.method == "INVITE" and message.uri_text == "sip:b@example.com"
    assert message.body == b"abc"
    assert message.to_bytes() == raw == bytes(message)
    check_all(message)
    assert "INVITE" in repr(message)


def test_a_response_goes_out_as_it_came_in() -> None:
    raw = b"SIP/2.0 200 \xd0\x94\xd0\xb0\r\n" + HEAD % b"INVITE" + b"Content-Length: 0\r\n\r\n"
    message = parse_message(raw)
    assert isinstance(message, Response)
    assert message.status == 200 and message.reason == "Да"
    assert message.to_bytes() == raw
    check_all(message)
    assert "200" in repr(message)
    copy = message.copy()
    copy.headers.remove("to")
    assert message.to.uri_text == "sip:b@example.com"


def test_an_empty_reason_with_and_without_its_space() -> None:
    for line in (b"SIP/2.0 100 \r\n", b"SIP/2.0 100\r\n"):
        message = parse_message(line + HEAD % b"INVITE" + b"\r\n")
        assert isinstance(message, Response) and message.reason == ""


def test_octets_after_the_body_are_dropped_and_missing_ones_refused() -> None:
    assert parse_message(request(more=b"Content-Length: 2\r\n", body=b"abcd")).body == b"ab"
    error = refused(request(more=b"Content-Length: 9\r\n", body=b"abcd"))
    assert error.status == 400 and error.header == "Content-Length" and isinstance(error.message, Request)


def test_a_session_description_may_be_a_few_octets_short() -> None:
    more = b"Content-Type: application/sdp\r\nContent-Length: 20\r\n"
    assert parse_message(request(more=more, body=b"v=0\r\n")).body == b"v=0\r\n"
    assert refused(request(more=more.replace(b"20", b"99"), body=b"v=0\r\n")).status == 400
    assert refused(request(more=more, body=b"v=0\r\no=")).status == 400


def test_leading_line_ends_and_a_missing_blank_line() -> None:
    assert isinstance(parse_message(b"\r\n\r\n" + request()), Request)
    whole = request(more=b"Content-Length: 0\r\n")
    assert isinstance(parse_message(whole[:-2]), Request)
    for cut in (whole[:-4], request()[:-2], request(more=b"Content-Length: 5\r\n")[:-2]):
        assert refused(cut).reason == "No empty line behind the header fields"
    assert refused(b"\r\n\r\n").reason == "Empty message"
    assert refused(b"").reason == "Empty message"


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"INVITE sip:b@example.com SIP/7.0", 505),
        (b"INVITE sip:b@example.com SIP/3", 505),
        (b"INVITE sip:b@example.com HTTP/1.1", 400),
        (b"INVITE sip:b@example.com", 400),
        (b"INVITE  SIP/2.0", 400),
        (b"INVITE", 400),
        (b"IN@VITE sip:b@example.com SIP/2.0", 400),
        (b"INVITE <sip:b@example.com> SIP/2.0", 400),
        (b"INVITE sip:b@example.com; lr SIP/2.0", 400),
        (b"INVITE sip:b@example.com SIP/2.0 ", 400),
        (b"INVITE b@example.com SIP/2.0", 400),
        (b"INVITE sip:b@example.com?Route=x SIP/2.0", 400),
        (b"INVITE sip:" + b"b" * 5000 + b" SIP/2.0", 414),
        (b"SIP/2.0 700 Too much", 400),
        (b"SIP/2.0 99 Too little", 400),
        (b"SIP/2.0 20x Odd", 400),
        (b"SIP/3.0 200 OK", 505),
    ],
)
def test_start_lines_that_are_refused(line: bytes, status: int) -> None:
    assert refused(line + b"\r\n" + HEAD % b"INVITE" + b"\r\n").status == status


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (b"From: <sip:x@y>;tag=2\r\n", "More than one From"),
        (b"To: <sip:x@y>\r\n", "More than one To"),
        (b"Call-ID: 2\r\n", "More than one Call-ID"),
        (b"CSeq: 2 INVITE\r\n", "More than one CSeq"),
        (b"Max-Forwards: 3\r\n", "More than one Max-Forwards"),
        (b"Content-Length: 0\r\nContent-Length: 0\r\n", "Content-Length"),
        (b"Content-Length: -1\r\n", "Content-Length"),
        (b"Content-Length: 99999999999999\r\n", "Content-Length"),
        (b"Content-Length: \xd9\xa3\r\n", "Content-Length"),
        (b"no colon here\r\n", "without a colon"),
        (b"To\r\n", "without a colon"),
        (b"Bad Name: x\r\n", "Malformed header field name"),
        (b": x\r\n", "Malformed header field name"),
        (b"Subject: a\rb\r\n", "CR or LF"),
        (b"Subject: a\nVia: b\r\n", "CR or LF"),
    ],
)
def test_header_fields_that_are_refused(more: bytes, reason: str) -> None:
    error = refused(request(more=more))
    assert reason in error.reason and error.status == 400
    assert error.message.call_id == "1@h" or "Call-ID" in error.reason


@pytest.mark.parametrize("name", [b"From", b"To", b"Call-ID", b"CSeq", b"Via"])
def test_mandatory_header_fields(name: bytes) -> None:
    lines = [line for line in request().split(b"\r\n") if not line.startswith(name + b":")]
    assert f"Missing {name.decode()}" in refused(b"\r\n".join(lines)).reason


def test_cseq_must_fit_and_call_id_must_be_one_word() -> None:
    assert refused(request().replace(b"1 INVITE", b"1 BYE")).header == "CSeq"
    assert refused(request().replace(b"1@h", b"1 h")).header == "Call-ID"
    assert refused(request().replace(b"1@h", b"")).header == "Call-ID"


def test_limits_each_with_an_answer_where_one_is_possible() -> None:
    large = request(body=b"x" * 400)
    error = refused(large, MessageLimits(message=300))
    assert error.status == 513 and error.message.call_id == "1@h"
    error = refused(request(more=b"Subject: " + b"x" * 400 + b"\r\n"), MessageLimits(head=300))
    assert error.status == 513 and error.message.call_id == "1@h"
    assert refused(request(), MessageLimits(header_count=3)).reason == "Too many header fields"
    assert refused(b"\x00" * 400, MessageLimits(message=300)).message is None
    assert refused(b"\xff x\r\n" * 400, MessageLimits(message=300)).message is None


def test_check_all_reads_what_nobody_asked_for() -> None:
    message = parse_message(request(more=b"Date: yesterday\r\n"))
    with pytest.raises(RemoteProtocolError, match="Date"):
        check_all(message)
    message = parse_message(request(more=b"Contact: <sip:[nonsense]>\r\n"))
    with pytest.raises(RemoteProtocolError):
        check_all(message)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    for raw in (data, request(more=data), b"SIP/2.0 " + data, request(uri=data)):
        try:
            message = parse_message(raw)
            out = message.to_bytes()
            assert parse_message(out).to_bytes() == out
            check_all(message)
        except RemoteProtocolError as error:
            assert 400 <= error.status < 600


def test_nul_stands_in_names_of_people_alone() -> None:
    assert refused(request(more=b'Contact: "a\\\0" <sip:a@example.com>\r\n')).reason == "NUL in Contact header field"
    assert refused(request(more=b"X-Other: \0\r\n")).reason == "NUL in X-Other header field"
    named = request().replace(b"To: ", b'To: "\\\0" ')
    assert parse_message(named).to_bytes().startswith(named[:40])
