"""Calls through a b2bua, media from phone to phone."""

from __future__ import annotations

from typing import Any

import pytest

from .scene import HOST, Scene


@pytest.fixture(params=["direct", "relay", "transcode"])
def scene(request: Any) -> Any:
    made = Scene(settings={"media": request.param})
    yield made
    made.stop()


def test_a_call(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    bob.does = lambda call: call.ring()
    call = alice.call(bob.uri)
    scene.run()
    [other] = bob.arrived
    assert call.state.value == other.state.value == "ringing"
    assert other.remote.uri_text == alice.uri
    scene.run(3)
    other.answer()
    scene.run()
    assert call.established and other.established
    scene.hear((call, other))
    [bridged] = scene.bridged
    assert bridged.answered and bridged.seconds > 1
    [begun] = scene.accounting.under_way.values()
    assert begun.answered is not None and begun.ended is None and begun.result == ""
    call.hangup("had enough")
    scene.run()
    assert (other.ending.by, other.ending.cause, other.ending.reason) == ("remote", "bye", "had enough")
    assert not scene.bridged
    [record] = scene.accounting.records
    assert (record.result, record.status, record.ended_by, record.reason) == ("answered", 200, "caller", "had enough")
    assert (record.caller, record.callee) == (alice.uri, bob.uri)
    assert record.set_up < record.ringing < record.answered < record.ended
    assert [leg.incoming for leg in record.legs] == [True, False]
    assert {leg.call_id for leg in record.legs} == {call.id, other.id} and call.id != other.id


def test_the_callee_hangs_up(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, other = scene.established(alice, bob)
    other.hangup()
    scene.run()
    assert (call.ending.by, call.ending.cause) == ("remote", "bye")
    assert scene.accounting.records[-1].ended_by == "callee"


def test_refused(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    bob.does = lambda call: call.reject(486)
    call = alice.call(bob.uri)
    scene.run()
    assert (call.ending.cause, call.ending.status) == ("refused", 486)
    [record] = scene.accounting.records
    assert (record.result, record.status, record.answered, record.seconds) == ("refused", 486, None, 0.0)


def test_cancelled(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    bob.does = lambda call: call.ring()
    call = alice.call(bob.uri)
    scene.run()
    call.hangup()
    scene.run()
    [other] = bob.arrived
    assert (other.ending.by, other.ending.cause) == ("remote", "cancel")
    [record] = scene.accounting.records
    assert (record.result, record.status, record.ended_by) == ("cancelled", 487, "caller")


def test_nobody_is_there(scene: Scene) -> None:
    alice = scene.agent("alice", 1)
    call = alice.call("sip:nobody@example.com")
    scene.run()
    assert call.ending.status == 480
    assert scene.accounting.records[-1].result == "failed"


def test_hold(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, other = scene.established(alice, bob)
    call.hold()
    scene.run(2)
    assert other.held and call.on_hold
    call.resume()
    scene.run(2)
    assert not other.held and not call.on_hold
    scene.hear((call, other))
    other.hold()
    scene.run(2)
    assert call.held


def test_both_at_once(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, other = scene.established(alice, bob)
    call.hangup()
    other.hangup()
    scene.run()
    assert call.over and other.over and not scene.bridged
    assert len(scene.accounting.records) == 1


def test_early_media(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    bob.does = lambda call: call.ring(183, early_media=True)
    call = alice.call(bob.uri)
    scene.run(2)
    [other] = bob.arrived
    scene.hear((call, other))
    other.answer()
    scene.run()
    assert call.established
    scene.hear((call, other))


def test_late_offer(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, other = scene.established(alice, bob)
    call.update(late=True)
    scene.run(2)
    scene.hear((call, other))


def test_keys_in_info(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, other = scene.established(alice, bob)
    pressed: list[Any] = []
    other.observe(lambda event: pressed.append(getattr(event, "digit", None)))
    call.send_dtmf("5#", "info")
    scene.run(3)
    assert [digit for digit in pressed if digit] == ["5", "#"]


def test_nothing_leaks(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, _other = scene.established(alice, bob)
    call.hangup()
    scene.run()
    direct = scene.b2bua.b2bua_settings.media == "direct"
    for there, elsewhere in ((alice, bob), (bob, alice)):
        for message in scene.messages(there.host):
            text = message.decode()
            head, _, body = text.partition("\r\n\r\n")
            assert elsewhere.host not in head, head
            assert elsewhere.user not in head or there is alice, head
            assert "Record-Route" not in head
            if not direct:
                assert elsewhere.host not in body
            assert not [line for line in body.splitlines() if line.startswith("o=") and elsewhere.host in line]
    assert HOST in scene.messages(bob.host)[0].decode()
