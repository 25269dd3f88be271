"""A user agent: a service that registers, makes calls and takes them, and a link of the chain (RFC 3261 section 6).

Subclass it and override a hook, or give it an ICallListener. It has no media of its own: give it what makes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sip.agent.account import ANONYMOUS, Account
from twisted_sip.agent.agent_services import AgentServices
from twisted_sip.agent.call import AGENTS_OWN, Call
from twisted_sip.agent.call_table import CallTable
from twisted_sip.agent.descriptions import Description, session_body
from twisted_sip.agent.flow_keeper import FlowKeeper
from twisted_sip.agent.ingress import Ingress
from twisted_sip.agent.invitation import Invitation
from twisted_sip.agent.messages import Messages
from twisted_sip.agent.referral import Referral
from twisted_sip.agent.referring import Referring
from twisted_sip.agent.registration import Registration, address_of
from twisted_sip.agent.registration_terms import RegistrationSettings
from twisted_sip.agent.served_dialogs import ServedDialogs
from twisted_sip.agent.settings import AgentSettings
from twisted_sip.agent.waiting import then
from twisted_sip.auth.client import DigestClient
from twisted_sip.auth.credentials import user_of
from twisted_sip.dialog.dialogs import Dialogs
from twisted_sip.dialog.session_terms import SESSION_METHODS, SessionTerms
from twisted_sip.element.sending import ClientCredentials
from twisted_sip.errors import LocalProtocolError
from twisted_sip.events.subscriber import Subscriber
from twisted_sip.interfaces.agent import ICallListener, IUserAgent
from twisted_sip.interfaces.media import MediaFactory
from twisted_sip.interfaces.processing import IncomingRequest, Verdict
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.message.transfer import Replaces
from twisted_sip.message.uri import SIPURI, URI
from twisted_sip.transaction.timers import Timer

if TYPE_CHECKING:
    from twisted_sip.element.element import Element

_log = Logger()

#: Option tags that the agent adds to those of sessions.
_SUPPORTED = ("100rel", "timer", "199", "replaces", "join", "norefersub", "tdialog", "gruu", "outbound")


@implementer(IUserAgent)
class UserAgent(AgentServices):
    """A user agent.

    :ivar element: what it sends and receives by.
    :ivar settings: how it behaves.
    :ivar dialogs: the dialogs of its calls and subscriptions.
    :ivar subscriber: makes its subscriptions.
    :ivar accounts: who it can be; the first one is meant where nothing is said.
    :ivar registrations: its registrations.
    :ivar ingress: the way in: which call a request belongs to.
    """

    def __init__(
        self,
        element: Element,
        *,
        settings: AgentSettings | None = None,
        media: MediaFactory | None = None,
        listener: Any = None,
        subscriber: Subscriber | None = None,
        user: str = "",
    ) -> None:
        """Make an agent; it is in the chain of *element* while it runs.

        :param media: makes the media of a call; without it calls are signalling only.
        :param listener: an ICallListener.
        :param subscriber: shares its table of dialogs.
        :param user: the user part of Contacts where there is no account; random unless given.
        """
        self.element = element
        self.settings = settings or AgentSettings()
        self.listener: ICallListener | None = listener
        self._make_media = media
        self.subscriber = subscriber or Subscriber(element, dialogs=Dialogs(max(10_000, 2 * self.settings.max_calls)))
        self.dialogs = self.subscriber.dialogs
        self.accounts: list[Account] = []
        self.registrations: list[Registration] = []
        self.keeper = FlowKeeper(element)
        self.messages = Messages(self)
        self.referring = Referring(self)
        self.user = user or element.random_text()
        self._nobody = Account(NameAddr.build(f"sip:{self.user}@anonymous.invalid"), contact_user=self.user)
        self.ingress = Ingress(self)
        self.table = CallTable(self)
        self._stopping: Deferred[None] | None = None
        self.served: ServedDialogs | None = None

    # -- who it is ---------------------------------------------------------------------------------------

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls that are not over."""
        return self.table.calls

    @property
    def terms(self) -> SessionTerms:
        """What it can do and wants, as it says in its messages."""
        settings = self.settings
        methods = [*SESSION_METHODS, "REFER", "NOTIFY"]
        if self.takes_messages:
            methods.append("MESSAGE")
        headers = [("user-agent", settings.user_agent)] if settings.user_agent else []
        if self.served is not None:
            # RFC 6665 sections 4.4.4 and 8.2.2.
            methods.append("SUBSCRIBE")
            headers.append(("allow-events", "dialog"))
        return SessionTerms(
            allow=tuple(methods),
            supported=(*_SUPPORTED, *settings.supported),
            accept=("application/sdp", "message/sipfrag", *settings.accept),
            recv_info=settings.info_packages,
            reliable=settings.reliable,
            session_expires=settings.session_expires,
            min_se=settings.min_se,
            headers=tuple(headers),
            ring_timeout=settings.ring_timeout,
            values=self.element.timer_values,
        )

    def account(
        self,
        address: NameAddr | SIPURI | str,
        *,
        credentials: ClientCredentials | None = None,
        route: Iterable[str] = (),
    ) -> Account:
        """Add an identity that is not registered; return it.

        :param credentials: answers challenges as that user (RFC 3261 section 22); see auth.client.DigestClient.
        :param route: Route values for requests outside of dialogs: an outbound proxy, as ``<sip:192.0.2.1;lr>``.
        :raises LocalProtocolError: a malformed address.
        """
        made = Account(address_of(address), contact_user=self.user, credentials=credentials, route=route)
        self.accounts.append(made)
        return made

    def account_for(self, request: Request) -> Account:
        """Return the account that a request that has come in is for."""
        uri = request.known_uri or request.uri
        found = self.account_at(uri) if isinstance(uri, SIPURI) else None
        return found if found is not None else self.account_of_choice

    def account_at(self, uri: SIPURI) -> Account | None:
        """Return the account that *uri* leads to, None if to none; without accounts all leads to who is nobody."""
        if not self.accounts:
            return self._nobody
        by_contact = [account for account in self.accounts if account.contact_user == uri.user]
        for account in by_contact or self.accounts:
            if account.is_ours(uri):
                return account
        return None

    def register(
        self,
        aor: NameAddr | SIPURI | str,
        *,
        password: str = "",
        credentials: ClientCredentials | None = None,
        realms: Iterable[str] | None = None,
        registrar: SIPURI | str | None = None,
        outbound_proxies: Sequence[SIPURI | str] = (),
        instance: str = "",
        contact_user: str = "",
        settings: RegistrationSettings | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> Registration:
        """Register *aor* and keep that up until the agent stops; calls can be made as that user then (RFC 3261 section
        10.2, RFC 5626).

        :param aor: who: ``sip:alice@example.com``, or the same with a display name.
        :param password: answers challenges with it, by the strongest algorithm that is offered.
        :param credentials: what answers challenges, in place of a password.
        :param realms: the realms that are told the password's hash; the domain of *aor* alone unless given.
        :param registrar: where; the domain of *aor* unless given.
        :param outbound_proxies: up to four; each makes one flow (RFC 5626 section 4.2.1).
        :param instance: the instance-id, ``urn:uuid:...``, which should be the same after a restart (RFC 5626 section
            4.1); a fresh one unless given.
        :param contact_user: the user part of the Contact; random unless given.
        :param settings: for how many seconds it registers, and how often it tries again.
        :param headers: further header fields of each REGISTER, as pairs of name and value.
        :return: the registration; ``when_registered()`` tells of its outcome.
        :raises LocalProtocolError: a value that SIP does not allow.
        """
        address = address_of(aor)
        if credentials is None and password:
            uri = address.uri
            assert isinstance(uri, SIPURI)
            token = self.element.random_text
            credentials = DigestClient(
                user_of(uri), password, realms=realms, strongest=True, integrity=self.settings.integrity, token=token
            )
        registration = Registration(
            self.element,
            address,
            registrar=registrar,
            credentials=credentials,
            outbound_proxies=outbound_proxies,
            instance=instance,
            contact_user=contact_user,
            headers=[*self.terms.headers, *headers],
            settings=settings,
            keeper=self.keeper,
        )
        self.registrations.append(registration)
        self.accounts.append(
            Account(
                address,
                contact_user=registration.contact_user,
                credentials=credentials,
                registration=registration,
            )
        )
        if self.running:
            registration.start().addErrback(self._not_registered, registration)
        return registration

    def _not_registered(self, failure: Failure, registration: Registration) -> None:
        then(
            lambda: self.registration_failed(failure, registration),
            lambda _: None,
            lambda raised: _log.failure("registration_failed for {aor}", raised, aor=str(registration.aor)),
        )

    def unregister(self, registration: Registration) -> Deferred[None]:
        """Take *registration* back, and be nobody by it any more; calls that it has go on.

        :return: as ``Registration.stop``.
        """
        if registration in self.registrations:
            self.registrations.remove(registration)
            self.accounts = [account for account in self.accounts if account.registration is not registration]
        return registration.stop()

    # -- calls -------------------------------------------------------------------------------------------------

    def call(
        self,
        uri: URI | str,
        *,
        account: Account | Registration | None = None,
        from_: NameAddr | str | None = None,
        media: Any = AGENTS_OWN,
        body: Description | None = None,
        headers: Iterable[tuple[str, str]] = (),
        replaces: Call | Replaces | None = None,
        join: Call | str | None = None,
        timeout: float | None = None,
        route: Sequence[str] | None = None,
        max_forwards: int = 70,
        anonymous: bool = False,
        terms: SessionTerms | None = None,
        referral: Referral | None = None,
    ) -> Call:
        """Call *uri* (RFC 3261 section 13.2).

        :param account: as whom; as the first one unless given.
        :param from_: another From than the account's.
        :param media: an IMediaSession, what makes one of a call, or None for signalling only; the agent's unless given.
        :param body: without media: the offer, a SessionDescription, SDP as text or bytes, or a SessionBody; without one
            the peer makes it, see ``Call.on_offer``.
        :param headers: further header fields of the INVITE, as pairs of name and value; not From, To and others that
            each request has once.
        :param replaces: the call whose place the new one takes at its peer (RFC 3891): the Call-ID and tags of it.
        :param join: the call that it joins at its peer (RFC 3911).
        :param timeout: seconds that it may ring; ``ring_timeout`` of the settings unless given.
        :param route: other Route values than the account's.
        :param max_forwards: through how many proxies it may go, 0 to 255 (section 20.22).
        :param anonymous: do not tell the callee who we are (RFC 3323, RFC 3325 section 9.3).
        :param terms: what we can do and want, in place of what the settings say.
        :param referral: the REFER that asks for it (RFC 3515).
        :return: the call, whose INVITE is on its way; ``answered`` and ``ended`` are Deferreds of its outcome.
        :raises LocalProtocolError: a value that SIP does not allow, or as many calls as there may be.
        :raises MediaRefused: there is no room for media.
        """
        if self.table.alive >= self.settings.max_calls:
            raise LocalProtocolError(f"there are {self.settings.max_calls} calls, as many as there may be")
        if self._stopping is not None:
            raise LocalProtocolError("the agent is being stopped")
        if isinstance(account, Registration):
            registration = account
            account = next((known for known in self.accounts if known.registration is registration), None)
            if account is None:
                raise LocalProtocolError(f"{registration.aor} is not registered by this agent any more")
        if account is None:
            account = self.accounts[0] if self.accounts else self._nobody
        invitation = Invitation(
            account,
            uri,
            from_=ANONYMOUS if anonymous else from_,
            headers=headers,
            replaces=replaces.replaces_value() if isinstance(replaces, Call) else replaces,
            join=join.join_value() if isinstance(join, Call) else join,
            route=route,
            max_forwards=max_forwards,
            anonymous=anonymous,
            random_text=self.element.random_text,
        )
        offer = session_body(body)
        call = invitation.call(self, offer, terms or self.terms, timeout)
        if referral is not None:
            call.referral = referral
            call.referrals = 1 if referral.call is None else referral.call.referrals + 1
        self.table.enter(call)
        try:
            call.choose_media(media, offer)
            call.leg.start()
        except Exception:
            call.refused(500, "", None, by="local", cause="media")
            call.gone()
            raise
        return call

    # -- the chain ----------------------------------------------------------------------------------------------

    def process(self, incoming: IncomingRequest) -> Verdict | Deferred[Verdict]:
        """Take what is for this agent, pass on what is not."""
        return self.ingress.process(incoming)

    @property
    def stopping(self) -> bool:
        """True from the moment that it is told to stop."""
        return self._stopping is not None

    def chance(self) -> float:
        """Return a random number, from 0 to less than 1."""
        return int(self.element.random_text()[:12], 16) / float(1 << 48)

    # -- the service ----------------------------------------------------------------------------------------------

    def startService(self) -> None:
        """Take requests, and begin to register; what is left of a stop that is under way is cut short."""
        if self._stopping is not None and not self._stopping.called:
            self._close()
        Service.startService(self)
        self._stopping = None
        if self not in self.element.chain:
            self.element.chain.insert(0, self)
        if self.settings.dialog_watchers != "nobody":
            self.serve_dialogs()
        if self.served is not None:
            self.served.start()
        for registration in self.registrations:
            registration.start().addErrback(self._not_registered, registration)

    def stopService(self) -> Deferred[None]:
        """Hang up, unregister, and let go of everything; fires with None, never fails, at the latest after the
        ``farewell`` of the settings."""
        Service.stopService(self)
        if self._stopping is not None:
            return self._stopping
        stopped: Deferred[None] = Deferred()
        self._stopping = stopped
        if self.served is not None:
            self.served.farewell()
        ends: list[Deferred[Any]] = [self.table.hang_up(), self.subscriber.stop()]
        ends += [registration.stop() for registration in self.registrations]
        waiting = DeferredList(ends, consumeErrors=True)
        limit = self.element.timers.start(self.settings.farewell, waiting.cancel)
        waiting.addBoth(self._farewell_said, stopped, limit)
        return stopped

    def _farewell_said(self, _: object, stopped: Deferred[None], limit: Timer) -> None:
        limit.cancel()
        if not stopped.called:
            self._close()

    def _close(self) -> None:
        self.table.close()
        self.referring.close()
        self.keeper.stop()
        if self.served is not None:
            self.served.stop()
        if self in self.element.chain:
            self.element.chain.remove(self)
        stopped = self._stopping
        if stopped is not None and not stopped.called:
            stopped.callback(None)
