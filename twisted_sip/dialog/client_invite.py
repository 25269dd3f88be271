"""One INVITE of ours in one dialog: its reliable provisional responses, its 2xx and the ACK.

RFC 3261 section 13.2.2.4 (ACK), RFC 3262 sections 4 and 5 (PRACK), RFC 6141 section 4.7 (target refresh). An INVITE
that was forked has one of these in each dialog.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger

from twisted_sip.dialog.client_request import ClientRequest
from twisted_sip.dialog.session_offers import OfferReceived, session_body_of
from twisted_sip.dialog.session_terms import Header, SessionBody, option_tags
from twisted_sip.dialog.unsent import Unsent
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.message import Message
from twisted_sip.message.reliability import RAck
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.transaction.timers import Timer

if TYPE_CHECKING:
    from twisted_sip.dialog.session import Session

_log = Logger()

#: The most PRACKs of one INVITE that are on their way: what comes meanwhile will be sent again.
_MOST_PRACKS = 16


_CREDENTIALS = ("authorization", "proxy-authorization")
_SECRETS = frozenset(_CREDENTIALS)


class ClientInvite:
    """An INVITE of ours in a dialog.

    :ivar outgoing: the request.
    :ivar accepted: a 2xx has come.
    :ivar acknowledged: the ACK for it has been sent.
    :ivar resolved: no offer or answer can come of it any more.
    :ivar pracks: how many PRACKs with an offer or answer, or for one, are on their way.
    """

    outgoing: ClientRequest

    accepted = False
    resolved = False
    pracks = 0
    _rseq: int | None = None
    _number = 0
    # The ACK for its 2xx, once it has been sent.
    _ack: Unsent | None = None
    _pending: OfferReceived | None = None
    _deadline: Timer | None = None
    _under_way = 0
    # The PRACK that was refused, None without one.
    _once_more: _Prack | None = None

    def __init__(self, session: Session, offered: bool, initial: ClientRequest | None = None) -> None:
        """Wait for responses.

        :param offered: it has an offer, which the session's tracker knows as carried by this object.
        :param initial: it is this one, which has made the dialog; otherwise *outgoing* is to be set.
        """
        self.initial = initial is not None
        if initial is not None:
            self.outgoing = initial
        self._session = session
        self._offered = offered
        self._began = session.offers.exchanges

    @property
    def acknowledged(self) -> bool:
        """True once the ACK has been sent."""
        return self._ack is not None

    @property
    def executed(self) -> bool:
        """True if an offer/answer exchange was completed meanwhile (RFC 6141 section 3.3)."""
        return self._session.offers.exchanges > self._began

    # -- the user of a re-INVITE -----------------------------------------------------

    def response_received(self, outgoing: ClientRequest, response: Response) -> None:
        """A response to our re-INVITE."""
        if not self.accepted:
            self._session.modification.invite_response(self, response)
        elif 200 <= response.status < 300 and not self._session.parted:
            self.accepted_again()
        self._session.settle()

    def failed(self, outgoing: ClientRequest, status: int) -> None:
        """Our re-INVITE has no response."""
        self._session.modification.invite_refused(self, status, None)
        self._session.settle()

    # -- provisional responses -------------------------------------------------------

    def provisional(self, response: Response) -> bool:
        """Take a provisional response with a status above 100.

        :return: False if it is to be discarded: a retransmission, or out of order.
        """
        session = self._session
        rseq = self._reliable(response) if "require" in response.headers.names else None
        if rseq is None:
            session.user.progressed(session, response)
            if session.over or not response.body:
                return True
            body = _description(response)
            if body is not None and session.offers.awaits(self) and session.offers.preview(body):
                session.user.answer_received(session, body)
            return True
        if self.accepted or (self._rseq is not None and rseq != self._rseq + 1):
            # RFC 3262 section 4: not acknowledged, not processed.
            if rseq == self._rseq and self._once_more is not None and not self.accepted:
                # But its PRACK was refused, overtaken by another request perhaps.
                again, self._once_more = self._once_more, None
                self._prack(response, rseq, again.answer, described=again.described)
            return False
        if self._under_way >= _MOST_PRACKS:
            return False
        self._rseq = rseq
        session.refresh_target(response)
        session.learn(response)
        session.user.progressed(session, response)
        body = _description(response)
        if session.offers.awaits(self):
            self._answered_in(response, body, rseq)
        elif body is not None and self._may_offer:
            self._offered_in(response, body, rseq)
        else:
            self._prack(response, rseq, None)
        return True

    def _reliable(self, response: Response) -> int | None:
        if "100rel" not in option_tags(response, "require"):
            return None
        try:
            rseq: int | None = response.typed("rseq")
        except RemoteProtocolError:
            return None
        return rseq

    @property
    def _may_offer(self) -> bool:
        """The first reliable response to an INVITE without offer has one (RFC 3261 section 13.2.1)."""
        return not self._offered and not self.resolved and self._session.offers.stable and not self._session.over

    def _answered_in(self, response: Response, body: SessionBody | None, rseq: int) -> None:
        session = self._session
        if body is None:
            self._prack(response, rseq, None)
            return
        self.resolved = True
        news = session.offers.answer_received(body)
        offer, session.prack_offer = session.prack_offer, None
        self._prack(response, rseq, offer, described=True)
        if news is not None:
            session.user.answer_received(session, news)

    def _offered_in(self, response: Response, body: SessionBody, rseq: int) -> None:
        session = self._session
        self.resolved = True
        session.offers.offer_received(body, self)

        def accept(answer: SessionBody, headers: list[Header]) -> None:
            if session.offers.owes(self):
                session.offers.answer_sent(answer)
                self._prack(response, rseq, answer, headers, described=True)

        def refuse(status: int, reason: str, headers: list[Header]) -> None:
            # RFC 6337 section 2.3: there is no way to refuse it but to give up.
            if session.offers.abandon(self):
                self._prack(response, rseq, None)
                session.give_up(self)

        self._pending = OfferReceived(body, "1xx", None, accept, refuse)
        session.user.offer_received(session, self._pending)

    def _prack(
        self,
        response: Response,
        rseq: int,
        body: SessionBody | None,
        headers: list[Header] | None = None,
        *,
        described: bool = False,
    ) -> None:
        session = self._session
        number = min(response.cseq.number, self.outgoing.request.cseq.number)
        fields = [("rack", str(RAck.build(rseq, number, "INVITE"))), *session.terms.supported_field(), *(headers or [])]
        prack = _Prack(self, described, None if self._offered else body)
        try:
            outgoing = session.make("PRACK", prack, fields, body)
        except LocalProtocolError as error:
            _log.debug("no PRACK: {reason}", reason=str(error))
            return
        if body is not None and session.offers.stable and described and self._offered:
            session.offers.offer_sent(body, prack)
        self.pracks += described
        self._under_way += 1
        session.user.send(session, outgoing)

    # -- 2xx ------------------------------------------------------------------------------

    def accept(self, response: Response) -> None:
        """Take the first 2xx in this dialog; the session is confirmed and has its target."""
        session = self._session
        self.accepted = True
        answered, sent = response.headers.parsed, self.outgoing.request.headers.parsed
        number = (answered.get("cseq") or response.cseq)[0]
        first = (sent.get("cseq") or self.outgoing.request.cseq)[0]
        self._number = number if number < first else first
        body = _description(response) if response.body else None
        if session.offers.awaits(self):
            body = body or session.offers.previewed
            if body is None:
                self._unanswered()
                return
            self.resolved = True
            news = session.offers.answer_received(body)
            self.acknowledge()
            if news is not None:
                session.user.answer_received(session, news)
        elif body is not None and self._may_offer:
            self._offered_in_2xx(body)
        else:
            self.resolved = True
            self.acknowledge()

    def _unanswered(self) -> None:
        """A 2xx without the answer that it must have (section 13.2.1)."""
        session = self._session
        session.offers.abandon(self)
        self.resolved = True
        self.acknowledge()
        session.user.rolled_back(session)
        if self.initial:
            session.end_with_bye("no-answer", 488)

    def _offered_in_2xx(self, body: SessionBody) -> None:
        session = self._session
        session.offers.offer_received(body, self)
        self.resolved = True

        def accept(answer: SessionBody, headers: list[Header]) -> None:
            if session.offers.owes(self):
                session.offers.answer_sent(answer)
                self.acknowledge(answer, headers)
                session.settle()

        def refuse(status: int, reason: str, headers: list[Header]) -> None:
            if session.offers.abandon(self):
                self.acknowledge()
                session.end_with_bye("no-answer", status)

        self._pending = OfferReceived(body, "2xx", None, accept, refuse)
        self._deadline = session.timers.start(session.terms.values.timeout, self._pending.refuse)
        session.user.offer_received(session, self._pending)

    def acknowledge(self, body: SessionBody | None = None, headers: list[Header] | None = None) -> None:
        """Send the ACK, the first time or again; what it says does not change (section 13.2.2.4)."""
        session = self._session
        sent = self._ack
        if sent is not None:
            ack = sent.request()
        else:
            if self._pending is not None or self._deadline is not None:
                self._drop_offer()
            if session.offers.carrier is self:
                # The offer of a provisional response that a 2xx has overtaken.
                session.offers.abandon(self)
            invite = self.outgoing.request
            fields = [] if _SECRETS.isdisjoint(invite.headers.names) else _credentials(invite)
            if headers:
                fields += headers
            ack = session.dialog.request("ACK", fields, cseq=self._number)
            if body is not None:
                body.put_into(ack)
            self._ack = Unsent.of(ack)
            session.invite_done(self)
        session.user.send_ack(session, ack, session.dialog.secure)

    def accepted_again(self) -> None:
        """The 2xx came once more: so does the ACK, unless it waits for our answer."""
        if self._ack is not None:
            self.acknowledge()

    def refuse(self, response: Response) -> None:
        """Acknowledge a 2xx that nobody wants any more; a BYE follows (section 13.2.2.4)."""
        self.accepted = True
        self.resolved = True
        self._number = min(response.cseq.number, self.outgoing.request.cseq.number)
        self.acknowledge()

    # -- the end -----------------------------------------------------------------------

    def close(self) -> None:
        """The session is over: a 2xx that waits for our answer is acknowledged without one."""
        if self.accepted and self._ack is None:
            self.acknowledge()
        self._drop_offer()

    def abandon(self) -> None:
        """Let go of everything, without a word."""
        self._drop_offer()

    def _drop_offer(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._pending is not None:
            self._pending.answered = True
            self._pending = None

    def prack_done(self, prack: _Prack, response: Response | None) -> None:
        """A PRACK has its outcome. Where it has failed the INVITE tells what becomes of the session."""
        session = self._session
        self.pracks -= prack.described
        self._under_way -= 1
        if response is None or response.status >= 300:
            self._once_more = prack
        if session.offers.awaits(prack):
            body = _description(response) if response is not None and response.status < 300 else None
            if body is None:
                session.offers.abandon(prack)
                session.user.rolled_back(session)
            else:
                session.offers.answer_received(body)
                session.user.answer_received(session, body)
        session.settle()


class _Prack:
    """A PRACK on its way.

    :ivar described: it belongs to an offer or answer.
    :ivar answer: the answer in it, None without one.
    """

    __slots__ = ("_invite", "answer", "described")

    def __init__(self, invite: ClientInvite, described: bool, answer: SessionBody | None) -> None:
        self._invite = invite
        self.described = described
        self.answer = answer

    def response_received(self, outgoing: ClientRequest, response: Response) -> None:
        if response.status >= 200:
            self._invite.prack_done(self, response)

    def failed(self, outgoing: ClientRequest, status: int) -> None:
        self._invite.prack_done(self, None)


def _credentials(invite: Request) -> list[Header]:
    """Return the credentials of the INVITE, which its ACK has as well (section 13.2.2.4)."""
    return [(name, value) for name in _CREDENTIALS for value in invite.headers.all(name)]


def _description(message: Message) -> SessionBody | None:
    """Return the session description in a response, None where it cannot be read: nobody can be told."""
    if not message.body:
        return None
    try:
        return session_body_of(message)
    except RemoteProtocolError as error:
        _log.debug("the body of a response is of no use: {reason}", reason=error.reason)
        return None
