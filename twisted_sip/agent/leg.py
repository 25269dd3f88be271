"""The host of the sessions of a call: what both sides of a call have in common.

Sends for the machines of the dialog floor, and tells the call what they say (RFC 3261 sections 12 to 15, RFC 3262, RFC
3311, RFC 6086, RFC 6337).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.agent.call_events import MediaChanged, MediaRejected
from twisted_sip.agent.change_asked import ChangeAsked
from twisted_sip.agent.descriptions import warning_of
from twisted_sip.agent.dtmf import digit_of_info
from twisted_sip.agent.wire import Wire
from twisted_sip.dialog.client_request import ClientRequest
from twisted_sip.dialog.session_terms import SessionBody
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError, SIPError
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call
    from twisted_sip.dialog.invite_attempt import InviteAttempt
    from twisted_sip.dialog.server_invite import ServerInvite
    from twisted_sip.dialog.session import Session
    from twisted_sip.dialog.session_offers import OfferReceived

_log = Logger()


class Leg:
    """The user of the sessions of one call.

    :ivar call: the call.
    :ivar wire: how its messages leave.
    """

    call: Call
    wire: Wire

    def part(self) -> None:
        """Nothing of the call is left: let go of its session."""
        if self.call.session is not None and not self.wire.under_way:
            self.call.session.part()

    # -- sending ---------------------------------------------------------------------------

    def send(self, machine: Session | InviteAttempt, outgoing: ClientRequest) -> bool:
        """Send a request."""
        return self.wire.send(outgoing)

    def cancel(
        self, machine: Session | InviteAttempt, outgoing: ClientRequest, headers: Iterable[tuple[str, str]]
    ) -> None:
        """Cancel an INVITE."""
        self.wire.cancel(outgoing, headers)

    def send_ack(self, machine: Session | InviteAttempt, ack: Request, secure: bool) -> None:
        """Send an ACK."""
        self.wire.send_ack(ack, secure)

    def respond(self, session: Session, incoming: Any, response: Response) -> None:
        """Answer a request."""
        self.wire.respond(incoming, response)

    # -- offers and answers -------------------------------------------------------------------

    def counts(self, session: Session) -> bool:
        """Tell whether what *session* says about media counts for the call."""
        return session is self.call.session

    def answer_received(self, session: Session, body: SessionBody) -> None:
        """The answer to our offer."""
        if self.counts(session):
            self.take_answer(session, body)

    def take_answer(self, session: Session, body: SessionBody) -> None:
        """Give the peer's answer to the media; without media that fit there is no call."""
        call = self.call
        if call.over:
            # The 2xx to a re-INVITE has crossed a BYE.
            return
        try:
            call.descriptions.answered(body)
        except SIPError as error:
            reason = error.reason if isinstance(error, RemoteProtocolError) else str(error)
            _log.debug("the answer in {call_id} is of no use: {reason}", call_id=call.id, reason=reason)
        except Exception:
            # A mistake of the program's media must not leave the call hanging.
            _log.failure("no use of an answer in {call_id}", call_id=call.id)
            reason = "internal error"
        else:
            if call.established:
                call.changes.answered()
            call.media_agreed(body)
            return
        if call.established and session.state == "confirmed" and call.negotiated:
            # What was agreed before stays, so the next offer is made from there.
            call.descriptions.rolled_back()
            call.changes.answered(useless=True)
            call.log.add(MediaRejected(by="local", status=488, reason=reason))
        else:
            call.end_for_media(reason)

    def offer_received(self, session: Session, offer: OfferReceived) -> None:
        """The peer makes an offer outside of INVITE requests."""
        if not self.counts(session):
            offer.refuse()
            return

        def answer(body: SessionBody) -> None:
            if offer.answered:
                # It was refused for want of an answer, or the call is over.
                self.call.descriptions.rolled_back()
                return
            offer.answer(body)
            self.call.media_agreed(offer.body)
            self.call.log.add(MediaChanged(by="remote"))

        def refuse(failure: Failure) -> None:
            status, reason, headers = self.refusal(failure)
            self.call.log.add(MediaRejected(by="remote", status=status, reason=reason))
            offer.refuse(status, headers=headers)

        self.call.descriptions.answer(offer.body).addCallbacks(answer, refuse).addErrback(self.broken)

    def reinvited(self, session: Session, invite: ServerInvite) -> None:
        """The peer wants to change the session."""
        call = self.call
        offer = invite.offer
        self.await_cancel(invite)

        def accept(body: SessionBody | None) -> None:
            if invite.answered or session.state != "confirmed":
                call.descriptions.rolled_back()
                return
            invite.accept(body)
            if offer is not None:
                call.media_agreed(offer)
                call.log.add(MediaChanged(by="remote"))

        def refuse(failure: Failure) -> None:
            status, reason, headers = self.refusal(failure)
            if invite.answered or session.state != "confirmed":
                return
            call.log.add(MediaRejected(by="remote", status=status, reason=reason))
            invite.reject(status, headers=headers)

        describing = call.descriptions.offer() if offer is None else call.descriptions.answer(offer)
        describing.addCallbacks(accept, refuse).addErrback(self.broken)

    def await_cancel(self, invite: ServerInvite) -> None:
        """Have *invite*, which wants to change the session, hear of a CANCEL."""
        ChangeAsked(self.call.agent.element, invite)

    def rolled_back(self, session: Session) -> None:
        """What was offered or answered last has come to nothing."""
        if self.counts(session):
            self.call.descriptions.rolled_back()

    def refusal(self, failure: Failure) -> tuple[int, str, list[tuple[str, str]]]:
        """Return status, reason and header fields for an offer that cannot be answered."""
        error = failure.value
        if isinstance(error, RemoteProtocolError):
            return error.status, error.reason, warning_of(error, self.call.warn_agent)
        if isinstance(error, LocalProtocolError):
            # Ours is open, or the media are gone.
            return 488, str(error), []
        _log.failure("no answer to an offer in {call_id}", failure, call_id=self.call.id)
        return 500, "", []

    def broken(self, failure: Failure) -> None:
        """What must not fail has failed: the call must not hang."""
        if failure.check(LocalProtocolError):
            _log.debug("too late in {call_id}: {reason}", call_id=self.call.id, reason=failure.getErrorMessage())
            return
        _log.failure("in {call_id}", failure, call_id=self.call.id)
        self.call.hangup("internal error")

    def modified(self, session: Session, method: str, status: int) -> None:
        """Our re-INVITE or UPDATE has its outcome."""
        if session is self.call.session:
            self.call.changes.modified(session, method, status)

    def offer_wanted(self, session: Session, why: str) -> None:
        """An offer of ours is wanted."""
        if session is self.call.session:
            self.call.changes.wanted(why)

    def free(self, session: Session) -> None:
        """Changes are possible again."""
        if session is self.call.session:
            self.call.changes.go_on()

    # -- INFO -----------------------------------------------------------------------------------

    def info_received(self, session: Session, info: Request, package: str) -> None:
        """An INFO: a key, or something for the application.

        :raises RemoteProtocolError: it is malformed.
        """
        if not self.counts(session):
            # Another fork was faster.
            raise RemoteProtocolError("Call/Transaction Does Not Exist", status=481)
        key = digit_of_info(info) if not package else None
        if key is not None:
            self.call.key_pressed(key[0], key[1], "info")
        else:
            self.call.info_arrived(package, info)
