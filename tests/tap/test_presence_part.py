"""A composed server with presence: it serves, it refuses where its stores cannot be read, it sits behind a proxy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, fail

from twisted_sip.documents.pidf import Presence
from twisted_sip.errors import StoreError
from twisted_sip.message.response import Response
from twisted_sip.presence.settings import PresenceSettings
from twisted_sip.storage.publication_sqlite import SQLitePublicationStore
from twisted_sip.tap.composition import Server
from twisted_sip.tap.configuration import Configuration, overridden
from twisted_sip.tap.presence_part import PresencePart
from twisted_sip.testing.network import Network
from twisted_sip.testing.peer import Peer

from .threadless import stop, without_threads

HOST, ALICE = "192.0.2.1", "sip:alice@example.com"
BODY = Presence(ALICE).with_status("open").to_xml().decode().replace("\n", "")


class Stage:
    """A server on a simulated network, started with stores that write at once."""

    def __init__(self, directory: Path, **presence: Any) -> None:
        self.network = Network(3)
        self.network.clock.advance(1_800_000_000.0)
        self.node: Any = self.network.node(HOST)
        configuration = overridden(
            Configuration(),
            domains=["example.com"],
            listen=[f"udp:5060:interface={HOST}"],
            state_dir=str(directory),
            no_auth=True,
        )
        self.configuration = attrs.evolve(configuration, presence=PresenceSettings(**presence))
        self.part = PresencePart()
        self.server = Server(self.node, self.configuration, forwards=False, parts=[self.part])
        self.peer = Peer(self.network.node("192.0.2.11"))
        self._sent = 0

    def ask(self, method: str, uri: str, *lines: str, body: str = "") -> Response:
        self._sent += 1
        head = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 192.0.2.11;branch=z9hG4bK{self._sent}",
            "Max-Forwards: 70",
            f"From: <{ALICE}>;tag={self._sent}",
            f"To: <{ALICE if method == 'REGISTER' else uri}>",
            f"Call-ID: {self._sent}",
            f"CSeq: 1 {method}",
            *lines,
            f"Content-Length: {len(body)}",
        ]
        self.peer.send("\n".join([*head, "", body]), (HOST, 5060))
        found: Response = self.peer.expect(lambda message: isinstance(message, Response) and message.status >= 200)
        return found

    def publish(self, uri: str = ALICE) -> Response:
        return self.ask("PUBLISH", uri, "Event: presence", "Content-Type: application/pidf+xml", body=BODY)

    def stop(self) -> None:
        stop(self.server, self.network)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads would need the time of the world, and the control socket a real one."""
    without_threads(monkeypatch, "presence_part")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    made.server.startService()
    yield made
    made.stop()


def test_it_serves(stage: Stage) -> None:
    stage.network.advance(1)
    assert stage.publish().status == 200
    stage.network.advance(1)
    assert stage.publish("pres:alice@example.com").status == 200
    assert stage.publish("pres:alice@example.net").status == 416
    subscribed = stage.ask(
        "SUBSCRIBE", ALICE, "Event: presence", f"Contact: <{ALICE.replace('example.com', '192.0.2.11')}>"
    )
    assert subscribed.status == 200
    stage.peer.answer(stage.peer.expect("NOTIFY"), 200)
    options = stage.ask("OPTIONS", "sip:example.com")
    # RFC 3903 section 7.
    assert "PUBLISH" in str(options.headers.first("allow"))
    allowed = str(options.headers.first("allow-events")).split(", ")
    assert "presence" in allowed and "presence.winfo" not in allowed
    assert stage.part.lists is not None and stage.part.services is stage.part.lists.index is not None
    counts = stage.part.counts()
    assert counts["publications"] == 2 and counts["list subscriptions"] == counts["back-end subscriptions"] == 0
    assert counts["watchers undecided"] == 0
    assert "presence" in stage.part.commands()
    assert stage.ask("REGISTER", "sip:example.com", "Contact: <sip:alice@192.0.2.11>").status == 200


