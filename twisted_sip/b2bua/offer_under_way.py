"""An offer on its way from one leg to the other, until it is answered (RFC 3264 section 4)."""

from __future__ import annotations

from twisted_sip.b2bua.responders import InviteResponder, Responder
from twisted_sip.dialog.session_terms import SessionBody


class Exchange:
    """An offer under way.

    :ivar side: where it has come from, or where the INVITE has come from that asks for one.
    :ivar offer: as it came; None where one was asked for and is not there yet.
    :ivar sent: as it went to the other side.
    :ivar in_response: it went in a response of ours.
    :ivar again: it met with a glare, and is to be sent again.
    """

    __slots__ = ("again", "in_response", "late", "offer", "responder", "sent", "side")

    def __init__(self, side: int, offer: SessionBody | None, responder: Responder) -> None:
        self.side = side
        self.offer = offer
        self.responder = responder
        self.sent: SessionBody | None = None
        self.in_response = False
        self.again = False
        self.late: InviteResponder | None = None
