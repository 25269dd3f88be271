"""Push notifications that an HTTP service sends (RFC 8599 section 5.6.2)."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, TimeoutError, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone

from twisted_sip.errors import LocalProtocolError
from twisted_sip.interfaces.push import PushNotification
from twisted_sip.registrar.push_http import HTTPPushNotifier, PushFailed

URL = "https://push.example.com/wake"
NOTIFICATION = PushNotification(
    provider="apns", param="t.a.voip", prid="00fc", aor="sip:alice@example.com", method="INVITE"
)


class Service:
    """Stands for treq.post and what it gives."""

    def __init__(self, code: int = 202, body: bytes = b"{}") -> None:
        self.code = code
        self.body = body
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.slow = self.endless = False
        self.transport = StringTransport()
        self.waiting: list[Deferred[Any]] = []

    def post(self, url: str, **how: Any) -> Deferred[Any]:
        self.asked.append((url, how))
        if not self.slow:
            return succeed(self)
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def deliverBody(self, protocol: Any) -> None:
        protocol.makeConnection(self.transport)
        protocol.dataReceived(self.body)
        if not self.endless:
            protocol.connectionLost(Failure(ResponseDone()))


def outcome(service: Service, clock: Clock | None = None) -> list[Any]:
    found: list[Any] = []
    notifier = HTTPPushNotifier(URL, clock or Clock(), post=service.post)
    notifier.notify(NOTIFICATION).addBoth(found.append)
    return found


def test_the_service_is_told_all_it_needs() -> None:
    service = Service()
    assert outcome(service) == [None]
    ((url, how),) = service.asked
    assert url == URL
    assert how["json"] == {
        "provider": "apns", "param": "t.a.voip", "prid": "00fc", "aor": "sip:alice@example.com", "method": "INVITE",
    }  # fmt: skip
    assert how["allow_redirects"] is False
    # Else treq keeps the whole of an answer, however long.
    assert how["unbuffered"] is True


@pytest.mark.parametrize("code", [301, 404, 410, 500])
def test_everything_but_2xx_is_a_failure(code: int) -> None:
    (failure,) = outcome(Service(code))
    assert failure.check(PushFailed) and str(code) in str(failure.value)


def test_a_service_that_says_too_much() -> None:
    service = Service(200, b"x" * 100_000)
    (failure,) = outcome(service)
    assert failure.check(PushFailed) and service.transport.disconnecting


def test_a_service_that_goes_on_for_ever() -> None:
    """It keeps neither a device that is to be woken nor a connection."""
    service, clock = Service(), Clock()
    service.endless = True
    found = outcome(service, clock)
    clock.advance(5)
    assert found[0].check(TimeoutError) and service.transport.disconnecting


def test_a_service_that_says_nothing() -> None:
    service, clock = Service(), Clock()
    service.slow = True
    found = outcome(service, clock)
    clock.advance(5)
    assert found[0].check(TimeoutError)


def test_renewals_are_asked_for_a_few_at_a_time() -> None:
    """Thousands may be due in one moment; a call does not wait for them."""
    service = Service()
    service.slow = True
    notifier = HTTPPushNotifier(URL, Clock(), post=service.post)
    for _ in range(50):
        notifier.notify(attrs.evolve(NOTIFICATION, method="REGISTER"))
    assert len(service.asked) == 20
    notifier.notify(NOTIFICATION)
    assert len(service.asked) == 21
    for waiting in service.waiting[:5]:
        waiting.callback(service)
    assert len(service.asked) == 26
    service.slow = False
    for waiting in service.waiting[5:]:
        waiting.callback(service)
    assert len(service.asked) == 51


@pytest.mark.parametrize("url", ["", "ftp://push.example.com", "https://", "http://[::1", "https://a b", "http://h:x/"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(LocalProtocolError, match="http"):
        HTTPPushNotifier(url, Clock())
