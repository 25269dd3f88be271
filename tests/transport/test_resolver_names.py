"""How name servers are asked: by sockets that say nothing, and over TCP where an answer is cut off."""

from __future__ import annotations

import struct
from typing import Any

from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.names import dns
from twisted.python.log import addObserver, removeObserver, textFromEventDict

from twisted_sip.testing.network import Network
from twisted_sip.transport.resolver_dns import DNSQuestions, system_names
from twisted_sip.transport.resolver_selection import Answer, Question, QuestionType

QUESTION = Question(QuestionType.SRV, "_sip._udp.example")


class Cutting:
    """A name server whose answers over UDP are cut off, and what it says over TCP.

    :ivar heard: how many questions came over TCP.
    """

    def __init__(self, over_tcp: str) -> None:
        self.network = Network()
        self.over_tcp = over_tcp
        self.heard = 0
        server = self.network.node("192.0.2.53")
        own = self

        class Datagrams(DatagramProtocol):
            def datagramReceived(self, datagram: bytes, addr: Any) -> None:
                self.transport.write(cut(datagram), addr)  # type: ignore[union-attr]

        class Stream(Protocol):
            def dataReceived(self, data: bytes) -> None:
                own.heard += 1
                assert self.transport is not None
                if own.over_tcp == "closes":
                    self.transport.loseConnection()
                elif own.over_tcp == "cuts":
                    answer = cut(data[2:])
                    self.transport.write(struct.pack("!H", len(answer)) + answer)
                elif own.over_tcp == "answers":
                    answer = whole(data[2:])
                    self.transport.write(struct.pack("!H", len(answer)) + answer)

        server.listenUDP(53, Datagrams())
        server.listenTCP(53, Factory.forProtocol(Stream))
        client = self.network.node("192.0.2.1")
        names: Any = system_names(client)
        names.servers, names.dynServers, names.resolv = [("192.0.2.53", 53)], [], None
        self.questions = DNSQuestions(client, names)

    def ask(self, within: float) -> list[Answer]:
        """Return the answer that comes *within* so many seconds."""
        got: Any = self.questions.ask(QUESTION)
        answers: list[Answer] = []
        got.addCallback(answers.append)
        self.network.advance(within)
        return answers


def cut(question: bytes) -> bytes:
    message = dns.Message()
    message.fromStr(question)
    message.answer = message.trunc = 1
    return message.toStr()


def whole(question: bytes) -> bytes:
    message = dns.Message()
    message.fromStr(question)
    message.answer = 1
    record = dns.Record_SRV(1, 1, 5060, b"h.example", 60)
    message.answers = [dns.RRHeader(b"_sip._udp.example", dns.SRV, dns.IN, 60, record)]
    return message.toStr()


def test_what_was_cut_off_is_asked_over_tcp() -> None:
    server = Cutting("answers")
    (answer,) = server.ask(within=1)
    assert [record.target.rstrip(".") for record in answer.srv] == ["h.example"]
    assert server.heard == 1


def test_what_is_cut_off_over_tcp_too_is_no_answer() -> None:
    server = Cutting("cuts")
    assert server.ask(within=1) == [Answer()]
    assert server.heard == 1


def test_nobody_waits_longer_over_tcp_than_over_udp() -> None:
    for silent in ("closes", "says nothing"):
        server = Cutting(silent)
        assert server.ask(within=3.5) == [Answer()], silent
        assert not server.questions.waiting
        # What comes of the question later disturbs nobody.
        server.network.advance(60)


def test_sockets_for_look_ups_are_not_worth_a_line() -> None:
    lines: list[Any] = []
    addObserver(lines.append)
    try:
        made = system_names(Network().node("192.0.2.1"))._connectedProtocol()
        made.transport.stopListening()
    finally:
        removeObserver(lines.append)
    assert not [text for text in map(textFromEventDict, lines) if text and "protocol" in text]
