"""NOTIFYs that are long for a datagram: over a connection where there can be one, and not lost in silence elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.logger import formatEvent, globalLogPublisher

from twisted_sip.message.framer import StreamFramer
from twisted_sip.message.limits import MessageLimits
from twisted_sip.testing.peer import StreamAcceptor, StreamPeer

LONG, TOO_LONG = "x" * 3_000, "x" * 70_000


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What is logged at warn."""
    texts: list[str] = []

    def observe(event: dict[str, Any]) -> None:
        if event.get("log_level") is not None and event["log_level"].name == "warn":
            texts.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield texts
    globalLogPublisher.removeObserver(observe)


class Acceptor(StreamAcceptor):
    """Takes long messages."""

    def buildProtocol(self, addr: Any) -> StreamPeer:
        peer = super().buildProtocol(addr)
        peer._framer = StreamFramer(MessageLimits(message=200_000))
        return peer


class Place:
    """A watcher over UDP whose Contact leaves the transport open."""

    def __init__(self, desk: Any, *, listens: bool, contact: str = "sip:bob@{host}", subscribe: bool = True) -> None:
        self.desk = desk
        self.watcher = desk.watcher()
        self.contact = f"Contact: <{contact.format(host=self.watcher.host)}>"
        self.acceptor = Acceptor(self.watcher.peer.node) if listens else None
        if subscribe:
            assert self.watcher.subscribe(600, contact=self.contact).status == 200
            self.watcher.notify()
            desk.network.advance(0.1)

    def by_stream(self) -> Any:
        """Return the next NOTIFY over the connection that was made to the watcher."""
        acceptor = self.acceptor
        assert acceptor is not None
        self.desk.network.advance_until(lambda: bool(acceptor.peers), 5)
        peer = acceptor.peers[-1]
        notify = peer.expect("NOTIFY")
        peer.answer(notify, 200, to_tag=self.watcher.tag)
        return notify


def test_a_long_one_goes_over_a_connection(desk: Any) -> None:
    place = Place(desk, listens=True)
    desk.package.put(LONG)
    notify = place.by_stream()
    assert notify.body == LONG.encode() and notify.headers.first("via").startswith("SIP/2.0/TCP")
    assert notify.headers.first("contact").endswith(";transport=tcp>")
    place.watcher.quiet()
    # Short ones go as ever, and the next long one over the same connection.
    desk.package.put("short")
    assert place.watcher.notify().body == b"short"
    desk.package.put("y" * 3000)
    assert place.by_stream().body[:1] == b"y" and place.acceptor is not None and len(place.acceptor.peers) == 1


def test_where_nobody_listens_it_goes_by_datagram_and_that_is_remembered(desk: Any) -> None:
    place = Place(desk, listens=False)
    tries: list[Any] = []
    flow_to = desk.element.transports.flow_to

    def counted(destination: Any) -> Any:
        tries.append(destination)
        return flow_to(destination)

    desk.element.transports.flow_to = counted
    for text in (LONG, "y" * 3000):
        desk.package.put(text)
        assert place.watcher.notify().body == text.encode()
    desk.network.advance(100)
    desk.package.put("z" * 3000)
    assert place.watcher.notify().body[:1] == b"z"
    assert [each.kind.token for each in tries] == ["TCP"]


def test_a_connection_that_nobody_answers_on(desk: Any) -> None:
    place = Place(desk, listens=True)
    desk.package.put(LONG)
    desk.network.advance(33)
    assert place.watcher.notify().body == LONG.encode()
    desk.network.advance(1)
    assert desk.only().no_connection == f"sip:bob@{place.watcher.host}"


def test_what_another_subscription_has_found_out(desk: Any) -> None:
    first = Place(desk, listens=False)
    first.watcher.again()
    assert first.watcher.subscribe(600, contact=first.contact, event="Event: presence;id=2").status == 200
    first.watcher.notify()
    desk.package.put(LONG)
    assert first.watcher.notify().body == first.watcher.notify().body == LONG.encode()
    desk.network.advance(31)
    assert not desk.notifier.delivery.held_off


