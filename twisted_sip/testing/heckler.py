"""A stranger who sends what nobody should have to read: damaged requests and responses, over UDP and TCP."""

from __future__ import annotations

import random
from typing import Any

from twisted.internet.protocol import ClientFactory, DatagramProtocol, Protocol

from twisted_sip.testing.node import Node
from twisted_sip.testing.peer import on_the_wire

#: What is damaged. No INVITE: a damaged one may still be a call, and then nobody knows who has called.
_TEXTS = (
    """OPTIONS sip:example.com SIP/2.0
Via: SIP/2.0/{kind} 198.51.100.250;branch=z9hG4bK{n};rport
Max-Forwards: 70
From: "Heckler" <sip:heckler@example.org>;tag={n}
To: <sip:example.com>
Call-ID: {n}@198.51.100.250
CSeq: {n} OPTIONS
Contact: <sip:heckler@198.51.100.250>""",
    """MESSAGE sip:alice@example.com SIP/2.0
Via: SIP/2.0/{kind} 198.51.100.250;branch=z9hG4bK{n}, SIP/2.0/UDP 192.0.2.77;branch=z9hG4bK{n}
v: SIP/2.0/TCP [2001:db8::77]:5070;received=192.0.2.5;branch=z9hG4bKx
Max-Forwards: 3
f: sip:heckler@example.org;tag={n}
t: <sip:alice@example.com>
i: {n}
Route: <sip:192.0.2.1;lr>, <sip:token@192.0.2.1;lr>
CSeq: {n} MESSAGE
Content-Type: text/plain

words""",
    """BYE sip:alice@198.51.100.1 SIP/2.0
Via: SIP/2.0/{kind} 198.51.100.250;branch=z9hG4bK{n}
From: <sip:heckler@example.com>;tag={n}
To: <sip:alice@example.com>;tag=1
Call-ID: {n}
CSeq: 4294967296 BYE
Proxy-Authorization: Digest username="a", realm="example.com", nonce="{n}", uri="sip:x", response="{n}", nc=00000001""",
    """REGISTER sips:nowhere.example SIP/2.0
Via: SIP/2.0/{kind} 198.51.100.250;branch=z9hG4bK{n}
From: <sip:heckler@example.org>;tag={n}
To: <sip:heckler@nowhere.example>
Call-ID: {n}
CSeq: {n} REGISTER
Contact: *
Expires: 0""",
    """CANCEL sip:alice@example.com SIP/2.0
Via: SIP/2.0/{kind} 198.51.100.250;branch=z9hG4bK{n}
From: <sip:heckler@example.org>;tag={n}
To: <sip:alice@example.com>
Call-ID: {n}
CSeq: {n} CANCEL""",
    """SIP/2.0 200 OK
Via: SIP/2.0/{kind} 192.0.2.1:5060;branch=z9hG4bK{n}
Via: SIP/2.0/{kind} 198.51.100.250;branch=z9hG4bK{n}
From: <sip:heckler@example.org>;tag={n}
To: <sip:alice@example.com>;tag={n}
Call-ID: {n}
CSeq: {n} INVITE""",
)


class Heckler:
    """Sends damaged messages from *node*, decided by *chance*."""

    def __init__(self, node: Node, chance: random.Random) -> None:
        self.node = node
        self._chance = chance
        self._number = 0
        protocol = DatagramProtocol()
        self._port: Any = node.listenUDP(5060, protocol)

    def message(self, kind: str) -> bytes:
        """Return a message with up to six faults."""
        chance = self._chance
        self._number += 1
        data = bytearray(on_the_wire(chance.choice(_TEXTS).format(n=self._number, kind=kind)))
        for _ in range(chance.randint(0, 6)):
            place = chance.randrange(len(data))
            fault = chance.randrange(5)
            if fault == 0:
                data[place] = chance.randrange(256)
            elif fault == 1:
                del data[place : place + chance.randint(1, 40)]
            elif fault == 2:
                data[place:place] = chance.choice((b"\r\n", b"\0", b'"', b"\xff", b",", b";", b"<", b"%", b"(", b":"))
            elif fault == 3:
                data[place:place] = data[place : place + 60]
            else:
                data[place:place] = data[:place][-1:] * chance.randint(1, 300)
            if not data:
                break
        return bytes(data)

    def shout(self, to: tuple[str, int]) -> None:
        """Send one datagram."""
        data = self.message("UDP")
        if data:
            self._port.write(data, to)

    def call_over(self, to: tuple[str, int]) -> None:
        """Open a connection, send something, close it a while later."""
        self.node.connectTCP(to[0], to[1], _Shouting([self.message("TCP") for _ in range(self._chance.randint(1, 4))]))


class _Shouting(ClientFactory):
    noisy = False

    def __init__(self, messages: list[bytes]) -> None:
        self._messages = messages

    def buildProtocol(self, addr: Any) -> Protocol:
        return _Shout(self._messages)


class _Shout(Protocol):
    def __init__(self, messages: list[bytes]) -> None:
        self._messages = messages

    def connectionMade(self) -> None:
        transport: Any = self.transport
        for message in self._messages:
            transport.write(message)
        transport.node.callLater(5.0, transport.loseConnection)
