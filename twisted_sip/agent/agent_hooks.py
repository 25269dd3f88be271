"""What a program decides about a user agent: the hooks, each with a sane default.

Override them in a subclass of UserAgent. Each may be ``async`` or return a Deferred, but for ``serves`` and
``make_media``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.agent.account import Account
from twisted_sip.agent.entitlement import may_refer, may_take_part
from twisted_sip.agent.incoming_leg import IncomingLeg
from twisted_sip.agent.messages import InstantMessage
from twisted_sip.agent.referral import Referral
from twisted_sip.agent.registration import Registration
from twisted_sip.agent.screening import is_from_servers
from twisted_sip.agent.served_dialogs import watched_by
from twisted_sip.agent.settings import AgentSettings
from twisted_sip.agent.wire import Wire
from twisted_sip.dialog.dialogs import Dialogs
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.agent import ICallListener
from twisted_sip.interfaces.flow import Flow
from twisted_sip.interfaces.media import MediaFactory
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.message.uri import SIPURI
from twisted_sip.transport.listener import bare, is_numeric

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call
    from twisted_sip.element.element import Element

_log = Logger()


class AgentHooks(Service):
    """The hooks of a user agent, and what their defaults go by; see UserAgent."""

    #: What becomes of an INVITE that was let in: the side of the call that its session talks to.
    incoming_leg: type[IncomingLeg] = IncomingLeg
    #: How the messages of a call leave that has come in.
    wire_type: type[Wire] = Wire
    #: Calls to telephone numbers (``tel`` URIs) are for it.
    serves_numbers = False

    element: Element
    settings: AgentSettings
    dialogs: Dialogs
    listener: ICallListener | None
    accounts: list[Account]
    registrations: list[Registration]
    user: str
    _make_media: MediaFactory | None

    def incoming_call(self, call: Call) -> Any:
        """A call has come in: ring, answer, reject or redirect it, now or later; may be ``async``.

        Default: the listener's; without one it is rejected with 480.
        """
        if self.listener is not None:
            return self.listener.incoming_call(call)
        call.reject(480)
        return None

    def incoming_message(self, message: InstantMessage) -> Any:
        """A MESSAGE has come in (RFC 3428 section 7); once what is returned is there it is answered 200.

        Where it is not overridden MESSAGE is answered 405.

        :param message: what it says, from whom, in which call.
        :return: None, or what can be awaited; may be ``async``.
        :raises RemoteProtocolError: answers with its status instead.
        """
        raise RemoteProtocolError("Method Not Allowed", status=405)

    def accept_transfer(self, call: Call | None, referral: Referral) -> Any:
        """Tell whether to call whom *referral* names (RFC 3515 section 2.4.2): a bool, or what can be awaited for one.

        :param call: the call that the REFER came in, or shows to know of (RFC 4538); None for strangers.

        Default: as ``accept_transfers`` and ``transfer_targets`` of the settings say in calls, never for strangers.
        ``referral.outside`` tells that the REFER came outside of the call, with a Target-Dialog.
        """
        return may_refer(self, call, referral)

    def accept_replaces(self, call: Call, incoming: IncomingRequest) -> Any:
        """Tell whether a new call may take the place of *call*, whose identifiers it knows (RFC 3891 section 8).

        :param incoming: the INVITE; its ``user`` is the address-of-record that was proved by digest, if any was.
        :return: a bool, or what can be awaited for one; False refuses with 403.

        Default: as ``accept_replaces`` of the settings says.
        """
        return may_take_part(self, self.settings.accept_replaces, call, incoming)

    def accept_join(self, call: Call, incoming: IncomingRequest) -> Any:
        """Tell whether a new call may join *call*, whose identifiers it knows, and listen (RFC 3911 section 8).

        :param incoming: and what is returned as for :meth:`accept_replaces`.

        Default: as ``accept_join`` of the settings says.
        """
        return may_take_part(self, self.settings.accept_join, call, incoming)

    def authorize_watcher(self, account: Account, watcher: str, proved: bool) -> Any:
        """Tell what *watcher* may see of the calls of *account* (RFC 4235): an events.dialog_package.DialogView, True
        for whether there is a call at all, False for nothing; or what can be awaited for one.

        :param watcher: the address-of-record of who subscribes.
        :param proved: our servers prove that he is that; otherwise he says so.

        Default: as ``dialog_watchers`` and ``pickup_group`` of the settings say.
        """
        return watched_by(self, account, watcher, proved)

    def screen(self, incoming: IncomingRequest) -> Any:
        """Return the status to refuse an INVITE with before there is a call, or None to let it in.

        :param incoming: the INVITE, and where it came from.
        :return: 300 to 699, None, or what can be awaited for one of them.

        Default: None.
        """
        return None

    def serves(self, uri: SIPURI) -> bool:
        """Tell whether requests to *uri* are for this agent (RFC 3261 section 8.2.2.1).

        Default: its Contacts and its users, everybody where there is no account; at our addresses and in our domains.
        """
        if any(account.registration and account.contact_user == uri.user for account in self.accounts):
            # What the registrar knows us by.
            return True
        if not self._is_host_of_ours(bare(uri.host).lower()):
            return False
        if uri.user == self.user or not self.accounts:
            return True
        return any(account.is_ours(uri) for account in self.accounts)

    def _is_host_of_ours(self, host: str) -> bool:
        """Tell whether *host* may be ours: any address may, since a router may translate it."""
        if host == "localhost" or is_numeric(host) or host in self.element.domains.names:
            return True
        if any(account.domain.lower() == host for account in self.accounts):
            return True
        return any(listener.advertised.rpartition(":")[0] == host for listener in self.element.transports.listeners)

    def auto_answers(self, call: Call, incoming: IncomingRequest) -> Any:
        """Tell whether to answer *call* by itself, since it asks for that (RFC 5373 section 4).

        :param incoming: its INVITE.
        :return: a bool, or what can be awaited for one.

        Default: as the settings say.
        """
        whom = self.settings.auto_answer
        return whom == "anybody" or (whom == "servers" and self.is_from_servers(incoming.flow))

    def is_from_servers(self, flow: Flow) -> bool:
        """Tell whether *flow* comes from our servers: from where we are registered, or one of ``settings.servers``."""
        if not self.registrations and not self.settings.servers:
            return False
        return is_from_servers(flow, self.registrations, self.settings.servers)

    @property
    def own_domains(self) -> set[str]:
        """The domains that our servers answer for: those of the accounts that are registered, or have a route."""
        return {account.domain.lower() for account in self.accounts if account.registration or account.route}

    def transferred(self, old: Call, new: Call) -> Any:
        """Because of a REFER in *old* we make the call *new*. Default: nothing."""

    def registration_failed(self, failure: Failure, registration: Registration) -> Any:
        """The first try to register has failed; its events tell of the further ones. Default: a line of the log."""
        _log.warn("{aor}: {problem}", aor=str(registration.aor), problem=failure.getErrorMessage())

    def make_media(self, call: Call) -> Any:
        """Return the media of *call*, None for signalling only; at once. Default: what was given to the constructor
        makes."""
        return None if self._make_media is None else self._make_media(call)

    @property
    def takes_messages(self) -> bool:
        """True if MESSAGE is taken."""
        return type(self).incoming_message is not AgentHooks.incoming_message
