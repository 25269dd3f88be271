"""Routers and hooks that take their time or fail, overload, no admission (RFC 3261 sections 9.2, 17.2.1, 21.5.4)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.interfaces.routing import Target
from twisted_sip.message.builders import response_to
from twisted_sip.message.uri import parse_uri
from twisted_sip.proxy.service import ProxyService

BOB = "sip:bob@example.com"
AT_BOB = [Target(uri=parse_uri("sip:bob@192.0.2.10"))]


class Slow:
    """A router that answers when it is told to."""

    def __init__(self, as_coroutine: bool = False) -> None:
        self.waiting: list[Deferred[Any]] = []
        self._as_coroutine = as_coroutine

    def route(self, incoming: Any) -> Any:
        made: Deferred[Any] = Deferred()
        self.waiting.append(made)
        return self._later(made) if self._as_coroutine else made

    async def _later(self, made: Deferred[Any]) -> Any:
        return await made


class Fixed:
    """A router that gives what it was made with."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked = 0

    def route(self, incoming: Any) -> Any:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize("as_coroutine", [False, True])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_retransmissions_are_absorbed_meanwhile(make_house: Any, as_coroutine: bool, method: str) -> None:
    slow = Slow(as_coroutine)
    house = make_house(routers=[slow])
    house.admit.user = "sip:alice@example.com"
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    text = house.request(method, BOB)
    for _ in range(3):
        house.send(alice, text)
        house.network.advance(0.5)
    assert len(slow.waiting) == 1
    # Section 17.2.1: 100 within 200 ms, to an INVITE.
    statuses = [message.status for message in alice.messages]
    assert statuses == ([100] * len(statuses)) and bool(statuses) is (method == "INVITE")
    slow.waiting[0].callback(AT_BOB)
    bob.answer(bob.expect(method), 200)
    assert alice.expect(200)


def test_cancel_meanwhile(make_house: Any) -> None:
    slow = Slow()
    house = make_house(routers=[slow])
    house.admit.user = "sip:alice@example.com"
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    house.network.advance(1)
    house.send(alice, house.request("CANCEL", BOB, contact=""))
    ok = alice.expect(lambda message: message.cseq.method == "CANCEL")
    gone = alice.expect(487)
    # Section 9.2: the same To tag in both.
    assert ok.status == 200 and ok.to.tag == gone.to.tag
    house.send(alice, house.ack_for(text, gone))
    slow.waiting[0].callback(AT_BOB)
    bob.expect_nothing()


def test_cancel_in_the_first_moment(make_house: Any) -> None:
    slow = Slow()
    house = make_house(routers=[slow])
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    house.network.advance(0.05)
    house.send(alice, house.request("CANCEL", BOB, contact=""))
    house.network.advance(0.1)
    slow.waiting[0].callback(AT_BOB)
    invite = bob.expect("INVITE")
    bob.answer(invite, 180)
    bob.answer(bob.expect("CANCEL"), 200)
    bob.answer(invite, 487)
    house.send(alice, house.ack_for(text, alice.expect(487)))


@pytest.mark.parametrize("as_coroutine", [False, True])
def test_an_empty_answer_passes_the_question_on(make_house: Any, as_coroutine: bool) -> None:
    first, second, third = Slow(as_coroutine), Slow(as_coroutine), Fixed(())
    house = make_house(routers=[Fixed([]), first, third, second])
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.10")
    house.send(alice, house.request("MESSAGE", BOB))
    house.network.advance(0.1)
    first.waiting[0].callback([])
    assert third.asked == 1
    second.waiting[0].callback(())
    bob.answer(bob.expect("MESSAGE"), 200)
    assert alice.expect(200)


def test_a_later_router_decides(make_house: Any) -> None:
    first, unasked = Slow(), Fixed(AT_BOB)
    house = make_house(routers=[first, Fixed(AT_BOB), unasked])
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.send(alice, house.request("MESSAGE", BOB))
    house.network.advance(0.1)
    first.waiting[0].callback([])
    bob.answer(bob.expect("MESSAGE"), 200)
    assert alice.expect(200)
    assert unasked.asked == 0


