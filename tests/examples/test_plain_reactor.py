"""examples/plain_reactor.py: SIPDatagramProtocol and SIPFactory on sockets of the program's own."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any


def test_it_answers_over_udp(program: Callable[..., str], free_port: int, peer: Callable[[int], Any]) -> None:
    program("plain_reactor.py", "--port", str(free_port))
    phone = peer(free_port)
    phone.request("MESSAGE", "sip:parrot@127.0.0.1", "sip:a@example.com", "sip:parrot@127.0.0.1", body="polly")
    answer = phone.receive()
    assert answer.startswith("SIP/2.0 200 OK\r\n")
    assert answer.endswith("\r\n\r\npolly")


def test_it_answers_over_tcp(program: Callable[..., str], free_port: int) -> None:
    program("plain_reactor.py", "--port", str(free_port))
    with socket.create_connection(("127.0.0.1", free_port), timeout=30) as stream:
        stream.sendall(
            b"MESSAGE sip:parrot@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK1\r\n"
            b"Max-Forwards: 70\r\nFrom: <sip:a@example.com>;tag=1\r\nTo: <sip:parrot@127.0.0.1>\r\nCall-ID: 1\r\n"
            b"CSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\npolly"
        )
        answer = b""
        while not answer.endswith(b"\r\n\r\npolly"):
            received = stream.recv(4096)
            assert received, answer
            answer += received
    assert answer.startswith(b"SIP/2.0 200 OK\r\n")


def test_what_it_does_not_know_it_refuses(
    program: Callable[..., str], free_port: int, peer: Callable[[int], Any]
) -> None:
    program("plain_reactor.py", "--port", str(free_port))
    phone = peer(free_port)
    phone.request("INVITE", "sip:parrot@127.0.0.1", "sip:a@example.com", "sip:parrot@127.0.0.1")
    assert phone.receive().startswith("SIP/2.0 404 ")
