"""examples/click_to_call.py connects two phones; examples/prepaid.py ends calls when the credit is used up."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"


class AnsweringPhone(threading.Thread):
    """Answers every request with 200, and an INVITE with a session description.

    :ivar methods: what has come.
    """

    def __init__(self, status: str = "200 OK") -> None:
        super().__init__(daemon=True)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.uri = f"sip:phone@127.0.0.1:{self.port}"
        self.methods: list[str] = []
        self._status = status
        self.start()

    def run(self) -> None:
        while True:
            data, source = self._socket.recvfrom(65535)
            if not data:
                return
            head = data.decode().partition("\r\n\r\n")[0]
            method = head.split(" ")[0]
            self.methods.append(method)
            if method in ("ACK", "SIP/2.0"):
                continue
            kept = re.findall(r"(?mi)^(?:via|from|call-id|cseq):.*$", head)
            to = re.search(r"(?mi)^to:.*$", head)
            assert to is not None
            line = to[0].strip() if "tag=" in to[0] else f"{to[0].strip()};tag=phone{self.port}"
            fields = [field.strip() for field in kept] + [line, f"Contact: <{self.uri}>"]
            body = ""
            if method == "INVITE":
                fields.append("Content-Type: application/sdp")
                body = SDP if "m=audio" in data.decode() or "v=0" not in data.decode() else SDP.partition("m=")[0]
            text = "\r\n".join([f"SIP/2.0 {self._status}", *fields, f"Content-Length: {len(body)}", "", body])
            self._socket.sendto(text.encode(), source)

    def close(self) -> None:
        self._socket.sendto(b"", ("127.0.0.1", self.port))
        self.join(10)
        self._socket.close()


@pytest.fixture
def phone() -> Iterator[Callable[..., AnsweringPhone]]:
    made: list[AnsweringPhone] = []

    def make(status: str = "200 OK") -> AnsweringPhone:
        made.append(AnsweringPhone(status))
        return made[-1]

    yield make
    for one in made:
        one.close()


def refused(url: str, **fields: str) -> tuple[int, str]:
    """Ask for a call that comes to nothing; return the status and what is said about it."""
    with pytest.raises(HTTPError) as error:
        urlopen(url, urlencode(fields).encode(), timeout=60)
    with error.value as answer:
        return answer.code, answer.read().decode()


def test_two_phones_are_connected(program: Callable[..., str], free_port: int, phone: Callable[..., Any]) -> None:
    url = program("click_to_call.py", str(free_port), "0")
    a, b = phone(), phone()
    with urlopen(url, urlencode({"a": a.uri, "b": b.uri}).encode(), timeout=30) as answer:
        assert answer.read() == b"connected\n"
    busy = phone("486 Busy Here")
    assert refused(url, a=a.uri, b=busy.uri) == (502, "the call came to nothing: 486 Busy Here\n")
    assert a.methods.count("INVITE") >= 2


def test_who_cannot_be_connected(program: Callable[..., str], free_port: int) -> None:
    url = program("click_to_call.py", str(free_port), "0")
    phone = "sip:a@127.0.0.1:9"
    for fields in (
        {"a": phone},
        {"b": phone},
        {"a": phone, "b": "junk"},
        {"a": "\xff", "b": phone},
        {"a": "", "b": ""},
    ):
        status, text = refused(url, **fields)
        assert status == 400 and text.startswith("a=SIP_URI&b=SIP_URI is wanted: ")
    for nobody in (phone, "sip:a@host.invalid", "tel:+1"):
        status, text = refused(url, a=nobody, b=phone)
        assert status == 502 and text.startswith("the call came to nothing: "), text
        assert re.fullmatch(r"\d{3} [A-Z].*\n", text.removeprefix("the call came to nothing: ")), text


def test_the_endpoint_takes_thirty_lines() -> None:
    text = (EXAMPLES / "click_to_call.py").read_text("utf-8")
    assert len([line for line in text.partition('"""\n\n')[2].splitlines() if line.strip()]) <= 30


def test_talk_ends_with_the_credit(
    program: Callable[..., str], free_port: int, phone: Callable[..., Any], peer: Callable[[int], Any]
) -> None:
    gateway = phone()
    program("prepaid.py", str(free_port), gateway.uri)
    alice = peer(free_port)
    user, wanted = "sip:alice@example.com", f"sip:1234@127.0.0.1:{free_port}"
    contact = f"Contact: <sip:alice@127.0.0.1:{alice.port}>"
    alice.request("INVITE", wanted, user, wanted, contact, "Content-Type: application/sdp", body=SDP)
    answer = alice.receive()
    assert answer.startswith("SIP/2.0 200")
    target = re.search(r"Contact: <([^>]*)>", answer)
    to = re.search(r"To: <[^>]*>(;tag=[^\r]*)", answer)
    assert target is not None and to is not None
    ack = (
        f"ACK {target[1]} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{alice.port};branch=z9hG4bKack\r\nMax-Forwards: 70\r\n"
        f"From: <{user}>;tag={alice.port}\r\nTo: <{wanted}>{to[1]}\r\nCall-ID: {alice.port}-1\r\nCSeq: 1 ACK\r\n"
        "Content-Length: 0\r\n\r\n"
    )
    alice._socket.send(ack.encode())
    bye = alice.receive()
    while bye.startswith("SIP/2.0"):
        bye = alice.receive()
    assert bye.startswith("BYE") and "Credit Exhausted" in bye
    alice.request("INVITE", wanted, user, wanted, contact, "Content-Type: application/sdp", body=SDP)
    refused = alice.receive()
    while not refused.startswith("SIP/2.0"):
        refused = alice.receive()
    assert refused.startswith("SIP/2.0 402")


def test_the_hook_takes_ten_lines() -> None:
    text = (EXAMPLES / "prepaid.py").read_text("utf-8")
    body = re.search(r"class Prepaid.*?(?=\n\n    def route)", text, re.DOTALL)
    assert body is not None and len(body[0].splitlines()) <= 10
