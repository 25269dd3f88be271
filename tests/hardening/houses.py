"""Whole servers as the twistd commands compose them, with their default settings, on a simulated network.

Each house has alice, bob and carol as users of example.com; bob's phone is registered and answers 200 to whatever
reaches it. A stranger's socket and an own phone's socket stand elsewhere.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from twisted_sip.interfaces.location import Binding, LocationChange
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.tap.accounting_part import AccountingPart
from twisted_sip.tap.b2bua_part import B2BUAPart
from twisted_sip.tap.composition import Server
from twisted_sip.tap.configuration import Configuration, read
from twisted_sip.tap.making import parts_of, parts_without_presence
from twisted_sip.tap.redirect_part import RedirectPart
from twisted_sip.testing.network import Network
from twisted_sip.testing.observation import LoggedFailures
from twisted_sip.testing.peer import Peer, StreamPeer, connect, on_the_wire

HOST, CLIENT, CALLEE = "192.0.2.1", "192.0.2.11", "192.0.2.12"
SERVER = (HOST, 5060)
ALICE, BOB, STRANGER = "sip:alice@example.com", "sip:bob@example.com", "sip:eve@elsewhere.example"
KINDS = ("proxy", "registrar", "presence", "redirect", "b2bua")
PASSWORD = "wonderland"


class Callee(Peer):
    """Bob's phone: answers 200 to every request."""

    def datagramReceived(self, data: bytes, addr: Any) -> None:
        super().datagramReceived(data, addr)
        message = self.arrivals[-1].message
        if isinstance(message, Request) and message.method not in ("ACK", "REGISTER"):
            self.answer(message, 200, [("contact", f"<sip:bob@{CALLEE}>")])

    @property
    def requests(self) -> list[Request]:
        """What was forwarded to it."""
        return [message for message in self.messages if isinstance(message, Request)]


def _parts(kind: str, configuration: Configuration) -> list[Any]:
    """What the command *kind* has beside registrar and proxy (see the modules of the commands in tap)."""
    if kind == "presence":
        return parts_of(configuration)
    accounting = AccountingPart()
    rest = parts_without_presence(configuration)
    return {
        "proxy": [accounting, *rest],
        "registrar": rest,
        "redirect": [RedirectPart(), *rest],
        "b2bua": [accounting, B2BUAPart(accounting), *rest],
    }[kind]


