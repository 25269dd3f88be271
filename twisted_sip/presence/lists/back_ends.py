"""Back-end subscriptions: resources in other domains, subscribed to on behalf of a watcher (RFC 4662 sections 2 and 7).

One back-end subscription serves all lists of one watcher, never those of another (section 7.2). Bodies are passed on as
they come (section 7.3). Lists elsewhere may contain lists of ours and so on for ever (section 7.4): what is told must
not be nested deeper than a bound, and a list elsewhere is only asked for full state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from twisted.logger import Logger

from twisted_sip.dialog.notifier import ACTIVE, PENDING, TERMINATED
from twisted_sip.documents import rlmi
from twisted_sip.errors import DocumentError, LocalProtocolError, RemoteProtocolError
from twisted_sip.interfaces.event_package import Notification
from twisted_sip.message.multipart import BodyPart, parse_multipart
from twisted_sip.presence.lists.row import NOTHING_KNOWN, RowState

if TYPE_CHECKING:
    from twisted_sip.dialog.subscriber import Notified
    from twisted_sip.events.subscriber import Subscriber
    from twisted_sip.events.subscription import Subscription
    from twisted_sip.presence.lists.settings import ListSettings

_log = Logger()

#: (identity, URI, event, Accept): subscriptions that are the same are one.
_Key = tuple[str, str, str, tuple[str, ...]]

_NO_RESOURCE = frozenset((404, 410, 416, 489, 604))
_NOT_NOW = frozenset((408, 430, 480, 486, 500, 502, 503, 504, 600))
#: Seconds until a subscription that was refused is tried again, when the watcher asks for it.
_PATIENCE = 600.0


class BackEnd:
    """One subscription elsewhere, and who wants to know.

    :ivar known: what it has told last.
    :ivar listeners: called with each change.
    """

    def __init__(self, back_ends: BackEnds, key: _Key) -> None:
        self.known: RowState = NOTHING_KNOWN
        self.listeners: list[Callable[[], None]] = []
        self._back_ends = back_ends
        self._key = key
        self._subscription: Subscription | None = None
        self._try_at = 0.0

    def begin(self) -> None:
        """Subscribe, if there is no subscription and it is not too soon after a refusal."""
        if self._subscription is not None or self._back_ends.now() < self._try_at:
            return
        try:
            self._subscription = self._back_ends.subscribe(self._key, self._notified)
        except LocalProtocolError as error:
            _log.warn("no subscription to {uri}: {reason}", uri=self._key[1], reason=str(error))
            self.known = RowState(state=TERMINATED, reason="giveup")
            return
        self._subscription.when_over().addCallback(self._over, self._subscription)

    def close(self) -> None:
        """Nobody wants to know any more."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.unsubscribe()

    def _over(self, _: None, subscription: Subscription) -> None:
        if self._subscription is not subscription:
            return
        self._subscription = None
        self._try_at = self._back_ends.now() + _PATIENCE
        status = subscription.status
        reason = subscription.reason or (
            "noresource" if status in _NO_RESOURCE else "giveup" if status in _NOT_NOW or not status else "rejected"
        )
        self._tell(RowState(state=TERMINATED, reason=reason))

    def _notified(self, notified: Notified) -> None:
        if notified.state not in (ACTIVE, PENDING):
            self._tell(RowState(state=TERMINATED, reason=notified.reason or "giveup"))
            return
        before = self.known
        told = before.notification if before.state == notified.state else Notification()
        if notified.content_type and notified.body:
            self._back_ends.check(notified)
            if _is_partial(notified):
                # What it adds to is not ours to know: ask for the whole.
                if self._subscription is not None:
                    self._subscription.refresh()
                return
            told = Notification(content_type=notified.content_type, body=notified.body)
        if notified.state == ACTIVE and not told.content_type:
            # RFC 4662 section 5.5: an active instance has a body; one may follow.
            self._tell(NOTHING_KNOWN)
            return
        self._tell(RowState(state=notified.state, notification=told))

    def _tell(self, known: RowState) -> None:
        if known == self.known:
            return
        self.known = known
        for listener in list(self.listeners):
            listener()