def test_a_message_for_one_device(stage: Stage) -> None:
    stage.network.advance(1)
    instance = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-00000000000A>"'
    contact = f"Contact: <sip:alice@192.0.2.11>;{instance}"
    registered = stage.ask("REGISTER", "sip:example.com", contact, "Supported: gruu")
    (binding,) = registered.typed("contact")
    gruu = binding.pub_gruu
    assert gruu.startswith(f"{ALICE};gr=")
    body = "hello"
    head = ["Via: SIP/2.0/UDP 192.0.2.11;branch=z9hG4bKg", "Max-Forwards: 70", f"From: <{ALICE}>;tag=g"]
    head += [f"To: <{gruu}>", "Call-ID: g", "CSeq: 1 MESSAGE", "Content-Type: text/plain", "Content-Length: 5"]
    stage.peer.send("\n".join([f"MESSAGE {gruu} SIP/2.0", *head, "", body]), (HOST, 5060))
    arrived = stage.peer.expect("MESSAGE")
    assert str(arrived.uri) == "sip:alice@192.0.2.11" and arrived.body == b"hello"
    stage.peer.answer(arrived, 200)
    assert stage.peer.expect(200).cseq.method == "MESSAGE"
    # It is away; one that nobody knows, and one that is none.
    assert stage.ask("REGISTER", "sip:example.com", contact, "Supported: gruu", "Expires: 0").status == 200
    assert stage.ask("MESSAGE", gruu, body=body).status == 202
    assert stage.ask("MESSAGE", f"{ALICE};gr=urn:uuid:other", body=body).status == 404
    assert stage.ask("MESSAGE", f"{ALICE};gr", body=body).status == 404
    stage.peer.expect_nothing(within=5)


def test_what_it_answers_itself(stage: Stage) -> None:
    from twisted_sip.message.builders import build_request

    def claimed(method: str, uri: str) -> bool:
        request = build_request(method, uri, from_=f"<{ALICE}>;tag=1", to=f"<{uri}>", call_id="c", cseq=1)
        return stage.part.claims(request)

    assert claimed("PUBLISH", ALICE) and claimed("MESSAGE", ALICE)
    assert not claimed("PUBLISH", "sip:bob@example.net") and not claimed("INVITE", ALICE)


def test_stores_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting: Deferred[Any] = Deferred()
    monkeypatch.setattr(SQLitePublicationStore, "load", lambda store: waiting)
    stage = Stage(tmp_path)
    stage.server.startService()
    stage.peer.send("OPTIONS sip:example.com SIP/2.0\n\n", (HOST, 5060))
    stage.network.advance(1)
    stage.network.clock.callLater(1.0, waiting.errback, StoreError("damaged"))
    # One that waits, and one that comes later; the rest of the server works.
    assert stage.publish().status == 500
    assert stage.publish().status == 500
    assert stage.ask("REGISTER", "sip:example.com", "Contact: <sip:alice@192.0.2.11>").status == 200
    stage.stop()


def test_a_stop_while_it_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loading: Deferred[Any] = Deferred()
    monkeypatch.setattr(SQLitePublicationStore, "load", lambda store: loading)
    stage = Stage(tmp_path)
    stage.server.startService()
    stage.stop()
    loading.errback(StoreError("closed"))


def test_behind_a_proxy(tmp_path: Path) -> None:
    stage = Stage(tmp_path, outbound_proxy="sip:192.0.2.99:5070")
    proxy = Peer(stage.network.node("192.0.2.99"), 5070)
    stage.server.startService()
    stage.network.advance(1)
    # Users register there.
    assert stage.ask("REGISTER", "sip:example.com", "Contact: <sip:alice@192.0.2.11>").status in (404, 405)
    assert stage.publish().status == 200
    # Nobody is taken to be there for having a way.
    assert stage.part.presence is not None
    assert stage.part.presence.presence_of("sip:bob@example.com").basic == "closed"
    bob = "sip:bob@example.com"
    stage.peer.send(
        f"MESSAGE {bob} SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.11;branch=z9hG4bKm\nMax-Forwards: 70\n"
        f"From: <{ALICE}>;tag=1\nTo: <{bob}>\nCall-ID: m\nCSeq: 1 MESSAGE\nContent-Type: text/plain\n"
        "Content-Length: 5\n\nhello",
        (HOST, 5060),
    )
    passed = proxy.expect("MESSAGE")
    assert str(passed.uri) == bob and "sip:192.0.2.99:5070;lr" in str(passed.headers.first("route"))
    proxy.answer(passed, 200, to_tag="bob")
    answer: Any = stage.peer.expect(lambda message: isinstance(message, Response) and message.status >= 200)
    assert answer.status == 200
    stage.stop()


def test_who_registers_again_is_told_what_did_not_arrive(stage: Stage) -> None:
    stage.network.advance(1)
    contact = "Contact: <sip:alice@192.0.2.11>"
    assert stage.ask("SUBSCRIBE", ALICE, "Event: presence", contact).status == 200
    stage.peer.answer(stage.peer.expect("NOTIFY"), 200)
    assert stage.publish().status == 200
    stage.peer.answer(stage.peer.expect("NOTIFY"), 500)
    stage.network.advance(0.1)
    assert stage.ask("REGISTER", "sip:example.com", contact).status == 200
    stage.peer.answer(stage.peer.expect("NOTIFY", within=1.0), 200)


def test_a_failed_load_is_no_exception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SQLitePublicationStore, "load", lambda store: fail(StoreError("damaged")))
    stage = Stage(tmp_path)
    stage.server.startService()
    assert stage.publish().status == 500
    stage.stop()