class House:
    """One server and those around it.

    :ivar server: the server.
    :ivar client: a socket at 192.0.2.11.
    :ivar callee: bob's phone.
    """

    def __init__(self, kind: str, directory: Path, text: str = "") -> None:
        self.kind = kind
        self.directory = directory
        self.network = Network(11, keep_trace=True)
        self.network.clock.advance(1_800_000_000.0)
        self.node: Any = self.network.node(HOST)
        self.text = text
        configuration = self.read()
        self.server = Server(self.node, configuration, forwards=kind == "proxy", parts=_parts(kind, configuration))
        self.failures = LoggedFailures()
        self.failures.__enter__()
        self.server.startService()
        self.network.advance(1)
        assert self.server.credentials is not None
        for user in ("alice", "bob", "carol"):
            self.server.credentials.add(user, "example.com", PASSWORD)
        self.client_node = self.network.node(CLIENT)
        self.client = Peer(self.client_node)
        self.callee = Callee(self.network.node(CALLEE))
        self.number = 0
        self._stream: StreamPeer | None = None

    def read(self) -> Configuration:
        listen = [f"udp:5060:interface={HOST}", f"tcp:5060:interface={HOST}"]
        section = f"domains = ['example.com']\nlisten = {listen!r}\nstate_dir = {str(self.directory / 'state')!r}"
        web = f'[xcap]\nlisten = ["tcp:8080:interface={HOST}"]\n' if self.kind == "presence" else ""
        return read(f"[server]\n{section}\n{web}{self.text}", "sip.toml", self.directory)

    def register_bob(self) -> None:
        """Let bob's phone be where bob is."""
        assert self.server.location is not None
        aor = BOB
        binding = Binding(
            aor=aor,
            key="bob",
            contact=f"sip:bob@{CALLEE}",
            call_id="c",
            cseq=1,
            expires_at=self.network.clock.seconds() + 7200,
            received=f"UDP:{CALLEE}:5060",
        )
        self.server.location.commit(LocationChange(aor=aor, put=(binding,)))
        self.network.advance(0.1)

    @property
    def stream(self) -> StreamPeer:
        """A connection of the client's to the server, made anew if it was closed."""
        if self._stream is None or self._stream.closed:
            self._stream = connect(self.client_node, SERVER)
        return self._stream

    def text_of(
        self,
        method: str,
        uri: str = BOB,
        *lines: str,
        sender: str = ALICE,
        to: str = "",
        to_tag: str = "",
        over: str = "udp",
        body: str = "",
    ) -> str:
        """Return a request as :func:`on_the_wire` takes it, with a branch, tag and Call-ID of its own."""
        self.number += 1
        number = self.number
        to = to or (sender if method == "REGISTER" else uri)
        head = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/{over.upper()} {CLIENT}:5060;branch=z9hG4bKh{number}",
            "Max-Forwards: 70",
            f"From: <{sender}>;tag=f{number}",
            f"To: <{to}>{f';tag={to_tag}' if to_tag else ''}",
            f"Call-ID: hard{number}",
            f"CSeq: {number} {method}",
            f"Contact: <sip:client@{CLIENT}>",
            *lines,
        ]
        return "\n".join([*head, "", body])

    def ask(self, text: str | bytes, over: str = "udp", wait: float = 0.3) -> list[Response]:
        """Send *text*; return the final responses that come within *wait* seconds."""
        peer = self.client if over == "udp" else self.stream
        peer.skip()
        first = len(peer.arrivals)
        data = on_the_wire(text)
        if isinstance(peer, Peer):
            peer.send(data, SERVER)
        else:
            peer.send(data)
        self.network.advance(wait)
        return [
            one.message
            for one in peer.arrivals[first:]
            if isinstance(one.message, Response) and one.message.status >= 200
        ]

    def statuses(self, data: bytes, over: str = "udp", wait: float = 0.2) -> list[int]:
        """Send *data*; return the statuses of what comes, which need not be whole messages."""
        peer = self.client if over == "udp" else self.stream
        came = bytearray()
        # Answers to what is malformed repeat it, so that nobody else can read them.
        if isinstance(peer, Peer):
            first = len(peer.arrivals)
            peer.send(data, SERVER)
            self.network.advance(wait)
            came += b"".join(arrival.data for arrival in peer.arrivals[first:])
        else:
            peer.dataReceived = came.extend  # type: ignore[method-assign]
            peer.send(data)
            self.network.advance(wait)
            del peer.dataReceived
        return [int(found) for found in re.findall(rb"(?m)^SIP/2\.0 ([2-6]\d\d) ", bytes(came))]

    def prove(
        self, text: str, user: str = "alice", over: str = "udp", password: str = PASSWORD, wait: float = 0.3
    ) -> list[Response]:
        """Send *text*, and again with the credentials of *user*; return the final answers to that one."""
        (challenge,) = self.ask(text, over, wait)
        assert challenge.status in (401, 407), challenge
        return self.ask(with_credentials(text, challenge, user, password), over, wait)

    def stop(self) -> None:
        """Stop the server; nothing may have been logged as a failure."""
        done: list[Any] = []
        stopping: Any = self.server.stopService()
        stopping.addBoth(done.append)
        for _ in range(1000):
            self.network.advance(0.1)
            if done:
                break
        self.failures.__exit__(None, None, None)
        assert done == [None]
        assert not self.failures.texts, "\n".join(self.failures.texts)

    def sane(self) -> None:
        """Nothing was logged as a failure so far."""
        assert not self.failures.texts, "\n".join(self.failures.texts)


def with_credentials(text: str, challenge: Response, user: str, password: str = PASSWORD) -> str:
    """Return *text* as a new transaction, with credentials of *user* that answer *challenge* (RFC 7616 section 3.4)."""
    first = text.partition("\n")[0].split(" ")
    line = credentials(challenge, first[0], first[1], user, password)
    text = re.sub(r"branch=z9hG4bK", "branch=z9hG4bKc", text, count=1)
    return text.replace("\nMax-Forwards", f"\n{line}\nMax-Forwards", 1)


def credentials(challenge: Response, method: str, uri: str, user: str, password: str = PASSWORD) -> str:
    """Return the header line that answers *challenge*."""
    proxy = challenge.status == 407
    value = challenge.headers.first("proxy-authenticate" if proxy else "www-authenticate") or ""
    found = dict(re.findall(r'(realm|nonce)="([^"]*)"', value))

    def md5(words: str) -> str:
        return hashlib.md5(words.encode()).hexdigest()

    secret = md5(f"{user}:{found['realm']}:{password}")
    response = md5(f"{secret}:{found['nonce']}:00000001:c:auth:{md5(f'{method}:{uri}')}")
    return (
        f"{'Proxy-' if proxy else ''}Authorization: Digest "
        f'username="{user}", realm="{found["realm"]}", nonce="{found["nonce"]}", uri="{uri}", '
        f'response="{response}", algorithm=MD5, qop=auth, nc=00000001, cnonce="c"'
    )


def in_pairs(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Give each two of *names*."""
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            yield one, other
