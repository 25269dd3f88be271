"""The INVITE usage of a dialog: its states, how it is confirmed and how it ends (RFC 3261 sections 13.2.2.4, 13.3.1.4
and 15, RFC 5057).

What users ask of it is in :mod:`session`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from twisted.logger import Logger

from twisted_sip.dialog.client_invite import ClientInvite
from twisted_sip.dialog.client_request import ClientRequest, ClientRequestUser
from twisted_sip.dialog.dialog import Dialog
from twisted_sip.dialog.dialogs import INVITE_USAGE, Dialogs
from twisted_sip.dialog.requests_within import HangUp
from twisted_sip.dialog.server_invite import ServerInvite
from twisted_sip.dialog.session_modification import Modification
from twisted_sip.dialog.session_offers import OfferTracker
from twisted_sip.dialog.session_peer import Peer
from twisted_sip.dialog.session_server import SessionServer
from twisted_sip.dialog.session_terms import (
    Ending,
    Header,
    SessionBody,
    SessionTerms,
    reason_for,
    reasons_of,
)
from twisted_sip.dialog.session_timer import SessionTimer
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.message import Message
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.transaction.timers import TimerQueue

if TYPE_CHECKING:
    from twisted_sip.dialog.invite_attempt import InviteAttempt
    from twisted_sip.dialog.session import Session
    from twisted_sip.dialog.session_user import SessionUser

_log = Logger()

#: The states of a session. Terminating: over, with a BYE or something else still on its way.
EARLY: Final = "early"
CONFIRMED: Final = "confirmed"
TERMINATING: Final = "terminating"
TERMINATED: Final = "terminated"


class InviteUsage:
    """The INVITE usage of one dialog.

    :ivar dialog: the dialog.
    :ivar user: the host and user.
    :ivar terms: what we can do and want.
    :ivar state: EARLY, CONFIRMED, TERMINATING or TERMINATED.
    :ivar uac: we have sent the INVITE that made it.
    :ivar attempt: that INVITE and its other sessions, None at the UAS.
    :ivar invite: the INVITE that made it at the UAS, None at the UAC.
    :ivar acknowledged: the 2xx has had its ACK.
    :ivar ending: why it is over, None before.
    :ivar offers: the offer/answer exchanges; ``local`` and ``remote`` are what is agreed.
    :ivar timer: the session timer.
    :ivar peer: what the peer can do.
    :ivar prack_offer: an offer to go with the PRACK for the answer to ours (RFC 3262 section 5).
    """

    def __init__(
        self,
        dialog: Dialog,
        user: SessionUser,
        timers: TimerQueue,
        dialogs: Dialogs,
        terms: SessionTerms,
        *,
        random: Callable[[], float],
        attempt: InviteAttempt | None = None,
    ) -> None:
        """Be the INVITE usage of *dialog*, early; it is not in *dialogs* yet."""
        self.dialog = dialog
        self.user = user
        self.timers = timers
        self.dialogs = dialogs
        self.terms = terms
        self.random = random
        self.attempt = attempt
        self.uac = attempt is not None
        self.state: str = EARLY
        self.acknowledged = False
        self.ending: Ending | None = None
        self.invite: ServerInvite | None = None
        self.offers = OfferTracker()
        self.timer = SessionTimer(terms, timers, self.refresh, self._expired)
        self.peer = Peer()
        self.prack_offer: SessionBody | None = None
        itself = self._session
        self.modification = Modification(itself)
        self.server = SessionServer(itself)
        self._listed = False
        self._was_free = False
        self.parted = False
        # A BYE that waits for the ACK: its header fields.
        self._bye_later: list[Header] | None = None
        self._bye_accepted = False
        self._hang_up: HangUp | None = None

    def enlist(self) -> bool:
        """Put it into the table of dialogs; False if there is no room."""
        try:
            self._listed = self.dialogs.add(self.dialog, INVITE_USAGE, self)
        except LocalProtocolError:
            # Somebody repeats an INVITE with our tag.
            return False
        return self._listed

    # -- what it is ---------------------------------------------------------------------

    @property
    def _session(self) -> Session:
        """Itself, by the name that its users know it by."""
        return self  # type: ignore[return-value]

    @property
    def over(self) -> bool:
        """True once it is over, even if a BYE is still on its way."""
        return self.state is TERMINATING or self.state is TERMINATED

    @property
    def can_reinvite(self) -> bool:
        """Whether a re-INVITE may be sent (RFC 3261 section 14.1, RFC 6337 section 4.3: UAC-II and UAC-UI)."""
        return (
            self.state is CONFIRMED
            and self.acknowledged
            and self.modification.invite is None
            and self.modification.update is None
            and not self.server.busy
            and self.offers.stable
        )

    @property
    def can_update(self) -> bool:
        """Whether an UPDATE without offer may be sent (RFC 3311 section 5.1, RFC 6337 section 4.3: UAC-UU)."""
        if self.over or self.modification.update is not None or self.peer.allows("UPDATE") is False:
            return False
        # The peer must know of the dialog, which is made by our first response.
        return self.uac or self.state == CONFIRMED or (self.invite is not None and self.invite.progressed)

    def refresh(self) -> None:
        """Refresh the session (RFC 4028 section 7.4): with an UPDATE where the peer takes it, else the user makes a
        re-INVITE."""
        if self.over:
            return
        if self.peer.allows("UPDATE"):
            if self.can_update:
                self._session.update()
        else:
            self.user.offer_wanted(self._session, "refresh")
        if not self.over:
            # Should nothing come of it; a 2xx starts the timer anew.
            self.timer.again(None)

    # -- parts for the machines that it is made of ---------------------------------------------

    def make(
        self, method: str, waiting: ClientRequestUser, fields: Iterable[Header], body: SessionBody | None = None
    ) -> ClientRequest:
        """Return a request in the dialog, to be sent.

        :raises LocalProtocolError: a value that SIP does not allow.
        """
        made = [*self.terms.headers, *fields]
        data = b""
        if body is not None:
            made += body.fields()
            data = body.data
        return ClientRequest(self.dialog.request(method, made, data), waiting, self.dialog)

    def recv_info_answer(self, request: Request) -> list[Header]:
        """Return Recv-Info for a response, where the request has it too (RFC 6086 section 5.2.3)."""
        return self.terms.recv_info_field() if "recv-info" in request.headers.names else []

    def learn(self, message: Message) -> None:
        """Take note of what the peer can do."""
        self.peer.learn(message)

    def forbid(self, method: str) -> None:
        """The peer does not know *method*, whatever it has said."""
        self.peer.forbid(method)

    def refresh_target(self, message: Request | Response) -> None:
        """Set the remote target; a Contact that is of no use changes nothing."""
        try:
            self.dialog.refresh_target(message)
        except RemoteProtocolError as error:
            _log.debug("the remote target stays: {reason}", reason=error.reason)

    def ending_of(self, cause: str, status: int, message: Message | None, by: str = "remote") -> Ending:
        """Return why it is over, with the Reason of *message*."""
        return Ending(by=by, cause=cause, status=status, reasons=() if message is None else reasons_of(message))

    def settle(self) -> None:
        """Tell the user once the session has become free for a re-INVITE."""
        free = self.state is CONFIRMED and self.acknowledged and self.can_reinvite
        if free and not self._was_free:
            self._was_free = True
            self.user.free(self._session)
        elif not free:
            self._was_free = False

    # -- the INVITE of ours ------------------------------------------------------------------------

    def confirm(self, invite: ClientInvite, response: Response) -> None:
        """Our INVITE is accepted in this dialog, which is wanted (section 13.2.2.4)."""
        self.state = CONFIRMED
        try:
            self.dialog.confirm(response)
        except RemoteProtocolError as error:
            _log.debug("the dialog stays as it was: {reason}", reason=error.reason)
            self.dialog.confirm()
        self.peer.learn(response)
        self.timer.response_received(invite.outgoing.request, response)
        invite.accept(response)
        if self.state is CONFIRMED:
            self.user.confirmed(self._session)
        self.settle()

    def decline(self, invite: ClientInvite, response: Response, cause: str) -> None:
        """Our INVITE is accepted in this dialog, which nobody wants: ACK, then BYE (section 13.2.2.4)."""
        if self.dialog.early:
            try:
                self.dialog.confirm(response)
            except RemoteProtocolError:
                self.dialog.confirm()
        if self.over:
            invite.refuse(response)
            if not self._bye_accepted:
                self._send_bye([])
            return
        self.state = CONFIRMED
        invite.refuse(response)
        self._end(Ending(by="local", cause=cause), reason_for(cause))

    def invite_done(self, invite: ClientInvite) -> None:
        """The ACK for our INVITE is on its way."""
        self.acknowledged = True
        if self.modification.invite is invite:
            self.modification.invite = None

    def give_up(self, invite: ClientInvite) -> None:
        """The offer in a provisional response is of no use to us: the INVITE is taken back (RFC 6337 section 2.3)."""
        if not invite.initial:
            self.modification.cancel()
        elif not self.over:
            self._end(Ending(by="local", cause="no-answer", status=488), [])

    # -- the INVITE of the peer ---------------------------------------------------------------------

    def invite_accepted(self, invite: ServerInvite) -> None:
        """Our 2xx is about to be sent."""
        if invite.initial:
            # Its target is that of the INVITE, or a later one (RFC 6141 section 4).
            self.dialog.early = False
            self.state = CONFIRMED
        else:
            self.refresh_target(invite.request)
            self.learn(invite.request)

    def invite_acknowledged(self, invite: ServerInvite, *, answered: bool) -> None:
        """The ACK for our 2xx has come; *answered* unless it should have had the answer to our offer."""
        self.server.forget(invite)
        if self._bye_later is not None:
            self._send_bye_now()
        elif invite.initial and not self.over:
            self.acknowledged = True
            self.user.confirmed(self._session)
            if not answered:
                self.end_with_bye("no-answer", 488)

    def ack_missing(self, invite: ServerInvite) -> None:
        """64*T1 without an ACK: the session is ended (section 13.3.1.4), unless a newer re-INVITE shows that the peer
        has moved (RFC 6141 section 5.4)."""
        self.server.forget(invite)
        if invite.initial:
            self.acknowledged = True
        if self._bye_later is not None:
            self._send_bye_now()
        elif invite.initial or not self.server.newer(invite):
            self.end_with_bye("no-ack", 408, by="network")
        self.settle()

    def invite_refused(self, invite: ServerInvite, ending: Ending, *, undone: bool) -> None:
        """An INVITE of the peer has been refused."""
        self.server.forget(invite)
        if self.over:
            return
        if invite.initial:
            self._end(ending, None)
            return
        if undone:
            self.user.rolled_back(self._session)
        self.settle()

    # -- the end ---------------------------------------------------------------------------------------

    def end_with_bye(self, cause: str, status: int = 0, *, by: str = "local") -> None:
        """End it for *cause*, and tell the peer."""
        if not self.over:
            self._end(Ending(by=by, cause=cause, status=status), reason_for(cause))

    def end(self, ending: Ending) -> None:
        """It is over without a word of ours."""
        if not self.over:
            self._end(ending, None)

    def _expired(self) -> None:
        # RFC 4028 section 10.
        self.end_with_bye("expired", 408, by="network")

    def dialog_destroyed(self, status: int) -> None:
        """The dialog is gone (RFC 5057 section 5.1)."""
        self._listed = False
        self.end(Ending(by="network", cause="dialog", status=status))

    def close(self) -> None:
        """Stop at once, without a word to the peer."""
        if self.state == TERMINATED:
            return
        self.server.close(silent=True)
        self.end(Ending(by="local", cause="closed"))
        if self._hang_up is not None:
            self._hang_up.close()
        self.let_go()

    def _end(self, ending: Ending, bye: list[Header] | None) -> None:
        """Be over. *bye* has the header fields of the BYE, None sends none."""
        user = self.user
        waits = bye is not None and self.uac is False and self.server.awaits_first_ack
        self.state = TERMINATING
        self.ending = ending
        self.timer.stop()
        self.modification.close()
        self.server.close(silent=False, keep_first=waits)
        if waits:
            self._bye_later = bye
        elif bye is not None:
            self._send_bye(bye)
        user.ended(self._session)
        if bye is None:
            self.let_go()

    def _send_bye_now(self) -> None:
        headers, self._bye_later = self._bye_later, None
        self.server.close(silent=True)
        self._send_bye(headers or [])

    def _send_bye(self, headers: list[Header]) -> None:
        hang_up = HangUp(self._session)
        try:
            outgoing = self.make("BYE", hang_up, [*self.terms.supported_field(), *headers])
        except LocalProtocolError as error:
            _log.warn("no BYE could be made: {reason}", reason=str(error))
            hang_up.close()
            self.let_go()
            return
        self._hang_up = hang_up
        self.user.send(self._session, outgoing)

    def bye_answered(self, status: int) -> None:
        """The BYE has its outcome: whatever that is, the dialog is over (section 15.1.1)."""
        self._bye_accepted = 200 <= status < 300
        self.let_go()

    def let_go(self) -> None:
        """Nothing is left of it."""
        if self.state == TERMINATED:
            return
        self.state = TERMINATED
        self._bye_later = None
        if self._listed:
            self._listed = False
            self.dialogs.end_usage(self.dialog.id, INVITE_USAGE)
        self.user.gone(self._session)

    def part(self) -> None:
        """Nothing comes any more: its parts let go of each other, so that it leaves without the garbage collector."""
        if self.state == TERMINATED and not self.parted:
            self.parted = True
            if self.invite is not None:
                self.invite.part()
            del self.timer, self.modification, self.server, self.user
            self._hang_up = self.attempt = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.state} {self.dialog!r}>"
