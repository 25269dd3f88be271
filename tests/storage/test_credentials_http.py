"""Credentials over HTTP: a real server on loopback, and every way in which it may misbehave."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from twisted_sip.errors import LocalProtocolError, StoreError
from twisted_sip.interfaces.credentials import Credential
from twisted_sip.storage.credentials_http import HTTPCredentialStore
from twisted_sip.storage.passwords import ha1_of


class Service(Resource):
    """The other side; ``answer`` is (status, body)."""

    isLeaf = True

    def __init__(self, answer: tuple[int, bytes] | None) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[tuple[bytes, bytes]] = []
        self.endless = False
        self.left: Deferred[None] = Deferred()

    def render_GET(self, request: Any) -> Any:
        self.asked.append((request.args[b"user"][0], request.args[b"realm"][0]))
        if self.answer is None:
            return NOT_DONE_YET
        request.setResponseCode(self.answer[0])
        if self.endless:
            request.notifyFinish().addErrback(lambda failure: self.left.callback(None))
            request.write(self.answer[1])
            return NOT_DONE_YET
        return self.answer[1]


MD5 = ha1_of("MD5", "alice", "example.com", "secret")


class HTTPCredentialTests(TestCase):
    def setUp(self) -> None:
        self.service = Service((200, json.dumps({"ha1": {"MD5": MD5}}).encode()))
        self.port = reactor.listenTCP(0, Site(self.service), interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        self.clock = Clock()

    def store(self, **how: Any) -> HTTPCredentialStore:
        # No connection is kept: none must be left when the test is over.
        import treq

        def get(url: str, **arguments: Any) -> Any:
            return treq.get(url, persistent=False, **arguments)

        return HTTPCredentialStore(f"http://127.0.0.1:{self.port.getHost().port}/ha1", self.clock, get=get, **how)

    def asked_soon(self, store: HTTPCredentialStore) -> Deferred[Any]:
        found = store.lookup("alice", "example.com")
        assert isinstance(found, Deferred)
        return found

    async def asked(self, store: HTTPCredentialStore, user: str = "alice") -> Credential | None:
        found = store.lookup(user, "example.com")
        return await found if isinstance(found, Deferred) else found

    async def test_an_answer_without_an_end_is_given_up(self) -> None:
        self.service.endless = True
        for status in (200, 404):
            self.service.answer = status, b"{"
            self.service.left = Deferred()
            store = self.store(timeout=5.0)
            asked = self.asked_soon(store)
            while not any(call.getTime() == self.clock.seconds() + 5.0 for call in self.clock.getDelayedCalls()):
                await deferLater(reactor, 0.01, lambda: None)
            # The head is there by then.
            await deferLater(reactor, 0.1, lambda: None)
            self.clock.advance(5.0)
            with pytest.raises(StoreError, match="no answer"):
                await asked
            await self.service.left

    async def test_an_answer_that_is_too_long_is_given_up(self) -> None:
        self.service.endless = True
        self.service.answer = 200, b"x" * 1_000_000
        with pytest.raises(StoreError, match="no JSON object"):
            await self.asked(self.store())
        await self.service.left

    async def test_found_remembered_and_asked_again(self) -> None:
        store = self.store(remember=30.0)
        found = await self.asked(store)
        assert found == Credential("alice", "example.com", {"MD5": MD5})
        assert store.lookup("alice", "example.com") == found  # at once
        assert self.service.asked == [(b"alice", b"example.com")]
        self.clock.advance(31)
        await self.asked(store)
        store.forget()
        await self.asked(store)
        assert len(self.service.asked) == 3

    async def test_those_who_ask_meanwhile_share_one_answer(self) -> None:
        store = self.store()
        first, second = store.lookup("alice", "example.com"), store.lookup("alice", "example.com")
        assert isinstance(first, Deferred) and isinstance(second, Deferred)
        assert await first == await second
        assert len(self.service.asked) == 1

    async def test_nobody(self) -> None:
        self.service.answer = (404, b"")
        store = self.store(max_remembered=1)
        assert await self.asked(store) is None
        assert store.lookup("alice", "example.com") is None
        assert await self.asked(store, "bob") is None
        again = store.lookup("alice", "example.com")
        assert isinstance(again, Deferred)  # there is room for one
        assert await again is None

    async def test_an_algorithm_of_its_own(self) -> None:
        strong = ha1_of("SHA-256", "alice", "example.com", "secret").upper()
        self.service.answer = (200, json.dumps({"ha1": {"SHA-256": strong}, "algorithm": "SHA-256"}).encode())
        found = await self.asked(self.store())
        assert found is not None and found.algorithm == "SHA-256" and found.ha1["SHA-256"] == strong.lower()

    async def test_what_is_no_answer(self) -> None:
        for answer in (
            (500, b""),
            (302, b""),
            (200, b"not json"),
            (200, b"[]"),
            (200, b'{"ha1": {}}'),
            (200, b'{"ha1": {"MD5": "short"}}'),
            (200, b'{"ha1": {"MD5": "%s"}}' % (b"z" * 32)),
            (200, b'{"ha1": {"ROT13": "%s"}}' % MD5.encode()),
            (200, json.dumps({"ha1": {"MD5": MD5}, "algorithm": "SHA-256"}).encode()),
            (200, b" " * 20_000 + json.dumps({"ha1": {"MD5": MD5}}).encode()),
        ):
            self.service.answer = answer
            store = self.store()
            with pytest.raises(StoreError):
                await self.asked(store)
            # A failure is not remembered.
            self.service.answer = (404, b"")
            assert await self.asked(store) is None

    async def test_a_service_that_is_silent_or_not_there(self) -> None:
        self.service.answer = None
        with pytest.raises(StoreError, match="no answer"):
            await self.asked(self.store(timeout=0.05))

        def refused(url: str, **arguments: Any) -> Deferred[Any]:
            failed: Deferred[Any] = Deferred()
            failed.errback(Refused())
            return failed

        store = HTTPCredentialStore("http://localhost/", self.clock, get=refused)
        with pytest.raises(StoreError, match="no answer"):
            await self.asked(store)


@pytest.mark.parametrize("url", ["ftp://host/x", "host", "http://192.0.2.1/x", "https:///x"])
def test_urls_that_will_not_do(url: str) -> None:
    with pytest.raises(LocalProtocolError):
        HTTPCredentialStore(url, Clock())
