"""How full the receive buffer of a UDP socket is: what overload looks like before anything is late."""

from __future__ import annotations

import socket
import sys

import pytest
from twisted.internet import reactor
from twisted.internet.protocol import DatagramProtocol

from twisted_sip.transport.udp_port import SIPUDPPort


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how full a receive buffer is")
def test_what_waits_in_the_socket_is_seen() -> None:
    port = SIPUDPPort(0, DatagramProtocol(), "127.0.0.1", 65535, reactor)
    port._bindSocket()
    try:
        assert port.backlog() == 0.0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(20):
                sender.sendto(b"x" * 1000, port.socket.getsockname())
        assert 0.0 < port.backlog() <= 1.0
    finally:
        port.socket.close()
    assert port.backlog() == 0.0
