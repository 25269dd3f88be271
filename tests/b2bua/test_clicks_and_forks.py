"""Who is called by a program, and what becomes of it; and what is left of calls that nobody can answer."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.b2bua.b2bua import B2BUA
from twisted_sip.b2bua.hunt import MOST_TARGETS, Attempt, Hunt
from twisted_sip.b2bua.users import UserCalls
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.uri import parse_uri

from .scene import Scene
from .scripted import RELIABLE, Party, sdp


class Clicked(B2BUA):
    where: Any = None

    def route_click(self, call: Any, uri: Any) -> Any:
        return super().route_click(call, uri) if self.where is None else self.where(uri)


@pytest.fixture
def scene() -> Any:
    made = Scene(kind=Clicked)
    yield made
    made.stop()


def outcome(click: Any) -> list[Any]:
    """Return where its outcome will stand."""
    done: list[Any] = []
    click.connected.addCallbacks(lambda _: done.append("connected"), lambda failure: done.append(failure.value.status))
    return done


def at(*agents: Any) -> list[Target]:
    return [Target(uri=parse_uri(f"sip:{agent.user}@{agent.host}")) for agent in agents]


@pytest.mark.parametrize(
    ("where", "status"),
    [(lambda uri: 1 / 0, 500), (lambda uri: 403, 403), (lambda uri: "tel:+1", 416), (lambda uri: "no uri", 400)],
    ids=["broken", "status", "tel", "no uri"],
)
def test_nowhere(scene: Scene, where: Any, status: int) -> None:
    scene.b2bua.where = where
    click = scene.b2bua.click_to_call("sip:a@example.com", "sip:b@example.com")
    done = outcome(click)
    scene.run(1)
    assert done == [status] and click.over
    assert repr(click) == "<ClickToCall sip:a@example.com to sip:b@example.com>"
    click.hangup()


def test_a_route_that_comes_too_late(scene: Scene) -> None:
    alice = scene.agent("alice", 1)
    later: Deferred[Any] = Deferred()
    scene.b2bua.where = lambda uri: later
    click = scene.b2bua.click_to_call(alice.uri, "sip:b@example.com")
    done = outcome(click)
    click.hangup("enough")
    later.callback(at(alice))
    scene.run(2)
    assert done == [480] and not alice.arrived


def test_several_devices(scene: Scene) -> None:
    alice, bob, carol = (scene.agent(name, number) for number, name in enumerate(("alice", "bob", "carol"), 1))
    scene.b2bua.where = lambda uri: at(bob, carol) if "bob" in str(uri) else at(alice)
    alice.does = lambda call: call.answer()
    bob.does = lambda call: call.ring()
    carol.does = lambda call: call.ring().addCallback(lambda _: call.answer())
    done = outcome(scene.b2bua.click_to_call(alice.uri, bob.uri))
    scene.run(3)
    assert done == ["connected"] and bob.arrived[0].over
    scene.hear((alice.arrived[0], carol.arrived[0]))


def test_one_after_the_other(scene: Scene) -> None:
    alice, bob, carol = (scene.agent(name, number) for number, name in enumerate(("alice", "bob", "carol"), 1))
    scene.b2bua.where = lambda uri: (
        [f"sip:{one.user}@{one.host}" for one in (bob, carol)] if "bob" in str(uri) else at(alice)
    )
    alice.does = carol.does = lambda call: call.answer()
    bob.does = lambda call: call.reject(486)
    done = outcome(scene.b2bua.click_to_call(alice.uri, bob.uri))
    scene.run(3)
    assert done == ["connected"]


def test_offers_before_their_time(scene: Scene) -> None:
    """Nobody has been told that reliable responses are understood."""
    bob = Party(scene, "bob", 8)
    scene.b2bua.click_to_call(bob.uri, "sip:nobody@example.com", flow="I")
    assert "100rel" not in (bob.invited().headers.first("supported") or "")
    bob.reliably(183, sdp(5000))
    scene.run(1)
    bob.answer(bob.invite, 486)
    scene.run(40)
    assert not scene.b2bua.click_calls


@pytest.mark.parametrize("flow", ["I", "IV"])
def test_media_that_cannot_be_agreed(flow: str) -> None:
    """One offers what cannot be passed on."""
    scene = Scene(settings={"media": "relay"})
    alice, bob = Party(scene, "alice", 7), Party(scene, "bob", 8)
    many = sdp(5000) + b"m=audio 4 RTP/AVP 0\r\n" * 9
    click = scene.b2bua.click_to_call(alice.uri, bob.uri, flow=flow)
    done = outcome(click)
    alice.answer(alice.invited(), 200, body=many if flow == "I" else sdp(4000)[: sdp(4000).index(b"m=")])
    if flow == "IV":
        alice.asked("ACK")
        bob.answer(bob.invited(), 200, body=many)
    alice.answer(alice.asked("BYE"), 200)
    if flow == "IV":
        bob.answer(bob.asked("BYE"), 200)
    scene.run(40)
    assert done and click.over and not scene.b2bua.click_calls
    scene.stop()


def test_an_answer_that_cannot_be_passed_on() -> None:
    scene = Scene(settings={"media": "relay"})
    alice, bob = Party(scene, "alice", 7), Party(scene, "bob", 8)
    click = scene.b2bua.click_to_call(alice.uri, bob.uri, flow="I")
    alice.answer(alice.invited(), 200, body=sdp(4000))
    bob.answer(bob.invited(), 200, body=b"nonsense")
    alice.asked("ACK")
    alice.answer(alice.asked("BYE"), 200)
    bob.answer(bob.asked("BYE"), 200)
    scene.run(40)
    assert click.over
    scene.stop()


def test_the_second_answers_twice(scene: Scene) -> None:
    """Two forks accept: one is too many."""
    alice, bob = Party(scene, "alice", 7), Party(scene, "bob", 8)
    scene.b2bua.click_to_call(alice.uri, bob.uri)
    first = alice.invited()
    alice.answer(first, 200, body=sdp(4000)[: sdp(4000).index(b"m=")])
    alice.asked("ACK")
    invite = bob.invited()
    bob.answer(invite, 180, RELIABLE, tag="two")
    bob.answer(invite, 200, body=sdp(5000))
    bob.answer(invite, 200, body=sdp(6000), tag="two")
    offer = alice.invited()
    assert b"m=audio" in offer.body
    alice.answer(offer, 200, body=sdp(4000))
    bye = bob.asked("BYE")
    assert bye.to.tag == "two"
    bob.answer(bye, 200)
    alice.request("BYE", to=alice.remote)
    scene.run(1)
    last = bob.asked("BYE")
    bob.answer(last, 200)
    scene.run(40)


# -- the search -------------------------------------------------------------------------------------------


def test_hunt() -> None:
    started: list[Target] = []
    failed: list[int] = []

    def start(target: Target, one_of_several: bool) -> Attempt | int:
        started.append(target)
        call: Any = object()
        return 404 if target.uri.user == "nobody" else Attempt(target, call, False)  # type: ignore[union-attr]

    hunt = Hunt(start, failed.append)
    same = Target(uri=parse_uri("sip:a@b"), instance="one")
    hunt.add([same, same, Target(uri=parse_uri("sip:nobody@b"), q=500)])
    hunt.go_on()
    assert len(started) == 1
    [attempt] = hunt.attempts
    hunt.again(attempt, 488)
    assert failed == [404] and hunt.over and len(started) == 2
    hunt.add([Target(uri=parse_uri("sip:a@b"))] * (MOST_TARGETS + 5))
    assert hunt._tried == MOST_TARGETS


def test_calls_of_users() -> None:
    calls = UserCalls(2)
    assert calls.enter("one", "alice") and calls.enter("one", "alice") and calls.enter("two", "alice")
    assert calls.count("alice") == 2 and not calls.enter("three", "alice")
    calls.leave("one")
    calls.leave("three")
    assert calls.count("alice") == 1
    calls.leave("two")
    assert len(calls) == 0


def test_redirections_of_no_use(scene: Scene) -> None:
    """Contacts that nobody can read, or that are no SIP."""
    bob = Party(scene, "bob", 8)
    alice = scene.agent("alice", 1)
    for contacts in (["<mailto:a@b>"], ["<<<"], ["*"], ["<sip:>"]):
        call = alice.call(bob.uri)
        invite = bob.invited()
        bob.peer.answer(invite, 302, [("contact", one) for one in contacts], to_tag="bob")
        scene.run(1)
        assert call.ending.status == 480


def test_a_redirection_that_breaks() -> None:
    class Broken(B2BUA):
        def redirected(self, call: Any, response: Any) -> Any:
            raise ValueError("oops")

    class Refused(B2BUA):
        def redirected(self, call: Any, response: Any) -> Any:
            raise RemoteProtocolError("no", status=403)

    for kind in (Broken, Refused):
        scene = Scene(kind=kind)
        alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
        bob.does = lambda call: call.redirect("sip:carol@example.com")
        call = alice.call(bob.uri)
        scene.run(1)
        assert call.ending.status == 480
        scene.stop()


def test_a_redirection_that_comes_too_late() -> None:
    later: Deferred[Any] = Deferred()

    class Slow(B2BUA):
        def redirected(self, call: Any, response: Any) -> Any:
            return later

    scene = Scene(kind=Slow)
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    bob.does = lambda call: call.redirect("sip:carol@example.com")
    call = alice.call(bob.uri)
    scene.run(1)
    call.hangup()
    scene.run(1)
    later.callback([])
    assert call.over
    scene.stop()
