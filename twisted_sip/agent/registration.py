"""A registration that is kept up: refresh, flows, GRUU, Service-Route (RFC 3261 section 10.2, RFC 5626, 5627, 3608).

States and events are in :mod:`registration_events`, what one flow does in :mod:`registration_flow`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, DeferredList, fail, succeed

from twisted_sip.agent.event_log import EventLog, EventStream
from twisted_sip.agent.flow_keeper import FlowKeeper
from twisted_sip.agent.registration_events import (
    BindingExpired,
    FlowLost,
    Registered,
    RegistrationChanged,
    RegistrationEvent,
    RegistrationRefused,
    RegistrationState,
)
from twisted_sip.agent.registration_flow import RegistrationFlow
from twisted_sip.agent.registration_terms import MOST_FLOWS, RegistrationSettings
from twisted_sip.element.sending import ClientCredentials
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError, RequestRefused
from twisted_sip.events.subscriber import contact_uri
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.grammar import check_value
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.registration_fields import ContactParam
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI

if TYPE_CHECKING:
    from twisted_sip.element.element import Element

_State = RegistrationState


class Registration:
    """A registration of one address-of-record at one registrar.

    :ivar aor: the address-of-record.
    :ivar address: the same with a display name, if there is one: the From of what is sent as this user.
    :ivar registrar: the Request-URI of REGISTER.
    :ivar contact_user: the user part of the Contact; nobody guesses it unless it was given.
    :ivar instance: our instance-id (RFC 5626 section 4.1).
    :ivar credentials: what answers challenges.
    :ivar settings: how it is kept up.
    :ivar state: where it is.
    :ivar flows: its flows, by reg-id.
    :ivar log: what has happened.
    """

    def __init__(
        self,
        element: Element,
        aor: SIPURI | NameAddr | str,
        *,
        registrar: SIPURI | str | None = None,
        credentials: ClientCredentials | None = None,
        outbound_proxies: Sequence[SIPURI | str] = (),
        contact_user: str = "",
        instance: str = "",
        headers: Iterable[tuple[str, str]] = (),
        contact_params: Iterable[tuple[str, str | None]] = (),
        settings: RegistrationSettings | None = None,
        keeper: FlowKeeper | None = None,
    ) -> None:
        """Make a registration; :meth:`start` begins it.

        :param aor: who to register: ``sip:alice@example.com``, or the same with a display name.
        :param registrar: where; the domain of *aor* unless given.
        :param credentials: answers challenges, of the realms that it trusts; see auth.client.DigestClient.
        :param outbound_proxies: up to four; each makes one flow (RFC 5626 section 4.2.1). Without any the URI of the
            registrar is resolved.
        :param contact_user: the user part of the Contact; random unless given.
        :param instance: the instance-id, ``urn:uuid:...``, which should be the same after a restart (RFC 5626 section
            4.1); a fresh one unless given.
        :param headers: further header fields of each REGISTER.
        :param contact_params: further parameters of the Contact: what the agent can do (RFC 3840).
        :param keeper: shares the keep-alives of its flows.
        :raises LocalProtocolError: a value that SIP does not allow.
        """
        self.element = element
        self.address = address_of(aor)
        uri = self.address.uri
        assert isinstance(uri, SIPURI)
        self.aor = uri
        if registrar is None:
            # Section 10.2: the user info and "@" must not be there.
            registrar = SIPURI(uri.host, None, uri.port, scheme=uri.scheme)
        self.registrar = _sip_uri(registrar)
        self.contact_user = contact_user or element.random_text()
        text = element.random_text() + element.random_text()
        self.instance = instance or f"urn:uuid:{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:32]}"
        self.credentials = credentials
        self.settings = settings or RegistrationSettings()
        self.headers = tuple(headers)
        self.keeper = keeper if keeper is not None else FlowKeeper(element)
        self.state = _State.IDLE
        self.wanted = False
        # Started while it is being stopped.
        self._again = False
        self.log: EventLog[RegistrationEvent] = EventLog()
        self._contact_params = tuple(contact_params)
        self._waiting: list[Deferred[Registration]] = []
        proxies: list[SIPURI | None] = [_sip_uri(proxy) for proxy in outbound_proxies]
        if len(proxies) > MOST_FLOWS:
            raise LocalProtocolError(f"a registration has at most {MOST_FLOWS} outbound proxies")
        self.flows = tuple(RegistrationFlow(self, number, proxy) for number, proxy in enumerate(proxies or [None], 1))
        # Whatever cannot be sent shall be found now.
        ContactParam.build(f"sip:{self.contact_user}@invalid", instance=self.instance, params=self._contact_params)

    def __repr__(self) -> str:
        return f"<Registration of {self.aor} {self.state.value}>"

    # -- for the user -----------------------------------------------------------------

    def start(self) -> Deferred[Registration]:
        """Register, and keep it up until :meth:`stop`; once the bindings are back where they are being taken back.
        Harmless when repeated.

        :return: as :meth:`when_registered`.
        """
        self._again = self.state is _State.LEAVING
        if not self.wanted and not self._again:
            self.wanted = True
            self.log.reopen()
            self._become(_State.REGISTERING)
            for flow in self.flows:
                flow.register()
        return self.when_registered()

    def refresh(self) -> None:
        """Refresh every flow now, and try those that have failed."""
        if self.wanted:
            for flow in self.flows:
                flow.register()

    def when_registered(self) -> Deferred[Registration]:
        """Return a Deferred that fires with this registration once a flow is registered.

        It fails with RequestRefused once every flow has failed, even if it is tried again later.
        """
        if self.registered:
            return succeed(self)
        if self.state in (_State.FAILED, _State.ENDED):
            return fail(self._refusal())
        waiting: Deferred[Registration] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def stop(self) -> Deferred[None]:
        """Take the bindings back; fires with None once the registrar has answered, or has had its time."""
        if self.state is _State.ENDED:
            return succeed(None)
        self.wanted = self._again = False
        if self.state is not _State.LEAVING:
            self._become(_State.LEAVING)
        leaving = DeferredList([flow.leave() for flow in self.flows])
        return leaving.addCallback(self._ended)

    def events(self) -> EventStream[RegistrationEvent]:
        """Return what happens, to iterate over; what has happened already comes first."""
        return self.log.stream()

    def observe(self, observer: Callable[[RegistrationEvent], object]) -> Callable[[], None]:
        """Call *observer* with each event from now on; return what ends that."""
        return self.log.observe(observer)

    @property
    def registered(self) -> bool:
        """True while a binding of ours stands."""
        return any(flow.registered for flow in self.flows)

    @property
    def best(self) -> RegistrationFlow | None:
        """The flow to send by: the first that is registered and open; None if there is none."""
        for flow in self.flows:
            if flow.registered and flow.flow is not None and flow.flow.open:
                return flow
        return None

    @property
    def gruu(self) -> str:
        """Our public GRUU, empty without one (RFC 5627 section 4.4)."""
        return next((flow.grant.pub_gruu for flow in self.flows if flow.grant and flow.grant.pub_gruu), "")

    @property
    def temporary_gruu(self) -> str:
        """Our latest temporary GRUU, empty without one: for requests that shall not tell who we are."""
        return next((flow.grant.temp_gruu for flow in self.flows if flow.grant and flow.grant.temp_gruu), "")

    @property
    def service_route(self) -> tuple[str, ...]:
        """Route values that the registrar wants in our requests (RFC 3608 section 6.1)."""
        best = self.best
        return best.grant.service_route if best is not None and best.grant is not None else ()

    @property
    def route(self) -> tuple[str, ...]:
        """Route values for a request outside of dialogs: the outbound proxy, and the service route behind it."""
        best = self.best or self.flows[0]
        service = self.service_route
        if best.proxy is None:
            return service
        proxy = best.proxy if best.proxy.lr else best.proxy.replace(params=best.proxy.params.with_("lr", None))
        if service:
            first = NameAddr.parse(service[0]).uri
            if isinstance(first, SIPURI) and (first.host, first.port) == (proxy.host, proxy.port):
                return service
        return (f"<{proxy}>", *service)

    # -- for its flows ------------------------------------------------------------------

    def put_contact(self, request: Request, flow: Flow, reg_id: int, expires: int) -> str:
        """Put the Contact for *flow* into *request*; return its URI."""
        uri = contact_uri(request, flow, self.contact_user)
        if reg_id:
            # RFC 5626 section 4.3: a GRUU made of it leads down this flow.
            uri += ";ob"
        made = ContactParam.build(
            uri,
            expires=expires,
            instance=self.instance,
            reg_id=reg_id or None,
            params=self._contact_params if expires else (),
        )
        request.headers.set("contact", str(made))
        return uri

    def any_other_registered(self, flow: RegistrationFlow) -> bool:
        """Tell whether a flow besides *flow* works (RFC 5626 section 4.5)."""
        return any(other.registered and other.flow is not None for other in self.flows if other is not flow)

    def chance(self) -> float:
        """Return a random number from 0 to 1."""
        return int(self.element.random_text(), 16) / float(1 << 64)

    def flow_registered(self, flow: RegistrationFlow) -> None:
        """*flow* was registered or refreshed."""
        grant = flow.grant
        assert grant is not None
        self.log.add(
            Registered(
                reg_id=flow.reg_id,
                contact=flow.contact,
                gruu=grant.pub_gruu,
                expires=grant.expires,
                outbound=grant.outbound,
                refreshed=flow.successes > 1,
            )
        )
        if self.wanted:
            self._become(_State.REGISTERED)
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(self)

    def flow_refused(self, flow: RegistrationFlow, status: int, reason: str) -> None:
        """A REGISTER of *flow* was refused."""
        self.log.add(RegistrationRefused(reg_id=flow.reg_id, status=status, reason=reason, retry_in=flow.retry_in))
        self._look()

    def flow_lost(self, flow: RegistrationFlow, reason: str) -> None:
        """*flow* has failed; its binding may stand at the registrar, but leads nowhere."""
        self.log.add(FlowLost(reg_id=flow.reg_id, reason=reason, retry_in=flow.retry_in))
        self._look()

    def flow_expired(self, flow: RegistrationFlow) -> None:
        """The binding of *flow* has run out."""
        self.log.add(BindingExpired(reg_id=flow.reg_id))
        self._look()

    def _look(self) -> None:
        """Find out what state it is in after a failure."""
        if not self.wanted or self.registered:
            return
        busy = any(flow.busy for flow in self.flows)
        if busy and self.state is _State.REGISTERING:
            return
        if any(flow.retry_in is not None for flow in self.flows) or busy:
            self._become(_State.WAITING)
        else:
            self._become(_State.FAILED)
        if not busy:
            self._fail_waiting()

    def _fail_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.errback(self._refusal())

    def _refusal(self) -> RequestRefused:
        last = next((flow for flow in self.flows if flow.status >= 300), self.flows[0])
        if self.state in (_State.LEAVING, _State.ENDED):
            return RequestRefused(f"the registration of {self.aor} has ended", status=487)
        text = f"{last.status} {last.reason}".strip()
        return RequestRefused(f"{self.aor} is not registered: {text}", status=last.status or 503)

    def _become(self, state: RegistrationState) -> None:
        if self.state is not state:
            self.state = state
            self.log.add(RegistrationChanged(state=state))

    def _ended(self, _: object) -> None:
        # Who has stopped it twice hears of it twice; it may have begun again by then.
        if self.state is _State.LEAVING:
            self._become(_State.ENDED)
            if self._again:
                # Events tell of what becomes of it.
                self.start().addErrback(lambda failure: failure.trap(RequestRefused))
                return
            self.log.close()
            self._fail_waiting()


def address_of(aor: SIPURI | NameAddr | str) -> NameAddr:
    """Return the caller's address-of-record *aor* as what stands in From.

    :raises LocalProtocolError: it is none.
    """
    try:
        if isinstance(aor, SIPURI):
            made = NameAddr.build(aor)
        elif isinstance(aor, NameAddr):
            made = aor
        else:
            check_value(aor)
            made = NameAddr.parse(aor) if "<" in aor else NameAddr.build(aor)
        uri = made.uri
    except RemoteProtocolError as error:
        raise LocalProtocolError(error.reason) from error
    if not isinstance(uri, SIPURI) or not uri.user or made.has_params:
        raise LocalProtocolError(f"{made} is no address-of-record like sip:alice@example.com")
    return made


def _sip_uri(uri: SIPURI | str) -> SIPURI:
    """Return the caller's *uri*, read.

    :raises LocalProtocolError: it is no SIP URI.
    """
    try:
        return SIPURI.parse(uri) if isinstance(uri, str) else uri
    except RemoteProtocolError as error:
        raise LocalProtocolError(error.reason) from error
