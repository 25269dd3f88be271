"""Call policies hold as well for calls that nobody has sent an INVITE for: transfers, redirections, click-to-call."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import succeed

from twisted_sip.interfaces.call_policy import CallPolicy
from twisted_sip.proxy.routes.emergency import EmergencyCalls, EmergencySettings
from twisted_sip.proxy.static_routes import StaticRoute, StaticRouter
from twisted_sip.storage.call_policy_memory import MemoryCallPolicyStore

from .scene import Scene

DISTURBS = CallPolicy(do_not_disturb=True)


@pytest.fixture
def policies() -> MemoryCallPolicyStore:
    return MemoryCallPolicyStore()


@pytest.fixture
def scene(policies: MemoryCallPolicyStore) -> Any:
    made = Scene(policies=policies)
    for number, name in enumerate(("alice", "bob", "carol", "dave"), 1):
        made.agent(name, number).does = lambda call: call.answer()
    yield made
    made.stop()


def transferred(scene: Scene, to: str = "carol", *, by_callee: bool = False) -> tuple[list[Any], Any]:
    """Have bob, or alice, transferred by the other one; return the final status, and the call of who stays."""
    call, other = scene.established(scene.agents["alice"], scene.agents["bob"])
    by, stays = (other, call) if by_callee else (call, other)
    done: list[Any] = []
    by.transfer(f"sip:{to}@example.com").done.addCallback(done.append)
    scene.run(3)
    return done, stays


@pytest.mark.parametrize(
    ("policy", "status"),
    [
        (DISTURBS, 480),
        # Who stays is who calls.
        (CallPolicy(blocked=("bob@example.com",)), 603),
        (CallPolicy(blocked=("alice@example.com",)), 200),
        (CallPolicy(allowed=("bob@example.com",), do_not_disturb=True), 200),
    ],
)
def test_a_transfer(scene: Scene, policies: MemoryCallPolicyStore, policy: CallPolicy, status: int) -> None:
    policies.set("sip:carol@example.com", policy)
    done, stays = transferred(scene)
    assert done == [status] and stays.established
    assert len(scene.agents["carol"].arrived) == (status == 200)


def test_a_transfer_of_the_caller(scene: Scene, policies: MemoryCallPolicyStore) -> None:
    policies.set("sip:carol@example.com", CallPolicy(blocked=("alice@example.com",)))
    done, stays = transferred(scene, by_callee=True)
    assert done == [603] and stays.established


def test_a_transfer_goes_where_its_target_has_calls_go(scene: Scene, policies: MemoryCallPolicyStore) -> None:
    policies.set("sip:carol@example.com", CallPolicy(forward_always="sip:dave@example.com"))
    done, _ = transferred(scene)
    assert done == [200] and not scene.agents["carol"].arrived and len(scene.agents["dave"].arrived) == 1


def test_a_transfer_in_a_circle(scene: Scene, policies: MemoryCallPolicyStore) -> None:
    policies.set("sip:carol@example.com", CallPolicy(forward_always="sip:dave@example.com"))
    policies.set("sip:dave@example.com", CallPolicy(forward_always="sip:carol@example.com"))
    done, stays = transferred(scene)
    assert done == [482] and stays.established


def test_an_attended_transfer(scene: Scene, policies: MemoryCallPolicyStore) -> None:
    """Who is talking already is not disturbed."""
    alice, bob, carol = (scene.agents[name] for name in ("alice", "bob", "carol"))
    call, other = scene.established(alice, bob)
    asked = alice.call(carol.uri)
    scene.run(3)
    assert asked.established
    policies.set("sip:carol@example.com", DISTURBS)
    done: list[Any] = []
    call.transfer(asked).done.addCallback(done.append)
    scene.run(3)
    assert done == [200] and other.established


def test_anonymous_callers_are_anonymous_when_they_are_transferred(
    scene: Scene, policies: MemoryCallPolicyStore
) -> None:
    policies.set("sip:carol@example.com", CallPolicy(blocked=("anonymous",)))
    alice, bob = scene.agents["alice"], scene.agents["bob"]
    call = alice.call(bob.uri, anonymous=True)
    scene.run(3)
    [other] = bob.arrived
    done: list[Any] = []
    other.transfer("sip:carol@example.com").done.addCallback(done.append)
    scene.run(3)
    assert done == [433] and call.established


@pytest.mark.parametrize(("policy", "answered"), [(DISTURBS, False), (CallPolicy(), True)])
def test_a_redirection(scene: Scene, policies: MemoryCallPolicyStore, policy: CallPolicy, answered: bool) -> None:
    policies.set("sip:carol@example.com", policy)
    scene.agents["bob"].does = lambda call: call.redirect("sip:carol@example.com")
    call = scene.agents["alice"].call("sip:bob@example.com")
    scene.run(3)
    assert call.established is answered and len(scene.agents["carol"].arrived) == answered


def test_click_to_call(scene: Scene, policies: MemoryCallPolicyStore) -> None:
    """The first one wants the call; the second one may not."""
    policies.set("sip:alice@example.com", DISTURBS)
    policies.set("sip:bob@example.com", CallPolicy(blocked=("alice@example.com",)))
    click = scene.b2bua.click_to_call("sip:alice@example.com", "sip:bob@example.com")
    failed: list[Any] = []
    click.connected.addErrback(failed.append)
    scene.run(3)
    assert failed[0].value.status == 603 and scene.agents["alice"].arrived and not scene.agents["bob"].arrived


# -- to numbers and names that routes lead to users of ours --------------------------------------------------------

CAROL = "sip:carol@example.com"


@pytest.fixture(params=[False, True])
def routed(scene: Scene, request: pytest.FixtureRequest) -> Scene:
    static = scene.b2bua._routing.static
    static.routes = (StaticRoute(user="support", to=(CAROL,)),)
    if request.param:
        # Everything has to be looked up.
        route, find = static.route, scene.location.lookup
        static.route = lambda incoming: succeed(route(incoming))
        scene.location.lookup = lambda aor: succeed(find(aor))  # type: ignore[assignment, method-assign]
    return scene


@pytest.mark.parametrize(("policy", "status"), [(None, 200), (CallPolicy(), 200), (DISTURBS, 480)])
def test_a_transfer_to_a_route(
    routed: Scene, policies: MemoryCallPolicyStore, policy: CallPolicy | None, status: int
) -> None:
    if policy is not None:
        policies.set(CAROL, policy)
    done, stays = transferred(routed, "support")
    assert done == [status] and stays.established
    assert len(routed.agents["carol"].arrived) == (status == 200)


def test_a_transfer_to_a_route_goes_where_its_user_has_calls_go(routed: Scene, policies: MemoryCallPolicyStore) -> None:
    policies.set(CAROL, CallPolicy(forward_always="sip:dave@example.com"))
    done, _ = transferred(routed, "support")
    assert done == [200] and len(routed.agents["dave"].arrived) == 1
    policies.set(CAROL, CallPolicy(forward_always="sip:support@example.com"))
    done, _ = transferred(routed, "support")
    assert done == [480] and not routed.agents["carol"].arrived


@pytest.mark.parametrize(("policy", "answered"), [(CallPolicy(), True), (DISTURBS, False)])
def test_a_redirection_to_a_route(
    routed: Scene, policies: MemoryCallPolicyStore, policy: CallPolicy, answered: bool
) -> None:
    policies.set(CAROL, policy)
    routed.agents["bob"].does = lambda call: call.redirect("sip:support@example.com")
    call = routed.agents["alice"].call("sip:bob@example.com")
    routed.run(3)
    assert call.established is answered and len(routed.agents["carol"].arrived) == answered


@pytest.mark.parametrize(("first", "second"), [("support", "alice"), ("alice", "support")])
def test_click_to_call_with_a_route(routed: Scene, first: str, second: str) -> None:
    routed.b2bua.click_to_call(f"sip:{first}@example.com", f"sip:{second}@example.com")
    routed.run(3)
    assert [len(routed.agents[name].arrived) for name in ("alice", "carol")] == [1, 1]


def test_a_transfer_to_where_help_is(scene: Scene, policies: MemoryCallPolicyStore) -> None:
    routing = scene.b2bua._routing
    emergency = EmergencyCalls(None, EmergencySettings(to=(CAROL,)), scene.b2bua.element.domains.is_local_uri)
    routing.static = StaticRouter([], emergency=emergency)
    policies.set(CAROL, DISTURBS)
    done, _ = transferred(scene, "112")
    assert done == [200] and len(scene.agents["carol"].arrived) == 1


def test_one_redirection_of_several_comes_to_nothing(scene: Scene, policies: MemoryCallPolicyStore) -> None:
    """The others are called."""
    for name, other in (("carol", "erin"), ("erin", "carol")):
        policies.set(f"sip:{name}@example.com", CallPolicy(forward_always=f"sip:{other}@example.com"))
    places = ["sip:carol@example.com", "sip:erin@example.com", "sip:dave@example.com"]
    scene.agents["bob"].does = lambda call: call.redirect(*places)
    call = scene.agents["alice"].call("sip:bob@example.com")
    scene.run(3)
    assert call.established and len(scene.agents["dave"].arrived) == 1


def test_all_redirections_come_to_nothing(scene: Scene, policies: MemoryCallPolicyStore) -> None:
    for name, other in (("carol", "erin"), ("erin", "carol")):
        policies.set(f"sip:{name}@example.com", CallPolicy(forward_always=f"sip:{other}@example.com"))
    scene.agents["bob"].does = lambda call: call.redirect("sip:carol@example.com", "sip:erin@example.com")
    call = scene.agents["alice"].call("sip:bob@example.com")
    scene.run(3)
    assert call.ending.status == 480


def test_temporary_gruus_that_have_ended_are_nobodys(scene: Scene, policies: MemoryCallPolicyStore) -> None:
    """RFC 5627 section 6.1: 404, whatever their owner wants to become of calls."""
    instance = "<urn:uuid:00000000-0000-1000-8000-000000000001>"
    (known,) = scene.location.lookup(CAROL)
    scene.bind("carol", known.contact, instance=instance, series="1.0123456789abcdef")
    (binding,) = scene.location.lookup(CAROL)
    gruu = scene.b2bua.element.temporary_gruus.make(binding)
    policies.set(CAROL, DISTURBS)
    call, _ = scene.established(scene.agents["alice"], scene.agents["bob"])
    done: list[Any] = []
    call.transfer(gruu).done.addCallback(done.append)
    scene.run(3)
    # It comes back as another one (RFC 5627 section 5.3).
    scene.bind("carol", known.contact, instance=instance, series="2.aaaaaaaaaaaaaaaa")
    call.transfer(gruu).done.addCallback(done.append)
    scene.run(3)
    assert done == [480, 404]
