"""Watchers whose connection is gone, and who register over another one: they are told at once (RFC 5626)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.events.watcher_flows import WatcherFlows
from twisted_sip.interfaces.location import Binding, LocationChange
from twisted_sip.storage.location_memory import MemoryLocationStore
from twisted_sip.testing.peer import connect

ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"
HOST, AT = "192.0.2.1", "192.0.2.11"
CONTACT = f"sip:bob@{AT};transport=tcp"
INSTANCE = "<urn:uuid:F81D4FAE-7DEC-11d0-a765-00a0c91e6bf6>"


class Place:
    """A notifier with a registrar beside it, and a watcher over TCP."""

    def __init__(self, make_desk: Callable[..., Any], contact: str = CONTACT, more: str = "") -> None:
        self.desk = desk = make_desk()
        self.location: Any = MemoryLocationStore(desk.network.clock)
        desk.flow_for = lambda subscription: self.flows.find(subscription)
        desk.restart()
        self.begin()
        self.watcher = desk.watcher(tcp=True)
        self.watcher.subscribe(600, contact=f"Contact: <{contact}>{more}")
        self.watcher.notify()

    def begin(self) -> None:
        self.flows = WatcherFlows(lambda token: self.desk.element.transports.flow_from_token(token), self.location)
        self.flows.observe(self.desk.notifier.delivery)
        self.held = self.desk.notifier.delivery.held_off

    def put(self, contact: str = CONTACT, flow: str = "", instance: str = "") -> None:
        """The registrar has taken a binding."""
        now = self.desk.network.clock.seconds()
        binding = Binding(
            aor=BOB,
            key=contact,
            contact=contact,
            call_id="r",
            cseq=1,
            expires_at=now + 3600,
            flow=flow,
            instance=instance,
            registered_at=now,
        )
        self.location.commit(LocationChange(BOB, (binding,)))

    def reconnect(self) -> str:
        """The watcher has another connection; return the token of the flow."""
        self.watcher.peer = connect(self.watcher.peer.node, (HOST, 5060))
        (flow,) = self.desk.element.transports.connections.flows()
        return str(flow.token)

    def lose(self) -> None:
        """The connection goes, and what is told then does not arrive."""
        self.watcher.peer.close()
        self.desk.network.advance(1)
        self.desk.package.put("one")
        self.desk.network.advance(1)
        assert self.desk.only().retry_at > self.desk.network.clock.seconds() and len(self.held) == 1


@pytest.fixture
def place(make_desk: Callable[..., Any]) -> Any:
    made = Place(make_desk)
    yield made
    made.flows.close()
    made.flows.close()
    made.desk.network.advance(4000)
    assert not len(made.held)


def test_who_registers_anew_is_told_at_once(place: Any) -> None:
    place.lose()
    flow = place.reconnect()
    place.put(flow=flow)
    assert place.watcher.notify(within=0.5).body == b"one"
    assert place.desk.only().failures == 0
    # What comes later goes the same way, and nobody tries twice.
    place.desk.package.put("two")
    assert place.watcher.notify(within=0.5).body == b"two"
    place.put(flow=flow)
    place.watcher.quiet(20)


def test_others_who_register_are_no_reason(place: Any) -> None:
    place.lose()
    flow = place.reconnect()
    place.put("sip:bob@192.0.2.99;transport=tcp", flow)
    place.put(f"sip:bob@{AT}", flow)
    place.put("tel:+1234", flow)
    place.location.commit(LocationChange(BOB, (), (f"sip:bob@{AT}",)))
    place.watcher.quiet(5)
    assert place.desk.only().retry_at


def test_another_port_of_the_same_host(place: Any) -> None:
    """A connection has another port each time, and some devices write it into their Contact."""
    place.lose()
    flow = place.reconnect()
    place.put(f"sip:bob@{AT}:49152;transport=tcp", flow)
    assert place.watcher.notify(within=0.5).body == b"one"
    # With two of them it is not known which one it is.
    place.put(f"sip:bob@{AT}:49153;transport=tcp", flow)
    assert place.flows.find(place.desk.only()) is None


def test_an_instance_is_the_same_device_wherever_it_is(make_desk: Callable[..., Any]) -> None:
    place = Place(make_desk, more=f';+sip.instance="{INSTANCE}"')
    assert place.desk.only().instance == INSTANCE[1:-1].lower()
    place.lose()
    flow = place.reconnect()
    place.put("sip:bob@198.51.100.7:4000;transport=tcp", flow, "<urn:uuid:another>")
    place.watcher.quiet(1)
    place.put("sip:bob@198.51.100.7:5000;transport=tcp", flow, INSTANCE)
    assert place.watcher.notify(within=0.5).body == b"one"


def test_the_instance_outlives_a_restart(make_desk: Callable[..., Any]) -> None:
    place = Place(make_desk, more=f';+sip.instance="{INSTANCE}"')
    place.flows.close()
    place.desk.restart()
    place.begin()
    place.desk.network.advance(1)
    flow = place.reconnect()
    place.put("sip:bob@198.51.100.7:5000;transport=tcp", flow, INSTANCE)
    assert place.watcher.notify(within=0.5).body == b"none"


def test_a_gruu_names_its_instance(make_desk: Callable[..., Any]) -> None:
    """RFC 5627 section 4.4: it may be the remote target."""
    place = Place(make_desk, "sip:bob@example.com;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6")
    place.watcher.peer.close()
    place.desk.network.advance(1)
    flow = place.reconnect()
    place.put("sip:bob@198.51.100.7:5000;transport=tcp", flow, INSTANCE)
    place.desk.package.put("one")
    assert place.watcher.notify(within=0.5).body == b"one"


def test_a_malformed_contact_beside_an_instance_changes_nothing(place: Any) -> None:
    answer = place.watcher.subscribe(600, contact=f'Contact: <{CONTACT}>;+sip.instance="{INSTANCE}')
    assert answer.status == 400 and place.desk.only().instance == ""


def test_who_comes_back_while_a_notify_is_under_way(place: Any) -> None:
    place.watcher.peer.close()
    place.desk.network.advance(1)
    place.desk.package.put("one")
    # It tries to connect, and does not know yet that nobody listens there.
    flow = place.reconnect()
    place.put(flow=flow)
    assert place.watcher.notify(within=0.5).body == b"one"


def test_a_watcher_who_asks_for_patience_has_it(place: Any) -> None:
    place.desk.package.put("one")
    place.watcher.notify(503, [("Retry-After", "30")])
    place.desk.network.advance(0.1)
    place.put()
    place.watcher.quiet(20)
    assert place.watcher.notify(within=11).body == b"one"


def test_a_flow_that_is_gone_is_no_way(place: Any) -> None:
    place.watcher.peer.close()
    place.desk.network.advance(1)
    place.put(flow="no such flow")
    place.put(f"sip:bob@{AT}:1;transport=tcp")
    assert place.flows.find(place.desk.only()) is None


def test_a_store_elsewhere_is_not_waited_for(place: Any) -> None:
    place.location.lookup = lambda aor: Deferred()
    place.lose()
    assert place.flows.find(place.desk.only()) is None


def talks(place: Any) -> None:
    """The watcher has another connection beside the old one, and has said something there: it is not closed."""
    peer = place.watcher.peer = connect(place.watcher.peer.node, (HOST, 5060))
    peer.send(place.watcher.text(start="OPTIONS sip:192.0.2.1 SIP/2.0", call_id="Call-ID: o", cseq="CSeq: 1 OPTIONS"))
    place.desk.network.advance(1)
    peer.skip()


def test_a_connection_that_leads_nowhere_any_more(place: Any) -> None:
    """The device is in another network, and nobody has closed the connection that it had."""
    desk, old = place.desk, place.watcher.peer
    talks(place)
    first, second = desk.element.transports.connections.flows()
    newer = second if first is desk.only().way else first
    place.put(flow=str(newer.token))
    desk.package.put("one")
    desk.network.advance(33)
    assert place.watcher.notify().body == b"one"
    desk.package.put("two")
    assert place.watcher.notify().body == b"two"
    # The flow that it has left is not tried again.
    assert [message.body for message in old.messages if message.body == b"two"] == []
    assert desk.only().flow == newer.token


def test_a_device_that_answers_nowhere_is_gone(place: Any) -> None:
    desk = place.desk
    talks(place)
    for number, flow in enumerate(desk.element.transports.connections.flows()):
        place.put(f"{CONTACT};x={number}", flow=str(flow.token), instance=INSTANCE)
    desk.only().instance = INSTANCE[1:-1].lower()
    desk.package.put("one")
    desk.network.advance(33)
    assert desk.notifier.counts()["subscriptions"] == 1
    desk.network.advance(33)
    assert not desk.notifier.counts()["subscriptions"]
