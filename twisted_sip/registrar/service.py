"""The registrar as a service and a link of the chain (RFC 3261 section 10.3).

A REGISTER whose hooks and store answer at once runs to its commit in one go. One that has to wait holds the turn of its
address-of-record meanwhile, so that those behind it are processed in the order in which they came.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from inspect import isawaitable
from typing import Any, TypeVar, cast

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sip.element.temporary_gruu import TemporaryGRUUs
from twisted_sip.errors import StoreError, StoreFull
from twisted_sip.interfaces.location import Binding, ILocationStore, LocationChange
from twisted_sip.interfaces.processing import TAKEN, IncomingRequest, Verdict
from twisted_sip.interfaces.services import IRegistrar
from twisted_sip.message.builders import response_to
from twisted_sip.message.gruu import public_gruu
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, URI
from twisted_sip.registrar.bindings import apply_change, plan_change
from twisted_sip.registrar.notes import FETCHED, KEPT, REMOVED, note_refusal
from twisted_sip.registrar.push_parameters import feature_caps, read_push
from twisted_sip.registrar.request import Registration, RegistrationRefused
from twisted_sip.registrar.responses import DateClock, as_others_see, success_response
from twisted_sip.registrar.settings import PushSettings, RegistrarSettings

_Value = TypeVar("_Value")
#: When to try again while a store is full, in seconds.
_LATER = (("retry-after", "30"),)
#: Stands for an answer that has not been asked for yet.
_NOT_ASKED: Any = object()


@implementer(IRegistrar)
class RegistrarService(Service):
    """Answers REGISTER for the domains that are ours; subclass it to decide otherwise.

    :ivar element: the element it belongs to; set by whoever puts it there.
    :ivar location: the store of bindings.
    :ivar settings: the current settings; may be replaced at any time.
    :ivar push: those of push notifications, likewise.
    :ivar is_user: tells whether there is a user with an address-of-record that somebody else registers, None knows all.
    :ivar node: the node and worker that hold the flows.
    """

    name = "registrar"
    for_methods = frozenset(("REGISTER",))
    _log = Logger()

    def __init__(
        self,
        location: ILocationStore,
        clock: IReactorTime,
        is_local_uri: Callable[[URI], bool],
        settings: RegistrarSettings | None = None,
        *,
        user_known: Callable[[str], bool | Deferred[bool]] | None = None,
        node: str = "",
        make_tag: Callable[[], str] | None = None,
    ) -> None:
        """Make a registrar.

        :param clock: a reactor; its seconds are seconds since the epoch.
        :param is_local_uri: tells whether a URI is in one of our domains.
        :param user_known: tells whether there is a user with this address-of-record; None knows everybody.
        :param make_tag: gives To tags; None lets the element do that.
        """
        self.element: Any = None
        self.location = location
        self.settings = settings or RegistrarSettings()
        self.push = PushSettings()
        self.is_user: Callable[[str], bool | Deferred[bool]] | None = None
        self.node = node
        self._clock = clock
        self._is_local_uri = is_local_uri
        self._user_known = user_known
        self._make_tag = make_tag
        self._dates = DateClock()
        self._turns: dict[str, DeferredLock] = {}
        # Whether there is somebody to ask about each binding: asking costs a call for each.
        self._asks = type(self).accept_binding is not RegistrarService.accept_binding

    # -- hooks -----------------------------------------------------------------

    def authorize(self, incoming: IncomingRequest, aor: str) -> bool | Deferred[bool] | Awaitable[bool]:
        """Tell whether the sender may change the bindings of *aor*; False answers 403 (section 10.3 step 4).

        Default: whoever has proved to be *aor*, those to whom the settings grant it (``third_party``), and everybody
        where nobody had to prove anything.
        """
        user = incoming.user
        return not user or user == aor or any(rule.allows(user, aor) for rule in self.settings.third_party)

    def user_known(self, aor: str) -> bool | Deferred[bool] | Awaitable[bool]:
        """Tell whether there is such a user; False answers 404 (section 10.3 step 5). Asked after :meth:`authorize`.

        Default: what was given to the constructor says.
        """
        return True if self._user_known is None else self._user_known(aor)

    def _is_known(self, incoming: IncomingRequest, aor: str) -> bool | Deferred[bool] | Awaitable[bool]:
        known = self.user_known(aor)
        if known is True and self.is_user is not None and incoming.user not in ("", aor):
            # Who registers for others has not proved that they are there.
            return self.is_user(aor)
        return known

    def accept_binding(
        self, incoming: IncomingRequest, binding: Binding
    ) -> Binding | Deferred[Binding | None] | Awaitable[Binding | None] | None:
        """Return *binding*, or another with the same key to make in its place, or None to leave it out.

        Asked for each contact that is registered or refreshed. A RemoteProtocolError refuses the whole REGISTER with
        its status. Default: every one is taken.
        """
        return binding

    def response_headers(self, incoming: IncomingRequest, aor: str) -> Iterable[tuple[str, str]]:
        """Return further header fields for a 200, as (name, value). Default: none."""
        return ()

    def extensions(self) -> tuple[str, ...]:
        """Return the option tags of what is supported here, for answers to OPTIONS (section 11.2)."""
        settings = self.settings
        return ("path", *(("outbound",) if settings.outbound else ()), *(("gruu",) if settings.gruu else ()))

    # -- the chain ---------------------------------------------------------------

    def process(self, incoming: IncomingRequest) -> Verdict | Deferred[Verdict]:
        """Answer a REGISTER for one of our domains, pass everything else on.

        :return: a Response, None, TAKEN where the answer goes out once the store has said that the change is durable,
            or a Deferred that fires with one of these.
        :raises RemoteProtocolError: a header field is malformed.
        """
        request = incoming.request
        is_local_uri = self._is_local_uri
        # Section 10.3 step 1: another domain's REGISTER is the proxy's to forward.
        if request.method != "REGISTER" or not is_local_uri(request.uri):
            return None
        settings = self.settings
        try:
            uri = request.to.uri
            if not isinstance(uri, SIPURI):
                # Section 10.2: the address-of-record must be a SIP or SIPS URI (RFC 4475 section 3.3.4).
                raise RegistrationRefused(400, "Malformed To header field: no SIP URI")
            # Section 10.3 step 5.
            if uri.user is None or not is_local_uri(uri):
                raise RegistrationRefused(404, key="server.domains")
            aor = uri.address_of_record
            registration = Registration(request, settings, is_local_uri, aor)
            if self.push.providers:
                read_push(registration, request, self.push, settings)
        except RegistrationRefused as refusal:
            return self._refuse(incoming, refusal)
        allowed = known = bindings = _NOT_ASKED
        if aor not in self._turns:
            allowed = self.authorize(incoming, aor)
            if allowed is True:
                known = self._is_known(incoming, aor)
                if known is True:
                    bindings = self.location.lookup(aor)
                    if type(bindings) is list or not isinstance(bindings, Deferred):
                        return self._register(incoming, aor, registration, settings, bindings)
        work = self._ask_and_register(incoming, aor, registration, settings, allowed, known, bindings)
        return Deferred.fromCoroutine(self._in_turn(aor, work))

    def _register(
        self,
        incoming: IncomingRequest,
        aor: str,
        registration: Registration,
        settings: RegistrarSettings,
        bindings: Sequence[Binding],
    ) -> Verdict | Deferred[Verdict]:
        try:
            now = self._clock.seconds()
            change = self._plan(incoming, aor, registration, settings, bindings, now)
            if self._asks and change.put:
                answers = [self.accept_binding(incoming, binding) for binding in change.put]
                if any(isawaitable(answer) for answer in answers):
                    waiting = self._ask_and_commit(incoming, registration, settings, bindings, change, answers)
                    return Deferred.fromCoroutine(self._in_turn(aor, waiting))
                change = _accepted(change, cast("list[Binding | None]", answers))
        except RegistrationRefused as refusal:
            return self._refuse(incoming, refusal)
        return self._commit(incoming, registration, settings, bindings, change, now)

    def _plan(
        self,
        incoming: IncomingRequest,
        aor: str,
        registration: Registration,
        settings: RegistrarSettings,
        bindings: Sequence[Binding],
        now: float,
    ) -> LocationChange:
        if not registration.contacts and not registration.star:
            return LocationChange(aor)
        flow = incoming.flow
        gruus = self._temporary_gruus() if settings.gruu and "gruu" in registration.supported else None
        return plan_change(
            aor,
            registration,
            bindings,
            settings,
            now=now,
            # A flow that leads to a proxy does not lead to the client: Path does (RFC 5626 section 6).
            flow=flow.token if registration.direct and not _moved(incoming, aor, registration) else "",
            received=f"{flow.kind.token}:{flow.remote}",
            node=self.node,
            new_series=None if gruus is None else gruus.new_series,
        )

    def gruus_of(self, binding: Binding) -> tuple[str, str]:
        """Return the public GRUU of *binding* and a new temporary one, each empty where there is none (RFC 5628)."""
        if not self.settings.gruu or not binding.instance:
            return "", ""
        gruus = self._temporary_gruus()
        secure = binding.contact[:5].lower() == "sips:"
        return public_gruu(binding.aor, binding.instance, secure=secure), (
            gruus.make(binding) if gruus is not None and binding.series else ""
        )

    def _temporary_gruus(self) -> TemporaryGRUUs | None:
        element = self.element
        return element.temporary_gruus if element is not None and self.settings.temporary_gruus else None

    def _commit(
        self,
        incoming: IncomingRequest,
        registration: Registration,
        settings: RegistrarSettings,
        bindings: Sequence[Binding],
        change: LocationChange,
        now: float,
    ) -> Verdict | Deferred[Verdict]:
        """Make *change* durable, then answer."""
        changes = change.put or change.remove
        further = self.response_headers(incoming, change.aor)
        gruus = None
        if registration.supported or registration.push:
            gruus = self._temporary_gruus()
            if registration.push:
                element = self.element
                purr = element.temporary_gruus.make_purr if element is not None and self.push.in_dialog else None
                further = [*further, *feature_caps(registration, change.put, purr)]
        incoming.note("registrar", KEPT if change.put else REMOVED if changes else FETCHED, "", change.aor)
        if changes:
            # Retransmissions meet the transaction from now on: nothing else has to hold its place meanwhile. Its
            # answers may have any To tag.
            incoming.start_transaction()
        shown = apply_change(bindings, change) if changes else bindings
        if incoming.user and incoming.user != change.aor:
            shown = as_others_see(shown, change.put)
        response = success_response(
            incoming.request,
            registration,
            shown,
            settings,
            now=now,
            date=self._dates.at(now),
            stream=incoming.flow.kind.stream,
            to_tag=incoming.to_tag if self._make_tag is None else self._make_tag(),
            further=further,
            temporary_gruu=None if gruus is None else gruus.make,
        )
        if not changes:
            return response
        # Nothing is acknowledged that could be lost.
        location = self.location
        commit_then = getattr(location, "commit_then", None)
        if commit_then is not None:
            commit_then(change, partial(self._committed, incoming, response))
            return TAKEN
        committed = cast("Deferred[Any]", location.commit(change))
        if committed.called and committed.result is None:
            # Durable already, as in a store without a disk: no callback has to be waited for.
            return response
        return committed.addCallbacks(_give, self._not_committed, callbackArgs=(response,), errbackArgs=(incoming,))

    def _committed(self, incoming: IncomingRequest, response: Response, failure: Failure | None) -> None:
        incoming.send(response if failure is None else self._not_committed(failure, incoming))

    def _not_committed(self, failure: Failure, incoming: IncomingRequest) -> Response:
        failure.trap(StoreError)
        # Section 10.3 step 7: if the back-end commit fails, 500. The store shows the state before.
        self._log.error("REGISTER not stored: {reason}", reason=str(failure.value), call_id=incoming.request.call_id)
        if isinstance(failure.value, StoreFull):
            return self._refuse(incoming, RegistrationRefused(503, headers=_LATER, key=failure.value.key))
        return self._refuse(incoming, RegistrationRefused(500))

    def _refuse(self, incoming: IncomingRequest, refusal: RegistrationRefused) -> Response:
        note_refusal(incoming, refusal)
        tag = self._tag_of(incoming)
        return response_to(incoming.request, refusal.status, refusal.reason, refusal.headers, b"", tag)

    def _tag_of(self, incoming: IncomingRequest) -> str:
        return incoming.to_tag if self._make_tag is None else self._make_tag()

    # -- those who have to wait ----------------------------------------------------

    async def _in_turn(self, aor: str, work: Awaitable[Verdict | Deferred[Verdict]]) -> Verdict:
        """Run *work* when no other REGISTER for *aor* is being decided, give what it leads to.

        The turn ends with the call of commit: what that changes is seen at once, and commits keep their order.
        """
        turn = self._turns.setdefault(aor, DeferredLock())
        await turn.acquire()
        try:
            outcome = await work
        finally:
            turn.release()
            if not turn.locked and not turn.waiting:
                self._turns.pop(aor, None)
        return await outcome if isinstance(outcome, Deferred) else outcome

    async def _ask_and_register(
        self,
        incoming: IncomingRequest,
        aor: str,
        registration: Registration,
        settings: RegistrarSettings,
        allowed: Any,
        known: Any,
        bindings: Any,
    ) -> Verdict | Deferred[Verdict]:
        """Do what process() could not do at once; what it has asked for already comes as it was answered."""
        try:
            if not await _settled(self.authorize(incoming, aor) if allowed is _NOT_ASKED else allowed):
                raise RegistrationRefused(403)
            if not await _settled(self._is_known(incoming, aor) if known is _NOT_ASKED else known):
                raise RegistrationRefused(404, key="auth.required")
            bindings = await _settled(self.location.lookup(aor) if bindings is _NOT_ASKED else bindings)
            change = self._plan(incoming, aor, registration, settings, bindings, self._clock.seconds())
        except RegistrationRefused as refusal:
            return self._refuse(incoming, refusal)
        answers = [self.accept_binding(incoming, binding) for binding in change.put]
        return await self._ask_and_commit(incoming, registration, settings, bindings, change, answers)

    async def _ask_and_commit(
        self,
        incoming: IncomingRequest,
        registration: Registration,
        settings: RegistrarSettings,
        bindings: Sequence[Binding],
        change: LocationChange,
        answers: list[Any],
    ) -> Verdict | Deferred[Verdict]:
        change = _accepted(change, [await _settled(answer) for answer in answers])
        return self._commit(incoming, registration, settings, bindings, change, self._clock.seconds())


def _moved(incoming: IncomingRequest, aor: str, registration: Registration) -> bool:
    """Tell whether somebody else registers contacts of *aor* that are elsewhere: the flow does not lead to them."""
    if not incoming.user or incoming.user == aor or registration.outbound:
        return False
    source = incoming.flow.remote.host
    return any(isinstance(contact.uri, SIPURI) and contact.uri.host != source for contact in registration.contacts)


async def _settled(value: Any) -> Any:
    return await value if isawaitable(value) else value


def _give(_: object, response: Response) -> Verdict:
    return response


def _accepted(change: LocationChange, answers: Sequence[Binding | None]) -> LocationChange:
    return attrs.evolve(change, put=tuple([answer for answer in answers if answer is not None]))
