"""Where calls go unless a program says something else, and who may make them: no open relay.

RFC 3261 sections 16.5 and 26.3.1. Static routes come first; then registered users of our domains; other domains are for
callers who have proved who they are, or whom the settings trust. Whichever way a call gets to a user, the call policy
of that user holds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, cast

import attrs
from twisted.internet.defer import Deferred, maybeDeferred

from twisted_sip.b2bua.hunt import MOST_TARGETS
from twisted_sip.b2bua.noting import Noting
from twisted_sip.b2bua.policing import Policed, Policing
from twisted_sip.b2bua.target_set import all_targets, expanded, fitting
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.flow import Address, Flow
from twisted_sip.interfaces.location import ILocationStore
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.builders import build_request
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, URI
from twisted_sip.proxy.gateways.guard import GatewayGuard, gateway_named
from twisted_sip.proxy.location_router import LocationRouter
from twisted_sip.proxy.static_routes import StaticRoute, StaticRouter

if TYPE_CHECKING:
    from twisted_sip.b2bua.bridged_call import BridgedCall
    from twisted_sip.b2bua.legs import BridgedLeg
    from twisted_sip.element.element import Element

Route = Any


class Routing:
    """The default of the route hook.

    :ivar trusts_everybody: nobody has to prove anything.
    :ivar static: the static routes.
    """

    def __init__(
        self,
        element: Element,
        location: ILocationStore | None,
        routes: Sequence[StaticRoute] | StaticRouter,
        *,
        trusts_everybody: bool,
        policing: Policing | None = None,
    ) -> None:
        """Make one.

        :param routes: static routes; or what asks them, with gateways and all that they lead to.
        :param location: the registrations, None where there are none.
        :param trusts_everybody: nobody has to prove anything, as on a network of our own.
        :param policing: the call policies of our users, asked after the static routes; None for none.
        """
        self._policing = policing
        self._element = element
        self.trusts_everybody = trusts_everybody
        self.static = (
            routes
            if isinstance(routes, StaticRouter)
            else StaticRouter(
                routes,
                is_stranger=lambda incoming: self.is_stranger(incoming.user),
                is_local_uri=element.domains.is_local_uri,
            )
        )
        self._registered = LocationRouter(element, location)

    def is_stranger(self, user: str) -> bool:
        """Tell whether a caller may call nobody but our own users."""
        return not self.trusts_everybody and not user

    def to_number(self, request: Request) -> None:
        """Have *request*, an emergency call, ask for a number, if it is for a service (RFC 5031): it ends here, and the
        call that is made for it goes to a number."""
        emergency = self.static.emergency
        if emergency is not None and not isinstance(request.uri, SIPURI):
            host = min(self._element.domains.names, default="invalid")
            request.set_uri(SIPURI(f"[{host}]" if ":" in host else host, emergency.number_of(request)))

    def route(self, call: BridgedCall) -> Route:
        """Return targets, or a Response that says why there are none; or a Deferred of that."""
        found: Any = self.static.route(call.caller_leg.incoming)
        if not found:
            return self._past_routes(call)
        if isawaitable(found):
            return Deferred.fromCoroutine(self._waited(found, call))
        return self._led(call, found, set()) if self._has_users(found) else found

    async def _waited(self, found: Awaitable[Any], call: BridgedCall) -> Route:
        """Return the targets of static routes that had to be looked up, else those of *call* without them."""
        made = await found
        if made:
            return await self._led(call, made, set()) if self._has_users(made) else made
        made = self._past_routes(call)
        return await made if isawaitable(made) else made

    def _has_users(self, found: Any) -> bool:
        """Tell whether users of ours are among what has been *found*."""
        return not isinstance(found, Response) and any(map(self._is_user, found))

    def _is_user(self, target: Target) -> bool:
        """Tell whether *target* is a user of ours, whose contacts are to be found yet."""
        uri = target.uri
        if target.failover is not None or target.flow is not None or target.path or not isinstance(uri, SIPURI):
            return False
        return bool(uri.user) and self._element.domains.is_local_uri(uri)

    async def _led(
        self, call: BridgedCall, targets: Sequence[Target], known: set[str], by: Policed | None = None
    ) -> Route:
        """Return *targets* with the contacts of our users in place of the users, or with where those have *call*
        forwarded.

        :param known: users who have been looked up: nobody is twice, so forwarding in a circle ends.
        :param by: who has led it to *targets*, None for nobody.
        :raises RemoteProtocolError: nobody is left since it is declined.
        """
        # Where the operator has calls for help go, whatever users want.
        policing = None if self._is_for_help(call.request) else self._policing
        before = 0 if by is None else by.forwarded
        last = call.policed

        async def contacts(target: Target) -> Route:
            nonlocal last
            policed = Policed(target.uri, "" if by is None else by.user, None, before)
            if policing is not None:
                policed = await policing.arrived(call, policed)
            found = await self._targets(call, policed, known, led=policed.forwarded == before)
            if call.policed is not None and call.policed.policy is not None:
                # Of several users it goes on for the one who comes last.
                last = call.policed
            return found

        try:
            return await expanded(targets, known, self._is_user, contacts)
        finally:
            call.policed = last

    def _is_for_help(self, request: Request) -> bool:
        emergency = self.static.emergency
        return emergency is not None and bool(emergency.number_of(request))

    def _past_routes(self, call: BridgedCall) -> Route:
        policing = self._policing
        if policing is not None:
            policed = Policed(call.uri)
            found = policing.asked(call.uri)
            if found is not None:
                return self._policed(call, policing, policed, found)
            # The usual case: nobody has to be waited for.
            call.policed = policed
        found = self._find(call.caller_leg.incoming, call.uri)
        if isinstance(found, Deferred):
            return Deferred.fromCoroutine(self._contacts_of(call, found))
        return self._led(call, found, set()) if self._has_users(found) else found

    async def _contacts_of(self, call: BridgedCall, found: Deferred[Any]) -> Route:
        """Return the contacts that are *found* for *call*, those of other users in the place of these."""
        made = await found
        return await self._led(call, made, set()) if self._has_users(made) else made

    async def _policed(self, call: BridgedCall, policing: Policing, policed: Policed, found: Any) -> Route:
        """Return the targets of whom the policies of our users lead *call* to."""
        return await self._targets(call, await policing.arrived(call, policed, found), set())

    async def unanswered(self, call: BridgedCall, status: int) -> Route:
        """Return where *call* goes on, which nobody has answered but with *status*; None for nowhere.

        :raises RemoteProtocolError: it is declined there.
        """
        if self._policing is None or call.policed is None:
            return None
        policed = await self._policing.unanswered(call, call.policed, status)
        return None if policed is None else await self._targets(call, policed, set())

    async def _targets(self, call: BridgedCall, policed: Policed, known: set[str], *, led: bool = False) -> Route:
        """Return the targets of whom *policed* leads *call* to.

        :param known: as for :meth:`_led`.
        :param led: static routes have led there: they are asked no more.
        """
        call.policed = policed
        if policed.user and not led:
            found = self.find(policed.uri, policed.user, call.caller_leg.incoming)
        else:
            found = self._find(call.caller_leg.incoming, policed.uri)
        if isinstance(found, Deferred):
            found = await found
        if self._has_users(found):
            found = await self._led(call, found, known, policed)
        policy = policed.policy
        if policy is None or not policy.forward_no_answer or isinstance(found, (int, Response)):
            return found
        limit = float(policy.no_answer_after)
        # Whose patience ends first.
        return [attrs.evolve(target, no_answer=min(limit, target.no_answer or limit)) for target in found]

    def find(self, uri: URI, user: str, told: Noting | None = None) -> Route:
        """Return what :meth:`route` does for an INVITE to *uri* of *user*, which has not come: a transfer.

        :param user: the address-of-record that was proved, empty for strangers.
        :param told: keeps what is decided, None for nobody.
        :raises RemoteProtocolError: as for :meth:`route`.
        """
        asked = Asked(uri, user, told)
        found: Any = self.static.route(cast(IncomingRequest, asked))
        if isawaitable(found):
            return Deferred.fromCoroutine(self._found(found, asked, uri))
        return found or self._find(asked, uri)

    def placed(self, uri: URI, user: str, party: BridgedLeg | None, told: Noting | None = None) -> Route:
        """Return what :meth:`find` does for whom call policies lead a call to, that is made for the peer of *party*;
        contacts take the place of users to whom routes lead.

        :param party: the leg of who is to talk with them; None where no policy counts.
        :param told: as for :meth:`find`.
        :raises RemoteProtocolError: as for :meth:`route`.
        """
        policing = self._policing
        if policing is not None and party is not None and not self._is_for_help(Asked(uri, user).request):
            policy = policing.asked(uri)
            if policy is not None:
                return Deferred.fromCoroutine(self._placed(uri, user, party, told, policing, policy))
        else:
            policing = None
        found = self.find(uri, user, told)
        if not isinstance(found, Deferred) and not self._has_users(found):
            return found
        return Deferred.fromCoroutine(self._contacts(found, user, party, told, policing, set()))

    async def _placed(
        self, uri: URI, user: str, party: BridgedLeg, told: Noting | None, policing: Policing, policy: Any
    ) -> Route:
        uri, user = await policing.placed(uri, user, party, Asked(uri, user, told), policy)
        return await self._contacts(self.find(uri, user, told), user, party, told, policing, set())

    async def _contacts(
        self,
        found: Any,
        user: str,
        party: BridgedLeg | None,
        told: Noting | None,
        policing: Policing | None,
        known: set[str],
    ) -> Route:
        """Return what has been *found* for a call of *user* with the contacts of our users in place of the users."""
        found = await found if isinstance(found, Deferred) else found
        if not self._has_users(found):
            return found

        async def contacts(target: Target) -> Route:
            uri, payer = target.uri, user
            if policing is not None and party is not None:
                uri, payer = await policing.placed(uri, user, party, Asked(uri, user, told))
            if uri is not target.uri:
                return await self._contacts(self.find(uri, payer, told), payer, party, told, policing, known)
            # Static routes have led there: they are asked no more.
            found = self._find(Asked(uri, payer, told), uri)
            return await found if isinstance(found, Deferred) else found

        return await expanded(found, known, self._is_user, contacts)

    def redirected(self, call: BridgedCall, places: Sequence[SIPURI], where: str) -> Route:
        """Return the targets at *places*, to which a callee has redirected *call*.

        :param where: which of them are followed: ``none``, those in domains of ours (``own``), or ``anywhere``.
        """
        leg = call.caller_leg
        incoming = leg.incoming
        found: list[Any] = []
        for uri in places[:MOST_TARGETS]:
            ours = self.is_ours(uri)
            followed = where == "anywhere" or (ours and where == "own")
            text = "redirected to {0}" if followed else "redirected to {0}, which is not followed"
            incoming.note("b2bua", text, "b2bua.redirects", str(uri))
            if followed and ours:
                found.append(maybeDeferred(self.placed, uri, call.user, leg, incoming).addCallback(fitting, uri))
            elif followed:
                found.append(Target(uri=uri))
        return all_targets(found)

    async def _found(self, found: Awaitable[Any], asked: Asked, uri: URI) -> Route:
        made = await found or self._find(asked, uri)
        return await made if isawaitable(made) else made

    def is_ours(self, uri: SIPURI) -> bool:
        """Tell whether *uri* is in a domain of ours."""
        return self._element.domains.is_local_uri(uri)

    def device(self, uri: SIPURI) -> Target | None:
        """Return where the device is that *uri*, a GRUU of ours, means (RFC 5627 section 6.1); None where that is not
        known at once."""
        try:
            found = self._registered.find(cast(IncomingRequest, Asked(uri, "")), uri)
        except RemoteProtocolError:
            return None
        if isinstance(found, Deferred):
            found.addErrback(lambda failure: None)
            return None
        return None if isinstance(found, Response) else next((one for one in found if not one.flow_lost), None)

    def flow_of(self, target: Target) -> Flow | None:
        """Return the open flow to a registered *target*, None where its address tells the way."""
        flow = target.flow
        if flow is not None and not flow.open:
            # It has registered anew since then, perhaps.
            flow = self._registered.flow_of_binding(target.aor, target.key)
        return flow

    def check_way(self, request: Request, target: Target, address: Address, told: Noting | None) -> None:
        """Look at *request*, an INVITE of ours about to leave for *address*: gateways are reached by routes alone.

        :param told: keeps why it is refused, None for nobody.
        :raises RemoteProtocolError: it may not go there (403).
        """
        if any(self.static.gateways):
            asked = cast(IncomingRequest, told or Asked(target.uri, ""))
            GatewayGuard(self.static.gateways)(request, target, address, asked)

    def _find(self, incoming: Any, uri: URI) -> Route:
        if not self._element.domains.is_local_uri(uri) and self.is_stranger(incoming.user):
            incoming.note("location", "403: strangers may call our users alone", "server.domains")
            raise RemoteProtocolError("Forbidden", status=403)
        gateways = self.static.gateways
        gateway = gateway_named(gateways, uri) if gateways else None
        if gateway is not None:
            # The routes say who may call what.
            incoming.note("gateway", "403: {0} is reached by routes alone", gateway.key, gateway.settings.label)
            raise RemoteProtocolError("Forbidden", status=403)
        return self._registered.find(incoming, uri)


class Asked:
    """Stands for an INVITE that has not come, so that routers can be asked about it.

    :ivar request: what it would be.
    :ivar user: who would have sent it.
    :ivar to_tag: of the response that a router gives.
    """

    __slots__ = ("_told", "request", "to_tag", "user")

    def __init__(self, uri: URI, user: str, told: Noting | None = None) -> None:
        """Make one.

        :param told: keeps what is decided about it, as the request does for which it is asked; None for nobody.
        """
        self.request = build_request(
            "INVITE",
            str(uri),
            from_=NameAddr.build(user or "sip:anonymous.invalid").with_("tag", "1"),
            to=NameAddr.build(uri),
            call_id="asked",
            cseq=1,
            headers=[("via", "SIP/2.0/UDP invalid;branch=z9hG4bKasked")],
        )
        self.user = user
        self.to_tag = "asked"
        self._told = told

    def note(self, *words: str) -> None:
        """See IncomingRequest."""
        if self._told is not None:
            self._told.note(*words)
