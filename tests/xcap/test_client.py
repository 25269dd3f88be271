"""The client against servers that are odd, silent or not there."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from twisted_sip.errors import LocalProtocolError
from twisted_sip.storage.passwords import ha1_of
from twisted_sip.testing.xcap_site import XCAPSite
from twisted_sip.xcap import client as client_module
from twisted_sip.xcap.client import XCAPChanged, XCAPClient, XCAPConflict, XCAPError, XCAPNotFound, XCAPRefused

ALICE = "sip:alice@example.com"
TYPE = "application/auth-policy+xml"
EMPTY = b'<ruleset xmlns="urn:ietf:params:xml:ns:common-policy"/>'


class Odd(Resource):
    """Answers every request with (status, headers, body); None: never."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.answer: tuple[int, list[tuple[str, str]], bytes] | None = None
        self.asked: list[Any] = []

    def render(self, request: Any) -> Any:
        self.asked.append(request)
        if self.answer is None:
            return NOT_DONE_YET
        status, headers, body = self.answer
        request.setResponseCode(status)
        for name, value in headers:
            request.responseHeaders.addRawHeader(name, value)
        return body


class Raw(Factory):
    """Answers with some bytes, and no more.

    :ivar closed: fires when the client has closed the connection.
    """

    noisy = False

    def __init__(self, answer: bytes, hang_up: bool = False) -> None:
        self.answer = answer
        self.hang_up = hang_up
        self.closed: Deferred[None] = Deferred()

    def buildProtocol(self, addr: Any) -> Protocol:
        factory = self

        class Answering(Protocol):
            def dataReceived(self, data: bytes) -> None:
                assert self.transport is not None
                self.transport.write(factory.answer)
                if factory.hang_up:
                    self.transport.loseConnection()

            def connectionLost(self, reason: Any = None) -> None:
                factory.closed.callback(None)

        return Answering()


