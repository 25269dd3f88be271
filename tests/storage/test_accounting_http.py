"""Call records told over HTTP: a real server on loopback that refuses, dies and comes again; the queue on disk."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from twisted_sip.errors import LocalProtocolError
from twisted_sip.storage.accounting_http import CallbackDelivery, check_callback_url
from twisted_sip.storage.accounting_sqlite import SQLiteAccounting

from .accounting_desk import START, over, record


class Service(Resource):
    """The other side; ``answers`` are the statuses that it gives, the last one again and again; None for silence."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[int | None] = [200]
        self.told: list[list[tuple[str, str]]] = []
        self.headers: list[Any] = []
        self.waiting: list[tuple[int, Deferred[None]]] = []
        self.endless = False
        self.left: Deferred[None] = Deferred()

    def render_POST(self, request: Any) -> Any:
        self.told.append([(one["event"], one["id"]) for one in json.load(request.content)])
        self.headers.append(request.getAllHeaders())
        for count, deferred in self.waiting:
            if count == len(self.told):
                reactor.callLater(0, deferred.callback, None)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            return NOT_DONE_YET
        request.setResponseCode(answer)
        if self.endless:
            request.notifyFinish().addErrback(lambda failure: self.left.callback(None))
            request.write(b"and so on")
            return NOT_DONE_YET
        return b"fine"

    def asked(self, count: int) -> Deferred[None]:
        """Fire when it was asked *count* times in all."""
        deferred: Deferred[None] = Deferred()
        self.waiting.append((count, deferred))
        return deferred


class CallbackTests(TestCase):
    def setUp(self) -> None:
        self.service = Service()
        self.port = reactor.listenTCP(0, Site(self.service), interface="127.0.0.1")
        self.addCleanup(lambda: self.port.stopListening())
        self.number = self.port.getHost().port
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.clock = Clock()
        self.clock.advance(START)
        self.sink = self.open()

    def open(self, **how: Any) -> SQLiteAccounting:
        return SQLiteAccounting(self.directory / "calls.db", self.clock, **({"max_callbacks": 100} | how))

    def delivery(self, **how: Any) -> CallbackDelivery:
        import treq

        def post(url: str, **arguments: Any) -> Any:
            return treq.post(url, persistent=False, **arguments)

        url = f"http://127.0.0.1:{self.number}/calls"
        made = CallbackDelivery(self.sink, url, self.clock, post=post, **how)
        made.start()
        return made

    def write(self, *calls: Any) -> None:
        for call in calls:
            (self.sink.ended if call.result else self.sink.answered)(call)
        self.clock.advance(0.1)

    async def settled(self, delivery: CallbackDelivery) -> None:
        while delivery._round is not None:
            await deferLater(reactor, 0.01, lambda: None)

    async def test_it_is_told_in_order_and_then_no_more(self) -> None:
        delivery = self.delivery(token="secret")
        self.write(record("1"), over("1"), over("2", answered=None, result="refused"))
        await self.settled(delivery)
        assert [one for told in self.service.told for one in told] == [
            ("answered", "1"),
            ("ended", "1"),
            ("ended", "2"),
        ]
        assert self.service.headers[0][b"authorization"] == b"Bearer secret"
        assert self.service.headers[0][b"content-type"] == b"application/json"
        assert self.sink.queued == 0
        self.write(over("3"))
        await self.settled(delivery)
        assert self.service.told[-1] == [("ended", "3")]
        await delivery.stop()
        await self.sink.close()

    async def test_an_answer_without_an_end_holds_nothing_up(self) -> None:
        self.service.endless = True
        delivery = self.delivery(timeout=5.0)
        asked = self.service.asked(1)
        self.write(over("1"))
        await asked
        # The head of the answer comes; of the rest only a little.
        while not any(call.getTime() == self.clock.seconds() + 5.0 for call in self.clock.getDelayedCalls()):
            await deferLater(reactor, 0.01, lambda: None)
        assert self.sink.queued == 1
        self.service.endless = False
        self.clock.advance(5.0)
        await self.settled(delivery)
        assert self.sink.queued == 0 and not delivery.failures
        await self.service.left
        self.write(over("2"))
        await self.settled(delivery)
        assert [one for told in self.service.told for one in told] == [("ended", "1"), ("ended", "2")]
        await delivery.stop()
        await self.sink.close()

    async def test_what_is_refused_is_told_again_later_and_in_smaller_parts(self) -> None:
        self.service.answers = [500, 500, 200]
        self.write(over("1"), over("2"), over("3"))
        delivery = self.delivery(batch=3, first_retry=1.0)
        await self.settled(delivery)
        assert delivery.failures == 1 and self.sink.queued == 3
        self.clock.advance(0.9)
        delivery.wake()
        assert len(self.service.told) == 1
        self.clock.advance(0.2)
        await self.settled(delivery)
        self.clock.advance(1.9)
        assert len(self.service.told) == 2 and delivery.failures == 2
        self.clock.advance(0.2)
        await self.settled(delivery)
        assert delivery.failures == 0 and self.sink.queued == 0
        assert [len(told) for told in self.service.told] == [3, 1, 1, 2]
        await delivery.stop()
        await self.sink.close()

    async def test_it_waits_over_a_restart(self) -> None:
        await self.port.stopListening()
        delivery = self.delivery()
        self.write(over("1"))
        await self.settled(delivery)
        assert delivery.failures == 1
        await delivery.stop()
        await self.sink.close()
        self.port = reactor.listenTCP(self.number, Site(self.service), interface="127.0.0.1")
        self.sink = self.open()
        assert self.sink.queued == 1
        delivery = self.delivery()
        await self.settled(delivery)
        assert self.service.told == [[("ended", "1")]] and self.sink.queued == 0
        await delivery.stop()
        await self.sink.close()

    async def test_an_answer_that_never_comes_is_given_up_at_the_end(self) -> None:
        self.service.answers = [None]
        asked = self.service.asked(1)
        delivery = self.delivery()
        self.write(over("1"))
        await asked
        self.write(over("2"))
        await delivery.stop()
        assert self.sink.queued == 2
        await self.sink.close()
        self.flushLoggedErrors()

    async def test_the_queue_has_an_end(self) -> None:
        await self.sink.close()
        self.sink = self.open(max_callbacks=2)
        self.write(over("1"), over("2"), over("3"))
        assert self.sink.queued == 2 and self.sink.callbacks_lost == 1
        await self.sink.close()

    async def test_a_store_that_fails_is_asked_again_later(self) -> None:
        self.write(over("1"))
        delivery = self.delivery()
        await self.settled(delivery)
        await self.sink.close()
        delivery.wake()
        await self.settled(delivery)
        assert delivery.failures == 1
        await delivery.stop()


@pytest.mark.parametrize("url", ["ftp://example.com/", "http://example.com/calls", "https://", "calls"])
def test_where_records_are_not_told(url: str) -> None:
    with pytest.raises(LocalProtocolError):
        check_callback_url(url)
    check_callback_url("https://billing.example.com/calls")
