"""examples/home_device.py reports its state by NOTIFY and takes commands by MESSAGE."""

from __future__ import annotations

import importlib.util
import json
import os
import selectors
import socket
import subprocess
import sys
import unittest
from pathlib import Path
from types import ModuleType
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from twisted_sip.dialog.subscriber import Notified
from twisted_sip.element.element import Element
from twisted_sip.events.subscriber import Subscriber
from twisted_sip.message.builders import build_request
from twisted_sip.testing.package_contract import EventPackageContract

reactor: Any = installed

SOURCE = Path(__file__).parents[2] / "examples" / "home_device.py"
ME = "sip:me@127.0.0.1"
PATIENCE = 30.0


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("home_device", SOURCE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class ContractTests(EventPackageContract, unittest.TestCase):
    resource = "sip:thermostat@127.0.0.1"

    def make_package(self, clock: Clock) -> Any:
        return load().Thermostat()


def free_port() -> int:
    with socket.socket(type=socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


class HomeDeviceTests(TestCase):
    """The program as a reader runs it, watched by the library's own subscriber over UDP."""

    timeout = 2 * PATIENCE

    def setUp(self) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, str(SOURCE), str(self.port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.addCleanup(self.end)
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(PATIENCE)
        assert os.read(self.process.stdout.fileno(), 4096).strip() == f"listening on port {self.port}".encode()
        self.element = Element(reactor)
        self.subscriber = Subscriber(self.element)
        self.element.chain.append(self.subscriber)
        self.element.transports.listen("udp:0:interface=127.0.0.1")
        self.addCleanup(self.element.stop)
        self.uri = f"sip:thermostat@127.0.0.1:{self.port}"
        self.told: list[Notified] = []
        self.waiting: Deferred[Notified] | None = None

    def end(self) -> None:
        self.process.terminate()
        _, errors = self.process.communicate(timeout=PATIENCE)
        assert b"Traceback" not in errors, errors.decode()

    def notified(self, notified: Notified) -> None:
        self.told.append(notified)
        if self.waiting is not None:
            waiting, self.waiting = self.waiting, None
            waiting.callback(notified)

    def next(self) -> Deferred[Notified]:
        self.waiting = Deferred()
        return self.waiting.addTimeout(PATIENCE, reactor)

    def say(self, text: bytes) -> Deferred[Any]:
        fields = [("content-type", "text/plain")]
        random_text = self.element.random_text
        request = build_request(
            "MESSAGE", self.uri, from_=f"<{ME}>;tag={random_text()}", to=f"<{self.uri}>", call_id=random_text(),
            cseq=1, headers=fields, body=text,
        )  # fmt: skip
        return self.element.sender.request(request)

    @inlineCallbacks
    def test_it_reports_and_obeys(self) -> Any:
        first = self.next()
        subscription = self.subscriber.subscribe(self.uri, "x-home-device", from_=ME, on_notify=self.notified)
        told = yield first
        assert (told.state, told.content_type, json.loads(told.body)) == ("active", "application/json", {"target": 20})
        warmer = self.next()
        response = yield self.say(b"heat to 21.5\r\n")
        assert response.status == 200
        told = yield warmer
        assert json.loads(told.body) == {"target": 21.5}
        response = yield self.say(b"make tea")
        assert response.status == 488
        last = self.next()
        subscription.unsubscribe()
        told = yield last
        assert (told.state, json.loads(told.body)) == ("terminated", {"target": 21.5})
        assert len(self.told) == 3
        yield subscription.when_over()

    @inlineCallbacks
    def test_others_are_refused(self) -> Any:
        for uri, event, status in ((self.uri, "presence", 489), (self.uri.replace("therm", "x"), "x-home-device", 404)):
            subscription = self.subscriber.subscribe(uri, event, from_=ME, on_notify=self.notified)
            yield subscription.when_over()
            assert subscription.status == status
        assert not self.told


def test_it_is_short() -> None:
    assert len(SOURCE.read_text("utf-8").splitlines()) < 80
