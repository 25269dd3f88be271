"""Who waits for the answer to an offer that is carried across (RFC 3261 section 14.2, RFC 3262, RFC 3311)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from twisted_sip.dialog.session_terms import SessionBody
from twisted_sip.errors import LocalProtocolError, MediaRefused, RemoteProtocolError
from twisted_sip.message.reason_fields import SIPWarning

if TYPE_CHECKING:
    from twisted_sip.b2bua.legs import BridgedLeg
    from twisted_sip.dialog.server_invite import ServerInvite
    from twisted_sip.dialog.session_offers import OfferReceived

Header = tuple[str, str]


class Responder(Protocol):
    """Who waits for the answer to an offer.

    :ivar patient: there is no way to refuse but to end the call: it waits for its turn.
    :ivar quick: an answer is needed at once (RFC 3311 section 5.2).
    :ivar stale: nobody waits any more.
    """

    patient: bool
    quick: bool

    @property
    def stale(self) -> bool:
        """Whether nobody waits any more."""

    def answer(self, body: SessionBody) -> None:
        """Here it is: *body*, our description."""

    def refuse(self, status: int, headers: list[Header]) -> None:
        """There is none, for the reason *status*, 300 to 699; *headers* go with it where it can be told."""


class OfferResponder:
    """An offer in UPDATE, PRACK or a response (RFC 3311 section 5.2, RFC 3262 section 5, RFC 3261 section 13.2.2.4).

    :ivar offer: the offer.
    """

    __slots__ = ("offer", "patient", "quick")

    def __init__(self, offer: OfferReceived) -> None:
        self.offer = offer
        self.patient = offer.request is None
        self.quick = not self.patient

    @property
    def stale(self) -> bool:
        """See Responder."""
        return self.offer.answered

    def answer(self, body: SessionBody) -> None:
        """Send *body* in the 2xx, PRACK or ACK; without effect where it comes too late."""
        self.offer.answer(body)

    def refuse(self, status: int, headers: list[Header]) -> None:
        """Refuse the request with *status*; an offer in a response ends the session (RFC 6337 section 2.3)."""
        self.offer.refuse(status, headers=headers)


class InviteResponder:
    """A re-INVITE (RFC 3261 section 14.2).

    :ivar invite: the transaction.
    """

    __slots__ = ("invite",)

    patient = False
    quick = False

    def __init__(self, invite: ServerInvite) -> None:
        self.invite = invite

    @property
    def stale(self) -> bool:
        """See Responder."""
        return self.invite.answered or self.invite.session.over

    def answer(self, body: SessionBody) -> None:
        """Accept it with *body*; without effect where it comes too late."""
        if not self.stale:
            self.invite.accept(body)

    def offer(self, body: SessionBody) -> None:
        """Accept it with the offer *body*, for which it asks; the answer comes in the ACK."""
        self.invite.accept(body)

    def refuse(self, status: int, headers: list[Header]) -> None:
        """Refuse it with *status* and *headers*: what was agreed before stays."""
        invite = self.invite
        if self.stale:
            return
        try:
            invite.reject(status, headers=headers)
        except LocalProtocolError:
            # RFC 6141 section 3.3: something has been agreed on its way.
            invite.accept()


class Nobody:
    """We have made the offer ourselves."""

    patient = True
    quick = False
    stale = False

    def answer(self, body: SessionBody) -> None:
        """Nobody waits for it."""

    def refuse(self, status: int, headers: list[Header]) -> None:
        """What was agreed before stays."""


def warning_of(error: RemoteProtocolError, leg: BridgedLeg) -> list[Header]:
    """Return the Warning that tells why media were refused (RFC 3261 section 20.43)."""
    if not isinstance(error, MediaRefused):
        return []
    return [("warning", str(SIPWarning(error.warning_code, leg.call.warn_agent, error.warning_text)))]
