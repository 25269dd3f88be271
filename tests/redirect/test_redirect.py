"""The redirect server: where it sends callers (RFC 3261 sections 8.3 and 21.3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from tests.proxy.conftest import House, ack_for, in_dialog, request
from twisted_sip.interfaces.call_policy import CallPolicy
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.uri import parse_uri
from twisted_sip.proxy.policy_router import PolicyRouter
from twisted_sip.proxy.routes.emergency import EmergencyCalls, EmergencySettings
from twisted_sip.proxy.static_routes import StaticRoute, StaticRouter
from twisted_sip.redirect.service import RedirectService
from twisted_sip.redirect.settings import RedirectSettings
from twisted_sip.storage.call_policy_memory import MemoryCallPolicyStore
from twisted_sip.testing.network import Network

BOB, CAROL = "sip:bob@example.com", "sip:carol@example.com"


@pytest.fixture
def make_house() -> Iterator[Callable[..., Any]]:
    houses: list[House] = []

    def make(*routes: StaticRoute, link: type[RedirectService] = RedirectService, **how: Any) -> Any:
        admit = how.pop("admit", True)
        house = House(Network(1), routers=[StaticRouter(routes)], admit=admit)
        houses.append(house)
        element = house.element
        house.policies = MemoryCallPolicyStore()  # type: ignore[attr-defined]
        now = house.node.seconds
        house.proxy.routers.append(PolicyRouter(house.policies, element.domains.is_local_uri, now, lambda: house.proxy))  # type: ignore[attr-defined]
        house.redirect = element.chain[-1] = link(element, house.proxy, now, **how)  # type: ignore[attr-defined]
        house.bind("bob", "sip:bob@192.0.2.10")
        house.alice = house.peer("192.0.2.2")  # type: ignore[attr-defined]
        return house

    yield make
    for house in houses:
        house.settle()


@pytest.fixture
def house(make_house: Any) -> Any:
    return make_house()


def test_how_devices_are_woken_is_nobody_elses_business(make_house: Any) -> None:
    """RFC 8599 section 13: who knows it may have them woken."""
    house = make_house(history_info=lambda: "always")
    house.unbind()
    house.bind("bob", "sip:bob@192.0.2.10;pn-provider=apns;PN-prid=secret;ob;pn-param=app")
    response = asked(house, 302, extra=["Supported: histinfo"])
    assert response.headers.all("contact") == ["<sip:bob@192.0.2.10;ob>;rc=1"]
    assert "secret" not in str(response.headers.all("history-info"))


def asked(house: Any, status: int, uri: str = BOB, method: str = "INVITE", **how: Any) -> Any:
    text = request(method, uri, branch=f"b{house.node.seconds()}", call_id=f"c{house.node.seconds()}", **how)
    house.send(house.alice, text)
    response = house.alice.expect(status)
    if method == "INVITE":
        house.send(house.alice, ack_for(text, response))
    house.network.advance(1)
    return response


def contacts(response: Any) -> list[str]:
    return list(response.headers.elements("contact"))


def test_one_place(house: Any) -> None:
    """302, good for this request alone."""
    response = asked(house, 302)
    assert response.reason == "Moved Temporarily" and response.to.tag
    assert contacts(response) == ["<sip:bob@192.0.2.10>"]
    assert "expires" not in response.headers


def test_several_places_in_order(house: Any) -> None:
    house.bind("bob", "sip:bob@192.0.2.11", q=500)
    house.bind("bob", "sip:bob@192.0.2.12", q=500, registered_at=-1.0)
    assert contacts(asked(house, 300)) == [
        "<sip:bob@192.0.2.10>;q=1.0",
        "<sip:bob@192.0.2.11>;q=0.5",
        "<sip:bob@192.0.2.12>;q=0.5",
    ]


def test_places_that_are_no_sip_uris(house: Any) -> None:
    """Section 21.3: any URI may stand there, and callers choose what they understand."""
    house.bind("bob", "tel:+4930123", q=500)
    house.bind("bob", "mailto:bob@example.org", q=100)
    house.proxy.location_router.any_scheme = True
    assert contacts(asked(house, 300)) == [
        "<sip:bob@192.0.2.10>;q=1.0",
        "<tel:+4930123>;q=0.666",
        "<mailto:bob@example.org>;q=0.333",
    ]


@pytest.mark.parametrize("uri", ["tel:112;phone-context=example.com", "sip:112@example.com"])
def test_calls_for_help_that_would_keep_their_uri(house: Any, uri: str) -> None:
    """No Route can be told: callers are sent to the proxy that would stand in it."""
    settings = EmergencySettings(to=("sip:esrp.example.net:5070;lr;transport=tcp",))
    house.proxy.routers[0].emergency = EmergencyCalls(None, settings, house.element.domains.is_local_uri)
    assert contacts(asked(house, 302, uri)) == ["<sip:esrp.example.net:5070;transport=tcp>"]


def test_for_how_long(make_house: Any) -> None:
    """Never longer than the registration lasts."""
    house = make_house(
        StaticRoute(user="desk", to=("sip:desk@192.0.2.9",)), settings=lambda: RedirectSettings(expires=60)
    )
    assert contacts(asked(house, 302)) == ["<sip:bob@192.0.2.10>;expires=60"]
    house.bind("bob", "sip:bob@192.0.2.10", expires_at=house.node.seconds() + 30.5)
    assert contacts(asked(house, 302)) == ["<sip:bob@192.0.2.10>;expires=30"]
    assert contacts(asked(house, 302, "sip:desk@example.com")) == ["<sip:desk@192.0.2.9>;expires=60"]


@pytest.mark.parametrize("method", ["MESSAGE", "SUBSCRIBE", "UNHEARD-OF"])
def test_every_method_and_extension(house: Any, method: str) -> None:
    """Section 8.3: what is not understood is no matter."""
    response = asked(house, 302, method=method, extra=["Require: unheard-of", "Proxy-Require: x"])
    assert contacts(response) == ["<sip:bob@192.0.2.10>"]


def test_nobody_there(house: Any) -> None:
    asked(house, 480, CAROL)
    asked(house, 404, "tel:+15551234")


def test_not_to_where_it_was_sent(house: Any) -> None:
    """Section 8.3."""
    asked(house, 404, "sip:x@192.0.2.99")
    house.bind("carol", CAROL)
    asked(house, 404, CAROL)
    house.bind("carol", "SIP:carol@EXAMPLE.com:5060;x=y", key="other", q=1)
    assert contacts(asked(house, 302, CAROL)) == ["<SIP:carol@EXAMPLE.com:5060;x=y>;q=0.5"]


def test_tls_is_no_transport_parameter(house: Any) -> None:
    """RFC 5630 section 5.4."""
    house.bind("carol", "sip:carol@192.0.2.11;transport=tls;x=y")
    assert contacts(asked(house, 302, CAROL)) == ["<sip:carol@192.0.2.11;x=y>"]


def test_routes(make_house: Any) -> None:
    house = make_house(
        StaticRoute(user="desk", to=("sip:a@192.0.2.20", "sip:b@192.0.2.21"), fork="serial"),
        StaticRoute(user="4711", status=410),
        StaticRoute(user="team", to=("sip:a@192.0.2.20", "sip:a@192.0.2.20")),
    )
    assert contacts(asked(house, 300, "sip:desk@example.com")) == [
        "<sip:a@192.0.2.20>;q=1.0",
        "<sip:b@192.0.2.21>;q=0.5",
    ]
    asked(house, 410, "sip:4711@example.com")
    assert contacts(asked(house, 302, "sip:team@example.com")) == ["<sip:a@192.0.2.20>;q=1.0"]


def test_call_policies(make_house: Any) -> None:
    house = make_house(diversion=lambda: True)
    house.bind("carol", "sip:carol@192.0.2.11")
    house.policies.set(BOB, CallPolicy(forward_always=CAROL))
    response = asked(house, 302)
    assert contacts(response) == ["<sip:carol@192.0.2.11>"]
    assert response.headers.all("diversion") == [f"<{BOB}>;reason=unconditional;counter=1"]
    house.policies.set(BOB, CallPolicy(do_not_disturb=True))
    asked(house, 480)


def test_caller_preferences(house: Any) -> None:
    house.bind("bob", "sip:bob@192.0.2.11", params=";video", q=100)
    house.bind("bob", "sip:bob@192.0.2.10", params=";audio", q=100)
    response = asked(house, 300, extra=["Accept-Contact: *;video"])
    # Without the features: whoever is upstream shall not apply the preferences once more (RFC 3841 section 7.2.4).
    assert contacts(response) == ["<sip:bob@192.0.2.11>;q=1.0", "<sip:bob@192.0.2.10>;q=0.5"]
    asked(house, 480, extra=["Accept-Contact: *;text;require;explicit"])
    asked(house, 400, extra=["Accept-Contact: text"])


@pytest.mark.parametrize(("mode", "written"), [("asked", True), ("never", False)])
def test_history(make_house: Any, mode: str, written: bool) -> None:
    """RFC 7044 section 8."""
    house = make_house(StaticRoute(user="desk", to=("sip:desk@192.0.2.9",)), history_info=lambda: mode)
    response = asked(house, 302, extra=["Supported: histinfo"])
    assert contacts(response) == ["<sip:bob@192.0.2.10>" + (";rc=1" if written else "")]
    assert response.headers.all("history-info") == ([f"<{BOB}>;index=1"] if written else [])
    response = asked(house, 302, "sip:desk@example.com", extra=["History-Info: <sip:x@example.net>;index=1.2"])
    assert contacts(response) == ["<sip:desk@192.0.2.9>" + (";mp=1.2.0" if written else "")]


def test_acks_end_here(house: Any) -> None:
    house.send(house.alice, request("ACK", BOB))
    house.alice.expect_nothing(within=1.0)


def test_nobody_is_in_a_dialog_with_it(house: Any) -> None:
    house.send(house.alice, in_dialog("BYE", BOB, [], to=f"<{BOB}>;tag=x"))
    house.alice.expect(481)


@pytest.mark.parametrize("open_to_all", [False, True])
def test_what_nobody_has_admitted(make_house: Any, open_to_all: bool) -> None:
    house = make_house(admit=False, open_to_all=open_to_all)
    asked(house, 302 if open_to_all else 403)


class Elsewhere(RedirectService):
    """Somebody's own decision, which takes its time."""

    waiting: Deferred[Any]

    def route(self, incoming: Any) -> Any:
        self.waiting = Deferred()
        return self.waiting


