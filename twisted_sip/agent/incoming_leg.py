"""A call that has come in: ring, answer, reject, redirect (RFC 3261 section 13.3, RFC 3262, RFC 3960)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from twisted_sip.agent.call_events import CallState, Progress
from twisted_sip.agent.leg import Leg
from twisted_sip.agent.wire import Wire
from twisted_sip.dialog.server_invite import ServerInvite
from twisted_sip.dialog.session import Session
from twisted_sip.dialog.session_terms import SessionBody, SessionTerms, option_tags
from twisted_sip.errors import LocalProtocolError, TransportError
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call


class IncomingLeg(Leg):
    """The sessions' user of a call that has come in: there is one session.

    :ivar invite: the INVITE.
    """

    invite: ServerInvite

    def __init__(self, call: Call, wire: Wire, incoming: Any, terms: SessionTerms) -> None:
        """Begin the session.

        :param incoming: the element's Incoming.
        :raises RemoteProtocolError: answer with its status; InviteRefused has header fields for that.
        """
        self.call = call
        self.wire = wire
        self._describing: Deferred[SessionBody | None] | None = None
        self._described = False
        #: An answer is being made.
        self.answering = False
        self._held_back = False
        element = call.agent.element
        call.session = session = Session.invited(
            incoming,
            self,
            element.timers,
            call.agent.dialogs,
            terms,
            local_tag=incoming.to_tag,
            random=call.agent.chance,
        )
        assert session.invite is not None  # that is how it was made
        self.invite = session.invite
        incoming.start_transaction(self, trying=True)

    # -- for the call -----------------------------------------------------------------------

    def ring(
        self,
        status: int,
        *,
        early_media: bool,
        body: SessionBody | None,
        reliable: bool | None,
        headers: Iterable[tuple[str, str]],
        reason: str,
    ) -> Deferred[Call]:
        """Send a provisional response; with our description where *early_media* is wanted."""
        call = self.call
        if self.invite.answered or call.state not in (CallState.TRYING, CallState.RINGING):
            return fail(LocalProtocolError("the call is answered"))
        fields = list(headers)

        def send(made: SessionBody | None) -> Call:
            try:
                if self.invite.answered:
                    raise LocalProtocolError("the call is answered")
                self.invite.progress(status, body=made, reliable=reliable, headers=fields, reason=reason)
            except LocalProtocolError:
                if made is not None and body is None:
                    # It has not gone out.
                    call.descriptions.rolled_back()
                raise
            call.become(CallState.RINGING)
            if made is not None:
                self._described = True
                if self.invite.offer is not None:
                    call.media_agreed(self.invite.offer)
            call.log.add(Progress(status=status, reason=reason, early_media=made is not None))
            return call

        if body is not None:
            return succeed(body).addCallback(send)
        if self.invite.offer is None and "100rel" in option_tags(call.request, "require"):
            # RFC 3262 section 5: the first reliable response has our offer.
            early_media = True
            call.choose_media_of_agent()
        if not early_media or self._described:
            return succeed(None).addCallback(send)
        return self._describe().addCallback(send)

    def answer(self, body: SessionBody | None, headers: Iterable[tuple[str, str]]) -> Deferred[Call]:
        """Send the 2xx."""
        call = self.call
        if self.invite.answered or call.state not in (CallState.TRYING, CallState.RINGING):
            return fail(LocalProtocolError("the call is answered"))
        if self.answering:
            return fail(LocalProtocolError("the call is being answered"))
        self.answering = True
        if body is not None or self._described:
            try:
                self._accept(body, list(headers))
            except LocalProtocolError:
                # Another description than before: the right one may be given yet.
                self.answering = False
                return fail(Failure())
            return call.answered
        answered = call.answered
        describing = self._describe()
        describing.addCallback(self._accept, list(headers)).addErrback(self._cannot)
        return answered

    def _describe(self) -> Deferred[SessionBody | None]:
        """Return a Deferred of our answer, or of our offer where the INVITE has none."""
        offer = self.invite.offer
        descriptions = self.call.descriptions
        return descriptions.offer() if offer is None else descriptions.answer(offer)

    def _accept(self, body: SessionBody | None, headers: list[tuple[str, str]]) -> None:
        call = self.call
        invite = self.invite
        if call.over or invite.answered:
            return
        old = call.replaces or call.joins
        if old is not None and old.leaving:
            # RFC 3891 section 3: it was faster.
            invite.reject(603)
            return
        invite.accept(body, headers=headers)
        if invite.offer is not None and not self._described:
            call.media_agreed(invite.offer)
        if invite.offer is not None or body is None or call.negotiated:
            # Else the ACK has the answer to our offer.
            self._held_back = not invite.acknowledging
            if not self._held_back:
                call.was_answered()

    def respond(self, session: Session, incoming: Any, response: Response) -> None:
        """Answer a request; the 2xx to the INVITE may have waited for a PRACK (RFC 3262 section 3)."""
        self.wire.respond(incoming, response)
        if not self._held_back:
            return
        old = self.call.replaces or self.call.joins
        too_late = old is not None and old.leaving
        if incoming is self.invite.incoming and 200 <= response.status < 300:
            self._held_back = False
            self.call.was_answered(response.status)
            if too_late:
                self.call.hangup()

    def _cannot(self, failure: Failure) -> None:
        """There is no answer of ours: the INVITE is refused (section 13.3.1.3)."""
        if self.call.over or self.invite.answered:
            return
        status, reason, headers = self.refusal(failure)
        self.call.blame_media(status, reason)
        self.invite.reject(status, headers=headers)

    def reject(self, status: int, reason: str, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        """Refuse or redirect it."""
        self.invite.reject(status, reason, headers, body)

    def give_up(self, headers: list[tuple[str, str]]) -> None:
        """Hang up before it is answered: we do not want it (section 21.6.2)."""
        if not self.invite.answered:
            self.invite.reject(603, headers=headers)
        elif self.call.session is not None:
            # The 2xx waits for a PRACK.
            self.call.session.bye(headers)

    def part(self) -> None:
        """Nothing of the call is left: what repeats the INVITE gets the 2xx again, and no more is to come of it."""
        super().part()
        incoming: Any = self.invite.incoming
        transaction = incoming.transaction
        if transaction is not None and transaction.user is self:
            transaction.user = self.call.agent.element

    def start(self) -> None:
        """It has begun already."""

    def close(self) -> None:
        """Let go of it at once."""
        if self.call.session is not None:
            self.call.session.close()

    @property
    def quiet(self) -> bool:
        """True once nothing of it is under way: then it is not known any more."""
        return False

    # -- from the session --------------------------------------------------------------------

    def progressed(self, session: Session, response: Any) -> None:
        """For the caller's side."""

    def confirmed(self, session: Session) -> None:
        """The ACK has come."""
        self.call.was_answered()
        self.call.was_confirmed()

    def ended(self, session: Session) -> None:
        """It is over."""
        assert session.ending is not None
        self.call.session_ended(session.ending)

    def gone(self, session: Session) -> None:
        """Nothing is left of it."""
        self.call.gone()

    # -- the user of the server transaction ------------------------------------------------------

    def cancelled(self, transaction: Any, cancel: Request) -> None:
        """The caller gives up (section 9.2)."""
        self.invite.cancelled(cancel)

    def ack_timed_out(self, transaction: Any) -> None:
        """Timer H: the refusal counts all the same (section 17.2.1)."""

    def transport_failed(self, transaction: Any, error: TransportError) -> None:
        """The connection is gone: look for another way back (section 18.2.2)."""
        self.call.agent.element.find_way_back(transaction)
