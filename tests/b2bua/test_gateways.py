"""Calls of the b2bua to gateways: who is silent, who has no place left, and who gets there without a route."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock

from twisted_sip.interfaces.routing import Target
from twisted_sip.message.uri import parse_uri
from twisted_sip.proxy.gateways.settings import Gateway, GatewaysSettings
from twisted_sip.proxy.gateways.table import Gateways
from twisted_sip.proxy.routes.ways import Ways
from twisted_sip.proxy.static_routes import StaticRoute, StaticRouter

from .scene import Scene
from .scripted import Party, sdp

FIRST, SECOND = "198.51.100.50", "198.51.100.51"


class Trunk(Scene):
    """Numbers that begin with 0 go to two gateways, one after the other."""

    def __init__(self, **how: Any) -> None:
        made = [
            Gateway(group="g", uri=f"sip:{host}", priority=place, max_calls=1)
            for place, host in enumerate((FIRST, SECOND))
        ]
        # The network is there when somebody asks for the time.
        self.network: Any = Clock()
        self.gateways = Gateways(self.seconds, made, GatewaysSettings(probe_interval=0), lambda below: 0)
        routes = [StaticRoute(user="0*", to=("gateway:g",))]
        super().__init__(routes=StaticRouter(routes, ways=Ways(self.gateways), now=self.seconds), **how)
        self.first, self.second = Party(self, "one", 50), Party(self, "two", 51)

    def seconds(self) -> float:
        return float(getattr(self.network, "clock", self.network).seconds())


@pytest.fixture
def trunk() -> Any:
    made = Trunk()
    yield made
    made.run(200)
    made.stop()
    assert not any(len(gateway.channels) for gateway in made.gateways)


def call(trunk: Any, uri: str = "sip:0123@example.com", number: int = 9) -> Party:
    alice = Party(trunk, f"alice{number}", number)
    alice.call(uri, body=sdp())
    return alice


def accepted(party: Party, body: bytes) -> None:
    party.answer(party.invited(), 200, body=body)


def test_one_that_is_silent(trunk: Any) -> None:
    """After three seconds the next one is tried; what comes afterwards is turned away."""
    alice = call(trunk)
    late = trunk.first.invited()
    trunk.second.peer.expect_nothing(within=2.5)
    accepted(trunk.second, sdp(4002))
    alice.response(200)
    alice.ack()
    first, second = trunk.gateways
    assert first.failed == 1 and second.failed == 0 and len(trunk.b2bua.bridged) == 1
    # RFC 3261 sections 9.1 and 15: CANCEL had to wait, and a 2xx is acknowledged and ended.
    trunk.first.answer(late, 200, body=sdp(4003))
    trunk.first.peer.expect("ACK")
    trunk.first.answer(trunk.first.peer.expect("BYE"), 200)
    alice.request("BYE")
    trunk.second.answer(trunk.second.peer.expect("BYE"), 200)


def test_one_that_is_at_work(trunk: Any) -> None:
    """A 100 is enough."""
    alice = call(trunk)
    invite = trunk.first.invited()
    trunk.first.answer(invite, 100)
    trunk.run(10)
    trunk.second.peer.expect_nothing()
    trunk.first.answer(invite, 486)
    alice.response(486)


@pytest.mark.parametrize(("ringing", "next_one"), [(180, False), (183, True)])
def test_one_that_has_reached_the_callee(trunk: Any, ringing: int, next_one: bool) -> None:
    """The callee's telephone does not ring again by another way."""
    alice = call(trunk)
    invite = trunk.first.invited()
    trunk.first.answer(invite, ringing)
    trunk.run(1)
    trunk.first.answer(invite, 503)
    if next_one:
        trunk.second.answer(trunk.second.invited(), 486)
        alice.response(486)
    else:
        # RFC 3261 section 16.7 step 6: our server can be reached.
        alice.response(500)
        trunk.second.peer.expect_nothing()


def test_nobody_is_left(trunk: Any) -> None:
    alice = call(trunk)
    trunk.run(6.5)
    alice.response(480)
    assert not trunk.b2bua.bridged


