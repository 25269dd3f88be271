"""Forking: parallel, serial and mixed, losers, late 2xx, 6xx (RFC 3261 sections 16.6 and 16.7)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.element.decisions import Decisions
from twisted_sip.message.response import Response
from twisted_sip.proxy.loop import SEPARATOR
from twisted_sip.proxy.settings import ProxySettings

INVITE = "INVITE"
BOB = "sip:bob@example.com"


def phones(house: Any, *qs: int) -> list[Any]:
    """Return phones of bob, one for each q."""
    made = []
    for place, q in enumerate(qs):
        host = f"192.0.2.{10 + place}"
        made.append(house.peer(host))
        house.bind("bob", f"sip:bob@{host}", q=q)
    return made


def statuses(peer: Any) -> list[int]:
    """Return the final statuses of the INVITE that came to *peer*, retransmissions once."""
    seen = [message.status for message in peer.messages if isinstance(message, Response)]
    return [status for place, status in enumerate(seen) if status >= 200 and status not in seen[:place]]


def test_parallel_forking_cancels_the_losers(house: Any) -> None:
    alice = house.peer("192.0.2.2")
    one, two = phones(house, 1000, 1000)
    house.send(alice, house.request(INVITE, BOB))
    first, second = one.expect(INVITE), two.expect(INVITE)
    assert alice.expect().status == 100
    one.answer(first, 180, to_tag="1")
    two.answer(second, 183, to_tag="2")
    assert alice.expect(180).to.tag == "1"
    assert alice.expect(183).to.tag == "2"
    two.answer(second, 200, [("contact", "<sip:bob@192.0.2.11>")], to_tag="2")
    assert alice.expect(200).to.tag == "2"
    cancel = one.expect("CANCEL")
    # RFC 3326: why; section 9.1: the same branch and one Via.
    assert cancel.headers.first("reason") == 'SIP;cause=200;text="Call completed elsewhere"'
    assert cancel.top_via.branch == first.top_via.branch and len(cancel.vias) == 1
    one.answer(cancel, 200)
    one.answer(first, 487)
    assert one.expect("ACK").cseq.method == "ACK"
    house.network.advance(10)
    assert statuses(alice) == [200]


def test_branches_differ_and_share_the_loop_part(house: Any) -> None:
    one, two = phones(house, 1000, 1000)
    alice = house.peer("192.0.2.2")
    text = house.request(INVITE, BOB)
    house.send(alice, text)
    first, second = one.expect(INVITE), two.expect(INVITE)
    assert first.top_via.branch != second.top_via.branch
    assert first.top_via.branch.rpartition(SEPARATOR)[2] == second.top_via.branch.rpartition(SEPARATOR)[2] != ""
    assert first.top_via.branch.startswith("z9hG4bK")
    for phone, invite in ((one, first), (two, second)):
        phone.answer(invite, 404)
    house.send(alice, house.ack_for(text, alice.expect(404)))


def test_two_2xx_both_go_upstream(house: Any) -> None:
    alice = house.peer("192.0.2.2")
    one, two = phones(house, 1000, 1000)
    house.send(alice, house.request(INVITE, BOB))
    first, second = one.expect(INVITE), two.expect(INVITE)
    one.answer(first, 200, to_tag="1")
    two.answer(second, 200, to_tag="2")
    assert {alice.expect(200).to.tag, alice.expect(200).to.tag} == {"1", "2"}
    # Retransmissions too, as long as Timer M runs (RFC 6026 section 7.2).
    house.network.advance(20)
    two.answer(second, 200, to_tag="2")
    assert alice.expect(200).to.tag == "2"
    # What comes after that is a stray response and is dropped (RFC 6026 section 7.2).
    house.network.advance(40)
    alice.skip()
    two.answer(second, 200, to_tag="2")
    alice.expect_nothing()


def test_late_2xx_after_the_cancel(house: Any) -> None:
    alice = house.peer("192.0.2.2")
    one, two = phones(house, 1000, 1000)
    house.send(alice, house.request(INVITE, BOB))
    first, second = one.expect(INVITE), two.expect(INVITE)
    two.answer(second, 180)
    one.answer(first, 200, to_tag="1")
    assert alice.expect(200).to.tag == "1"
    two.answer(two.expect("CANCEL"), 200)
    two.answer(second, 200, to_tag="2")
    assert alice.expect(200).to.tag == "2"


def test_serial_by_q(house: Any) -> None:
    alice = house.peer("192.0.2.2")
    low, high = phones(house, 300, 700)
    house.send(alice, house.request(INVITE, BOB))
    invite = high.expect(INVITE)
    low.expect_nothing(within=1)
    high.answer(invite, 486)
    assert high.expect("ACK")
    invite = low.expect(INVITE)
    low.answer(invite, 200)
    assert alice.expect(200)
    assert statuses(alice) == [200]


def test_mixed_groups(house: Any) -> None:
    alice = house.peer("192.0.2.2")
    one, two, last = phones(house, 900, 900, 100)
    text = house.request(INVITE, BOB)
    house.send(alice, text)
    first, second = one.expect(INVITE), two.expect(INVITE)
    one.answer(first, 486)
    last.expect_nothing(within=1)
    two.answer(second, 404)
    invite = last.expect(INVITE)
    last.answer(invite, 480)
    response = alice.expect(lambda message: message.status >= 300)
    assert response.status in (404, 480, 486)
    house.send(alice, house.ack_for(text, response))


@pytest.mark.parametrize("fork", ["serial", "none"])
def test_fork_setting(make_house: Any, fork: str) -> None:
    house = make_house(settings=ProxySettings(fork=fork))
    alice = house.peer("192.0.2.2")
    one, two = phones(house, 1000, 1000)
    house.send(alice, house.request(INVITE, BOB))
    house.network.advance(1)
    asked, other = (one, two) if one.messages else (two, one)
    assert not other.messages
    asked.answer(asked.expect(INVITE), 486)
    if fork == "serial":
        other.answer(other.expect(INVITE), 200)
        assert alice.expect(200)
    else:
        assert alice.expect(486)
        assert not other.messages


def test_6xx_waits_for_the_others(house: Any) -> None:
    """Section 16.7 step 5: a 6xx cancels the others and goes upstream when all have ended."""
    alice = house.peer("192.0.2.2")
    one, two, last = phones(house, 1000, 1000, 1)
    text = house.request(INVITE, BOB)
    house.send(alice, text)
    first, second = one.expect(INVITE), two.expect(INVITE)
    two.answer(second, 180)
    one.answer(first, 603)
    cancel = two.expect("CANCEL")
    assert cancel.headers.first("reason") == "SIP;cause=603"
    assert statuses(alice) == []
    two.answer(cancel, 200)
    two.answer(second, 487)
    house.send(alice, house.ack_for(text, alice.expect(603)))
    house.network.advance(5)
    assert statuses(alice) == [603]
    assert not last.messages


def test_2xx_beats_a_6xx(house: Any) -> None:
    alice = house.peer("192.0.2.2")
    one, two = phones(house, 1000, 1000)
    house.send(alice, house.request(INVITE, BOB))
    first, second = one.expect(INVITE), two.expect(INVITE)
    two.answer(second, 180)
    one.answer(first, 600)
    two.expect("CANCEL")
    two.answer(second, 200)
    assert alice.expect(200)
    house.network.advance(5)
    assert statuses(alice) == [200]


def test_6xx_of_a_non_invite_ends_the_search(house: Any) -> None:
    alice = house.peer("192.0.2.2")
    one, last = phones(house, 1000, 1)
    house.send(alice, house.request("MESSAGE", BOB))
    one.answer(one.expect("MESSAGE"), 603)
    assert alice.expect(603)
    last.expect_nothing(within=40)


def test_non_invite_fork_gives_one_final_response(house: Any) -> None:
    alice = house.peer("192.0.2.2")
    one, two = phones(house, 1000, 1000)
    house.send(alice, house.request("MESSAGE", BOB))
    first, second = one.expect("MESSAGE"), two.expect("MESSAGE")
    one.answer(first, 200, to_tag="1")
    two.answer(second, 200, to_tag="2")
    assert alice.expect(200).to.tag in ("1", "2")
    alice.expect_nothing(within=10)


def test_the_search_for_a_non_invite_ends_with_its_transaction(house: Any) -> None:
    """RFC 4320 section 4.2: Timer F of the client has fired when the first one has not answered."""
    alice = house.peer("192.0.2.2")
    high, low = phones(house, 700, 300)
    house.send(alice, house.request("MESSAGE", BOB))
    assert high.expect("MESSAGE")
    low.expect_nothing(within=80)
    assert [response.status for response in alice.messages] == [100]


@pytest.mark.parametrize(("seconds", "goes_on"), [(30, True), (31.7, False)])
def test_the_search_for_a_non_invite_goes_on_while_somebody_waits(house: Any, seconds: float, goes_on: bool) -> None:
    alice = house.peer("192.0.2.2")
    high, low = phones(house, 700, 300)
    house.send(alice, house.request("MESSAGE", BOB))
    message = high.expect("MESSAGE")
    house.network.advance(seconds)
    high.answer(message, 480)
    if goes_on:
        low.answer(low.expect("MESSAGE"), 200)
        assert alice.expect(200)
    else:
        assert alice.expect(480)
        low.expect_nothing(within=5)


def test_at_most_max_branches(make_house: Any) -> None:
    house = make_house(settings=ProxySettings(max_branches=2))
    decisions = house.element.decisions = Decisions(house.network.clock.seconds)
    alice = house.peer("192.0.2.2")
    all_phones = phones(house, 1000, 1000, 1000)
    text = house.request("MESSAGE", BOB)
    house.send(alice, text)
    house.network.advance(0.3)
    assert sum(bool(phone.messages) for phone in all_phones) == 2
    told = [(one.text, one.key) for one in decisions.call("call") if one.key == "proxy.max_branches"]
    assert told == [("of 3 targets no more than 2 are asked", "proxy.max_branches")]


def test_a_target_is_tried_once(house: Any) -> None:
    """Section 16.5: no target stands twice in the set."""
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.10", key="1")
    house.bind("bob", "sip:bob@192.0.2.10", key="2")
    house.send(alice, house.request("MESSAGE", BOB))
    bob.answer(bob.expect("MESSAGE"), 404)
    assert alice.expect(404)
    bob.expect_nothing(within=5)


def test_the_copy_is_the_request(house: Any) -> None:
    """Section 16.6 step 1: every header field in its order, the body as it is."""
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.10")
    extra = ["X-One: a,b", "Date: no date at all", "x-one: c", "P-Unknown:  spaced  ", "Content-Type: text/plain"]
    house.send(alice, house.request("NEWMETHOD", BOB, extra=extra, body="Hällo\n"))
    got = bob.expect("NEWMETHOD")
    assert got.uri_text == "sip:bob@192.0.2.10"
    assert got.body == "Hällo\r\n".encode()
    lines = got.headers.lines
    kept = [line for line in lines if line.lower().startswith(("x-", "date", "p-", "content-type"))]
    assert kept == extra
    assert got.max_forwards == 69
    bob.answer(got, 200)
    assert alice.expect(200)
