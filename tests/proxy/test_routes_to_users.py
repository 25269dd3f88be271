"""Call policies of users to whom something else than the Request-URI leads: a static route, a contact of another."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed

from twisted_sip.interfaces.call_policy import CallPolicy
from twisted_sip.proxy.policy_router import PolicyRouter
from twisted_sip.proxy.settings import ProxySettings
from twisted_sip.proxy.static_routes import StaticRoute, StaticRouter
from twisted_sip.storage.call_policy_memory import MemoryCallPolicyStore

SUPPORT, BOB, CAROL, DAVE = (f"sip:{name}@example.com" for name in ("support", "bob", "carol", "dave"))
INSTANCE = "urn:uuid:00000000-0000-1000-8000-000000000001"


class LateStore(MemoryCallPolicyStore):
    """Answers with a Deferred."""

    def lookup(self, aor: str) -> Any:
        found: Deferred[Any] = succeed(super().lookup(aor))
        return found


class Scene:
    """A proxy with routes and policies, Alice who calls, and phones of the others."""

    def __init__(self, make_house: Any, store: Any, *routes: StaticRoute, **how: Any) -> None:
        self.house = house = make_house(routers=[StaticRouter(routes)], **how)
        self.store = store
        self.helped = ""
        house.proxy.routers.append(
            PolicyRouter(
                store,
                house.element.domains.is_local_uri,
                lambda: 43200.0,
                lambda: house.proxy,
                spares=lambda request: request.uri_text == self.helped,
            )
        )
        self.alice = house.peer("192.0.2.2")
        self.bob, self.carol, self.dave = (self._phone(name, n) for n, name in enumerate(("bob", "carol", "dave"), 10))

    def _phone(self, name: str, number: int) -> Any:
        self.house.bind(name, f"sip:{name}@192.0.2.{number}")
        return self.house.peer(f"192.0.2.{number}")

    def bob_is_carol(self) -> None:
        """Have Bob's contact be Carol, and nobody else be registered."""
        self.house.unbind()
        self.house.bind("bob", CAROL)
        self.house.bind("carol", "sip:carol@192.0.2.11")

    def call(self, to: str = SUPPORT, **how: Any) -> str:
        text: str = self.house.request("INVITE", to, **how)
        self.house.send(self.alice, text)
        return text

    def refused(self, text: str, status: int, within: float = 5.0) -> Any:
        return self.house.refusal(self.alice, text, status, within)

    def silent(self, *phones: Any) -> None:
        for phone in phones:
            phone.expect_nothing(within=1.0)


@pytest.fixture(params=[MemoryCallPolicyStore, LateStore])
def make(make_house: Any, request: Any) -> Any:
    return lambda *routes, **how: Scene(make_house, request.param(), *routes, **how)


def to(*targets: str, **how: Any) -> StaticRoute:
    return StaticRoute(user="support", to=targets, **how)


def answer(phone: Any, within: float = 5.0) -> Any:
    invite = phone.expect("INVITE", within=within)
    phone.answer(invite, 200, [("contact", "<sip:x@192.0.2.10>")])
    return invite


@pytest.mark.parametrize(
    ("policy", "status"),
    [(CallPolicy(do_not_disturb=True), 480), (CallPolicy(blocked=("alice@example.net",)), 603)],
)
def test_a_route_is_no_way_past_a_policy(make: Any, policy: CallPolicy, status: int) -> None:
    scene = make(to(BOB))
    scene.store.set(BOB, policy)
    scene.refused(scene.call(), status)
    scene.silent(scene.bob)


def test_nor_is_one_that_says_the_same_again(make: Any) -> None:
    scene = make(StaticRoute(user="bob", to=("sip:{user}@example.com",)))
    scene.store.set(BOB, CallPolicy(do_not_disturb=True))
    scene.refused(scene.call(BOB), 480)
    scene.silent(scene.bob)


