"""What every store of expiring records must do, as test cases: publications (RFC 3903), subscriptions (RFC 6665).

The contract of each kind says what its records look like; a test case of your own says how the store is made.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from twisted_sip.errors import StoreError
from twisted_sip.testing.store_contract import StoreContract
from twisted_sip.testing.waiting import START


class RecordStoreContract(StoreContract):
    """Test cases for one kind of store of records."""

    #: The interface that the store provides, and how a record is made and named in a change.
    interface: Any

    # -- for the contract of a kind of record to fill in -------------------------------

    def record(self, key: str = "one", *, number: int = 0, expires_at: float = START + 3600) -> Any:
        """Return a record to put into a store; *number* makes records with one key differ."""
        raise NotImplementedError

    def whole_record(self) -> Any:
        """Return a record in which no field is as it would be if nobody gave it."""
        raise NotImplementedError

    def change(self, put: Iterable[Any] = (), remove: Iterable[str] = ()) -> Any:
        """Return the change that puts records and removes those with the keys in *remove*."""
        raise NotImplementedError

    # -- for the store's own tests to fill in ---------------------------------------

    def make_store(self, clock: Clock) -> Any:
        """Return an empty store that takes the time from *clock*, whose seconds are seconds since the epoch."""
        raise NotImplementedError

    def _commit(self, *records: Any, remove: Iterable[str] = ()) -> None:
        self.wait(self.store.commit(self.change(records, remove)))

    def _load(self) -> list[Any]:
        return list(self.wait(self.store.load()))

    def _keys(self) -> list[str]:
        return [record.key for record in self._load()]

    # -- changes --------------------------------------------------------------------------

    def test_provides_the_interface(self) -> None:
        verifyObject(self.interface, self.store)

    def test_nothing_is_there_at_first(self) -> None:
        assert self._load() == []

    def test_every_field_comes_back(self) -> None:
        whole, plain = self.whole_record(), self.record("plain")
        self._commit(whole, plain)
        assert self._load() == [whole, plain]

    def test_commit_fires_with_none(self) -> None:
        assert self.wait(self.store.commit(self.change((self.record(),)))) is None
        assert self.wait(self.store.commit(self.change())) is None

    def test_records_keep_the_order_of_their_first_making(self) -> None:
        for key in ("c", "a", "b"):
            self._commit(self.record(key))
        self._commit(self.record("c", number=1), self.record("a", number=1))
        assert self._keys() == ["c", "a", "b"]
        self._commit(remove=["c"])
        self._commit(self.record("c"))
        assert self._keys() == ["a", "b", "c"]

    def test_a_record_is_replaced_by_its_key(self) -> None:
        self._commit(self.record("one", number=7), self.record("two"))
        self._commit(self.record("one", number=8192))
        assert self._load() == [self.record("one", number=8192), self.record("two")]

    def test_one_change_may_put_and_remove(self) -> None:
        self._commit(self.record("one"), self.record("two"))
        self._commit(self.record("three"), remove=["one", "unknown"])
        assert self._keys() == ["two", "three"]

    def test_commits_end_in_order(self) -> None:
        ended: list[int] = []
        last: Any = None
        for number in range(200):
            last = self.store.commit(self.change((self.record(number=number),)))
            last.addCallback(lambda _, number=number: ended.append(number))
        self.wait(last)
        assert ended == list(range(200))
        assert self._load() == [self.record(number=199)]

    def test_what_was_loaded_does_not_change(self) -> None:
        self._commit(self.record("one"))
        before = self.wait(self.store.load())
        self._commit(self.record("two"), remove=["one"])
        assert [record.key for record in before] == ["one"]

    def test_what_has_expired_is_not_loaded(self) -> None:
        self._commit(self.record("short", expires_at=START + 60), self.record("long"))
        self.clock.advance(59.5)
        assert self._keys() == ["short", "long"]
        self.clock.advance(0.5)
        assert self._keys() == ["long"]

    # -- durability ----------------------------------------------------------------------------

    def test_what_was_acknowledged_outlives_a_crash(self) -> None:
        for key in ("c", "a", "b"):
            self._commit(self.record(key))
        self._commit(self.record("a", number=2), self.record("odd \udcff"), remove=["b"])
        before = self._load()
        self.store = self.crash_and_reopen()
        assert self._load() == before
        self._commit(self.record("b"), remove=["odd \udcff"])
        self.store = self.crash_and_reopen()
        assert self._keys() == ["c", "a", "b"]

    def test_what_has_expired_stays_away_after_a_crash(self) -> None:
        self._commit(self.record("short", expires_at=START + 60), self.record("long"))
        self.clock.advance(60)
        self.store = self.crash_and_reopen()
        assert self._keys() == ["long"]

    def test_a_change_that_could_not_be_written_is_not_there(self) -> None:
        self._commit(self.record("one"), self.record("two"))
        before = self._load()
        self.fail_writes(True)
        for change in (
            self.change((self.record("three"),), ("one",)),
            self.change((), ("two",)),
        ):
            try:
                self.wait(self.store.commit(change))
            except StoreError as error:
                assert "\n" not in str(error)
            else:
                raise AssertionError("the change was acknowledged")
            assert self._load() == before
        self.fail_writes(False)
        self._commit(self.record("three"))
        assert self._keys() == ["one", "two", "three"]

    def test_a_closed_store_takes_nothing(self) -> None:
        self._commit(self.record())
        self.wait(self.store.close())
        try:
            self.wait(self.store.commit(self.change((self.record("two"),))))
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
        model: dict[str, Any] = {}
        for number in range(100):
            if chance.random() < 0.2:
                self.clock.advance(chance.choice((0.001, 1.0, 30.0)))
            now = self.clock.seconds()
            removed = tuple(chance.sample("abcdef", chance.randrange(3)))
            added = [
                self.record(key, number=number, expires_at=now + chance.choice((5, 60, 600)))
                for key in chance.sample("abcdef", chance.randrange(3))
                if key not in removed
            ]
            last = self.store.commit(self.change(tuple(added), removed))
            for key in removed:
                model.pop(key, None)
            model.update((made.key, made) for made in added)
            if chance.random() < 0.3:
                self.wait(last)
                now = self.clock.seconds()
                assert self._load() == [record for record in model.values() if record.expires_at > now]
        self.wait(last)
