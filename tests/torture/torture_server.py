"""A simulated server that gets one message at a time: who may call it, what it answers, whether it is alive afterwards.

The tester sends each message from the port that its topmost Via names, since that is where an answer over UDP goes
(RFC 3261 section 18.2.2). Behind the server sits a phone that answers 200 to whatever reaches it.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.location import Binding, LocationChange
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, parse_uri
from twisted_sip.testing.network import Network
from twisted_sip.testing.observation import LoggedFailures
from twisted_sip.testing.peer import Peer, StreamPeer, connect
from twisted_sip.testing.server import SimulatedServer

#: The domains of the server: those whose users the messages call and the address that the RFC 5118 ones name. The
#: others (example.net, example.org) are other people's.
DOMAINS = ("example.com", "chair-dnrc.example.com", "registrar.example.com", "services.example.com", "2001:db8::10")
SERVER = ("192.0.2.1", 5060)
#: Longer than every transaction (Timer B and F) and the wait for the rest of a message.
LONG = 70.0

_VIA = re.compile(rb"(?im)^(?:via|v)[ \t]*:(.*(?:\r\n[ \t].*)*)")
_PORT = re.compile(rb":[ \t]*(\d+)$")

OPTIONS = (
    "OPTIONS sip:example.com SIP/2.0\n"
    "Via: SIP/2.0/{transport} 192.0.2.99;rport;branch=z9hG4bKalive{count}\n"
    "Max-Forwards: 70\n"
    "From: <sip:tester@elsewhere.example>;tag=alive\n"
    "To: <sip:example.com>\n"
    "Call-ID: alive{count}\n"
    "CSeq: 1 OPTIONS\n"
)


def via_port(data: bytes) -> int:
    """Return the port that the topmost Via of *data* names, 5060 if it names none."""
    via = _VIA.search(data)
    port = _PORT.search(re.split(rb"[;,]", via.group(1))[0].rstrip()) if via else None
    return int(port.group(1)) if port else 5060


class Answer(NamedTuple):
    """A final response: its status, its reason phrase, and all of it."""

    status: int
    reason: str
    data: bytes


class Callee(Peer):
    """Answers 200 to every request."""

    def datagramReceived(self, data: bytes, addr: Any) -> None:
        super().datagramReceived(data, addr)
        message = self.arrivals[-1].message
        if isinstance(message, Request) and message.method != "ACK":
            self.answer(message, 200, [("contact", "<sip:callee@192.0.2.88>")])

    @property
    def requests(self) -> list[Request]:
        """What was forwarded to it."""
        return [message for message in self.messages if isinstance(message, Request)]


class Rig:
    """One server, a tester and a callee, for one message.

    :param passwords: as for SimulatedServer: None for a network without authentication.
    :param domains: the domains of the server.
    """

    def __init__(self, passwords: dict[str, str] | None = None, domains: tuple[str, ...] = DOMAINS) -> None:
        self.network = Network()
        self.server = SimulatedServer(self.network, SERVER[0], passwords=passwords)
        self.server.element.domains.names = frozenset(domains)
        self.node = self.network.node("192.0.2.99")
        self.callee = Callee(self.network.node("192.0.2.88"))
        self.failures = LoggedFailures()
        self._peers: dict[int, Peer] = {}
        self._count = 0

    def __enter__(self) -> Rig:
        self.failures.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.failures.__exit__(*error)
        if error[0] is None:
            assert not self.failures.texts, "\n".join(self.failures.texts)

    def register(self, uri_text: str) -> None:
        """Let the callee be where the user that *uri_text* names is."""
        try:
            uri = parse_uri(uri_text)
        except RemoteProtocolError:
            return
        if isinstance(uri, SIPURI) and uri.user:
            aor = uri.address_of_record
            binding = Binding(
                aor=aor, key="callee", contact="sip:callee@192.0.2.88", call_id="c", cseq=1,
                expires_at=self.network.clock.seconds() + 7200, received="UDP:192.0.2.88:5060",
            )  # fmt: skip
            self.server.location.commit(LocationChange(aor=aor, put=(binding,)))

    def peer(self, port: int = 5060) -> Peer:
        """Return the tester's socket at *port*."""
        if port not in self._peers:
            self._peers[port] = Peer(self.node, port)
        return self._peers[port]

    def datagram(self, data: bytes, wait: float = LONG) -> list[Answer]:
        """Send *data* as one datagram from the port that its topmost Via names; return the final answers."""
        peer = self.peer(via_port(data))
        first = len(peer.arrivals)
        peer.send(data, SERVER)
        self.network.advance(wait)
        came = b"".join(arrival.data for arrival in peer.arrivals[first:])
        peer.skip()
        return answers(came)

    def connect(self) -> StreamPeer:
        """Return a connection to the server."""
        return connect(self.node, SERVER)

    def stream(self, data: bytes, wait: float = LONG) -> tuple[list[Answer], StreamPeer]:
        """Send *data* over a connection of its own; return the final answers and the connection."""
        peer = self.connect()
        raw = bytearray()
        read = peer.dataReceived
        # Answers to what is malformed repeat it, so that a framer cannot read them.
        peer.dataReceived = lambda data: (raw.extend(data), read(data))[1]  # type: ignore[method-assign]
        peer.send(data)
        self.network.advance(wait)
        return answers(bytes(raw)), peer

    def alive(self) -> None:
        """An OPTIONS gets its 200, over UDP and over TCP."""
        self._count += 1
        self.peer().send(OPTIONS.format(transport="UDP", count=self._count), SERVER)
        assert self.peer().expect(self._is_answer).status == 200
        self.alive_over(self.connect())

    def alive_over(self, peer: StreamPeer) -> None:
        """An OPTIONS over *peer* gets its 200."""
        self._count += 1
        peer.skip()
        peer.send(OPTIONS.format(transport="TCP", count=self._count))
        assert peer.expect(self._is_answer).status == 200

    def _is_answer(self, message: Request | Response) -> bool:
        return isinstance(message, Response) and message.call_id == f"alive{self._count}"


def answers(data: bytes) -> list[Answer]:
    """Return the final answers among the responses in *data*, each once; read as text, since they repeat the header
    fields of the request, malformed ones included."""
    found: dict[tuple[bytes, bytes], Answer] = {}
    for part in re.split(rb"(?m)^(?=SIP/2\.0 \d{3} )", data):
        start, _, rest = part.partition(b"\r\n")
        status = start[8:11]
        if start.startswith(b"SIP/2.0 ") and status >= b"200":
            sequence = re.search(rb"(?im)^cseq\s*:[^\r]*", rest)
            key = (start, sequence.group() if sequence else b"")
            found[key] = Answer(int(status), start[12:].decode("utf-8", "replace"), part)
    return list(found.values())
