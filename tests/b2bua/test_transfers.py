"""Transfers that the other leg sees as a re-INVITE and nothing else (RFC 5589, RFC 3891, RFC 5359)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.b2bua.header_policy import HeaderPolicy

from .scene import Scene


@pytest.fixture(params=["direct", "relay", "transcode"])
def scene(request: Any) -> Any:
    made = Scene(settings={"media": request.param})
    yield made
    made.stop()


@pytest.fixture
def plain() -> Any:
    made = Scene()
    yield made
    made.stop()


@pytest.mark.parametrize("by_callee", [False, True])
def test_blind(scene: Scene, by_callee: bool) -> None:
    alice, bob, carol = scene.agent("alice", 1), scene.agent("bob", 2), scene.agent("carol", 3)
    call, other = scene.established(alice, bob)
    by, stays = (other, call) if by_callee else (call, other)
    staying_host = alice.host if by_callee else bob.host
    seen = len(scene.messages(staying_host))
    carol.does = lambda incoming: incoming.ring().addCallback(lambda _: incoming.answer())
    done: list[Any] = []
    by.transfer(carol.uri).done.addCallback(done.append)
    scene.run(3)
    [third] = carol.arrived
    assert done == [200] and by.over and stays.established and third.established
    assert third.remote.uri_text == stays.local.uri_text
    assert third.request.headers.first("referred-by") == f"<{by.local.uri_text}>"
    scene.hear((stays, third))
    starts = {message.split(b" ")[0] for message in scene.messages(staying_host)[seen:]}
    assert starts <= {b"INVITE", b"ACK", b"SIP/2.0"}, starts
    third.hangup()
    scene.run()
    assert stays.over
    [record] = scene.accounting.records
    assert len(record.legs) == 3 and record.result == "answered"


def test_blind_to_somebody_who_refuses(scene: Scene) -> None:
    alice, bob, carol = scene.agent("alice", 1), scene.agent("bob", 2), scene.agent("carol", 3)
    call, other = scene.established(alice, bob)
    carol.does = lambda incoming: incoming.reject(486)
    done: list[Any] = []
    call.transfer(carol.uri).done.addCallback(done.append)
    scene.run(3)
    assert done == [486] and call.established and other.established
    scene.hear((call, other))


def test_blind_to_nobody(plain: Scene) -> None:
    alice, bob = plain.agent("alice", 1), plain.agent("bob", 2)
    call, other = plain.established(alice, bob)
    done: list[Any] = []
    call.transfer("sip:nobody@example.com").done.addCallback(done.append)
    plain.run(3)
    assert done == [480] and call.established and other.established


@pytest.mark.parametrize("answers", [False, True])
def test_blind_by_somebody_who_does_not_wait(scene: Scene, answers: bool) -> None:
    alice, bob, carol = scene.agent("alice", 1), scene.agent("bob", 2), scene.agent("carol", 3)
    call, other = scene.established(alice, bob)
    carol.does = lambda incoming: incoming.ring()
    call.transfer(carol.uri)
    scene.run()
    call.hangup()
    scene.run(2)
    [third] = carol.arrived
    assert other.established
    if answers:
        third.answer()
        scene.run(2)
        scene.hear((other, third))
    else:
        third.reject(486)
        scene.run(2)
        assert other.over


def test_the_one_who_stays_hangs_up_meanwhile(plain: Scene) -> None:
    alice, bob, carol = plain.agent("alice", 1), plain.agent("bob", 2), plain.agent("carol", 3)
    call, other = plain.established(alice, bob)
    carol.does = lambda incoming: incoming.ring()
    done: list[Any] = []
    call.transfer(carol.uri).done.addCallback(done.append)
    plain.run()
    other.hangup()
    plain.run(2)
    assert carol.arrived[0].over and call.over and not plain.bridged


def test_attended(scene: Scene) -> None:
    alice, bob, carol = scene.agent("alice", 1), scene.agent("bob", 2), scene.agent("carol", 3)
    call, other = scene.established(alice, bob)
    call.hold()
    scene.run(2)
    second, third = scene.established(alice, carol)
    done: list[Any] = []
    call.transfer(second).done.addCallback(done.append)
    scene.run(3)
    assert done == [200] and call.over and second.over
    assert other.established and third.established
    scene.run(2)
    assert not third.held
    scene.hear((other, third))
    other.hangup()
    scene.run()
    assert third.over
    assert sorted(len(record.legs) for record in scene.accounting.records) == [2, 3]


def test_attended_of_calls_that_came_in(plain: Scene) -> None:
    alice, bob, carol = plain.agent("alice", 1), plain.agent("bob", 2), plain.agent("carol", 3)
    second, first = plain.established(bob, alice)
    fourth, third = plain.established(carol, alice)
    done: list[Any] = []
    first.transfer(third).done.addCallback(done.append)
    plain.run(3)
    assert done == [200]
    plain.hear((second, fourth))


def test_a_call_is_replaced(scene: Scene) -> None:
    alice, bob, carol = scene.agent("alice", 1), scene.agent("bob", 2), scene.agent("carol", 3)
    call, other = scene.established(alice, bob)
    third = carol.call("sip:any@example.com", replaces=call.replaces_value())
    scene.run(3)
    assert third.established and call.over and other.established
    scene.hear((third, other))
    assert len(scene.bridged) == 1


def test_a_call_is_replaced_without_offer(plain: Scene) -> None:
    alice, bob, carol = plain.agent("alice", 1), plain.agent("bob", 2), plain.agent("carol", 3)
    call, other = plain.established(alice, bob)
    third = carol.call("sip:any@example.com", replaces=other.replaces_value(), media=None)
    offers: list[Any] = []
    media = carol.make_media(third)
    third.use_media(media)
    plain.run(3)
    assert third.established and other.over and call.established, offers
    plain.hear((third, call))


def test_nothing_is_replaced_that_is_not_there(plain: Scene) -> None:
    alice, bob, carol = plain.agent("alice", 1), plain.agent("bob", 2), plain.agent("carol", 3)
    call, other = plain.established(alice, bob)
    value = call.replaces_value()
    call.hangup()
    plain.run()
    third = carol.call("sip:any@example.com", replaces=value)
    plain.run(2)
    assert third.ending.status in (481, 603) and other.over


@pytest.mark.parametrize("offers", [True, False])
def test_a_ringing_call_is_picked_up(plain: Scene, offers: bool) -> None:
    alice, bob, carol = plain.agent("alice", 1), plain.agent("bob", 2), plain.agent("carol", 3)
    bob.does = lambda call: call.ring()
    call = alice.call(bob.uri)
    plain.run(2)
    [ringing] = bob.arrived
    how: dict[str, Any] = {} if offers else {"media": None}
    third = carol.call("sip:any@example.com", replaces=ringing.replaces_value(early_only=True), **how)
    if not offers:
        third.use_media(carol.make_media(third))
    plain.run(3)
    assert third.established and call.established and ringing.over
    plain.hear((third, call))


def test_no_transfers(plain: Scene) -> None:
    scene = Scene(settings={"transfers": False})
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, _ = scene.established(alice, bob)
    failed: list[Any] = []
    call.transfer("sip:carol@example.com").done.addErrback(failed.append)
    scene.run(2)
    assert failed[0].value.status == 603
    scene.stop()


def test_what_every_callee_gets() -> None:
    """The header fields that the policy sets, in the INVITE of a transfer too."""
    scene = Scene(policy=HeaderPolicy.build(set={"x-trunk": "7"}))
    alice, bob, carol = (scene.agent(name, number) for number, name in enumerate(("alice", "bob", "carol"), 1))
    carol.does = lambda call: call.answer()
    call, other = scene.established(alice, bob)
    call.transfer(carol.uri)
    scene.run(3)
    for one in (other, carol.arrived[0]):
        assert one.request.headers.all("x-trunk") == ["7"]
    assert carol.arrived[0].request.headers.first("referred-by")
    scene.stop()
