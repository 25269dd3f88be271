"""Routing as a part of every server: static routes, gateways, the least-cost table, ENUM, calls for help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twisted_sip.element.element import Element
from twisted_sip.errors import ConfigurationError
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.routing import IForwardingPolicy, IRouter
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI
from twisted_sip.proxy.gateways.channels import ChannelPolicy
from twisted_sip.proxy.gateways.guard import GatewayGuard
from twisted_sip.proxy.gateways.live import LiveGateway, State
from twisted_sip.proxy.gateways.probes import GatewayProbes
from twisted_sip.proxy.gateways.table import Gateways
from twisted_sip.proxy.routes.e164 import E164
from twisted_sip.proxy.routes.emergency import EmergencyCalls
from twisted_sip.proxy.routes.enum_lookup import ENUMLookup
from twisted_sip.proxy.routes.least_cost import LeastCostTable
from twisted_sip.proxy.routes.ways import Ways
from twisted_sip.proxy.static_routes import StaticRouter
from twisted_sip.tap.control import Command
from twisted_sip.tap.gateway_commands import gateway_commands
from twisted_sip.tap.part import Part, Prepared
from twisted_sip.tap.routing_checks import gateway_names
from twisted_sip.tap.startup import StartFailure

if TYPE_CHECKING:
    from twisted_sip.tap.composition import Server
    from twisted_sip.tap.configuration import Configuration


class RoutingPart(Part):
    """The part.

    :ivar router: asks the static routes, None before the start.
    :ivar gateways: the groups of gateways, None before the start.
    """

    sections = ("route", "gateway", "gateways", "least_cost", "enum", "numbers", "emergency")

    def __init__(self) -> None:
        self.router: StaticRouter | None = None
        self.gateways: Gateways | None = None
        self._probes: GatewayProbes | None = None
        self._ways = Ways()
        self._emergency: EmergencyCalls | None = None
        self._channels: ChannelPolicy | None = None

    def links(self, server: Server, element: Element) -> Sequence[Any]:
        """Make all of it; it has no link of its own.

        :raises StartFailure: the least-cost table cannot be used.
        """
        configuration = server.configuration
        try:
            # The file may have changed since it was looked at.
            table = least_cost(configuration)
        except ConfigurationError as error:
            raise StartFailure("\n".join(error.problems)) from error
        gateways = self.gateways = Gateways(server.reactor.seconds, configuration.gateway, configuration.gateways)
        resolver: Any = element.resolver
        self._ways = Ways(
            gateways,
            table,
            ENUMLookup(lambda: resolver.questions, configuration.enum.suffixes),
            E164(configuration.numbers.region),
        )
        is_local_uri = element.domains.is_local_uri
        self._emergency = EmergencyCalls(gateways, configuration.emergency, is_local_uri)
        server.gauge.spares = self._emergency.spares
        self.router = StaticRouter(
            configuration.route,
            # Where nobody proves anything, on trusted networks, nobody is a stranger.
            is_stranger=lambda incoming: server.configuration.auth.required and not incoming.user,
            is_local_uri=is_local_uri,
            ways=self._ways,
            emergency=self._emergency,
            now=server.reactor.seconds,
        )
        self._probes = GatewayProbes(gateways, element, str(SIPURI(server.domains[0])))
        self._probes.start()
        return ()

    def calls_for_help(self, request: Request) -> bool:
        """Tell whether *request* is for an emergency service (RFC 5031)."""
        return self._emergency is not None and bool(self._emergency.number_of(request))

    def users_only(self, incoming: IncomingRequest) -> bool:
        """Tell whether *incoming* takes a route that is not for strangers."""
        return self.router is not None and self.router.is_for_users(incoming)

    def gateway_at(self, host: str) -> LiveGateway | None:
        """Return the gateway with the numeric address *host* that may call our users, None if there is none."""
        return self.gateways.lets_in(host) if self.gateways else None

    @property
    def guard(self) -> GatewayGuard | None:
        """What keeps requests from gateways that no route leads to; None where there are no gateways."""
        return GatewayGuard(self.gateways) if self.gateways else None

    def routers(self, server: Server, element: Element) -> Sequence[IRouter]:
        return () if self.router is None else (self.router,)

    def policies(self) -> Sequence[IForwardingPolicy]:
        if not self.gateways or not self.gateways.limited:
            return ()
        self._channels = ChannelPolicy(self.gateways)
        return (self._channels,)

    def commands(self) -> Mapping[str, Command]:
        return gateway_commands(self.gateways)

    def read_ahead(self, configuration: Configuration) -> None:
        """Read the least-cost table, unless that was done when the settings were."""
        settings = configuration.least_cost
        if settings.file is not None and not settings.read:
            settings.look(gateway_names(configuration))

    def reload(self, server: Server, configuration: Configuration) -> Prepared | None:
        """Make ready for other routes, gateways and rates; what is known of gateways that stay is kept.

        :raises ConfigurationError: the least-cost table cannot be used.
        """
        table = configuration.least_cost.take(gateway_names(configuration)) or least_cost(configuration)
        e164 = E164(configuration.numbers.region)
        router, gateways, emergency, ways = self.router, self.gateways, self._emergency, self._ways
        assert router is not None and gateways is not None and emergency is not None

        def commit() -> None:
            gateways.adopt(configuration.gateway, configuration.gateways)
            ways.least_cost = table
            ways.e164 = e164
            if ways.enum is not None:
                ways.enum.suffixes = configuration.enum.suffixes
            emergency.adopt(configuration.emergency)
            router.routes = configuration.route
            if server.proxy is not None:
                server.proxy.guard = self.guard
                if self._channels is None:
                    server.proxy.policies += self.policies()

        return Prepared(commit)

    def counts(self) -> Mapping[str, Any]:
        if not self.gateways:
            return {}
        states = [gateway.enabled and gateway.state is State.UP for gateway in self.gateways]
        return {"gateways": len(states), "gateways up": sum(states)}

    async def close(self) -> None:
        probes, self._probes = self._probes, None
        if probes is not None:
            probes.stop()


def least_cost(configuration: Configuration) -> LeastCostTable | None:
    """Return the table of rates, None if there is none.

    :raises ConfigurationError: with every fault of it.
    """
    names = gateway_names(configuration)
    faults = configuration.least_cost.look(names)
    if faults:
        raise ConfigurationError(faults)
    return configuration.least_cost.take(names)
