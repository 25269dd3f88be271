"""Calls to telephone numbers, ``tel`` URIs: routes lead them somewhere, as in a proxy (RFC 3261 section 16.5)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.message.request import Request
from twisted_sip.proxy.static_routes import StaticRoute

from .scene import Scene
from .scripted import Party, sdp

NUMBER = "tel:+49-30-123"


def scene_of(**how: Any) -> Any:
    made = Scene(routes=[StaticRoute(user="+*", to=("sip:{user}@198.51.100.8",))], **how)
    # Others are asked too.
    made.b2bua.element.chain.append(Nobody())
    return made


class Nobody:
    def process(self, incoming: Any) -> None:
        return None


def answered(party: Party) -> list[int]:
    return [one.status for one in party.peer.messages if not isinstance(one, Request) and one.status > 100]


@pytest.mark.parametrize("media", ["direct", "relay", "transcode"])
def test_a_number(media: str) -> None:
    scene = scene_of(settings={"media": media, "max_calls_per_user": 1})
    caller, gateway = Party(scene, "alice", 9), Party(scene, "gateway", 8)
    caller.call(NUMBER, body=sdp())
    invite = gateway.invited()
    assert invite.uri_text == "sip:+4930123@198.51.100.8" and invite.to.uri_text == NUMBER
    gateway.answer(invite, 200, body=sdp(host="198.51.100.8"))
    caller.response(200)
    caller.ack()
    scene.run(1)
    [record] = scene.accounting.under_way.values()
    assert record.callee == NUMBER
    caller.bye()
    assert gateway.asked("BYE")
    gateway.answer(gateway.peer.messages[-1], 200)
    scene.stop()


@pytest.mark.parametrize("number", ["tel:123;phone-context=example.com", NUMBER])
def test_strangers(number: str) -> None:
    scene = scene_of(trusts_everybody=False)
    caller = Party(scene, "alice", 9)
    caller.call(number, body=sdp())
    scene.run(1)
    assert answered(caller)[-1] == 403
    scene.run(40)
    scene.stop()


def test_numbers_that_no_route_knows() -> None:
    scene = scene_of()
    caller = Party(scene, "alice", 9)
    caller.call("tel:123;phone-context=example.com", body=sdp())
    scene.run(1)
    assert answered(caller)[-1] == 404
    scene.run(40)
    scene.stop()


def test_other_requests_are_for_others() -> None:
    scene = scene_of()
    caller = Party(scene, "alice", 9)
    caller.remote, caller.target = f"<{NUMBER}>", NUMBER
    caller.request("OPTIONS")
    scene.run(1)
    assert answered(caller) == [404]
    scene.stop()


@pytest.mark.parametrize(("number", "status"), [("tel:+49-30-123", 200), ("tel:123;phone-context=example.com", 404)])
def test_transfers_to_numbers(number: str, status: int) -> None:
    """Routes lead them, as calls; what none of them knows is nowhere, whatever the DNS says."""
    scene = scene_of()
    alice, bob, carol = (scene.agent(name, place) for place, name in enumerate(("alice", "bob", "carol"), 1))
    carol.does = lambda call: call.answer()
    scene.b2bua._routing.static.routes = (StaticRoute(user="+*", to=(f"sip:{carol.user}@{carol.host}",)),)
    call, other = scene.established(alice, bob)
    done: list[Any] = []
    call.transfer(number).done.addCallbacks(done.append, lambda failure: done.append(failure.value.status))
    scene.run(3)
    assert done == [status] and len(carol.arrived) == (status == 200) and other.established
    scene.stop()
