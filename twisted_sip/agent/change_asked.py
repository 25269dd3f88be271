"""The server transaction of a re-INVITE: a CANCEL for it reaches the session (RFC 3261 sections 9.2 and 14.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted_sip.dialog.server_invite import ServerInvite
from twisted_sip.errors import TransportError
from twisted_sip.message.request import Request

if TYPE_CHECKING:
    from twisted_sip.element.element import Element


class ChangeAsked:
    """The user of the server transaction of one re-INVITE."""

    __slots__ = ("_element", "_invite")

    def __init__(self, element: Element, invite: ServerInvite) -> None:
        """Watch over the transaction of *invite*."""
        self._element = element
        self._invite = invite
        incoming: Any = invite.incoming
        incoming.start_transaction(self)

    def cancelled(self, transaction: Any, cancel: Request) -> None:
        """The peer gives up: 487, unless something is agreed already (RFC 6141 section 3.8)."""
        self._invite.cancelled(cancel)

    def ack_timed_out(self, transaction: Any) -> None:
        """Timer H: the refusal counts all the same (section 17.2.1)."""

    def transport_failed(self, transaction: Any, error: TransportError) -> None:
        """The connection is gone: look for another way back (section 18.2.2)."""
        self._element.find_way_back(transaction)
