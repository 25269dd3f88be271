"""The INVITE usage of a dialog: its states, how it is confirmed and how it ends (RFC 3261 sections 13.2.2.4, 13.3.1.4
and 15, RFC 5057).

What users ask of it is in :mod:`session`.
"""

from __future__ import annotations

from twisted.logger import Logger

from twisted_sip.dialog.client_invite import ClientInvite
from twisted_sip.dialog.client_request import ClientRequest
from twisted_sip.dialog.dialogs import INVITE_USAGE
from twisted_sip.dialog.server_invite import ServerInvite
from twisted_sip.dialog.session_offers import STABLE
from twisted_sip.dialog.session_peer import TELLING
from twisted_sip.dialog.session_terms import Ending, Header, reason_for, reasons_of
from twisted_sip.dialog.usage_parts import CONFIRMED, EARLY, TERMINATED, TERMINATING, UsageParts
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.message import Message
from twisted_sip.message.response import Response

__all__ = ["CONFIRMED", "EARLY", "TERMINATED", "TERMINATING", "InviteUsage"]

_log = Logger()


class InviteUsage(UsageParts):
    """The INVITE usage of one dialog."""

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

    def ending_of(self, cause: str, status: int, message: Message | None, by: str = "remote") -> Ending:
        """Return why it is over, with the Reason of *message*."""
        return Ending(by=by, cause=cause, status=status, reasons=() if message is None else reasons_of(message))

    def settle(self) -> None:
        """Tell the user once the session has become free for a re-INVITE."""
        # As can_reinvite has it: this is asked behind every message.
        modification, server = self._modification, self._server
        if (
            self.state is CONFIRMED
            and self.acknowledged
            and self.inviting is None
            and (modification is None or modification.update is None)
            and (server is None or not (server.update is not None or server.invites))
            and self.offers.state is STABLE
        ):
            if not self._was_free:
                self._was_free = True
                self.user.free(self)  # type: ignore[arg-type]
        else:
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
        if not TELLING.isdisjoint(response.headers.names):
            self.peer.learn(response)
        (self._timer or self.timer).response_received(invite.outgoing.request, response)
        invite.accept(response)
        if self.state is CONFIRMED:
            self.user.confirmed(self)  # type: ignore[arg-type]
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
        if self.inviting is invite:
            self.inviting = None

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
        invites = (self._server or self.server).invites
        if invites.get(invite.number) is invite:
            del invites[invite.number]
        if self._bye_later is not None:
            self._send_bye_now()
        elif invite.initial and not self.over:
            self.acknowledged = True
            self.user.confirmed(self)  # type: ignore[arg-type]
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

    def expire(self) -> None:
        """Nobody has refreshed it in time (RFC 4028 section 10). Before the answer there is nothing to give up but the
        INVITE, which has a deadline of its own."""
        if self.state is not EARLY:
            self.end_with_bye("expired", 408, by="network")

    def dialog_destroyed(self, status: int) -> None:
        """The dialog is gone (RFC 5057 section 5.1)."""
        self._listed = False
        self.end(Ending(by="network", cause="dialog", status=status))

    def close(self) -> None:
        """Stop at once, without a word to the peer."""
        if self.state == TERMINATED:
            return
        if self._server is not None:
            self._server.close(silent=True)
        self.end(Ending(by="local", cause="closed"))
        self._unguard()
        self.let_go()

    def _end(self, ending: Ending, bye: list[Header] | None) -> None:
        """Be over. *bye* has the header fields of the BYE, None sends none."""
        user, server = self.user, self._server
        if self.state is EARLY and not self.uac:
            # RFC 3261 section 15: no BYE of the callee before the answer. The INVITE is refused below.
            bye = None
        waits = bye is not None and server is not None and server.awaits_first_ack
        self.state = TERMINATING
        self.over = True
        self.ending = ending
        if self._timer is not None:
            self._timer.stop()
        if self._modification is not None:
            self._modification.close()
        if self.inviting is not None:
            # A re-INVITE that is in progress still gets the ACK for its 2xx.
            self.inviting.close()
        if server is not None:
            server.close(silent=False, keep_first=waits)
        if waits:
            self._bye_later = bye
        elif bye is not None:
            self._send_bye(bye)
        user.ended(self)  # type: ignore[arg-type]
        if bye is None:
            self.let_go()

    def _send_bye_now(self) -> None:
        headers, self._bye_later = self._bye_later, None
        self.server.close(silent=True)
        self._send_bye(headers or [])

    # -- our BYE ---------------------------------------------------------------------------------------

    def _send_bye(self, headers: list[Header]) -> None:
        terms = self.terms
        try:
            request = self.dialog.request("BYE")
            request.headers.add(terms.bye_lines)
            if headers:
                request.headers.extend(headers)
        except LocalProtocolError as error:
            _log.warn("no BYE could be made: {reason}", reason=str(error))
            self.let_go()
            return
        if self._guard is not None:
            # What nobody wanted has been accepted after all.
            self._unguard()
        sure = self.user.send(self, ClientRequest(request, self, self.dialog))  # type: ignore[arg-type]
        if not sure and self.state is TERMINATING:
            # Challenges and other servers need a transaction each; then it is enough.
            self._guard = self.timers.start(4 * terms.values.timeout, self._bye_over, 408)

    def response_received(self, outgoing: ClientRequest, response: Response) -> None:
        """Any final response to our BYE ends the dialog (section 15.1.1)."""
        if response.status >= 200:
            self._bye_over(response.status)

    def failed(self, outgoing: ClientRequest, status: int) -> None:
        """So does none."""
        self._bye_over(status)

    def _bye_over(self, status: int) -> None:
        """The BYE has its outcome: whatever that is, the dialog is over (section 15.1.1)."""
        if self._guard is not None:
            self._unguard()
        self._bye_accepted = 200 <= status < 300
        self.let_go()

    def _unguard(self) -> None:
        if self._guard is not None:
            self._guard.cancel()
            self._guard = None

    def let_go(self) -> None:
        """Nothing is left of it."""
        if self.state == TERMINATED:
            return
        self.state = TERMINATED
        self.over = True
        self._bye_later = self._timer = self._modification = self._peer = None
        if self._listed:
            self._listed = False
            self.dialogs.end_usage(self.dialog.id, INVITE_USAGE)
        self.user.gone(self)  # type: ignore[arg-type]

    def part(self) -> None:
        """Nothing comes any more: its parts let go of each other, so that it leaves without the garbage collector."""
        if self.state == TERMINATED and not self.parted:
            self.parted = True
            if self.invite is not None:
                self.invite.part()
            del self.user
            self._timer = self._modification = self._server = self.inviting = self.attempt = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.state} {self.dialog!r}>"