class Decided(ProxyService):
    """Decides in a coroutine."""

    async def route(self, incoming: Any) -> Any:  # type: ignore[override]
        await self.question
        if incoming.request.method == "OPTIONS":
            return response_to(incoming.request, 302, headers=[("contact", "<sip:x@y>")], to_tag="t")
        return AT_BOB


def test_route_may_be_a_coroutine(make_house: Any) -> None:
    house = make_house(proxy=Decided)
    house.proxy.question = Deferred()
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.send(alice, house.request("MESSAGE", BOB))
    house.send(alice, house.request("OPTIONS", BOB, branch="two"))
    house.network.advance(0.1)
    house.proxy.question.callback(None)
    bob.answer(bob.expect("MESSAGE"), 200)
    house.network.advance(1)
    assert {message.status for message in alice.messages} == {200, 302}


# -- failures --------------------------------------------------------------------------------


def test_router_that_raises_is_500(make_house: Any, logged: Any) -> None:
    house = make_house(routers=[Fixed(ValueError("no"))])
    alice = house.peer("192.0.2.2")
    house.refused(alice, house.request("INVITE", BOB), 500)
    assert logged(ValueError)


@pytest.mark.parametrize("as_coroutine", [False, True])
def test_router_that_fails_later_is_500(make_house: Any, logged: Any, as_coroutine: bool) -> None:
    slow = Slow(as_coroutine)
    house = make_house(routers=[slow])
    alice = house.peer("192.0.2.2")
    house.send(alice, house.request("MESSAGE", BOB))
    house.network.advance(0.1)
    slow.waiting[0].errback(ValueError("no"))
    assert alice.expect(500)
    assert logged(ValueError)


class Policy:
    """A policy that fails where it is told to."""

    def __init__(self, branch: str = "", status: int = 0) -> None:
        self._branch = branch
        self._status = status

    def branch(self, request: Any, target: Any, incoming: Any) -> None:
        if self._branch and self._branch in request.uri_text:
            raise ValueError("no")

    def response(self, response: Any, context: Any) -> None:
        if response.status == self._status:
            raise ValueError("no")


def test_policy_that_fails_for_one_branch(make_house: Any, logged: Any) -> None:
    house = make_house(policies=[Policy(branch="192.0.2.11")])
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.11")
    house.bind("bob", "sip:bob@192.0.2.10")
    house.send(alice, house.request("INVITE", BOB))
    bob.answer(bob.expect("INVITE"), 200)
    assert alice.expect(200)
    assert logged(ValueError)


def test_policy_that_fails_for_the_only_branch(make_house: Any, logged: Any) -> None:
    house = make_house(policies=[Policy(branch="192.0.2.10")])
    alice = house.peer("192.0.2.2")
    house.bind("bob", "sip:bob@192.0.2.10")
    house.refused(alice, house.request("INVITE", BOB), 500)
    assert logged(ValueError)


@pytest.mark.parametrize(("fails_for", "last"), [(180, 200), (200, 500)])
def test_policy_that_fails_for_a_response(make_house: Any, logged: Any, fails_for: int, last: int) -> None:
    house = make_house(policies=[Policy(status=fails_for)])
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.10")
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    invite = bob.expect("INVITE")
    bob.answer(invite, 180)
    house.network.advance(0.1)
    bob.answer(invite, 200)
    got = alice.expect(last)
    if last == 500:
        house.send(alice, house.ack_for(text, got))
    assert (180 in [message.status for message in alice.messages]) is (fails_for != 180)
    assert logged(ValueError)


