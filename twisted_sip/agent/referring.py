"""The transfers of one agent: those that peers ask for, and those that it asks for (RFC 3515, RFC 4488, RFC 4538, RFC
5589)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from twisted_sip.agent.account import Account
from twisted_sip.agent.call_events import (
    Answered,
    CallEvent,
    CallState,
    Ended,
    Progress,
    Transferred,
    TransferRequested,
)
from twisted_sip.agent.descriptions import deferred
from twisted_sip.agent.dialog_reference import target_dialog_of
from twisted_sip.agent.entitlement import proved_identity
from twisted_sip.agent.messages import Waiting
from twisted_sip.agent.referral import Referral, ReferralNotifier
from twisted_sip.agent.registered_way import came_by_registration
from twisted_sip.agent.transfer import Transfer, is_unsubscribed
from twisted_sip.agent.waiting import then
from twisted_sip.agent.wire import Wire
from twisted_sip.dialog.client_request import ClientRequest
from twisted_sip.dialog.dialog import Dialog, record_route_of
from twisted_sip.dialog.dialogs import INVITE_USAGE
from twisted_sip.dialog.session import Session
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.interfaces.processing import TAKEN, IncomingRequest, Verdict
from twisted_sip.message.builders import build_request, response_to
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.route_set import apply_route_set
from twisted_sip.message.uri import SIPURI

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call
    from twisted_sip.agent.user_agent import UserAgent

_log = Logger()

#: REFERs of one call that are followed at a time, and of all.
_MOST_OF_CALL, _MOST = 1, 100
#: Seconds that a subscription lasts longer than the call that it tells of may ring.
_MARGIN = 60.0


class Referring:
    """What is done with REFER."""

    def __init__(self, agent: UserAgent) -> None:
        self._agent = agent
        # The REFERs that are being followed, and those of ours.
        self._followed: dict[Referral, ReferralNotifier | None] = {}
        self._asked: dict[Transfer, Call | None] = {}
        # Those outside of dialogs that have none yet.
        self._without_dialog: dict[Transfer, ClientRequest] = {}
        # How many REFERs came in a call: the second needs an id (RFC 3515 section 2.4.6).
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._followed) + len(self._asked)

    # -- REFERs of peers ------------------------------------------------------------------------

    def refer_outside(self, incoming: IncomingRequest) -> Verdict | Deferred[Verdict]:
        """A REFER outside of dialogs: of somebody who shows that he is in one of our calls, or of a stranger."""
        agent = self._agent
        id = target_dialog_of(incoming.request)
        session = agent.dialogs.usage(id, INVITE_USAGE) if id is not None else None
        call = agent.table.call_of(session) if isinstance(session, Session) and not session.over else None
        return self.refer_received(incoming, Dialog.as_uas(incoming.request, incoming.to_tag), call, outside=True)

    def refer_received(
        self, incoming: IncomingRequest, dialog: Dialog, call: Call | None, *, outside: bool = False
    ) -> Verdict | Deferred[Verdict]:
        """A REFER in the dialog of *call*, or one that makes *dialog*.

        :raises RemoteProtocolError: answer with its status.
        """
        agent = self._agent
        request = incoming.request
        referral = Referral(request, call)
        referral.outside = outside
        referral.by_servers = agent.is_from_servers(incoming.flow)
        referral.identity = proved_identity(agent, incoming)
        hops = request.max_forwards
        if (call is not None and call.referrals >= agent.settings.max_referrals) or hops == 0:
            # Nothing in REFER itself ends a circle of transfers.
            raise RemoteProtocolError("Too Many Transfers", status=483)
        if self.leads_back(referral):
            raise RemoteProtocolError("Declined", status=603)
        of_call = sum(1 for other in self._followed if other.call is call)
        if len(self._followed) >= _MOST or (call is not None and of_call >= _MOST_OF_CALL):
            raise RemoteProtocolError("A transfer is under way", status=491)
        self._followed[referral] = None
        if call is not None:
            call.log.add(TransferRequested(referral=referral))
        asking = deferred(agent.accept_transfer, call, referral)
        asking.addCallbacks(
            self._decided, self._undecided, (incoming, dialog, referral, outside), errbackArgs=(referral,)
        )
        return asking

    def leads_back(self, referral: Referral) -> bool:
        """Tell whether *referral* would have the agent call itself, which never ends; it may take the place of a call
        of its own."""
        agent, target = self._agent, referral.target
        if referral.replaces is not None or not isinstance(target, SIPURI):
            return False
        if agent.element.domains.is_local_uri(target):
            return agent.serves(target)
        return any(
            account.is_ours(target) and account.domain.lower() == target.host.lower() for account in agent.accounts
        )

    def _undecided(self, failure: Any, referral: Referral) -> Any:
        del self._followed[referral]
        return failure

    def _decided(self, accepted: bool, incoming: Any, dialog: Dialog, referral: Referral, outside: bool) -> Verdict:
        request = incoming.request
        call = referral.call
        if not accepted or (call is not None and call.over):
            del self._followed[referral]
            return response_to(request, 603, to_tag=incoming.to_tag)
        agent = self._agent
        account = call.account if call is not None else agent.account_for(request)
        if call is not None and not outside:
            wire = call.wire
        else:
            flow = incoming.flow
            local = not came_by_registration(account, request, flow, agent.settings.servers)
            wire = Wire(agent.element, account, flow=flow, local=local)
        fields = [*agent.terms.headers]
        if outside:
            fields += record_route_of(request)
        if not referral.wants_notify:
            # RFC 4488 section 4.
            fields.append(("refer-sub", "false"))
        notifier: ReferralNotifier | None = None
        if referral.wants_notify:
            known = self._numbers.get(request.call_id, 0)
            if not outside:
                self._numbers[request.call_id] = known + 1
            try:
                notifier = ReferralNotifier(
                    dialog,
                    wire,
                    agent.element.timers,
                    agent.dialogs,
                    number=request.cseq.number,
                    with_id=known > 0,
                    expires=agent.settings.ring_timeout + _MARGIN,
                    over=lambda notifier: self._told(referral),
                )
            except RemoteProtocolError:
                del self._followed[referral]
                raise
        self._followed[referral] = notifier
        wire.respond(incoming, response_to(request, 202, "", fields, b"", dialog.local_tag))
        if notifier is not None:
            notifier.tell(100)
        self._follow(referral, account)
        if notifier is None:
            self._told(referral)
        return TAKEN

    def _follow(self, referral: Referral, account: Account) -> None:
        agent = self._agent
        old = referral.call
        hops = referral.request.max_forwards
        headers = [("referred-by", referral.referred_by)]
        headers += [field for field in referral.headers if field[0] not in ("replaces", "require")]
        # What stands in To was chosen by the caller: it is not for him to say who we are, if we are somebody.
        ours = old is not None and (old.outgoing or account not in agent.accounts)
        try:
            call = agent.call(
                referral.target,
                account=account,
                from_=old.local if old is not None and ours else None,
                replaces=referral.replaces,
                headers=headers,
                max_forwards=70 if hops is None else hops - 1,
                referral=referral,
            )
        except RemoteProtocolError as error:
            # No room for media.
            self._not_made(referral, error.status)
            return
        except LocalProtocolError:
            self._not_made(referral, 503)
            return
        except Exception:
            _log.failure("the call of {referral}", referral=repr(referral))
            self._not_made(referral, 500)
            return
        referral.new_call = call
        call.observe(lambda event: self._tell(referral, event))
        if call.ending is not None:
            # There was no offer to make.
            self._tell(referral, Ended(call.ending))
        if old is not None:
            old.log.add(Transferred(call=call))
            then(
                lambda: agent.transferred(old, call),
                lambda _: None,
                lambda failure: _log.failure("transferred for {call}", failure, call=repr(call)),
            )

    def _not_made(self, referral: Referral, status: int) -> None:
        """There is no call, and the REFER is accepted already: NOTIFY has to say so."""
        notifier = self._followed.get(referral)
        if notifier is not None:
            notifier.tell(status, final=True)

    def _tell(self, referral: Referral, event: CallEvent) -> None:
        """Something has happened to the call that was made of a REFER."""
        notifier = self._followed.get(referral)
        if isinstance(event, Answered):
            if notifier is not None:
                notifier.tell(event.status, final=True)
            if referral.call is not None:
                self._end_later(referral.call)
        elif isinstance(event, Progress):
            if notifier is not None:
                notifier.tell(event.status, event.reason)
        elif isinstance(event, Ended) and notifier is not None:
            notifier.tell(event.end.status or 487, event.end.reason if event.end.status else "", final=True)

    def _end_later(self, call: Call) -> None:
        """Who has sent the REFER ends its call with us (RFC 5589 section 6.1); should it forget, we do."""
        agent = self._agent

        def end() -> None:
            if call.state is CallState.ESTABLISHED:
                call.hangup()

        agent.table.later(agent.element.timer_values.timeout, end, call)

    def _told(self, referral: Referral) -> None:
        self._followed.pop(referral, None)

    # -- REFERs of ours ---------------------------------------------------------------------------------

    def begun(self, transfer: Transfer, call: Call | None) -> None:
        """A REFER of ours has been sent."""
        if not transfer.over:
            self._asked[transfer] = call

    def progressed(self, transfer: Transfer, event: Any) -> None:
        """The peer has told something of it."""
        call = self._asked.get(transfer)
        if call is not None:
            call.log.add(event)
        if event.final:
            self._asked.pop(transfer, None)

    def refer(self, uri: str, refer_to: str, account: Account, *, about: Call | None, notify: bool) -> Transfer:
        """Send a REFER outside of dialogs (RFC 3515 section 2.4.1).

        :param about: the call that shows the peer that we may (RFC 4538).
        """
        element = self._agent.element
        transfer = Transfer(self._agent, refer_to, subscribed=notify)
        fields = [*self._agent.terms.capabilities(), ("refer-to", refer_to)]
        fields.append(("referred-by", f"<{account.address.uri_text}>"))
        if about is not None:
            fields += [("target-dialog", about.target_dialog_value()), ("require", "tdialog")]
        if not notify:
            fields.append(("refer-sub", "false"))
        request = build_request(
            "REFER",
            uri,
            from_=account.address.with_("tag", element.random_text()),
            to=NameAddr.build(uri),
            call_id=element.random_text() + element.random_text(),
            cseq=1,
            headers=fields,
        )
        route = account.route
        if route:
            apply_route_set(request, route, uri)
        waiting = Waiting()
        outgoing = ClientRequest(request, waiting)
        waiting.done = partial(self._answered, transfer, outgoing)
        self._asked[transfer] = None
        self._without_dialog[transfer] = outgoing
        Wire(element, account).send(outgoing)
        return transfer

    def _answered(self, transfer: Transfer, outgoing: ClientRequest, response: Response | None, status: int) -> None:
        waits = self._without_dialog.pop(transfer, None) is not None
        # RFC 4488 section 4: without a subscription there is no dialog.
        if waits and response is not None and 200 <= status < 300 and not is_unsubscribed(response):
            try:
                transfer.refer_sent(Dialog.as_uac(outgoing.request, response), outgoing.request.cseq.number)
            except RemoteProtocolError:
                # No dialog, no NOTIFY: what is known is that it was accepted.
                transfer.refer_answered(None, 400)
                return
        transfer.refer_answered(response, status)

    def early_notify(self, notify: Request) -> Transfer | None:
        """Return the transfer that *notify* makes the dialog of, None if none waits for it.

        :raises RemoteProtocolError: it makes none.
        """
        for transfer, outgoing in self._without_dialog.items():
            refer = outgoing.request
            if (refer.call_id, refer.from_.tag) == (notify.call_id, notify.to.tag):
                dialog = Dialog.as_notified(refer, notify)
                # It takes note of the number itself.
                dialog.remote_cseq = None
                del self._without_dialog[transfer]
                transfer.refer_sent(dialog, refer.cseq.number)
                return transfer
        return None

    # -- the end ----------------------------------------------------------------------------------------------

    def call_gone(self, call: Call) -> None:
        """Nothing is left of *call*."""
        self._numbers.pop(call.id, None)

    def close(self) -> None:
        """Follow nothing and wait for nothing any more."""
        for notifier in list(self._followed.values()):
            if notifier is not None:
                notifier.close()
        self._followed.clear()
        for transfer in list(self._asked):
            transfer.close()
        self._asked.clear()
        self._without_dialog.clear()
