"""Timer C and 100 (Trying) (RFC 3261 sections 16.2, 16.6 step 11, 16.7 step 2 and 16.8; RFC 4320)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.errors import LocalProtocolError
from twisted_sip.proxy.service import ProxyService
from twisted_sip.proxy.settings import ProxySettings

BOB = "sip:bob@example.com"


def invited(house: Any) -> Any:
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.10")
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    return alice, text, bob, bob.expect("INVITE")


def test_trying_at_once_for_an_invite(house: Any) -> None:
    alice, text, bob, invite = invited(house)
    assert alice.expect().status == 100
    assert not alice.messages[0].to.tag
    bob.answer(invite, 100)
    house.network.advance(0.1)
    # That of the callee goes no further.
    assert [message.status for message in alice.messages] == [100]
    bob.answer(invite, 404)
    house.send(alice, house.ack_for(text, alice.expect(404)))


def test_no_provisional_response_to_other_methods(house: Any) -> None:
    """RFC 4320 section 4.1: but 100, once Timer E has reached T2; nothing else ever."""
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.10")
    house.send(alice, house.request("MESSAGE", BOB))
    message = bob.expect("MESSAGE")
    bob.answer(message, 180)
    house.network.advance(3)
    assert not alice.messages
    assert alice.expect(within=3).status == 100
    bob.answer(message, 200)
    assert alice.expect(200)


def test_ringing_for_ever_is_cancelled(house: Any) -> None:
    alice, text, bob, invite = invited(house)
    bob.answer(invite, 180)
    start = house.network.clock.seconds()
    cancel = bob.expect("CANCEL", within=200)
    assert house.network.clock.seconds() - start > 180
    bob.answer(cancel, 200)
    bob.answer(invite, 487)
    house.send(alice, house.ack_for(text, alice.expect(487)))


def test_each_101_to_199_resets_it(house: Any) -> None:
    alice, text, bob, invite = invited(house)
    for _ in range(3):
        bob.answer(invite, 183)
        bob.expect_nothing(within=170)
    bob.answer(invite, 100)
    # 100 does not.
    cancel = bob.expect("CANCEL", within=20)
    bob.answer(cancel, 200)
    bob.answer(invite, 487)
    house.send(alice, house.ack_for(text, alice.expect(487)))


def test_after_100_alone_it_is_cancelled_too(house: Any) -> None:
    """Section 16.8: any provisional response makes it a CANCEL."""
    alice, text, bob, invite = invited(house)
    bob.answer(invite, 100)
    bob.answer(bob.expect("CANCEL", within=200), 200)
    bob.answer(invite, 487)
    house.send(alice, house.ack_for(text, alice.expect(487)))


def test_nobody_reacts_to_the_cancel(house: Any) -> None:
    alice, text, bob, invite = invited(house)
    bob.answer(invite, 180)
    bob.expect("CANCEL", within=200)
    house.send(alice, house.ack_for(text, alice.expect(408, within=70)))


def test_silence_is_408_after_timer_b(house: Any) -> None:
    alice, text, _, _ = invited(house)
    alice.expect(100)
    house.send(alice, house.ack_for(text, alice.expect(408, within=40)))


def test_late_2xx_of_a_branch_that_was_cancelled_by_timer_c(house: Any) -> None:
    alice, _, bob, invite = invited(house)
    bob.answer(invite, 180)
    bob.expect("CANCEL", within=200)
    bob.answer(invite, 200, to_tag="late")
    assert alice.expect(200).to.tag == "late"


def test_serial_search_may_take_longer_than_one_timer_c(house: Any) -> None:
    """Phones that say 100 and nothing else: each has its Timer C, and the client does not lose its transaction."""
    house.bind("bob", "sip:bob@192.0.2.11", q=1)
    second = house.peer("192.0.2.11")
    alice, _, bob, invite = invited(house)
    bob.answer(invite, 100)
    bob.answer(bob.expect("CANCEL", within=200), 200)
    bob.answer(invite, 487)
    late = second.expect("INVITE")
    second.answer(late, 100)
    house.network.advance(150)
    second.answer(late, 200)
    assert alice.expect(200)


def test_silent_non_invite_gets_no_408(house: Any) -> None:
    """RFC 4320 section 4.2."""
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.10")
    house.send(alice, house.request("MESSAGE", BOB))
    message = bob.expect("MESSAGE")
    house.network.advance(60)
    assert [response.status for response in alice.messages] == [100]
    # A late answer is dropped.
    bob.answer(message, 200)
    house.network.advance(5)
    assert [response.status for response in alice.messages] == [100]


def test_timer_c_longer_than_the_transactions_last(house: Any) -> None:
    with pytest.raises(LocalProtocolError):
        ProxyService(house.element, settings=ProxySettings(timer_c=600))
    ProxyService(house.element, settings=ProxySettings(timer_c=200))
