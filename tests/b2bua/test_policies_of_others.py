"""Call policies hold as well for calls that nobody has sent an INVITE for: transfers, redirections, click-to-call."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.interfaces.call_policy import CallPolicy
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
