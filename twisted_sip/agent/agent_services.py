"""What a user agent does besides plain calls: messages, questions, referrals, and the services made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred

from twisted_sip.agent import services
from twisted_sip.agent.account import Account
from twisted_sip.agent.agent_hooks import AgentHooks
from twisted_sip.agent.messages import Messages
from twisted_sip.agent.referring import Referring
from twisted_sip.agent.served_dialogs import ServedDialogs
from twisted_sip.agent.three_way import ThreeWay
from twisted_sip.agent.transfer import Transfer
from twisted_sip.dialog.session_terms import SessionTerms
from twisted_sip.events.notifier import Notifier
from twisted_sip.message.response import Response
from twisted_sip.message.uri import URI

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call
    from twisted_sip.agent.user_agent import UserAgent


class AgentServices(AgentHooks):
    """See UserAgent."""

    messages: Messages
    referring: Referring
    served: ServedDialogs | None
    _nobody: Account

    @property
    def terms(self) -> SessionTerms:
        """What it can do and wants, as it says in its messages."""
        raise NotImplementedError

    def message(
        self,
        uri: URI | str,
        text: str | bytes,
        *,
        content_type: str = "text/plain;charset=utf-8",
        account: Account | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> Deferred[Response]:
        """Send a MESSAGE outside of calls (RFC 3428 section 4).

        :param uri: to whom.
        :param text: what to say; text goes as UTF-8.
        :param content_type: what it is.
        :param account: as whom; as the first one unless given.
        :param headers: further header fields, as pairs of name and value.
        :return: fires with the 2xx; fails with RequestRefused, whose status is that of the response, 408 without one
            or 503 where it could not be sent.
        :raises LocalProtocolError: a value that SIP does not allow.
        """
        body = text.encode() if isinstance(text, str) else text
        return self.messages.send(
            "MESSAGE", str(uri), account or self.account_of_choice, [("content-type", content_type), *headers], body
        )

    def options(self, uri: URI | str, *, account: Account | None = None) -> Deferred[Response]:
        """Ask *uri* what it can do (RFC 3261 section 11.1).

        :param account: as whom; as the first one unless given.
        :return: fires with the 2xx; fails with RequestRefused, whose status tells how a call would be answered, or is
            408 or 503 as for :meth:`message`.
        :raises LocalProtocolError: a value that SIP does not allow.
        """
        fields = [("accept", ", ".join(self.terms.accept))]
        return self.messages.send("OPTIONS", str(uri), account or self.account_of_choice, fields)

    def refer(
        self,
        uri: URI | str,
        refer_to: str,
        *,
        account: Account | None = None,
        about: Call | None = None,
        notify: bool = True,
    ) -> Transfer:
        """Send a REFER outside of calls (RFC 3515 section 2.4.1).

        :param uri: who is to make a call.
        :param refer_to: the Refer-To, in angle brackets where it has parameters.
        :param account: as whom; as the first one unless given.
        :param about: the call that shows the peer that we may (RFC 4538).
        :param notify: be told what becomes of it; otherwise the REFER asks for no subscription (RFC 4488).
        :return: the transfer; ``done`` fires with the final status of the peer's call.
        :raises LocalProtocolError: a value that SIP does not allow, or *about* is over.
        """
        return self.referring.refer(str(uri), refer_to, account or self.account_of_choice, about=about, notify=notify)

    @property
    def account_of_choice(self) -> Account:
        """Who it is where nothing is said."""
        return self.accounts[0] if self.accounts else self._nobody

    def serve_dialogs(self, notifier: Notifier | None = None) -> None:
        """Tell those who may watch of our calls (RFC 4235); the hook ``authorize_watcher`` says who that is. Harmless
        when repeated.

        The settings do that by themselves where ``dialog_watchers`` is not ``nobody``.

        :param notifier: what tells it, in place of a notifier of our own; see ``served_dialogs.ServedDialogs.add_to``.
        """
        if self.served is not None:
            return
        self.served = ServedDialogs(self._agent)
        if notifier is not None:
            self.served.add_to(notifier)
        elif self.running:
            self.served.start()

    # -- services made of calls and subscriptions ------------------------------------------------

    def pick_up(self, uri: URI | str, **how: Any) -> Deferred[Call]:
        """Take the call that rings at *uri*, whose calls we may watch (RFC 5359 section 2.16, RFC 3891 section 7.1).

        :param how: arguments of :meth:`call`.
        :return: fires with our call to the caller, which takes the place of the one that rings; fails with
            RequestRefused if nothing rings there, or we are not told.
        """
        return Deferred.fromCoroutine(services.pick_up(self._agent, uri, **how))

    def polite_call(
        self, uri: URI | str, *, acceptable: Callable[[Any], bool] | None = None, **how: Any
    ) -> Deferred[Call]:
        """Look at the presence of *uri* first, and call if that does not speak against it (RFC 3856).

        :param acceptable: tells from a documents.pidf.Presence whether to call.
        :param how: arguments of :meth:`call`.
        :return: fires with the call; fails with services.NotNow.
        """
        return Deferred.fromCoroutine(services.polite_call(self._agent, uri, acceptable=acceptable, **how))

    def call_back(self, uri: URI | str, *, timeout: float = 1800.0, **how: Any) -> services.CallBack:
        """Call *uri* as soon as it is not busy any more (RFC 5359 section 2.14).

        :param timeout: seconds after which it is given up.
        :param how: arguments of :meth:`call`.
        :return: what waits; its ``called`` fires with the call.
        """
        return services.CallBack(self._agent, uri, timeout=timeout, **how)

    def three_way(self, *calls: Call) -> ThreeWay:
        """Let the peers of *calls* hear each other (RFC 5359 section 2.10).

        :raises LocalProtocolError: one of them has no sound.
        """
        return ThreeWay(*calls)

    @property
    def _agent(self) -> UserAgent:
        return cast("UserAgent", self)
