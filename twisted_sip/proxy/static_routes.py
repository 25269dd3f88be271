"""Static routes: patterns on a request, and what becomes of those that fit (RFC 3261 section 16.5).

Who is asked for may be rewritten, and goes to URIs, to a group of gateways, to the cheapest of those of a table, or to
where ENUM says.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from inspect import isawaitable
from typing import Any

import attrs
from zope.interface import implementer

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.routing import IRouter, Target
from twisted_sip.message.builders import response_to
from twisted_sip.message.response import Response
from twisted_sip.message.uri import URI, parse_uri
from twisted_sip.proxy.gateways.live import LiveGateway
from twisted_sip.proxy.routes.conditions import Conditions
from twisted_sip.proxy.routes.dialled import Dialled, dialled
from twisted_sip.proxy.routes.emergency import EmergencyCalls
from twisted_sip.proxy.routes.rewriting import FIELD, Rewriting
from twisted_sip.proxy.routes.ways import Asked, Ways

#: What routers give.
Routed = Sequence[Target] | Response


@attrs.frozen(slots=True, kw_only=True)
class StaticRoute:
    """One route.

    :ivar method: a method name or pattern (``*``, ``?``, ``[...]``); case-sensitive.
    :ivar user: a pattern for the user part, or the number of a tel URI. What each ``*`` and ``?`` stands for can be
        referred to: ``{1}``, ``{2}`` ...
    :ivar user_matches: a regular expression for the whole user part beside that; ``{1}`` ... and ``{name}`` are its
        groups.
    :ivar host: a pattern for the host; case-insensitive. A global tel URI has none: only ``*`` fits it.
    :ivar caller: a pattern for who calls, as ``user@host``; case-insensitive.
    :ivar headers: patterns for header fields by their names; case-insensitive.
    :ivar hours: when the route is open; always if there are none.
    :ivar time_zone: the time zone of the hours.
    :ivar e164: turn the number into E.164 first; where that cannot be the route does not fit.
    :ivar rewrite: what becomes of the user part: a template.
    :ivar strip: characters to take off the user part.
    :ivar strip_prefix: what to take off the user part where it begins so.
    :ivar add_prefix: what to put before it then.
    :ivar to: where to: SIP URIs, ``gateway:GROUP``, ``least-cost`` or ``enum``. ``{user}`` and ``{host}`` stand for
        what the Request-URI has.
    :ivar fork: ``parallel`` or ``serial``.
    :ivar no_answer: seconds for which each target may ring before the next one is tried, 0 for as long as Timer C lets
        it.
    :ivar status: answer with this status instead, 0 to forward.
    :ivar reason: the reason phrase that goes with it.
    :ivar strangers: let callers from elsewhere take it too where it leads to others than our own users. Without, they
        are refused: a route to a gateway must not make everybody's calls at our cost.
    """

    method: str = attrs.field(default="*", metadata={"help": "a method name, or a pattern with * and ?"})
    user: str = attrs.field(default="*", metadata={"help": "a pattern for the user part of the Request-URI"})
    user_matches: str = attrs.field(
        default="", metadata={"help": "a regular expression for the whole user part, beside the pattern"}
    )
    host: str = attrs.field(default="*", metadata={"help": "a pattern for the host of the Request-URI"})
    caller: str = attrs.field(
        default="*",
        metadata={"help": "a pattern for who calls, as user@host: who was proved, or what From says of strangers"},
    )
    headers: dict[str, str] = attrs.field(
        factory=dict, metadata={"help": "patterns for header fields by name; one value of each has to fit"}
    )
    hours: tuple[str, ...] = attrs.field(
        default=(), metadata={"help": "when the route is open, as mon-fri 09:00-17:00; without any it always is"}
    )
    time_zone: str = attrs.field(default="UTC", metadata={"help": "the time zone of the hours, as Europe/Berlin"})
    e164: bool = attrs.field(
        default=False,
        metadata={
            "help": "turn the number into E.164 (+4930...) first, by the region of [numbers]; else it does not fit"
        },
    )
    rewrite: str = attrs.field(
        default="", metadata={"help": "a template for the user part: {user}, {host}, {1}, {name}"}
    )
    strip: int = attrs.field(
        default=0,
        validator=[attrs.validators.ge(0)],
        metadata={"help": "so many characters are taken off the user part"},
    )
    strip_prefix: str = attrs.field(
        default="", metadata={"help": "this is taken off where the user part begins with it"}
    )
    add_prefix: str = attrs.field(default="", metadata={"help": "this is put before the user part afterwards"})
    to: tuple[str, ...] = attrs.field(
        default=(),
        metadata={"help": "one or several target URIs, {user} and {host} filled in; gateway:GROUP, least-cost, enum"},
    )
    fork: str = attrs.field(
        default="parallel",
        validator=attrs.validators.in_(("parallel", "serial")),
        metadata={"help": "how several URIs are tried: parallel or serial; always serial where one of them is none"},
    )
    no_answer: float = attrs.field(
        default=0.0,
        validator=[attrs.validators.ge(0.0), attrs.validators.le(180.0)],
        metadata={"help": "seconds that each target may ring before the next one is tried, 0 for timer_c"},
    )
    status: int = attrs.field(
        default=0, metadata={"help": "answer with this status (300 to 699) instead of forwarding"}
    )
    reason: str = attrs.field(default="", metadata={"help": "the reason phrase of that answer"})
    strangers: bool = attrs.field(
        default=False,
        metadata={"help": "let callers from elsewhere take it too, where it leads to others than your own users"},
    )

    def fits(self, method: str, user: str, host: str) -> bool:
        """Tell whether a request of *method* for *user* at *host* takes this route, as far as these decide."""
        return Conditions(self, time.time).asks_for(method, Dialled(user, host)) is not None


#: Strangers for whom something is looked up at one time: they leave the rest of what the DNS is asked to others.
_MOST_STRANGERS = 128


class _Ready:
    """A route made ready: its patterns and templates are read once."""

    __slots__ = ("conditions", "key", "rewriting", "route", "steps", "words")

    def __init__(self, route: StaticRoute, place: int, ways: Ways, now: Callable[[], float]) -> None:
        self.route = route
        self.key = f"route[{place}]"
        self.conditions = Conditions(route, now)
        self.rewriting = Rewriting(route)
        self.steps = ways.steps(route)
        asked = route.user if not route.user_matches else f"/{route.user_matches}/"
        self.words = f"{asked} goes to {', '.join(route.to)}"


def _nobody(incoming: IncomingRequest) -> bool:
    return False


def _nowhere(uri: URI) -> bool:
    return False


@implementer(IRouter)
class StaticRouter:
    """Asks the static routes, the first that fits and leads somewhere decides.

    :ivar emergency: calls for help go before all routes; None for none.
    """

    def __init__(
        self,
        routes: Sequence[StaticRoute] = (),
        *,
        is_stranger: Callable[[IncomingRequest], bool] = _nobody,
        is_local_uri: Callable[[URI], bool] = _nowhere,
        ways: Ways | None = None,
        emergency: EmergencyCalls | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Make a router.

        :param is_stranger: tells who may take routes to our own users, and routes for strangers, only.
        :param is_local_uri: tells whether a URI is in one of our domains.
        :param ways: where routes lead to beside SIP URIs.
        :param now: seconds since the epoch, for routes that are open at times.
        """
        self._is_stranger = is_stranger
        self._is_local_uri = is_local_uri
        self._ways = ways or Ways()
        self._now = now
        self.emergency = emergency
        self._waiting = 0
        self.routes = tuple(routes)

    @property
    def gateways(self) -> Iterable[LiveGateway]:
        """All gateways that routes may lead to."""
        return self._ways.gateways or ()

    @property
    def routes(self) -> tuple[StaticRoute, ...]:
        """The routes, in order; may be swapped whole at any time."""
        return self._routes

    @routes.setter
    def routes(self, routes: Sequence[StaticRoute]) -> None:
        self._routes = tuple(routes)
        self._ready = [_Ready(route, place, self._ways, self._now) for place, route in enumerate(self._routes)]

    def route(self, incoming: IncomingRequest) -> Routed | Awaitable[Routed]:
        """Return the targets or the answer of the first route that fits, an empty sequence if none does.

        A route that leads to where something has to be looked up, and nothing is found, is passed over.
        """
        emergency = self.emergency
        if emergency is not None and emergency.active:
            found = emergency.find(incoming, self._is_stranger)
            if found:
                return found
        if not self._ready:
            return ()
        request = incoming.request
        asked = dialled(request.known_uri or request.uri)
        return () if asked is None else self._from(incoming, asked, 0)

    def is_for_users(self, incoming: IncomingRequest) -> bool:
        """Tell whether :meth:`route` refuses strangers what *incoming* asks for: as far as that is known at once, and
        whoever has sent it."""
        request = incoming.request
        emergency = self.emergency
        if emergency is not None and emergency.number_of(request):
            return not emergency.settings.strangers
        asked = dialled(request.known_uri or request.uri)
        if asked is None:
            return False
        for ready in self._ready:
            if ready.conditions.fits(incoming, asked) is not None:
                route = ready.route
                return bool(route.to) and not route.strangers and any(self._leads_out(to, asked) for to in route.to)
        return False

    def _leads_out(self, to: str, asked: Dialled) -> bool:
        """Tell whether *to* may lead to others than our users."""
        if not to.lower().startswith(("sip:", "sips:")):
            return True
        try:
            return not self._is_local_uri(parse_uri(FIELD.sub("x", to.replace("{host}", asked.host))))
        except RemoteProtocolError:
            return True

    def _from(self, incoming: IncomingRequest, asked: Dialled, place: int) -> Routed | Awaitable[Routed]:
        """Ask the routes from *place* on."""
        for ready in self._ready[place:]:
            place += 1
            groups = ready.conditions.fits(incoming, asked)
            if groups is None:
                continue
            route = ready.route
            if route.status:
                incoming.note("route", f"answered {route.status}", f"{ready.key}.status")
                return response_to(incoming.request, route.status, route.reason, to_tag=incoming.to_tag)
            user = asked.user
            if route.e164:
                user = self._ways.e164(user)
                if not user:
                    continue
            values = {"user": user, "host": asked.host, "dialled": asked.user, **groups}
            rewritten = ready.rewriting.user(user, values)
            if asked.user and not rewritten:
                incoming.note("route", "{0} is too short", ready.key, asked.user)
                return response_to(incoming.request, 484, to_tag=incoming.to_tag)
            if rewritten != asked.user:
                incoming.note("route", "{0} becomes {1}", ready.key, asked.user, rewritten)
            values["user"] = rewritten
            if ready.steps.looks_up and self._waiting >= _MOST_STRANGERS and self._is_stranger(incoming):
                incoming.note("enum", "too many strangers wait for the DNS", "enum.suffixes")
                return response_to(incoming.request, 503, to_tag=incoming.to_tag)
            found = self._ways.targets(ready.steps, Asked(incoming, rewritten, values, route, f"{ready.key}.to"))
            if isawaitable(found):
                return self._wait(found, incoming, asked, ready, place)
            if found:
                return self._allowed(incoming, ready, found)
        return ()

    async def _wait(
        self, found: Awaitable[Routed], incoming: IncomingRequest, asked: Dialled, ready: _Ready, place: int
    ) -> Routed:
        stranger = self._is_stranger(incoming)
        self._waiting += stranger
        try:
            made: Any = await found
        finally:
            self._waiting -= stranger
        if made:
            return self._allowed(incoming, ready, made)
        rest: Any = self._from(incoming, asked, place)
        return await rest if isawaitable(rest) else rest  # type: ignore[no-any-return]

    def _allowed(self, incoming: IncomingRequest, ready: _Ready, found: Routed) -> Routed:
        if isinstance(found, Response):
            return found
        if (
            not ready.route.strangers
            and self._is_stranger(incoming)
            and not all(self._is_local_uri(target.uri) for target in found)
        ):
            incoming.note("route", f"{ready.words}, but not strangers", f"{ready.key}.strangers")
            return response_to(incoming.request, 403, to_tag=incoming.to_tag)
        incoming.note("route", ready.words, f"{ready.key}.to")
        return found