def test_as_many_calls_as_it_has_places(trunk: Any) -> None:
    alice = call(trunk)
    accepted(trunk.first, sdp(4002))
    alice.response(200)
    alice.ack()
    other = call(trunk, number=10)
    accepted(trunk.second, sdp(4004))
    other.response(200)
    other.ack()
    third = call(trunk, number=11)
    trunk.run(1)
    assert [len(gateway.channels) for gateway in trunk.gateways] == [1, 1]
    third.response(503)
    alice.request("BYE")
    trunk.first.answer(trunk.first.peer.expect("BYE"), 200)
    trunk.run(1)
    assert [len(gateway.channels) for gateway in trunk.gateways] == [0, 1]
    other.request("BYE")
    trunk.second.answer(trunk.second.peer.expect("BYE"), 200)


def test_a_transfer_to_a_number(trunk: Any) -> None:
    """The first gateway is silent, the second one takes it."""
    alice, bob = Party(trunk, "alice", 9), Party(trunk, "bob", 8)
    alice.call(bob.uri, body=sdp())
    bob.answer(bob.invited(), 200, body=sdp(4002, host="198.51.100.8"))
    alice.response(200)
    alice.ack()
    trunk.run(1)
    bob.request("REFER", ("refer-to", "<sip:0123@example.com>"))
    trunk.first.invited()
    trunk.run(3.1)
    invite = trunk.second.invited()
    assert [gateway.failed for gateway in trunk.gateways] == [1, 0]
    trunk.second.answer(invite, 486)
    trunk.run(40)


@pytest.mark.parametrize("no_response", [0.0, 1.0])
def test_how_long_it_may_be_silent(no_response: float) -> None:
    made = Trunk()
    gateways = [attrs.evolve(gateway.settings, max_calls=0) for gateway in made.gateways]
    made.gateways.adopt(gateways, GatewaysSettings(probe_interval=0, no_response=no_response))
    call(made)
    made.first.invited()
    made.run(1.5)
    assert made.gateways.groups["g"][0].failed == (1 if no_response else 0)
    made.run(300)
    made.stop()


# -- without a route -------------------------------------------------------------------------


def refused(trunk: Any, uri: str) -> None:
    alice = call(trunk, uri)
    alice.response(403)
    trunk.first.peer.expect_nothing()


def test_registered_as_a_contact(trunk: Any) -> None:
    trunk.bind("bob", f"sip:1900@{FIRST}")
    refused(trunk, "sip:bob@example.com")


def test_behind_a_path(trunk: Any) -> None:
    trunk.bind("bob", "sip:1900@198.51.100.77", path=(f"<sip:{FIRST};lr>",))
    refused(trunk, "sip:bob@example.com")


def test_a_name_of_ones_own(trunk: Any) -> None:
    trunk.b2bua.element.resolver._names.a("evil.example.net", FIRST)
    refused(trunk, "sip:1900@evil.example.net")


def test_where_a_callee_redirects() -> None:
    made = Trunk(settings={"redirects": "anywhere"})
    bob = Party(made, "bob", 2)
    alice = call(made, "sip:bob@example.com")
    bob.peer.answer(bob.invited(), 302, [("contact", f"<sip:1900@{FIRST}>")])
    alice.response(403)
    made.first.peer.expect_nothing()
    made.run(200)
    made.stop()


def test_a_gateway_that_has_registered(trunk: Any) -> None:
    trunk.bind("pbx", f"sip:pbx@{FIRST}", received=f"UDP:{FIRST}:5060")
    alice = call(trunk, "sip:pbx@example.com")
    trunk.first.answer(trunk.first.invited(), 486)
    alice.response(486)


def test_where_a_program_leads(trunk: Any) -> None:
    trunk.b2bua.route = lambda call: f"sip:1900@{FIRST}"
    alice = call(trunk, "sip:bob@example.com")
    trunk.first.answer(trunk.first.invited(), 486)
    alice.response(486)
    trunk.b2bua.route = lambda call: Target(uri=parse_uri(f"sip:1900@{FIRST}"))
    call(trunk, "sip:bob@example.com", 10).response(403)
