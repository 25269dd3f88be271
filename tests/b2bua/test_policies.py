"""The call policies of users: forwarded, declined, at what hour, for whom (RFC 5359 sections 2.7 to 2.9 and 2.13)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed

from twisted_sip.element.decisions import Decisions
from twisted_sip.interfaces.call_policy import CallPolicy
from twisted_sip.proxy.static_routes import StaticRoute
from twisted_sip.storage.call_policy_memory import MemoryCallPolicyStore

from .scene import Scene


@pytest.fixture
def policies() -> MemoryCallPolicyStore:
    return MemoryCallPolicyStore()


@pytest.fixture
def scene(policies: MemoryCallPolicyStore) -> Any:
    made = Scene(policies=policies, routes=[StaticRoute(user="9", to=("sip:carol@198.51.100.3",))])
    made.agent("alice", 1)
    for number, name in enumerate(("bob", "carol"), 2):
        made.agent(name, number).does = lambda call: call.answer()
    yield made
    made.stop()


def called(scene: Scene, user: str = "bob", seconds: float = 3.0, **how: Any) -> Any:
    call = scene.agents["alice"].call(f"sip:{user}@example.com", **how)
    scene.run(seconds)
    return call


def test_without_a_policy(scene: Scene) -> None:
    assert called(scene).established and len(scene.agents["bob"].arrived) == 1


def test_forwarded_always(scene: Scene, policies: MemoryCallPolicyStore) -> None:
    policies.set("sip:bob@example.com", CallPolicy(forward_always="sip:carol@example.com"))
    assert called(scene).established
    assert not scene.agents["bob"].arrived and len(scene.agents["carol"].arrived) == 1


def test_explained(scene: Scene, policies: MemoryCallPolicyStore) -> None:
    element = scene.b2bua.element
    decisions = element.decisions = Decisions(element.timers.now)
    policies.set("sip:bob@example.com", CallPolicy(forward_always="sip:carol@example.com"))
    policies.set("sip:carol@example.com", CallPolicy(do_not_disturb=True))
    assert called(scene).ending.status == 480
    call_id = decisions.newest()
    assert call_id is not None
    assert [(one.text, one.key) for one in decisions.call(call_id) if one.room == "policy"] == [
        ("sip:bob@example.com has it forwarded to sip:carol@example.com", "policy.forward_always"),
        ("sip:carol@example.com: 480 Do Not Disturb", "policy.do_not_disturb"),
    ]


@pytest.mark.parametrize("forwarded", [False, True])
def test_who_does_not_want_a_call_has_refused_it(
    scene: Scene, policies: MemoryCallPolicyStore, forwarded: bool
) -> None:
    policies.set("sip:carol@example.com", CallPolicy(do_not_disturb=True))
    policies.set("sip:bob@example.com", CallPolicy(forward_unavailable="sip:carol@example.com"))
    scene.agents["bob"].does = lambda call: call.reject(480)
    called(scene, "bob" if forwarded else "carol")
    (record,) = scene.accounting.records
    assert (record.result, record.status, record.reason) == ("refused", 480, "Do Not Disturb")


def test_a_static_route_comes_first(scene: Scene, policies: MemoryCallPolicyStore) -> None:
    policies.set("sip:9@example.com", CallPolicy(do_not_disturb=True))
    scene.agents["carol"].account("sip:carol@198.51.100.3")
    assert called(scene, "9").established


def test_in_a_circle(scene: Scene, policies: MemoryCallPolicyStore) -> None:
    policies.set("sip:bob@example.com", CallPolicy(forward_always="sip:carol@example.com"))
    policies.set("sip:carol@example.com", CallPolicy(forward_always="sip:bob@example.com"))
    assert called(scene).ending.status == 482


@pytest.mark.parametrize(
    ("policy", "status"),
    [
        (CallPolicy(do_not_disturb=True), 480),
        (CallPolicy(blocked=("alice@example.com",)), 603),
        (CallPolicy(allowed=("alice@example.com",), do_not_disturb=True), 0),
    ],
    ids=["not to be disturbed", "blocked", "allowed"],
)
def test_declined(scene: Scene, policies: MemoryCallPolicyStore, policy: CallPolicy, status: int) -> None:
    policies.set("sip:bob@example.com", policy)
    call = called(scene)
    assert call.ending.status == status if status else call.established


def test_anonymous_callers(scene: Scene, policies: MemoryCallPolicyStore) -> None:
    policies.set("sip:bob@example.com", CallPolicy(blocked=("anonymous",)))
    assert called(scene, anonymous=True).ending.status == 433


def test_forwarded_when_busy(scene: Scene, policies: MemoryCallPolicyStore) -> None:
    policies.set("sip:bob@example.com", CallPolicy(forward_busy="sip:carol@example.com"))
    scene.agents["bob"].does = lambda call: call.reject(486)
    assert called(scene).established and len(scene.agents["carol"].arrived) == 1
    [record] = scene.accounting.under_way.values()
    assert [leg.status for leg in record.legs] == [200, 486, 200]


def test_forwarded_when_nobody_answers(scene: Scene, policies: MemoryCallPolicyStore) -> None:
    policies.set("sip:bob@example.com", CallPolicy(forward_no_answer="sip:carol@example.com", no_answer_after=7))
    scene.agents["bob"].does = lambda call: call.ring()
    call = called(scene, seconds=6)
    assert not call.established and not scene.agents["carol"].arrived
    scene.run(3)
    assert call.established and scene.agents["bob"].arrived[0].over


def test_forwarded_when_nobody_is_there(scene: Scene, policies: MemoryCallPolicyStore) -> None:
    policies.set("sip:dave@example.com", CallPolicy(forward_unavailable="sip:carol@example.com"))
    assert called(scene, "dave").established


@pytest.mark.parametrize("status", [486, 404, 603])
def test_refused_for_good(scene: Scene, policies: MemoryCallPolicyStore, status: int) -> None:
    policies.set("sip:bob@example.com", CallPolicy(forward_no_answer="sip:carol@example.com"))
    scene.agents["bob"].does = lambda call: call.reject(status)
    assert called(scene).ending.status == status and not scene.agents["carol"].arrived


def test_declined_by_whom_it_is_forwarded_to(scene: Scene, policies: MemoryCallPolicyStore) -> None:
    policies.set("sip:bob@example.com", CallPolicy(forward_busy="sip:carol@example.com"))
    policies.set("sip:carol@example.com", CallPolicy(do_not_disturb=True))
    scene.agents["bob"].does = lambda call: call.reject(486)
    assert called(scene).ending.status == 480 and not scene.agents["carol"].arrived


def test_forwarded_elsewhere(scene: Scene, policies: MemoryCallPolicyStore) -> None:
    """As a call of whom it was for."""
    carol = scene.agents["carol"]
    policies.set("sip:bob@example.com", CallPolicy(forward_always=f"sip:{carol.user}@{carol.host}"))
    assert called(scene).established and len(carol.arrived) == 1


def test_a_policy_that_comes_late(scene: Scene) -> None:
    """The caller does not wait for it."""
    later: Deferred[Any] = Deferred()
    policing: Any = scene.b2bua._routing._policing

    class Slow:
        def lookup(self, aor: str) -> Any:
            return later

    policing._store = Slow()
    call = called(scene)
    call.hangup()
    scene.run(2)
    later.callback(CallPolicy())
    scene.run(2)
    assert call.over and not scene.agents["bob"].arrived
    scene.agents["carol"].does = lambda incoming: incoming.reject(486)
    waiting: Deferred[Any] = Deferred()
    answers = [CallPolicy(forward_busy="sip:carol@example.com"), waiting]
    policing._store = type("Store", (), {"lookup": lambda self, aor: answers.pop(0)})()
    scene.agents["bob"].does = lambda incoming: incoming.reject(486)
    call = called(scene)
    call.hangup()
    scene.run(2)
    waiting.callback(None)
    scene.run(2)
    assert call.over and not scene.agents["carol"].arrived


def test_where_nobody_is(scene: Scene, policies: MemoryCallPolicyStore) -> None:
    policies.set("sip:bob@example.com", CallPolicy(forward_busy="sip:nobody@example.com"))
    scene.agents["bob"].does = lambda call: call.reject(486)
    assert called(scene).ending.status == 480


@pytest.mark.parametrize("temporary", [False, True])
def test_a_device_is_no_way_past_a_policy(scene: Scene, policies: MemoryCallPolicyStore, temporary: bool) -> None:
    """RFC 5627 section 6.1: a GRUU means one device, so calls for it are forwarded to nobody else."""
    instance = "urn:uuid:00000000-0000-1000-8000-000000000001"
    (known,) = scene.location.lookup("sip:bob@example.com")
    scene.bind("bob", known.contact, instance=f"<{instance}>", series="1.0123456789abcdef")
    (binding,) = scene.location.lookup("sip:bob@example.com")
    gruu = f"sip:bob@example.com;gr={instance}"
    if temporary:
        gruu = scene.b2bua.element.temporary_gruus.make(binding)

    def call() -> Any:
        made = scene.agents["alice"].call(gruu)
        scene.run(3.0)
        return made

    policies.set("sip:bob@example.com", CallPolicy(blocked=("alice@example.com",)))
    assert call().ending.status == 603
    policies.set("sip:bob@example.com", CallPolicy(forward_always="sip:carol@example.com"))
    assert call().established and len(scene.agents["bob"].arrived) == 1 and not scene.agents["carol"].arrived
    policies.set("sip:bob@example.com", CallPolicy(forward_busy="sip:carol@example.com"))
    scene.agents["bob"].does = lambda call: call.reject(486)
    assert call().ending.status == 486 and not scene.agents["carol"].arrived


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("forwarded", [False, True])
def test_temporary_gruus_that_have_ended_are_nobodys(
    scene: Scene, policies: MemoryCallPolicyStore, forwarded: bool, late: bool
) -> None:
    """RFC 5627 section 6.1: 404, whatever their owner wants to become of calls."""
    instance = "<urn:uuid:00000000-0000-1000-8000-000000000001>"
    (known,) = scene.location.lookup("sip:bob@example.com")
    scene.bind("bob", known.contact, instance=instance, series="1.0123456789abcdef")
    (binding,) = scene.location.lookup("sip:bob@example.com")
    gruu = scene.b2bua.element.temporary_gruus.make(binding)
    policies.set("sip:bob@example.com", CallPolicy(do_not_disturb=True))
    policies.set("sip:carol@example.com", CallPolicy(forward_always=gruu))
    if late:
        find = scene.location.lookup
        scene.location.lookup = lambda aor: succeed(find(aor))  # type: ignore[assignment, method-assign]

    def status() -> int:
        made = scene.agents["alice"].call("sip:carol@example.com" if forwarded else gruu)
        scene.run(3.0)
        found: int = made.ending.status
        return found

    assert status() == 480
    # It comes back as another one (RFC 5627 section 5.3).
    scene.bind("bob", known.contact, instance=instance, series="2.aaaaaaaaaaaaaaaa")
    assert status() == 404
    assert not scene.agents["bob"].arrived


@pytest.mark.parametrize("status", [404, 480, 486])
def test_a_device_that_rings_out_counts_for_more_than_what_others_say(
    scene: Scene, policies: MemoryCallPolicyStore, status: int
) -> None:
    erin = scene.agent("erin", 5)
    erin.does = lambda call: call.ring()
    scene.bind("bob", f"sip:{erin.user}@{erin.host}")
    scene.agents["bob"].does = lambda call: call.reject(status)
    policies.set(
        "sip:bob@example.com",
        CallPolicy(forward_busy="sip:carol@example.com", forward_no_answer="sip:dave@example.com", no_answer_after=5),
    )
    dave = scene.agent("dave", 6)
    dave.does = lambda call: call.answer()
    call = scene.agents["alice"].call("sip:bob@example.com")
    scene.run(10)
    assert call.established and erin.arrived and dave.arrived and not scene.agents["carol"].arrived


@pytest.mark.parametrize(
    ("contact", "status"),
    [
        ("sip:bob@198.51.100.77;transport=tcp", 0),
        ("sip:bob@host.invalid", 0),
        (430, 0),
        (503, 500),
        (404, 404),
    ],
)
def test_a_phone_that_is_not_reached(
    scene: Scene, policies: MemoryCallPolicyStore, contact: str | int, status: int
) -> None:
    """Its connection is gone, or its name: nobody is there. What it says itself is something else."""
    erin = scene.agent("erin", 5)
    erin.does = lambda call: call.reject(contact)
    if isinstance(contact, str):
        scene.bind("frank", contact)
    user = "erin" if isinstance(contact, int) else "frank"
    policies.set(f"sip:{user}@example.com", CallPolicy(forward_unavailable="sip:carol@example.com"))
    call = called(scene, user, 40.0)
    assert call.established if not status else call.ending.status == status
