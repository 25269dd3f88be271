"""Third party call control (RFC 3725 sections 4.1, 4.3 and 4.4)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.errors import LocalProtocolError

from .scene import Scene
from .scripted import Party


@pytest.mark.parametrize("media", ["direct", "relay", "transcode"])
@pytest.mark.parametrize("flow", ["I", "III", "IV"])
def test_connected(flow: str, media: str) -> None:
    scene = Scene(settings={"media": media})
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    alice.does = bob.does = lambda call: call.ring().addCallback(lambda _: call.answer())
    click = scene.b2bua.click_to_call(alice.uri, bob.uri, flow=flow)
    connected: list[Any] = []
    ended: list[Any] = []
    click.connected.addCallback(connected.append)
    click.ended.addCallback(ended.append)
    scene.run(3)
    assert connected == [click] and click.answered
    [call], [other] = alice.arrived, bob.arrived
    assert (call.remote.uri_text, other.remote.uri_text) == (bob.uri, alice.uri)
    scene.hear((call, other))
    call.hangup()
    scene.run()
    assert ended == [click] and other.over
    [record] = scene.accounting.records
    assert (record.caller, record.callee, record.result) == (alice.uri, bob.uri, "answered")
    late: list[Any] = []
    click.ended.addCallback(late.append)
    click.connected.addCallback(late.append)
    assert late == [click, click]
    scene.stop()


@pytest.mark.parametrize("who", ["alice", "bob"])
@pytest.mark.parametrize("flow", ["I", "III", "IV"])
def test_refused(flow: str, who: str) -> None:
    scene = Scene()
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    alice.does = bob.does = lambda call: call.answer()
    scene.agents[who].does = lambda call: call.reject(486)
    click = scene.b2bua.click_to_call(alice.uri, bob.uri, flow=flow)
    failed: list[Any] = []
    click.connected.addErrback(failed.append)
    scene.run(3)
    assert failed[0].value.status == 486 and click.over
    assert all(call.over for call in alice.arrived)
    assert scene.accounting.records[-1].status == 486
    click.connected.addErrback(failed.append)
    assert failed[1].value.status == 486
    scene.stop()


@pytest.mark.parametrize("media", ["direct", "relay"])
@pytest.mark.parametrize("status", [415, 488, 606])
def test_a_phone_that_takes_no_offer_without_streams(status: int, media: str) -> None:
    scene = Scene(settings={"media": media})
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    alice.does = lambda call: call.answer()
    # Longer than somebody waits for an ACK.
    bob.does = lambda call: call.ring().addCallback(lambda _: scene.network.clock.callLater(40.0, call.answer))
    bodies: list[bytes] = []

    def screen(incoming: Any) -> int | None:
        bodies.append(incoming.request.body)
        return status if len(bodies) == 1 else None

    alice.screen = screen
    click = scene.b2bua.click_to_call(alice.uri, bob.uri)
    scene.run(45)
    assert b"v=0" in bodies[0] and b"m=" not in bodies[0] and bodies[1] == b""
    assert click.answered
    [call], [other] = alice.arrived, bob.arrived
    scene.hear((call, other))
    click.hangup()
    scene.run()
    assert call.over and other.over
    scene.stop()


@pytest.mark.parametrize("flow", ["III", "IV"])
def test_a_phone_that_takes_no_offer_at_all(flow: str) -> None:
    scene = Scene()
    alice = scene.agent("alice", 1)
    alice.screen = lambda incoming: 488
    click = scene.b2bua.click_to_call(alice.uri, "sip:bob@example.com", flow=flow)
    failed: list[Any] = []
    click.connected.addErrback(failed.append)
    scene.run(3)
    assert failed[0].value.status == 488 and not scene.b2bua.click_calls
    scene.stop()


def test_what_is_offered_makes_no_sense() -> None:
    scene = Scene()
    party = Party(scene, "alice", 1)
    click = scene.b2bua.click_to_call(party.uri, "sip:bob@example.com", flow="III")
    party.answer(party.invited(), 200, body=b"nonsense")
    scene.run(40)
    assert click.over and not click.answered
    scene.stop()


def test_the_first_one_hangs_up_before_the_second_one_answers() -> None:
    scene = Scene()
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    alice.does = lambda call: call.answer()
    bob.does = lambda call: call.ring()
    click = scene.b2bua.click_to_call(alice.uri, bob.uri)
    failed: list[Any] = []
    click.connected.addErrback(failed.append)
    scene.run(2)
    alice.arrived[0].hangup()
    scene.run(2)
    assert bob.arrived[0].over and failed and not scene.b2bua.click_calls
    scene.stop()


def test_hung_up_by_the_program() -> None:
    scene = Scene()
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    alice.does = bob.does = lambda call: call.answer()
    click = scene.b2bua.click_to_call(alice.uri, bob.uri, identity="sip:office@example.com")
    scene.run(2)
    assert alice.arrived[0].remote.uri_text == "sip:office@example.com"
    click.hangup("enough")
    scene.run()
    assert alice.arrived[0].ending.reason == bob.arrived[0].ending.reason == "enough"
    scene.stop()


@pytest.mark.parametrize(
    "how", [{"flow": "II"}, {"a": "no uri"}, {"identity": "<<"}, {"b": "sip:"}], ids=lambda how: next(iter(how))
)
def test_mistakes(how: dict[str, Any]) -> None:
    scene = Scene()
    a, b = how.pop("a", "sip:alice@example.com"), how.pop("b", "sip:bob@example.com")
    with pytest.raises(LocalProtocolError):
        scene.b2bua.click_to_call(a, b, **how)
    scene.stop()


def test_as_many_as_there_may_be() -> None:
    scene = Scene(settings={"max_calls": 1})
    alice = scene.agent("alice", 1)
    scene.b2bua.click_to_call(alice.uri, "sip:bob@example.com")
    with pytest.raises(LocalProtocolError):
        scene.b2bua.click_to_call(alice.uri, "sip:bob@example.com")
    scene.stop()


@pytest.mark.parametrize("media", ["direct", "relay"])
@pytest.mark.parametrize("flow", ["I", "III", "IV"])
def test_phones_that_want_keys(flow: str, media: str) -> None:
    """Each offer of them with keys has an answer with keys, also the one by which nothing flows (RFC 4568 5.1.2)."""
    scene = Scene(settings={"media": media})
    sound = {"srtp": "required", "keying": ("sdes",), "sdes_in_clear": True}
    alice, bob = scene.agent("alice", 1, sound=sound), scene.agent("bob", 2, sound=sound)
    alice.does = bob.does = lambda call: call.answer()
    click = scene.b2bua.click_to_call(alice.uri, bob.uri, flow=flow)
    scene.run(3)
    assert click.answered
    [call], [other] = alice.arrived, bob.arrived
    scene.hear((call, other))
    assert call.media.security.state.value == other.media.security.state.value == "secure"
    call.hangup()
    scene.run()
    scene.stop()
