"""An agent as a notifier of its own calls (RFC 4235): who may watch them, and what he is told.

Whoever watches may ring the user as soon as he is free (RFC 5359 section 2.17), and pick up what rings (section 2.16)
if he is told of dialogs. Who subscribes is proved by our servers or not at all: the agent asks nobody for a password.
"""

from __future__ import annotations

from collections.abc import Awaitable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, cast

from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sip.agent.account import Account
from twisted_sip.agent.entitlement import proved_identity
from twisted_sip.agent.own_calls import OwnCalls
from twisted_sip.dialog.dialogs import Dialogs, dialog_id_of
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.events.dialog_package import DialogPackage, DialogView
from twisted_sip.events.hosted import HostedSubscription
from twisted_sip.events.notifier import Notifier
from twisted_sip.events.notifier_settings import NotifierSettings
from twisted_sip.interfaces.event_package import Authorization, PackageSubscription
from twisted_sip.interfaces.processing import IncomingRequest, IRequestProcessor, Verdict
from twisted_sip.message.uri import SIPURI
from twisted_sip.storage.subscription_memory import MemorySubscriptionStore

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from twisted_sip.agent.agent_hooks import AgentHooks
    from twisted_sip.agent.user_agent import UserAgent

_log = Logger()

#: How many may watch one agent.
_LIMITS = {"max_subscriptions": 1000, "max_per_watcher": 100, "max_per_resource": 200, "max_foreign": 100}


def watched_by(agent: AgentHooks, account: Account, watcher: str, proved: bool) -> DialogView:
    """Return what *watcher* is told of the calls of *account* as the settings have it.

    :param proved: he has proved who he is; otherwise *watcher* is who he says he is.
    """
    settings = agent.settings
    if proved and (watcher == account.aor or watcher in settings.pickup_group):
        return DialogView.COMPLETE
    whom = settings.dialog_watchers
    return DialogView.BUSY if whom == "anybody" or (whom == "servers" and proved) else DialogView.NONE


class OwnDialogs(DialogPackage):
    """The package ``dialog`` of one agent: the resource is the address-of-record of an account."""

    def __init__(self, agent: UserAgent, calls: OwnCalls) -> None:
        super().__init__(calls, agent.element.reactor, has_resource=lambda aor: self._account(aor) is not None)
        self._agent = agent

    def _account(self, aor: str) -> Account | None:
        known = self._agent.accounts or [self._agent.account_of_choice]
        return next((account for account in known if account.aor == aor), None)

    def authorize(self, subscription: PackageSubscription) -> Authorization | Awaitable[Authorization]:
        """Ask the agent's ``authorize_watcher``."""
        account = self._account(subscription.resource)
        if account is None:
            return self.authorization(subscription, False)
        proved = bool(getattr(subscription, "authenticated", False))
        found: Any = self._agent.authorize_watcher(account, subscription.watcher, proved)
        if isawaitable(found):
            return self._awaited(subscription, cast("Awaitable[bool | DialogView]", found))
        return self.authorization(subscription, found)

    async def _awaited(self, subscription: PackageSubscription, found: Awaitable[bool | DialogView]) -> Authorization:
        return self.authorization(subscription, await found)


def resource_of(agent: UserAgent, uri: SIPURI) -> str:
    """Return whom a SUBSCRIBE to *uri*, which is for *agent*, is about: by its Contact, by its user, or by whatever
    there is where there is no account."""
    account = agent.account_at(uri)
    return account.aor if account is not None else uri.address_of_record


@implementer(IRequestProcessor)
class ProvedWatchers:
    """Notes who has proved to be the sender of a SUBSCRIBE; stands before the notifier.

    :param dialogs: those of the notifier.
    """

    def __init__(self, agent: AgentHooks, dialogs: Dialogs) -> None:
        self._agent = agent
        self._dialogs = dialogs

    def process(self, incoming: IncomingRequest) -> Verdict:
        """See IRequestProcessor."""
        if incoming.request.method == "SUBSCRIBE" and not incoming.user:
            incoming.user = proved_identity(self._agent, incoming) or self._known(incoming)
        return None

    def _known(self, incoming: IncomingRequest) -> str:
        """Return who goes on with a subscription past our servers: where they did not want to stay in its route they
        cannot vouch for what follows, and who knows the tags has made it."""
        request = incoming.request
        if not request.to.tag:
            return ""
        for usage in self._dialogs.usages(dialog_id_of(request)).values():
            if isinstance(usage, HostedSubscription) and usage.authenticated and not usage.dialog.route_set:
                return usage.watcher
        return ""


@implementer(IRequestProcessor)
class ServedDialogs:
    """Serves the event ``dialog`` while the agent runs; a link of its chain.

    :ivar calls: what is told.
    :ivar notifier: who tells it, None while the agent does not run.
    """

    def __init__(self, agent: UserAgent) -> None:
        self._agent = agent
        self.calls = OwnCalls(agent.table, agent.element.reactor)
        self.notifier: Notifier | None = None
        self._package: OwnDialogs | None = None
        self._watchers: ProvedWatchers | None = None

    def add_to(self, notifier: Notifier) -> None:
        """Let *notifier*, which somebody else runs, tell it; it is to be behind ProvedWatchers, and to take
        :func:`resource_of` for its resources."""
        self._package = OwnDialogs(self._agent, self.calls)
        notifier.add(self._package)

    def start(self) -> None:
        """Take SUBSCRIBEs, unless another notifier does. Harmless when repeated."""
        if self._package is not None:
            return
        agent = self._agent
        element = agent.element
        self._package = OwnDialogs(agent, self.calls)
        self.notifier = Notifier(
            element,
            MemorySubscriptionStore(element.reactor),
            settings=NotifierSettings(contact_user=element.random_text(), **_LIMITS),
            resource_of=lambda uri: resource_of(agent, uri),
            claims_all=len(element.chain) == 1,
        )
        self.notifier.add(self._package)
        self._watchers = ProvedWatchers(agent, self.notifier.dialogs)
        element.chain.insert(element.chain.index(agent) + 1, self)
        self.notifier.start().addErrback(_failed)

    def process(self, incoming: IncomingRequest) -> Verdict | Deferred[Verdict]:
        """Answer a SUBSCRIBE to one of our accounts, or within one of our dialogs."""
        request = incoming.request
        notifier, watchers = self.notifier, self._watchers
        if request.method != "SUBSCRIBE" or notifier is None or watchers is None:
            return None
        try:
            uri = request.uri
            tagged = bool(request.to.tag)
        except RemoteProtocolError:
            return None
        if not tagged and not (isinstance(uri, SIPURI) and self._agent.serves(uri)):
            return None
        watchers.process(incoming)
        return notifier.process(incoming)

    def farewell(self) -> None:
        """The agent stops: whoever watches is told that there is nothing more to see (RFC 6665 section 4.2.2)."""
        notifier = self.notifier
        if notifier is not None:
            for subscription in notifier.subscriptions("dialog"):
                notifier.terminate(subscription, "noresource")

    def stop(self) -> None:
        """Take no more SUBSCRIBEs, and tell nobody anything."""
        notifier, self.notifier = self.notifier, None
        if notifier is None:
            return
        assert self._package is not None
        self._package.stop()
        self._package = None
        notifier.stop()
        self._agent.element.chain.remove(self)


def _failed(failure: Failure) -> None:
    _log.failure("calls cannot be watched", failure)
