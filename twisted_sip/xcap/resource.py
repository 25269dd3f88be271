"""The XCAP server as a resource of a twisted.web site (RFC 4825 section 8, RFC 9110).

It may be mounted at any path; what is below it is the XCAP root. Whether that is reached over http or https is up to
whoever makes the site. Requests whose body is too long to be a document are best cut short while they come in:
``Site(root, requestFactory=BoundedRequest)``.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection
from io import BytesIO
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web import server
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from twisted_sip.auth.authenticator import Challenge, Refused
from twisted_sip.errors import StoreError
from twisted_sip.interfaces.documents import IDocumentStore
from twisted_sip.xcap.digest import HTTPDigest
from twisted_sip.xcap.preconditions import EntityTags, Preconditions
from twisted_sip.xcap.selectors import SelectorError, Target, parse_target
from twisted_sip.xcap.server import METHODS, Ask, Reply, XCAPServer, text_reply
from twisted_sip.xcap.usage import Client, Usages

#: The most bytes of a request's body.
BODY_LIMIT = 262_144

#: Tells who sent a request, None where it does not know: then the request is challenged.
IdentityOf = Callable[[server.Request], "str | Awaitable[str | None] | None"]


class BoundedRequest(server.Request):
    """A request that keeps no more than so much of its body.

    :ivar body_limit: the most bytes.
    :ivar too_large: whether there were more.
    """

    body_limit = BODY_LIMIT
    too_large = False

    def gotLength(self, length: int | None) -> None:
        """Take note of the length that the head announces, None for none."""
        if length is not None and length > self.body_limit:
            self.too_large = True
            self.content = BytesIO()
        else:
            super().gotLength(length)  # type: ignore[no-untyped-call]

    def handleContentChunk(self, data: bytes) -> None:
        """Keep a part of the body."""
        if self.content is None or self.too_large or self.content.tell() + len(data) > self.body_limit:
            self.too_large = True
            return
        super().handleContentChunk(data)  # type: ignore[no-untyped-call]


class XCAPResource(Resource):
    """The XCAP root.

    :param store: where the documents are.
    :param usages: the application usages to serve.
    :param digest: tells who a request is from.
    :param root: the XCAP root URI as clients write it, without a slash at the end.
    :param now: gives seconds since the epoch.
    :param trusted: addresses-of-record of users who may read and change every document (section 5.7).
    :param identity_of: tells who sent a request by other means than digest; may be replaced in a subclass.
    :param document_limit: the most bytes of one document.
    """

    isLeaf = True
    _log = Logger()

    def __init__(
        self,
        store: IDocumentStore,
        usages: Usages,
        digest: HTTPDigest,
        *,
        root: str,
        now: Callable[[], float],
        trusted: Collection[str] = (),
        identity_of: IdentityOf | None = None,
        document_limit: int = BODY_LIMIT,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.xcap = XCAPServer(store, usages, root=root, now=now, document_limit=document_limit)
        self.digest = digest
        self.trusted = frozenset(trusted)
        if identity_of is not None:
            self.identity_of = identity_of  # type: ignore[method-assign,assignment]

    def identity_of(self, request: server.Request) -> str | Awaitable[str | None] | None:
        """Return the canonical address-of-record of who sent *request*, None to have it proved by digest.

        What a client says of itself (X-3GPP-Asserted-Identity and the like) is no proof, so it is not looked at here.
        """
        return None

    def render(self, request: server.Request) -> int:
        """Answer *request*, now or later."""
        answered = Deferred.fromCoroutine(self._answer(request))
        gone: list[object] = []
        request.notifyFinish().addErrback(lambda failure: gone.append(failure))

        def write(reply: Reply) -> None:
            if not gone:
                _write(request, reply)

        answered.addErrback(self._failed).addCallback(write)
        answered.addErrback(lambda failure: self._log.failure("an answer of the XCAP server was not sent", failure))
        return NOT_DONE_YET

    def _failed(self, failure: Any) -> Reply:
        if failure.check(StoreError):
            self._log.error("the XCAP server cannot answer: {reason}", reason=str(failure.value))
            return text_reply(500, "the store does not work")
        self._log.failure("the XCAP server failed", failure)
        return text_reply(500, "this server failed")

    async def _answer(self, request: server.Request) -> Reply:
        method = request.method.decode("ascii", "replace")
        try:
            target = _target(request)
        except SelectorError as error:
            return text_reply(error.status, error.reason)
        allowed = self.xcap.allowed(target)
        if not allowed or (target.document.owner and not self._is_ours(target.document.owner)):
            # Section 8: unknown usages and users are not found. Whether a user of ours exists is told to nobody.
            return text_reply(404, "nothing here")
        if method == "OPTIONS":
            return Reply(status=204, allow=allowed)
        if method not in METHODS:
            return text_reply(405, "XCAP has GET, HEAD, PUT and DELETE", allow=allowed)
        user = await self._user(request, method, target)
        if isinstance(user, Reply):
            return user
        return await self.xcap.answer(self._ask(request, method, target, user))

    def _is_ours(self, owner: str) -> bool:
        return owner.rpartition("@")[2] in self.digest.domains

    async def _user(self, request: server.Request, method: str, target: Target) -> str | Reply:
        """Return who asks, or the answer to those who have not proved it."""
        known = self.identity_of(request)
        if inspect.isawaitable(known):
            known = await known
        if isinstance(known, str):
            return known
        fields = [_text(value) for value in request.requestHeaders.getRawHeaders(b"authorization", [])]
        source = str(getattr(request.getClientAddress(), "host", ""))
        outcome = await self.digest.check(method, _text(request.uri), fields, source, target.document.owner)
        if isinstance(outcome, Challenge):
            for name, value in outcome.headers:
                request.responseHeaders.addRawHeader(name, value)
            return text_reply(outcome.status, "who are you?")
        if isinstance(outcome, Refused):
            return text_reply(outcome.status, outcome.reason or "refused")
        return outcome

    def _ask(self, request: server.Request, method: str, target: Target, user: str) -> Ask:
        # What is longer than a document may be is not looked at.
        too_large = getattr(request, "too_large", False) or not _fits(request, self.xcap.document_limit)
        body = b"" if too_large or request.content is None else request.content.read()
        headers = request.requestHeaders
        content_type, _, params = _text((headers.getRawHeaders(b"content-type") or [b""])[0]).partition(";")
        charset = ""
        for param in params.split(";"):
            name, _, value = param.partition("=")
            if name.strip().lower() == "charset":
                charset = value.strip().strip('"').lower()
        return Ask(
            method=method,
            target=target,
            client=Client(user=user, trusted=user in self.trusted),
            content_type=content_type.strip().lower(),
            charset=charset,
            body=body,
            too_large=too_large,
            conditions=Preconditions(match=_tags(headers, b"if-match"), none_match=_tags(headers, b"if-none-match")),
        )


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _fits(request: server.Request, limit: int) -> bool:
    content = request.content
    if content is None:  # pragma: no cover  (a request that is rendered has one)
        return True
    size = content.seek(0, 2)
    content.seek(0)
    return bool(size <= limit)


def _tags(headers: Any, name: bytes) -> EntityTags | None:
    values = headers.getRawHeaders(name)
    if values is None:
        return None
    # What cannot be read is no version that there is: the request must not go through unconditionally.
    return EntityTags.parse(", ".join(_text(value) for value in values)) or EntityTags()


def _target(request: server.Request) -> Target:
    """Return what is asked for: the path as it came, without what leads to this resource."""
    path, _, query = request.uri.decode("latin-1").partition("?")
    segments = path.split("/")[1:][len(request.prepath or ()) :]
    return parse_target(segments, query)


def _write(request: server.Request, reply: Reply) -> None:
    request.setResponseCode(reply.status)
    headers = request.responseHeaders
    # Section 9: caches know nothing of how XCAP resources hang together.
    headers.setRawHeaders(b"cache-control", [b"no-cache"])
    if reply.etag:
        headers.setRawHeaders(b"etag", [f'"{reply.etag}"'.encode()])
    if reply.allow:
        headers.setRawHeaders(b"allow", [", ".join(reply.allow).encode()])
    if reply.retry_after:
        headers.setRawHeaders(b"retry-after", [str(reply.retry_after).encode()])
    if reply.content_type:
        headers.setRawHeaders(b"content-type", [reply.content_type.encode()])
        headers.setRawHeaders(b"x-content-type-options", [b"nosniff"])
    else:
        headers.removeHeader(b"content-type")
        request.defaultContentType = None
    if reply.status not in (204, 304):
        headers.setRawHeaders(b"content-length", [str(len(reply.body)).encode()])
    if request.method != b"HEAD":
        request.write(reply.body)
    request.finish()
