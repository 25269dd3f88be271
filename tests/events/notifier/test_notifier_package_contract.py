"""The contract of event packages holds for a plain package and finds what is wrong with others."""

from __future__ import annotations

import unittest
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.event_package import Authorization, IEventPackage, Notification
from twisted_sip.testing.package_contract import EventPackageContract, FakeHost


@implementer(IEventPackage)
class Plain:
    event = "x-state.winfo"
    default_expires = 60
    content_types: tuple[str, ...] = ("text/plain", "text/html")
    min_interval = 0.0

    def attached(self, host: Any) -> None:
        self.host = host

    def has_resource(self, resource: str) -> Any:
        return True

    def authorize(self, subscription: Any) -> Any:
        if not subscription.watcher:
            raise RemoteProtocolError("Who?", status=403)
        if len(subscription.watcher) > 100:
            return Authorization(state="terminated", status=403)
        return Authorization()

    def notification(self, subscription: Any) -> Any:
        return Notification(content_type=subscription.accept[0], body=b"%d" % subscription.next_version())

    def full_state_due(self, subscription: Any) -> None:
        """Always full."""

    def subscriptions_changed(self, subscriptions: Any) -> None:
        """Does not care."""


class Slow(Plain):
    async def has_resource(self, resource: str) -> Any:
        return await succeed(True)

    def notification(self, subscription: Any) -> Any:
        return succeed(super().notification(subscription))


class PlainTests(EventPackageContract, unittest.TestCase):
    def make_package(self, clock: Clock) -> Any:
        return Plain()


class SlowTests(EventPackageContract, unittest.TestCase):
    def make_package(self, clock: Clock) -> Any:
        return Slow()


def run(package: Any, case: str) -> None:
    class Cases(EventPackageContract):
        def make_package(self, clock: Clock) -> Any:
            return package

    cases = Cases()
    cases.setUp()
    getattr(cases, case)()


def test_faults_are_found() -> None:
    class WrongType(Plain):
        def notification(self, subscription: Any) -> Any:
            return Notification(content_type="application/other", body=b"x")

    class NoType(Plain):
        def notification(self, subscription: Any) -> Any:
            return Notification(body=b"x")

    class Never(Plain):
        def notification(self, subscription: Any) -> Any:
            return Deferred()

    for faulty in (WrongType(), NoType(), Never()):
        with pytest.raises(AssertionError):
            run(faulty, "test_it_tells_the_watcher")

    class Breaks(Plain):
        def authorize(self, subscription: Any) -> Any:
            failed: Deferred[Any] = Deferred()
            failed.errback(ZeroDivisionError())
            return failed

    with pytest.raises(ZeroDivisionError):
        run(Breaks(), "test_the_watcher_is_let_in")
    with pytest.raises(NotImplementedError):
        EventPackageContract().setUp()


def test_the_host_notes_what_it_is_asked() -> None:
    host = FakeHost()
    host.changed("a", "b")
    host.reauthorize("a", "b")
    subscription: Any = object()
    host.notify(subscription)
    host.terminate(subscription, "timeout")
    assert [call[0] for call in host.calls] == ["changed", "reauthorize", "notify", "terminate"]
    assert host.subscriptions("a") == []
