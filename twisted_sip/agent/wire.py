"""Between the machines of a call and the element: sends what they make, with Contact, and hands in what comes.

RFC 3261 sections 8.1.1.8, 12.1 and 13.2.2.4; RFC 5626 section 4.3.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted_sip.agent.account import Account
from twisted_sip.agent.registered_way import leaves_by_registration
from twisted_sip.dialog.client_request import ClientRequest
from twisted_sip.dialog.dialog import TARGET_REFRESH
from twisted_sip.element.outgoing import Outgoing
from twisted_sip.element.straight import StraightUser
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.header_map import Lines
from twisted_sip.message.kept import Kept
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.route_set import next_hop
from twisted_sip.message.uri import SIPURI
from twisted_sip.transport.listener import bare, is_loopback, is_numeric

if TYPE_CHECKING:
    from twisted_sip.element.element import Element


class Wire:
    """How the messages of one call leave.

    :ivar account: who we are.
    :ivar anonymous: no message tells who we are.
    :ivar came_by: the flow by which its INVITE came, None for one of ours.
    :ivar contact: our Contact as it was told last, empty before.
    :ivar straight: the same where nothing stood between.
    :ivar outside: the flow for requests outside of dialogs, None to look for one.
    :ivar under_way: the requests that are on their way.
    :ivar hops: the Max-Forwards of the INVITE: a REFER goes no further, so that transfers from call to call end.
    """

    def __init__(
        self,
        element: Element,
        account: Account,
        flow: Flow | None = None,
        came_by: Flow | None = None,
        anonymous: bool = False,
        local: bool = False,
    ) -> None:
        """Make the wire of one call.

        :param flow: the flow by which its INVITE came straight from the peer; used for requests in the dialog where no
            Route tells the way: a NAT may stand in every other one.
        :param came_by: the flow by which its INVITE came, straight or not.
        :param local: it did not come by way of where we are registered: our Contact is an address, since the domain of
            a GRUU may lead nowhere there. For requests of ours that begin a dialog their way tells.
        """
        self.account = account
        self.anonymous = anonymous
        self.outside = None if account.registration is None else account.flow
        self.hops = 70
        self.contact = ""
        self._element = element
        self.straight = flow
        self.came_by = came_by or flow
        self._local = local
        # The flow by which an INVITE of ours left; it need not lead to the peer.
        self._left_by: Flow | None = None
        # The flow by which our Contact was told last, if it is the same each time.
        self._told_by: Flow | None = None
        self.under_way: dict[ClientRequest, _Carried] = {}

    def send(self, outgoing: ClientRequest) -> bool:
        """Send a request of a machine.

        :return: True if one client transaction decides.
        """
        request = outgoing.request
        if request.method == "REFER":
            request.headers.set("max-forwards", str(self.hops))
        secure = outgoing.secure
        flow: Flow | None
        if not outgoing.within and self.outside is None:
            flow = None
        else:
            flow = self._way_of(request, secure, within=outgoing.within)
        credentials = self.account.credentials
        sender = self._element.sender
        self.under_way[outgoing] = carried = _Carried(self, outgoing)
        simple = credentials is None and not secure and "route" not in request.headers.names
        try:
            if simple and sender.start_straight(request, carried, flow):
                return True
            carried.outgoing = sender.send(request, carried, flow=flow, credentials=credentials, secure_required=secure)
        except RemoteProtocolError as error:
            # It may not go there. Whoever sends it is not done with that yet.
            self._element.reactor.callLater(0, carried.failed, None, error.status, error.reason)
        return False

    def cancel(self, outgoing: ClientRequest, headers: Iterable[tuple[str, str]]) -> None:
        """Cancel an INVITE."""
        under_way = self.under_way.get(outgoing)
        if under_way is not None:
            under_way.cancel(headers)

    def send_ack(self, ack: Request, secure: bool) -> None:
        """Send the ACK for a 2xx."""
        flow = self._way_of(ack, secure, within=True)
        self._element.sender.send_ack(ack, flow=flow, secure_required=secure)

    def respond(self, incoming: Any, response: Response) -> None:
        """Answer *incoming*, an element's Incoming, with *response*, which may come again."""
        request = incoming.request
        if 100 < response.status < 300 and request.method in TARGET_REFRESH and "contact" not in response.headers.names:
            # One that is sent again has it.
            flow = incoming.flow
            if flow is not self._told_by:
                secure = request.uri_text[:5].lower() == "sips:" and flow.kind.secure
                account = self.account
                self.contact = account.contact(flow, secure=secure, anonymous=self.anonymous, local=self._local)
                if account.registration is None and not flow.kind.secure:
                    self._told_by = flow
            response.headers.add(_CONTACTS[self.contact])
        incoming.send(response)

    def put_contact(self, request: Request, flow: Flow, *, within: bool) -> None:
        """Put our Contact for *flow* into *request*, which refreshes the target.

        :param within: it is in a dialog.
        """
        secure = request.uri_text[:5].lower() == "sips:"
        headers = request.headers
        if "route" in headers.names:
            hop = next_hop(request)
            secure = secure or (isinstance(hop, SIPURI) and hop.secure)
        account = self.account
        if not within:
            self._local = account.registration is None or not leaves_by_registration(account, request, flow)
        contact = account.contact(flow, secure=secure, anonymous=self.anonymous, local=self._local)
        self.contact = contact
        self._told_by = None
        if "contact" in headers.names:
            headers.set("contact", f"<{contact}>")
        else:
            headers.add(_CONTACTS[contact])

    def local_host(self, peer: NameAddr) -> str:
        """Return the numeric address of ours by which messages to *peer* leave."""
        flow = self.came_by or self.outside
        if flow is not None:
            return flow.local.host
        best = self.account.registration.best if self.account.registration is not None else None
        if best is not None and best.flow is not None:
            return best.flow.local.host
        addresses = self._element.transports.addresses
        hops = [*self.account.route[:1], f"<{peer.uri_text}>"]
        for hop in hops:
            uri = NameAddr.parse(hop).uri
            if isinstance(uri, SIPURI) and is_numeric(uri.host):
                source = addresses.source(bare(uri.host))
                if source:
                    return source
        hosts = [listener.address.host for listener in addresses.all if not listener.wildcard]
        return next((host for host in hosts if not is_loopback(host)), hosts[0] if hosts else "127.0.0.1")

    def is_secure(self, peer: NameAddr) -> bool:
        """Tell whether messages to *peer* leave us encrypted, as far as that is known before they do."""
        flow = self.came_by or self.outside
        if flow is not None:
            return flow.kind.secure
        uri = NameAddr.parse(self.account.route[0]).uri if self.account.route else peer.uri
        if not isinstance(uri, SIPURI):
            return False
        return uri.secure or (uri.params.get("transport") or "").lower() in ("tls", "wss")

    def left_by(self, flow: Flow) -> None:
        """Our INVITE has left by *flow*: what the peer answers with may be reached by it alone."""
        self._left_by = flow

    def _way_of(self, request: Request, secure: bool, *, within: bool) -> Flow | None:
        """Return the flow that *request* must take, None where its URIs tell.

        :param within: it is in a dialog.
        """
        if not within:
            flow = self.outside
        elif "route" in request.headers.names:
            return None
        else:
            flow = self.way_within(request)
        if flow is None or not flow.open or (secure and not flow.kind.secure):
            return None
        return flow

    def way_within(self, request: Request) -> Flow | None:
        """Return the flow for a *request* in the dialog that has no Route; None where its URI tells."""
        left_by = self._left_by
        if self.straight is None and (left_by is None or not left_by.kind.stream):
            return None
        uri = request.uri
        host = bare(uri.host) if isinstance(uri, SIPURI) else ""
        flow = self.straight
        if flow is not None:
            if flow.kind.stream or not isinstance(uri, SIPURI):
                return flow
            # A datagram goes to the Contact, unless that says otherwise (RFC 5626 section 4.3) or is an address that
            # leads nowhere from here.
            return flow if "ob" in uri.params or (_is_inside(host) and not _is_inside(flow.remote.host)) else None
        return left_by if left_by is not None and left_by.kind.stream and host == left_by.remote.host else None


