"""The best of several final responses (RFC 3261 section 16.7 steps 6 and 7)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.message.response import Response
from twisted_sip.proxy.best_response import best_response

BOB = "sip:bob@example.com"


def response(status: int, *headers: tuple[str, str], received: bool = True) -> Response:
    made = Response(status, "", headers)
    made.flow = object() if received else None
    return made


@pytest.mark.parametrize(
    ("statuses", "best"),
    [
        ((404, 603), 603),
        ((302, 600, 401), 600),
        ((302, 404), 302),
        ((404, 500), 404),
        ((486, 401), 401),
        ((486, 407), 407),
        ((404, 415), 415),
        ((404, 420), 420),
        ((404, 484), 484),
        ((408, 404), 404),
        ((430, 480), 480),
        ((503, 407, 501, 404), 407),
        ((503, 500), 500),
        ((503, 513), 513),
        ((503,), 500),
        ((503, 503), 500),
        ((408,), 408),
        ((487, 408), 487),
    ],
)
def test_choice(statuses: tuple[int, ...], best: int) -> None:
    assert best_response([response(status) for status in statuses]).status == best
    assert best_response([response(status) for status in reversed(statuses)]).status == best


def test_a_lone_503_becomes_500_without_its_retry_after() -> None:
    given = response(503, ("retry-after", "30"))
    best = best_response([given])
    assert (best.status, best.reason) == (500, "Server Internal Error")
    assert "retry-after" not in best.headers
    assert given.status == 503
    assert best.flow is given.flow


def test_our_own_overload_goes_upstream() -> None:
    best = best_response([response(503, ("retry-after", "10"), received=False)])
    assert best.status == 503
    assert best.headers.first("retry-after") == "10"
    # One that stands for a server that nobody reached says nothing of us.
    assert best_response([response(503, received=False)]).status == 500


def test_challenges_are_collected() -> None:
    one = response(401, ("www-authenticate", 'Digest realm="a", nonce="1"'))
    two = response(
        407, ("proxy-authenticate", 'Digest realm="b", nonce="2"'), ("www-authenticate", 'Digest realm="c", nonce="3"')
    )
    other = response(486, ("www-authenticate", 'Digest realm="d", nonce="4"'))
    best = best_response([two, other, one])
    assert best.status == 401
    assert best.headers.all("www-authenticate") == ['Digest realm="a", nonce="1"', 'Digest realm="c", nonce="3"']
    assert best.headers.all("proxy-authenticate") == ['Digest realm="b", nonce="2"']
    assert len(one.headers) == 1


def test_challenges_of_two_branches_reach_the_client(house: Any) -> None:
    alice = house.peer("192.0.2.2")
    one, two = house.peer("192.0.2.10"), house.peer("192.0.2.11")
    house.bind("bob", "sip:bob@192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.11")
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    one.answer(one.expect("INVITE"), 401, [("www-authenticate", 'Digest realm="one", nonce="1"')])
    two.answer(two.expect("INVITE"), 407, [("proxy-authenticate", 'Digest realm="two", nonce="2"')])
    got = alice.expect(401)
    assert "one" in got.headers.first("www-authenticate")
    assert "two" in got.headers.first("proxy-authenticate")
    house.send(alice, house.ack_for(text, got))


@pytest.mark.parametrize(("answers", "best"), [((503, 404), 404), ((503, 503), 500), ((302, 486), 302)])
def test_over_the_network(house: Any, answers: tuple[int, int], best: int) -> None:
    alice = house.peer("192.0.2.2")
    phones = [house.peer("192.0.2.10"), house.peer("192.0.2.11")]
    for phone in phones:
        house.bind("bob", f"sip:bob@{phone.address.host}")
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    for phone, status in zip(phones, answers, strict=True):
        phone.answer(phone.expect("INVITE"), status)
    got = alice.expect(best)
    assert got.to.tag
    house.send(alice, house.ack_for(text, got))


def test_contacts_of_a_redirection_go_upstream(house: Any) -> None:
    """We do not recurse: the client gets every contact (section 16.7 step 4)."""
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.10")
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    bob.answer(bob.expect("INVITE"), 302, [("contact", "<sip:bob@192.0.2.99>, <tel:+15551234>")], to_tag="x")
    got = alice.expect(302)
    assert got.headers.first("contact") == "<sip:bob@192.0.2.99>, <tel:+15551234>"
    # Section 16.7 step 6: the To tag stays.
    assert got.to.tag == "x"
    house.send(alice, house.ack_for(text, got))
