"""Where calls go, who may make them, and what becomes of several targets (RFC 3261 sections 16.5 to 16.7)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed

from twisted_sip.auth.authenticator import Authenticator
from twisted_sip.auth.client import DigestClient
from twisted_sip.auth.settings import AuthSettings
from twisted_sip.b2bua.b2bua import B2BUA
from twisted_sip.b2bua.failures import best_status, status_for_caller
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.uri import SIPURI, parse_uri
from twisted_sip.proxy.static_routes import StaticRoute
from twisted_sip.storage.credentials_memory import MemoryCredentialStore

from .scene import HOST, Scene


class Routed(B2BUA):
    """Goes where a test says."""

    where: Any = None

    def route(self, call: Any) -> Any:
        return self.where(call) if callable(self.where) else self.where


@pytest.fixture
def scene() -> Any:
    made = Scene(kind=Routed)
    yield made
    made.stop()


def contact(agent: Any) -> str:
    return f"sip:{agent.user}@{agent.host}"


def test_one_after_the_other(scene: Scene) -> None:
    alice, bob, carol = scene.agent("alice", 1), scene.agent("bob", 2), scene.agent("carol", 3)
    scene.b2bua.where = [contact(bob), contact(carol)]
    bob.does = lambda call: call.ring()
    call = alice.call("sip:team@example.com")
    scene.run(20)
    assert not carol.arrived
    scene.run(20)
    assert bob.arrived[0].over and not carol.arrived[0].over
    carol.arrived[0].answer()
    scene.run()
    scene.hear((call, carol.arrived[0]))


@pytest.mark.parametrize("status", [99, 183, 200, 700])
def test_a_status_that_refuses_nothing(scene: Scene, status: int) -> None:
    """The caller is not left without an answer."""
    alice = scene.agent("alice", 1)
    scene.b2bua.where = status
    call = alice.call("sip:team@example.com")
    scene.run()
    assert call.ending.status == 500 and not scene.b2bua.calls


def test_at_once(scene: Scene) -> None:
    alice, bob, carol = scene.agent("alice", 1), scene.agent("bob", 2), scene.agent("carol", 3)
    scene.b2bua.where = [Target(uri=parse_uri(contact(one))) for one in (bob, carol)]
    bob.does = carol.does = lambda call: call.ring(183, early_media=True)
    call = alice.call("sip:team@example.com")
    scene.run(2)
    bridge = scene.bridged[0].bridge
    assert bridge is not None and bridge.legs[1] is not None
    both = (bob.arrived[0], carol.arrived[0])
    heard = [one for one in both if one.id == bridge.legs[1].call.id]
    [winner] = [one for one in both if one is not heard[0]]
    winner.answer()
    scene.run(3)
    assert call.established and heard[0].over and heard[0].ending.cause == "elsewhere"
    scene.hear((call, winner))


def test_both_answer_at_once(scene: Scene) -> None:
    alice, bob, carol = scene.agent("alice", 1), scene.agent("bob", 2), scene.agent("carol", 3)
    scene.b2bua.where = [Target(uri=parse_uri(contact(one))) for one in (bob, carol)]
    bob.does = carol.does = lambda call: call.answer()
    call = alice.call("sip:team@example.com")
    scene.run(3)
    alive = [one for one in (bob.arrived[0], carol.arrived[0]) if not one.over]
    assert call.established and len(alive) == 1
    scene.hear((call, alive[0]))


def test_one_declines_for_all(scene: Scene) -> None:
    alice, bob, carol = scene.agent("alice", 1), scene.agent("bob", 2), scene.agent("carol", 3)
    scene.b2bua.where = [Target(uri=parse_uri(contact(one))) for one in (bob, carol)]
    bob.does = lambda call: call.reject(603)
    carol.does = lambda call: call.ring()
    call = alice.call("sip:team@example.com")
    scene.run(3)
    assert call.ending.status == 603 and carol.arrived[0].over


@pytest.mark.parametrize(
    ("where", "status"),
    [
        (None, 404),
        (403, 403),
        ([], 404),
        ("no uri", 400),
        (lambda call: 1 / 0, 500),
        (lambda call: succeed(410), 410),
        ([Target(uri=SIPURI.parse("sip:a@198.51.100.2"), flow_lost=True)], 480),
        ("tel:+1234", 416),
    ],
    ids=["none", "status", "empty", "no uri", "broken", "later", "lost", "tel"],
)
def test_nowhere(scene: Scene, where: Any, status: int) -> None:
    alice = scene.agent("alice", 1)
    scene.b2bua.where = where
    call = alice.call("sip:team@example.com")
    scene.run(3)
    assert call.ending.status == status


def test_hooks_may_wait(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    waiting: Deferred[str] = Deferred()
    scene.b2bua.where = lambda call: waiting
    bob.does = lambda call: call.answer()
    call = alice.call("sip:team@example.com")
    scene.run(2)
    waiting.callback(contact(bob))
    scene.run(2)
    assert call.established


def test_a_caller_who_does_not_wait(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    waiting: Deferred[str] = Deferred()
    scene.b2bua.where = lambda call: waiting
    call = alice.call("sip:team@example.com")
    scene.run(2)
    call.hangup()
    scene.run(2)
    waiting.callback(contact(bob))
    scene.run(2)
    assert call.over and not bob.arrived


def test_headers_and_duration_of_the_route(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)

    def where(call: Any) -> str:
        call.headers.append(("x-desk", "7"))
        call.max_duration = 5
        return contact(bob)

    scene.b2bua.where = where
    bob.does = lambda call: call.answer()
    call = alice.call("sip:team@example.com", headers=[("subject", "lunch"), ("x-secret", "1")])
    scene.run(2)
    headers = bob.arrived[0].request.headers
    assert (headers.first("x-desk"), headers.first("subject"), headers.first("x-secret")) == ("7", "lunch", None)
    assert bob.arrived[0].request.max_forwards == 69
    scene.run(6)
    assert call.over and call.ending.reason == "Maximum Call Duration"
    assert scene.accounting.records[-1].ended_by == "server"


@pytest.mark.parametrize(("redirects", "status"), [("none", 480), ("own", 0), ("anywhere", 0)])
def test_redirected(redirects: str, status: int) -> None:
    scene = Scene(settings={"redirects": redirects})
    alice, bob, carol = scene.agent("alice", 1), scene.agent("bob", 2), scene.agent("carol", 3)
    bob.does = lambda call: call.redirect(carol.uri)
    carol.does = lambda call: call.answer()
    call = alice.call(bob.uri)
    scene.run(3)
    assert call.established if not status else call.ending.status == status
    scene.stop()


@pytest.mark.parametrize(("redirects", "arrives"), [("own", False), ("anywhere", True)])
def test_redirected_elsewhere(redirects: str, arrives: bool) -> None:
    scene = Scene(settings={"redirects": redirects})
    alice, bob, carol = scene.agent("alice", 1), scene.agent("bob", 2), scene.agent("carol", 3)
    bob.does = lambda call: call.redirect(contact(carol))
    call = alice.call(bob.uri)
    scene.run(3)
    assert bool(carol.arrived) is arrives and call.over is not arrives
    scene.stop()


def test_static_routes() -> None:
    scene = Scene(
        routes=[StaticRoute(user="9*", to=("sip:{user}@198.51.100.3",)), StaticRoute(user="0*", status=410)],
    )
    alice, carol = scene.agent("alice", 1), scene.agent("carol", 3)
    carol.account("sip:911@example.com")
    carol.does = lambda call: call.answer()
    assert alice.call("sip:911@example.com") and alice.call("sip:0@example.com")
    scene.run(2)
    assert len(carol.arrived) == 1 and [record.status for record in scene.accounting.records] == [410]
    done: list[Any] = []
    [call] = alice.calls
    carol.arrived[0].transfer("sip:0@example.com").done.addCallback(done.append)
    scene.run(2)
    assert done == [410] and call.established
    scene.stop()


def test_no_open_relay() -> None:
    scene = Scene(trusts_everybody=False)
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call = alice.call("sip:someone@198.51.100.2")
    inside = alice.call(bob.uri)
    bob.does = lambda call: call.answer()
    scene.run(2)
    assert call.ending.status == 403 and inside.established
    done: list[Any] = []
    inside.transfer("sip:someone@198.51.100.2").done.addCallback(done.append)
    scene.run(2)
    assert done == [403]
    # Strangers take nobody's place.
    carol = scene.agent("carol", 3)
    third = carol.call("sip:any@example.com", replaces=inside.replaces_value())
    scene.run(2)
    assert third.ending.status == 403
    scene.stop()


def test_callers_prove_who_they_are() -> None:
    store = MemoryCredentialStore()
    store.add("alice", "example.com", "secret")
    clock: list[Any] = []
    settings = AuthSettings()
    authenticator = Authenticator.build(store, settings, lambda: clock[0].seconds() if clock else 0.0)
    scene = Scene(trusts_everybody=False, authenticator=authenticator)
    clock.append(scene.network.clock)
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    bob.does = lambda call: call.answer()
    refused = alice.call(bob.uri)
    scene.run(2)
    assert refused.ending.status in (401, 407)
    alice.accounts[0].credentials = DigestClient("alice", "secret", realms=["example.com"], token=lambda: "cnonce")
    call = alice.call(bob.uri)
    outside = alice.call(contact(bob))
    scene.run(2)
    assert call.established and outside.established
    assert {record.user for record in scene.accounting.under_way.values()} == {"sip:alice@example.com"}
    scene.stop()


def test_best_status() -> None:
    assert best_status([]) == best_status([180]) == 480
    assert best_status([503, 486, 404]) == 486
    assert best_status([302, 500]) in (302, 500)
    assert best_status([486, 603, 606]) == 603
    assert [status_for_caller(one) for one in (302, 401, 407, 486, 503)] == [480, 403, 403, 486, 500]


def test_media_need_a_plane(scene: Scene) -> None:
    from twisted_sip.b2bua.settings import B2BUASettings

    with pytest.raises(LocalProtocolError):
        B2BUA(scene.b2bua.element, settings=B2BUASettings(media="relay"))
    with pytest.raises(RemoteProtocolError):
        scene.b2bua.media_for(None, "relay")
    assert HOST


class Failing(Routed):
    """Does not know who calls the one who is called at some time."""

    fails_at = 0
    asked = 0

    def identity(self, call: Any) -> Any:
        self.asked += 1
        if self.asked == self.fails_at:
            raise ValueError("nobody")
        return super().identity(call)


@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_a_hook_that_fails_for_one_of_several(fails_at: int) -> None:
    """The others are called, and the caller is answered."""
    scene = Scene(kind=Failing)
    alice, *others = [scene.agent(name, number) for number, name in enumerate(("alice", "bob", "carol", "dave"), 1)]
    for one in others:
        one.does = lambda call: call.reject(486)
    scene.b2bua.where, scene.b2bua.fails_at = [contact(one) for one in others], fails_at
    call = alice.call("sip:team@example.com")
    scene.run(3)
    assert [len(one.arrived) for one in others] == [int(place != fails_at) for place in (1, 2, 3)]
    assert call.ending.status == 486
    scene.stop()
