"""Requests with one target, the short way and the long one: what goes out is the same (RFC 3261 section 16)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import UDP
from twisted_sip.proxy import one_target, service
from twisted_sip.proxy.settings import ProxySettings
from twisted_sip.testing.network import Network

BOB = "sip:bob@example.com"
CONTACT = "sip:bob@192.0.2.10"

#: What is random in messages.
_RANDOM = re.compile(r"(?<=branch=z9hG4bK)[^-;\r]+|(?<=tag=)[0-9A-Za-z_-]{8,}")


class Policy:
    """Adds to requests and responses, or fails to."""

    def __init__(self, fault: Exception | None = None, route: str = "") -> None:
        self.fault = fault
        self.route = route
        self.seen: list[tuple[str, int, bool, bool]] = []

    def branch(self, request: Any, target: Any, incoming: Any) -> None:
        if self.fault is not None:
            raise self.fault
        request.headers.append("x-branch", str(target.uri))
        if self.route:
            request.headers.append("route", self.route)

    def response(self, response: Any, context: Any) -> None:
        assert context.request is context.incoming.request and context.record is None and not context.calls
        assert [branch.target.aor for branch in context.branches] in ([f"{BOB}"], [""])
        assert not context.setting_up and not context.rang_at
        self.seen.append((context.request.method, response.status, context.in_dialog, context.history is None))


class Scene:
    """Alice, bob and a proxy."""

    def __init__(self, house: Any, policy: Policy) -> None:
        self.house = house
        self.policy = policy
        self.alice = house.peer("192.0.2.2")
        self.bob = house.peer("192.0.2.10")
        self.waits = 5.0

    def ask(self, method: str = "MESSAGE", uri: str = BOB, **fields: Any) -> None:
        self.house.send(self.alice, self.house.request(method, uri, **fields))

    def result(self) -> list[Any]:
        self.house.network.advance(self.waits)
        known = [
            _RANDOM.sub("*", message.to_bytes().decode())
            for peer in (self.alice, self.bob)
            for message in peer.messages
        ]
        return [*known, self.policy.seen]


def answered(status: int) -> Callable[[Scene], None]:
    def play(scene: Scene) -> None:
        scene.ask()
        scene.bob.answer(scene.bob.expect("MESSAGE"), status)

    play.__name__ = f"answered_{status}"
    return play


def provisional(scene: Scene) -> None:
    scene.ask()
    request = scene.bob.expect("MESSAGE")
    scene.bob.answer(request, 183)
    scene.house.network.advance(1)
    scene.bob.answer(request, 202)


def again(scene: Scene) -> None:
    """A 2xx and a request that come twice."""
    scene.ask()
    request = scene.bob.expect("MESSAGE")
    scene.bob.answer(request, 200)
    scene.bob.answer(request, 200)
    scene.house.network.advance(1)
    scene.ask()


def silent(scene: Scene) -> None:
    scene.waits = 70.0
    scene.ask()


def unreachable(scene: Scene) -> None:
    scene.ask()
    scene.bob.expect("MESSAGE")
    scene.house.element.destination_refused(Address("192.0.2.10", 5060))


def refuses_for_a_while(scene: Scene) -> None:
    scene.ask()
    scene.bob.answer(scene.bob.expect("MESSAGE"), 503, headers=[("retry-after", "20")])
    scene.house.network.advance(1)
    scene.ask(branch="two", call_id="two")


def suspected(scene: Scene) -> None:
    """While some server is held dead answers are looked at."""
    scene.house.element.dead_targets.suspect(UDP, Address("192.0.2.99", 5060))
    scene.ask()
    scene.bob.answer(scene.bob.expect("MESSAGE"), 200)


def redirected(scene: Scene) -> None:
    scene.ask()
    headers = [("contact", "<sip:bob@192.0.2.10:5060;other>")]
    scene.bob.answer(scene.bob.expect("MESSAGE"), 302, headers=headers)
    scene.house.network.advance(1)
    scene.bob.answer(scene.bob.expect("MESSAGE"), 200)


def without_our_via(scene: Scene) -> None:
    scene.ask()
    request = scene.bob.expect("MESSAGE")
    via = request.headers.all("via")[0]
    lines = [f"Via: {via}", *(f"{name}: {value}" for name, value in request.headers if name in ("From", "To", "CSeq"))]
    text = "\r\n".join(["SIP/2.0 200 OK", *lines, f"Call-ID: {request.call_id}", "", ""])
    scene.bob.send(text, ("192.0.2.1", 5060))


def other_methods(scene: Scene) -> None:
    for place, method in enumerate(("OPTIONS", "INFO", "PUBLISH", "SUBSCRIBE", "FETCH")):
        scene.ask(method, branch=f"m{place}", call_id=f"m{place}")
        scene.bob.answer(scene.bob.expect(method), 200)


def in_dialog(scene: Scene) -> None:
    scene.ask("BYE", CONTACT, to=f"<{BOB}>;tag=b")
    scene.bob.answer(scene.bob.expect("BYE"), 200)
    scene.ask("BYE", CONTACT, to=f"<{BOB}>;tag=b", branch="two", call_id="two")
    scene.bob.answer(scene.bob.expect("BYE"), 481)


def special_fields(scene: Scene) -> None:
    for place, line in enumerate(
        ("Privacy: id", "Diversion: <sip:x@y>", "Max-Breadth: 3", "Proxy-Require: x", "Route: <sip:192.0.2.10;lr>")
    ):
        scene.ask(branch=f"f{place}", call_id=f"f{place}", extra=[line])


def full(scene: Scene) -> None:
    scene.house.element.transactions.max_transactions = 1
    scene.ask()


PLAYS: list[Callable[[Scene], None]] = [
    *(answered(status) for status in (200, 299, 404, 408, 503, 600)),
    provisional,
    again,
    silent,
    unreachable,
    refuses_for_a_while,
    suspected,
    redirected,
    without_our_via,
    other_methods,
    in_dialog,
    special_fields,
    full,
]


def played(house: Any, play: Callable[[Scene], None], policy: Policy, **how: Any) -> list[Any]:
    """Play in a house like *house* with *policy*; return all that went out and what the policy saw."""
    made = type(house)(Network(1), policies=[policy], **how)
    made.bind("bob", CONTACT)
    scene = Scene(made, policy)
    play(scene)
    result = scene.result()
    made.element.transactions.max_transactions = 10_000
    made.settle()
    return result


@pytest.fixture
def both(house: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Plays both ways, compares, and returns what came of it."""

    def compare(play: Callable[[Scene], None], make: Callable[[], Policy], short: bool = True, **how: Any) -> list[Any]:
        taken: list[bool] = []

        def spy(*arguments: Any) -> bool:
            taken.append(one_target.forward_to_one(*arguments))
            return taken[-1]

        monkeypatch.setattr(service, "forward_to_one", spy)
        quick = played(house, play, make(), **how)
        monkeypatch.setattr(service, "forward_to_one", lambda *arguments: False)
        assert quick == played(house, play, make(), **how)
        assert any(taken) is short
        return quick

    return compare