def test_nor_is_one_to_a_device(make: Any) -> None:
    """RFC 5627 section 6.1: declined, or left to that device."""
    scene = make(to(f"{BOB};gr={INSTANCE}"))
    scene.house.unbind()
    scene.house.bind("bob", "sip:bob@192.0.2.10", instance=f"<{INSTANCE}>")
    scene.store.set(BOB, CallPolicy(forward_always=CAROL))
    scene.call()
    answer(scene.bob)
    scene.alice.expect(200)
    scene.store.set(BOB, CallPolicy(do_not_disturb=True))
    scene.refused(scene.call(call_id="again", branch="two"), 480)
    scene.silent(scene.bob, scene.carol)


def test_forwarded_always(make: Any) -> None:
    scene = make(to(BOB))
    scene.store.set(BOB, CallPolicy(forward_always=CAROL))
    scene.call(extra=["Supported: histinfo"])
    invite = answer(scene.carol)
    entries = [value.partition(">")[0][1:].partition("?")[0] for value in invite.headers.elements("history-info")]
    assert entries == [SUPPORT, BOB, CAROL, "sip:carol@192.0.2.11"]
    scene.silent(scene.bob)


def test_forwarded_when_busy(make: Any) -> None:
    scene = make(to(BOB))
    scene.store.set(BOB, CallPolicy(forward_busy=CAROL))
    scene.call()
    scene.bob.answer(scene.bob.expect("INVITE"), 486)
    scene.alice.expect(181)
    answer(scene.carol)
    scene.alice.expect(200)


def test_forwarded_when_nobody_answers(make: Any) -> None:
    """Whoever is the less patient, route or policy."""
    scene = make(to(BOB, no_answer=20.0))
    scene.store.set(BOB, CallPolicy(forward_no_answer=CAROL, no_answer_after=7))
    scene.call()
    invite = scene.bob.expect("INVITE")
    scene.bob.answer(invite, 180)
    scene.bob.answer(scene.bob.expect("CANCEL", within=7.5), 200)
    scene.bob.answer(invite, 487)
    answer(scene.carol)


def test_forwarded_without_a_phone(make: Any) -> None:
    scene = make(to(BOB))
    scene.house.unbind()
    scene.house.bind("carol", "sip:carol@192.0.2.11")
    scene.store.set(BOB, CallPolicy(forward_unavailable=CAROL))
    scene.call()
    answer(scene.carol)


def test_each_of_several_users_is_asked(make: Any) -> None:
    scene = make(to(BOB, CAROL))
    scene.store.set(BOB, CallPolicy(do_not_disturb=True))
    scene.call()
    answer(scene.carol)
    scene.silent(scene.bob)


def test_all_of_several_decline(make: Any) -> None:
    scene = make(to(BOB, CAROL))
    scene.store.set(BOB, CallPolicy(do_not_disturb=True))
    scene.store.set(CAROL, CallPolicy(blocked=("*",)))
    scene.refused(scene.call(), 603)


@pytest.mark.parametrize("last", [BOB, CAROL])
def test_it_goes_on_for_whichever_user_has_it_go_on(make: Any, last: str) -> None:
    scene = make(to(*((CAROL, BOB) if last == BOB else (BOB, CAROL))))
    scene.store.set(BOB, CallPolicy(forward_busy=DAVE))
    scene.call()
    for phone in (scene.bob, scene.carol):
        phone.answer(phone.expect("INVITE"), 486)
    answer(scene.dave)


def test_it_goes_on_for_one_after_the_other(make: Any) -> None:
    scene = make(to(BOB, CAROL))
    scene.store.set(BOB, CallPolicy(forward_busy=DAVE))
    scene.store.set(CAROL, CallPolicy(forward_busy="sip:nobody@example.com"))
    text = scene.call()
    for phone in (scene.bob, scene.carol):
        phone.answer(phone.expect("INVITE"), 486)
    # Nobody is there: that ends it, as for one user.
    scene.refused(text, 486)
    scene.store.set(CAROL, CallPolicy(forward_busy=f"{DAVE}"))
    scene.store.set(BOB, CallPolicy(forward_busy="sip:bob@192.0.2.60"))
    other = scene.house.peer("192.0.2.60")
    scene.call(call_id="again", branch="two")
    for phone in (scene.bob, scene.carol):
        phone.answer(phone.expect("INVITE"), 486)
    scene.dave.answer(scene.dave.expect("INVITE"), 486)
    answer(other)


