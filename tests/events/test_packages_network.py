"""reg, dialog and message-summary behind a server: phones that register and call, and a subscriber that watches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from twisted_sip.calls.tracker import CallTracker
from twisted_sip.dialog.subscriber import Notified
from twisted_sip.documents.dialog_info import DialogInfoDocument, DialogTable
from twisted_sip.documents.message_summary import VOICE, Counts, Summary
from twisted_sip.documents.reginfo import ReginfoDocument, RegistrationTable
from twisted_sip.events.dialog_package import DialogPackage, DialogView
from twisted_sip.events.message_summary_package import MessageSummaryPackage
from twisted_sip.events.notifier import Notifier
from twisted_sip.events.reg_package import RegPackage
from twisted_sip.events.subscriber import Subscriber
from twisted_sip.storage.subscription_memory import MemorySubscriptionStore
from twisted_sip.testing.behaviour import Behaviour
from twisted_sip.testing.network import Network
from twisted_sip.testing.observation import LoggedFailures
from twisted_sip.testing.phone import SimulatedPhone
from twisted_sip.testing.server import SimulatedServer

ALICE, BOB, CAROL = "sip:alice@example.com", "sip:bob@example.com", "sip:carol@example.com"


class House:
    """A server with the packages, and phones that can watch."""

    def __init__(self) -> None:
        self.network = Network(3)
        self.network.clock.advance(1_800_000_000.0)
        passwords = {"alice": "a", "bob": "b", "carol": "c"}
        self.server = SimulatedServer(self.network, passwords=passwords)
        node, element = self.server.node, self.server.element
        self.calls = CallTracker(node, element.domains.is_local_uri)
        self.server.proxy.policies.append(self.calls)
        self.notifier = Notifier(element, MemorySubscriptionStore(node))
        self.summaries = MessageSummaryPackage()
        self.reg = RegPackage(self.server.location, node)
        self.dialog = DialogPackage(
            self.calls, node, authorize=lambda resource, watcher: watcher == CAROL and DialogView.STATES
        )
        for package in (self.summaries, self.reg, self.dialog):
            self.notifier.add(package)
        element.chain.insert(-1, self.notifier)
        self.notifier.start()
        self.phones: dict[str, SimulatedPhone] = {}
        self.watching: list[Any] = []
        for number, (user, password) in enumerate(passwords.items(), 1):
            self.phones[user] = SimulatedPhone(
                self.network,
                self.network.node(f"198.51.100.{number}"),
                user,
                proxy=self.server.route(),
                password=password,
            )

    def register(self, user: str, expires: int = 600) -> None:
        self.phones[user].registration.start(expires)
        self.network.advance(1)

    def watch(self, user: str, resource: str, event: str, take: Any) -> Any:
        phone = self.phones[user]
        subscriber = Subscriber(phone.element)
        phone.element.chain.insert(0, subscriber)
        subscription = subscriber.subscribe(
            resource,
            event,
            from_=phone.aor,
            on_notify=take,
            route=[f"<{self.server.route()}>"],
            credentials=phone._credentials,
            expires=300,
        )
        self.watching.append(subscription)
        self.network.advance(2)
        return subscription


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    with LoggedFailures() as failures:
        yield made
    assert not failures.texts
    for subscription in made.watching:
        subscription.unsubscribe()
    for phone in made.phones.values():
        phone.registration.stop()
    made.network.advance(2000)
    assert not made.notifier.counts()["subscriptions"] and not len(made.calls)
    assert not made.server.leftovers()


def test_a_user_follows_its_own_registrations(house: House) -> None:
    table = RegistrationTable()
    states: list[str] = []

    def take(notified: Notified) -> None:
        document = ReginfoDocument.parse(notified.body)
        assert table.receive(document)
        states.append(document.registrations[0].state)

    house.watch("alice", ALICE, "reg", take)
    assert states == ["init"]
    house.register("alice")
    house.network.advance(10)
    (rows,) = table.contacts.values()
    assert [row.uri for row in rows.values()] == [house.phones["alice"].contact_uri] and states[-1] == "active"
    house.phones["alice"].registration.stop()
    house.network.advance(700)
    assert "terminated" in states and not any(table.contacts.values())


def test_a_lamp_lights_blinks_and_goes_out(house: House) -> None:
    for user in ("alice", "bob"):
        house.register(user)
    table, seen = DialogTable(), []

    def take(notified: Notified) -> None:
        document = DialogInfoDocument.parse(notified.body)
        assert b"bob" not in notified.body.replace(BOB.encode(), b"", 1) and b"alice" not in notified.body
        assert table.receive(document)
        seen.append([dialog.state for dialog in document.dialogs])

    house.watch("carol", BOB, "dialog", take)
    house.phones["bob"].behaviour = Behaviour(rings_after=0.1, reacts_after=5.0, talks=60)
    house.phones["alice"].call(BOB, Behaviour(talks=20.0))
    house.network.advance(4)
    assert table.busy and seen[-1] == ["early"]
    house.network.advance(6)
    assert seen[-1] == ["confirmed"]
    house.network.advance(60)
    assert not table.busy and seen[-1] == ["terminated"]


def test_a_user_sees_the_calls_of_his_other_devices(house: House) -> None:
    for user in ("alice", "bob"):
        house.register(user)
    table = DialogTable()
    house.watch("bob", BOB, "dialog", lambda notified: table.receive(DialogInfoDocument.parse(notified.body)))
    house.phones["bob"].behaviour = Behaviour(reacts_after=1.0, talks=60)
    house.phones["alice"].call(BOB, Behaviour(talks=20.0))
    house.network.advance(5)
    (dialog,) = table.dialogs.values()
    assert (dialog.state, dialog.direction) == ("confirmed", "recipient") and dialog.remote is not None
    assert dialog.remote.identities[0].uri == ALICE and dialog.call_id
    house.network.advance(60)
    assert not table.busy


def test_strangers_to_a_lamp_are_refused(house: House) -> None:
    for event in ("dialog", "reg", "message-summary"):
        subscription = house.watch("alice", BOB, event, lambda notified: pytest.fail("told"))
        assert subscription.status == 403


def test_a_message_lamp(house: House) -> None:
    told: list[Summary] = []
    house.watch("alice", ALICE, "message-summary", lambda notified: told.append(Summary.parse(notified.body)))
    house.summaries.set_summary(ALICE, Summary(counts={VOICE: Counts(1)}))
    house.network.advance(2)
    assert [summary.messages_waiting for summary in told] == [False, True]
