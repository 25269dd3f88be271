"""Requests that wait for a device, and devices that are woken to renew (RFC 8599 sections 5.2, 5.5 and 5.6.2)."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from zope.interface import implementer

from twisted_sip.interfaces.location import Binding, LocationChange
from twisted_sip.interfaces.push import IPushNotifier, PushNotification
from twisted_sip.registrar.push_bucket import PushBucket
from twisted_sip.registrar.settings import PushSettings
from twisted_sip.storage.location_memory import MemoryLocationStore

NOW = 1_800_000_000.0
AOR = "sip:alice@example.com"
PUSH = "apns team.app.voip 00%20fc"


@implementer(IPushNotifier)
class Sent:
    """Notes what is sent."""

    def __init__(self) -> None:
        self.all: list[PushNotification] = []
        self.answer: Any = None

    def notify(self, notification: PushNotification) -> Any:
        self.all.append(notification)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Later:
    """A store that answers later, as one in a network does."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.asked: list[tuple[Deferred[Any], Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def bindings(self) -> Deferred[Any]:
        return self._later(list(self.store.bindings()))

    def lookup(self, aor: str) -> Deferred[Any]:
        return self._later(self.store.lookup(aor))

    def _later(self, found: Any) -> Deferred[Any]:
        waiting: Deferred[Any] = Deferred()
        self.asked.append((waiting, found))
        return waiting

    def answer(self) -> None:
        asked, self.asked = self.asked, []
        for waiting, found in asked:
            waiting.callback(found)


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(NOW)
    return clock


@pytest.fixture
def store(clock: Clock) -> MemoryLocationStore:
    return MemoryLocationStore(clock)


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def bucket(clock: Clock, store: MemoryLocationStore, sent: Sent) -> Any:
    made = PushBucket(sent, store, clock, PushSettings(providers=("apns",), max_waiting=3, max_waiting_per_device=2))
    yield made
    made.stop()
    store.close()
    assert len(made) == 0
    assert not clock.getDelayedCalls()


def bind(store: Any, clock: Clock, **fields: Any) -> Binding:
    how: dict[str, Any] = {
        "key": "k", "contact": "sip:alice@192.0.2.7", "call_id": "c", "cseq": 1, "expires_at": clock.seconds() + 3600,
        "registered_at": clock.seconds(), "push": PUSH, **fields,
    }  # fmt: skip
    binding = Binding(aor=AOR, **how)
    store.commit(LocationChange(AOR, (binding,)))
    return binding


def outcome(waiting: Deferred[Any]) -> list[Any]:
    found: list[Any] = []
    waiting.addBoth(found.append)
    return found


def test_a_device_sleeps_some_time_after_it_has_registered(bucket: PushBucket, store: Any, clock: Clock) -> None:
    binding = bind(store, clock)
    assert not bucket.asleep(binding)
    clock.advance(10)
    assert bucket.asleep(binding)


def test_it_is_woken_and_comes(bucket: PushBucket, store: Any, clock: Clock, sent: Sent) -> None:
    binding = bind(store, clock)
    one, other = outcome(bucket.wake(binding, "INVITE")), outcome(bucket.wake(binding, "MESSAGE"))
    assert sent.all == [
        PushNotification(provider="apns", param="team.app.voip", prid="00 fc", aor=AOR, method="INVITE")
    ], "once for both, escapes undone"
    clock.advance(2)
    # Section 5.3: the push parameters are what counts, whatever else has changed.
    fresh = bind(store, clock, key="elsewhere", contact="sip:alice@198.51.100.9", cseq=2)
    assert one == other == [], "the 200 goes first"
    clock.advance(0)
    assert one == other == [fresh]
    outcome(bucket.wake(binding, "INVITE"))
    assert len(sent.all) == 2


def test_another_device_of_the_user_is_another_one(bucket: PushBucket, store: Any, clock: Clock, sent: Sent) -> None:
    one = outcome(bucket.wake(bind(store, clock), "INVITE"))
    other = outcome(bucket.wake(bind(store, clock, key="o", push="apns x y"), "INVITE"))
    clock.advance(1)
    assert (one, len(sent.all)) == ([], 2)
    bind(store, clock, key="o", push="apns x y", cseq=2)
    bind(store, clock, key="desk", push="")
    clock.advance(1)
    assert one == [] and len(other) == 1


@pytest.mark.parametrize(("method", "seconds"), [("INVITE", 15), ("MESSAGE", 5)])
def test_it_does_not_come(bucket: PushBucket, store: Any, clock: Clock, method: str, seconds: int) -> None:
    waiting = outcome(bucket.wake(bind(store, clock), method))
    clock.advance(seconds - 0.1)
    assert waiting == []
    clock.advance(0.2)
    assert waiting == [None]