@pytest.mark.parametrize("play", PLAYS, ids=lambda play: play.__name__)
def test_both_ways_are_alike(both: Any, play: Callable[[Scene], None]) -> None:
    assert len(both(play, Policy, short=play is not special_fields, settings=ProxySettings(recurse=True))) > 1


@pytest.mark.parametrize("fault", [RemoteProtocolError("not this", status=403), ValueError("wrong")])
def test_policies_that_fail(both: Any, fault: Exception) -> None:
    def play(scene: Scene) -> None:
        scene.ask()
        scene.alice.expect(403 if isinstance(fault, RemoteProtocolError) else 500)

    both(play, lambda: Policy(fault))


@pytest.mark.parametrize("route", ["<sip:192.0.2.10;lr>", "<sip:192.0.2.10>", "<sip:192.0.2.10;transport=ws;lr>"])
def test_policies_that_lead_elsewhere(both: Any, route: str) -> None:
    both(lambda scene: scene.ask(), lambda: Policy(route=route))


def test_guards(both: Any) -> None:
    def guard(request: Any, target: Any, address: Address, incoming: Any) -> None:
        if request.headers.first("x-branch") and address.host == "192.0.2.10":
            raise RemoteProtocolError("not there", status=403)

    def play(scene: Scene) -> None:
        scene.house.proxy.guard = guard
        scene.ask()
        scene.alice.expect(403)
        # In a dialog it is not asked.
        in_dialog(scene)

    both(play, Policy)


@pytest.mark.parametrize(
    ("contact", "fields", "short"),
    [
        ("sip:bob@192.0.2.10;ob", {}, True),
        ("sip:bob@192.0.2.10;method=INVITE", {}, True),
        ("sips:bob@192.0.2.10", {}, False),
        ("sip:carol@example.com", {}, False),
        ("sip:bob@192.0.2.10", {"path": ("<sip:192.0.2.10;lr>",)}, False),
        ("sip:bob@192.0.2.10", {"flow": "gone", "received": "UDP:192.0.2.10:5060", "reg_id": 1}, False),
        ("sip:bob@unknown.example", {}, True),
        ("sip:bob@192.0.2.10;transport=tcp", {}, True),
    ],
)
def test_targets(both: Any, contact: str, fields: dict[str, Any], short: bool) -> None:
    def play(scene: Scene) -> None:
        scene.waits = 70.0
        scene.house.unbind()
        scene.house.bind("bob", contact, **fields)
        scene.ask()

    both(play, Policy, short)


def test_policies_for_other_methods_are_passed_by(make_house: Any) -> None:
    class Calls(Policy):
        for_methods = frozenset(("INVITE",))

    policy, other = Calls(), Policy()
    house = make_house(policies=[policy, other])
    house.bind("bob", CONTACT)
    scene = Scene(house, policy)
    answered(200)(scene)
    scene.alice.expect(200)
    assert policy.seen == [] and other.seen == [("MESSAGE", 200, False, True)]
    in_dialog(scene)
    scene.alice.expect(481)
    assert policy.seen == [("BYE", 200, True, True), ("BYE", 481, True, True)]
