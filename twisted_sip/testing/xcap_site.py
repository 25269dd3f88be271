"""An XCAP server on loopback for tests: a real twisted.web site with documents in memory, and clients of it (RFC 4825).

::

    class MyTests(TestCase):
        def setUp(self):
            self.site = XCAPSite(reactor, {"sip:alice@example.com": "secret"})
            self.addCleanup(self.site.stop)

        async def test_something(self):
            await self.site.client("sip:alice@example.com").put_document(...)
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import treq
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource
from twisted.web.server import Site

from twisted_sip.auth.authenticator import Authenticator
from twisted_sip.auth.client import DigestClient
from twisted_sip.auth.settings import AuthSettings
from twisted_sip.message.header_map import HeaderMap
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.storage.credentials_memory import MemoryCredentialStore
from twisted_sip.storage.document_quota import DocumentQuota
from twisted_sip.storage.documents_memory import MemoryDocumentStore
from twisted_sip.storage.service_index import ServiceIndex
from twisted_sip.xcap.client import XCAPClient
from twisted_sip.xcap.digest import HTTPDigest
from twisted_sip.xcap.resource import BoundedRequest, XCAPResource
from twisted_sip.xcap.usages import default_usages

#: The time by which the server goes, in seconds since the epoch.
NOW = 1_800_000_000.0
#: Where the XCAP root is on the site.
MOUNT = "/deep/xcap-root"


class Answer:
    """What came back.

    :ivar status: the HTTP status.
    :ivar headers: the header fields.
    :ivar body: the body.
    """

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def header(self, name: str) -> str:
        """Return the first value of a header field, empty if there is none."""
        values = self.headers.getRawHeaders(name)
        return values[0] if values else ""

    def __repr__(self) -> str:
        return f"<Answer {self.status} {self.body[:200]!r}>"


class XCAPSite:
    """A server, listening.

    :ivar clock: the time the server goes by.
    :ivar store: its documents.
    :ivar root: the XCAP root URI.
    :ivar resource: the XCAP root.
    """

    def __init__(
        self,
        reactor: Any,
        passwords: Mapping[str, str],
        *,
        domains: Sequence[str] = ("example.com",),
        settings: AuthSettings | None = None,
        store: Any = None,
        quota: DocumentQuota | None = None,
        credentials: Any = None,
        request_factory: Any = BoundedRequest,
        **options: Any,
    ) -> None:
        """Start a server.

        :param passwords: address-of-record -> password.
        :param options: further arguments of XCAPResource.
        """
        self._reactor = reactor
        self._passwords = dict(passwords)
        self.clock = Clock()
        self.clock.advance(NOW)
        known = MemoryCredentialStore()
        for aor, password in passwords.items():
            user, _, domain = aor.removeprefix("sip:").partition("@")
            known.add(user, domain, password)
        self.credentials = credentials or known
        self.store = MemoryDocumentStore(quota) if store is None else store
        self.index = ServiceIndex(self.store)
        self.usages = default_usages(self.index, self._passwords.__contains__)
        self.authenticator = Authenticator.build(self.credentials, settings or AuthSettings(), self.clock.seconds)
        top, middle = Resource(), Resource()
        top.putChild(b"deep", middle)
        self.port = reactor.listenTCP(0, Site(top, requestFactory=request_factory), interface="127.0.0.1")
        self.address = f"127.0.0.1:{self.port.getHost().port}"
        self.root = f"http://{self.address}{MOUNT}"
        self.resource = XCAPResource(
            self.store,
            self.usages,
            HTTPDigest(self.authenticator, domains, self.credentials),
            root=self.root,
            now=self.clock.seconds,
            **options,
        )
        middle.putChild(b"xcap-root", self.resource)

    def stop(self) -> Any:
        """Stop listening; fires when that is done."""
        self.index.close()
        return self.port.stopListening()

    def client(self, aor: str, **how: Any) -> XCAPClient:
        """Return a client for the user *aor*; it keeps no connection open."""
        how.setdefault("password", self._passwords.get(aor, "wrong"))
        return XCAPClient(self.root, aor, request=functools.partial(treq.request, persistent=False), **how)

    async def ask(
        self, aor: str, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request for *path* below the XCAP root just as it is, and prove to be *aor*."""
        user, _, domain = aor.removeprefix("sip:").partition("@")
        digest = DigestClient(user, self._passwords.get(aor, "wrong"), realms=(domain,))
        signed = Request.from_parts(method, f"{MOUNT}{path}", HeaderMap(), b"")
        fields = dict(headers or {})
        answer = await self.send(method, signed.uri_text, body, fields)
        if answer.status != 401:
            return answer
        challenges = HeaderMap()
        for value in answer.headers.getRawHeaders("www-authenticate", []):
            challenges.append("www-authenticate", value)
        again = digest.authorize(signed, Response.from_parts(401, "", challenges, b""))
        assert again is not None, "a challenge that can be answered"
        fields["Authorization"] = again.headers.all("authorization")[0]
        return await self.send(method, signed.uri_text, body, fields)

    async def send(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None, *, pieces: int = 0
    ) -> Answer:
        """Send a request that no client would: everything as it is given.

        :param pieces: send the body in chunks of so many bytes, without its length; 0: in one.
        """
        endpoint = HostnameEndpoint(self._reactor, "127.0.0.1", self.port.getHost().port)
        protocol = await connectProtocol(endpoint, _Collector())
        head = f"{method} {target} HTTP/1.1\r\nHost: {self.address}\r\nConnection: close\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        if pieces:
            chunks = [body[start : start + pieces] for start in range(0, len(body), pieces)]
            framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
            head += "Transfer-Encoding: chunked\r\n"
        else:
            framed = body
            head += f"Content-Length: {len(body)}\r\n" if body or method == "PUT" else ""
        protocol.transport.write(f"{head}\r\n".encode("utf-8", "surrogateescape") + framed)
        return _answer(await protocol.done)


class _Collector(Protocol):
    transport: Any

    def __init__(self) -> None:
        self.done: Deferred[bytes] = Deferred()
        self._data = bytearray()

    def dataReceived(self, data: bytes) -> None:
        self._data += data

    def connectionLost(self, reason: Any = None) -> None:
        self.done.callback(bytes(self._data))


def _answer(data: bytes) -> Answer:
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("utf-8", "surrogateescape").split("\r\n")
    headers = Headers()
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers.addRawHeader(name, value.strip())
    return Answer(int(lines[0].split()[1]), headers, body)
