"""Calls that nobody takes go where the call policy of the user says (RFC 5359 sections 2.8 and 2.9)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed

from twisted_sip.calls.call_policy import Outcome
from twisted_sip.element.decisions import Decisions
from twisted_sip.interfaces.call_policy import CallPolicy
from twisted_sip.interfaces.routing import Ended, Target
from twisted_sip.message.builders import response_to
from twisted_sip.message.uri import parse_uri
from twisted_sip.proxy.policy_router import PolicyRouter, outcome_of
from twisted_sip.proxy.static_routes import StaticRoute, StaticRouter
from twisted_sip.storage.call_policy_memory import MemoryCallPolicyStore

BOB, CAROL, DAVE = (f"sip:{name}@example.com" for name in ("bob", "carol", "dave"))
#: Where their phones are.
HOSTS = {BOB: "192.0.2.10", CAROL: "192.0.2.11", DAVE: "192.0.2.12"}


class LateStore(MemoryCallPolicyStore):
    """Answers with a Deferred, which may have to wait."""

    waiting: Deferred[Any] | None = None

    def lookup(self, aor: str) -> Any:
        found: Deferred[Any] = succeed(super().lookup(aor))
        if self.waiting is None:
            return found
        return self.waiting.addCallback(lambda _: found)


class Scene:
    """A proxy with policies, Alice who calls Bob, and phones of the others."""

    def __init__(self, make_house: Any, store: Any, **how: Any) -> None:
        self.house = house = make_house(routers=how.pop("routers", []), **how)
        self.store = store
        house.proxy.routers.append(
            PolicyRouter(store, house.element.domains.is_local_uri, lambda: 43200.0, lambda: house.proxy)
        )
        house.element.decisions = Decisions(lambda: 0.0)
        self.alice = house.peer("192.0.2.2")
        self.phones: dict[str, Any] = {}

    def phone(self, aor: str) -> Any:
        """Return the phone of *aor*, registered."""
        self.phones[aor] = phone = self.house.peer(HOSTS[aor])
        self.house.bind(aor[4:].partition("@")[0], f"{aor.partition('@')[0]}@{HOSTS[aor]}")
        return phone

    def call(self, *extra: str, to: str = BOB) -> str:
        text: str = self.house.request("INVITE", to, extra=extra)
        self.house.send(self.alice, text)
        return text

    def refused(self, text: str, status: int, within: float = 5.0) -> Any:
        return self.house.refusal(self.alice, text, status, within)

    def notes(self) -> list[tuple[str, str]]:
        return [(each.key, each.text) for each in self.house.element.decisions.call("call") if each.room == "policy"]


@pytest.fixture(params=[MemoryCallPolicyStore, LateStore])
def scene(make_house: Any, request: Any) -> Scene:
    return Scene(make_house, request.param())


def answer(phone: Any, aor: str, *, within: float = 5.0) -> Any:
    invite = phone.expect("INVITE", within=within)
    phone.answer(invite, 200, [("contact", f"<{aor}>")])
    return invite


@pytest.mark.parametrize("status", [486, 600])
def test_when_busy(scene: Scene, status: int) -> None:
    scene.store.set(BOB, CallPolicy(forward_busy=CAROL, forward_no_answer=DAVE, forward_unavailable=DAVE))
    bob, carol = scene.phone(BOB), scene.phone(CAROL)
    scene.call()
    bob.answer(bob.expect("INVITE"), status)
    assert scene.alice.expect(181).to.tag
    invite = answer(carol, CAROL)
    assert invite.uri_text == f"sip:carol@{HOSTS[CAROL]}"
    scene.alice.expect(200)
    assert scene.notes() == [("policy.forward_busy", f"{BOB} has it forwarded to {CAROL}")]


def test_when_nobody_answers(scene: Scene) -> None:
    scene.store.set(BOB, CallPolicy(forward_no_answer=CAROL, no_answer_after=7))
    bob, carol = scene.phone(BOB), scene.phone(CAROL)
    scene.call()
    invite = bob.expect("INVITE")
    bob.answer(invite, 180)
    carol.expect_nothing(within=6.5)
    bob.answer(bob.expect("CANCEL", within=1.0), 200)
    bob.answer(invite, 487)
    scene.alice.expect(181)
    answer(carol, CAROL)
    scene.alice.expect(200)


@pytest.mark.parametrize(("rings", "rule"), [(True, "forward_no_answer"), (False, "forward_unavailable")])
def test_phones_that_say_that_nobody_is_there(scene: Scene, rings: bool, rule: str) -> None:
    scene.store.set(BOB, CallPolicy(**{rule: CAROL}))
    bob, carol = scene.phone(BOB), scene.phone(CAROL)
    scene.call()
    invite = bob.expect("INVITE")
    if rings:
        bob.answer(invite, 180)
        scene.alice.expect(180)
    bob.answer(invite, 480)
    answer(carol, CAROL)
    scene.alice.expect(200)


def test_without_a_phone(scene: Scene) -> None:
    scene.store.set(BOB, CallPolicy(forward_unavailable=CAROL))
    carol = scene.phone(CAROL)
    scene.call()
    answer(carol, CAROL)
    scene.alice.expect(200)


def test_phones_that_do_not_respond(scene: Scene) -> None:
    """Timer B: nobody has answered, not even with a 100."""
    scene.store.set(BOB, CallPolicy(forward_unavailable=CAROL))
    scene.phone(BOB)
    carol = scene.phone(CAROL)
    scene.call()
    answer(carol, CAROL, within=33.0)
    scene.alice.expect(200)


@pytest.mark.parametrize("status", [404, 488, 603, 503])
def test_other_failures_are_the_callers(scene: Scene, status: int) -> None:
    scene.store.set(BOB, CallPolicy(forward_busy=CAROL, forward_no_answer=CAROL, forward_unavailable=CAROL))
    bob, carol = scene.phone(BOB), scene.phone(CAROL)
    text = scene.call()
    bob.answer(bob.expect("INVITE"), status)
    scene.refused(text, 500 if status == 503 else status)
    carol.expect_nothing(within=1.0)


def test_rules_that_are_not_there(scene: Scene) -> None:
    scene.store.set(BOB, CallPolicy(forward_no_answer=CAROL))
    bob, carol = scene.phone(BOB), scene.phone(CAROL)
    text = scene.call()
    bob.answer(bob.expect("INVITE"), 486)
    scene.refused(text, 486)
    carol.expect_nothing(within=1.0)
    # Without a phone that would be another rule.
    scene.house.unbind()
    text = scene.house.request("INVITE", BOB, call_id="again", branch="two")
    scene.house.refused(scene.alice, text, 480)


def test_one_after_the_other(scene: Scene) -> None:
    """Bob to Carol, Carol to Dave, each with a policy."""
    scene.store.set(BOB, CallPolicy(forward_busy=CAROL))
    scene.store.set(CAROL, CallPolicy(forward_no_answer=DAVE, no_answer_after=5))
    bob, carol, dave = scene.phone(BOB), scene.phone(CAROL), scene.phone(DAVE)
    scene.call()
    bob.answer(bob.expect("INVITE"), 486)
    invite = carol.expect("INVITE")
    carol.answer(invite, 180)
    carol.answer(carol.expect("CANCEL", within=6.0), 200)
    carol.answer(invite, 487)
    answer(dave, DAVE)
    scene.alice.expect(200)
    assert [key for key, _ in scene.notes()] == ["policy.forward_busy", "policy.forward_no_answer"]


@pytest.mark.parametrize("rule", ["forward_always", "forward_unavailable"])
def test_in_a_circle(scene: Scene, rule: str) -> None:
    scene.store.set(BOB, CallPolicy(**{rule: CAROL}))
    scene.store.set(CAROL, CallPolicy(**{rule: BOB}))
    scene.refused(scene.call(), 482)


def test_a_circle_that_ends_at_a_phone(scene: Scene) -> None:
    """What the phone has said tells more than that it went in a circle."""
    scene.store.set(BOB, CallPolicy(forward_busy=CAROL))
    scene.store.set(CAROL, CallPolicy(forward_always=BOB))
    bob = scene.phone(BOB)
    text = scene.call()
    bob.answer(bob.expect("INVITE"), 486)
    scene.refused(text, 486)


@pytest.mark.parametrize(
    "extra",
    [
        ["Diversion: <sip:a@example.net>;counter=2, <sip:b@example.net>;counter=3"],
        ["Diversion: <sip:a@example.net>;counter=4, <sip:b"],
        ["History-Info: " + ", ".join(f"<sip:{n}@example.net>;index=1.{n};mp=1" for n in range(1, 6))],
    ],
)
def test_forwarded_too_often_before(scene: Scene, extra: list[str]) -> None:
    scene.store.set(BOB, CallPolicy(forward_always=CAROL))
    carol = scene.phone(CAROL)
    scene.refused(scene.call(*extra), 482)
    carol.expect_nothing(within=1.0)


def test_what_cannot_be_read_is_not_counted(scene: Scene) -> None:
    scene.store.set(BOB, CallPolicy(forward_always=CAROL))
    carol = scene.phone(CAROL)
    scene.call("History-Info: <sip:b")
    answer(carol, CAROL)


def test_chains_end() -> None:
    assert outcome_of(()) is Outcome.UNAVAILABLE
    assert outcome_of([Ended(486), Ended(480, rang_out=True)]) is Outcome.NO_ANSWER
    assert outcome_of([Ended(486), Ended(404)]) is Outcome.BUSY
    assert outcome_of([Ended(480), Ended(503, made_here=True)]) is Outcome.UNAVAILABLE
    assert outcome_of([Ended(480), Ended(503)]) is None


def test_declined_by_the_next_one(scene: Scene) -> None:
    scene.store.set(BOB, CallPolicy(forward_always=CAROL))
    scene.store.set(CAROL, CallPolicy(blocked=("*",)))
    scene.refused(scene.call(), 603)
    assert scene.notes()[-1] == ("policy.blocked", f"{CAROL}: 603")


def test_the_user_who_forwards_pays(make_house: Any) -> None:
    """A stranger may not take the route to the gateway; Bob may have calls forwarded there."""
    routes = StaticRouter(
        [StaticRoute(user="0*", to=("sip:{user}@192.0.2.60",))],
        is_stranger=lambda incoming: not incoming.user,
    )
    scene = Scene(make_house, MemoryCallPolicyStore(), routers=[routes])
    scene.store.set(BOB, CallPolicy(forward_always="sip:0891@example.com"))
    gateway = scene.house.peer("192.0.2.60")
    scene.refused(scene.call(to="sip:0892@example.com"), 403)
    text = scene.house.request("INVITE", BOB, call_id="again", branch="two")
    scene.house.send(scene.alice, text)
    assert gateway.expect("INVITE").uri_text == "sip:0891@192.0.2.60"


def test_the_caller_gives_up_meanwhile(make_house: Any) -> None:
    """While the policy of the next user is looked up."""
    scene = Scene(make_house, LateStore())
    scene.store.set(BOB, CallPolicy(forward_busy=CAROL))
    bob, carol = scene.phone(BOB), scene.phone(CAROL)
    text = scene.call()
    invite = bob.expect("INVITE")
    scene.store.waiting = Deferred()
    bob.answer(invite, 486)
    scene.house.network.advance(1)
    cancel = text.replace("INVITE sip", "CANCEL sip").replace("1 INVITE", "1 CANCEL").replace("Contact", "X-Contact")
    scene.house.send(scene.alice, cancel)
    scene.alice.expect(200)
    scene.store.waiting.callback(None)
    scene.refused(text, 486)
    carol.expect_nothing(within=1.0)


def test_the_store_breaks(make_house: Any, logged: Any) -> None:
    scene = Scene(make_house, LateStore())
    scene.store.set(BOB, CallPolicy(forward_busy=CAROL))
    bob = scene.phone(BOB)
    text = scene.call()
    invite = bob.expect("INVITE")
    scene.store.waiting = Deferred()
    bob.answer(invite, 486)
    scene.house.network.advance(1)
    scene.store.waiting.errback(RuntimeError("broken"))
    scene.refused(text, 486)
    assert logged(RuntimeError) == 1


def test_the_same_phone_is_not_called_twice(scene: Scene) -> None:
    """RFC 3261 section 16.5."""
    scene.store.set(BOB, CallPolicy(forward_busy=CAROL))
    bob = scene.phone(BOB)
    scene.house.bind("carol", f"sip:bob@{HOSTS[BOB]}")
    text = scene.call()
    bob.answer(bob.expect("INVITE"), 486)
    scene.refused(text, 486)


def test_forwarded_to_a_contact_of_another_user(scene: Scene) -> None:
    """Carol's contact is an address-of-record of ours."""
    scene.store.set(BOB, CallPolicy(forward_busy=CAROL))
    bob, dave = scene.phone(BOB), scene.phone(DAVE)
    scene.house.bind("carol", DAVE)
    scene.call()
    bob.answer(bob.expect("INVITE"), 486)
    answer(dave, DAVE)
    scene.alice.expect(200)


