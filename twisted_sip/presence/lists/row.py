"""One resource of a list subscription: where its state comes from, and what was told of it (RFC 4662 section 5.3)."""

from __future__ import annotations

import hashlib
from typing import Protocol

import attrs
from twisted.logger import Logger

from twisted_sip.dialog.notifier import ACTIVE, PENDING, TERMINATED
from twisted_sip.events.virtual import VirtualSubscription
from twisted_sip.interfaces.event_package import UNCHANGED, Notification
from twisted_sip.presence.lists.resources import ListedResource

_log = Logger()


@attrs.frozen(slots=True, kw_only=True)
class RowState:
    """What is known of a resource.

    :ivar state: of its one instance: ``active``, ``pending`` or ``terminated``; empty while nothing is known.
    :ivar reason: why it is terminated, or empty.
    :ivar notification: the body with its state; without a type there is none.
    :ivar versioned: the body counts: whoever takes such bodies misses one that is left out.
    """

    state: str = ""
    reason: str = ""
    notification: Notification = attrs.field(factory=Notification)
    versioned: bool = False

    @property
    def size(self) -> int:
        """How many bytes it takes to tell, about."""
        return 300 + len(self.notification.body)

    @property
    def digest(self) -> bytes:
        """The same for the same state."""
        told = self.notification
        content = told.etag.encode() if told.etag else told.body
        head = f"{self.state} {self.reason} {told.content_type} ".encode("utf-8", "surrogateescape")
        return hashlib.blake2b(head + content, digest_size=16).digest()


NOTHING_KNOWN = RowState()


class Source(Protocol):
    """Where the state of a resource comes from."""

    async def state(self, news: bool) -> RowState | None:
        """Return what the watcher is told of it now.

        :param news: it is asked for mere news: None where there are none for this watcher.
        """

    def full_state_due(self) -> None:
        """The watcher lacks what was told last."""

    def retry(self) -> None:
        """Try again if it has failed."""

    def end(self, reason: str) -> None:
        """It is not wanted any more; :meth:`state` stays as it is."""


class VirtualSource:
    """A resource of this server: a virtual subscription (section 2)."""

    __slots__ = ("_ended", "_subscription")

    def __init__(self, subscription: VirtualSubscription) -> None:
        self._subscription = subscription
        self._ended: tuple[str, str] | None = None

    async def state(self, news: bool) -> RowState | None:
        subscription = self._subscription
        state, reason = self._ended or (subscription.state, subscription.reason)
        if state == TERMINATED:
            return RowState(state=TERMINATED, reason=reason or "giveup")
        if state not in (ACTIVE, PENDING):
            return NOTHING_KNOWN
        version = subscription.version
        try:
            told = await subscription.told(news=news)
        except Exception:
            # One resource must not silence the others.
            _log.failure("no state of {resource} for a list", resource=subscription.resource)
            return NOTHING_KNOWN
        if told is UNCHANGED:
            return None
        if state == ACTIVE and not told.content_type:
            # Section 5.5: an active instance has a body.
            return NOTHING_KNOWN
        return RowState(state=state, notification=told, versioned=subscription.version != version)

    def full_state_due(self) -> None:
        self._subscription.full_state_due()

    def retry(self) -> None:
        self._subscription.retry()

    def end(self, reason: str) -> None:
        if self._ended is None:
            self._ended = (self._subscription.state, self._subscription.reason)
            self._subscription.end(reason)


class NoSource:
    """A resource that cannot be subscribed to here."""

    __slots__ = ("_state",)

    def __init__(self, reason: str) -> None:
        self._state = RowState(state=TERMINATED, reason=reason)

    async def state(self, news: bool) -> RowState | None:
        return self._state

    def full_state_due(self) -> None:
        """Nothing changes."""

    def retry(self) -> None:
        """There is no hope."""

    def end(self, reason: str) -> None:
        """It never began."""


@attrs.define(slots=True, eq=False)
class Row:
    """A resource of one subscription.

    :ivar resource: the resource.
    :ivar source: where its state comes from.
    :ivar told: the digest of what the watcher was told last, None for nothing.
    """

    resource: ListedResource
    source: Source
    told: bytes | None = None
