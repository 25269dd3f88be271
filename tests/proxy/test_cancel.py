"""CANCEL (RFC 3261 sections 9 and 16.10, RFC 3326)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.message.response import Response

BOB = "sip:bob@example.com"


def invited(house: Any, phones: int = 1) -> Any:
    """Return alice, her INVITE and bob's phones with the INVITE that each got."""
    alice = house.peer("192.0.2.2")
    bobs = [house.peer(f"192.0.2.{10 + place}") for place in range(phones)]
    for bob in bobs:
        house.bind("bob", f"sip:bob@{bob.address.host}")
    text = house.request("INVITE", BOB)
    house.send(alice, text)
    return alice, text, [(bob, bob.expect("INVITE")) for bob in bobs]


def cancel_of(house: Any, **fields: Any) -> str:
    return str(house.request("CANCEL", BOB, contact="", **fields))


def test_cancel_reaches_every_branch_with_its_reason(house: Any) -> None:
    alice, text, branches = invited(house, 2)
    for bob, invite in branches:
        bob.answer(invite, 180)
    alice.expect(180)
    reason = 'SIP;cause=487;text="changed my mind"'
    house.send(alice, cancel_of(house, extra=[f"Reason: {reason}", "Reason: Q.850;cause=16"]))
    ok = alice.expect(lambda message: message.cseq.method == "CANCEL")
    assert ok.status == 200
    for bob, invite in branches:
        cancel = bob.expect("CANCEL")
        assert cancel.headers.all("reason") == [reason, "Q.850;cause=16"]
        assert cancel.top_via.branch == invite.top_via.branch
        assert cancel.uri_text == invite.uri_text
        bob.answer(cancel, 200)
        bob.answer(invite, 487)
    got = alice.expect(487)
    house.send(alice, house.ack_for(text, got))
    house.network.advance(40)
    assert [m.status for m in alice.messages if isinstance(m, Response) and m.status >= 300] == [487]


def test_cancel_waits_for_a_provisional_response(house: Any) -> None:
    """Section 9.1."""
    alice, text, [(bob, invite)] = invited(house)
    house.send(alice, cancel_of(house))
    alice.expect(200)
    house.network.advance(0.3)
    assert not any(getattr(message, "method", "") == "CANCEL" for message in bob.messages)
    bob.answer(invite, 100)
    bob.answer(bob.expect("CANCEL"), 200)
    bob.answer(invite, 487)
    house.send(alice, house.ack_for(text, alice.expect(487)))


def test_cancel_stops_the_serial_search(house: Any) -> None:
    alice, text, [(bob, invite)] = invited(house)
    later = house.peer("192.0.2.20")
    house.bind("bob", "sip:bob@192.0.2.20", q=1)
    bob.answer(invite, 180)
    alice.expect(180)
    house.send(alice, cancel_of(house))
    bob.answer(bob.expect("CANCEL"), 200)
    bob.answer(invite, 487)
    house.send(alice, house.ack_for(text, alice.expect(487)))
    assert not later.messages


def test_callee_that_does_not_react_to_cancel(house: Any) -> None:
    """Section 9.1: 64*T1 after the CANCEL the transaction is over; the caller gets 487."""
    alice, text, [(bob, invite)] = invited(house)
    bob.answer(invite, 180)
    alice.expect(180)
    house.send(alice, cancel_of(house))
    bob.expect("CANCEL")
    got = alice.expect(487, within=70)
    house.send(alice, house.ack_for(text, got))


@pytest.mark.parametrize(("status", "got"), [(200, 200), (486, 486), (603, 603)])
def test_cancel_that_crosses_an_answer(house: Any, status: int, got: int) -> None:
    alice, text, [(bob, invite)] = invited(house)
    bob.answer(invite, 180)
    alice.expect(180)
    house.send(alice, cancel_of(house))
    bob.answer(invite, status)
    response = alice.expect(lambda message: message.status == got and message.cseq.method == "INVITE")
    if status >= 300:
        house.send(alice, house.ack_for(text, response))


def test_cancel_after_the_answer_changes_nothing(house: Any) -> None:
    alice, _, [(bob, invite)] = invited(house)
    bob.answer(invite, 200)
    alice.expect(200)
    house.send(alice, cancel_of(house))
    assert alice.expect(200).cseq.method == "CANCEL"
    house.network.advance(1)
    assert not any(getattr(message, "method", "") == "CANCEL" for message in bob.messages)


def test_cancel_of_nothing_is_answered_481_and_kept_nowhere(house: Any) -> None:
    alice = house.peer("192.0.2.2")
    house.send(alice, cancel_of(house))
    first = alice.expect(481)
    assert house.element.transactions.counts()["servers"] == 0
    house.send(alice, cancel_of(house))
    # Section 8.2.7: the same tag.
    assert alice.expect(481).to.tag == first.to.tag


def test_cancel_of_another_method_has_no_effect(house: Any) -> None:
    alice, bob = house.peer("192.0.2.2"), house.peer("192.0.2.10")
    house.bind("bob", "sip:bob@192.0.2.10")
    house.send(alice, house.request("MESSAGE", BOB, contact=""))
    message = bob.expect("MESSAGE")
    house.send(alice, cancel_of(house))
    assert alice.expect(200).cseq.method == "CANCEL"
    bob.answer(message, 202)
    assert alice.expect(202)
    assert not any(getattr(message, "method", "") == "CANCEL" for message in bob.messages)
