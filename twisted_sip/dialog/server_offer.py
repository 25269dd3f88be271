"""An offer of the peer in an UPDATE or a PRACK, until it is answered (RFC 3311 section 5.2, RFC 3262 section 5).

Both have to be answered promptly: who lets us wait for too long is answered for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted_sip.dialog.session_offers import OfferReceived
from twisted_sip.dialog.session_terms import Header, SessionBody
from twisted_sip.transaction.timers import Timer

if TYPE_CHECKING:
    from twisted_sip.dialog.server_invite import ServerInvite
    from twisted_sip.dialog.session import Session
    from twisted_sip.dialog.session_user import ServerRequest


class ServerOffer:
    """An UPDATE or PRACK with an offer.

    :ivar incoming: the request.
    :ivar invite: the INVITE whose provisional response the PRACK acknowledges.
    """

    __slots__ = ("_accepted", "_deadline", "_offer", "_over", "_session", "incoming", "invite")

    def __init__(
        self,
        session: Session,
        incoming: ServerRequest,
        body: SessionBody,
        carrier: str,
        accepted: Callable[[ServerOffer, SessionBody, list[Header]], None],
        over: Callable[[ServerOffer], None],
    ) -> None:
        """Wait for an answer once :meth:`begin` is called.

        :param accepted: sends the answer.
        :param over: called when it was refused.
        """
        self.incoming = incoming
        self.invite: ServerInvite | None = None
        self._session = session
        self._accepted = accepted
        self._over = over
        self._offer = OfferReceived(body, carrier, incoming.request, self._accept, self._refuse)
        self._deadline: Timer | None = None

    def begin(self) -> None:
        """Tell the user."""
        session = self._session
        # RFC 3311 section 5.2: 504 where the user would have to be asked; before the transaction is given up.
        self._deadline = session.timers.start(session.terms.values.timeout / 2, self._offer.refuse, 504)
        session.user.offer_received(session, self._offer)

    def _accept(self, body: SessionBody, headers: list[Header]) -> None:
        session = self._session
        self._stop()
        session.offers.answer_sent(body)
        self._accepted(self, body, headers)
        session.settle()

    def _refuse(self, status: int, reason: str, headers: list[Header]) -> None:
        session = self._session
        self._stop()
        session.offers.abandon(self)
        session.server.respond(self.incoming, status, reason, headers)
        self._over(self)
        session.user.rolled_back(session)
        session.settle()

    def close(self, *, silent: bool) -> None:
        """The session is over."""
        self._stop()
        self._offer.answered = True
        self._session.offers.abandon(self)
        if not silent:
            self._session.server.respond(self.incoming, 487)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