def test_who_says_no_for_everybody(make: Any) -> None:
    """RFC 3261 section 21.6.2: no use to try others."""
    scene = make(to(BOB, CAROL))
    scene.store.set(BOB, CallPolicy(forward_busy=DAVE))
    text = scene.call()
    for phone, status in ((scene.bob, 486), (scene.carol, 603)):
        phone.answer(phone.expect("INVITE"), status)
    scene.refused(text, 603)
    scene.silent(scene.dave)


def test_a_contact_of_another_user_is_no_way_past(make: Any) -> None:
    scene = make()
    scene.bob_is_carol()
    scene.store.set(CAROL, CallPolicy(do_not_disturb=True))
    scene.refused(scene.call(BOB), 480)
    scene.silent(scene.carol)


def test_what_two_users_want(make: Any) -> None:
    """Bob's contact is Carol: what she says comes first, then what he says."""
    scene = make()
    scene.bob_is_carol()
    scene.house.bind("dave", "sip:dave@192.0.2.12")
    other = scene.house.peer("192.0.2.60")
    scene.store.set(BOB, CallPolicy(forward_busy=DAVE))
    scene.store.set(CAROL, CallPolicy(forward_busy="sip:x@192.0.2.60", forward_no_answer=CAROL))
    scene.call(BOB)
    scene.carol.answer(scene.carol.expect("INVITE"), 486)
    other.answer(other.expect("INVITE"), 486)
    answer(scene.dave)


@pytest.mark.parametrize("rule", ["forward_always", "forward_busy"])
def test_in_a_circle(make: Any, rule: str) -> None:
    """Back to the route that has led there."""
    scene = make(to(BOB))
    scene.store.set(BOB, CallPolicy(**{rule: SUPPORT}))
    text = scene.call()
    if rule == "forward_busy":
        scene.bob.answer(scene.bob.expect("INVITE"), 486)
        scene.refused(text, 486)
    else:
        scene.refused(text, 480)
        scene.silent(scene.bob)


def test_users_behind_routes_who_forward_to_each_other(make: Any) -> None:
    scene = make(*[StaticRoute(user=f"to-{name}", to=(f"sip:{name}@example.com",)) for name in ("bob", "carol")])
    scene.store.set(BOB, CallPolicy(forward_always="sip:to-carol@example.com"))
    scene.store.set(CAROL, CallPolicy(forward_always="sip:to-bob@example.com"))
    scene.refused(scene.call("sip:to-bob@example.com"), 480)
    scene.silent(scene.bob, scene.carol)


def test_a_redirection_that_is_followed_to_a_route(make: Any) -> None:
    scene = make(to(BOB), settings=ProxySettings(recurse=True))
    scene.store.set(BOB, CallPolicy(do_not_disturb=True))
    text = scene.call(CAROL)
    scene.carol.answer(scene.carol.expect("INVITE"), 302, [("contact", f"<{SUPPORT}>")])
    scene.refused(text, 302)
    scene.silent(scene.bob)


def test_calls_for_help_are_not_declined(make: Any) -> None:
    scene = make(to(BOB))
    scene.helped = SUPPORT
    scene.store.set(BOB, CallPolicy(do_not_disturb=True))
    scene.call()
    answer(scene.bob)


def test_policies_are_for_calls_alone(make: Any) -> None:
    scene = make(to(BOB))
    scene.store.set(BOB, CallPolicy(do_not_disturb=True))
    scene.house.send(scene.alice, scene.house.request("MESSAGE", SUPPORT))
    scene.bob.answer(scene.bob.expect("MESSAGE"), 200)
    scene.alice.expect(200)
