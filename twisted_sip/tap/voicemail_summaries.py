"""Tells who subscribes to a line how many messages wait for it (RFC 3842).

A SUBSCRIBE reaches us at the Contact of the line, by way of the server where it is registered, which has asked who
sends it (agent.served_dialogs.ProvedWatchers). What comes from elsewhere nobody has vouched for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from twisted_sip.agent.account import Account
from twisted_sip.documents.message_summary import VOICE, Counts
from twisted_sip.events.message_summary_package import MessageSummaryPackage
from twisted_sip.events.watchers import FORBIDDEN
from twisted_sip.interfaces.event_package import Authorization, NotifierHost, PackageSubscription
from twisted_sip.message.uri import SIPURI, parse_uri
from twisted_sip.tap.mailboxes import Mailbox


class VoicemailSummaries(MessageSummaryPackage):
    """The package: the resource is the Contact of a line, or its address-of-record."""

    def __init__(self, watchers: Collection[str], trust_everybody: bool = False) -> None:
        """Know of no mailbox.

        :param watchers: who may watch every line beside the line itself.
        :param trust_everybody: believe watchers who prove nothing.
        """
        super().__init__(
            counts=self._count, has_resource=lambda aor: self._account(aor) is not None, account_of=self._aor
        )
        self._trust_everybody = trust_everybody
        self._mailboxes: dict[Account, Mailbox] = {}
        self._allowed = frozenset(watchers)
        self._notifier: NotifierHost | None = None

    def add(self, account: Account, mailbox: Mailbox) -> None:
        """The messages for *account* are in *mailbox*."""
        self._mailboxes[account] = mailbox

    def attached(self, host: NotifierHost) -> None:
        super().attached(host)
        self._notifier = host

    def messages_changed(self) -> None:
        """Messages have come or gone: those who watch are told."""
        if self._notifier is not None:
            for subscription in self._notifier.subscriptions(self.event):
                self._notifier.notify(subscription)

    def _account(self, resource: str) -> Account | None:
        uri = parse_uri(resource)
        if not isinstance(uri, SIPURI):
            return None
        return next((account for account in self._mailboxes if account.is_ours(uri)), None)

    def _aor(self, resource: str) -> str:
        account = self._account(resource)
        return resource if account is None else account.aor

    def _count(self, resource: str) -> Mapping[str, Counts]:
        account = self._account(resource)
        return {} if account is None else {VOICE: self._mailboxes[account].counts()}

    def authorize(self, subscription: PackageSubscription) -> Authorization:
        """Let the user of the line watch, and whom the configuration names."""
        account = self._account(subscription.resource)
        if not self._trust_everybody and not getattr(subscription, "authenticated", False):
            return FORBIDDEN
        if account is not None and (subscription.watcher == account.aor or subscription.watcher in self._allowed):
            return Authorization()
        return FORBIDDEN
