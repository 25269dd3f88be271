"""The event package ``presence.winfo``: who watches a presentity, told to the presentity alone (RFC 3857, 3858).

A watcher whose subscription ran out while it was pending is *waiting*: the presentity learns of it when it looks, so
that it can decide before the next try.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sip.documents.permissions import Permissions, SubHandling
from twisted_sip.documents.winfo import MEDIA_TYPE, Watcher, WatcherList, WinfoDocument
from twisted_sip.interfaces.event_package import (
    Authorization,
    IEventPackage,
    Notification,
    NotifierHost,
    PackageSubscription,
)
from twisted_sip.interfaces.subscription import ISubscriptionStore
from twisted_sip.presence.waiting import WaitingWatcher, WaitingWatchers

if TYPE_CHECKING:
    from twisted_sip.presence.service import PresenceService

_log = Logger()

PRESENCE: Final = "presence"

#: The most watchers in one document; those about whom nobody has decided come first.
MOST_LISTED: Final = 2_000
#: The most changes that are told one by one; where there are more, everything is told anew.
MOST_CHANGES: Final = 200
#: The most bytes of watchers in one document: the rest follows in the next one (RFC 3858 section 4: partial state adds
#: to what the presentity knows). A datagram has room for it.
MOST_BYTES: Final = 49_152
#: What a watcher takes beside its URI, with room for escapes.
_OVERHEAD: Final = 200

# What is noted at subscriptions: the last event and state of a watcher, what a presentity has to be told.
_EVENT: Final = "winfo.event"
_STATUS: Final = "winfo.status"
_CHANGES: Final = "changes"
_REST: Final = "rest"
_WHOLE: Final = "whole"

_REASONS: Final = frozenset(("deactivated", "probation", "rejected", "timeout", "giveup", "noresource"))


@implementer(IEventPackage)
class WatcherInfoPackage:
    """Tells presentities about their watchers. Hears of them from the package ``presence``."""

    event = "presence.winfo"
    # Section 4.4.
    default_expires = 3600
    content_types = (MEDIA_TYPE,)
    body_types: tuple[str, ...] = ()
    # Section 4.10: whoever comes and goes must not have a presentity told each time.
    min_interval = 5.0

    def __init__(self, service: PresenceService, element: Any, store: ISubscriptionStore | None = None) -> None:
        """Make the package that goes with *service*.

        :param store: the store of the notifier's subscriptions, which keeps those who wait as well; None to forget them
            in a restart.
        """
        self._service = service
        self._seconds = element.reactor.seconds
        self._host: NotifierHost | None = None
        self.waiting = WaitingWatchers(element.reactor, self._given_up, store, service.is_ours)

    # -- IEventPackage -------------------------------------------------------------------

    def attached(self, host: NotifierHost) -> None:
        self._host = host

    def has_resource(self, resource: str) -> bool:
        return True

    def authorize(self, subscription: PackageSubscription) -> Authorization:
        # Section 4.6: presentities may watch their own watchers; nobody else.
        if subscription.watcher == subscription.resource:
            return Authorization()
        return Authorization(state="terminated", reason="rejected", status=403)

    def notification(self, subscription: PackageSubscription) -> Notification:
        if subscription.authorization.state != "active":
            return Notification()
        memory = subscription.memory
        changes: dict[str, Watcher] = memory.pop(_CHANGES, {})
        rest: dict[str, Watcher] = memory.pop(_REST, {})
        whole = memory.setdefault(_WHOLE, True) or len(changes) > MOST_CHANGES
        memory[_WHOLE] = False
        if whole:
            told = {each.id: each for each in self.watchers(subscription.resource)}
        else:
            told = {**rest, **changes}
        watchers = _fitting(told)
        if told:
            self._follow(subscription, told)
        document = WinfoDocument(
            version=subscription.next_version(),
            full=whole,
            lists=(WatcherList(resource=subscription.resource, package=PRESENCE, watchers=tuple(watchers)),),
        )
        return Notification(content_type=MEDIA_TYPE, body=document.to_xml())

    def _follow(self, subscription: PackageSubscription, rest: dict[str, Watcher]) -> None:
        """What did not fit is told next, unless there is no next NOTIFY."""
        host = self._host
        if subscription.state == "terminated" or host is None:
            _log.warn(
                "{resource} is not told of {count} watchers: that is too much for one NOTIFY",
                resource=subscription.resource,
                count=len(rest),
            )
            return
        subscription.memory[_REST] = rest
        host.notify(subscription)

    def full_state_due(self, subscription: PackageSubscription) -> None:
        subscription.memory[_WHOLE] = True

    def subscriptions_changed(self, subscriptions: Iterable[PackageSubscription]) -> None:
        """Nobody is told who watches the watchers."""

    # -- watchers ----------------------------------------------------------------------------

    def watchers(self, resource: str) -> tuple[Watcher, ...]:
        """Return who watches *resource*, or waits to.

        Those about whom nobody has decided come first, our own users before others, then the latest.
        """
        host = self._host
        known = () if host is None else host.subscriptions(PRESENCE, resource)
        undecided: list[Watcher] = []
        decided: list[PackageSubscription] = []
        for each in known:
            if _own(each):
                continue
            if each.state != "pending":
                decided.append(each)
            elif len(undecided) < MOST_LISTED:
                undecided.append(self._watcher(each))
        undecided += [self._as_watcher(each, "waiting", "timeout") for each in self.waiting.of(resource)]
        undecided.sort(key=lambda each: not self._service.is_ours(each.uri))
        left = max(0, MOST_LISTED - len(undecided))
        return (*undecided, *map(self._watcher, decided[-1 : -left - 1 : -1]))

    def watchers_changed(self, subscriptions: Iterable[PackageSubscription]) -> None:
        """These subscriptions to presence were made, have another state or have ended."""
        for subscription in subscriptions:
            if not _own(subscription):
                self._changed(subscription)

    def _changed(self, subscription: PackageSubscription) -> None:
        """Note the state that *subscription* has now, and tell the presentity if that is another one."""
        memory, state, resource = subscription.memory, subscription.state, subscription.resource
        before = memory.get(_STATUS)
        if before == state:
            return
        memory[_STATUS] = state
        if state != "terminated":
            memory[_EVENT] = "approved" if state == "active" and before == "pending" else "subscribe"
            waited = self.waiting.remove(resource, subscription.watcher)
            if waited is not None:
                # The same watcher as far as the presentity is concerned: the one who waited is gone (section 4.7.1).
                self._tell(resource, self._as_watcher(waited, "terminated", "giveup"))
        else:
            reason = memory[_EVENT] = subscription.reason if subscription.reason in _REASONS else "timeout"
            if before is None:
                # A fetch. Of one that was allowed nothing is told (section 4.7.2), one that was not waits.
                before = subscription.authorization.state
                if before != "pending":
                    return
            if before == "pending" and reason in ("timeout", "giveup"):
                # Section 4.7.1: nobody has decided yet.
                made = self.waiting.add(subscription, _id(subscription.id))
                if made is not None:
                    self._tell(resource, self._as_watcher(made, "waiting", "timeout"))
                    return
        self._tell(resource, self._watcher(subscription))

    def _watcher(self, subscription: PackageSubscription) -> Watcher:
        now = self._seconds()
        over = subscription.state == "terminated"
        return Watcher(
            id=_id(subscription.id),
            uri=subscription.watcher,
            status=subscription.state,
            event=subscription.memory.get(_EVENT, "subscribe"),
            expiration=None if over else max(0, int(subscription.expires_at - now)),
            duration_subscribed=max(0, int(now - subscription.created_at)),
        )

    def _tell(self, resource: str, watcher: Watcher) -> None:
        host = self._host
        if host is None:
            return
        for subscription in host.subscriptions(self.event, resource):
            changes = subscription.memory.setdefault(_CHANGES, {})
            if len(changes) <= MOST_CHANGES:
                # One more than are told one by one says that it is all of them.
                changes[watcher.id] = watcher
            host.notify(subscription)

    # -- those who wait ------------------------------------------------------------------------

    def decided(self, resource: str) -> None:
        """The rules of *resource* have changed: about some of those who wait it may be decided now."""
        for watcher in self.waiting.of(resource):
            answer: Any = self._service.authorize_watcher(resource, watcher.watcher, watcher)
            if isawaitable(answer):
                Deferred.fromCoroutine(_wait(answer)).addCallback(self._decided, watcher).addErrback(_undecided)
            else:
                self._decided(answer, watcher)

    def _decided(self, permissions: Permissions, watcher: WaitingWatcher) -> None:
        handling = permissions.sub_handling
        if handling is SubHandling.CONFIRM or watcher not in self.waiting.of(watcher.resource):
            return
        self.waiting.remove(watcher.resource, watcher.watcher)
        event = "rejected" if handling is SubHandling.BLOCK else "approved"
        self._tell(watcher.resource, self._as_watcher(watcher, "terminated", event))

    def _given_up(self, watcher: WaitingWatcher) -> None:
        self._tell(watcher.resource, self._as_watcher(watcher, "terminated", "giveup"))

    def forget(self, aor: str) -> int:
        """*aor* is no user any more: nobody waits for it, and it waits for nobody; return how many did."""
        gone = self.waiting.concerning(aor)
        for watcher in gone:
            self.waiting.remove(watcher.resource, watcher.watcher)
            self._given_up(watcher)
        return len(gone)

    @staticmethod
    def _as_watcher(watcher: WaitingWatcher, status: str, event: str) -> Watcher:
        return Watcher(id=watcher.id, uri=watcher.watcher, status=status, event=event)

    def stop(self) -> None:
        """Forget who waits."""
        self.waiting.stop()


def _fitting(watchers: dict[str, Watcher]) -> list[Watcher]:
    """Take out of *watchers* those that one document has room for, one at least, and return them."""
    taken: list[Watcher] = []
    size = 0
    while watchers:
        watcher = next(iter(watchers.values()))
        size += _OVERHEAD + len(watcher.uri.encode("utf-8", "surrogateescape")) + 4 * watcher.uri.count("&")
        if taken and size > MOST_BYTES:
            break
        taken.append(watchers.pop(watcher.id))
    return taken


def _own(subscription: PackageSubscription) -> bool:
    """Whoever watches himself knows."""
    return subscription.watcher == subscription.resource


async def _wait(answer: Any) -> Any:
    return await answer


def _undecided(failure: Failure) -> None:
    _log.failure("nobody could decide about a watcher who waits", failure)


def _id(text: str) -> str:
    """Return an identifier for the subscription that *text* names, which holds tags that are nobody's business."""
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=9).hexdigest()
