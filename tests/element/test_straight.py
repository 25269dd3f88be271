"""The straight way: the same outcomes as the long one has, and the long one where it is not straight."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.element.straight import StraightUser
from twisted_sip.errors import TransportError
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TCP, UDP
from twisted_sip.message.response import Response

PHONE = "UDP 192.0.2.1:5060"
AT_PHONE = Address("192.0.2.1", 5060)
URI = "sip:bob@192.0.2.1"


class Asker(StraightUser):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.transaction = None
        self.cancelled = False
        self.told: list[Any] = []

    def response_received(self, outgoing: Any, response: Response) -> None:
        self.note_answer(response)
        self.told.append(response.status)

    def failed(self, outgoing: Any, status: int, reason: str) -> None:
        self.told.append(f"{status} {reason}")


@pytest.fixture
def asker(desk: Any) -> Asker:
    desk.resolver["192.0.2.1"] = [PHONE]
    return Asker()


def start(desk: Any, asker: Asker, uri: str = URI, flow: Any = None, **how: Any) -> bool:
    started: bool = desk.sender.start_straight(desk.request(how.pop("method", "INVITE"), uri, **how), asker, flow, "-x")
    return started


def test_one_numeric_server(desk: Any, asker: Asker) -> None:
    assert start(desk, asker) and start(desk, asker)
    assert [message.top_via.branch for message in desk.flow(PHONE).sent] == ["z9hG4bKb1-x", "z9hG4bKb2-x"]
    desk.answer(PHONE, 180)
    desk.answer(PHONE, 200)
    assert asker.told == [180, 200]


def test_the_resolver_has_the_last_word(desk: Any, asker: Asker) -> None:
    assert start(desk, asker)
    desk.resolver["192.0.2.1"] = ["UDP 192.0.2.7:5060"]
    assert start(desk, asker)
    assert len(desk.flow("UDP 192.0.2.7:5060").sent) == 1
    desk.resolver["192.0.2.1"] = [PHONE, "UDP 192.0.2.7:5060"]
    assert not start(desk, asker)


@pytest.mark.parametrize(
    ("uri", "servers"),
    [
        ("sip:bob@example.com", [PHONE]),
        ("sips:bob@192.0.2.1", [PHONE]),
        ("tel:+1201", [PHONE]),
        ("sip:bob@192.0.2.1;maddr=192.0.2.1", [PHONE]),
        (URI, ["TCP 192.0.2.1:5060"]),
        (URI, ["UDP 224.0.1.75:5060"]),
        (URI, TransportError("no")),
    ],
)
def test_what_is_not_straight(desk: Any, asker: Asker, uri: str, servers: Any) -> None:
    desk.resolver["192.0.2.1"] = servers
    if isinstance(servers, Exception):
        desk.resolver["192.0.2.1"] = [PHONE]
        desk.transports.refuse.add(PHONE)
    assert not start(desk, asker, uri)
    assert asker.transaction is None and not desk.transactions.clients


def test_what_may_be_too_large_is_not_straight(desk: Any, asker: Asker) -> None:
    assert not start(desk, asker, body=b"x" * 600)
    assert not start(desk, asker, headers=[("subject", "\N{SNOWMAN}")])
    # A flow that is given is not left for its size.
    assert start(desk, asker, flow=desk.flow(PHONE), body=b"x" * 600)


def test_other_servers_that_are_dead_do_not_matter(desk: Any, asker: Asker) -> None:
    desk.dead.suspect(TCP, AT_PHONE)
    assert start(desk, asker)


def test_with_a_full_table_or_a_dead_server_the_long_way_tells(desk: Any, asker: Asker) -> None:
    desk.dead.suspect(UDP, AT_PHONE)
    assert not start(desk, asker)
    assert start(desk, asker, flow=desk.flow(PHONE))
    desk.transactions.max_transactions = 1
    assert not start(desk, asker, flow=desk.flow(PHONE))


@pytest.mark.parametrize("given", [False, True])
def test_a_timeout_counts_as_408(desk: Any, asker: Asker, given: bool) -> None:
    start(desk, asker, method="MESSAGE", flow=desk.flow(PHONE) if given else None)
    desk.advance(33)
    assert asker.told == ["408 Request Timeout"]
    assert bool(desk.dead.marks) is not given


def test_a_server_that_fell_silent_after_a_first_word_is_not_dead(desk: Any, asker: Asker) -> None:
    start(desk, asker, method="MESSAGE")
    desk.answer(PHONE, 100)
    desk.advance(33)
    assert asker.told == [100, "408 Request Timeout"]
    assert not desk.dead.marks


@pytest.mark.parametrize(("cancelled", "told"), [(False, "503 Service Unavailable"), (True, "487 Request Terminated")])
def test_what_cannot_be_sent_counts_as_503(desk: Any, asker: Asker, cancelled: bool, told: str) -> None:
    desk.flow(PHONE).broken = True
    assert start(desk, asker)
    asker.cancelled = cancelled
    assert asker.told == []
    desk.advance(0.1)
    assert asker.told == [told]
    assert desk.dead.suspected(UDP, AT_PHONE)


def test_nobody_answers_the_cancel(desk: Any, asker: Asker) -> None:
    start(desk, asker)
    desk.answer(PHONE, 180)
    asker.cancelled = True
    desk.transactions.cancel(asker.transaction)
    desk.answer_cancel(PHONE)
    desk.advance(33)
    assert asker.told == [180, "487 Request Terminated"]


def test_an_ack_that_is_lost_after_the_outcome(desk: Any, asker: Asker) -> None:
    start(desk, asker)
    desk.flow(PHONE).broken = True
    desk.answer(PHONE, 486)
    assert asker.told == [486]


def test_retry_after(desk: Any, asker: Asker) -> None:
    """Section 21.5.4: the server gets nothing for that time; one without it is not held, nor one over a given flow."""
    for headers in ([], [("retry-after", "never")]):
        start(desk, asker)
        desk.answer(PHONE, 503, headers)
        assert not desk.dead.marks
    start(desk, asker, flow=desk.flow(PHONE))
    desk.answer(PHONE, 503, [("retry-after", "20")])
    assert not desk.dead.marks
    start(desk, asker)
    desk.answer(PHONE, 503, [("retry-after", "20")])
    assert desk.dead.held_for(desk.destinations(PHONE)) == 20


def test_an_answer_ends_a_suspicion(desk: Any, asker: Asker) -> None:
    start(desk, asker)
    desk.dead.suspect(UDP, AT_PHONE)
    desk.answer(PHONE, 180)
    assert not desk.dead.marks


def test_an_ack_goes_straight_too(desk: Any, asker: Asker) -> None:
    desk.sender.send_ack(desk.request("ACK", URI))
    assert desk.methods(PHONE) == ["ACK"]
    desk.flow(PHONE).broken = True
    desk.sender.send_ack(desk.request("ACK", URI))
    assert desk.dead.suspected(UDP, AT_PHONE)


def test_what_is_remembered_is_bounded(desk: Any, asker: Asker, monkeypatch: Any) -> None:
    monkeypatch.setattr("twisted_sip.element.straight._REMEMBERED", 2)
    for number in range(5):
        start(desk, asker, f"sip:u{number}@192.0.2.1")
    assert len(desk.sender.straight_ways) <= 2
