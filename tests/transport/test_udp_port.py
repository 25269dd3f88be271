"""Datagrams out of one buffer: each has its own bytes, whatever comes after it."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import DatagramProtocol

from twisted_sip.transport.datagram import MAX_DATAGRAM
from twisted_sip.transport.udp_port import SIPUDPPort


class Listener(DatagramProtocol):
    def __init__(self) -> None:
        self.heard: list[tuple[bytes, Any]] = []

    def datagramReceived(self, data: bytes, addr: Any) -> None:
        self.heard.append((data, addr))


def test_each_datagram_keeps_its_bytes() -> None:
    listener = Listener()
    port = SIPUDPPort(0, listener, "127.0.0.1", MAX_DATAGRAM, reactor)
    port._bindSocket()
    port.connected = True
    # The largest that fits into IPv4, then shorter ones, one of them empty.
    datagrams = [b"y" * 65507, b"x" * 3000, b"INVITE", b"", b"z"]
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind(("127.0.0.1", 0))
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            for datagram in datagrams:
                sender.sendto(datagram, port.socket.getsockname())
            port.doRead()
            assert listener.heard == [(datagram, sender.getsockname()) for datagram in datagrams]
        assert all(type(data) is bytes for data, _ in listener.heard)
    finally:
        port.socket.close()
