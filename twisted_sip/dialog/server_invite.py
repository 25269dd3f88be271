"""One INVITE of the peer: progress, answer or refusal, until its ACK.

RFC 3261 sections 13.3.1 and 14.2, RFC 3262 section 3 (reliable provisional responses), RFC 6026 section 7.1 (the 2xx is
ours to repeat), RFC 6141 section 3.3 (a re-INVITE that has changed something is not refused).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from twisted_sip.dialog.accepted_response import AcceptedResponse
from twisted_sip.dialog.invite_response import check_early_end, invite_response
from twisted_sip.dialog.reliable_provisional import Provisional, ReliableProvisionals
from twisted_sip.dialog.session_offers import session_body_of
from twisted_sip.dialog.session_terms import Ending, Header, SessionBody, option_tags
from twisted_sip.dialog.unanswered_invite import UnansweredInvite
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.builders import response_to
from twisted_sip.message.reliability import RAck
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

if TYPE_CHECKING:
    from twisted_sip.dialog.session import Session
    from twisted_sip.dialog.session_user import ServerRequest


#: The header fields that say what the caller makes of reliable provisional responses.
_RELIABLE = frozenset(("require", "supported"))


class ServerInvite:
    """An INVITE of the peer.

    :ivar session: whose it is.
    :ivar incoming: the request, as the host gave it.
    :ivar request: the request.
    :ivar initial: it is the one that makes the dialog.
    :ivar offer: the offer in it, None where we are to make one.
    :ivar answered: it has had its final response, or waits only for a PRACK to get a 2xx.
    :ivar over: nothing can come of it any more: it was refused, or its ACK has come, or never will.
    :ivar progressed: a provisional response has made the dialog known to the peer.
    """

    def __init__(self, session: Session, incoming: ServerRequest, offer: SessionBody | None, initial: bool) -> None:
        """Wait for an answer, but not for ever."""
        self.session = session
        self.incoming = incoming
        self.request = request = incoming.request
        self.initial = initial
        self.offer = offer
        self.answered = False
        self.over = False
        self.progressed = False
        self.number = (request.headers.parsed.get("cseq") or request.cseq)[0]
        terms = session.terms
        self._required = self._possible = False
        if not _RELIABLE.isdisjoint(request.headers.names):
            self._required = "100rel" in option_tags(request, "require")
            known = terms.supports("100rel")
            self._possible = known and (self._required or "100rel" in option_tags(request, "supported"))
        self._provisionals: ReliableProvisionals | None = None
        self._before = (session.offers.local, session.offers.remote)
        self._began = session.offers.exchanges
        self._preview: SessionBody | None = None
        self._settled = False
        self._offered = False
        self._held: Response | None = None
        self._accepted: AcceptedResponse | None = None
        self._last: Response | None = None
        self._alarms = UnansweredInvite(self, session.timers, terms.ring_timeout)

    @property
    def acknowledging(self) -> bool:
        """True while a 2xx waits for its ACK."""
        return self._accepted is not None

    @property
    def executed(self) -> bool:
        """True if an offer/answer exchange was completed meanwhile (RFC 6141 section 3.3)."""
        unconfirmed = 1 if self.unconfirmed and not self._offered else 0
        return self.session.offers.exchanges - self._began - unconfirmed > 0

    @property
    def unconfirmed(self) -> bool:
        """True while a reliable provisional response with a session description waits for its PRACK."""
        return self._provisionals is not None and self._provisionals.described

    @property
    def resolved(self) -> bool:
        """True once its offer is answered, or ours is."""
        return self._settled and not self.unconfirmed

    # -- provisional responses -----------------------------------------------------------

    def progress(
        self,
        status: int = 180,
        *,
        body: SessionBody | None = None,
        reliable: bool | None = None,
        headers: Iterable[Header] = (),
        reason: str = "",
    ) -> None:
        """Send a provisional response (sections 13.3.1.1 and 3 of RFC 3262).

        :param status: 101 to 199.
        :param body: the answer to the offer; or our offer where the INVITE has none, which goes out reliably only.
        :param reliable: None for as the terms and the peer have it.
        :param headers: with a 199 a Reason, of what would end it (RFC 6228 section 5).
        :raises LocalProtocolError: it is answered already; the status is none; or *body* is not what has its turn.
        """
        session = self.session
        if not 101 <= status <= 199:
            raise LocalProtocolError(f"{status} is no progress: 101 to 199")
        if self.answered or session.over:
            raise LocalProtocolError("the INVITE is answered")
        if reliable and not self._possible:
            raise LocalProtocolError("the peer does not support 100rel")
        if reliable is None or self._required:
            reliable = self._possible and (self._required or session.terms.reliable)
            if not self._required and self.offer is None and not self._settled and body is None:
                # The first reliable response must have the offer (section 13.2.1).
                reliable = False
        if reliable and self.offer is None and not self._settled and body is None and not session.offers.established:
            raise LocalProtocolError("the first reliable response to an INVITE without offer has to have one")
        if body is not None:
            self._check_body(body, reliable)
        fields = list(headers)
        if reliable:
            fields += [("require", "100rel"), *session.recv_info_answer(self.request)]
        response = invite_response(session, self.request, status, reason, fields, body)
        if status == 199:
            check_early_end(self.request, response)
        if reliable:
            if self._provisionals is None:
                self._provisionals = self._reliable_ones()
            self._provisionals.send(Provisional(response, body, self.offer is None and body is not None))
            self._describe(body)
            # RFC 6141 section 4.6.
            session.refresh_target(self.request)
        else:
            self._preview = self._preview or body
            session.user.respond(session, self.incoming, response)
        self.progressed = True
        self._last = response
        self._alarms.progressed(reliable=reliable)

    def _reliable_ones(self) -> ReliableProvisionals:
        session, incoming = self.session, self.incoming
        first = 1 + int(session.random() * (1 << 31) * 0.999)
        return ReliableProvisionals(
            *(self.number, first, session.timers, session.terms.values),
            lambda provisional: session.user.respond(session, incoming, provisional.response),
            self._prack_missing,
        )

    def _check_body(self, body: SessionBody, reliable: bool) -> None:
        if self._settled:
            raise LocalProtocolError("a session description has been sent: there can be no other one")
        if self.offer is None and not reliable:
            raise LocalProtocolError("an offer needs a reliable response")
        if self.offer is None and not self.session.offers.stable:
            raise LocalProtocolError("an offer is open: no other one may be made")
        if self._preview is not None and body != self._preview:
            raise LocalProtocolError("the answer has to be what was sent before (RFC 3261 section 13.2.1)")

    def _describe(self, body: SessionBody | None) -> None:
        """A session description leaves in a response that cannot be lost."""
        if body is None:
            return
        offers = self.session.offers
        self._settled = True
        if self.offer is not None:
            offers.answer_sent(body)
        else:
            offers.offer_sent(body, self, requested=False)
            self._offered = True

    def repeat_progress(self) -> None:
        """A provisional response is due again."""
        last = self._last
        if last is None or self.answered:
            return
        if "rseq" not in last.headers:
            self.session.user.respond(self.session, self.incoming, last)
        elif self._provisionals is not None and self._provisionals.unacknowledged is None:
            self.progress(last.status, reliable=True, headers=[("reason", why) for why in last.headers.all("reason")])
            return
        self._alarms.progressed(reliable=False)

    def _prack_missing(self) -> None:
        # RFC 3262 section 3: 64*T1 without a PRACK.
        self._held = None
        self._refuse(504, "PRACK Missing", (), b"", Ending(by="network", cause="timeout", status=504))

    # -- PRACK -----------------------------------------------------------------------------

    def matches(self, rack: RAck) -> bool:
        """Tell whether a PRACK with *rack* belongs to it."""
        return self._provisionals is not None and self._provisionals.matches(rack)

    def acknowledged_by(self, rack: RAck, body: SessionBody | None) -> SessionBody | None:
        """Take a PRACK that matches.

        :return: the new offer in it, None if there is none.
        :raises RemoteProtocolError: it has no answer to our offer, or an offer where there can be none; answer with
            that status.
        """
        session = self.session
        provisionals = self._provisionals
        assert provisionals is not None  # it matches
        waiting = provisionals.unacknowledged
        offered = session.offers.awaits(self) and waiting is not None and waiting.offers
        if offered and body is None:
            raise RemoteProtocolError("Missing Answer", status=400)
        offer = None if offered else body
        if offer is not None and not (session.offers.stable and session.offers.established):
            raise RemoteProtocolError("No offer is possible here", status=500)
        provisionals.acknowledge(rack)
        if offered and body is not None:
            news = session.offers.answer_received(body)
            if news is not None:
                session.user.answer_received(session, news)
        return offer

    def go_on(self) -> None:
        """A PRACK is answered: send what has waited for it."""
        if self.session.over:
            return
        held = self._held
        if held is not None and not self.unconfirmed:
            self._held = None
            self._accept(held)
        elif self._provisionals is not None:
            self._provisionals.go_on()

    # -- final responses --------------------------------------------------------------------

    def accept(self, body: SessionBody | None = None, *, status: int = 200, headers: Iterable[Header] = ()) -> None:
        """Accept it (section 13.3.1.4). The 2xx waits for the PRACK of a response with a session description.

        :param body: the answer, or our offer where the INVITE has none; not needed where it has been sent before.
        :raises LocalProtocolError: it is answered already, or there is no answer to its offer.
        """
        session = self.session
        if self.answered or session.over:
            raise LocalProtocolError("the INVITE is answered")
        if not 200 <= status <= 299:
            raise LocalProtocolError(f"{status} accepts nothing: 200 to 299")
        if self._settled:
            # RFC 6337 section 3.1.1: no description follows the one that was sent reliably.
            body = None
        else:
            body = body or self._preview
            if body is not None:
                self._check_body(body, True)
            elif self.offer is not None:
                raise LocalProtocolError("the offer has to be answered")
        fields = session.timer.answer(self.request)
        fields += headers
        if "recv-info" in self.request.headers.names:
            fields += session.recv_info_answer(self.request)
        response = invite_response(session, self.request, status, "", fields, body)
        self._describe(body)
        self.answered = True
        self._last = None
        self._alarms.stop()
        if self._provisionals is not None:
            self._provisionals.drop_waiting()
        if self._provisionals is not None and self._provisionals.described:
            self._held = response
        else:
            self._accept(response)

    def _accept(self, response: Response) -> None:
        session = self.session
        if self._provisionals is not None:
            self._provisionals.stop()
        self._accepted = AcceptedResponse(self, response)
        session.invite_accepted(self)
        session.user.respond(session, self.incoming, response)

    def ack_missing(self) -> None:
        """64*T1 without an ACK."""
        self.over = True
        self._accepted = None
        self.session.offers.abandon(self)
        self.session.ack_missing(self)

    def ack_received(self, ack: Request) -> None:
        """The ACK for the 2xx has come; an answer may be in it."""
        accepted = self._accepted
        if accepted is None:
            return
        session = self.session
        self.over = True
        self._accepted = None
        accepted.stop()
        answered = True
        if session.offers.awaits(self):
            try:
                body = session_body_of(ack)
            except RemoteProtocolError:
                body = None
            if body is None:
                answered = False
                session.offers.abandon(self)
                if not session.over:
                    session.user.rolled_back(session)
            else:
                session.offers.answer_received(body)
                if not session.over:
                    session.user.answer_received(session, body)
        session.invite_acknowledged(self, answered=answered)

    def reject(
        self, status: int, reason: str = "", headers: Iterable[Header] = (), body: bytes = b"", *, by: str = "local"
    ) -> None:
        """Refuse or redirect it (sections 13.3.1.2 and 13.3.1.3).

        :param status: 300 to 699.
        :param by: who is to blame, as in :class:`Ending`.
        :raises LocalProtocolError: it is answered already, or a re-INVITE that has changed something: accept it, and
            undo that with an UPDATE or re-INVITE (RFC 6141 section 3.3).
        """
        if self.answered or self.session.over:
            raise LocalProtocolError("the INVITE is answered")
        if not 300 <= status <= 699:
            raise LocalProtocolError(f"{status} refuses nothing: 300 to 699")
        if not self.initial and self.executed:
            raise LocalProtocolError("the re-INVITE has changed the session already: accept it")
        self._refuse(status, reason, headers, body, Ending(by=by, cause="refused", status=status))

    def cancelled(self, cancel: Request | None = None) -> None:
        """A CANCEL has come for it (section 9.2); the CANCEL itself has been answered."""
        if self.answered and self._held is None:
            return
        if self.initial or not self.executed:
            self._refuse(487, "", (), b"", self.session.ending_of("cancel", 487, cancel))
        elif not self.answered:
            # RFC 6141 section 3.8.
            self.accept()

    def withdraw(self) -> bool:
        """Refuse it after all, while its 2xx waits for a PRACK; False if that is not so."""
        if self._held is None:
            return False
        self._refuse(480, "", (), b"", Ending(by="local", cause="bye", status=480))
        return True

    def terminate(self) -> None:
        """The session is over: 487 where there was no final response, and no more of the 2xx (section 15.1.2)."""
        if not self.answered or self._held is not None:
            self.session.user.respond(
                self.session, self.incoming, invite_response(self.session, self.request, 487, "", [], None)
            )
        self.close()

    def close(self) -> None:
        """Let go of everything, without a word."""
        self.answered = self.over = True
        self._held = None
        if self._provisionals is not None:
            self._provisionals.stop()
        if self._accepted is not None:
            self._accepted.stop()
            self._accepted = None
        self._alarms.stop()

    def part(self) -> None:
        """The session is gone: let go of it."""
        del self.session, self._alarms
        self._provisionals = None

    def _refuse(self, status: int, reason: str, headers: Iterable[Header], body: bytes, ending: Ending) -> None:
        session = self.session
        fields = [*session.terms.headers, *headers]
        response = response_to(self.request, status, reason, fields, body, session.dialog.local_tag)
        undone = self._rolled_back()
        self.close()
        session.user.respond(session, self.incoming, response)
        session.invite_refused(self, ending, undone=undone)

    def _rolled_back(self) -> bool:
        """What has been said about the session in its course comes to nothing, unless a whole exchange was made."""
        offers = self.session.offers
        undone = offers.abandon(self)
        if self._settled and not self._offered and not self.executed:
            offers.local, offers.remote = self._before
            undone = True
        return undone or self._preview is not None

    def expire(self, status: int) -> None:
        """It has waited too long: refuse it with *status*, 487 where the invitation has expired."""
        if not self.initial and self.executed:
            self.accept()
        else:
            self._refuse(status, "", (), b"", Ending(by="network", cause="timeout", status=status))
