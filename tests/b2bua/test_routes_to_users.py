"""Static routes to users of ours: their phones ring, and their call policies hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed

from twisted_sip.interfaces.call_policy import CallPolicy
from twisted_sip.interfaces.location import LocationChange
from twisted_sip.proxy.routes.emergency import EmergencyCalls, EmergencySettings
from twisted_sip.proxy.static_routes import StaticRoute, StaticRouter
from twisted_sip.storage.call_policy_memory import MemoryCallPolicyStore

from .scene import Scene

BOB, CAROL, DAVE = (f"sip:{name}@example.com" for name in ("bob", "carol", "dave"))
SUPPORT = "sip:support@example.com"


class Late(StaticRouter):
    """Has to look everything up."""

    def route(self, incoming: Any) -> Any:
        found: Deferred[Any] = Deferred()
        found.callback(super().route(incoming))
        return found


@pytest.fixture
def policies() -> MemoryCallPolicyStore:
    return MemoryCallPolicyStore()


@pytest.fixture(params=[StaticRouter, Late])
def make(policies: MemoryCallPolicyStore, request: Any) -> Iterator[Callable[..., Scene]]:
    scenes: list[Scene] = []

    def made(*targets: str, policies: Any = policies, emergency: Any = None, **how: Any) -> Scene:
        router = request.param([StaticRoute(user="support", to=targets, **how)], emergency=emergency)
        scene = Scene(policies=policies, routes=router)
        scenes.append(scene)
        scene.agent("alice", 1)
        for number, name in enumerate(("bob", "carol", "dave"), 2):
            scene.agent(name, number).does = lambda call: call.answer()
        return scene

    yield made
    for scene in scenes:
        scene.stop()


def called(scene: Scene, to: str = SUPPORT, seconds: float = 3.0) -> Any:
    call = scene.agents["alice"].call(to)
    scene.run(seconds)
    return call


def arrived(scene: Scene) -> list[int]:
    return [len(scene.agents[name].arrived) for name in ("bob", "carol", "dave")]


@pytest.mark.parametrize("asks", [True, False])
def test_their_phones_ring(make: Any, policies: MemoryCallPolicyStore, asks: bool) -> None:
    scene = make(BOB, policies=policies if asks else None)
    assert called(scene).established and arrived(scene) == [1, 0, 0]


def test_those_who_are_not_there(make: Any) -> None:
    scene = make("sip:nobody@example.com")
    assert called(scene).ending.status == 480


@pytest.mark.parametrize(
    ("policy", "status"),
    [(CallPolicy(do_not_disturb=True), 480), (CallPolicy(blocked=("alice@example.com",)), 603)],
)
def test_declined(make: Any, policies: MemoryCallPolicyStore, policy: CallPolicy, status: int) -> None:
    scene = make(BOB)
    policies.set(BOB, policy)
    assert called(scene).ending.status == status and arrived(scene) == [0, 0, 0]


def test_one_of_several_declines(make: Any, policies: MemoryCallPolicyStore) -> None:
    scene = make(BOB, CAROL, BOB)
    policies.set(BOB, CallPolicy(do_not_disturb=True))
    assert called(scene).established and arrived(scene) == [0, 1, 0]


def test_in_their_order(make: Any, policies: MemoryCallPolicyStore) -> None:
    """Users, and others beside them."""
    scene = make(BOB, "sip:carol@198.51.100.3", fork="serial")
    scene.agents["carol"].account("sip:carol@198.51.100.3")
    scene.agents["bob"].does = lambda call: call.reject(480)
    assert called(scene).established and arrived(scene) == [1, 1, 0]


def test_forwarded_always(make: Any, policies: MemoryCallPolicyStore) -> None:
    scene = make(BOB)
    policies.set(BOB, CallPolicy(forward_always=CAROL))
    policies.set(CAROL, CallPolicy(forward_busy=DAVE))
    scene.agents["carol"].does = lambda call: call.reject(486)
    assert called(scene).established and arrived(scene) == [0, 1, 1]


def test_forwarded_when_busy(make: Any, policies: MemoryCallPolicyStore) -> None:
    scene = make(BOB)
    policies.set(BOB, CallPolicy(forward_busy=CAROL))
    scene.agents["bob"].does = lambda call: call.reject(486)
    assert called(scene).established and arrived(scene) == [1, 1, 0]


def test_forwarded_when_nobody_answers(make: Any, policies: MemoryCallPolicyStore) -> None:
    """Whoever is the less patient, route or policy."""
    scene = make(BOB, no_answer=20.0)
    policies.set(BOB, CallPolicy(forward_no_answer=CAROL, no_answer_after=7))
    scene.agents["bob"].does = lambda call: call.ring()
    assert called(scene, seconds=10).established and arrived(scene) == [1, 1, 0]


def test_it_goes_on_for_one_of_several(make: Any, policies: MemoryCallPolicyStore) -> None:
    scene = make(BOB, CAROL)
    policies.set(BOB, CallPolicy(forward_busy=DAVE))
    for name in ("bob", "carol"):
        scene.agents[name].does = lambda call: call.reject(486)
    assert called(scene).established and arrived(scene) == [1, 1, 1]


def test_forwarded_to_a_route(make: Any, policies: MemoryCallPolicyStore) -> None:
    """The policy of the user to whom that leads is asked, too."""
    scene = make(CAROL)
    policies.set(BOB, CallPolicy(forward_always=SUPPORT))
    assert called(scene, BOB).established and arrived(scene) == [0, 1, 0]
    policies.set(CAROL, CallPolicy(do_not_disturb=True))
    assert called(scene, BOB).ending.status == 480 and arrived(scene) == [0, 1, 0]


def test_in_a_circle(make: Any, policies: MemoryCallPolicyStore) -> None:
    scene = make(BOB)
    policies.set(BOB, CallPolicy(forward_always=SUPPORT))
    assert called(scene).ending.status == 480 and arrived(scene) == [0, 0, 0]
    policies.set(CAROL, CallPolicy(forward_always=SUPPORT))
    assert called(scene, CAROL).ending.status == 480 and arrived(scene) == [0, 0, 0]


def test_calls_for_help(make: Any, policies: MemoryCallPolicyStore) -> None:
    scenes: list[Scene] = []
    emergency = EmergencyCalls(
        None, EmergencySettings(to=(BOB,)), lambda uri: scenes[0].b2bua.element.domains.is_local_uri(uri)
    )
    scenes.append(make(CAROL, emergency=emergency))
    policies.set(BOB, CallPolicy(do_not_disturb=True))
    assert called(scenes[0], "sip:112@example.com").established and arrived(scenes[0]) == [1, 0, 0]


# -- contacts that are other users ---------------------------------------------------------------------------------


def bind_anew(scene: Scene, name: str, contact: str) -> None:
    aor = f"sip:{name}@example.com"
    known = [binding.key for binding in scene.location.lookup(aor)]
    scene.location.commit(LocationChange(aor, remove=tuple(known)))
    scene.bind(name, contact)


@pytest.fixture(params=[False, True])
def bob_is_carol(make: Any, request: Any) -> Scene:
    scene: Scene = make(DAVE)
    bind_anew(scene, "bob", CAROL)
    if request.param:
        find = scene.location.lookup
        scene.location.lookup = lambda aor: succeed(find(aor))  # type: ignore[assignment, method-assign]
    return scene


def test_the_contact_of_another_user(bob_is_carol: Scene, policies: MemoryCallPolicyStore) -> None:
    assert called(bob_is_carol, BOB).established and arrived(bob_is_carol) == [0, 1, 0]
    policies.set(CAROL, CallPolicy(blocked=("alice@example.com",)))
    assert called(bob_is_carol, BOB).ending.status == 603 and arrived(bob_is_carol) == [0, 1, 0]
    policies.set(CAROL, CallPolicy(forward_always=DAVE))
    assert called(bob_is_carol, BOB).established and arrived(bob_is_carol) == [0, 1, 1]


def test_policies_of_both(bob_is_carol: Scene, policies: MemoryCallPolicyStore) -> None:
    policies.set(BOB, CallPolicy(forward_no_answer=DAVE, no_answer_after=5))
    policies.set(CAROL, CallPolicy(forward_busy="sip:x@192.0.2.9"))
    bob_is_carol.agents["carol"].does = lambda call: call.ring()
    call = called(bob_is_carol, BOB, 4)
    assert not call.established and arrived(bob_is_carol) == [0, 1, 0]
    call.hangup()
    policies.remove(CAROL)
    assert called(bob_is_carol, BOB, 7).established and arrived(bob_is_carol) == [0, 2, 1]


def test_contacts_in_a_circle(make: Any) -> None:
    scene = make(DAVE)
    bind_anew(scene, "bob", CAROL)
    bind_anew(scene, "carol", BOB)
    assert called(scene, BOB).ending.status == 480 and arrived(scene) == [0, 0, 0]


@pytest.mark.parametrize(("reason", "told"), [("Not From Here", "Not From Here"), ("", "Forbidden")])
def test_a_route_that_refuses(make: Callable[..., Scene], reason: str, told: str) -> None:
    scene = make(status=403, reason=reason)
    call = scene.agents["alice"].call(SUPPORT)
    scene.run(3)
    assert (call.ending.status, call.ending.reason) == (403, told)