@pytest.mark.parametrize("status", [180, 486])
def test_response_without_the_via_of_the_client(house: Any, status: int) -> None:
    """Section 16.7 step 3: it is not forwarded; the client gets an end all the same."""
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.10")
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    invite = bob.expect("INVITE")
    bad = response_to(invite, status, to_tag="b")
    keep = bad.headers.names.index("via")
    while bad.headers.count("via") > 1:
        place = len(bad.headers.names) - 1 - bad.headers.names[::-1].index("via")
        assert place != keep
        del bad.headers.names[place], bad.headers.lines[place]
    bob.send(bad, ("192.0.2.1", 5060))
    house.network.advance(0.2)
    if status == 180:
        assert 180 not in [message.status for message in alice.messages]
        bob.answer(invite, 486)
        house.send(alice, house.ack_for(text, alice.expect(486)))
    else:
        house.send(alice, house.ack_for(text, alice.expect(502)))


@pytest.mark.parametrize("status", [180, 200])
def test_stray_responses_go_nowhere(house: Any, status: int) -> None:
    """RFC 6026 section 7.2; RFC 4475 section 3.3.10: least of all to a broadcast address."""
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    everybody = house.peer("255.255.255.255")
    for via in ("192.0.2.2:5060", "255.255.255.255", "224.0.1.75"):
        bob.send(
            f"SIP/2.0 {status} OK\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1324923\n"
            f"Via: SIP/2.0/UDP {via};branch=z9hG4bK1saber23\nFrom: <sip:a@b>;tag=1\nTo: <sip:a@b>;tag=2\n"
            "Call-ID: x\nCSeq: 35 INVITE\n\n",
            ("192.0.2.1", 5060),
        )
    alice.expect_nothing()
    assert not everybody.messages


# -- overload, admission -----------------------------------------------------------------------


def test_too_many_transactions_are_503(make_house: Any) -> None:
    house = make_house(max_transactions=1)
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.10")
    house.send(alice, house.request("MESSAGE", BOB))
    first = bob.expect("MESSAGE")
    house.send(alice, house.request("MESSAGE", BOB, branch="two"))
    refused = alice.expect(503)
    assert refused.headers.first("retry-after") == "10"
    bob.answer(first, 200)
    assert alice.expect(200)


def test_too_many_client_transactions_are_503(make_house: Any) -> None:
    house = make_house(max_transactions=2)
    alice = house.peer("192.0.2.2")
    phones = [house.peer(f"192.0.2.{10 + place}") for place in range(2)]
    for phone in phones:
        house.bind("bob", f"sip:bob@{phone.address.host}")
    house.bind("carol", "sip:carol@192.0.2.10")
    house.send(alice, house.request("MESSAGE", BOB))
    requests = [phone.expect("MESSAGE") for phone in phones]
    house.send(alice, house.request("MESSAGE", "sip:carol@example.com", branch="two"))
    refused = alice.expect(503)
    assert refused.headers.first("retry-after") == "10"
    for phone, got in zip(phones, requests, strict=True):
        phone.answer(got, 200)


def test_slow_requests_count_too(make_house: Any) -> None:
    slow = Slow()
    house = make_house(routers=[slow], max_transactions=1)
    alice = house.peer("192.0.2.2")
    house.send(alice, house.request("MESSAGE", BOB))
    house.send(alice, house.request("MESSAGE", BOB, branch="two"))
    assert alice.expect(503).headers.first("retry-after") == "10"
    slow.waiting[0].callback([])
    assert alice.expect(480)


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "ACK", "REGISTER"])
def test_what_nobody_admitted_is_refused(make_house: Any, method: str) -> None:
    house = make_house(admit=False)
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.send(alice, house.request(method, "sip:bob@192.0.2.10"))
    house.network.advance(1)
    assert [message.status for message in alice.messages] == ([] if method == "ACK" else [403])
    assert not bob.messages
    assert house.element.transactions.counts()["servers"] == 0


def test_an_open_relay_is_asked_for(make_house: Any) -> None:
    house = make_house(admit=False, open_relay=True)
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.send(alice, house.request("MESSAGE", "sip:bob@192.0.2.10"))
    bob.answer(bob.expect("MESSAGE"), 200)
    assert alice.expect(200)
