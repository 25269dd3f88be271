"""Transfers (RFC 3515, 3891, 3892, 3911, 4488, 4538, 5589)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.errors import LocalProtocolError, RequestRefused

from .agents import OPEN, Scene, events
from .script import Script


@pytest.fixture
def scene() -> Any:
    made = Scene()
    yield made
    made.stop()


def three(scene: Scene) -> tuple[Any, Any, Any]:
    return scene.agent("alice", 1, **OPEN), scene.agent("bob", 2, **OPEN), scene.agent("carol", 3, **OPEN)


def test_blind(scene: Scene) -> None:
    alice, bob, carol = three(scene)
    call, other = scene.established(alice, bob)
    carol.does = lambda call: call.answer()
    transfer = call.transfer(carol.uri)
    done: list[Any] = []
    transfer.done.addCallback(done.append)
    scene.run(2)
    assert done == [200] and transfer.over
    # Alice has hung up; bob talks to carol.
    assert call.over and other.over
    [new] = bob.calls
    assert new.established and new.remote.uri_text == carol.uri and new.referral.call is other
    [arrived] = carol.arrived
    assert arrived.request.headers.first("referred-by") == f"<{alice.uri}>"
    assert arrived.request.headers.first("max-forwards") == "69"
    assert "TransferRequested" in events(other) and "Transferred" in events(other)
    assert [event.status for event in transfer.log.kept()] == [100, 200]
    late: list[Any] = []
    transfer.done.addCallback(late.append)
    assert late == [200]


def test_a_target_that_does_not_want(scene: Scene) -> None:
    alice, bob, carol = three(scene)
    call, other = scene.established(alice, bob)

    def busy(call: Any) -> None:
        call.ring()
        call.reject(486)

    carol.does = busy
    done: list[Any] = []
    transfer = call.transfer(carol.uri)
    transfer.done.addCallback(done.append)
    scene.run(2)
    assert done == [486] and call.established and other.established
    assert [event.status for event in call.log.kept()[2:]] == [100, 180, 486]
    # Once more: the second REFER of the dialog has an id (RFC 3515 section 2.4.6).
    carol.does = lambda call: call.answer()
    again = call.transfer(carol.uri)
    scene.run(2)
    assert again.status == 200


def test_attended(scene: Scene) -> None:
    alice, bob, carol = three(scene)
    call, other = scene.established(alice, bob)
    call.hold()
    scene.run()
    consultation, far = scene.established(alice, carol)
    done: list[Any] = []
    call.transfer(consultation).done.addCallback(done.append)
    scene.run(3)
    assert done == [200]
    assert call.over and other.over and consultation.over and far.over
    [left], [right] = bob.calls, carol.calls
    assert left.established and right.established and right.replaces is far
    assert "Replaced" in events(far)
    assert right.request.headers.first("require") == "replaces"


def test_attended_with_a_peer_that_does_not_know_replaces(scene: Scene) -> None:
    """RFC 5589 section 7.7."""
    alice, bob, carol = three(scene)
    call, other = scene.established(alice, bob)
    consultation, far = scene.established(alice, carol)
    call.session.peer_supports = lambda tag: False
    carol.does = lambda call: call.answer()
    done: list[Any] = []
    call.transfer(consultation).done.addCallback(done.append)
    scene.run(3)
    assert done == [200] and consultation.over and far.over and other.over
    [arrived] = carol.calls
    assert arrived.replaces is None and arrived.established


def test_without_subscription(scene: Scene) -> None:
    """RFC 4488."""
    alice, bob, carol = three(scene)
    call, _ = scene.established(alice, bob)
    carol.does = lambda call: call.answer()
    done: list[Any] = []
    transfer = call.transfer(carol.uri, notify=False)
    transfer.done.addCallback(done.append)
    scene.run(2)
    assert done == [202]
    assert carol.arrived and len(transfer.log.kept()) == 1


def test_what_may_not_be_transferred(scene: Scene) -> None:
    alice, bob, carol = three(scene)
    bob.accept_transfer = lambda call, referral: False
    call, other = scene.established(alice, bob)
    failures: list[Any] = []
    call.transfer(carol.uri).done.addErrback(failures.append)
    scene.run(2)
    assert failures[0].check(RequestRefused) and failures[0].value.status == 603
    assert call.established and not carol.arrived
    with pytest.raises(LocalProtocolError):
        call.transfer(bob.call("sip:x@198.51.100.1"))
    other.hangup()
    scene.run()
    with pytest.raises(LocalProtocolError):
        call.transfer(carol.uri)


def test_transfers_do_not_go_round(scene: Scene) -> None:
    alice, bob = (scene.agent(name, number, max_referrals=3, **OPEN) for number, name in ((1, "alice"), (2, "bob")))
    alice.does = bob.does = lambda call: call.answer()
    count = [0]

    def again(old: Any, new: Any) -> None:
        count[0] += 1
        new.answered.addCallback(lambda call: call.transfer(call.local.uri_text).done).addErrback(lambda failure: None)

    bob.transferred = again
    alice.transferred = again
    call = alice.call(bob.uri)
    scene.run()
    bob.arrived[0].transfer(bob.uri).done.addErrback(lambda failure: None)
    scene.run(200)
    # Max-Forwards goes down from call to call.
    assert 20 < count[0] <= 70
    del call


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([], 400),
        ([("refer-to", "<sip:a@b>, <sip:c@d>")], 400),
        ([("refer-to", "<sip:a@b;method=BYE>")], 403),
        ([("refer-to", "<mailto:a@b>")], 416),
        ([("refer-to", "<sip:a@b?Replaces=nonsense>")], 400),
        ([("refer-to", "<sip:a@b?Subject=a%0D%0AX:%20y>")], 400),
        ([("refer-to", "<sip:a@b>"), ("require", "magic")], 420),
    ],
)
def test_bad_refers(scene: Scene, fields: list[tuple[str, str]], status: int) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, _ = scene.established(alice, bob)
    failures: list[Any] = []
    call.send("REFER", fields).addErrback(failures.append)
    scene.run()
    assert failures[0].value.status == status
    assert len(bob.calls) == 1


def test_a_refer_that_has_gone_far_enough(scene: Scene) -> None:
    alice, bob, carol = three(scene)
    call, _ = scene.established(alice, bob, max_forwards=5)
    call.wire.hops = 0
    failures: list[Any] = []
    call.transfer(carol.uri).done.addErrback(failures.append)
    scene.run()
    assert failures[0].value.status == 483


def test_strangers_get_nobody_called(scene: Scene) -> None:
    alice, bob, carol = three(scene)
    failures: list[Any] = []
    alice.refer(bob.uri, f"<{carol.uri}>").done.addErrback(failures.append)
    scene.run(2)
    assert failures[0].value.status == 603 and not carol.arrived


def test_who_knows_the_dialog_may(scene: Scene) -> None:
    """RFC 4538."""
    alice, bob, carol = three(scene)
    call, other = scene.established(alice, bob)
    carol.does = lambda call: call.answer()
    done: list[Any] = []
    alice.refer(bob.uri, f"<{carol.uri}>", about=call).done.addCallback(done.append)
    scene.run(3)
    assert done == [200] and carol.arrived[0].established
    assert call.established
    # It is not asked to go away, and goes at last.
    scene.run(40)
    assert call.over and other.over


def replacing(scene: Scene, caller: Any, target: Any, value: str, **how: Any) -> Any:
    call = caller.call(target.uri, headers=[("replaces", value)], **how)
    scene.run(2)
    return call


def test_bad_replaces(scene: Scene) -> None:
    alice, bob, carol = three(scene)
    call, other = scene.established(alice, bob)
    value = str(call.replaces_value())
    assert replacing(scene, carol, bob, "nobody;to-tag=1;from-tag=2").ending.status == 481
    assert replacing(scene, carol, bob, f"{value};early-only").ending.status == 486
    assert replacing(scene, carol, bob, "nonsense").ending.status == 400
    both = carol.call(bob.uri, headers=[("replaces", value), ("join", value)])
    twice = carol.call(bob.uri, headers=[("replaces", value), ("replaces", value)])
    scene.run(2)
    assert (both.ending.status, twice.ending.status) == (400, 400)
    bob.accept_replaces = lambda call, incoming: False
    assert replacing(scene, carol, bob, value).ending.status == 403
    call.hangup()
    scene.run(2)
    # RFC 3891 section 3: it has just ended.
    assert replacing(scene, carol, bob, value).ending.status == 603
    assert other.over
    with pytest.raises(LocalProtocolError):
        carol.call(bob.uri, replaces=call)


def test_an_early_call_is_replaced_at_its_caller(scene: Scene) -> None:
    """Pickup: alice calls bob, whose phone rings; carol takes it (RFC 3891 section 7.1)."""
    alice, bob, carol = three(scene)
    bob.does = lambda call: call.ring()
    call = alice.call(bob.uri)
    scene.run()
    [ringing] = bob.arrived
    value = ringing.replaces_value(early_only=True)
    # An early dialog that alice has not begun is none of hers to give away.
    tags = f"to-tag={ringing.dialog.local_tag};from-tag={ringing.dialog.remote_tag}"
    assert replacing(scene, carol, bob, f"{call.id};{tags}").ending.status == 481
    picked = carol.call(alice.uri, replaces=value)
    scene.run(2)
    assert picked.established and alice.arrived[-1].replaces is call
    assert call.over and ringing.over


def test_join(scene: Scene) -> None:
    """RFC 3911."""
    alice, bob, carol = three(scene)
    call, other = scene.established(alice, bob)
    listening = carol.call(bob.uri, join=call)
    scene.run(2)
    assert listening.ending.status == 403
    bob.accept_join = lambda call, incoming: True
    joined = carol.call(bob.uri, join=call)
    scene.run(2)
    assert joined.established and call.established
    assert "Joined" in events(other)
    third = bob.arrived[-1]
    assert third.joins is other and other.media.bridged == [third.media]
    joined.hangup()
    scene.run()
    assert call.established and other.media.bridged[-1] is None
    bad = carol.call(bob.uri, headers=[("join", "x;to-tag=1;from-tag=2")])
    worse = carol.call(bob.uri, headers=[("join", "x;to-tag=1")])
    scene.run(2)
    assert (bad.ending.status, worse.ending.status) == (481, 400)
    with pytest.raises(LocalProtocolError):
        carol.call(bob.uri, join="a;to-tag=1;from-tag=2", replaces=call)


def test_join_those_who_are_joined(scene: Scene) -> None:
    """RFC 3911 section 4: the dialogs that are associated already are included."""
    alice, bob, carol = three(scene)
    dave = scene.agent("dave", 4)
    call, other = scene.established(alice, bob)
    bob.accept_join = lambda call, incoming: True
    first = carol.call(bob.uri, join=call)
    scene.run(2)
    second = dave.call(bob.uri, join=call)
    scene.run(2)
    assert first.established and second.established
    heard = [one.media.bridged[-1] for one in bob.calls]
    assert len(heard) == 3 and all(one is heard[0] and one is not None for one in heard)
    conversation = other.conversation
    assert conversation.calls == list(bob.calls)
    first.hangup()
    scene.run()
    assert call.established and second.established and conversation.calls == list(bob.calls)
    second.hangup()
    scene.run()
    assert other.conversation is None and other.media.bridged[-1] is None


def test_what_cannot_be_transferred_costs_nobody_a_call(scene: Scene) -> None:
    """Without Replaces the second call is hung up first (RFC 5589 section 7.7)."""
    script = Script(scene, **OPEN)
    other = script.established()
    bob = scene.agent("bob", 2)
    bob.call(script.alice.uri)
    scene.run()
    [ringing] = script.alice.arrived
    with pytest.raises(LocalProtocolError):
        ringing.transfer(other)
    ringing.answer()
    scene.run()
    with pytest.raises(LocalProtocolError):
        ringing.transfer(other, headers=[("x-note", "a\r\nb")])
    assert ringing.established and other.established
    ringing.hangup()
    script.end()
