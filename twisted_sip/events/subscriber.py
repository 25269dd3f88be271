"""The subscriber of an element: makes subscriptions, and is the link of the chain for their NOTIFYs.

RFC 6665 section 4.1.

NOTIFYs that belong to nobody here are told 481 if they came to our Contact, else they are passed on. Put it before the
links that ask for credentials: what a notifier elsewhere proves is the Call-ID and the tag that we have made up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.logger import Logger
from zope.interface import implementer

from twisted_sip.dialog.dialogs import Dialogs
from twisted_sip.dialog.rates import Rates
from twisted_sip.dialog.subscriber import Notified, SubscriberSubscription
from twisted_sip.dialog.subscription_attempt import SubscriptionAttempt
from twisted_sip.dialog.subscription_terms import SubscriptionTerms
from twisted_sip.element.outgoing import Outgoing
from twisted_sip.element.sending import ClientCredentials
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError, RequestRefused
from twisted_sip.events.subscription import Subscription
from twisted_sip.interfaces.flow import Flow
from twisted_sip.interfaces.processing import TAKEN, IncomingRequest, IRequestProcessor, Verdict
from twisted_sip.interfaces.transport_kind import UDP
from twisted_sip.message.builders import build_request
from twisted_sip.message.event_fields import Event
from twisted_sip.message.message import Message
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.route_set import apply_route_set, next_hop, own_route_set
from twisted_sip.message.uri import SIPURI, URI

if TYPE_CHECKING:
    from twisted_sip.element.element import Element

_log = Logger()


@implementer(IRequestProcessor)
class Subscriber:
    """Makes subscriptions, each with its timers, and hands NOTIFYs to them.

    :ivar element: what it sends through.
    :ivar dialogs: the dialogs of the subscriptions, and of whoever shares the table.
    """

    def __init__(
        self,
        element: Element,
        *,
        dialogs: Dialogs | None = None,
        limit: int = 10_000,
        backlog: int = 64,
        contact_user: str = "",
    ) -> None:
        """Make a subscriber for *element*; put it into the element's chain.

        :param dialogs: a table to share.
        :param limit: the most subscriptions at a time.
        :param backlog: the most NOTIFYs of one subscription that wait for who iterates over it; more are told to come
            again later.
        :param contact_user: the user part of our Contacts; random unless given. What comes for it and belongs to no
            subscription is answered 481.
        """
        self.element = element
        self.dialogs = dialogs if dialogs is not None else Dialogs(2 * limit)
        self.limit = limit
        self.backlog = backlog
        self.contact_user = contact_user or element.random_text()
        self._subscriptions: set[Subscription] = set()
        self._ways: dict[Subscription, _Way] = {}
        self._by_tag: dict[tuple[str, str], Subscription] = {}

    # -- for the user -----------------------------------------------------------------

    def subscribe(
        self,
        uri: URI | str,
        event: Event | str,
        *,
        from_: NameAddr | str,
        expires: int = 3600,
        accept: Iterable[str] = (),
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        body_headers: Iterable[tuple[str, str]] = (),
        rates: Rates | None = None,
        etag: str = "",
        conditional: bool = False,
        on_notify: Callable[[Notified], object] | None = None,
        credentials: ClientCredentials | None = None,
        flow: Flow | None = None,
        route: Sequence[str] = (),
        contact: str = "",
        persistent: bool = False,
        forks: int = 1,
    ) -> Subscription:
        """Subscribe to *event* of *uri* (RFC 6665 section 4.1.2.1) and keep the subscription up until it is ended.

        :param event: event type with its parameters: ``presence``, ``dialog;id=1``.
        :param from_: who subscribes; a tag is added.
        :param expires: seconds; 0 fetches the state once (section 4.4.3).
        :param accept: media types; without any the package's default (section 3.1.3 of each).
        :param headers: header fields for every SUBSCRIBE, Supported above all.
        :param body: the body of the first SUBSCRIBE (a filter, a list), and *body_headers*, its Content-Type above all.
        :param rates: how often to be notified (RFC 6446).
        :param etag: the first NOTIFY has no body if the state still has this entity-tag (RFC 5839 sections 5.4, 5.5).
        :param conditional: refresh without a NOTIFY if the state has not changed (RFC 5839 section 5.6).
        :param on_notify: called with what each NOTIFY tells, before it is answered. If it raises RemoteProtocolError
            that is the answer. Without it, iterate over the subscription.
        :param credentials: answer challenges with these.
        :param flow: send over this flow while it is open.
        :param route: Route values for the first SUBSCRIBE: an outbound proxy.
        :param contact: our Contact URI; made of the flow that a SUBSCRIBE leaves by unless given.
        :param persistent: try again even if the first attempt fails, where there is hope (timeouts, 480, 5xx); else
            only what was established once is established again, as its end asks for (section 4.1.3).
        :param forks: how many notifiers may accept the SUBSCRIBE; the package says whether more than one may (section
            5.4.9). Each has its own dialog.
        :raises LocalProtocolError: a value that SIP does not allow, or as many subscriptions as there may be.
        """
        if len(self._subscriptions) >= self.limit:
            raise LocalProtocolError(f"there are {self.limit} subscriptions, as many as there may be")
        if expires < 0 or forks < 1:
            raise LocalProtocolError("expires must be 0 or more, forks 1 or more")
        fields = tuple(headers)
        accepted = ", ".join(accept)
        if accepted:
            fields = (("accept", accepted), *fields)
        terms = SubscriptionTerms(
            event=event if isinstance(event, Event) else _own_event(event),
            expires=expires,
            headers=fields,
            rates=rates or Rates(),
            conditional=conditional,
        )
        route = own_route_set(route)
        way = _Way(flow, credentials, contact, route)
        first = ("suppress-if-match", etag) if etag else None
        address = NameAddr.given(from_)
        extra = tuple(body_headers)

        def make(subscription: Subscription) -> Request:
            made = build_request(
                "SUBSCRIBE",
                uri,
                from_=address.with_("tag", self.element.random_text()),
                to=NameAddr.build(uri),
                call_id=self.element.random_text() + self.element.random_text(),
                cseq=1,
                headers=[
                    *subscription.terms.fields(subscription.terms.expires),
                    *((first,) if first and not subscription.established else ()),
                    *extra,
                ],
                body=body,
            )
            if route:
                apply_route_set(made, route, uri)
            return made

        subscription = Subscription(
            self, str(uri), terms, make, on_notify=on_notify, persistent=persistent, forks=forks, backlog=self.backlog
        )
        self._subscriptions.add(subscription)
        self._ways[subscription] = way
        try:
            subscription.begin()
        except Exception:
            self.ended(subscription, ("", ""))
            raise
        return subscription

    def fetch(self, uri: URI | str, event: Event | str, **how: Any) -> Deferred[Notified]:
        """Fetch the state once (RFC 6665 section 4.4.3).

        :param how: as the keyword arguments of :meth:`subscribe`, without expires, on_notify and forks.
        :return: fires with what the one NOTIFY tells; fails with RequestRefused if the SUBSCRIBE was refused (408 if no
            NOTIFY came).
        :raises LocalProtocolError: as :meth:`subscribe`.
        """

        def give_up(waiting: Deferred[Notified]) -> None:
            # Nobody has refused anything.
            waiting.errback(CancelledError())
            subscription.unsubscribe()

        result: Deferred[Notified] = Deferred(give_up)

        def told(notified: Notified) -> None:
            if not result.called:
                result.callback(notified)

        def over(_: None) -> None:
            if not result.called:
                status = subscription.status or 408
                result.errback(RequestRefused(f"{subscription.terms.event} of {uri} not told", status=status))

        subscription = self.subscribe(uri, event, expires=0, on_notify=told, **how)
        subscription.when_over().addCallback(over)
        return result

    def __len__(self) -> int:
        return len(self._subscriptions)

    @property
    def awaited(self) -> int:
        """How many Call-IDs there are with which NOTIFYs may come."""
        return len(self._by_tag)

    def stop(self) -> Deferred[None]:
        """End every subscription; fires with None when all are over."""
        ends: list[Deferred[Any]] = [subscription.unsubscribe() for subscription in list(self._subscriptions)]
        return DeferredList(ends, consumeErrors=True).addCallback(lambda _: None)

    # -- for subscriptions ---------------------------------------------------------------

    def remember(self, key: tuple[str, str], subscription: Subscription) -> None:
        """NOTIFYs with this Call-ID and To tag belong to *subscription*."""
        self._by_tag[key] = subscription

    def forget(self, key: tuple[str, str]) -> None:
        """NOTIFYs with this Call-ID and To tag belong to nobody."""
        self._by_tag.pop(key, None)

    def ended(self, subscription: Subscription, key: tuple[str, str]) -> None:
        """*subscription* is over."""
        self.forget(key)
        self._subscriptions.discard(subscription)
        self._ways.pop(subscription, None)

    def send(
        self, subscription: Subscription, machine: SubscriptionAttempt | SubscriberSubscription, request: Request
    ) -> None:
        """Send a SUBSCRIBE of *machine*, which is told the outcome."""
        way = self._ways[subscription]
        secure = isinstance(machine, SubscriberSubscription) and machine.dialog.secure
        self.element.sender.send(
            request,
            _InFlight(self, machine, way),
            flow=way.flow if way.flow is not None and way.flow.open else None,
            credentials=way.credentials,
            secure_required=secure,
        )

    # -- the chain ------------------------------------------------------------------------

    def process(self, incoming: IncomingRequest) -> Verdict:
        """Take a NOTIFY of one of our subscriptions; pass on what is none of ours."""
        request = incoming.request
        if request.method != "NOTIFY":
            return None
        try:
            key = (request.call_id, request.to.tag)
        except RemoteProtocolError:
            return None
        subscription = self._by_tag.get(key)
        if subscription is not None:
            subscription.notify_received(incoming)
        elif self._is_for_us(request):
            incoming.respond(481)
        else:
            return None
        return TAKEN

    def _is_for_us(self, request: Request) -> bool:
        try:
            uri = request.uri
        except RemoteProtocolError:
            return False
        return isinstance(uri, SIPURI) and uri.user == self.contact_user


class _Way:
    """How the SUBSCRIBEs of one subscription are sent."""

    __slots__ = ("contact", "credentials", "flow", "route")

    def __init__(
        self, flow: Flow | None, credentials: ClientCredentials | None, contact: str, route: tuple[str, ...]
    ) -> None:
        self.flow = flow
        self.credentials = credentials
        self.contact = contact
        self.route = route


class _InFlight:
    """A SUBSCRIBE on its way: the user of its Outgoing."""

    __slots__ = ("_machine", "_subscriber", "_way")

    def __init__(
        self, subscriber: Subscriber, machine: SubscriptionAttempt | SubscriberSubscription, way: _Way
    ) -> None:
        self._subscriber = subscriber
        self._machine = machine
        self._way = way

    def prepare(self, request: Request, flow: Flow) -> None:
        contact = self._way.contact or contact_uri(request, flow, self._subscriber.contact_user)
        request.headers.set("contact", f"<{contact}>")
        if isinstance(self._machine, SubscriptionAttempt):
            self._machine.sent(request)

    def response_received(self, outgoing: Outgoing, response: Response) -> None:
        if response.status < 200:
            return
        machine = self._machine
        if isinstance(machine, SubscriptionAttempt):
            machine.response_received(response)
            return
        dialog = machine.dialog
        try:
            dialog.response_received(response)
        except RemoteProtocolError as error:
            _log.debug("{reason} in the response to a SUBSCRIBE", reason=error.reason)
        machine.response_received(response)
        # Usages that share the dialog (RFC 5057 section 5.1); the machine has seen to itself.
        self._subscriber.dialogs.response_received(dialog.id, None, "SUBSCRIBE", response.status)

    def failed(self, outgoing: Outgoing, status: int, reason: str) -> None:
        machine = self._machine
        if not isinstance(machine, SubscriptionAttempt):
            dialog = machine.dialog
            dialog.local_cseq = max(dialog.local_cseq or 0, outgoing.request.cseq.number)
        machine.failed(status)


def contact_uri(request: Request, flow: Flow, user: str) -> str:
    """Return the Contact URI for a *request* that leaves by *flow* (RFC 3261 section 8.1.1.8).

    It is ``sips`` if the Request-URI or the topmost Route is; else it names the transport where that is not UDP.
    """
    hop = next_hop(request)
    secure = request.uri_text[:5].lower() == "sips:" or (isinstance(hop, SIPURI) and hop.secure)
    scheme = "sips" if secure else "sip"
    # RFC 3261 section 26.2.2: sips needs no transport=tls. A sip URI does, or the answer would come over UDP.
    transport = "" if secure or flow.kind is UDP else f";transport={flow.kind.parameter}"
    return f"{scheme}:{user}@{flow.sent_by}{transport}"


def can_subscribe(message: Message, package: str) -> bool | None:
    """Tell from a request or response of a peer whether it takes subscriptions to *package* (RFC 6665 section 4.1.1).

    Template packages are not told of by Allow-Events (section 4.4.4): what counts is the package that they are of.

    :return: None if that is not said.
    """
    headers = message.headers
    if "allow-events" in headers:
        return package.partition(".")[0] in headers.elements("allow-events")
    if "allow" in headers and "SUBSCRIBE" not in headers.elements("allow"):
        return False
    return None


def _own_event(text: str) -> Event:
    try:
        return Event.parse(text)
    except RemoteProtocolError as error:
        raise LocalProtocolError(error.reason) from error
