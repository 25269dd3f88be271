"""Instant messages in pager mode: the service and its link of the chain (RFC 3428).

What becomes of a MESSAGE for one of our users (for a Contact, as in a dialog, it passes on, to the proxy):

- Section 7: a final response comes at once. A copy goes to every registered device at the same time, whatever the q of
  its contact (RFC 3261 section 16.6; section 6 of RFC 3428 lets a MESSAGE fork so that it gets to where the user might
  be). The first 2xx answers the sender; the others take their copies all the same, and there is no CANCEL for MESSAGE.
- Where no device answers 2xx, in time or at all, the message is kept and the answer is 202 (section 7: "a message
  relay, storing the message and forwarding it later on"). What a device refuses for good, and what the user refuses
  (6xx), is not kept: the sender gets to know (see outcome.py). Nor is what tells that somebody is typing, nor what has
  expired.
- Section 8: above 1300 bytes it is refused with 513 unless each hop, those that it has taken and those to every
  device, is known to control congestion.
- Unknown users: 404 for those who have proved to be ours. For strangers, whose messages are not kept unless that is
  set, who is unknown looks like who is not registered, 480, as it does when the proxy answers.
- A GRUU means one device (RFC 5627 section 6.1): a message for it goes there and nowhere else, and waits for it. One of
  a device that nobody knows is answered 404.

The sender is who admission has found it to be; an asserted identity is not believed. Nobody else speaks as one of our
users: a From in one of our domains, whatever its scheme, that nobody has proved is refused with 403, so what hooks see
and what is kept is the sender, or one of another domain who has proved nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from inspect import isawaitable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock, succeed
from zope.interface import implementer

from twisted_sip.element.element import Element
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError, SIPError, TransactionTimeout
from twisted_sip.interfaces.location import Binding, ILocationStore
from twisted_sip.interfaces.message_store import IMessageStore, StoredMessage
from twisted_sip.interfaces.processing import TAKEN, IncomingRequest, Verdict
from twisted_sip.interfaces.routing import IForwardingPolicy, Target
from twisted_sip.interfaces.services import IMessagingService
from twisted_sip.message.builders import build_request, response_to
from twisted_sip.message.dates import SIPDate
from twisted_sip.message.gruu import gruu_instance, instance_key
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, URI, parse_uri
from twisted_sip.messaging.content import content_of
from twisted_sip.messaging.copies import kept_message, request_for
from twisted_sip.messaging.delivery import OfflineDelivery
from twisted_sip.messaging.devices import Device, Devices, came_safely
from twisted_sip.messaging.instances import KnownInstances
from twisted_sip.messaging.relay import Relay
from twisted_sip.messaging.sender import claims_ours, sender_of
from twisted_sip.messaging.settings import MessagingSettings

#: The Max-Breadth of requests that bring none (RFC 5393 section 5.3.3.1).
_BREADTH = 60
#: How many messages of programs may wait for their turn, for one URI.
_MOST_WAITING = 100


@implementer(IMessagingService)
class MessagingService(Service):
    """Takes messages to the devices of our users, and keeps them for those who are away.

    A link of the chain behind admission and before the proxy. Subclass it to decide otherwise; run it as a service (or
    call startService), or what is kept is not delivered.

    :ivar settings: the current settings; may be replaced at any time.
    :ivar authenticated: local users have to prove who they are before a request comes here; may change.
    :ivar messages: the store.
    :ivar devices: finds devices.
    :ivar policies: have the last word on each copy and response.
    :ivar delivery: delivers what was kept.
    :ivar instances: knows the instances of our users.
    """

    name = "messaging"

    def __init__(
        self,
        element: Element,
        location: ILocationStore,
        messages: IMessageStore,
        target_of: Callable[[Binding], Target],
        *,
        settings: MessagingSettings | None = None,
        user_known: Callable[[str], bool | Deferred[bool]] | None = None,
        authenticated: bool = True,
        policies: Sequence[IForwardingPolicy] = (),
    ) -> None:
        """Make a service.

        :param target_of: makes a target of a binding: its flow, its Path (LocationRouter.target_of).
        :param user_known: tells whether there is a user with this address-of-record; None knows everybody.
        :param authenticated: local users have to prove who they are before a request comes here; False on trusted
            networks, where From is believed.
        :raises LocalProtocolError: ``answer_within`` is longer than senders wait.
        """
        self.element = element
        self.settings = settings or MessagingSettings()
        if self.settings.answer_within >= element.timer_values.timeout:
            limit = element.timer_values.timeout
            raise LocalProtocolError(f"answer_within: {self.settings.answer_within} s, senders wait {limit} s")
        self.messages = messages
        self.devices = Devices(location, target_of, element.domains.is_local_uri)
        self.policies = list(policies)
        self._user_known = user_known
        self.authenticated = authenticated
        self._turns: dict[str, DeferredLock] = {}
        self.delivery = OfflineDelivery(self)
        self.instances = KnownInstances(element.reactor, location, messages, lambda: self.settings.lifetime)

    # -- hooks -----------------------------------------------------------------------

    def recipient_of(self, incoming: IncomingRequest) -> str:
        """Return the address-of-record that a MESSAGE is for, or an empty text to pass it on.

        Default: that of a Request-URI of ours, with a To tag too: in a dialog it would be a Contact (RFC 3261 section
        12.2.1.1), which is no address-of-record. What has a Route to follow passes on, and so does what is for a GRUU
        in a dialog that goes through this server.
        """
        request = incoming.request
        uri = request.uri
        if (
            not isinstance(uri, SIPURI)
            or not uri.user
            or not self.element.domains.is_local_uri(uri)
            or "route" in request.headers.names
            or ("gr" in uri.params and any(route.user for route in incoming.own_routes))
        ):
            return ""
        return uri.address_of_record

    def accept(self, sender: str, recipient: str, message: Request) -> bool | Deferred[bool] | Awaitable[bool]:
        """Tell whether *sender* may write to *recipient*; False answers 403. Default: yes.

        :param sender: a canonical URI: of one of our users who has proved to be it, or of somebody in another domain
            who has proved nothing.
        """
        return True

    def deliver(self, message: Request, incoming: IncomingRequest) -> bool | Deferred[bool] | Awaitable[bool]:
        """Take a message in place of the devices, as a program that answers does; True answers 200, and that is all.

        Default: no.
        """
        return False

    def store(
        self, message: StoredMessage
    ) -> StoredMessage | Deferred[StoredMessage | None] | Awaitable[StoredMessage | None] | None:
        """Return *message*, which no device took, or what to keep in its place (for how long, say), or None not to keep
        it. Default: it is kept."""
        return message

    def user_known(self, aor: str) -> bool | Deferred[bool] | Awaitable[bool]:
        """Tell whether there is such a user. Default: what was given to the constructor says."""
        return True if self._user_known is None else self._user_known(aor)

    # -- life --------------------------------------------------------------------------

    def startService(self) -> None:
        """Begin to deliver what was kept."""
        super().startService()  # type: ignore[no-untyped-call]
        self.instances.start()
        self.delivery.start()

    def stopService(self) -> Deferred[None] | None:
        """Deliver no more of what was kept."""
        self.delivery.stop()
        self.instances.stop()
        super().stopService()  # type: ignore[no-untyped-call]
        return None

    # -- the chain ----------------------------------------------------------------------

    def process(self, incoming: IncomingRequest) -> Verdict | Deferred[Verdict]:
        """Take a MESSAGE for one of our users, pass everything else on.

        :raises RemoteProtocolError: a header field is malformed.
        """
        if incoming.request.method != "MESSAGE" or not incoming.admitted or not self.settings.enabled:
            return None
        recipient = self.recipient_of(incoming)
        if not recipient:
            return None
        return Deferred.fromCoroutine(self._take(incoming, recipient))

    async def _take(self, incoming: IncomingRequest, recipient: str) -> Verdict:
        request = incoming.request
        if request.max_forwards == 0:
            return response_to(request, 483, to_tag=incoming.to_tag)
        required = request.headers.elements("proxy-require")
        if required:
            # RFC 3261 section 16.3 step 5.
            return response_to(request, 420, "", [("unsupported", ", ".join(required))], to_tag=incoming.to_tag)
        suffix = self._loop_suffix(request)
        if self._is_loop(request, suffix):
            return response_to(request, 482, "Loop Detected", to_tag=incoming.to_tag)
        uri = request.uri
        instance = _instance_of(uri)
        if not instance and isinstance(uri, SIPURI) and "gr" in uri.params:
            recipient, instance = await self._temporary(uri)
            if not instance:
                # RFC 5627 section 6.1: none that this server has made, or it has ended.
                return response_to(request, 404, to_tag=incoming.to_tag)
        sender = sender_of(incoming, self.element.domains, self.authenticated)
        if not await _settled(self.accept(sender, recipient, request)):
            return response_to(request, 403, to_tag=incoming.to_tag)
        if await _settled(self.deliver(request, incoming)):
            return response_to(request, 200, to_tag=incoming.to_tag)
        # Read now, so that a fault in it is answered 400 whatever becomes of the message.
        _ = request.expires
        breadth: int | None = request.typed("max-breadth")
        if breadth == 0:
            # RFC 5393 section 5.3.3.
            return response_to(request, 440, to_tag=incoming.to_tag)
        stranger = not incoming.user and not claims_ours(request.from_.uri, self.element.domains)
        relay = Relay(self, request, recipient, sender, incoming, stranger=stranger, instance=instance)
        refusal = await self._start(relay, _BREADTH if breadth is None else min(_BREADTH, breadth), suffix)
        return TAKEN if refusal is None else response_to(request, refusal, to_tag=incoming.to_tag)

    async def _temporary(self, uri: SIPURI) -> tuple[str, str]:
        """Return the user and the instance key of the device that *uri* is a temporary GRUU of, empty if it is none."""
        gruus = self.element.temporary_gruus
        aor, series = gruus.read(uri) or ("", "")
        found: Sequence[Binding] = await _settled(self.devices.location.lookup(aor)) if aor else ()
        return next(((aor, instance_key(each.instance)) for each in found if gruus.belongs(each, series)), ("", ""))

    async def _start(self, relay: Relay, breadth: int, suffix: str) -> int | None:
        """Send the message of *relay* to the devices; return a status that refuses it instead."""
        request, recipient = relay.request, relay.recipient
        most = min(self.settings.max_devices, breadth)
        secure = request.uri_text[:5].lower() == "sips:"
        devices = await self.devices.of(recipient, secure=secure, instance=relay.instance, most=most)
        if relay.instance and not devices and not await self.instances.known(recipient, relay.instance):
            # RFC 5627 section 6.1: no GRUU that is valid.
            return 404
        if not self._fits(request, devices):
            if relay.incoming is not None:
                relay.incoming.note("messaging", "513: too large for the way to {0}", "messaging.size_limit", recipient)
            return 513
        composing = content_of(request.headers.first("content-type"), request.body).composing
        last = bool(devices) and not composing and await self.delivery.comes_first(recipient)
        relay.start(devices, breadth, suffix, last=last)
        return None

    def _fits(self, request: Request, devices: Sequence[Device]) -> bool:
        """Tell whether *request* may go on at its size (RFC 3428 section 8)."""
        if len(request.to_bytes()) <= self.settings.size_limit:
            return True
        return came_safely(request) and bool(devices) and all(device.congestion_safe for device in devices)

    def size_of(self, message: StoredMessage) -> int:
        """Return the bytes of the request that takes *message* to a device, but for its Via."""
        return len(request_for(message, Target(uri=parse_uri(message.recipient))).to_bytes())

    def _loop_suffix(self, request: Request) -> str:
        """Return what ends the branches of *request*: a hash of all that its way depends on (RFC 5393 section 4.2)."""
        texts = (request.uri_text, request.call_id, request.from_.tag, str(request.cseq.number), "MESSAGE")
        digest = hashlib.blake2s("\n".join(texts).encode("utf-8", "surrogateescape"), digest_size=6)
        return f"-{digest.hexdigest()}"

    def _is_loop(self, request: Request, suffix: str) -> bool:
        vias = request.vias
        is_local = self.element.domains.is_local
        return len(vias) > 1 and any(via.branch.endswith(suffix) and is_local(via.host, via.port) for via in vias)

    # -- what is kept ------------------------------------------------------------------------

    async def message_to_keep(self, relay: Relay) -> StoredMessage | Response | None:
        """Return the message of *relay* as it is to be kept, or the answer that says why not, or None."""
        request, settings = relay.request, self.settings
        if not settings.store or (relay.stranger and not settings.store_for_strangers):
            return None
        if content_of(request.headers.first("content-type"), request.body).composing:
            # RFC 3994: worth something now or never.
            return None
        if not await _settled(self.user_known(relay.recipient)):
            tag = self.element.random_text() if relay.incoming is None else relay.incoming.to_tag
            return response_to(request, 404, to_tag=tag)
        instance, limits = relay.instance, (settings.lifetime, settings.max_lifetime)
        if instance and request.to.tag:
            # In a dialog of that device: nothing for it once that is over.
            return None
        now = self.element.timers.now()
        message = kept_message(request, relay.recipient, relay.sender, now, *limits, instance)
        kept: StoredMessage | None = None if message is None else await _settled(self.store(message))
        return kept

    # -- for programs ------------------------------------------------------------------------

    def send(
        self,
        from_: str,
        to: str,
        text: str | bytes,
        *,
        content_type: str = "text/plain",
        expires: int | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> Deferred[Response]:
        """Send a message from a program on this server, to our users the way that all messages go.

        Messages for one URI go one after the other (RFC 3428 section 8).

        :param from_: a URI, or a name and a URI as in From.
        :param to: a URI, as for *from_*.
        :param text: the body.
        :param expires: seconds after which it is of no use any more.
        :param headers: further header fields.
        :return: fires with the final response: 200 where a device took it, 202 where it is kept; 408 or 503 where there
            was none.
        :raises LocalProtocolError: a URI is malformed, or a value cannot be sent.
        """
        if expires is not None and not 0 <= expires < 1 << 32:
            raise LocalProtocolError(f"expires: {expires} s, not 0 to 2**32 - 1")
        try:
            sender, recipient = _named(from_), _named(to)
            uri = recipient.uri
            given = sender.uri
        except RemoteProtocolError as error:
            raise LocalProtocolError(error.reason) from error
        text_of = self.element.random_text
        now = self.element.timers.now()
        request = build_request(
            "MESSAGE",
            uri,
            from_=NameAddr.build(given, sender.display_name).with_("tag", text_of()),
            to=NameAddr.build(uri, recipient.display_name),
            call_id=text_of(),
            cseq=1,
            headers=[
                ("date", str(SIPDate(now))),
                *([] if expires is None else [("expires", str(expires))]),
                ("content-type", content_type),
                *headers,
            ],
            body=text.encode() if isinstance(text, str) else text,
        )
        key = uri.address_of_record if isinstance(uri, SIPURI) else str(uri)
        turn = self._turns.setdefault(key, DeferredLock())
        if len(turn.waiting) >= _MOST_WAITING:
            return succeed(response_to(request, 503, to_tag=text_of()))
        author = given.address_of_record if isinstance(given, SIPURI) else str(given)
        return Deferred.fromCoroutine(self._send_in_turn(turn, key, request, author))

    async def _send_in_turn(self, turn: DeferredLock, key: str, request: Request, sender: str) -> Response:
        await turn.acquire()
        try:
            return await self._send(request, sender)
        except SIPError as error:
            status = error.status if isinstance(error, RemoteProtocolError) else 503
            return response_to(request, 408 if isinstance(error, TransactionTimeout) else status)
        finally:
            turn.release()
            if not turn.locked and not turn.waiting:
                self._turns.pop(key, None)

    async def _send(self, request: Request, sender: str) -> Response:
        uri = request.uri
        if not (isinstance(uri, SIPURI) and uri.user and self.element.domains.is_local_uri(uri)):
            return await self.element.sender.request(request)
        answered: Deferred[Response] = Deferred()
        instance = _instance_of(uri)
        relay = Relay(self, request, uri.address_of_record, sender, None, answered.callback, instance=instance)
        refusal = await self._start(relay, _BREADTH, self._loop_suffix(request))
        if refusal is not None:
            return response_to(request, refusal, to_tag=self.element.random_text())
        return await answered


def _named(text: str) -> NameAddr:
    """Return *text*, a URI, or a name and a URI; parameters of a URI that stands alone are its own."""
    return NameAddr.parse(text if "<" in text else f"<{text.strip()}>")


def _instance_of(uri: URI) -> str:
    """Return the key of the instance that *uri* names as a GRUU, an empty text where it is none (RFC 5627)."""
    return (gruu_instance(uri) or "") if isinstance(uri, SIPURI) and "gr" in uri.params else ""


async def _settled(value: Any) -> Any:
    return await value if isawaitable(value) else value
