"""One publication of ours: what is published, what is to be, the PUBLISH on its way (RFC 3903 sections 4, 5, 8.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from twisted_sip.dialog.subscription_terms import (
    TRANSIENT,
    etag_of,
    expires_granted,
    min_expires_of,
    refresh_delay,
    retry_after_of,
)
from twisted_sip.element.outgoing import Outgoing
from twisted_sip.element.sending import ClientCredentials
from twisted_sip.errors import LocalProtocolError, RequestRefused
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.builders import build_request
from twisted_sip.message.grammar import check_value
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.route_set import apply_route_set
from twisted_sip.message.uri import URI
from twisted_sip.transaction.timers import Timer

if TYPE_CHECKING:
    from twisted_sip.events.publishing import Publisher

_log = Logger()

#: How often in a row a 423 is given way to.
_MOST_TOO_BRIEF = 2
#: Seconds until the first try after one that failed for no good reason, and the most of them.
_FIRST_PATIENCE, _MOST_PATIENCE = 30, 900

# The operations of section 4.1, table 1; what there is at the other side tells "initial" from "modify".
_PUBLISH, _REFRESH, _REMOVE = "publish", "refresh", "remove"


class PublishedState:
    """One publication of ours; made by :meth:`Publisher.publication`.

    :ivar uri: the Request-URI.
    :ivar event: the event package.
    :ivar etag: the entity-tag of what is published, empty where nothing is (section 8.2).
    :ivar expires: for how many seconds to publish; more than asked for if the other side wants that (423).
    :ivar expires_at: when what is published ends without a refresh, on the clock of the element's timers.
    """

    def __init__(
        self,
        publisher: Publisher,
        uri: URI | str,
        event: str,
        *,
        from_: NameAddr,
        expires: int,
        headers: tuple[tuple[str, str], ...],
        credentials: ClientCredentials | None,
        flow: Flow | None,
        route: tuple[str, ...],
        on_lost: Callable[[int], object] | None,
    ) -> None:
        self.uri = str(uri)
        self.event = event
        self.etag = ""
        self.expires = expires
        self.expires_at = 0.0
        self._publisher = publisher
        self._from = from_
        self._headers = headers
        self._credentials = credentials
        self._flow = flow
        self._route = route
        self._on_lost = on_lost
        self._call_id = publisher.element.random_text() + publisher.element.random_text()
        self._cseq = 0
        self._body = b""
        self._content_type = ""
        # The body is not what is published; what was sent last, and what was published.
        self._changed = False
        self._sent_body = self._published_body = (b"", "")
        self._wanted = ""
        self._wanting: list[Deferred[str]] = []
        self._sent = ""
        self._waiting: list[Deferred[str]] = []
        self._too_brief = 0
        self._failures = 0
        self._timer: Timer | None = None

    @property
    def published_body(self) -> bytes:
        """What was acknowledged last, empty for nothing."""
        return self._published_body[0]

    # -- for the user ---------------------------------------------------------------

    def publish(self, body: bytes, content_type: str) -> Deferred[str]:
        """Publish *body*, in place of what this publication had before (sections 4.2 and 4.4).

        Of several that wait for an answer to what was sent before only the last one is sent, and of several operations
        the last one is done.

        :return: fires with the entity-tag, empty if it was removed meanwhile; fails with RequestRefused. Where
            something was published before and there is hope (timeouts, 480, 5xx), *body* is tried again later.
        :raises LocalProtocolError: no body, or as many publications as there may be.
        """
        if not body:
            raise LocalProtocolError("a publication needs a body (RFC 3903 sections 4.2 and 4.4)")
        check_value(content_type)
        self._publisher.admit(self)
        self._body, self._content_type = body, content_type
        self._changed = True
        return self._want(_PUBLISH)

    def refresh(self) -> Deferred[str]:
        """Let it last for another while (section 4.3); this is done without being asked for, too.

        :return: fires with the entity-tag; fails with RequestRefused.
        :raises LocalProtocolError: nothing was published yet.
        """
        if not self._body:
            raise LocalProtocolError("nothing was published")
        self._publisher.admit(self)
        return self._want(_REFRESH)

    def remove(self) -> Deferred[None]:
        """Remove it (section 4.5).

        :return: fires with None, also where nothing is published; fails with RequestRefused, and then it ends by
            itself at *expires_at*.
        """
        if not self.etag and not self._sent and not self._wanted:
            self._over()
            return succeed(None)
        return self._want(_REMOVE).addCallback(lambda _: None)

    def _want(self, operation: str) -> Deferred[str]:
        result: Deferred[str] = Deferred()
        self._wanting.append(result)
        if operation != _REFRESH or not self._wanted:
            # A refresh is part of everything else; between "publish" and "remove" the last word counts.
            self._wanted = operation
        if not self._sent:
            self._publisher.take_turn(self)
        return result

    # -- requests ---------------------------------------------------------------------

    def send_now(self) -> None:
        """It is our turn to send."""
        self._sent, self._wanted = self._wanted, ""
        self._waiting, self._wanting = self._wanting, []
        self._stop_timer()
        self._send()

    def _send(self) -> None:
        if self._sent == _REFRESH and (self._changed or not self.etag):
            self._sent = _PUBLISH
        if self._sent == _REMOVE and not self.etag:
            self._done()
            return
        self._cseq += 1
        request = self.build_request()
        if self._sent == _PUBLISH:
            self._changed = False
            self._sent_body = (self._body, self._content_type)
        flow = self._flow if self._flow is not None and self._flow.open else None
        self._publisher.element.sender.send(request, self, flow=flow, credentials=self._credentials)

    def build_request(self) -> Request:
        """Return the PUBLISH for what is to be sent (section 4.1, table 1).

        :raises LocalProtocolError: a value that SIP does not allow.
        """
        fields = [("event", self.event), ("expires", "0" if self._sent == _REMOVE else str(self.expires))]
        fields.extend(self._headers)
        if self.etag:
            fields.append(("sip-if-match", self.etag))
        if self._sent == _PUBLISH:
            fields.append(("content-type", self._content_type))
        made = build_request(
            "PUBLISH",
            self.uri,
            from_=self._from,
            to=NameAddr.build(self.uri),
            call_id=self._call_id,
            cseq=self._cseq,
            headers=fields,
            # Section 4.1: what only refreshes or removes has no body.
            body=self._body if self._sent == _PUBLISH else b"",
        )
        if self._route:
            apply_route_set(made, self._route, self.uri)
        return made

    # -- outcomes: the user of an Outgoing --------------------------------------------

    def prepare(self, request: Request, flow: Flow) -> None:
        """A PUBLISH needs no Contact (section 4)."""

    def response_received(self, outgoing: Outgoing, response: Response) -> None:
        """Take a response (section 5)."""
        status = response.status
        if status < 200:
            return
        self._cseq = max(self._cseq, outgoing.request.cseq.number)
        if status < 300:
            self._accepted(response)
        elif status == 412 and self.etag:
            # It is gone there: what is left is to publish it anew, or nothing.
            self.etag = ""
            self._send()
        elif status == 423 and self._sent != _REMOVE and self._give_way(response):
            self._send()
        else:
            self._fail(status, response.reason, retry_after_of(response))

    def failed(self, outgoing: Outgoing, status: int, reason: str) -> None:
        """There is no response."""
        self._cseq = max(self._cseq, outgoing.request.cseq.number)
        self._fail(status, reason)

    def _give_way(self, response: Response) -> bool:
        wanted = min_expires_of(response, self.expires)
        self._too_brief += 1
        if wanted is None or self._too_brief > _MOST_TOO_BRIEF:
            return False
        self.expires = wanted
        return True

    def _accepted(self, response: Response) -> None:
        self._too_brief = self._failures = 0
        if self._sent == _REMOVE:
            self.etag = ""
        else:
            # Section 8.2. Without one it can only be published anew.
            self.etag = etag_of(response)
            if self._sent == _PUBLISH:
                self._published_body = self._sent_body
            granted = expires_granted(response, self.expires)
            self.expires_at = self._publisher.element.timers.now() + granted
            self._refresh_after(refresh_delay(granted))
        self._done()

    def _done(self) -> None:
        waiting, sent = self._end()
        if sent == _REMOVE and not self._wanted:
            self._over()
        for result in waiting:
            result.callback(self.etag)
        self._go_on()

    def _fail(self, status: int, reason: str, retry_after: int | None = None) -> None:
        waiting, sent = self._end()
        self._changed = self._changed or sent == _PUBLISH
        if sent == _REMOVE:
            # It ends by itself.
            self.etag = ""
            if not self._wanted:
                self._over()
        elif status in TRANSIENT and (self.etag or not waiting):
            self._failures += 1
            patience = min(_MOST_PATIENCE, _FIRST_PATIENCE * 2 ** min(self._failures - 1, 10))
            self._refresh_after(patience if retry_after is None else max(1, retry_after))
        elif self.etag and waiting:
            # Not this, but what was published before is still there.
            if not self._wanted:
                self._body, self._content_type = self._published_body
                self._changed = False
            self._refresh_after(refresh_delay(max(0.0, self.expires_at - self._publisher.element.timers.now())))
        elif not self._wanted:
            self._over()
            if not waiting:
                self._lost(status)
        for result in waiting:
            result.errback(RequestRefused(f"PUBLISH answered {status} {reason}", status=status))
        self._go_on()

    def _lost(self, status: int) -> None:
        if self._on_lost is None:
            return
        try:
            self._on_lost(status)
        except Exception:
            _log.failure("on_lost of {uri}", uri=self.uri)

    def _end(self) -> tuple[list[Deferred[str]], str]:
        """Return who waits for what was sent, and what that was; nothing is on its way any more."""
        waiting, self._waiting = self._waiting, []
        sent, self._sent = self._sent, ""
        return waiting, sent

    def _go_on(self) -> None:
        """Let the next one have its turn, and queue up again if there is more to send."""
        self._publisher.end_turn(self)
        if self._wanted and not self._sent:
            self._publisher.take_turn(self)

    # -- timers -------------------------------------------------------------------------

    def _refresh_after(self, seconds: int) -> None:
        self._stop_timer()
        self._timer = self._publisher.element.timers.start(float(seconds), self._refresh_due)

    def _refresh_due(self) -> None:
        self._timer = None
        if not self._wanted and not self._sent:
            self._wanted = _REFRESH
            self._publisher.take_turn(self)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _over(self) -> None:
        self._stop_timer()
        self.etag = ""
        self._body = b""
        self._publisher.forget(self)
