"""Bad requests against a server that runs: a 400 that names the header field, over UDP and TCP, and life goes on."""

from __future__ import annotations

import re

import pytest
from torture_server import SERVER, Answer, Rig

GOOD = (
    b"MESSAGE sip:user@example.com SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.99;rport;branch=z9hG4bKbad\r\n"
    b"Max-Forwards: 70\r\n"
    b"From: <sip:tester@elsewhere.example>;tag=f\r\n"
    b"To: <sip:user@example.com>\r\n"
    b"Call-ID: bad-input\r\n"
    b"CSeq: 7 MESSAGE\r\n"
    b"Content-Type: text/plain\r\n"
    b"Content-Length: 5\r\n"
    b"\r\n"
    b"hello"
)
#: Those without which there is no transaction or dialog (RFC 3261 section 8.1.1); Max-Forwards may be missing
#: (section 16.3 step 3).
MANDATORY = ("From", "To", "Call-ID", "CSeq")
BOTH = pytest.mark.parametrize("over", ["udp", "tcp"])


def line(name: str) -> re.Pattern[bytes]:
    return re.compile(rb"(?m)^" + name.encode() + rb": (.*)\r\n")


def send(rig: Rig, data: bytes, over: str) -> list[Answer]:
    """Send *data*; return the answers."""
    if over == "udp":
        return rig.datagram(data)
    answers, _ = rig.stream(data, 2)
    return answers


def refused(data: bytes, over: str, status: int, *words: str, method: bytes = b"") -> Answer:
    """The server answers *data* with *status* and a reason that has *words*; it forwards nothing and stays alive."""
    with Rig() as rig:
        rig.register("sip:user@example.com")
        (answer,) = send(rig, data, over)
        assert answer.status == status, answer
        assert all(word in answer.reason for word in words), answer
        assert not rig.callee.requests
        rig.alive()
        rig.network.advance(8000)
        assert rig.server.leftovers() == {}
    return answer


@BOTH
def test_the_good_one_is_forwarded(over: str) -> None:
    with Rig() as rig:
        rig.register("sip:user@example.com")
        assert [answer.status for answer in send(rig, GOOD, over)] == [200]
        assert len(rig.callee.requests) == 1


@BOTH
@pytest.mark.parametrize("name", MANDATORY)
def test_missing(name: str, over: str) -> None:
    refused(line(name).sub(b"", GOOD), over, 400, name, "Missing")


@BOTH
@pytest.mark.parametrize("name", [*MANDATORY, "Max-Forwards"])
def test_doubled(name: str, over: str) -> None:
    refused(line(name).sub(rb"\g<0>\g<0>", GOOD), over, 400, name, "More than one")


@BOTH
@pytest.mark.parametrize("name", [*MANDATORY, "Via", "Max-Forwards"])
def test_empty(name: str, over: str) -> None:
    refused(line(name).sub(name.encode() + b":\r\n", GOOD), over, 400, name)


@BOTH
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Via", "SIP/2.0/UDP"),
        ("Via", "SIP/2.0 192.0.2.99"),
        ("Via", "SIP/2.0/UDP 192.0.2.99:port"),
        ("Via", "SIP/2.0/UDP 192.0.2.99;;branch=z9hG4bK1"),
        ("Via", ", SIP/2.0/UDP ["),
        ("From", "<sip:tester@elsewhere.example;tag=f"),
        ("From", "tester"),
        ("From", '"tester <sip:tester@elsewhere.example>;tag=f'),
        ("From", "<>;tag=f"),
        ("To", "<sip:user@example.com>;tag=;;"),
        ("To", "<sip:user@example.com> , <sip:other@example.com>"),
        ("Call-ID", "two words"),
        ("CSeq", "seven MESSAGE"),
        ("CSeq", "7"),
        ("CSeq", "-7 MESSAGE"),
        ("CSeq", "4294967296 MESSAGE"),
        ("CSeq", "7 INVITE"),
        ("Max-Forwards", "many"),
        ("Max-Forwards", "-1"),
        ("Max-Forwards", "٣"),
    ],
)
def test_malformed(name: str, value: str, over: str) -> None:
    refused(line(name).sub(f"{name}: {value}\r\n".encode(), GOOD), over, 400, name)


@BOTH
@pytest.mark.parametrize("route", ["sip:192.0.2.1;lr", "<sip:192.0.2.1;lr", "<sip:>", ",,;"])
def test_a_malformed_route(route: str, over: str) -> None:
    with Rig() as rig:
        rig.register("sip:user@example.com")
        data = GOOD.replace(b"Max-Forwards", b"Route: " + route.encode() + b"\r\nMax-Forwards")
        for answer in send(rig, data, over):
            assert answer.status in (200, 400)
            assert answer.status == 200 or "Route" in answer.reason
        rig.alive()


@BOTH
@pytest.mark.parametrize("version", [b"SIP/3.0", b"SIP/2.1", b"SIP/1.0", b"sip/22.0"])
def test_another_version(version: bytes, over: str) -> None:
    refused(GOOD.replace(b" SIP/2.0\r\n", b" " + version + b"\r\n", 1), over, 505)