class Coroutine(RedirectService):
    async def route(self, incoming: Any) -> Any:  # type: ignore[override]
        return [Target(uri=parse_uri("mailto:bob@example.com"))]


class InASequence(RedirectService):
    def route(self, incoming: Any) -> Any:
        return deque([Target(uri=parse_uri("mailto:bob@example.com"))])


@pytest.mark.parametrize("link", [Coroutine, InASequence])
def test_a_decision_of_its_own(make_house: Any, link: type[RedirectService]) -> None:
    """Any URI may stand there (section 8.3)."""
    assert contacts(asked(make_house(link=link), 302)) == ["<mailto:bob@example.com>"]


def test_cancelled_meanwhile(make_house: Any) -> None:
    house = make_house(link=Elsewhere)
    house.admit.user = CAROL
    text = request("INVITE", BOB)
    house.send(house.alice, text)
    house.network.advance(1)
    house.send(house.alice, text.replace("INVITE sip", "CANCEL sip").replace("1 INVITE", "1 CANCEL"))
    house.alice.expect(200)
    response = house.alice.expect(487)
    house.send(house.alice, ack_for(text, response))
    house.redirect.waiting.callback([Target(uri=parse_uri("sip:bob@192.0.2.10"))])
    house.alice.expect_nothing(within=1.0)


def test_a_crowd(house: Any) -> None:
    for number in range(50):
        house.bind("carol", f"sip:carol@192.0.2.{100 + number}")
    assert len(contacts(asked(house, 300, CAROL))) == 32
