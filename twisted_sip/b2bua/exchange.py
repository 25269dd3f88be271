"""Offers of one leg carried over to the other, and the answers back (RFC 3264, RFC 6337 section 4.3, RFC 3725).

One exchange at a time: an offer that comes in the middle of one is told 491, as if it had crossed with one of ours. An
offer in a response cannot be refused, so it waits until the other leg is ready for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.logger import Logger

from twisted_sip.b2bua.offer_under_way import Exchange
from twisted_sip.b2bua.passage import (
    Passage,
    RelayPassage,
    carried_answer,
    carried_offer,
    is_sdp,
    stands_as_answer,
)
from twisted_sip.b2bua.responders import InviteResponder, Nobody, Responder, warning_of
from twisted_sip.b2bua.session_lines import same_session
from twisted_sip.dialog.session import CONFIRMED, Session
from twisted_sip.dialog.session_terms import SessionBody
from twisted_sip.errors import RemoteProtocolError

if TYPE_CHECKING:
    from twisted_sip.b2bua.legs import BridgedLeg


_log = Logger()


class Bridge:
    """Two legs between which offers and answers pass.

    :ivar mode: ``direct`` or ``relay``.
    :ivar legs: side 0 and side 1; None where there is none yet.
    :ivar passage: how media get from one to the other.
    :ivar exchange: the offer under way.
    """

    def __init__(self, passage: Passage, mode: str, silent: Callable[[float], object] | None = None) -> None:
        """Make one.

        :param silent: called with the seconds for which neither side has sent any media, where these go through us.
        """
        self.passage = passage
        self.mode = mode
        self._silent = silent
        if silent is not None:
            passage.watch(silent)
        self.legs: list[BridgedLeg | None] = [None, None]
        self.exchange: Exchange | None = None
        # An offer in a response that waits for its turn: the side it is from, and who waits.
        self._waiting: tuple[int, SessionBody, Responder] | None = None
        # The side that is to make an offer since we want it, and whether the other one has been asked before.
        self._asks: int | None = None
        self._asked_other = False

    @property
    def busy(self) -> bool:
        """True while an offer is under way, or waits for its turn."""
        return self.exchange is not None or self._waiting is not None or self._asks is not None

    def close(self) -> None:
        """The call is over."""
        if self.busy:
            self._drop(487)
        self.passage.close()

    def _drop(self, status: int) -> None:
        exchange, self.exchange = self.exchange, None
        waiting, self._waiting = self._waiting, None
        self._asks = None
        if exchange is not None:
            exchange.responder.refuse(status, [])
        if waiting is not None:
            waiting[2].refuse(status, [])

    def renew(self, passage: Passage) -> None:
        """Another leg is coming: media take another way, and what is under way comes to nothing."""
        old, self.passage = self.passage, passage
        if old is not passage:
            old.close()
            if self._silent is not None:
                passage.watch(self._silent)
        for leg in self.legs:
            if leg is not None:
                leg.remote = None
        self._drop(491)

    def _session(self, side: int) -> Session | None:
        leg = self.legs[side]
        session = leg.session if leg is not None else None
        return None if session is None or session.over else session

    # -- passing on ---------------------------------------------------------------------------

    def offer_for(self, body: SessionBody, side: int, leg: BridgedLeg) -> SessionBody:
        """Return the offer *body* of *side* as *leg*, on the other side, is to get it.

        :raises RemoteProtocolError: it cannot be passed on.
        """
        return carried_offer(self.passage, body, side, leg.own)

    def answer_for(self, body: SessionBody, side: int, leg: BridgedLeg, offer: SessionBody | None) -> SessionBody:
        """Return the answer *body* of *side* to *offer* as *leg*, who has made that, is to get it.

        :raises RemoteProtocolError: it cannot be passed on.
        """
        return carried_answer(self.passage, body, side, leg.own, offer)

    # -- offers -------------------------------------------------------------------------------

    def offer_from(self, side: int, body: SessionBody, responder: Responder) -> None:
        """A peer makes an offer in an established call, or an early one."""
        exchange = self.exchange
        if exchange is not None and exchange.late is not None and exchange.side != side and exchange.offer is None:
            self._late_offer(exchange, side, body, responder)
            return
        leg = self.legs[side]
        assert leg is not None
        session = self._session(side)
        wanted = self._asks == side
        if wanted:
            # Whether it can be passed on now or not: to ask once more would bring the same again.
            self._asks = None
        elif self._same_as_before(leg, body) and session is not None:
            said = session.offers.local
            if said is not None and stands_as_answer(said, body):
                # A refresh: nothing that the other leg would have to know (RFC 4028 section 7.4).
                responder.answer(said)
                return
        if exchange is not None or not self._send(side, body, responder):
            if responder.patient and self._waiting is None and self._session(1 - side) is not None:
                self._waiting = (side, body, responder)
            else:
                responder.refuse(491, [])

    @staticmethod
    def _same_as_before(leg: BridgedLeg, body: SessionBody) -> bool:
        known = leg.remote
        if known is None or not is_sdp(body) or not is_sdp(known):
            return False
        try:
            return same_session(known.data, body.data)
        except RemoteProtocolError:
            return False

    def _send(self, side: int, body: SessionBody, responder: Responder) -> bool:
        """Send the offer of *side* to the other one; False if that is not ready."""
        session = self._session(1 - side)
        leg = self.legs[1 - side]
        if session is None or leg is None:
            return False
        by_update = session.can_offer_update and session.peer_allows("UPDATE") is not False
        by_update = by_update and (responder.quick or session.state != CONFIRMED)
        if not by_update and not session.can_reinvite:
            return False
        try:
            sent = self.offer_for(body, side, leg)
        except RemoteProtocolError as error:
            self._put_back()
            responder.refuse(error.status, warning_of(error, leg))
            return True
        self.exchange = exchange = Exchange(side, body, responder)
        exchange.sent = sent
        if by_update:
            session.update(sent)
        else:
            session.reinvite(sent)
        return True

    def ask(self, side: int) -> None:
        """Have *side* make an offer, which goes to the other one: both have a new peer (RFC 3725 section 4)."""
        self._asks = side
        self._asked_other = False
        self._go_on()

    def propose(self, side: int, body: SessionBody, responder: Responder | None = None) -> None:
        """Send what *side* has said to the other one as an offer."""
        waits = responder or Nobody()
        if self._waiting is not None and not isinstance(self._waiting[2], Nobody):
            # Somebody waits for an answer: that exchange brings both up to date.
            return
        if self.exchange is not None or not self._send(side, body, waits):
            self._waiting = (side, body, waits)

    def _go_on(self) -> None:
        """Begin what has waited for its turn."""
        exchange = self.exchange
        if exchange is not None:
            if exchange.again:
                self._repeat(exchange)
            return
        if self._waiting is not None:
            side, body, responder = self._waiting
            self._waiting = None
            if not self._send(side, body, responder):
                self._waiting = (side, body, responder)
            return
        asked = self._asks
        session = self._session(asked) if asked is not None else None
        other = self._session(1 - asked) if asked is not None else None
        if session is not None and other is not None and session.can_reinvite and other.can_reinvite:
            session.reinvite(None)

    # -- late offers --------------------------------------------------------------------------

    def asked_by(self, side: int, responder: InviteResponder) -> None:
        """A re-INVITE without offer: the other side makes it."""
        session = self._session(1 - side)
        if self.exchange is not None or session is None or not session.can_reinvite:
            responder.refuse(491, [])
            return
        self.exchange = exchange = Exchange(side, None, responder)
        exchange.late = responder
        session.reinvite(None)

    def _late_offer(self, exchange: Exchange, side: int, body: SessionBody, responder: Responder) -> None:
        """The offer that *exchange* has asked for."""
        late = exchange.late
        leg = self.legs[1 - side]
        assert late is not None and leg is not None
        if late.stale:
            # Who has asked for it does not want it any more; it is an offer like any other.
            self.exchange = None
            self.offer_from(side, body, responder)
            return
        try:
            sent = self.offer_for(body, side, leg)
        except RemoteProtocolError as error:
            self.exchange = None
            late.refuse(error.status, warning_of(error, leg))
            responder.refuse(error.status, [])
            return
        self.exchange = turned = Exchange(side, body, responder)
        turned.sent = sent
        turned.in_response = True
        late.offer(sent)

    def offered_in_response(self, side: int, body: SessionBody, sent: SessionBody, responder: Responder) -> None:
        """The offer *body* of *side* has gone to the other one as *sent*, in a response to its INVITE."""
        self.exchange = exchange = Exchange(side, body, responder)
        exchange.sent = sent
        exchange.in_response = True

    # -- answers ------------------------------------------------------------------------------

    def answer_from(self, side: int, body: SessionBody) -> None:
        """A peer answers."""
        exchange = self.exchange
        leg = self.legs[side]
        assert leg is not None
        if exchange is None or exchange.side == side:
            self._answered_ourselves(side, leg, body)
            return
        other = self.legs[1 - side]
        self.exchange = None
        if other is None:
            exchange.responder.refuse(500, [])
            return
        if exchange.responder.stale:
            leg.remote = body
            self._undo(exchange)
            return
        try:
            passed = self.answer_for(body, side, other, exchange.offer)
        except RemoteProtocolError as error:
            exchange.responder.refuse(error.status, warning_of(error, other))
            self._undo(exchange)
            return
        leg.remote = body
        other.remote = exchange.offer
        exchange.responder.answer(passed)
        self._go_on()

    def _undo(self, exchange: Exchange) -> None:
        """An offer was agreed to, and has come to nothing where it came from: tell who has agreed of what is."""
        self._put_back()
        other = self.legs[exchange.side]
        ours = isinstance(exchange.responder, Nobody)
        if not ours and other is not None and other.remote is not None and self._session(exchange.side) is not None:
            self.propose(exchange.side, other.remote)
        else:
            self._go_on()

    def _answered_ourselves(self, side: int, leg: BridgedLeg, body: SessionBody) -> None:
        """The answer to an offer that we have repeated (RFC 4028 section 7.4); the other side hears of news alone."""
        if not self._same_as_before(leg, body):
            leg.remote = body
            self.propose(side, body)

    # -- outcomes -----------------------------------------------------------------------------

    def modified(self, side: int, session: Session, method: str, status: int) -> None:
        """Our re-INVITE or UPDATE at *side* has its outcome."""
        exchange = self.exchange
        if exchange is None:
            if self._asks == side and status != 491:
                self._not_offered()
            return
        if exchange.side == side or exchange.in_response:
            return
        if status < 300:
            if session.inviting is not None or session.modification.update is not None:
                # That was the one before; what has waited for it is on its way already.
                return
            # The offer was not answered, or none was made.
            self.exchange = None
            exchange.responder.refuse(488, [])
        elif status == 491 and exchange.responder.patient:
            # ``offer_wanted`` comes.
            return
        elif method == "UPDATE" and status in (405, 501) and session.can_reinvite and exchange.sent is not None:
            session.reinvite(exchange.sent)
            return
        else:
            self.exchange = None
            exchange.responder.refuse(status if status != 503 else 500, [])
        self._go_on()

    def _not_offered(self) -> None:
        """Who was to make an offer has not: the other one may."""
        asked, self._asks = self._asks, None
        if asked is not None and not self._asked_other:
            self._asked_other = True
            self._asks = 1 - asked
        self._go_on()

    def rolled_back(self, side: int) -> None:
        """What was offered to *side*, or by it, or answered, has come to nothing."""
        self._put_back()
        exchange = self.exchange
        if exchange is None:
            return
        if exchange.side != side:
            if exchange.in_response:
                self.exchange = None
                exchange.responder.refuse(488, [])
        elif exchange.responder.stale:
            self.given_up(side)

    def given_up(self, side: int) -> None:
        """*side* does not wait for the answer to its offer any more, nor for the offer that it has asked for: so do we
        (RFC 3261 section 9.1)."""
        session = self._session(1 - side)
        if self.exchange is not None and self.exchange.side == side and session is not None:
            session.modification.cancel()

    def _put_back(self) -> None:
        """Have the media flow as it was agreed before."""
        if isinstance(self.passage, RelayPassage):
            for side, leg in enumerate(self.legs):
                if leg is not None and leg.remote is not None:
                    try:
                        self.passage.carry(leg.remote.data, side)
                    except RemoteProtocolError as error:
                        _log.info("media are not put back: {reason}", reason=error.reason)

    def offer_wanted(self, side: int, session: Session, why: str) -> None:
        """The session at *side* wants an offer of ours."""
        exchange = self.exchange
        if why == "glare":
            if exchange is not None and exchange.side != side and exchange.sent is not None:
                exchange.again = True
                self._repeat(exchange)
            elif self._asks == side:
                self._go_on()
        elif exchange is None and session.can_reinvite and session.offers.local is not None:
            session.reinvite(session.offers.local)

    def _repeat(self, exchange: Exchange) -> None:
        """Send again what met with a glare, once that is possible."""
        session = self._session(1 - exchange.side)
        if session is not None and session.can_reinvite and exchange.sent is not None:
            exchange.again = False
            session.reinvite(exchange.sent)

    def free(self) -> None:
        """A session is ready for changes."""
        self._go_on()
