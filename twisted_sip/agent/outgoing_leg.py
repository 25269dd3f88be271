"""A call that we make: forks, redirection, the first answer wins (RFC 3261 sections 8.1.3.4, 13.2 and 16.7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.python.failure import Failure

from twisted_sip.agent.call_events import CallState, Progress, Redirected
from twisted_sip.agent.leg import Leg
from twisted_sip.agent.redirection import redirection_targets
from twisted_sip.agent.wire import Wire
from twisted_sip.dialog.invite_attempt import InviteAttempt
from twisted_sip.dialog.session import Session
from twisted_sip.dialog.session_terms import SessionBody, SessionTerms
from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call
    from twisted_sip.dialog.session_offers import OfferReceived

#: Makes the INVITE to a URI with a CSeq number.
Making = Callable[[str, int], Request]

# To ask an enumeration for its members is slow.
_TRYING, _RINGING = CallState.TRYING, CallState.RINGING

#: What nearly every call has; events do not change.
_RINGS = Progress(status=180, reason="Ringing", early_media=False)


class OutgoingLeg(Leg):
    """The attempt's user of a call that we make: there is one session for each fork.

    :ivar attempt: the INVITE under way, None before it is sent.
    """

    def __init__(
        self, call: Call, wire: Wire, make: Making, uri: str, terms: SessionTerms, *, expires: int | None
    ) -> None:
        """Be ready to call; :meth:`start` does it.

        :param make: makes the INVITE anew; the first one, to *uri*, is ``call.request``.
        :param expires: the Expires of the INVITE.
        """
        self.call = call
        self.wire = wire
        self.attempt: InviteAttempt | None = None
        # None once there is no other target to be tried.
        self._make: Making | None = make
        self._uri = uri
        self._terms = terms
        self._expires = expires
        self._offer: SessionBody | None = None
        self._tried: tuple[str, ...] = (uri,)
        self._targets: tuple[str, ...] = ()
        self._sessions: set[Session] = set()
        self._attempts = 0
        self._answers: dict[Session, SessionBody] = {}
        self._applied: Session | None = None
        self._given_up = False

    # -- for the call ---------------------------------------------------------------------

    def start(self) -> None:
        """Make the offer, then send the INVITE."""
        self.call.descriptions.offer().addCallbacks(self._begin, self._no_offer).addErrback(self.broken)

    def _begin(self, offer: SessionBody | None) -> None:
        if self.call.over:
            # Hung up meanwhile.
            return
        self._offer = offer
        self._invite(self._uri)

    def _no_offer(self, failure: Failure) -> None:
        status, reason, _ = self.refusal(failure)
        self.call.refused(status, reason, None, by="local", cause="media")
        self.call.gone()

    def _invite(self, uri: str) -> None:
        call = self.call
        element = call.agent.element
        if self.attempt is not None and self._make is not None:
            call.request = self._make(uri, call.request.cseq.number + 1)
        self._attempts += 1
        self.attempt = attempt = InviteAttempt(
            call.request,
            self,
            element.timers,
            call.agent.dialogs,
            self._terms,
            call.agent.chance,
            self._offer,
            self._expires,
        )
        attempt.start()

    def give_up(self, headers: list[tuple[str, str]]) -> None:
        """Hang up before it is answered (section 9.1)."""
        call = self.call
        self._given_up = True
        if self.attempt is None:
            call.refused(487, "Request Terminated", None, by="local", cause="cancel")
            call.gone()
            return
        call.become(CallState.ENDING)
        self.attempt.cancel(headers)

    # -- the attempt ------------------------------------------------------------------------

    def forked(self, attempt: InviteAttempt, session: Session) -> None:
        """A response has made a dialog."""
        self._sessions.add(session)

    def counts(self, session: Session) -> bool:
        """Tell whether what *session* says about media counts: that of every fork until one has answered."""
        current = self.call.session
        return current is None or session is current

    def progressed(self, session: Session, response: Response) -> None:
        """A provisional response."""
        call = self.call
        status = response.status
        if call.state is _TRYING and status >= 180:
            call.state = _RINGING
        early = bool(response.body) or session in self._answers
        if status == 180 and not early and response.reason == "Ringing":
            call.log.add(_RINGS)
        else:
            call.log.add(Progress(status=status, reason=response.reason, early_media=early))

    def _adopt(self, session: Session) -> None:
        """The session that was accepted is that of the call, from the first that is heard of that."""
        if self.call.session is None and self.attempt is not None and session is self.attempt.winner:
            self.call.session = session

    def answer_received(self, session: Session, body: SessionBody) -> None:
        """The answer of one fork."""
        self._adopt(session)
        if self.counts(session):
            self._answers[session] = body
            self._applied = session
            self.take_answer(session, body)

    def offer_received(self, session: Session, offer: OfferReceived) -> None:
        """The peer makes the offer."""
        self._adopt(session)
        super().offer_received(session, offer)

    def rolled_back(self, session: Session) -> None:
        """Our offer has come to nothing in one fork; in the others it has not."""
        if session is self.call.session:
            self.call.descriptions.rolled_back()

    def confirmed(self, session: Session) -> None:
        """The first 2xx."""
        call = self.call
        self._adopt(session)
        known = self._answers.get(session)
        self._answers.clear()
        if known is not None and self._applied is not session:
            # Another fork has told of its media later.
            self.take_answer(session, known)
        if not call.over:
            call.was_answered()
            call.was_confirmed()

    def attempt_over(self, attempt: InviteAttempt) -> None:
        """It has its outcome."""
        call = self.call
        if attempt.winner is not None:
            self._make = None
            return
        if attempt is not self.attempt or call.over:
            return
        response = attempt.response
        if 300 <= attempt.status < 400 and response is not None:
            self._learn_targets(response)
        if attempt.status < 600 and not self._given_up and self._try_next():
            return
        call.answer_response = response
        reason = response.reason if response is not None else ""
        if self._given_up or attempt.cancelled:
            timed_out = attempt.timed_out and not self._given_up
            cause, by = ("timeout", "network") if timed_out else ("cancel", "local")
        elif response is None:
            by, cause = "network", "timeout"
        else:
            by, cause = "remote", "refused"
        # A 2xx that is of no use is none.
        status = attempt.status if attempt.status >= 300 else 487
        call.refused(status, reason if status == attempt.status else "", response, by=by, cause=cause)

    def _learn_targets(self, response: Response) -> None:
        """Take the targets of a redirection, best first; each is tried once (section 8.1.3.4)."""
        for uri in redirection_targets(response):
            # RFC 5630 section 5.1.1: what was to be secure stays so.
            if uri.secure or not self._uri.lower().startswith("sips:"):
                text = uri.text
                if text not in self._tried and text not in self._targets:
                    self._targets += (text,)

    def _try_next(self) -> bool:
        """Go on to the next target of a redirection, if there is one."""
        call = self.call
        if not self._targets or len(self._tried) > call.agent.settings.follow_redirects:
            return False
        target, *left = self._targets
        self._targets = tuple(left)
        self._tried += (target,)
        call.become(CallState.TRYING)
        call.log.add(Redirected(uri=target))
        try:
            self._invite(target)
        except LocalProtocolError:
            return False
        return True

    def attempt_gone(self, attempt: InviteAttempt) -> None:
        """No further 2xx is waited for."""
        self._attempts -= 1
        self._check_gone()

    def ended(self, session: Session) -> None:
        """A session is over; the call is, if it was its session."""
        if self._answers:
            self._answers.pop(session, None)
        if self.call.session is None:
            self._adopt(session)
        if session is self.call.session and session.ending is not None:
            self.call.session_ended(session.ending)

    def gone(self, session: Session) -> None:
        """Nothing is left of a session."""
        self._sessions.discard(session)
        if not self._sessions:
            self._check_gone()

    def close(self) -> None:
        """Let go of it at once."""
        if self.attempt is not None:
            self.attempt.close()
        for session in list(self._sessions):
            session.close()
        if not self.call.over:
            self.call.refused(487, "Request Terminated", None, by="local", cause="closed")

    def part(self) -> None:
        """Nothing of the call is left: let go of its attempt."""
        if self.attempt is not None and self.attempt.gone and not self.wire.under_way:
            self.attempt.part()
            self.attempt = None

    def _check_gone(self) -> None:
        if self.call.over and not self._sessions:
            if not self._attempts:
                self.call.gone()
            else:
                self.call.agent.table.check()

    @property
    def quiet(self) -> bool:
        """True once nothing of it is under way but late answers of other forks."""
        return self.call.over and not self._sessions
