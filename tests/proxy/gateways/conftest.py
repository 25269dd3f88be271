"""A proxy with gateways on the simulated network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from twisted_sip.element.decisions import Decisions
from twisted_sip.proxy.gateways.probes import GatewayProbes
from twisted_sip.proxy.gateways.settings import Gateway, GatewaysSettings
from twisted_sip.proxy.gateways.table import Gateways
from twisted_sip.proxy.routes.ways import Ways
from twisted_sip.proxy.static_routes import StaticRoute, StaticRouter
from twisted_sip.testing.network import Network


def entries(*uris: str, group: str = "g", **how: Any) -> list[Gateway]:
    """Return gateways of one group, by default one after the other."""
    made = []
    for place, uri in enumerate(uris):
        made.append(Gateway(**{"group": group, "uri": uri, "priority": place, **how}))
    return made


class Trunk:
    """A proxy whose numbers that begin with 0 go to gateways.

    :ivar house: the proxy.
    :ivar gateways: the table.
    :ivar probes: those that look after them.
    :ivar decisions: what was noted.
    """

    def __init__(
        self,
        network: Network,
        make_house: Callable[..., Any],
        gateways: list[Gateway],
        settings: GatewaysSettings | None = None,
        route: StaticRoute | None = None,
        **how: Any,
    ) -> None:
        # The least that may be drawn: of several the first one comes first.
        self.gateways = Gateways(network.clock.seconds, gateways, settings or quiet(), lambda below: 0)
        router = StaticRouter(
            [route or StaticRoute(user="0*", to=("gateway:g",))], ways=Ways(self.gateways), now=network.clock.seconds
        )
        self.house = make_house(routers=[router], **how)
        self.decisions = self.house.element.decisions = Decisions(network.clock.seconds)
        self.probes = GatewayProbes(self.gateways, self.house.element, "sip:example.com")

    def call(self, number: str = "0123", **fields: Any) -> tuple[Any, str]:
        """Call *number* from a new peer; return it and the INVITE."""
        caller = self.house.peer("192.0.2.2")
        text = self.house.request("INVITE", f"sip:{number}@example.com", **fields)
        self.house.send(caller, text)
        return caller, text

    def states(self) -> list[str]:
        """Return the states of all gateways."""
        return [gateway.state.value for gateway in self.gateways]

    def notes(self, call_id: str = "call") -> list[str]:
        """Return what was noted of gateways."""
        return [each.text for each in self.decisions.call(call_id) if each.room == "gateway"]


def quiet(**how: Any) -> GatewaysSettings:
    """Return settings without probes."""
    return GatewaysSettings(**{"probe_interval": 0.0, **how})


@pytest.fixture
def trunk(network: Network, make_house: Callable[..., Any]) -> Iterator[Callable[..., Trunk]]:
    """Makes proxies with gateways; nothing is left of them."""
    made: list[Trunk] = []

    def make(*uris: str, settings: GatewaysSettings | None = None, **how: Any) -> Trunk:
        entry = {key: how.pop(key) for key in ("group", "priority", "weight", "probe_interval") if key in how}
        made.append(Trunk(network, make_house, entries(*uris, **entry), settings, **how))
        return made[-1]

    yield make
    for each in made:
        each.probes.stop()
        assert not len(each.probes)
