"""One flow of a registration: REGISTER, refresh, keep-alives, recovery (RFC 3261 section 10.2, RFC 5626 sections 4.2
to 4.5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from twisted_sip.agent.flow_keeper import WatchedFlow
from twisted_sip.agent.registration_terms import Grant
from twisted_sip.dialog.subscription_terms import min_expires_of, refresh_delay, retry_after_of
from twisted_sip.element.outgoing import Outgoing
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.builders import build_request
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI
from twisted_sip.transaction.timers import Timer

if TYPE_CHECKING:
    from twisted_sip.agent.registration import Registration

_log = Logger()

#: How often in a row a 423 is given way to.
_MOST_TOO_BRIEF = 2
#: Seconds to wait behind the end of a Retry-After.
_MARGIN = 0.5
#: Seconds that a flow without keep-alives has to last until the next one is formed at once: a server that closes every
#: connection after its response must not be registered at over and over.
_SETTLED = 10.0


class RegistrationFlow:
    """One flow, and the binding that stands for it.

    :ivar reg_id: which of the flows (RFC 5626 section 4.2.1).
    :ivar proxy: the outbound proxy that it goes to, None for where the registrar's URI leads.
    :ivar flow: the way that was registered by, None while there is none.
    :ivar contact: the Contact URI that is registered, empty before.
    :ivar grant: what the registrar has granted, None while nothing is registered.
    :ivar successes: how many REGISTERs have succeeded.
    :ivar failures: consecutive failures.
    :ivar status: how the last REGISTER ended, 0 before.
    :ivar reason: the reason phrase of that.
    :ivar retry_in: seconds that are waited for after the last failure; None for no new try.
    """

    def __init__(self, registration: Registration, reg_id: int, proxy: SIPURI | None) -> None:
        self.reg_id = reg_id
        self.proxy = proxy
        self.flow: Flow | None = None
        self.contact = ""
        self.grant: Grant | None = None
        self.successes = 0
        self.failures = 0
        self.status = 0
        self.reason = ""
        self.retry_in: float | None = None
        element = registration.element
        self._registration = registration
        self._timers = element.timers
        # Section 4.2.1: each flow has its own Call-ID; RFC 5627 section 4.1: always the same.
        self._call_id = element.random_text() + element.random_text()
        self._tag = element.random_text()
        self._cseq = 0
        self._expires = registration.settings.expires
        self._outbound = registration.settings.outbound
        self._too_brief = 0
        self._watched: WatchedFlow | None = None
        self._watched_since = 0.0
        self._in_flight: _Registering | None = None
        self._next: Timer | None = None
        self._expiry: Timer | None = None
        self._farewell: Timer | None = None
        self._leaving: Deferred[None] | None = None

    def __repr__(self) -> str:
        return f"<RegistrationFlow {self.reg_id} of {self._registration.aor}{'' if self.grant is None else ' bound'}>"

    @property
    def registered(self) -> bool:
        """True while the binding stands."""
        return self.grant is not None

    @property
    def busy(self) -> bool:
        """True while a REGISTER is on its way."""
        return self._in_flight is not None

    # -- for the registration ---------------------------------------------------------

    def register(self) -> None:
        """Register, or refresh; at most one REGISTER is on its way (section 10.2)."""
        self._stop_next()
        if self._in_flight is None and self._leaving is None:
            self._send(self._expires)

    def leave(self) -> Deferred[None]:
        """Take the binding back, as far as the registrar answers (section 10.2.2); fires with None, never fails, and at
        once where it is cancelled."""
        if self._leaving is not None:
            return self._leaving
        self._stop_next()
        if self.grant is None and self._in_flight is None:
            self._drop_flow()
            return succeed(None)
        self._leaving = Deferred(lambda _: self._left())
        self._farewell = self._timers.start(self._registration.settings.farewell, self._left)
        if self._in_flight is None:
            self._send(0)
        return self._leaving

    # -- REGISTER -----------------------------------------------------------------------

    def _send(self, expires: int) -> None:
        registration = self._registration
        element = registration.element
        self._cseq += 1
        supported = ["path", *(["outbound"] if self._outbound else ()), "gruu"]
        headers = [
            ("supported", ", ".join(supported)),
            *registration.headers,
        ]
        if self.proxy is not None:
            headers.append(("route", f"<{_loose(self.proxy)}>"))
        request = build_request(
            "REGISTER",
            registration.registrar,
            from_=registration.address.with_("tag", self._tag),
            to=registration.address,
            call_id=self._call_id,
            cseq=self._cseq,
            headers=headers,
        )
        self._in_flight = sent = _Registering(self, expires)
        # Section 4.2.2: a refresh goes over the flow of the registration. What has failed looks for its way anew.
        flow = self.flow if self.flow is not None and self.flow.open and not self.failures else None
        sent.outgoing = element.sender.send(request, sent, flow=flow, credentials=registration.credentials)

    def prepare(self, request: Request, flow: Flow, expires: int) -> str:
        """Put the Contact for *flow* into *request*; return its URI."""
        return self._registration.put_contact(request, flow, self.reg_id if self._outbound else 0, expires)

    def answered(self, sent: _Registering, response: Response) -> None:
        """A final response."""
        if self._is_late(sent):
            return
        self.status, self.reason = response.status, response.reason
        if self._leaving is not None:
            self._go_on_leaving(sent)
        elif 200 <= response.status < 300:
            self._accepted(sent, response)
        elif response.status == 423 and self._may_ask_for_more(response):
            self._send(self._expires)
        elif response.status == 439 and self._outbound:
            # RFC 5626 section 4.2.1: the first hop lacks it. Without it then.
            self._outbound = False
            self._send(self._expires)
        else:
            retry_after = retry_after_of(response) if response.status in (404, 480, 500, 503, 600, 603) else None
            self._failed(response.status, response.reason, retry_after)

    def failed(self, sent: _Registering, status: int, reason: str) -> None:
        """There is no response."""
        if self._is_late(sent):
            return
        self.status, self.reason = status, reason
        if self._leaving is not None:
            self._left()
            return
        if status == 408:
            self._end_dead_connection(sent.flow)
        self._failed(status, reason, None)

    def _is_late(self, sent: _Registering) -> bool:
        if sent is not self._in_flight:
            return True
        self._in_flight = None
        assert sent.outgoing is not None
        # Challenges that were answered have used up numbers.
        self._cseq = max(self._cseq, sent.outgoing.request.cseq.number)
        return False

    def _may_ask_for_more(self, response: Response) -> bool:
        """423: ask for as long as the registrar wants, but not over and over (section 10.2.8)."""
        self._too_brief += 1
        wanted = min_expires_of(response, self._expires)
        if wanted is None or self._too_brief > _MOST_TOO_BRIEF:
            return False
        self._expires = wanted
        return True

    def _accepted(self, sent: _Registering, response: Response) -> None:
        registration = self._registration
        self._too_brief = 0
        reg_id = self.reg_id if self._outbound else 0
        grant = Grant.read(response, sent.contact, instance=registration.instance, reg_id=reg_id, asked=sent.expires)
        if grant.expires <= 0:
            self.grant = None
            self.status, self.reason = 503, "Binding Not Kept"
            self._failed(503, "Binding Not Kept", None)
            return
        self.contact = sent.contact
        self.grant = grant
        self.successes += 1
        self.retry_in = None
        self._watch(sent.flow)
        keep_alive = registration.settings.keep_alive
        if self._watched is not None and (keep_alive == "always" or (grant.outbound and keep_alive == "outbound")):
            self._watched.keep_alive(grant.flow_timer)
        else:
            # Section 4.5: without keep-alives a registration is all that a flow has to prove.
            self.failures = 0
        self._restart_expiry(grant.expires)
        self._next_after(float(refresh_delay(grant.expires)))
        registration.flow_registered(self)

    # -- the flow -----------------------------------------------------------------------------

    def _watch(self, flow: Flow | None) -> None:
        if self._watched is not None and self._watched.flow == flow:
            return
        self._drop_flow()
        self.flow = flow
        if flow is not None:
            self._watched = self._registration.keeper.watch(flow, self._flow_ended)
            self._watched_since = self._timers.now()

    def _drop_flow(self) -> None:
        if self._watched is not None:
            self._watched.leave()
            self._watched = None
        self.flow = None

    def _flow_ended(self, reason: str) -> None:
        """RFC 5626 section 4.5: form a new one: at once if this one was good, else after a while."""
        watched = self._watched
        assert watched is not None
        lasted = self._timers.now() - self._watched_since
        proved = watched.answered if watched.kept_alive else lasted >= _SETTLED
        self._drop_flow()
        if self._leaving is not None or self._in_flight is not None:
            # The transaction hears of it too.
            return
        _log.info("flow {reg_id} of {aor}: {reason}", reg_id=self.reg_id, aor=self._registration.aor, reason=reason)
        if proved:
            self.failures = 0
            self._stop_next()
            self.retry_in = 0.0
            self._registration.flow_lost(self, reason)
            if self._registration.wanted and self._next is None:
                self._next_after(0.0)
        else:
            self._failed(0, reason, None)

    def _end_dead_connection(self, flow: Flow | None) -> None:
        """A connection over which nothing comes back must not be used again, unless keep-alives say that it lives."""
        abort = getattr(flow, "abort", None)
        if abort is not None and (self._watched is None or not self._watched.kept_alive):
            abort()

    def _failed(self, status: int, reason: str, retry_after: int | None) -> None:
        registration = self._registration
        if self._watched is not None and self._watched.answered:
            self.failures = 0
        self.failures += 1
        wait = registration.settings.wait_after(
            self.failures, all_failed=not registration.any_other_registered(self), chance=registration.chance()
        )
        if retry_after is not None:
            # Section 4.2.1: 503 with Retry-After is retried then; but not at once over and over.
            wait = retry_after + _MARGIN if self.failures == 1 else max(wait, retry_after + _MARGIN)
        self.retry_in = wait if registration.settings.retry else None
        self._stop_next()
        if status == 0:
            registration.flow_lost(self, reason)
        else:
            registration.flow_refused(self, status, reason)
        if self.retry_in is not None and registration.wanted and self._next is None and self._in_flight is None:
            self._next_after(wait)

    # -- time ----------------------------------------------------------------------------------

    def _next_after(self, seconds: float) -> None:
        self._stop_next()
        self._next = self._timers.start(seconds, self._due)

    def _due(self) -> None:
        self._next = None
        if self._in_flight is None and self._leaving is None:
            if self._watched is not None and self._watched.answered:
                self.failures = 0
            self._send(self._expires)

    def _stop_next(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _restart_expiry(self, seconds: int) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry = self._timers.start(float(seconds), self._expired)

    def _expired(self) -> None:
        """The binding has run out: GRUU and Service-Route with it (RFC 5627 section 4.4, RFC 3608 section 6.1)."""
        self._expiry = None
        self.grant = None
        self._registration.flow_expired(self)

    # -- the end -------------------------------------------------------------------------------

    def _go_on_leaving(self, sent: _Registering) -> None:
        if sent.expires and (200 <= self.status < 300 or self.grant is not None):
            # It was a refresh that was under way; one that was refused leaves the binding as it was.
            self._send(0)
        else:
            self._left()

    def _left(self) -> None:
        """It is over, whether the registrar has said so or not."""
        leaving, self._leaving = self._leaving, None
        self._in_flight = None
        self.grant = None
        for timer in (self._next, self._expiry, self._farewell):
            if timer is not None:
                timer.cancel()
        self._next = self._expiry = self._farewell = None
        self._drop_flow()
        if leaving is not None:
            leaving.callback(None)


class _Registering:
    """A REGISTER on its way: the user of its Outgoing.

    :ivar expires: the seconds that it asks for.
    :ivar contact: the Contact URI in it.
    :ivar flow: the flow that it left by.
    """

    __slots__ = ("_of", "contact", "expires", "flow", "outgoing")

    def __init__(self, of: RegistrationFlow, expires: int) -> None:
        self._of = of
        self.expires = expires
        self.contact = ""
        self.flow: Flow | None = None
        self.outgoing: Outgoing | None = None

    def prepare(self, request: Request, flow: Flow) -> None:
        self.flow = flow
        self.contact = self._of.prepare(request, flow, self.expires)

    def response_received(self, outgoing: Outgoing, response: Response) -> None:
        if response.status >= 200:
            self._of.answered(self, response)

    def failed(self, outgoing: Outgoing, status: int, reason: str) -> None:
        self._of.failed(self, status, reason)


def _loose(proxy: SIPURI) -> SIPURI:
    """Return *proxy* as a loose route (RFC 3261 section 19.1.1)."""
    return proxy if proxy.lr else proxy.replace(params=proxy.params.with_("lr", None))
