"""The event package ``dialog``: who is in a call (RFC 4235), fed by a tracker of the calls that pass.

The user itself is told everything: its devices know of each other's calls. Others are told what :attr:`authorize` says:
by default nothing, since they may not watch at all; where they may, a single virtual dialog (section 3.7.2) that says
no more than a busy signal would: not how many calls there are, nor with whom.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Iterable, Sequence
from hashlib import blake2s
from inspect import isawaitable
from typing import Any, Final, cast

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from twisted_sip.documents.dialog_info import MEDIA_TYPE, DialogInfoDocument, ReportedDialog
from twisted_sip.events.reported_dialogs import STATE_ORDER, Side, reported, sides_of
from twisted_sip.events.watchers import FORBIDDEN, HasResource, every_resource, may_know, owns
from twisted_sip.interfaces.calls import CONFIRMED, TERMINATED, Call, ICallTracker
from twisted_sip.interfaces.event_package import (
    Authorization,
    IEventPackage,
    Notification,
    NotifierHost,
    PackageSubscription,
)
from twisted_sip.message.grammar import unquote

#: Where the package notes what a watcher was told.
_TOLD: Final = "dialog.told"
_VIRTUAL_TOLD: Final = "dialog.virtual"
#: The id of the virtual dialog.
_VIRTUAL: Final = "calls"


class DialogView(enum.Enum):
    """What a watcher is told.

    NONE: nothing, it may not watch. IDLE: that there is no call, whatever there is: it is politely blocked. BUSY:
    whether there is a call or an attempt at one (section 3.7.2 recommends no more). STATES: how far that has come, so
    that a lamp can blink while it rings. COMPLETE: every call, with identities and dialog identifiers.
    """

    NONE = "none"
    IDLE = "idle"
    BUSY = "busy"
    STATES = "states"
    COMPLETE = "complete"


#: Decides about a watcher that is not the resource itself: (resource, watcher); True stands for DialogView.BUSY.
Authorize = Callable[[str, str], "bool | DialogView | Awaitable[bool | DialogView]"]


def owner_only(resource: str, watcher: str) -> DialogView:
    """Let nobody else watch."""
    return DialogView.NONE


@implementer(IEventPackage)
class DialogPackage:
    """Tells watchers of calls.

    ``authorization.detail`` is the watcher's DialogView.

    :ivar authorize_watcher: decides about others than the user itself.
    """

    event = "dialog"
    # Section 3.4.
    default_expires = 3600
    content_types = (MEDIA_TYPE,)
    # Section 3.3: no filters.
    body_types: tuple[str, ...] = ()

    def __init__(
        self,
        calls: ICallTracker,
        clock: IReactorTime,
        *,
        authorize: Authorize = owner_only,
        has_resource: HasResource = every_resource,
        granted: DialogView = DialogView.BUSY,
        min_interval: float = 1.0,
    ) -> None:
        """Watch *calls*.

        :param clock: its seconds are seconds since the epoch.
        :param authorize: gives True or False, a DialogView, or what can be awaited for one, for (resource, watcher). A
            watcher of another domain has proved nothing: do not go by its name.
        :param has_resource: tells whether an address-of-record is one of ours.
        :param granted: what a watcher may see of whom *authorize* says True.
        :param min_interval: the least seconds between two NOTIFYs of one subscription; section 3.10 has 1.
        """
        self.min_interval = min_interval
        self.authorize_watcher = authorize
        self._granted = granted
        self._calls = calls
        self._clock = clock
        self._has_resource = has_resource
        self._host: NotifierHost | None = None
        self._end: Callable[[], None] | None = calls.observe(self._changed)

    def stop(self) -> None:
        """Watch no more."""
        if self._end is not None:
            self._end()
            self._end = None

    def _changed(self, call: Call) -> None:
        host = self._host
        if host is None:
            return
        for aor in {call.caller_aor, call.callee_aor} - {""}:
            for subscription in host.subscriptions(self.event, aor):
                if not self._concerns(subscription, call):
                    continue
                if call.state == TERMINATED and self._is_served(subscription):
                    # Section 3.4: with the dialog that it is about ends the subscription.
                    host.terminate(subscription, "noresource")
                else:
                    host.notify(subscription)

    def _concerns(self, subscription: PackageSubscription, call: Call) -> bool:
        """Tell whether there is news for a watcher. When a NOTIFY comes tells something, too."""
        view = subscription.authorization.detail
        if view in (DialogView.IDLE, DialogView.BUSY, DialogView.STATES):
            told: str = subscription.memory.get(_VIRTUAL_TOLD, "")
            return self._virtual_state(subscription) != told
        wanted = _Wanted.of(subscription)
        return not wanted.certain or any(wanted.takes(side) for side in sides_of(call, subscription.resource))

    def _is_served(self, subscription: PackageSubscription) -> bool:
        """Tell whether *subscription* was about certain dialogs which are over."""
        told = subscription.memory.get(_TOLD)
        wanted = _Wanted.of(subscription)
        return bool(told) and wanted.certain and not self._sides(subscription.resource, wanted)

    # -- IEventPackage ----------------------------------------------------------------------

    def attached(self, host: NotifierHost) -> None:
        self._host = host

    def has_resource(self, resource: str) -> Any:
        return self._has_resource(resource)

    def authorize(self, subscription: PackageSubscription) -> Authorization | Awaitable[Authorization]:
        if owns(subscription):
            return Authorization(detail=DialogView.COMPLETE)
        found: Any = self.authorize_watcher(subscription.resource, subscription.watcher)
        if isawaitable(found):
            return self._later(subscription, cast("Awaitable[bool | DialogView]", found))
        return self.authorization(subscription, found)

    async def _later(self, subscription: PackageSubscription, found: Awaitable[bool | DialogView]) -> Authorization:
        return self.authorization(subscription, await found)

    def authorization(self, subscription: PackageSubscription, found: bool | DialogView) -> Authorization:
        """Return what becomes of *subscription* where its watcher may see what *found* says."""
        view = found if isinstance(found, DialogView) else self._granted if found is True else DialogView.NONE
        # Section 3.7.2: who may not see dialogs may not ask for certain ones.
        if view is DialogView.NONE or (view is not DialogView.COMPLETE and _Wanted.of(subscription).certain):
            return FORBIDDEN
        return Authorization(detail=view)

    def notification(self, subscription: PackageSubscription) -> Notification:
        if not may_know(subscription):
            return Notification()
        if subscription.authorization.detail is DialogView.COMPLETE:
            dialogs, full, etag = self._complete(subscription)
        else:
            dialogs, etag = self._virtual(subscription)
            # One dialog is all there is: always told whole.
            full = True
        document = DialogInfoDocument(
            version=subscription.next_version(), full=full, entity=subscription.resource, dialogs=tuple(dialogs)
        )
        return Notification(content_type=MEDIA_TYPE, body=document.to_xml(), etag=etag)

    def full_state_due(self, subscription: PackageSubscription) -> None:
        subscription.memory.pop(_TOLD, None)

    def subscriptions_changed(self, subscriptions: Iterable[PackageSubscription]) -> None:
        """Who watches does not matter."""

    # -- what is told ------------------------------------------------------------------------------

    def _sides(self, resource: str, wanted: _Wanted) -> Sequence[Side]:
        return [side for call in self._calls.of(resource) for side in sides_of(call, resource) if wanted.takes(side)]

    def _complete(self, subscription: PackageSubscription) -> tuple[list[ReportedDialog], bool, str]:
        """Return the dialogs to tell, whether they are all there are, and the entity-tag of all."""
        told: dict[str, tuple[Side, int]] | None = subscription.memory.get(_TOLD)
        wanted = _Wanted.of(subscription)
        now = self._clock.seconds()
        sides = {side.id: side for side in self._sides(subscription.resource, wanted)}
        news: list[Side] = []
        if told is not None:
            # Those that are over first: an old call that has ended and a new one may have the same id.
            for key, (side, _) in told.items():
                if key not in sides:
                    news.append(side)
            for key, side in sides.items():
                before = told.get(key)
                if before is None or before[0].call is not side.call or before[1] != side.call.revision:
                    news.append(side)
        # Section 3.3: the whole state where there is nothing new to tell.
        full = not news
        subscription.memory[_TOLD] = {key: (side, side.call.revision) for key, side in sides.items()}
        etag = _etag([(key, side.call.revision, side.call.started_at) for key, side in sides.items()])
        shown = list(sides.values()) if full else news
        return [reported(side, now, wanted.sessions) for side in shown], full, etag

    def _virtual_state(self, subscription: PackageSubscription) -> str:
        """Return the state of the one dialog that stands for all (section 3.7.2), empty while there is no call."""
        states = [call.state for call in self._calls.of(subscription.resource)]
        if not states or subscription.authorization.detail is DialogView.IDLE:
            return ""
        return (
            max(states, key=STATE_ORDER.index) if subscription.authorization.detail is DialogView.STATES else CONFIRMED
        )

    def _virtual(self, subscription: PackageSubscription) -> tuple[list[ReportedDialog], str]:
        state = self._virtual_state(subscription)
        before = subscription.memory.get(_VIRTUAL_TOLD)
        subscription.memory[_VIRTUAL_TOLD] = state
        # Lamps go out by a dialog that is over, rather than by one that is not told.
        shown = state or (TERMINATED if before else "")
        return [ReportedDialog(id=_VIRTUAL, state=shown)] if shown else [], _etag(state)


class _Wanted:
    """What the parameters of Event ask for (section 3.2); others (``sla``, ``ma`` of some phones) mean nothing here."""

    __slots__ = ("call_id", "from_tag", "sessions", "to_tag")

    def __init__(self, call_id: str, to_tag: str, from_tag: str, sessions: bool) -> None:
        self.call_id = call_id
        self.to_tag = to_tag
        self.from_tag = from_tag
        self.sessions = sessions

    @classmethod
    def of(cls, subscription: PackageSubscription) -> _Wanted:
        """Read the parameters of a subscription."""
        if not subscription.event_params:
            return _ALL
        params = {name.lower(): value for name, value in subscription.event_params}
        call_id = params.get("call-id", "")
        return cls(
            unquote(call_id) if call_id.startswith('"') else call_id,
            params.get("to-tag", ""),
            params.get("from-tag", ""),
            "include-session-description" in params,
        )

    @property
    def certain(self) -> bool:
        """Certain dialogs are asked for."""
        return bool(self.call_id or self.to_tag or self.from_tag)

    def takes(self, side: Side) -> bool:
        """Tell whether *side* is asked for: to-tag is the local tag, from-tag the remote one."""
        return (
            (not self.call_id or self.call_id == side.call.call_id)
            and (not self.to_tag or self.to_tag == side.local_tag)
            and (not self.from_tag or self.from_tag == side.remote_tag)
        )


#: What a subscription without parameters asks for.
_ALL = _Wanted("", "", "", False)


def _etag(state: object) -> str:
    """Return the entity-tag of the full state, whatever part of it is told (RFC 5839)."""
    return blake2s(repr(state).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