class OddServerTests(TestCase):
    def setUp(self) -> None:
        self.odd = Odd()
        port = reactor.listenTCP(0, Site(self.odd), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.root = f"http://127.0.0.1:{port.getHost().port}/x"

    def client(self, **how: Any) -> XCAPClient:
        how = {"password": "secret", **how}
        return XCAPClient(self.root, ALICE, request=functools.partial(treq.request, persistent=False), **how)

    async def refused(self, **how: Any) -> XCAPError:
        with pytest.raises(XCAPError) as refused:
            await self.client(**how).get_document("pres-rules")
        assert refused.value.status == (self.odd.answer or (0,))[0]
        return refused.value

    async def test_statuses(self) -> None:
        for status, kind in (
            (404, XCAPNotFound),
            (412, XCAPChanged),
            (403, XCAPRefused),
            (409, XCAPConflict),
            (500, XCAPError),
            (302, XCAPError),
            (304, XCAPError),
        ):
            self.odd.answer = (status, [("location", "http://127.0.0.1:1/")], b"")
            assert type(await self.refused()) is kind

    async def test_conflicts_that_cannot_be_read(self) -> None:
        self.odd.answer = (409, [("content-type", "application/xcap-error+xml")], b"<x")
        assert (await self.refused()).conflict is None
        self.odd.answer = (409, [("content-type", "text/html")], b"<x")
        assert (await self.refused()).conflict is None

    async def test_challenges_that_cannot_be_answered(self) -> None:
        for value in ('Basic realm="example.com"', "Digest", 'Digest realm="elsewhere", nonce="n"', "x\x01"):
            self.odd.answer = (401, [("www-authenticate", value)], b"")
            assert type(await self.refused()) is XCAPRefused
        self.odd.answer = (401, [("www-authenticate", 'Digest realm="example.com", nonce="n", qop="auth"')], b"")
        await self.refused(password=None)
        assert not self.odd.asked[-1].getHeader("authorization")
        self.odd.asked.clear()
        await self.refused()
        assert len(self.odd.asked) == 2
        # One that calls every nonce stale is not asked for ever.
        stale = 'Digest realm="example.com", nonce="n", qop="auth", stale=true'
        self.odd.answer = (401, [("www-authenticate", stale)], b"")
        self.odd.asked.clear()
        await self.refused()
        assert len(self.odd.asked) == 3

    async def test_challenges_on_one_line(self) -> None:
        value = 'Basic realm="a, b", Digest realm="example.com", nonce="n", algorithm=MD5, qop="auth"'
        self.odd.answer = (401, [("www-authenticate", value)], b"")
        await self.refused()
        assert 'nonce="n"' in self.odd.asked[-1].getHeader("authorization")

    async def test_answers_without_end(self) -> None:
        self.patch(client_module, "ANSWER_LIMIT", 1000)
        self.odd.answer = (200, [], b"x" * 1001)
        assert "too long" in str(await self.refused())

    async def test_answers_that_go_on_for_ever(self) -> None:
        """The connection is closed: nobody waits for the rest, and nothing is kept of it."""
        for headers in (b"Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n", b"Content-Length: 10\r\n\r\nabcd"):
            raw = Raw(b"HTTP/1.1 200 OK\r\n" + headers)
            port = reactor.listenTCP(0, raw, interface="127.0.0.1")
            self.addCleanup(port.stopListening)
            self.root = f"http://127.0.0.1:{port.getHost().port}/x"
            with pytest.raises(XCAPError, match="no answer"):
                await self.client(timeout=0.2).get_document("pres-rules")
            await raw.closed

    async def test_answers_that_break_off(self) -> None:
        """Half of a document is none."""
        raw = Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabcd", hang_up=True)
        port = reactor.listenTCP(0, raw, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.root = f"http://127.0.0.1:{port.getHost().port}/x"
        with pytest.raises(XCAPError, match="no answer"):
            await self.client().get_document("pres-rules")

    async def test_silence(self) -> None:
        assert "no answer" in str(await self.refused(timeout=0.05))

    async def test_nobody_there(self) -> None:
        def refuse(*how: Any, **more: Any) -> Deferred[Any]:
            return fail(Refused())

        with pytest.raises(XCAPError, match="no answer"):
            await XCAPClient(self.root, ALICE, password="x", request=refuse).get_document("pres-rules")

    async def test_capabilities_that_are_none(self) -> None:
        self.odd.answer = (200, [], b"<x/>")
        with pytest.raises(XCAPError, match="root element"):
            await self.client().capabilities()

    async def test_weak_and_missing_entity_tags(self) -> None:
        self.odd.answer = (200, [("etag", 'W/"a"')], b"x")
        assert (await self.client().get_document("pres-rules")).etag == "a"
        self.odd.answer = (200, [], b"x")
        assert (await self.client().get_document("pres-rules")).etag == ""


class OptionsTests(TestCase):
    async def test_a_nonce_is_used_again_and_a_hash_will_do_for_a_password(self) -> None:
        site = XCAPSite(reactor, {ALICE: "a-secret"})
        self.addCleanup(site.stop)
        ha1s = {"example.com": {"MD5": ha1_of("MD5", "alice", "example.com", "a-secret")}}
        client = site.client(ALICE, password=None, ha1s=ha1s)
        await client.put_document("pres-rules", EMPTY, TYPE)
        await client.put_document("pres-rules", EMPTY, TYPE)
        assert len(site.authenticator.nonces) == 1
        site.clock.advance(10_000)
        await client.put_document("pres-rules", EMPTY, TYPE)
        other = site.client(ALICE, user="nobody")
        with pytest.raises(XCAPRefused):
            await other.get_document("pres-rules")


@pytest.mark.parametrize("root", ["ftp://x/", "x", "http:///x", "http://x/?y", "http://x/#y"])
def test_roots_that_are_none(root: str) -> None:
    with pytest.raises(LocalProtocolError):
        XCAPClient(root, ALICE)


@pytest.mark.parametrize("aor", ["tel:+1", "alice", "sip:example.com"])
def test_users_that_are_none(aor: str) -> None:
    with pytest.raises(LocalProtocolError):
        XCAPClient("http://x/", aor)


@pytest.mark.parametrize("etag", ['"', "a\r\nb", "a b"])
def test_entity_tags_that_are_none(etag: str) -> None:
    asked = Deferred.fromCoroutine(XCAPClient("http://x/", ALICE).get_document("a", etag=etag))
    results: list[Any] = []
    asked.addErrback(results.append)
    assert results[0].check(LocalProtocolError)
