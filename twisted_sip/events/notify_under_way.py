"""A NOTIFY on its way to its watcher (RFC 6665 section 4.2.2).

Most go over the flow by which the SUBSCRIBE came, or to an address: the straight way (element.straight). What walks
from server to server is for the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_sip.element.straight import StraightUser
from twisted_sip.errors import TransportError
from twisted_sip.events.long_notify import ORDINARY, SMALL_BODY, way_of
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.transaction.client import ClientTransaction

if TYPE_CHECKING:
    from twisted_sip.element.request_sender import RequestSender
    from twisted_sip.events.hosted import HostedSubscription


def send_notify(sender: RequestSender, request: Request, subscription: HostedSubscription, way: Flow | None) -> bool:
    """Send *request*, a NOTIFY of *subscription*, which is told how that ended, never from within this call.

    :param way: the flow to send it over, None to go where its URIs lead.
    :return: False if nothing was done, for it is too long for the only way that there is.
    :raises SIPError: it cannot be sent at all.
    """
    uri = None
    subscription.noted = ORDINARY
    if len(request.body) > SMALL_BODY:
        found = way_of(sender, request, subscription, way)
        if found is None:
            return False
        way, uri = found
    if uri is None and not subscription.dialog.route_set:
        user = _NotifyUnderWay(subscription)
        if sender.start_straight(request, user, way):
            if not subscription.heard and subscription.unheard and user.transaction is not None:
                user.transaction.once = True
            return True
    outgoing = sender.send(request, subscription, flow=way, uri=uri)
    if subscription.unheard:
        outgoing.send_once()
    return True


class _NotifyUnderWay(StraightUser):
    """One that goes the straight way."""

    __slots__ = ("_subscription",)

    def __init__(self, subscription: HostedSubscription) -> None:
        self.cancelled = False
        self._subscription = subscription

    def prepare(self, request: Request, flow: Flow) -> None:
        # As HostedSubscription.prepare.
        subscription = self._subscription
        headers = request.headers
        headers.names.append("contact")
        headers.lines.append(subscription.delivery.contact_line(flow, subscription.dialog.secure))

    def response_received(self, outgoing: ClientTransaction, response: Response) -> None:
        if response.status >= 200:
            if response.status == 503 or self.sender.dead_targets.marks:
                self.note_answer(response)
            outgoing.forget()
            subscription = self._subscription
            subscription.heard = True
            subscription.delivery.answered(subscription, response)

    def failed(self, outgoing: None, status: int, reason: str) -> None:
        self._failed(status, way_failed=False)

    def transport_failed(self, transaction: ClientTransaction, error: TransportError) -> None:
        self._suspect(transaction)
        self._failed(503, way_failed=True)

    def _failed(self, status: int, *, way_failed: bool) -> None:
        self._subscription.delivery.failed(self._subscription, status, way_failed=way_failed)
