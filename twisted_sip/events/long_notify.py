"""NOTIFYs that are long for a datagram (RFC 3261 section 18.1.1).

Beyond the size that fits a packet, a request goes over a connection. What came by UDP from the very address of its
Contact has no NAT between: the Contact is tried by TCP, and where nobody answers there, the flow of the SUBSCRIBE has
to do, from then on without asking. Behind a NAT that flow is the only way to the watcher, so it is taken whatever the
size: a deviation. What is longer than any datagram needs a connection; without one the subscription ends, for there is
no state that could be told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from twisted.logger import Logger

from twisted_sip.dialog.notifier import AT_ONCE
from twisted_sip.element.destination_walk import wire_size
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.flow import Address, Flow
from twisted_sip.interfaces.transport_kind import TCP, UDP
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI

if TYPE_CHECKING:
    from twisted_sip.element.request_sender import RequestSender
    from twisted_sip.events.delivery import Delivery
    from twisted_sip.events.hosted import HostedSubscription

_log = Logger()

#: The most bytes that are sent as a datagram; IPv4 and IPv6 have room for some 65,500.
LONGEST_DATAGRAM: Final = 64_000
#: NOTIFYs whose bodies have no more bytes than this are never long.
SMALL_BODY: Final = 500
#: What a request gains on its way out: Via and Contact.
_ROOM: Final = 300
#: Seconds after which a watcher may try again that could not be told.
_RETRY_AFTER: Final = 3600

#: What is noted of the NOTIFY under way: nothing; that it tries a connection; that no datagram has room for it; that it
#: is the last one.
ORDINARY: Final = 0
CONNECTS: Final = 1
TOO_LONG: Final = 2
LAST: Final = 4


def way_of(
    sender: RequestSender, request: Request, subscription: HostedSubscription, way: Flow | None
) -> tuple[Flow | None, SIPURI | None] | None:
    """Return by which flow and to which URI *request* is to be sent, None if there is no way for it.

    None in the place of the flow or the URI says that there is nothing special about it.

    :param request: a NOTIFY, without Via and Contact; *subscription* has a note of what it is afterwards.
    :param way: the flow by which the SUBSCRIBE came, None where that is not to be used.
    """
    size = wire_size(request) + _ROOM
    if size <= sender.settings.datagram_limit or (way is not None and way.kind is not UDP):
        return way, None
    too_long = size > LONGEST_DATAGRAM
    if subscription.closed:
        subscription.noted = LAST
    if too_long:
        subscription.noted |= TOO_LONG
    if subscription.dialog.route_set:
        return way, None
    try:
        contact = SIPURI.parse(subscription.dialog.remote_target)
    except RemoteProtocolError:
        return None if too_long else (way, None)
    if too_long:
        if contact.transport == "udp" or subscription.no_connection == subscription.dialog.remote_target:
            return None
    elif way is None or not _is_direct(contact, way) or _is_known_to_refuse(sender, subscription, way):
        # Without a flow the sender goes by the size itself.
        return way, None
    if contact.transport or contact.secure:
        return None, None
    subscription.noted |= CONNECTS
    return None, contact.replace(params=(*contact.params.items(), ("transport", "tcp")))


def _is_direct(contact: SIPURI, way: Flow) -> bool:
    """Tell whether *contact*, which leaves the transport open, is where the SUBSCRIBE came from."""
    host = contact.host.strip("[]").lower()
    remote = Address(host, contact.port or 5060)
    return not contact.transport and not contact.secure and "maddr" not in contact.params and way.remote == remote


def _is_known_to_refuse(sender: RequestSender, subscription: HostedSubscription, way: Flow) -> bool:
    target = subscription.dialog.remote_target
    return subscription.no_connection == target or sender.dead_targets.suspected(TCP, way.remote)


def failed(delivery: Delivery, subscription: HostedSubscription, *, way_failed: bool) -> bool:
    """The NOTIFY of *subscription*, of which something is noted, was not answered; return True if that was all.

    :param way_failed: it could not be sent.
    """
    noted, subscription.noted = subscription.noted, ORDINARY
    if subscription.closed and not noted & LAST:
        # The dialog has gone meanwhile.
        return False
    if noted & CONNECTS:
        subscription.no_connection = subscription.dialog.remote_target
        if not noted & TOO_LONG:
            # "should retry the request, using UDP" (section 18.1.1): by the way by which the watcher asked.
            again(delivery, subscription)
            return True
    if noted & TOO_LONG and way_failed:
        too_long(delivery, subscription)
        return True
    return False


def again(delivery: Delivery, subscription: HostedSubscription) -> None:
    """Tell the watcher at once what it has not been told; it may be the last NOTIFY, which has not arrived yet."""
    subscription.busy = subscription.closed = False
    subscription.hosted.full_state_due(subscription)
    delivery.owe(subscription, AT_ONCE)


def too_long(delivery: Delivery, subscription: HostedSubscription) -> None:
    """There is no way for the NOTIFY of *subscription*: end it, without a body, and say so."""
    _log.warn(
        "{watcher} is not told {event} of {resource}: too long for a datagram, and there is no connection",
        watcher=subscription.watcher,
        event=subscription.event,
        resource=subscription.resource,
        id=subscription.id,
    )
    subscription.noted = ORDINARY
    subscription.untold = True
    subscription.end("probation", _RETRY_AFTER)
    delivery.ended(subscription)
    again(delivery, subscription)
