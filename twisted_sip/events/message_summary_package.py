"""The event package ``message-summary``: how many messages wait for a user (RFC 3842).

What waits is set by a program (:meth:`MessageSummaryPackage.set_summary`: voicemail, fax), and counted where the server
itself keeps messages. A user alone is told, and whom the program allows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from inspect import isawaitable
from typing import Any, Final

from zope.interface import implementer

from twisted_sip.documents.message_summary import MEDIA_TYPE, TEXT, Counts, Summary
from twisted_sip.errors import LocalProtocolError, StoreFull
from twisted_sip.events.watchers import FORBIDDEN, HasResource, every_resource, may_know, owns
from twisted_sip.interfaces.event_package import (
    Authorization,
    IEventPackage,
    Notification,
    NotifierHost,
    PackageSubscription,
)
from twisted_sip.interfaces.message_store import IMessageStore, StoredMessage

#: Where the package notes which messages a watcher has been told of.
_TOLD: Final = "message-summary.told"

#: Counts what waits for an account beside what was set: by message-context-class, or what can be awaited for that.
CountWaiting = Callable[[str], "Mapping[str, Counts] | Awaitable[Mapping[str, Counts]]"]


def nothing_waits(account: str) -> Mapping[str, Counts]:
    """Count nothing."""
    return {}


def stored_messages(store: IMessageStore) -> CountWaiting:
    """Return what counts the messages that wait in *store* (text messages, all of them new).

    Call ``store.observe(package.changed)`` as well, so that users hear when that changes.
    """

    def counted(found: Sequence[StoredMessage]) -> Mapping[str, Counts]:
        return {TEXT: Counts(len(found))} if found else {}

    async def later(found: Awaitable[Sequence[StoredMessage]]) -> Mapping[str, Counts]:
        return counted(await found)

    def count(account: str) -> Mapping[str, Counts] | Awaitable[Mapping[str, Counts]]:
        found: Any = store.waiting(account)
        return later(found) if isawaitable(found) else counted(found)

    return count


@implementer(IEventPackage)
class MessageSummaryPackage:
    """Tells users what waits for them."""

    event = "message-summary"
    # Section 3.4.
    default_expires = 3600
    content_types = (MEDIA_TYPE,)
    # Section 3.3: no bodies are defined.
    body_types: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        counts: CountWaiting = nothing_waits,
        watchers: Collection[str] = (),
        has_resource: HasResource = every_resource,
        account_of: Callable[[str], str] = str,
        max_accounts: int = 100_000,
        min_interval: float = 1.0,
    ) -> None:
        """Know of no message.

        :param counts: counts messages that wait somewhere else, by message-context-class, for an address-of-record.
        :param watchers: canonical URIs of those who may watch every account; a user may watch its own. Name users of
            our own: others have proved nothing.
        :param has_resource: tells whether an address-of-record is one of ours.
        :param account_of: the URI that Message-Account tells for an address-of-record; the same unless given.
        :param max_accounts: for how many accounts a summary may be set.
        :param min_interval: the least seconds between two NOTIFYs of one subscription; section 3.11 has 1.
        """
        self.min_interval = min_interval
        self._counts = counts
        self._watchers = frozenset(watchers)
        self._has_resource = has_resource
        self._account_of = account_of
        self._max_accounts = max_accounts
        self._summaries: dict[str, Summary] = {}
        self._host: NotifierHost | None = None

    # -- for programs -------------------------------------------------------------------------

    def set_summary(self, aor: str, summary: Summary | None) -> None:
        """Say what waits for *aor*; its watchers are told. None forgets what was said.

        ``summary.messages`` are the header fields of messages that came since the last summary: each watcher is told
        of them once, if it is there (section 3.5).

        :raises LocalProtocolError: the summary cannot be sent.
        :raises StoreFull: there are summaries for as many accounts as there may be.
        """
        if summary is None:
            self._summaries.pop(aor, None)
        else:
            summary.to_bytes()
            if aor not in self._summaries and len(self._summaries) >= self._max_accounts:
                raise StoreFull(f"there are summaries for {self._max_accounts} accounts")
            self._summaries[aor] = summary
        self.changed(aor)

    def summary(self, aor: str) -> Summary | None:
        """Return what was set for *aor*, None if nothing was."""
        return self._summaries.get(aor)

    def changed(self, aor: str) -> None:
        """What is counted for *aor* is another number now: its watchers are told."""
        if self._host is not None:
            self._host.changed(self.event, aor)

    # -- IEventPackage ----------------------------------------------------------------------------

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
        found: Any = self._counts(subscription.resource)
        if isawaitable(found):
            return self._later(subscription, found)
        return self._notification(subscription, found)

    async def _later(self, subscription: PackageSubscription, found: Awaitable[Mapping[str, Counts]]) -> Notification:
        return self._notification(subscription, await found)

    def _notification(self, subscription: PackageSubscription, waiting: Mapping[str, Counts]) -> Notification:
        aor = subscription.resource
        known = self._summaries.get(aor) or Summary()
        counts = dict(known.counts)
        for name, more in waiting.items():
            name = name.lower()
            counts[name] = counts[name] + more if name in counts else more
        has_new = any(each.new for each in waiting.values())
        # Section 3.5: header fields of messages only for who was there before they came, and once.
        memory = subscription.memory
        fresh = _TOLD in memory and memory[_TOLD] is not known
        memory[_TOLD] = known
        return Notification(
            content_type=MEDIA_TYPE,
            body=Summary(
                waiting=True if has_new else known.waiting,
                account=known.account or self._checked_account(aor),
                counts=counts,
                messages=known.messages if fresh else (),
            ).to_bytes(),
        )

    def _checked_account(self, aor: str) -> str:
        account = self._account_of(aor)
        try:
            Summary(account=account).to_bytes()
        except LocalProtocolError:
            # The line may be left out; the rest is told all the same.
            return ""
        return account

    def full_state_due(self, subscription: PackageSubscription) -> None:
        # Section 3.8: without header fields of messages.
        subscription.memory.pop(_TOLD, None)

    def subscriptions_changed(self, subscriptions: Iterable[PackageSubscription]) -> None:
        """Who watches does not matter."""
