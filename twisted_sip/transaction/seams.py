"""Who uses transactions: the transaction users (RFC 3261 section 5) of single transactions and of the layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from twisted_sip.errors import TransportError
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

if TYPE_CHECKING:
    from twisted_sip.transaction.client import ClientTransaction
    from twisted_sip.transaction.server import ServerTransaction


class ClientUser(Protocol):
    """The user of a client transaction. The state has changed already when a method is called."""

    def response_received(self, transaction: ClientTransaction, response: Response) -> None:
        """Every provisional response, then one final one; for INVITE every 2xx (RFC 6026 section 7.2)."""

    def timed_out(self, transaction: ClientTransaction) -> None:
        """Timer B or F fired, or an INVITE got no final response after its provisional ones or after its CANCEL.

        No other method is called after this one.
        """

    def transport_failed(self, transaction: ClientTransaction, error: TransportError) -> None:
        """The request could not be sent; never called from within ``start_client``.

        Where ``transaction.response`` is a final one it was the ACK that could not be sent (figure 5 of RFC 6026), and
        nothing needs to be done. No other method is called after this one.
        """


class ServerUser(Protocol):
    """The user of a server transaction."""

    def cancelled(self, transaction: ServerTransaction, cancel: Request) -> None:
        """A CANCEL came for this INVITE before its final response; the CANCEL itself is answered (section 9.2)."""

    def ack_timed_out(self, transaction: ServerTransaction) -> None:
        """Timer H fired: no ACK came for the final response (section 17.2.1)."""

    def transport_failed(self, transaction: ServerTransaction, error: TransportError) -> None:
        """The last response could not be sent. ``transaction.reroute(flow)`` sends it another way (section 18.2.2)."""


class LayerUser(Protocol):
    """The user of the layer: gets what no transaction wants."""

    def request_received(self, request: Request, flow: Flow) -> None:
        """A new request, neither ACK nor CANCEL. No server transaction was made for it."""

    def ack_received(self, request: Request, flow: Flow) -> None:
        """An ACK for a 2xx, or one that belongs to nothing."""

    def cancel_unmatched(self, request: Request, flow: Flow) -> None:
        """A CANCEL that matches no transaction (481, section 9.2)."""

    def stray_response(self, response: Response, flow: Flow) -> None:
        """A response that matches no client transaction; must not be forwarded (RFC 6026 section 7.3)."""


class Nobody:
    """A user who does not care."""

    __slots__ = ()

    def response_received(self, transaction: ClientTransaction, response: Response) -> None:
        """Nothing to do."""

    def timed_out(self, transaction: ClientTransaction) -> None:
        """Nothing to do."""

    def cancelled(self, transaction: ServerTransaction, cancel: Request) -> None:
        """Nothing to do."""

    def ack_timed_out(self, transaction: ServerTransaction) -> None:
        """Nothing to do."""

    def transport_failed(self, transaction: ClientTransaction | ServerTransaction, error: TransportError) -> None:
        """Nothing to do."""


NOBODY = Nobody()
