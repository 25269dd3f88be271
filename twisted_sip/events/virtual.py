"""Virtual subscriptions: watchers of what is served here who need no SIP to be told (RFC 4662 section 2).

Each goes through the same package as a subscription with a dialog: its authorisation, its state, its formats. What it
lacks is NOTIFY requests: who made it is told that there is news, and asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.dialog.notifier import ACTIVE, PENDING, TERMINATED
from twisted_sip.errors import LocalProtocolError
from twisted_sip.events.answers import settled
from twisted_sip.interfaces.event_package import UNCHANGED, Authorization, Notification, PackageSubscription

if TYPE_CHECKING:
    from twisted_sip.events.hosted import HostedPackage

_log = Logger()

_UNDECIDED = Authorization(state=PENDING)
#: The state before its package has decided.
UNKNOWN = "unknown"


class VirtualSubscription:
    """One virtual subscription; a PackageSubscription for its package.

    It stays in the table of its package while it is refused, so that it begins anew once the rules allow it; each
    beginning has an id of its own.

    :ivar parent: the subscription that it serves; it lasts as long as that.
    :ivar state: ``unknown``, ``pending``, ``active`` or ``terminated``.
    :ivar reason: why it is terminated, or empty.
    :ivar version: the next number for a document.
    """

    __slots__ = (
        "_asked",
        "_begun",
        "_hosted",
        "_name",
        "_on_news",
        "_reactor",
        "_timeout",
        "_told",
        "accept",
        "authorization",
        "body",
        "created_at",
        "event",
        "event_id",
        "event_params",
        "memory",
        "parent",
        "reason",
        "resource",
        "state",
        "supported",
        "version",
        "watcher",
    )

    def __init__(
        self,
        hosted: HostedPackage,
        resource: str,
        parent: PackageSubscription,
        *,
        name: str,
        accept: tuple[str, ...],
        reactor: Any,
        on_news: Callable[[VirtualSubscription], None],
        timeout: float = 10.0,
    ) -> None:
        """Make a subscription to *resource*, a canonical URI, for the watcher of *parent*; see :meth:`begin`.

        :param name: tells it from others of *parent*.
        :param accept: the media types that the watcher takes.
        :param reactor: provides IReactorTime, in seconds since the epoch.
        :param on_news: called when its state, or that of the resource, has changed.
        :param timeout: seconds that the package may take to decide.
        """
        self.parent = parent
        self.resource = resource
        self.watcher = parent.watcher
        self.event = hosted.event
        self.event_id = ""
        self.event_params: tuple[tuple[str, str], ...] = ()
        self.accept = accept
        self.supported = parent.supported
        self.body = ("", b"")
        self.authorization = _UNDECIDED
        self.state = UNKNOWN
        self.reason = ""
        self.memory: dict[str, Any] = {}
        self.created_at: float = reactor.seconds()
        self._hosted = hosted
        self._reactor = reactor
        self._timeout = timeout
        self._on_news = on_news
        self._name = name
        self.version = 0
        self._begun = 0
        self._asked = 0
        # Its package has been told of it.
        self._told = False

    # -- for its package ------------------------------------------------------------

    @property
    def id(self) -> str:
        """What names it among all of the notifier: the same over restarts."""
        return f"{self.parent.id}/{self._name}/{self._begun}"

    @property
    def expires_at(self) -> float:
        """When it ends, seconds since the epoch: with what it serves."""
        return self.parent.expires_at

    def next_version(self) -> int:
        """Return the next number for documents with a version attribute."""
        version = self.version
        self.version = version + 1
        return version

    # -- for who made it ---------------------------------------------------------------

    def begin(self) -> None:
        """Ask the package whether it may be; what comes of it is news, unless it is known when this returns."""
        self._hosted.virtual.add(self)
        self._ask(resource_too=True)

    def fetch(self) -> None:
        """Ask the package likewise, for the state as it is now alone (RFC 6665 section 4.4.3)."""
        self._ask(resource_too=True)

    def retry(self) -> None:
        """Ask the package anew if it did not decide, or refused it."""
        if self.state in (UNKNOWN, TERMINATED):
            self._ask(resource_too=True)

    async def told(self, *, news: bool = False) -> Notification:
        """Return what the package tells it now.

        :param news: it is asked for mere news: UNCHANGED where there are none for this watcher.
        :raises LocalProtocolError: the package gives something else.
        """
        answer = await settled(self._hosted.package.notification(self))
        if answer is UNCHANGED and not news:
            self.full_state_due()
            answer = await settled(self._hosted.package.notification(self))
        if not isinstance(answer, Notification):
            raise LocalProtocolError(f"the package {self.event} gave {answer!r}")
        return answer

    def full_state_due(self) -> None:
        """The watcher lacks what was told last."""
        self._hosted.full_state_due(self)

    def end(self, reason: str) -> None:
        """It is over for good. Harmless when repeated."""
        self._asked += 1
        self._hosted.virtual.remove(self)
        if self.state in (ACTIVE, PENDING):
            self._over(reason)

    # -- for the notifier ----------------------------------------------------------------

    def news(self) -> None:
        """The state of the resource has changed."""
        if self.state in (ACTIVE, PENDING):
            self._on_news(self)

    def reauthorize(self) -> None:
        """The rules of the resource have changed."""
        self._ask(resource_too=False)

    def terminate(self, reason: str) -> None:
        """The package ends it."""
        if self.state in (ACTIVE, PENDING):
            self._over(reason)
            self._on_news(self)

    # -- decisions ------------------------------------------------------------------------

    def _ask(self, *, resource_too: bool) -> None:
        self._asked += 1
        asked = self._asked
        deciding = Deferred.fromCoroutine(self._decision(resource_too))
        if not deciding.called:
            deciding.addTimeout(self._timeout, self._reactor)
        deciding.addCallback(self._decided, asked).addErrback(self._undecided, asked)

    async def _decision(self, resource_too: bool) -> Authorization:
        package = self._hosted.package
        if resource_too and not await settled(package.has_resource(self.resource)):
            return Authorization(state=TERMINATED, reason="noresource", status=404)
        answer = await settled(package.authorize(self))
        if not isinstance(answer, Authorization):
            raise LocalProtocolError(f"the package {self.event} gave {answer!r}")
        return answer

    def _undecided(self, failure: Failure, asked: int) -> None:
        """What was decided before holds."""
        _log.failure("the package {event} could not decide", failure, event=self.event, id=self.id)

    def _decided(self, answer: Authorization, asked: int) -> None:
        if asked != self._asked:
            return
        before, known = self.state, self.authorization
        if answer.status or answer.state == TERMINATED:
            reason = answer.reason or ("noresource" if answer.status == 404 else "rejected")
            self.authorization = answer
            if before in (ACTIVE, PENDING):
                self._over(reason)
            elif before == TERMINATED and reason == self.reason:
                return
            else:
                self.state, self.reason = TERMINATED, reason
        elif before in (ACTIVE, PENDING) and before != answer.state:
            # Both ways (RFC 5025 section 3.2.1).
            self.authorization = answer
            self.state = answer.state
            self._tell()
        elif before == answer.state:
            self.authorization = answer
            if known == answer:
                return
            if self._hosted.tells_differences:
                self._on_news(self)
                return
        else:
            self._anew(answer)
        self.full_state_due()
        self._on_news(self)

    def _anew(self, answer: Authorization) -> None:
        self._begun += 1
        self.version = 0
        self.memory = {}
        self.created_at = self._reactor.seconds()
        self.authorization = answer
        self.state, self.reason = answer.state, ""
        self._told = True
        if self in self._hosted.virtual:
            # Of who fetches, the package hears at the end (RFC 3857 section 4.7.1).
            self._tell()

    def _over(self, reason: str) -> None:
        self.state, self.reason = TERMINATED, reason
        if self._told:
            self._tell()
            self._told = False

    def _tell(self) -> None:
        self._hosted.tell((self,))

    def __repr__(self) -> str:
        return f"<VirtualSubscription {self.id} of {self.watcher} to {self.event} of {self.resource}, {self.state}>"


class VirtualSubscriptions:
    """The virtual subscriptions to one package, by resource. Who makes them sees to their number and their end."""

    __slots__ = ("_by_resource", "_count", "_hosted")

    def __init__(self, hosted: HostedPackage) -> None:
        self._hosted = hosted
        self._by_resource: dict[str, dict[VirtualSubscription, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        """How many there are."""
        return self._count

    def __contains__(self, subscription: VirtualSubscription) -> bool:
        return subscription in self._by_resource.get(subscription.resource, ())

    def add(self, subscription: VirtualSubscription) -> None:
        """Take *subscription* in."""
        known = self._by_resource.setdefault(subscription.resource, {})
        if subscription not in known:
            known[subscription] = None
            self._count += 1

    def remove(self, subscription: VirtualSubscription) -> None:
        """Take *subscription* out. Harmless when repeated."""
        known = self._by_resource.get(subscription.resource)
        if known is None or subscription not in known:
            return
        del known[subscription]
        self._count -= 1
        if not known:
            del self._by_resource[subscription.resource]

    def of(self, resource: str | None) -> list[VirtualSubscription]:
        """Return those to *resource*, to everything if it is None, that are pending or active."""
        if resource is not None:
            found = list(self._by_resource.get(resource, ()))
        else:
            found = [subscription for known in self._by_resource.values() for subscription in known]
        return [subscription for subscription in found if subscription.state in (ACTIVE, PENDING)]

    def changed(self, resource: str) -> None:
        """The state of *resource* has changed."""
        for subscription in list(self._by_resource.get(resource, ())):
            subscription.news()

    def reauthorize(self, resource: str) -> None:
        """The rules of *resource* have changed: also those who were refused may be let in."""
        for subscription in list(self._by_resource.get(resource, ())):
            subscription.reauthorize()