def test_it_unregisters(bucket: PushBucket, store: Any, clock: Clock) -> None:
    waiting = outcome(bucket.wake(bind(store, clock), "INVITE"))
    store.commit(LocationChange(AOR, remove=("k",)))
    clock.advance(0)
    assert waiting == [None]


def test_so_many_wait_and_no_more(bucket: PushBucket, store: Any, clock: Clock, sent: Sent) -> None:
    one, other = bind(store, clock), bind(store, clock, key="o", push="apns x y")
    waiting = [bucket.wake(one, "INVITE") for _ in range(2)]
    assert outcome(bucket.wake(one, "INVITE")) == [None], "of one device"
    waiting.append(bucket.wake(other, "INVITE"))
    assert outcome(bucket.wake(other, "INVITE")) == [None], "of all"
    assert len(bucket) == 3
    waiting[0].cancel()
    assert len(bucket) == 2
    assert outcome(waiting[0]) == [None]
    assert outcome(bucket.wake(one, "INVITE")) == []


@pytest.mark.parametrize("answer", [ValueError("no key"), fail(ValueError("no key"))])
def test_no_notification_no_device(bucket: PushBucket, store: Any, clock: Clock, sent: Sent, answer: Any) -> None:
    """Section 5.6.2."""
    sent.answer = answer
    assert outcome(bucket.wake(bind(store, clock), "INVITE")) == [None]


def test_a_notifier_that_is_a_coroutine(bucket: PushBucket, store: Any, clock: Clock, sent: Sent) -> None:
    async def send() -> None:
        raise ValueError("gone")

    sent.answer = send()
    assert outcome(bucket.wake(bind(store, clock), "INVITE")) == [None]


def test_a_nudge_waits_for_nobody(bucket: PushBucket, store: Any, clock: Clock, sent: Sent) -> None:
    binding = bind(store, clock)
    bucket.nudge(binding, "MESSAGE")
    assert sent.all == [], "it is awake"
    clock.advance(60)
    bucket.nudge(binding, "MESSAGE")
    assert [each.method for each in sent.all] == ["MESSAGE"]
    bucket.wake(binding, "INVITE")
    bucket.nudge(binding, "MESSAGE")
    assert len(sent.all) == 2, "it is being woken"


def test_it_is_woken_to_renew(bucket: PushBucket, store: Any, clock: Clock, sent: Sent) -> None:
    """Section 5.5: once, 120 seconds before the end or earlier."""
    bind(store, clock)
    bind(store, clock, key="later", push="apns x y", expires_at=clock.seconds() + 4000)
    bind(store, clock, key="desk", push="", expires_at=clock.seconds() + 100)
    clock.advance(3449)
    assert sent.all == []
    clock.advance(2)
    assert [(each.method, each.prid) for each in sent.all] == [("REGISTER", "00 fc")]
    bind(store, clock, cseq=2)
    clock.advance(400)
    assert [each.prid for each in sent.all[1:]] == ["y"]
    clock.advance(3051)
    assert [each.prid for each in sent.all[2:]] == ["00 fc"]


def test_also_after_a_restart(clock: Clock, store: Any, sent: Sent) -> None:
    bind(store, clock)
    bucket = PushBucket(sent, store, clock, PushSettings(providers=("apns",)))
    bucket.start()
    clock.advance(3500)
    assert len(sent.all) == 1
    bucket.stop()


def test_stores_that_answer_later(clock: Clock, store: Any, sent: Sent) -> None:
    bind(store, clock)
    bind(store, clock, key="later", push="apns x y", expires_at=clock.seconds() + 4000)
    later = Later(store)
    bucket = PushBucket(sent, later, clock, PushSettings(providers=("apns",)))
    bucket.start()
    later.answer()
    clock.advance(3451)
    later.answer()
    assert len(sent.all) == 1
    clock.advance(400)
    later.asked.pop()[0].errback(ValueError("no answer"))
    bucket.stop()


def test_never_where_that_is_set(clock: Clock, store: Any, sent: Sent) -> None:
    bucket = PushBucket(sent, store, clock, attrs.evolve(PushSettings(providers=("apns",)), refresh_before=0))
    bind(store, clock)
    bucket.start()
    clock.advance(3599)
    assert sent.all == []
    bucket.stop()


def test_what_waits_when_it_stops(clock: Clock, store: Any, sent: Sent) -> None:
    bucket = PushBucket(sent, store, clock, PushSettings(providers=("apns",)))
    waiting = outcome(bucket.wake(bind(store, clock), "INVITE"))
    bucket.stop()
    assert waiting == [None]
