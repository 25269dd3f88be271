"""The legs to callees: who calls, with which header fields, by which way (RFC 3261 section 8.1.1)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import attrs

from twisted_sip.agent.account import Account
from twisted_sip.agent.call import Call
from twisted_sip.agent.settings import AgentSettings
from twisted_sip.agent.user_agent import UserAgent
from twisted_sip.b2bua.gateway_leg import GatewayLeg
from twisted_sip.b2bua.header_policy import HeaderPolicy
from twisted_sip.b2bua.home_wire import HomeWire
from twisted_sip.b2bua.joined_legs import JoinedLegs
from twisted_sip.b2bua.legs import BridgedLeg, CalleeLeg
from twisted_sip.b2bua.privacy import ANONYMOUS, hides_user, private_fields
from twisted_sip.b2bua.session_lines import OwnSession
from twisted_sip.b2bua.settings import B2BUASettings
from twisted_sip.dialog.session_terms import SessionTerms
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.builders import build_request
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.message.route_set import apply_route_set
from twisted_sip.message.uri import SIPURI, URI
from twisted_sip.transport.listener import is_numeric

if TYPE_CHECKING:
    from twisted_sip.b2bua.bridged_call import BridgedCall
    from twisted_sip.b2bua.routing import Routing
    from twisted_sip.media.plane import MediaPlane

#: Legs of calls for help that may come on top of all others.
_FOR_HELP = 20


class LegMaking(UserAgent):
    """Makes the legs of a b2bua.

    :ivar session_number: the number of the latest session in our descriptions.
    """

    b2bua_settings: B2BUASettings
    policy: HeaderPolicy
    plane: MediaPlane | None
    domain: str
    session_number: int
    wire_type = HomeWire
    _routing: Routing

    def identity(self, call: BridgedCall) -> NameAddr:
        """Return the From for the callee. Default: the caller's, with our domain in place of an address; nobody's for
        callers who want user privacy (RFC 3323 section 5.3)."""
        if "privacy" in call.request.headers.names and hides_user(call.request):
            return ANONYMOUS
        remote = call.caller_leg.call.remote
        text = remote.uri_text
        if not self.domain or (text[-1:].isalpha() and ";" not in text and "?" not in text):
            # Addresses end with a digit or a bracket.
            return remote
        uri = remote.uri
        if isinstance(uri, SIPURI) and is_numeric(uri.host.strip("[]")):
            return NameAddr.build(uri.replace(host=self.domain, port=None), remote.display_name)
        return remote

    @cached_property
    def terms(self) -> SessionTerms:
        """What it can do and wants, as it says in its messages."""
        packages = self.settings.info_packages
        # What nobody asks for is not said: it would have to be read with each message.
        # Nobody joins a call here (RFC 3911).
        usual = super().terms
        supported = tuple([tag for tag in usual.supported if tag != "join"])
        return attrs.evolve(usual, accept=("application/sdp",), supported=supported, recv_info=packages or None)

    @cached_property
    def _unreliable_terms(self) -> SessionTerms:
        known = self.terms
        return attrs.evolve(known, supported=tuple([tag for tag in known.supported if tag != "100rel"]))

    def forget_terms(self) -> None:
        """The settings are others: so is what it says of itself."""
        for name in ("terms", "_unreliable_terms"):
            self.__dict__.pop(name, None)

    @property
    def nobody(self) -> Account:
        """Who it is itself."""
        return self.accounts[0] if self.accounts else self._nobody

    def equip(self, leg: BridgedLeg, address: str = "") -> None:
        """Give *leg* a session of its own."""
        self.session_number += 1
        wire = leg.call.wire
        if not address:
            came_by = wire.came_by
            usual = self.plane is None and came_by is not None
            address = came_by.local.host if usual and came_by is not None else self._own_address(leg.call)
        leg.own = OwnSession(self.session_number, address)
        if isinstance(wire, HomeWire):
            wire.routing = self._routing

    def _own_address(self, call: Call) -> str:
        plane = self.plane
        return plane.settings.address if plane is not None else call.local_host

    def patience(self, target: Target, one_of_several: bool) -> float | None:
        """Return for how many seconds *target* may ring, None for as long as any call."""
        if target.no_answer:
            return target.no_answer
        return self.b2bua_settings.target_timeout if one_of_several else None

    def call_target(
        self,
        bridged: BridgedCall,
        target: Target,
        *,
        one_of_several: bool = False,
        identity: NameAddr | None = None,
        to: URI | None = None,
        headers: Sequence[tuple[str, str]] | None = None,
    ) -> Call:
        """Return a leg to *target*, whose INVITE is not sent yet.

        :param one_of_several: others are tried after it.
        :param headers: the header fields that pass; made of the caller's unless given.
        :raises LocalProtocolError: a value that SIP does not allow.
        :raises RemoteProtocolError: the call has gone through too many hands (483).
        """
        caller = bridged.caller_leg.call
        hops = caller.request.max_forwards
        if hops == 0:
            raise RemoteProtocolError("Too Many Hops", status=483)
        if target.failover is not None:
            text = f"sent to {target.failover.name}: {target.uri}"
            bridged.caller_leg.incoming.note("gateway", text, target.failover.key)
        fields = self.policy.invite_fields(caller.request.headers) if headers is None else list(headers)
        if "privacy" in caller.request.headers.names:
            fields = private_fields(caller.request, fields, bridged.media != "direct")
        call = self.make_leg(
            bridged,
            target,
            identity or self.identity(bridged),
            to or bridged.uri,
            [*fields, *bridged.headers],
            hops=70 if hops is None else min(hops, 70) - 1,
            timeout=self.patience(target, one_of_several),
            reliable=bridged.bridge is None or bool(caller.request.body) or caller_takes_reliable(bridged),
            address="" if self.plane is not None else bridged.caller_leg.own.address,
        )
        if isinstance(call.wire, HomeWire):
            call.wire.told = bridged.caller_leg.incoming
        return call

    def make_leg(
        self,
        bridged: JoinedLegs | None,
        target: Target,
        local: NameAddr,
        to: URI,
        fields: Sequence[tuple[str, str]],
        *,
        hops: int = 70,
        timeout: float | None = None,
        reliable: bool = True,
        address: str = "",
    ) -> Call:
        """Return a leg to *target* with *fields* in its INVITE, which is not sent yet.

        :param reliable: say that provisional responses may be reliable (RFC 3262).
        """
        element = self.element
        account = self.nobody
        random_text = element.random_text
        wire = HomeWire(element, account)
        wire.target = target
        if target.flow is not None:
            wire.outside = target.flow
        wire.hops = hops
        tag = random_text()
        call_id = random_text() + random_text()
        sender = local.with_("tag", tag) if local.has_params else local.tagged(tag)
        remote = NameAddr.build(to)
        path = target.path or account.route

        def make(uri: URI | str, cseq: int) -> Request:
            request = build_request(
                "INVITE",
                uri,
                from_=sender,
                to=remote,
                call_id=call_id,
                cseq=cseq,
                max_forwards=hops,
                headers=fields,
            )
            if path:
                apply_route_set(request, path, uri)
            return request

        uri = str(target.uri)
        request = make(target.uri, 1)
        call = Call(self, account, wire, id=call_id, outgoing=True, local=local, remote=remote, request=request)
        expires = None if timeout is None else max(1, round(timeout))
        leg = CalleeLeg(call, wire, make, uri, self.terms if reliable else self._unreliable_terms, expires=expires)
        call.leg = leg
        leg.bridged = bridged
        leg.user = target.aor
        self.equip(leg, address)
        self.table.enter(call)
        if target.failover is not None:
            GatewayLeg(leg, target.failover, element.timers)
        return call


def caller_takes_reliable(bridged: BridgedCall) -> bool:
    """Tell whether the caller of *bridged* takes reliable provisional responses: then a callee may make its offer in
    one (RFC 3262 section 5)."""
    session = bridged.caller_leg.session
    return session is not None and session.peer_supports("100rel")


def agent_settings(settings: B2BUASettings) -> AgentSettings:
    """Return what *settings* mean for the legs."""
    return AgentSettings(
        user_agent=settings.user_agent,
        # Calls for help may come on top.
        max_calls=settings.max_calls * 2 + _FOR_HELP,
        # Whole trunks come from one address, and who may call is said by the admission.
        max_calls_per_source=0,
        ring_timeout=settings.ring_timeout,
        session_expires=settings.session_expires,
        min_se=settings.min_se,
        follow_redirects=0,
        info_packages=settings.info_packages,
    )
