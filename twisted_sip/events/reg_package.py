"""The event package ``reg``: which devices a user has registered (RFC 3680).

It watches the location store. A full document tells all contacts; after that only those that changed. What a change of
the store says about itself is whether a contact came, was refreshed, ran out or was removed; who removes contacts for
another reason says so beforehand (:meth:`RegPackage.removing`).

GRUUs go with the contacts that have some (RFC 5628); the temporary ones are told to the user alone, since they are to
hide who it is, and so is how devices are woken (RFC 8599 section 13).

What watchers have been told is remembered with their subscriptions, so there is no table of contacts here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from hashlib import blake2s
from inspect import isawaitable
from typing import Any, Final

import attrs
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from twisted_sip.documents.reginfo import EVENTS, MEDIA_TYPE, Contact, ReginfoDocument, Registration
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.events.watchers import FORBIDDEN, HasResource, every_resource, may_know, owns
from twisted_sip.interfaces.event_package import (
    Authorization,
    IEventPackage,
    Notification,
    NotifierHost,
    PackageSubscription,
)
from twisted_sip.interfaces.location import Binding, ILocationStore, LocationChange
from twisted_sip.message.grammar import parse_params
from twisted_sip.message.push_uri import text_without_push

#: Gives the public GRUU of a binding and a new temporary one, each empty where there is none.
GRUUs = Callable[[Binding], tuple[str, str]]

#: Why a contact is gone, and after how many seconds to register again.
_Reason = tuple[str, int | None]

#: Where the package notes what a watcher was told.
_TOLD: Final = "reg.told"
#: How many reasons of removals are remembered until the removals come.
_MAX_REASONS = 1000
#: Two dates this close (in seconds) are one.
_GRAIN = 1.0


@implementer(IEventPackage)
class RegPackage:
    """Tells users, and whom else the program allows, of registrations."""

    event = "reg"
    # Section 4.4.
    default_expires = 3761
    content_types = (MEDIA_TYPE,)
    # Section 4.3: no filters.
    body_types: tuple[str, ...] = ()

    def __init__(
        self,
        location: ILocationStore,
        clock: IReactorTime,
        *,
        watchers: Collection[str] = (),
        has_resource: HasResource = every_resource,
        min_interval: float = 5.0,
        gruus: GRUUs | None = None,
    ) -> None:
        """Watch *location*.

        :param clock: its seconds are seconds since the epoch.
        :param watchers: canonical URIs of those who may watch every user (applications); a user may watch itself. Name
            users of our own: others have proved nothing.
        :param has_resource: tells whether an address-of-record is one of ours; the registrar's look, for instance.
        :param min_interval: the least seconds between two NOTIFYs of one subscription; section 4.10 has 5.
        :param gruus: gives the GRUUs of a binding, None where there are none (RegistrarService.gruus_of).
        """
        self.min_interval = min_interval
        self._location = location
        self._clock = clock
        self._watchers = frozenset(watchers)
        self._has_resource = has_resource
        self._gruus = gruus
        self._host: NotifierHost | None = None
        # Why contacts are about to be removed, by address-of-record and key.
        self._reasons: dict[tuple[str, str], _Reason] = {}
        self._end: Callable[[], None] | None = location.observe(self._changed)

    def stop(self) -> None:
        """Watch no more."""
        if self._end is not None:
            self._end()
            self._end = None

    # -- from who manages registrations --------------------------------------------------

    def removing(self, aor: str, key: str, event: str, retry_after: int | None = None) -> None:
        """Say why the binding *key* of *aor* is removed, before that is done; it is ``unregistered`` otherwise.

        :param event: ``deactivated``, ``rejected``, or ``probation`` with *retry_after* in seconds (section 4.7.1).
        :raises LocalProtocolError: that is no reason.
        """
        if event not in EVENTS[5:] or (event == "probation") == (retry_after is None):
            raise LocalProtocolError(f"no contact ends by {event!r} with retry-after {retry_after}")
        if len(self._reasons) >= _MAX_REASONS:
            del self._reasons[next(iter(self._reasons))]
        self._reasons[aor, key] = (event, retry_after)

    def _changed(self, change: LocationChange) -> None:
        known: dict[str, _Reason | None] = {}
        if self._reasons:
            known = {key: self._reasons.pop((change.aor, key), None) for key in change.remove}
        if self._host is None:
            return
        watching = self._host.subscriptions(self.event, change.aor)
        if not watching:
            return
        now = self._clock.seconds() + _GRAIN
        for subscription in watching:
            told = subscription.memory.get(_TOLD)
            if isinstance(told, _Told):
                for key in change.remove:
                    told.removed(key, known.get(key), now)
                for binding in change.put:
                    told.latest[binding.key] = binding.expires_at
        self._host.changed(self.event, change.aor)

    # -- IEventPackage ----------------------------------------------------------------------

    def attached(self, host: NotifierHost) -> None:
        self._host = host

    def has_resource(self, resource: str) -> Any:
        return self._has_resource(resource)

    def authorize(self, subscription: PackageSubscription) -> Authorization:
        if owns(subscription) or subscription.watcher in self._watchers:
            return Authorization()
        return FORBIDDEN

    def notification(self, subscription: PackageSubscription) -> Notification | Awaitable[Notification]:
        if not may_know(subscription):
            return Notification()
        found: Any = self._location.lookup(subscription.resource)
        if isawaitable(found):
            return self._later(subscription, found)
        return self._notification(subscription, found)

    async def _later(self, subscription: PackageSubscription, found: Awaitable[Sequence[Binding]]) -> Notification:
        return self._notification(subscription, await found)

    def _notification(self, subscription: PackageSubscription, found: Sequence[Binding]) -> Notification:
        now = self._clock.seconds()
        told = subscription.memory.get(_TOLD)
        if not isinstance(told, _Told):
            told = _Told()
        changes, full = told.tell({binding.key: binding for binding in found}, now)
        own = owns(subscription)
        contacts = tuple([self._with_gruus(contact, binding, own) for contact, binding in changes])
        subscription.memory[_TOLD] = told
        # Section 4.7.1: terminated is told once, and of what was active.
        state = "active" if found else "init" if full else "terminated"
        aor = subscription.resource
        document = ReginfoDocument(
            version=subscription.next_version(),
            full=full,
            registrations=(Registration(aor=aor, id=_id(aor), state=state, contacts=contacts),),
        )
        return Notification(content_type=MEDIA_TYPE, body=document.to_xml(), etag=_etag(found))

    def _with_gruus(self, contact: Contact, binding: Binding, own: bool) -> Contact:
        if not own:
            contact = attrs.evolve(contact, uri=text_without_push(contact.uri))
        if self._gruus is None or not binding.instance or contact.state != "active":
            return contact
        public, temporary = self._gruus(binding)
        first = binding.series.partition(".")[0]
        return attrs.evolve(
            contact,
            pub_gruu=public,
            temp_gruu=temporary if own else "",
            first_cseq=int(first) if first and own else None,
        )

    def full_state_due(self, subscription: PackageSubscription) -> None:
        told = subscription.memory.get(_TOLD)
        if isinstance(told, _Told):
            told.full_due = True

    def subscriptions_changed(self, subscriptions: Iterable[PackageSubscription]) -> None:
        """Who watches does not matter."""


class _Told:
    """What a watcher was told, and what has become of it since.

    :ivar bindings: what it was told, by key.
    :ivar since: when they were made, where the watcher was there.
    :ivar latest: when bindings that changed since then would expire.
    :ivar gone: why bindings are gone since then, and when to try again.
    :ivar full_due: the next document is a full one.
    """

    __slots__ = ("bindings", "full_due", "gone", "latest", "since")

    def __init__(self) -> None:
        self.bindings: dict[str, Binding] = {}
        self.since: dict[str, float] = {}
        self.latest: dict[str, float] = {}
        self.gone: dict[str, _Reason] = {}
        self.full_due = True

    def removed(self, key: str, reason: _Reason | None, now: float) -> None:
        """Note that a binding is gone."""
        before = self.bindings.get(key)
        if before is not None:
            expires_at = self.latest.get(key, before.expires_at)
            self.gone[key] = reason or ("expired" if expires_at <= now else "unregistered", None)

    def tell(self, bindings: dict[str, Binding], now: float) -> tuple[tuple[tuple[Contact, Binding], ...], bool]:
        """Return the contacts to tell, now that there are *bindings*, each with its own, and whether they are all there
        are."""
        changes = list(self._compared(bindings, now))
        self.since = {
            key: binding.registered_at if self._is_new(key) else self.since[key]
            for key, binding in bindings.items()
            if key in self.since or (self._is_new(key) and not self.full_due)
        }
        # Without news the whole state: the watcher asked for it, or a NOTIFY is due all the same.
        full = self.full_due or not changes
        if full:
            changes = [(binding, self._event_of(binding), None) for binding in bindings.values()]
        contacts = tuple(
            [
                (_contact(binding, event, now, self.since.get(binding.key), after), binding)
                for binding, event, after in changes
            ]
        )
        self.bindings = bindings
        self.latest = {}
        self.gone = {}
        self.full_due = False
        return contacts, full

    def _is_new(self, key: str) -> bool:
        # Gone and there again: a contact of its own.
        return key not in self.bindings or key in self.gone

    def _event_of(self, binding: Binding) -> str:
        since = self.since.get(binding.key)
        return _first_event(binding) if since in (None, binding.registered_at) else "refreshed"

    def _compared(self, bindings: dict[str, Binding], now: float) -> Iterable[tuple[Binding, str, int | None]]:
        """Give what differs in *bindings*, with the event and when to try again."""
        for key, binding in self.bindings.items():
            if key not in bindings:
                # A store may show a removal before it tells of it.
                self.removed(key, self.gone.get(key), now + _GRAIN)
                event, retry_after = self.gone[key]
                yield binding, event, retry_after
        for key, binding in bindings.items():
            if self._is_new(key):
                yield binding, _first_event(binding), None
            elif (before := self.bindings[key]) != binding:
                # Section 4.7.1: an administrator shortens, a REGISTER refreshes.
                same = (before.call_id, before.cseq) == (binding.call_id, binding.cseq)
                yield binding, "shortened" if same and binding.expires_at < before.expires_at else "refreshed", None


def _first_event(binding: Binding) -> str:
    """Return how *binding* was made: without a REGISTER it was created by other means (section 4.7.1)."""
    return "registered" if binding.call_id else "created"


_EVENT_STATE = {event: "terminated" if event in EVENTS[4:] else "active" for event in EVENTS}


def _contact(binding: Binding, event: str, now: float, since: float | None, retry_after: int | None) -> Contact:
    active = _EVENT_STATE[event] == "active"
    return Contact(
        id=_id(f"{binding.aor}\n{binding.key}"),
        uri=binding.contact,
        state="active" if active else "terminated",
        event=event,
        expires=max(0, int(binding.expires_at - now)) if active else None,
        retry_after=retry_after,
        duration_registered=None if since is None else max(0, int(now - since)),
        q=f"{binding.q / 1000:.3f}".rstrip("0").rstrip(".") if binding.q != 1000 else "",
        call_id=binding.call_id,
        cseq=binding.cseq,
        unknown_params=_unknown_params(binding.params),
    )


def _unknown_params(text: str) -> tuple[tuple[str, str], ...]:
    """Return the parameters of Contact that RFC 3261 does not know, as written."""
    try:
        return tuple([(name, value or "") for name, value in parse_params(text).items()])
    except RemoteProtocolError:
        # A store of the user's own may have anything there.
        return ()


def _id(text: str) -> str:
    return blake2s(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _etag(bindings: Sequence[Binding]) -> str:
    """Return the entity-tag of the full state, whatever part of it is told (RFC 5839)."""
    return _id("\n".join([repr(binding) for binding in bindings]))