def test_what_targets_know(scene: Scene) -> None:
    """Who has had it forwarded is known at the end of the way, for History-Info and Diversion."""
    scene.store.set(BOB, CallPolicy(forward_always=CAROL))
    scene.phone(CAROL)
    seen: list[Target] = []

    class Look:
        def branch(self, request: Any, target: Target, incoming: Any) -> None:
            seen.append(target)

        def response(self, response: Any, context: Any) -> None:
            pass

    scene.house.proxy.policies.append(Look())
    scene.call()
    scene.phones[CAROL].expect("INVITE")
    (step,) = seen[0].steps
    assert (step.uri, step.to, step.reason) == (parse_uri(BOB), parse_uri(CAROL), "unconditional")
    assert seen[0].aor == CAROL


def test_a_2xx_that_comes_while_the_way_is_looked_for(make_house: Any) -> None:
    """Of a gateway that was given up (section 16.7 step 5)."""
    scene = Scene(make_house, LateStore())
    scene.store.set(BOB, CallPolicy(forward_busy=CAROL))
    bob, carol = scene.phone(BOB), scene.phone(CAROL)
    context: list[Any] = []

    class Look:
        def branch(self, request: Any, target: Target, incoming: Any) -> None:
            pass

        def response(self, response: Any, context_: Any) -> None:
            context.append(context_)

    scene.house.proxy.policies.append(Look())
    scene.call()
    invite = bob.expect("INVITE")
    bob.answer(invite, 180)
    scene.alice.expect(180)
    scene.store.waiting = Deferred()
    bob.answer(invite, 486)
    scene.house.network.advance(1)
    ok = context[0].local_response(200, "", [("contact", f"<{BOB}>")])
    context[0].final(context[0]._branches[0], ok, True)
    scene.alice.expect(200)
    scene.store.waiting.callback(None)
    carol.expect_nothing(within=1.0)


def test_what_routers_may_do_with_a_forwarded_request(make_house: Any) -> None:
    """It is the request that has come that they answer."""
    scene = Scene(make_house, MemoryCallPolicyStore())
    scene.store.set(BOB, CallPolicy(forward_always=CAROL))
    seen: list[Any] = []

    class Router:
        def route(self, incoming: Any) -> Any:
            if incoming.request.uri.user != "carol":
                return ()
            seen.append(incoming)
            assert incoming.user == BOB and incoming.admitted and not incoming.over and incoming.own_routes == []
            assert incoming.start_transaction() is incoming.original.transaction
            return response_to(incoming.request, 410, to_tag=incoming.to_tag)

    scene.house.proxy.routers.insert(0, Router())
    text = scene.call()
    scene.refused(text, 410)
    (one,) = seen
    assert one.over and str(one.original.request.uri) == BOB
    for answer_again in (lambda: one.respond(500), lambda: one.respond_statelessly(500), lambda: one.send(ok(one))):
        answer_again()
    scene.alice.expect_nothing(within=1.0)
    assert isinstance(one.claim_as_uas(), bool)


def ok(incoming: Any) -> Any:
    return response_to(incoming.original.request, 500, to_tag=incoming.to_tag)
