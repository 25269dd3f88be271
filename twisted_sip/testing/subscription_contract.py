"""What every subscription store must do, as test cases (ISubscriptionStore; RFC 6665).

Mix it into a test case of your own, and run that with trial or pytest::

    class MyStoreTests(SubscriptionStoreContract, unittest.TestCase):
        def make_store(self, clock):
            return MyStore(clock)
"""

from __future__ import annotations

import random
import unittest
from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from twisted_sip.errors import StoreError
from twisted_sip.interfaces.subscription import ISubscriptionStore, SubscriptionChange, SubscriptionRecord

#: When the tests begin, in seconds since the epoch.
START = 1_800_000_000.0


def subscription(key: str = "one", *, expires_at: float = START + 3600, **fields: Any) -> SubscriptionRecord:
    """Return a subscription to put into a store."""
    made: dict[str, Any] = {
        "event": "presence",
        "resource": "sip:alice@example.com",
        "watcher": "sip:bob@example.com",
        "state": "active",
        "created_at": START - 1,
        "dialog": "{}",
        "cseq_limit": 4096,
        **fields,
    }
    return SubscriptionRecord(key=key, expires_at=expires_at, **made)


class SubscriptionStoreContract:
    """Test cases for one kind of store.

    :ivar clock: the time the store goes by.
    :ivar store: the store under test, made anew for each case.
    """

    clock: Clock
    store: Any

    # -- for the store's own tests to fill in ---------------------------------------

    def make_store(self, clock: Clock) -> Any:
        """Return an empty store that takes the time from *clock*, whose seconds are seconds since the epoch."""
        raise NotImplementedError

    def crash_and_reopen(self) -> Any:
        """Let go of the store as a crash would and return one that stands on what it left behind.

        Stores that outlive nothing leave this alone.
        """
        raise unittest.SkipTest("this store does not outlive its process")

    def fail_writes(self, failing: bool) -> None:
        """Make the store unable to write, or able again. Stores that cannot fail leave this alone."""
        raise unittest.SkipTest("this store cannot fail")

    def wait(self, value: Any) -> Any:
        """Return the result of *value*, a Deferred or not, or raise its failure.

        Stores with I/O of their own override this.
        """
        if not isinstance(value, Deferred):
            return value
        results: list[Any] = []
        value.addBoth(results.append)
        for _ in range(100):
            if results:
                break
            self.clock.advance(0.01)
        if not results:
            raise AssertionError("the store does not answer")
        if isinstance(results[0], Failure):
            results[0].raiseException()
        return results[0]

    # -- the frame ---------------------------------------------------------------------

    def setUp(self) -> None:
        """Make a store."""
        self.clock = Clock()
        self.clock.advance(START)
        self.store = self.make_store(self.clock)

    def tearDown(self) -> None:
        """Close it; nothing may be left to do."""
        self.wait(self.store.close())
        assert not self.clock.getDelayedCalls(), "a closed store still has calls pending"

    def _commit(self, *records: SubscriptionRecord, remove: Iterable[str] = ()) -> None:
        self.wait(self.store.commit(SubscriptionChange(records, tuple(remove))))

    def _load(self) -> list[SubscriptionRecord]:
        return list(self.wait(self.store.load()))

    def _keys(self) -> list[str]:
        return [record.key for record in self._load()]

    # -- changes --------------------------------------------------------------------------

    def test_provides_the_interface(self) -> None:
        verifyObject(ISubscriptionStore, self.store)

    def test_nothing_is_there_at_first(self) -> None:
        assert self._load() == []

    def test_every_field_comes_back(self) -> None:
        whole = SubscriptionRecord(
            key="odd \udcff key",
            event="presence.winfo",
            event_id="42",
            resource="sip:alice@example.com",
            watcher="sips:bob@[2001:db8::7]",
            state="pending",
            expires_at=START + 0.5,
            created_at=START - 0.25,
            dialog='{"call_id": "a@b"}',
            cseq_limit=2**31 - 1,
            flow="UBMAAgcTxMAAC",
            accept=("application/pidf+xml", "application/xpidf+xml"),
            options='{"rates": [["max-rate", "0.1"]]}',
        )
        plain = subscription("plain")
        self._commit(whole, plain)
        assert self._load() == [whole, plain]

    def test_commit_fires_with_none(self) -> None:
        assert self.wait(self.store.commit(SubscriptionChange((subscription(),)))) is None
        assert self.wait(self.store.commit(SubscriptionChange())) is None

    def test_subscriptions_keep_the_order_of_their_first_making(self) -> None:
        for key in ("c", "a", "b"):
            self._commit(subscription(key))
        self._commit(subscription("c", cseq_limit=1), subscription("a", cseq_limit=1))
        assert self._keys() == ["c", "a", "b"]
        self._commit(remove=["c"])
        self._commit(subscription("c"))
        assert self._keys() == ["a", "b", "c"]

    def test_a_subscription_is_replaced_by_its_key(self) -> None:
        self._commit(subscription("one", state="pending"), subscription("two"))
        self._commit(subscription("one", cseq_limit=8192))
        assert self._load() == [subscription("one", cseq_limit=8192), subscription("two")]

    def test_one_change_may_put_and_remove(self) -> None:
        self._commit(subscription("one"), subscription("two"))
        self._commit(subscription("three"), remove=["one", "unknown"])
        assert self._keys() == ["two", "three"]

    def test_commits_end_in_order(self) -> None:
        ended: list[int] = []
        last: Any = None
        for number in range(200):
            last = self.store.commit(SubscriptionChange((subscription(cseq_limit=number),)))
            last.addCallback(lambda _, number=number: ended.append(number))
        self.wait(last)
        assert ended == list(range(200))
        assert [record.cseq_limit for record in self._load()] == [199]

    def test_what_was_loaded_does_not_change(self) -> None:
        self._commit(subscription("one"))
        before = self.wait(self.store.load())
        self._commit(subscription("two"), remove=["one"])
        assert [record.key for record in before] == ["one"]

    def test_what_has_expired_is_not_loaded(self) -> None:
        self._commit(subscription("short", expires_at=START + 60), subscription("long"))
        self.clock.advance(59.5)
        assert self._keys() == ["short", "long"]
        self.clock.advance(0.5)
        assert self._keys() == ["long"]

    # -- durability ----------------------------------------------------------------------------

    def test_what_was_acknowledged_outlives_a_crash(self) -> None:
        for key in ("c", "a", "b"):
            self._commit(subscription(key))
        self._commit(subscription("a", cseq_limit=2), subscription("odd \udcff"), remove=["b"])
        before = self._load()
        self.store = self.crash_and_reopen()
        assert self._load() == before
        self._commit(subscription("b"), remove=["odd \udcff"])
        self.store = self.crash_and_reopen()
        assert self._keys() == ["c", "a", "b"]

    def test_what_has_expired_stays_away_after_a_crash(self) -> None:
        self._commit(subscription("short", expires_at=START + 60), subscription("long"))
        self.clock.advance(60)
        self.store = self.crash_and_reopen()
        assert self._keys() == ["long"]

    def test_a_change_that_could_not_be_written_is_not_there(self) -> None:
        self._commit(subscription("one"), subscription("two"))
        before = self._load()
        self.fail_writes(True)
        for change in (
            SubscriptionChange((subscription("three"),), ("one",)),
            SubscriptionChange((), ("two",)),
        ):
            try:
                self.wait(self.store.commit(change))
            except StoreError as error:
                assert "\n" not in str(error)
            else:
                raise AssertionError("the change was acknowledged")
            assert self._load() == before
        self.fail_writes(False)
        self._commit(subscription("three"))
        assert self._keys() == ["one", "two", "three"]

    def test_a_closed_store_takes_nothing(self) -> None:
        self._commit(subscription())
        self.wait(self.store.close())
        try:
            self.wait(self.store.commit(SubscriptionChange((subscription("two"),))))
        except StoreError:
            return
        raise AssertionError("the change was acknowledged")

    # -- all together ----------------------------------------------------------------------------

    def test_a_long_random_life(self) -> None:
        for seed in range(3):
            self._live(random.Random(seed))
            self._commit(remove=tuple("abcdef"))

    def _live(self, chance: random.Random) -> None:
        """Do what chance says, and compare with a dict all along."""
        model: dict[str, SubscriptionRecord] = {}
        for number in range(100):
            if chance.random() < 0.2:
                self.clock.advance(chance.choice((0.001, 1.0, 30.0)))
            now = self.clock.seconds()
            removed = tuple(chance.sample("abcdef", chance.randrange(3)))
            added = [
                subscription(key, cseq_limit=number, expires_at=now + chance.choice((5, 60, 600)))
                for key in chance.sample("abcdef", chance.randrange(3))
                if key not in removed
            ]
            last = self.store.commit(SubscriptionChange(tuple(added), removed))
            for key in removed:
                model.pop(key, None)
            model.update((made.key, made) for made in added)
            if chance.random() < 0.3:
                self.wait(last)
                now = self.clock.seconds()
                assert self._load() == [record for record in model.values() if record.expires_at > now]
        self.wait(last)
