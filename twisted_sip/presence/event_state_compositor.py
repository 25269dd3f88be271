"""PUBLISH from the request to its response: the event state compositor as a UAS (RFC 3903 section 6)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.errors import StoreError, StoreFull
from twisted_sip.interfaces.processing import TAKEN, IncomingRequest, Verdict
from twisted_sip.interfaces.publication import Publication
from twisted_sip.message.builders import response_to
from twisted_sip.message.response import Response
from twisted_sip.presence.publication import Publications
from twisted_sip.presence.publish_request import PublishRefused, PublishRequest
from twisted_sip.presence.published_body import PUBLISHED_TYPES, full_state, same_components
from twisted_sip.presence.settings import PresenceSettings

_log = Logger()

#: Seconds, told to those for whom there is no room.
RETRY_AFTER = "30"

# The header fields of a 200 beside those of every response.
_ACCEPTED = ("sip-etag", "expires")

# They come with some requests of an agent and not with others.
_CREDENTIALS = frozenset(("authorization", "proxy-authorization"))

# What a device says of itself.
_SHOWN = ("user-agent", "contact")

#: Tells whether the sender may publish for a resource.
Authorize = Callable[[IncomingRequest, str], "bool | Deferred[bool] | Awaitable[bool]"]


class EventStateCompositor:
    """Answers PUBLISH requests.

    :ivar settings: the current settings.
    """

    def __init__(
        self,
        publications: Publications,
        package: str,
        authorize: Authorize,
        settings: PresenceSettings,
        make_text: Callable[[], str],
    ) -> None:
        """Answer for the publications of one event package.

        :param authorize: asked about each PUBLISH first; False answers 403.
        :param make_text: gives unique text for entity-tags of what is gone at once.
        """
        self.settings = settings
        self._publications = publications
        self._package = package
        self._packages = (package,)
        self._authorize = authorize
        self._make_text = make_text
        self._turns: dict[str, DeferredLock] = {}

    @property
    def turns(self) -> int:
        """For how many resources a PUBLISH waits to be authorised."""
        return len(self._turns)

    def process(self, incoming: IncomingRequest, resource: str) -> Verdict | Deferred[Verdict]:
        """Answer a PUBLISH for *resource*, a canonical address-of-record.

        :raises RemoteProtocolError: a header field is malformed.
        """
        if resource in self._turns:
            return Deferred.fromCoroutine(self._in_turn(incoming, resource, None))
        allowed = self._authorize(incoming, resource)
        if allowed is True:
            return self._publish(incoming, resource)
        if allowed is False:
            return _refuse(incoming, PublishRefused(403))
        return Deferred.fromCoroutine(self._in_turn(incoming, resource, allowed))

    async def _in_turn(self, incoming: IncomingRequest, resource: str, allowed: Any) -> Verdict:
        """Section 6: those with one Request-URI are processed in the order in which they came."""
        turn = self._turns.setdefault(resource, DeferredLock())
        await turn.acquire()
        try:
            if allowed is None:
                allowed = self._authorize(incoming, resource)
            if not isinstance(allowed, bool):
                allowed = await allowed
            outcome = self._publish(incoming, resource) if allowed else _refuse(incoming, PublishRefused(403))
        finally:
            turn.release()
            if not turn.locked and not turn.waiting:
                self._turns.pop(resource, None)
        return await outcome if isinstance(outcome, Deferred) else outcome

    def _publish(self, incoming: IncomingRequest, resource: str) -> Verdict | Deferred[Verdict]:
        publications, settings = self._publications, self.settings
        try:
            asked = PublishRequest(incoming.request, self._packages)
            known = None
            if asked.if_match:
                # Step 3: whose entity-tag is not good is told so, and that alone.
                known = publications.tagged(resource, self._package, asked.if_match)
                if known is None:
                    raise PublishRefused(412)
            asked.check_terms(settings, PUBLISHED_TYPES)
            content_type, body = full_state(asked, known, settings.max_body)
            if not incoming.claim_as_uas():
                # It came by two ways (RFC 3261 section 8.2.2.2).
                return TAKEN
            if not asked.expires:
                return self._withdraw(incoming, known)
            waiting = _Waiting(incoming)
            made = publications.put(
                resource,
                self._package,
                then=waiting,
                content_type=content_type,
                body=body,
                expires=asked.expires,
                publisher=incoming.user,
                source="" if known is not None else _source(incoming),
                alike=lambda known: same_components(known.body, body),
                replaces=known,
            )
        except PublishRefused as refusal:
            return _refuse(incoming, refusal)
        except StoreFull as error:
            return _refuse(incoming, _full(error.key))
        return waiting.verdict(_accepted(incoming, made.etag, asked.expires))

    def _withdraw(self, incoming: IncomingRequest, known: Publication | None) -> Verdict:
        """Section 4.5, or a first publication that lives no time at all: it has been and gone."""
        response = _accepted(incoming, self._make_text(), 0)
        if known is None:
            return response
        waiting = _Waiting(incoming)
        self._publications.drop(known, waiting)
        return waiting.verdict(response)


class _Waiting:
    """A PUBLISH that waits until what it changes is durable: nothing is acknowledged that could be lost.

    Retransmissions meet its transaction meanwhile.
    """

    __slots__ = ("_incoming", "_over", "_response")

    def __init__(self, incoming: IncomingRequest) -> None:
        self._incoming = incoming
        # What answers it, once that is known; whether it may be sent.
        self._response: Response | None = None
        self._over = False

    def verdict(self, response: Response) -> Verdict:
        """Return *response*, or what has come of it already, or TAKEN where it has to wait."""
        if self._over:
            return self._response or response
        self._response = response
        return TAKEN

    def __call__(self, failure: Failure | None) -> None:
        """It is durable, or *failure* says why it is not."""
        response, self._over = self._response, True
        if failure is not None:
            self._response = _failed(failure, self._incoming)
        if response is None:
            # At once, that is.
            return
        incoming = self._incoming
        try:
            if not incoming.over:
                incoming.send(self._response or response)
        except Exception:
            _log.failure("a PUBLISH could not be answered", call_id=incoming.request.call_id)


def _failed(failure: Failure, incoming: IncomingRequest) -> Response:
    call_id = incoming.request.call_id
    if failure.check(StoreError):
        _log.error("PUBLISH not stored: {reason}", reason=str(failure.value), call_id=call_id)
    else:
        _log.failure("a PUBLISH failed", failure, call_id=call_id)
    error = failure.value
    return _refuse(incoming, _full(error.key) if isinstance(error, StoreFull) else PublishRefused(500))


def _full(key: str) -> PublishRefused:
    """Section 9."""
    return PublishRefused(503, "", [("retry-after", RETRY_AFTER)], key=key)


def _accepted(incoming: IncomingRequest, etag: str, expires: int) -> Response:
    """Step 6."""
    response = response_to(incoming.request, 200, to_tag=incoming.to_tag)
    # Lines of our own need no look at what is in them.
    response.headers.names += _ACCEPTED
    response.headers.lines += (f"SIP-ETag: {etag}", f"Expires: {expires}")
    return response


def _source(incoming: IncomingRequest) -> str:
    """Return where a PUBLISH came from if it came directly, and by whom it was made, as far as that shows: a proxy
    stands for many devices, and so may one socket."""
    headers = incoming.request.headers
    names = headers.names
    if names.count("via") > 1 or ("," in headers.lines[names.index("via")] and len(headers.elements("via")) > 1):
        return ""
    if not _CREDENTIALS.isdisjoint(names):
        names = [name for name in names if name not in _CREDENTIALS]
    flow = incoming.flow
    shown = [flow.kind.token, flow.remote, str(incoming.request.from_.uri), *names]
    for name in _SHOWN:
        if name in names:
            shown += headers.all(name)
    # Python keys its hashes, and after a restart there is nobody whose answer has been lost just now.
    return f"{hash(tuple(shown)):x}"


def _refuse(incoming: IncomingRequest, refusal: PublishRefused) -> Response:
    incoming.note("presence", "{0}: the publication is refused", refusal.key, str(refusal.status))
    return response_to(incoming.request, refusal.status, refusal.reason, refusal.headers, b"", incoming.to_tag)
