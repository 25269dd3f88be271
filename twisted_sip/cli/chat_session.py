"""A chat between two: the user agent behind ``twisted-sip chat``, without the terminal.

It registers, takes MESSAGE and answers it, and sends one MESSAGE at a time, in order (RFC 3428 section 8). Texts ask
for notifications of their delivery and display, and what asks for some gets them (RFC 5438). A peer that knows no CPIM
(415) is written to in bare text from then on.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Protocol

import attrs
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from twisted_sip import __version__
from twisted_sip.auth.client import DigestClient
from twisted_sip.cli.chat_messages import (
    ACCEPT,
    Body,
    Received,
    composing_body,
    enveloped,
    notification_body,
    read,
    text_body,
)
from twisted_sip.cli.chat_registration import ChatRegistration
from twisted_sip.cli.chat_typing import Composer, PeerComposing
from twisted_sip.cli.client import ClientOptions, too_late
from twisted_sip.documents.imdn import Category
from twisted_sip.documents.iscomposing import IsComposing
from twisted_sip.element.element import Element
from twisted_sip.errors import LocalProtocolError, SIPError
from twisted_sip.interfaces.processing import TAKEN, IncomingRequest, IRequestProcessor, Verdict
from twisted_sip.message.builders import build_request, response_to
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.route_set import apply_route_set
from twisted_sip.message.uri import SIPURI, URI

#: Messages that may wait for their turn.
_MOST_WAITING = 100
#: Lines of ours whose marks are minded, and messages that are known when they come again.
_MOST_KNOWN = 500
#: Bytes of a MESSAGE where not every hop is known to control congestion (RFC 3428 section 8), and what is left of them
#: for Via and credentials.
_LARGEST, _SPARE = 1300, 400

_METHODS = ("MESSAGE", "OPTIONS", "CANCEL", "ACK")


@attrs.define(slots=True, eq=False)
class Line:
    """A line of ours and what has become of it.

    :ivar text: the text.
    :ivar at: when it was written, seconds since the epoch.
    :ivar id: its Message-ID.
    :ivar mark: ``sending``, ``sent`` (a device or the server has it), ``stored`` (it is kept for the peer),
        ``delivered``, ``displayed`` or ``failed``.
    :ivar reason: why it failed.
    """

    text: str
    at: float
    id: str
    mark: str = "sending"
    reason: str = ""


#: From the least to the most; nothing goes back, but to failed.
_MARKS = ("sending", "sent", "stored", "delivered", "displayed")


class ChatView(Protocol):
    """Shows a chat."""

    def heard(self, sender: str, text: str, at: float) -> None:
        """A message has come. *sender* is an address-of-record without scheme, *at* seconds since the epoch."""

    def said(self, line: Line) -> None:
        """*line* is ours, and about to be sent."""

    def marked(self, line: Line) -> None:
        """The mark of *line* has changed."""

    def typing(self, active: bool) -> None:
        """The peer has begun to type, or does no longer."""

    def notice(self, text: str) -> None:
        """Something else that people want to know."""


@attrs.frozen(slots=True)
class _Waiting:
    """A MESSAGE that waits for its turn."""

    target: URI
    body: Body
    answered: Callable[[Response | SIPError], None]
    passing: bool = False


@implementer(IRequestProcessor)
class ChatSession:
    """One chat.

    :ivar registration: our binding.
    :ivar composer: what the peer is told of our typing.
    """

    def __init__(
        self, element: Element, options: ClientOptions, peer: SIPURI, view: ChatView, *, marks: bool = True
    ) -> None:
        """Make a chat; the element's chain is it alone.

        :param marks: ask for notifications and send them; else bare texts are sent.
        """
        self._element = element
        self._options = options
        self._peer = peer
        self._view = view
        self._marks = marks
        # Nobody is asked again for what he does not know (415).
        self._envelopes = self._typing = marks
        self.registration = ChatRegistration(
            element, options, lambda why: view.notice(f"not registered any more: {why}")
        )
        self.composer = Composer(element.timers, self._tell_typing)
        self._peer_composing = PeerComposing(element.timers, view.typing)
        self._queue: deque[_Waiting] = deque()
        self._busy = False
        self._idle: list[Deferred[None]] = []
        self._lines: OrderedDict[str, Line] = OrderedDict()
        self._seen: OrderedDict[tuple[str, str, int], None] = OrderedDict()
        element.chain[:] = [self]

    def use(self, digest: DigestClient) -> None:
        """Answer challenges with *digest* from now on."""
        self._options = attrs.evolve(self._options, digest=digest)
        self.registration.use(digest)

    # -- out -----------------------------------------------------------------------------

    def say(self, text: str) -> Deferred[Line]:
        """Send *text* to the peer.

        :return: fires with the line once it was answered, well or not.
        """
        self.composer.sent()
        line = Line(text, self._element.reactor.seconds(), self._element.random_text())
        self._view.said(line)
        done: Deferred[Line] = Deferred()
        if len(self._queue) >= _MOST_WAITING:
            return succeed(self._mark(line, "failed", "too many messages wait for their turn"))
        self._lines[line.id] = line
        if len(self._lines) > _MOST_KNOWN:
            self._lines.popitem(last=False)
        self._say(line, done)
        return done

    def _say(self, line: Line, done: Deferred[Line], *, again: bool = False) -> None:
        body = text_body(line.text)
        in_envelope = False
        if self._envelopes:
            sender, peer = self._options.identity, self._peer
            full = enveloped(line.text, str(sender), str(peer), line.id, line.at)
            in_envelope = self._size(full) + _SPARE <= _LARGEST
            body = full if in_envelope else body
        if self._size(body) + _SPARE > _LARGEST:
            done.callback(self._mark(line, "failed", "it is longer than an instant message may be"))
            return

        def answered(outcome: Response | SIPError) -> None:
            if in_envelope and isinstance(outcome, Response) and outcome.status == 415:
                self._envelopes = False
                self._say(line, done, again=True)
                return
            self._mark_answered(line, outcome)
            done.callback(line)

        self._put(_Waiting(self._peer, body, answered), first=again)

    def _size(self, body: Body) -> int:
        return len(self._request(self._peer, body).to_bytes())

    def _mark_answered(self, line: Line, outcome: Response | SIPError) -> None:
        if isinstance(outcome, SIPError):
            self._mark(line, "failed", str(outcome) or type(outcome).__name__)
        elif outcome.status == 202:
            self._mark(line, "stored")
        elif 200 <= outcome.status < 300:
            self._mark(line, "sent")
        else:
            self._mark(line, "failed", f"{outcome.status} {outcome.reason}")

    def _mark(self, line: Line, mark: str, reason: str = "") -> Line:
        if mark == "failed" or (line.mark != "failed" and _MARKS.index(mark) > _MARKS.index(line.mark)):
            line.mark, line.reason = mark, reason
            self._view.marked(line)
        return line

    def _tell_typing(self, composing: IsComposing) -> None:
        if not self._typing or any(waiting.passing for waiting in self._queue):
            return

        def answered(outcome: Response | SIPError) -> None:
            if isinstance(outcome, Response) and outcome.status == 415:
                self._typing = False

        self._put(_Waiting(self._peer, composing_body(composing), answered, passing=True))

    def _put(self, waiting: _Waiting, *, first: bool = False) -> None:
        if first:
            self._queue.appendleft(waiting)
        elif len(self._queue) < 2 * _MOST_WAITING:
            self._queue.append(waiting)
        self._next()

    def _next(self) -> None:
        if self._busy:
            return
        if not self._queue:
            idle, self._idle = self._idle, []
            for waiter in idle:
                waiter.callback(None)
            return
        self._busy = True
        Deferred.fromCoroutine(self._send(self._queue.popleft()))

    async def _send(self, waiting: _Waiting) -> None:
        outcome: Response | SIPError
        options = self._options
        try:
            request = self._request(waiting.target, waiting.body)
            uri = options.proxy
            if self.registration.service_route:
                apply_route_set(request, self.registration.service_route, waiting.target)
            sending = self._element.sender.request(request, uri=uri, credentials=options.digest)
            outcome = await sending.addTimeout(options.timeout, self._element.reactor, too_late(options.timeout))
        except SIPError as error:
            outcome = error
        self._busy = False
        waiting.answered(outcome)
        self._next()

    def _request(self, target: URI, body: Body) -> Request:
        text_of = self._element.random_text
        return build_request(
            "MESSAGE",
            target,
            from_=NameAddr.parse(f"<{self._options.identity}>;tag={text_of()}"),
            to=NameAddr.build(target),
            call_id=text_of() + text_of(),
            cseq=1,
            headers=[("user-agent", f"twisted-sip/{__version__}"), ("content-type", body.content_type)],
            body=body.data,
        )

    def when_idle(self) -> Deferred[None]:
        """Return a Deferred that fires with None once everything was answered."""
        if not self._busy and not self._queue:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        self._idle.append(waiter)
        return waiter

    async def end(self) -> None:
        """Leave: nothing is sent any more but that we are gone."""
        self.composer.stop()
        self._queue.clear()
        self._peer_composing.idle()
        await self.registration.end()

    # -- in ------------------------------------------------------------------------------

    def process(self, incoming: IncomingRequest) -> Verdict:
        """Answer a request.

        :raises RemoteProtocolError: it is damaged.
        """
        request = incoming.request
        if request.method == "ACK":
            return TAKEN
        answer = self._answer(incoming)
        return response_to(request, answer[0], "", answer[1], to_tag=incoming.to_tag)

    def _answer(self, incoming: IncomingRequest) -> tuple[int, list[tuple[str, str]]]:
        request = incoming.request
        uri = request.uri
        headers = request.headers
        if not isinstance(uri, SIPURI) or uri.user != self.registration.contact_user:
            # Nobody but the registrar knows for whom to ask.
            return 404, []
        if required := headers.elements("require"):
            return 420, [("unsupported", ", ".join(required))]
        if request.method == "OPTIONS":
            return 200, [("allow", ", ".join(_METHODS)), ("accept", ", ".join(ACCEPT))]
        if request.method != "MESSAGE":
            return 405, [("allow", ", ".join(_METHODS))]
        if request.to.tag:
            return 481, []
        if (headers.first("content-encoding") or "identity").strip().lower() != "identity":
            return 415, [("accept-encoding", "identity")]
        key = (request.call_id, request.from_.tag, request.cseq.number)
        if key in self._seen:
            # What was kept for us may come twice (RFC 3428 section 7 leaves that to the store).
            return 200, []
        received = read(request)
        if received is None:
            return 415, [("accept", ", ".join(ACCEPT))]
        self._seen[key] = None
        if len(self._seen) > _MOST_KNOWN:
            self._seen.popitem(last=False)
        self._take(request, received)
        return 200, []

    def _take(self, request: Request, received: Received) -> None:
        uri = request.from_.uri
        sender = uri.address_of_record if isinstance(uri, SIPURI) else str(uri)
        is_peer = sender == self._peer.address_of_record
        if received.composing is not None:
            if is_peer:
                self._peer_composing.received(received.composing)
        elif received.notification is not None:
            line = self._lines.get(received.notification.message_id)
            if is_peer and line is not None:
                self._told(line, received.notification.category, received.notification.status)
        elif received.text is not None:
            if is_peer:
                self._peer_composing.idle()
            self._notify(uri, received, Category.DELIVERY, "delivered")
            at = self._element.reactor.seconds() if received.sent_at is None else received.sent_at
            self._view.heard(sender.partition(":")[2], received.text, at)
            self._notify(uri, received, Category.DISPLAY, "displayed")

    def _told(self, line: Line, category: Category | None, status: str) -> None:
        """A notification says what has become of *line* (RFC 5438 section 5)."""
        if category is Category.DELIVERY and status != "delivered":
            self._mark(line, "failed", "it could not be delivered")
        elif status in _MARKS:
            self._mark(line, status)

    def _notify(self, to: URI, received: Received, category: Category, status: str) -> None:
        if not self._marks:
            return
        now = self._element.reactor.seconds()
        body = notification_body(received, category, status, self._element.random_text(), now)
        if body is None:
            return
        try:
            self._put(_Waiting(to, body, lambda outcome: None))
        except LocalProtocolError:
            # Who wrote cannot be written to.
            return
