"""What the control socket says of presence and messages."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from twisted_sip.documents.pidf import Presence
from twisted_sip.interfaces.location import Binding, LocationChange
from twisted_sip.interfaces.message_store import StoredMessage
from twisted_sip.presence.service import PresenceService
from twisted_sip.presence.settings import PresenceSettings
from twisted_sip.storage.location_memory import MemoryLocationStore
from twisted_sip.storage.message_memory import MemoryMessageStore
from twisted_sip.storage.publication_memory import MemoryPublicationStore
from twisted_sip.tap.control import CommandError, Stream
from twisted_sip.tap.control_rows import Rows
from twisted_sip.tap.presence_commands import message_commands, presence_commands

ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"


def result_of(value: Any) -> Any:
    """Return what *value* is, or has fired with."""
    if not isinstance(value, Deferred):
        return value
    results: list[Any] = []
    value.addCallback(results.append)
    return results[0]


class House:
    """A presence service with one publication, and one user who is registered."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        texts = iter(range(1000))
        element = SimpleNamespace(
            reactor=self.clock,
            random_text=lambda: f"text{next(texts)}",
            domains=SimpleNamespace(is_local_uri=lambda uri: True),
        )
        self.location = MemoryLocationStore(self.clock)
        self.service = PresenceService(
            element,
            MemoryPublicationStore(self.clock),
            settings=PresenceSettings(**settings),
            location=self.location,
        )
        result_of(Deferred.fromCoroutine(self.service.load()))
        binding = Binding(aor=BOB, key="b", contact="sip:bob@192.0.2.1", call_id="c", cseq=1, expires_at=9000.0)
        self.location.commit(LocationChange(BOB, put=(binding,)))
        seen = [SimpleNamespace(watcher=BOB, event="presence", state="active", expires_at=1100.4)]
        notifier: Any = SimpleNamespace(
            events=["presence", "presence.winfo"],
            subscriptions=lambda event, aor: seen if (event, aor) == ("presence", ALICE) else [],
        )
        self.commands = presence_commands(self.service, notifier, self.location)

    def publish(self, basic: str = "open", expires: int = 600) -> str:
        document = Presence(ALICE).with_status(basic, note="here", activity="busy", contact="sip:a@192.0.2.2")
        return str(result_of(self.service.publish(ALICE, document.with_device("urn:x"), expires=expires)))

    def ask(self, command: str, **arguments: Any) -> Any:
        answer = result_of(self.commands[command](arguments))
        return sorted(answer.rows, key=lambda one: one["aor"]) if isinstance(answer, Rows) else answer


@pytest.fixture
def house() -> House:
    return House()


def test_one(house: House) -> None:
    assert house.ask("presence", aor=ALICE)["basic"] == "closed"
    house.publish()
    house.clock.advance(100)
    found = house.ask("presence", aor=ALICE)
    assert (found["basic"], found["note"], found["activities"]) == ("open", "here", ["busy"])
    assert (found["since"], found["expires_in"]) == (1000.0, 500)
    assert [(each["basic"], each["contact"], each["note"]) for each in found["services"]] == [
        ("open", "sip:a@192.0.2.2", "here")
    ]
    assert [each["device_id"] for each in found["devices"]] == ["urn:x"]
    assert found["publications"] == [
        {"publisher": ALICE, "since": 1000.0, "expires_in": 500, "content_type": "application/pidf+xml"}
    ]
    assert Presence.parse(found["document"].encode()).basic == "open"


def test_everybody(house: House) -> None:
    house.publish()
    found = house.ask("presence-list")
    assert [(each["aor"], each["basic"], each["expires_in"]) for each in found] == [
        (ALICE, "open", 600), (BOB, "open", None)
    ]  # fmt: skip
    assert "document" not in found[0]


def test_who_is_registered_need_not_count() -> None:
    assert House(registration_fallback=False).ask("presence-list") == []


def test_changes(house: House) -> None:
    told: dict[str, list[str]] = {"": [], ALICE: [], BOB: []}

    def follow(aor: str) -> Callable[[], None]:
        stream = house.ask("presence-follow", aor=aor)
        assert isinstance(stream, Stream)
        return stream.start(lambda state: told[aor].append(state["aor"]))

    ends = [follow(aor) for aor in told]
    house.publish()
    assert told == {"": [ALICE], ALICE: [ALICE], BOB: []}
    for end in ends:
        end()
    house.publish("closed")
    assert told[""] == [ALICE]


def test_watchers(house: House) -> None:
    assert house.ask("watchers", aor=ALICE) == [
        {"watcher": BOB, "event": "presence", "state": "active", "expires_in": 100}
    ]
    assert house.ask("watchers", aor=BOB) == []


@pytest.mark.parametrize("command", ["presence", "watchers", "presence-follow"])
@pytest.mark.parametrize("aor", [5, None])
def test_no_address(house: House, command: str, aor: Any) -> None:
    with pytest.raises(CommandError, match="aor is missing"):
        house.ask(command, aor=aor)


def test_no_address_at_all(house: House) -> None:
    with pytest.raises(CommandError):
        house.ask("watchers")


def test_messages() -> None:
    clock = Clock()
    store = MemoryMessageStore(clock)
    commands = message_commands(store)
    for number, headers in enumerate([(("Content-Type", "text/plain"),), ()]):
        result_of(
            store.add(
                StoredMessage(
                    key=str(number), recipient=BOB, sender=ALICE, from_value=f"<{ALICE}>;tag=1", to_value=f"<{BOB}>",
                    call_id="c", cseq=1, received_at=0.0, expires_at=100.0, headers=headers, body=b"hello",
                )
            )
        )  # fmt: skip
    found = result_of(commands["messages"]({"aor": BOB}))
    assert found == [
        {"sender": ALICE, "received_at": 0.0, "expires_at": 100.0, "content_type": kind, "bytes": 5}
        for kind in ("text/plain", "")
    ]
    assert result_of(commands["messages-purge"]({"aor": BOB})) == {"dropped": 2}
    assert result_of(commands["messages"]({"aor": BOB})) == []
    with pytest.raises(CommandError):
        commands["messages"]({})
