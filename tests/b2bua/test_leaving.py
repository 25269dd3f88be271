"""A call that is over leaves without the garbage collector, which a busy server keeps from looking."""

from __future__ import annotations

import gc
from weakref import ref

from .scene import Scene


def test_nothing_is_left_of_a_call() -> None:
    scene = Scene(settings={"media": "direct"})
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, _ = scene.established(alice, bob)
    [bridged] = scene.bridged
    left = [ref(bridged)]
    for leg in (bridged.caller, bridged.callee):
        assert leg is not None
        left += [ref(leg), ref(leg.leg), ref(leg.session)]
    gc.collect()
    gc.disable()
    try:
        del bridged, leg
        call.hangup()
        scene.run(300)
        assert [one() for one in left] == [None] * 7
    finally:
        gc.enable()
        scene.stop()


def test_nothing_of_the_caller_waits_for_transactions() -> None:
    """What repeats the INVITE is met by its transaction, which needs no call for that."""
    scene = Scene(settings={"media": "direct"})
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, _ = scene.established(alice, bob)
    [bridged] = scene.bridged
    caller = bridged.caller
    left = [ref(caller), ref(caller.leg), ref(caller.session)]
    gc.collect()
    gc.disable()
    try:
        del bridged, caller
        call.hangup()
        scene.run(2)
        assert [one() for one in left] == [None] * 3
        assert scene.b2bua.element.transactions.counts()["servers"]
    finally:
        gc.enable()
        scene.stop()