@pytest.mark.parametrize(
    "contact",
    ["sip:bob@10.0.0.1", "sip:bob@{host}:5070", "sip:bob@{host};transport=udp", "sip:bob@{host};maddr={host}"],
)
def test_behind_a_nat_the_flow_is_the_way(desk: Any, contact: str) -> None:
    place = Place(desk, listens=True, contact=contact)
    desk.package.put(LONG)
    assert place.watcher.notify().body == LONG.encode()
    assert place.acceptor is not None and not place.acceptor.peers


@pytest.mark.parametrize("contact", ["sip:bob@{host}", "sip:bob@{host};transport=tcp"])
def test_what_no_datagram_has_room_for(desk: Any, contact: str) -> None:
    place = Place(desk, listens=True, contact=contact)
    desk.package.put(TOO_LONG)
    assert place.by_stream().body == TOO_LONG.encode()
    assert desk.only().state == "active"


@pytest.mark.parametrize("contact", ["sip:bob@{host}", "sip:bob@{host};transport=udp", "sip:bob@{host};transport=tcp"])
def test_without_a_connection_it_is_the_end(desk: Any, warnings: list[str], contact: str) -> None:
    place = Place(desk, listens=False, contact=contact)
    desk.package.put(TOO_LONG)
    notify = place.watcher.notify()
    assert notify.headers.first("subscription-state") == "terminated;reason=probation;retry-after=3600"
    assert notify.body == b"" and len(warnings) == 1 and "too long" in warnings[0]
    assert not desk.notifier.counts()["subscriptions"] and not desk.stored()
    desk.package.put("short")
    place.watcher.quiet(60)
    assert len(warnings) == 1


@pytest.mark.parametrize("contact", ["sip:bob@{host}", "sip:bob@{host};transport=udp"])
def test_a_fetch_of_too_much(desk: Any, warnings: list[str], contact: str) -> None:
    place = Place(desk, listens=False, contact=contact, subscribe=False)
    desk.package.put(TOO_LONG)
    assert place.watcher.subscribe(0, contact=place.contact).status == 200
    notify = place.watcher.notify()
    assert notify.body == b"" and notify.headers.first("subscription-state").startswith("terminated")
    place.watcher.quiet(40)
    assert len(warnings) == 1


def test_the_last_one_is_tried_by_datagram_too(desk: Any) -> None:
    place = Place(desk, listens=False, subscribe=False)
    desk.package.put(LONG)
    assert place.watcher.subscribe(0, contact=place.contact).status == 200
    notify = place.watcher.notify()
    assert notify.body == LONG.encode() and notify.headers.first("subscription-state") == "terminated;reason=timeout"
    place.watcher.quiet(40)


def test_by_a_proxy(desk: Any, warnings: list[str]) -> None:
    place = Place(desk, listens=False, subscribe=False)
    route = f"Record-Route: <sip:{place.watcher.host};lr>"
    assert place.watcher.subscribe(600, contact=place.contact, route=route).status == 200
    place.watcher.notify()
    desk.package.put(LONG)
    assert place.watcher.notify().body == LONG.encode()
    desk.package.put(TOO_LONG)
    notify = place.watcher.notify()
    assert "probation" in notify.headers.first("subscription-state") and notify.body == b"" and len(warnings) == 1


def test_a_contact_that_is_no_sip_uri(make_desk: Callable[..., Any], warnings: list[str]) -> None:
    desk = make_desk()
    place = Place(desk, listens=False)
    desk.only().dialog.remote_target = "tel:+1"
    desk.package.put(LONG)
    assert place.watcher.notify().body == LONG.encode()
    desk.package.put(TOO_LONG)
    assert place.watcher.notify().body == b"" and len(warnings) == 1


def test_a_dialog_that_has_gone_meanwhile(desk: Any) -> None:
    place = Place(desk, listens=True)
    desk.package.put(LONG)
    desk.network.advance(1)
    desk.notifier.delivery.lost(desk.only())
    place.watcher.quiet(40)
    assert not desk.notifier.counts()["subscriptions"]
