"""Where routes lead: to SIP URIs, to groups of gateways, to the cheapest gateway of a table, to what ENUM says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted_sip.errors import LocalProtocolError
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.routing import RingTime, Target
from twisted_sip.message.builders import response_to
from twisted_sip.message.response import Response
from twisted_sip.proxy.gateways.table import Gateways
from twisted_sip.proxy.routes.enum_lookup import ENUMLookup
from twisted_sip.proxy.routes.least_cost import LeastCostTable
from twisted_sip.proxy.routes.rewriting import Template

if TYPE_CHECKING:
    from twisted_sip.proxy.static_routes import StaticRoute

#: How a group of gateways is written, and what else is no URI.
GATEWAY = "gateway:"
LEAST_COST = "least-cost"
ENUM = "enum"

Found = Sequence[Target] | Response


class Asked(NamedTuple):
    """What a route is to lead to targets.

    :ivar incoming: the request.
    :ivar user: the user part as rewritten.
    :ivar values: the fields of templates.
    :ivar route: the route.
    :ivar key: the key of the configuration that leads there.
    """

    incoming: IncomingRequest
    user: str
    values: dict[str, str]
    route: StaticRoute
    key: str

    @property
    def no_answer(self) -> float:
        """Seconds that each target may ring, as Target.no_answer says it."""
        given = self.route.no_answer
        return RingTime(given, f"{self.key.removesuffix('.to')}.no_answer") if given else 0.0


class Step(NamedTuple):
    """One entry of ``to``, read once.

    :ivar kind: ``uri``, ``gateway``, ``least-cost`` or ``enum``.
    :ivar group: the group of a gateway.
    :ivar template: the URI.
    """

    kind: str
    group: str = ""
    template: Template | None = None


class Steps(NamedTuple):
    """All entries of ``to``.

    :ivar steps: them, in order.
    :ivar uris: their templates, where all of them are URIs; else nothing.
    :ivar looks_up: something has to be waited for.
    """

    steps: tuple[Step, ...]
    uris: tuple[Template, ...]
    looks_up: bool


def step_of(text: str) -> Step:
    """Return what *text*, an entry of ``to``, means."""
    if text.startswith(GATEWAY):
        return Step("gateway", text.removeprefix(GATEWAY))
    if text in (LEAST_COST, ENUM):
        return Step(text)
    return Step("uri", template=Template(text))


def _no_number(user: str) -> str:
    return user if user[:1] == "+" and user[1:].isdigit() else ""


class Ways:
    """Finds the targets of routes.

    :ivar gateways: the groups of gateways.
    :ivar least_cost: the table of rates, None for none.
    :ivar enum: asks the DNS, None where there is no ENUM.
    :ivar e164: turns a number into E.164, an empty text where it cannot.
    """

    def __init__(
        self,
        gateways: Gateways | None = None,
        least_cost: LeastCostTable | None = None,
        enum: ENUMLookup | None = None,
        e164: Callable[[str], str] = _no_number,
    ) -> None:
        self.gateways = gateways
        self.least_cost = least_cost
        self.enum = enum
        self.e164 = e164

    def steps(self, route: StaticRoute) -> Steps:
        """Return what the ``to`` of *route* means."""
        steps = tuple(step_of(text) for text in route.to)
        uris = tuple(step.template for step in steps if step.template is not None)
        return Steps(steps, uris if len(uris) == len(steps) else (), any(step.kind == ENUM for step in steps))

    def targets(self, steps: Steps, asked: Asked) -> Found | Awaitable[Found]:
        """Return the targets of all *steps*, or a response if there are none where some ought to be.

        :raises RemoteProtocolError: what was asked for cannot stand where the route puts it.
        """
        if steps.uris:
            no_answer = asked.no_answer
            one_after_the_other = asked.route.fork == "serial"
            return [
                Target(
                    uri=template.uri(asked.values),
                    q=1000 - place if one_after_the_other else 1000,
                    no_answer=no_answer,
                    configured=True,
                )
                for place, template in enumerate(steps.uris)
            ]
        if steps.looks_up:
            return self._looked_up(steps.steps, asked)
        return self._all(steps.steps, asked, ())

    async def _looked_up(self, steps: Sequence[Step], asked: Asked) -> Found:
        enum, number = self.enum, self.e164(asked.user)
        found: Sequence[Any] = ()
        if enum is not None and number:
            answer = enum.find(number)
            found = await answer if isawaitable(answer) else answer
            asked.incoming.note("enum", f"{number}: {', '.join(map(str, found)) or 'nothing found'}", asked.key)
        return self._all(steps, asked, found)

    def _all(self, steps: Sequence[Step], asked: Asked, enumerated: Sequence[Any]) -> Found:
        targets: list[Target] = []
        no_answer = asked.no_answer
        gateways_only = True
        for step in steps:
            # One after the other, whatever they are.
            q = 1000 - len(targets)
            if step.kind == "gateway":
                targets += self._group(step.group, asked, q)
                continue
            gateways_only = False
            if step.kind == LEAST_COST:
                targets += self._cheapest(asked, q)
            elif step.kind == ENUM:
                targets += [Target(uri=uri, q=q - place, no_answer=no_answer) for place, uri in enumerate(enumerated)]
            else:
                assert step.template is not None
                uri = step.template.uri(asked.values)
                targets.append(Target(uri=uri, q=q, no_answer=no_answer, configured=True))
        if not targets and gateways_only and steps:
            asked.incoming.note("gateway", "no gateway is enabled and free", asked.key)
            return response_to(asked.incoming.request, 503, to_tag=asked.incoming.to_tag)
        return targets

    def _group(self, group: str, asked: Asked, q: int) -> list[Target]:
        if self.gateways is None:
            raise LocalProtocolError(f"there are no gateways {group}")
        return self.gateways.targets(group, asked.user, q, asked.no_answer)

    def _cheapest(self, asked: Asked, q: int) -> list[Target]:
        table, gateways = self.least_cost, self.gateways
        if table is None or gateways is None:
            return []
        targets: list[Target] = []
        known: set[int] = set()
        for rate in table.find(self.e164(asked.user) or asked.user):
            for gateway in gateways.choose(rate.gateway) or gateways.usable(rate.gateway):
                if id(gateway) not in known:
                    known.add(id(gateway))
                    targets.append(gateway.target(asked.user, q - len(targets), asked.no_answer))
                    asked.incoming.note(
                        "least-cost", f"{rate.prefix} at {rate.rate}: {gateway.settings.label}", rate.place
                    )
        return targets
