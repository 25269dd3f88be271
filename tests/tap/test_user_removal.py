"""A user who is removed while the server runs: what is theirs goes, and nobody goes on as them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from twisted_sip.documents.pidf import Presence
from twisted_sip.errors import DocumentConflict
from twisted_sip.interfaces.documents import Document
from twisted_sip.message.response import Response
from twisted_sip.storage.batch_writer import InlineThread
from twisted_sip.storage.documents_memory import MemoryDocumentStore
from twisted_sip.storage.location_memory import MemoryLocationStore
from twisted_sip.tap.composition import Server
from twisted_sip.tap.configuration import Configuration, overridden
from twisted_sip.tap.control import CommandError
from twisted_sip.tap.packages_part import PackagesPart
from twisted_sip.tap.presence_part import PresencePart
from twisted_sip.tap.presence_removal import remove_documents
from twisted_sip.tap.site_part import SitePart
from twisted_sip.tap.user_removal import removal_commands
from twisted_sip.testing.network import Network
from twisted_sip.testing.peer import Peer

HOST, ALICE, BOB = "192.0.2.1", "sip:alice@example.com", "sip:bob@example.com"
BODY = Presence(BOB).with_status("open").to_xml().decode().replace("\n", "")


class Stage:
    """A presence server on a simulated network, where nobody is asked who he is."""

    def __init__(self, directory: Path, commands: dict[str, Any]) -> None:
        self.network = Network(3)
        self.network.clock.advance(1_800_000_000.0)
        node: Any = self.network.node(HOST)
        configuration = overridden(
            Configuration(),
            domains=["example.com"],
            listen=[f"udp:5060:interface={HOST}"],
            state_dir=str(directory),
            no_auth=True,
        )
        self.part = PresencePart()
        self.server = Server(node, configuration, forwards=False, parts=[self.part])
        self.commands = commands
        self.peer = Peer(self.network.node("192.0.2.11"))
        self._sent = 0

    def ask(self, method: str, uri: str, *lines: str, from_: str = BOB, body: str = "") -> Response:
        self._sent += 1
        head = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 192.0.2.11;branch=z9hG4bK{self._sent}",
            "Max-Forwards: 70",
            f"From: <{from_}>;tag={self._sent}",
            f"To: <{from_ if method == 'REGISTER' else uri}>",
            f"Call-ID: {self._sent}",
            f"CSeq: 1 {method}",
            *lines,
            f"Content-Length: {len(body)}",
        ]
        self.peer.send("\n".join([*head, "", body]), (HOST, 5060))
        found: Response = self.peer.expect(lambda message: isinstance(message, Response) and message.status >= 200)
        return found

    def settled(self, value: Any) -> Any:
        results: list[Any] = []
        value.addBoth(results.append)
        for _ in range(100):
            if results:
                break
            self.network.advance(0.05)
        return results[0]

    def remove(self, **request: Any) -> Any:
        return self.settled(self.commands["user-remove"](request))


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    commands: dict[str, Any] = {}

    def control(reactor: Any, directory: Path, given: dict[str, Any]) -> None:
        commands.update(given)

    monkeypatch.setattr("twisted_sip.tap.composition.ControlSocket", control)
    for module in ("presence_part", "stores"):
        monkeypatch.setattr(f"twisted_sip.tap.{module}.WriterThread", lambda reactor, name: InlineThread())
    made = Stage(tmp_path, commands)
    made.server.startService()
    made.network.advance(1)
    yield made
    made.settled(made.server.stopService())


def fill(stage: Stage) -> None:
    """Have bob register, publish, watch alice, and keep a document; alice write to him where he does not answer."""
    assert stage.part.documents is not None
    put = stage.part.documents.put(Document(auid="pres-rules", owner=BOB, name="index", etag="1", content=b"<a/>"))
    assert stage.settled(put) is None
    assert stage.ask("PUBLISH", BOB, "Event: presence", "Content-Type: application/pidf+xml", body=BODY).status == 200
    subscribed = stage.ask("SUBSCRIBE", ALICE, "Event: presence", "Contact: <sip:bob@192.0.2.11>")
    assert subscribed.status == 200
    stage.peer.answer(stage.peer.expect("NOTIFY"), 200)
    for text in ("one", "two"):
        said = stage.ask("MESSAGE", BOB, "Content-Type: text/plain", from_=ALICE, body=text)
        assert said.status == 202
    registered = stage.ask("REGISTER", "sip:example.com", "Contact: <sip:bob@192.0.2.99>")
    assert registered.status == 200


WHOLE = {"contacts": 1, "subscriptions": 1, "publications": 1, "messages": 2, "documents": 1}


def test_everything_of_a_user_goes(stage: Stage) -> None:
    fill(stage)
    assert stage.remove(aor=BOB) == WHOLE
    last = stage.peer.expect("NOTIFY")
    assert "terminated;reason=rejected" in str(last.headers.first("subscription-state"))
    stage.peer.answer(last, 200)
    assert stage.remove(aor=BOB) == {}
    counts = stage.part.counts()
    assert (counts["publications"], counts["subscriptions"]) == (0, 0)
    assert stage.part.presence is not None and stage.part.presence.presence_of(BOB).basic == "closed"


def test_what_is_worth_keeping_may_stay(stage: Stage) -> None:
    fill(stage)
    assert stage.remove(aor=BOB, keep_data=True) == {"contacts": 1, "subscriptions": 1, "publications": 1}
    assert stage.remove(aor=BOB) == {"messages": 2, "documents": 1}


def test_who_is_a_user_keeps_what_he_has(stage: Stage) -> None:
    fill(stage)
    location, credentials = stage.server.location, stage.server.credentials
    assert location is not None and credentials is not None
    commands = removal_commands(location, stage.server.parts, lambda aor: succeed(aor == BOB), credentials)
    refused = stage.settled(commands["user-remove"]({"aor": BOB}))
    assert refused.check(CommandError) and refused.getErrorMessage() == "bob@example.com is a user"
    with pytest.raises(CommandError, match="aor is missing"):
        commands["user-remove"]({})


def test_a_part_that_has_not_started_has_nothing() -> None:
    part = PresencePart()
    results: list[Any] = []
    Deferred.fromCoroutine(part.remove_user(BOB, False)).addCallback(results.append)
    parts: list[Any] = [part, PackagesPart(part), SitePart(part)]
    commands = removal_commands(MemoryLocationStore(Clock()), parts, None, None)
    commands["user-remove"]({"aor": BOB}).addCallback(results.append)
    assert results == [{}, {}]


def test_a_document_that_is_put_meanwhile_goes_as_well() -> None:
    class Busy(MemoryDocumentStore):
        conflicts = 1

        def delete(self, document: Document) -> Deferred[None]:
            if self.conflicts:
                self.conflicts -= 1
                return fail(DocumentConflict("changed"))
            return super().delete(document)

    store = Busy()
    store.put(Document(auid="a", owner=BOB, name="n", etag="1", content=b"<a/>"))
    results: list[int] = []
    Deferred.fromCoroutine(remove_documents(store, BOB)).addCallback(results.append)
    assert results == [1] and store.owned(BOB) == []
