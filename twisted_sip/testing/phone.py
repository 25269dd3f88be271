"""A simulated phone: a real Element with its own transactions and sender on a node of the simulated network.

It registers and refreshes, answers challenges, calls and is called, hangs up, sends MESSAGE and OPTIONS, keeps its NAT
open, and remembers all outcomes, so that a test can compare them with what the other side saw. Use it as it is or
subclass it::

    network = Network(seed=7)
    server = SimulatedServer(network)
    alice = SimulatedPhone(network, network.node("198.51.100.1"), "alice", proxy=server.route())
    alice.registration.start(60)
    network.advance(1)
    call = alice.call("sip:bob@example.com")
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from twisted_sip.auth.client import DigestClient
from twisted_sip.element.element import Element
from twisted_sip.errors import TransportError
from twisted_sip.interfaces.destination import Destination
from twisted_sip.interfaces.flow import Address, Flow
from twisted_sip.interfaces.processing import TAKEN, IncomingRequest, IRequestProcessor, Verdict
from twisted_sip.interfaces.transport_kind import TRANSPORT_KINDS
from twisted_sip.message.builders import response_to
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI
from twisted_sip.testing.behaviour import Behaviour
from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.testing.network import Network
from twisted_sip.testing.node import Node
from twisted_sip.testing.phone_calls import IncomingCall, OutgoingCall
from twisted_sip.testing.phone_dialog import DialogID, PhoneDialog
from twisted_sip.testing.phone_registration import PhoneRegistration
from twisted_sip.testing.phone_request import Done, SentRequest
from twisted_sip.transaction.timers import Timer, TimerValues
from twisted_sip.transport.datagram import SIPDatagramProtocol
from twisted_sip.transport.resolver import Resolver
from twisted_sip.transport.settings import TLSSettings, TransportSettings

_ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE"


@implementer(IRequestProcessor)
class SimulatedPhone:
    """A phone.

    :ivar user: the user part of its address-of-record.
    :ivar aor: its address-of-record.
    :ivar element: its SIP element.
    :ivar registration: its registration.
    :ivar behaviour: what it does with calls; may be replaced at any time and counts for the next call.
    :ivar sent: every request it has sent outside of ACK and CANCEL, with its outcomes.
    :ivar calls: the calls it has made.
    :ivar incoming: the calls that came in.
    :ivar messages: (From URI, body) of each MESSAGE that came in.
    :ivar message_ids: the Call-ID of each of them.
    :ivar dialogs: the dialogs that go on.
    :ivar finals: (branch, method) of each request -> the final statuses that came for it, before its transaction took
        one and dropped the rest: a server that is not of two minds gives one, however often it repeats it.
    """

    def __init__(
        self,
        network: Network,
        node: Node,
        user: str,
        *,
        proxy: str,
        domain: str = "example.com",
        password: str = "",
        transport: str = "udp",
        port: int = 5060,
        instance: str = "",
        behaviour: Behaviour | None = None,
        timer_values: TimerValues | None = None,
        keep_alive: float = 0.0,
        tls: TLSSettings | None = None,
    ) -> None:
        """Switch the phone on; it is not registered yet.

        :param node: where it runs; several phones may share one, each with another *port*.
        :param proxy: the Route to its outbound proxy without brackets, as ``sip:192.0.2.1;transport=tcp;lr``.
        :param password: answers challenges of *domain*; empty for none.
        :param transport: ``udp``, ``tcp`` or ``tls``.
        :param instance: a UUID: register with Outbound (RFC 5626).
        :param keep_alive: seconds between two keep-alives to the proxy, 0 for none.
        :param tls: what it trusts and presents.
        """
        self.network = network
        self.node = node
        self.user = user
        self.domain = domain
        self.aor = f"sip:{user}@{domain}"
        self.behaviour = behaviour or Behaviour()
        self.chance: random.Random = network.random
        self.transport = transport
        self.sent: list[SentRequest] = []
        self.calls: list[OutgoingCall] = []
        self.incoming: list[IncomingCall] = []
        self.messages: list[tuple[str, bytes]] = []
        self.message_ids: set[str] = set()
        self.dialogs: dict[DialogID, PhoneDialog] = {}
        self.element = Element(
            node,
            chain=[self],
            resolver=Resolver(node, names=FakeDNS(), randbelow=network.random.randrange),
            random_bytes=network.random_bytes,
            timer_values=timer_values or TimerValues(),
            transport_settings=TransportSettings(tls=tls or TLSSettings()),
        )
        self.element.observe_flows(self._flow_closed)
        self.finals: dict[tuple[str, str], set[int]] = {}
        self.element.message_seen = self._seen
        self._proxy = proxy
        self._credentials = DigestClient(user, password, token=self.element.random_text) if password else None
        self._local = Address(node.hosts[0], port)
        if transport == "udp":
            protocol = SIPDatagramProtocol(self.element)
            node.listenUDP(port, protocol, interface=node.hosts[0], maxPacketSize=65535)
            self.contact_uri = f"sip:{user}@{self._local}"
        else:
            self.contact_uri = f"sip:{user}@{self._local};transport={transport}"
        if instance:
            self.contact_uri += ";ob"
        self.contact_params = f';+sip.instance="<urn:uuid:{instance}>";reg-id=1' if instance else ""
        self.contact = f"<{self.contact_uri}>"
        self.registration = PhoneRegistration(self)
        self._keep_alive = keep_alive
        self._keep_alive_timer: Timer | None = None
        if keep_alive:
            self._keep_alive_due()

    def __repr__(self) -> str:
        return f"<phone of {self.user} at {self._local}>"

    @property
    def alive(self) -> bool:
        """False once its node has crashed."""
        return self.node.alive

    def now(self) -> float:
        """Return the seconds of the simulation."""
        return self.node.seconds()

    def new_call_id(self) -> str:
        """Return a fresh Call-ID."""
        return f"{self.element.random_text()}@{self.node.hosts[0]}"

    # -- sending -----------------------------------------------------------------------

    def build(
        self,
        method: str,
        uri: str,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        to: str = "",
        call_id: str = "",
        cseq: int = 1,
    ) -> Request:
        """Return a request outside of dialogs, to be sent by way of the outbound proxy."""
        return Request(
            method,
            uri,
            [
                ("route", f"<{self._proxy}>"),
                ("max-forwards", "70"),
                ("from", f"<{self.aor}>;tag={self.element.random_text()}"),
                ("to", to or f"<{uri}>"),
                ("call-id", call_id or self.new_call_id()),
                ("cseq", f"{cseq} {method}"),
                *headers,
            ],
            body,
        )

    def send(self, request: Request, done: Done | None = None, *, accepted: Any = None) -> SentRequest:
        """Send *request*, challenges are answered.

        :param done: called once with the status of the outcome and the response, None where there was none.
        :param accepted: called with each 2xx to an INVITE.
        :return: the record of its outcomes, which is kept in :attr:`sent` too.
        """
        sent = SentRequest(request, self.now(), done, accepted)
        self.sent.append(sent)
        sent.outgoing = self.element.sender.send(request, sent, credentials=self._credentials)
        return sent

    def call(self, uri: str, behaviour: Behaviour | None = None) -> OutgoingCall:
        """Call *uri*; *behaviour* is that of this phone unless given."""
        call = OutgoingCall(self, uri, behaviour or self.behaviour)
        self.calls.append(call)
        return call

    def message(self, uri: str, text: str) -> SentRequest:
        """Send a MESSAGE (RFC 3428)."""
        return self.send(self.build("MESSAGE", uri, [("content-type", "text/plain")], text.encode()))

    def options(self, uri: str) -> SentRequest:
        """Send OPTIONS (RFC 3261 section 11)."""
        return self.send(self.build("OPTIONS", uri, [("accept", "application/sdp")]))

    def _seen(self, message: Request | Response, data: bytes, flow: Flow) -> None:
        if isinstance(message, Response) and message.status >= 200:
            key = (message.top_via.branch or "", message.cseq.method)
            self.finals.setdefault(key, set()).add(message.status)

    # -- receiving ------------------------------------------------------------------------

    def process(self, incoming: IncomingRequest) -> Verdict:
        """Deal with a request."""
        request = incoming.request
        method = request.method
        local_tag = request.to.tag
        if local_tag:
            dialog = self.dialogs.get((request.call_id, local_tag, request.from_.tag or ""))
            if method == "ACK":
                if dialog is not None and dialog.ack_received(request):
                    self._established(dialog)
            elif dialog is None:
                incoming.respond(481)
            else:
                dialog.request_received(incoming)
            return TAKEN
        if method == "ACK":
            return TAKEN
        if not self.is_for_us(request):
            return response_to(request, 404, to_tag=incoming.to_tag)
        if method == "INVITE":
            if incoming.claim_as_uas():
                self.incoming.append(IncomingCall(self, incoming, self.behaviour))
        elif method == "MESSAGE":
            if incoming.claim_as_uas():
                self.messages.append((str(request.from_.uri), request.body))
                self.message_ids.add(request.call_id)
                incoming.respond(200)
        elif method == "OPTIONS":
            incoming.respond(200, headers=[("allow", _ALLOW)])
        elif method in ("BYE", "CANCEL"):
            incoming.respond(481)
        else:
            incoming.respond(405, headers=[("allow", _ALLOW)])
        return TAKEN

    def is_for_us(self, request: Request) -> bool:
        """Tell whether the Request-URI is this phone's."""
        uri = request.uri
        return isinstance(uri, SIPURI) and uri.user == self.user

    def _established(self, dialog: PhoneDialog) -> None:
        for call in self.incoming:
            if call.dialog is dialog:
                call.established()

    def dialog_ended(self, dialog: PhoneDialog) -> None:
        """Forget *dialog*."""
        self.dialogs.pop(dialog.id, None)

    # -- the flow to the proxy --------------------------------------------------------------

    def _keep_alive_due(self) -> None:
        self._keep_alive_timer = self.element.timers.start(self._keep_alive, self._keep_alive_due)
        uri = SIPURI.parse(self._proxy)
        host = uri.host.strip("[]")
        kind = TRANSPORT_KINDS[self.transport.upper()]
        destination = Destination(kind, Address(host, uri.port or kind.default_port), host)
        flow: Any = (
            self.element.transports.connections.find(destination)
            if kind.stream
            else self.element.transports.flow_to(destination)
        )
        if flow is None or isinstance(flow, Deferred):
            return
        try:
            flow.send_keep_alive(b"\r\n\r\n")
        except TransportError:
            # The connection is going; the registration hears of it.
            return

    def _flow_closed(self, flow: Flow) -> None:
        self.registration.again(0.5 + self.chance.random())

    # -- the end -------------------------------------------------------------------------------

    def quiet(self) -> None:
        """Begin nothing new: refresh no more. What is under way takes its course, so keep-alives go on."""
        self.registration.stop()

    def disconnect(self) -> None:
        """Be quiet, close every connection and stop the keep-alives: for good."""
        self.quiet()
        if self._keep_alive_timer is not None:
            self._keep_alive_timer.cancel()
            self._keep_alive_timer = None
        for flow in self.element.transports.connections.flows():
            flow.abort()

    def leftovers(self) -> dict[str, int]:
        """Return what is still held, by name; empty once every deadline has passed."""
        return {name: count for name, count in leftovers(self.element).items() if count} | (
            {"dialogs": len(self.dialogs)} if self.dialogs else {}
        )


def leftovers(element: Element) -> dict[str, int]:
    """Return the sizes of all tables of *element* that must be empty when nothing goes on any more."""
    transports = element.transports
    element.dead_targets.expire()
    return {
        **element.transactions.counts(),
        "timers": element.timers.pending,
        "waiting requests": len(element.sender.waiting),
        "connections being opened": transports.connections.opening,
        "dead targets": len(element.dead_targets),
        "STUN requests": len(transports.stun_waiters),
    }