@BOTH
@pytest.mark.parametrize("start", [b"MESSAGE sip:user@example.com", b"MESSAGE", b"MESSAGE sip:a HTTP/1.1", b"a b c d"])
def test_no_request_line(start: bytes, over: str) -> None:
    data = GOOD.replace(b"MESSAGE sip:user@example.com SIP/2.0", start, 1)
    refused(data, over, 400, "request line")


@BOTH
@pytest.mark.parametrize("uri", [b"mailto:user@example.com", b"http://example.com/", b"urn:service:sos", b"x-y.z+1:a"])
def test_a_foreign_scheme(uri: bytes, over: str) -> None:
    refused(GOOD.replace(b"sip:user@example.com", uri, 1), over, 416)


@BOTH
@pytest.mark.parametrize(
    "uri", [b"sip:", b"sip:user@", b"sip:us er@example.com", b"sip:u@[::", b"sip:u@a:99999", b"no"]
)
def test_a_malformed_request_uri(uri: bytes, over: str) -> None:
    refused(GOOD.replace(b"sip:user@example.com", uri, 1), over, 400, "Request-URI")


@BOTH
def test_a_request_uri_that_is_too_long(over: str) -> None:
    refused(GOOD.replace(b"sip:user@", b"sip:" + b"u" * 5000 + b"@", 1), over, 414)


@BOTH
def test_a_head_that_is_too_long(over: str) -> None:
    refused(GOOD.replace(b"Content-Type", b"Subject: " + b"s" * 40_000 + b"\r\nContent-Type", 1), over, 513)


@BOTH
def test_too_many_header_fields(over: str) -> None:
    refused(GOOD.replace(b"Content-Type", b"X: y\r\n" * 300 + b"Content-Type", 1), over, 400, "Too many header fields")


def test_a_body_that_is_too_long() -> None:
    data = GOOD.replace(b"Content-Length: 5", b"Content-Length: 70000") + b"x" * 70_000
    refused(data, "tcp", 513)


@BOTH
@pytest.mark.parametrize(
    "value", [b"five", b"-5", b"5 5", b"0x5", b"99999999999999999999", b"", b"5\r\nContent-Length: 5"]
)
def test_a_length_that_is_none(value: bytes, over: str) -> None:
    refused(GOOD.replace(b"Content-Length: 5", b"Content-Length: " + value), over, 400, "Content-Length")


def test_a_length_beyond_the_datagram() -> None:
    refused(GOOD.replace(b"Content-Length: 5", b"Content-Length: 6"), "udp", 400, "Content-Length")


@BOTH
@pytest.mark.parametrize(
    "line",
    [b"no colon", b": no name", b"na me: value", b"Subject: a\rb", b"Subject: a\nb", b"Sub\0ject: a", b"Subject: \0"],
)
def test_a_line_that_is_none(line: bytes, over: str) -> None:
    refused(GOOD.replace(b"Content-Type: text/plain", line), over, 400)


def test_without_a_via_nothing_is_answered() -> None:
    for over in ("udp", "tcp"):
        with Rig() as rig:
            assert send(rig, line("Via").sub(b"", GOOD), over) == []
            rig.alive()


@BOTH
@pytest.mark.parametrize("name", [*MANDATORY, "Max-Forwards", "Via"])
@pytest.mark.parametrize("how", ["missing", "doubled", "empty"])
def test_an_ack_is_never_answered(name: str, how: str, over: str) -> None:
    ack = GOOD.replace(b"MESSAGE", b"ACK")
    put = {"missing": b"", "doubled": rb"\g<0>\g<0>", "empty": name.encode() + b":\r\n"}[how]
    with Rig() as rig:
        for data in (line(name).sub(put, ack), ack.replace(b"SIP/2.0\r\n", b"SIP/3.0\r\n", 1)):
            assert send(rig, data, over) == []
        rig.alive()


@BOTH
@pytest.mark.parametrize(
    "status", [b"100", b"180", b"200", b"302", b"401", b"503", b"699", b"700", b"099", b"2000", b"xyz"]
)
def test_a_response_to_nothing_is_dropped(status: bytes, over: str) -> None:
    _, _, rest = GOOD.partition(b"\r\n")
    with Rig() as rig:
        rig.network._keep_trace = True
        ours = rest.replace(b"192.0.2.99;rport", b"192.0.2.1")
        for fields in (rest, ours, ours.replace(b"Call-ID", b"X"), line("Via").sub(b"", rest)):
            assert send(rig, b"SIP/2.0 " + status + b" Reason\r\n" + fields, over) == []
        assert all(source.host == "192.0.2.99" for _, source, _, _, _ in rig.network.trace)
        rig.alive()


def test_a_register_with_a_bad_contact_changes_nothing() -> None:
    register = GOOD.replace(b"MESSAGE sip:user@", b"REGISTER sip:").replace(b"MESSAGE", b"REGISTER")
    for contact in (
        b"<sip:a@192.0.2.99",
        b"*",
        b"<sip:a@b>;q=2",
        b"<sip:a@b>, *",
        b"<sip:a@b>;expires=x\0",
        b"sip:",
        b",",
    ):
        with Rig() as rig:
            answers = rig.datagram(register.replace(b"Content-Type: text/plain", b"Contact: " + contact))
            assert len(answers) == 1
            if answers[0].status != 200:
                assert answers[0].status == 400
                assert list(rig.server.location.bindings()) == []
            rig.alive()


assert SERVER
