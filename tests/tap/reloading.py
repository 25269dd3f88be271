"""A server on a simulated network whose configuration is a text that changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from twisted_sip.message.response import Response
from twisted_sip.storage.batch_writer import InlineThread
from twisted_sip.tap.composition import Server
from twisted_sip.tap.configuration import read
from twisted_sip.tap.part import Part
from twisted_sip.testing.network import Network
from twisted_sip.testing.peer import Peer
from twisted_sip.transport.certificates import utc_now
from twisted_sip.transport.self_signed import make_self_signed

from .threadless import stop, without_threads

HOST, SECOND = "192.0.2.1", "192.0.2.2"


def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads would need the time of the world, and the control socket a real one."""
    without_threads(monkeypatch)
    for module in ("presence_part", "reg_event_part"):
        monkeypatch.setattr(f"twisted_sip.tap.{module}.WriterThread", lambda reactor, name: LaterThread(reactor))


class LaterThread(InlineThread):
    """Does its work a moment later: packages come to the notifier before its subscriptions are read."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def submit(self, work: Any, done: Any) -> None:
        self._reactor.callLater(0.001, super().submit, work, done)


class Stage:
    """The server, and a peer.

    :ivar text: the configuration as it is written now, without ``[server]`` and ``[storage]``.
    :ivar listen: where to listen.
    :ivar domains: the domains.
    """

    def __init__(
        self, directory: Path, text: str = "", *, parts: Any = (), forwards: bool = True, demo: bool = False
    ) -> None:
        self.network = Network(5)
        self.network.clock.advance(1_800_000_000.0)
        self.node: Any = self.network.node(HOST, SECOND)
        self.directory = directory
        self.text = text
        self.listen = [f"udp:5060:interface={HOST}", f"tcp:5060:interface={HOST}"]
        self.domains = ["example.com"]
        made: list[Part] = list(parts)
        self.server = Server(self.node, self.read(), forwards=forwards, demo=demo, parts=made)
        self.server.reread = self.read
        self.server.startService()
        self.peer = Peer(self.network.node("192.0.2.11"))
        self._sent = 0

    def read(self) -> Any:
        """Return the configuration as it is written now."""
        server = f"domains = {self.domains!r}\nlisten = {self.listen!r}\nstate_dir = {str(self.directory / 'state')!r}"
        return read(f"[server]\n{server}\n{self.text}", "sip.toml", self.directory)

    def reload(self, text: str | None = None, dry_run: bool = False) -> list[str]:
        """Reload with *text*; return what is told."""
        if text is not None:
            self.text = text
        lines = self.server.reload(dry_run).lines()
        self.network.advance(0.1)
        return lines

    def ask(self, method: str, uri: str, *lines: str, sender: str = "sip:alice@example.com") -> Response:
        """Send a request over UDP; return the final answer to it."""
        self._sent += 1
        head = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 192.0.2.11;branch=z9hG4bK{self._sent}",
            "Max-Forwards: 70",
            f"From: <{sender}>;tag={self._sent}",
            f"To: <{sender if method == 'REGISTER' else uri}>",
            f"Call-ID: {self._sent}",
            f"CSeq: 1 {method}",
            *lines,
            "Content-Length: 0",
        ]
        self.peer.send("\n".join([*head, "", ""]), (HOST, 5060))
        found: Response = self.peer.expect(lambda message: isinstance(message, Response) and message.status >= 200)
        return found

    def certificate(self, name: str) -> str:
        """Write a certificate for *name*; return the section that names it."""
        key, text = make_self_signed([name, HOST], utc_now())
        (self.directory / "key.pem").write_bytes(key)
        (self.directory / "cert.pem").write_bytes(text)
        return '[tls]\ncertificate = "cert.pem"\nprivate_key = "key.pem"\n'

    def stop(self) -> None:
        stop(self.server, self.network)