def _contact_lines(uri: str) -> Lines:
    return Lines.made([("contact", f"<{uri}>")])


#: Our Contacts -> the lines of them: they are few.
_CONTACTS: Kept[str, Lines] = Kept(_contact_lines, 1024)

#: What stands behind NATs (RFC 1918, RFC 6598, RFC 4193).
_INSIDE = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)


def _is_inside(host: str) -> bool:
    """Tell whether *host* is an address that is good within one network alone."""
    if not is_numeric(host):
        return False
    address = ipaddress.ip_address(host)
    return any(address in network for network in _INSIDE)


class _Carried(StraightUser):
    """A request of a machine on its way: the user of its client transaction, or of its Outgoing.

    :ivar outgoing: None where the way is straight.
    """

    __slots__ = ("_carries", "_wire", "outgoing")

    def __init__(self, wire: Wire, carries: ClientRequest) -> None:
        self.transaction = None
        self.cancelled = False
        self.outgoing: Outgoing | None = None
        self._wire = wire
        self._carries = carries

    def cancel(self, headers: Iterable[tuple[str, str]]) -> None:
        """Give it up (RFC 3261 section 9.1)."""
        if self.outgoing is not None:
            self.outgoing.cancel(headers)
        elif self.transaction is not None and not self.cancelled:
            self.sender.transactions.cancel(self.transaction, headers)
            self.cancelled = True

    def prepare(self, request: Request, flow: Flow) -> None:
        carries = self._carries
        if request.method in TARGET_REFRESH:
            within = carries.within
            self._wire.put_contact(request, flow, within=within)
            if not within and request.method == "INVITE":
                self._wire.left_by(flow)
        if request is not carries.request:
            carries.sent(request)

    def response_received(self, outgoing: Any, response: Response) -> None:
        transaction = self.transaction
        if transaction is not None and (response.status == 503 or self.sender.dead_targets.marks):
            self.note_answer(response)
        carries = self._carries
        if response.status >= 200:
            self._wire.under_way.pop(carries, None)
            if transaction is not None:
                self.transaction = None
                transaction.forget()
        carries.response_received(response)

    def failed(self, outgoing: Any, status: int, reason: str) -> None:
        self._wire.under_way.pop(self._carries, None)
        self._carries.failed(status)