class BackEnds:
    """The back-end subscriptions of a resource list server."""

    def __init__(self, subscriber: Subscriber, settings: Callable[[], ListSettings], now: Callable[[], float]) -> None:
        """Begin without any.

        :param subscriber: makes subscriptions.
        :param settings: gives the current settings.
        :param now: seconds.
        """
        self._subscriber = subscriber
        self._settings = settings
        self.now = now
        self._known: dict[_Key, BackEnd] = {}
        self._of: dict[str, int] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._known)

    def counts(self) -> Mapping[str, int]:
        """Return how many there are by identity."""
        return dict(self._of)

    def source(
        self, identity: str, uri: str, event: str, accept: tuple[str, ...], news: Callable[[], None]
    ) -> RemoteSource | None:
        """Return a source for the state of *uri*, None where there is no room.

        :param identity: the canonical URI on whose behalf.
        :param accept: the media types that the watcher takes.
        :param news: called with each change.
        """
        key = (identity, uri, event, self._accept(accept))
        back_end = self._known.get(key)
        if back_end is None:
            settings = self._settings()
            if (
                len(self._known) >= settings.max_back_ends
                or self._of.get(identity, 0) >= settings.max_back_ends_per_watcher
            ):
                return None
            back_end = self._known[key] = BackEnd(self, key)
            self._of[identity] = self._of.get(identity, 0) + 1
        back_end.listeners.append(news)
        back_end.begin()
        return RemoteSource(self, key, back_end, news)

    def _accept(self, accept: tuple[str, ...]) -> tuple[str, ...]:
        """Return what is asked for elsewhere: nothing partial, for a NOTIFY of ours may leave one of theirs out."""
        types = [name for name in accept if name != "application/pidf-diff+xml"]
        if not self._settings().remote_lists:
            types = [name for name in types if name not in (rlmi.MEDIA_TYPE, "multipart/related")]
        return tuple(types)

    def leave(self, key: _Key, back_end: BackEnd, news: Callable[[], None]) -> None:
        """One who wanted to know does not any more."""
        if news in back_end.listeners:
            back_end.listeners.remove(news)
        if back_end.listeners or self._known.get(key) is not back_end:
            return
        del self._known[key]
        left = self._of[key[0]] - 1
        if left:
            self._of[key[0]] = left
        else:
            del self._of[key[0]]
        back_end.close()

    def subscribe(self, key: _Key, on_notify: Callable[[Notified], None]) -> Subscription:
        """Make the subscription of a back-end (RFC 4662 section 6, message 5).

        :raises LocalProtocolError: there are too many, or a value cannot be sent.
        """
        identity, uri, event, accept = key
        headers = (("supported", "eventlist"),) if rlmi.MEDIA_TYPE in accept else ()
        return self._subscriber.subscribe(
            uri,
            event,
            from_=f"<{identity}>",
            expires=self._settings().back_end_expires,
            accept=accept,
            headers=headers,
            on_notify=on_notify,
            persistent=True,
        )

    def check(self, notified: Notified) -> None:
        """Look at the outside of a body from elsewhere.

        :raises RemoteProtocolError: 413, 415: it is too long, nested too deep (section 7.4), or malformed.
        """
        settings = self._settings()
        if len(notified.body) > settings.max_part:
            raise RemoteProtocolError("Body Too Long", status=413)
        parse_multipart(
            notified.content_type, notified.body, depth=settings.max_depth, parts=4 * settings.max_resources
        )


class RemoteSource:
    """The use of a back-end subscription for one resource of one list."""

    __slots__ = ("_back_end", "_back_ends", "_key", "_known", "_news")

    def __init__(self, back_ends: BackEnds, key: _Key, back_end: BackEnd, news: Callable[[], None]) -> None:
        self._back_ends = back_ends
        self._key = key
        self._back_end = back_end
        self._news = news
        self._known: RowState | None = None

    async def state(self, news: bool) -> RowState | None:
        return self._known or self._back_end.known

    def full_state_due(self) -> None:
        """What is kept is full state."""

    def retry(self) -> None:
        self._back_end.begin()

    def end(self, reason: str) -> None:
        if self._known is None:
            self._known = self._back_end.known
            self._back_ends.leave(self._key, self._back_end, self._news)


def _is_partial(notified: Notified) -> bool:
    """Tell whether a body is the partial state of a list; what is encrypted is not looked into."""
    whole = parse_multipart(notified.content_type, notified.body)
    part: BodyPart = whole
    try:
        while part.parts:
            part = part.parts[0] if part.content_type.subtype == "signed" else part.root
        if part.content_type.key != rlmi.MEDIA_TYPE:
            return False
        return not rlmi.ListState.parse(part.body).full
    except (DocumentError, RemoteProtocolError):
        return False
