"""What every location store must do, as test cases (ILocationStore; RFC 3261 section 10.3).

Mix it into a test case of your own, and run that with trial or pytest::

    class MyStoreTests(LocationStoreContract, unittest.TestCase):
        def make_store(self, clock):
            return MyStore(clock)
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from twisted_sip.errors import StoreError
from twisted_sip.interfaces.location import Binding, ILocationStore, LocationChange
from twisted_sip.testing.store_contract import StoreContract
from twisted_sip.testing.waiting import START

ALICE = "sip:alice@example.com"
BOB = "sip:bob@example.com"


def binding(key: str = "one", aor: str = ALICE, *, expires_at: float = START + 3600, **fields: Any) -> Binding:
    """Return a binding to put into a store."""
    made = {"contact": f"sip:{key}@192.0.2.7", "call_id": "call", "cseq": 1, **fields}
    return Binding(aor=aor, key=key, expires_at=expires_at, **made)


def put(*bindings: Binding, remove: Iterable[str] = ()) -> LocationChange:
    """Return the change that puts *bindings*, all of one address-of-record."""
    return LocationChange(bindings[0].aor, bindings, tuple(remove))


class LocationStoreContract(StoreContract):
    """Test cases for one kind of store."""

    # -- for the store's own tests to fill in ---------------------------------------

    def make_store(self, clock: Clock) -> Any:
        """Return an empty store that takes the time from *clock*, whose seconds are seconds since the epoch."""
        raise NotImplementedError

    def _commit(self, *bindings: Binding, remove: Iterable[str] = ()) -> None:
        aor = bindings[0].aor if bindings else ALICE
        self.wait(self.store.commit(LocationChange(aor, bindings, tuple(remove))))

    def _lookup(self, aor: str = ALICE) -> list[Binding]:
        return list(self.wait(self.store.lookup(aor)))

    def _keys(self, aor: str = ALICE) -> list[str]:
        return [found.key for found in self._lookup(aor)]

    # -- look-ups and changes ------------------------------------------------------------

    def test_provides_the_interface(self) -> None:
        verifyObject(ILocationStore, self.store)

    def test_nothing_is_bound_at_first(self) -> None:
        assert self._lookup() == []
        assert list(self.wait(self.store.bindings())) == []

    def test_every_field_comes_back(self) -> None:
        whole = Binding(
            aor=ALICE,
            key="<urn:uuid:1>|2",
            contact="sip:alice@[2001:db8::7]:5062;transport=tcp",
            call_id="call",
            cseq=2**31 - 1,
            expires_at=START + 0.5,
            q=0,
            params=';+sip.instance="<urn:uuid:1>";reg-id=2;audio',
            path=("<sip:a.example.net;lr>", '"B, b" <sip:b.example.net;lr;ob>'),
            instance="<urn:uuid:1>",
            reg_id=2,
            flow="token",
            received="TCP:[2001:db8::7]:5062",
            user_agent="Größe/1.0 \udcff",
            registered_at=START - 0.25,
            node="n1",
            series="3.0123456789abcdef",
            push="apns team.app.voip 00%20fc\udcff",
        )
        self._commit(whole)
        assert self._lookup() == [whole]
        assert list(self.wait(self.store.bindings())) == [whole]

    def test_a_change_is_seen_at_once(self) -> None:
        acknowledged = self.store.commit(put(binding()))
        assert self._keys() == ["one"]
        self.wait(acknowledged)
        assert self._keys() == ["one"]

    def test_the_way_without_a_deferred_is_the_same(self) -> None:
        commit_then = getattr(self.store, "commit_then", None)
        if commit_then is None:
            # Nobody has to offer it.
            return
        waited: Deferred[Any] = Deferred()
        self.store.commit(put(binding("a")))
        commit_then(put(binding("b")), waited.callback)
        assert self._keys() == ["a", "b"]
        assert self.wait(waited) is None
        assert self._keys() == ["a", "b"]

    def test_commit_fires_with_none(self) -> None:
        assert self.wait(self.store.commit(put(binding()))) is None
        assert self.wait(self.store.commit(LocationChange(ALICE))) is None

    def test_bindings_keep_the_order_of_their_first_making(self) -> None:
        for key in ("c", "a", "b"):
            self._commit(binding(key))
        self._commit(binding("c", cseq=2), binding("a", cseq=2))
        assert self._keys() == ["c", "a", "b"]
        self._commit(remove=["c"])
        self._commit(binding("c"))
        assert self._keys() == ["a", "b", "c"]

    def test_a_binding_is_replaced_by_its_key(self) -> None:
        self._commit(binding("one", contact="sip:old@192.0.2.1"), binding("two"))
        self._commit(binding("one", contact="sip:new@192.0.2.1", cseq=2))
        assert [found.contact for found in self._lookup()] == ["sip:new@192.0.2.1", "sip:two@192.0.2.7"]

    def test_one_change_may_put_and_remove(self) -> None:
        self._commit(binding("one"), binding("two"))
        self._commit(binding("three"), remove=["one", "unknown"])
        assert self._keys() == ["two", "three"]

    def test_addresses_of_record_are_apart(self) -> None:
        self._commit(binding("one"))
        self._commit(binding("one", BOB, cseq=7))
        self._commit(remove=["one"])
        assert self._keys() == []
        assert [found.cseq for found in self._lookup(BOB)] == [7]
        assert [found.aor for found in self.wait(self.store.bindings())] == [BOB]

    def test_what_was_looked_up_does_not_change(self) -> None:
        self._commit(binding("one"))
        before: Sequence[Binding] = self.wait(self.store.lookup(ALICE))
        self._commit(binding("two"), remove=["one"])
        assert [found.key for found in before] == ["one"]

    def test_commits_of_one_address_of_record_end_in_order(self) -> None:
        ended: list[int] = []
        last: Any = None
        for number in range(200):
            last = self.store.commit(put(binding("one", cseq=number)))
            last.addCallback(lambda _, number=number: ended.append(number))
        self.wait(last)
        assert ended == list(range(200))
        assert self._lookup()[0].cseq == 199

    # -- expiry ------------------------------------------------------------------------------

    def test_a_binding_ends_when_its_time_is_over(self) -> None:
        self._commit(binding("short", expires_at=START + 60), binding("long", expires_at=START + 90))
        self.clock.advance(START + 59.9 - self.clock.seconds())
        assert self._keys() == ["short", "long"]
        self.clock.advance(START + 60 - self.clock.seconds())
        assert self._keys() == ["long"]
        assert [found.key for found in self.wait(self.store.bindings())] == ["long"]
        self.clock.advance(30)
        assert self._keys() == []

    def test_a_refresh_puts_the_end_off_and_may_bring_it_near(self) -> None:
        self._commit(binding(expires_at=START + 60))
        self._commit(binding(expires_at=START + 600))
        self.clock.advance(300)
        assert self._keys() == ["one"]
        self._commit(binding(expires_at=START + 400))
        self.clock.advance(110)
        assert self._keys() == []

    def test_observers_hear_of_an_expiry_once(self) -> None:
        self._commit(binding("one", expires_at=START + 60), binding("two", expires_at=START + 120))
        heard: list[LocationChange] = []
        self.store.observe(heard.append)
        self.clock.advance(61)
        self.wait(None)
        assert heard == [LocationChange(ALICE, (), ("one",))]
        self.clock.advance(60)
        assert heard[1:] == [LocationChange(ALICE, (), ("two",))]
        self.clock.advance(10_000)
        assert len(heard) == 2

    def test_a_binding_that_was_removed_does_not_expire(self) -> None:
        self._commit(binding(expires_at=START + 60))
        self._commit(remove=["one"])
        heard: list[LocationChange] = []
        self.store.observe(heard.append)
        self.clock.advance(100)
        assert heard == []

    # -- observers -----------------------------------------------------------------------------

    def test_observers_hear_of_durable_changes_in_order(self) -> None:
        heard: list[LocationChange] = []
        end = self.store.observe(heard.append)
        changes = [put(binding("one")), put(binding("two"), remove=["one"]), put(binding("b", BOB))]
        for change in changes:
            self.wait(self.store.commit(change))
        assert heard == changes
        end()
        self._commit(binding("three"))
        assert heard == changes
        end()

    # -- durability ----------------------------------------------------------------------------

    def test_what_was_acknowledged_outlives_a_crash(self) -> None:
        for key in ("c", "a", "b"):
            self._commit(binding(key))
        self._commit(binding("a", cseq=2), remove=["b"])
        self._commit(binding("odd \udcff key", BOB))
        before = self._lookup(), self._lookup(BOB)
        self.store = self.crash_and_reopen()
        assert (self._lookup(), self._lookup(BOB)) == before
        self._commit(binding("b"), remove=["c"])
        self._commit(binding("x", BOB), remove=["odd \udcff key"])
        self.store = self.crash_and_reopen()
        assert (self._keys(), self._keys(BOB)) == (["a", "b"], ["x"])

    def test_what_has_expired_stays_away_after_a_crash(self) -> None:
        self._commit(binding("short", expires_at=START + 60), binding("long"))
        self.clock.advance(50)
        self.store = self.crash_and_reopen()
        heard: list[LocationChange] = []
        self.store.observe(heard.append)
        self.clock.advance(10)
        assert (self._keys(), heard) == (["long"], [LocationChange(ALICE, (), ("short",))])
        self.store = self.crash_and_reopen()
        assert self._keys() == ["long"]

    def test_a_change_that_could_not_be_written_is_undone(self) -> None:
        self._commit(binding("one"), binding("two"))
        before = self._lookup()
        heard: list[LocationChange] = []
        self.store.observe(heard.append)
        self.fail_writes(True)
        for change in (
            put(binding("three"), remove=["one"]),
            put(binding("b", BOB)),
            LocationChange(ALICE, (), ("two",)),
        ):
            acknowledged = self.store.commit(change)
            try:
                self.wait(acknowledged)
            except StoreError as error:
                assert "\n" not in str(error)
            else:
                raise AssertionError("the change was acknowledged")
            assert self._lookup() == before
        assert self._lookup(BOB) == []
        assert heard == []
        self.fail_writes(False)
        self._commit(binding("three"))
        assert self._keys() == ["one", "two", "three"]
        assert len(heard) == 1

    def test_changes_that_fail_together_are_undone_together(self) -> None:
        self._commit(binding("one"))
        before = self._lookup()
        self.fail_writes(True)
        ended: list[Any] = []
        for number in range(2, 6):
            self.store.commit(put(binding(str(number)), remove=[str(number - 1)])).addBoth(ended.append)
        last = self.store.commit(put(binding("b", BOB)))
        try:
            self.wait(last)
        except StoreError:
            assert all(isinstance(result, Failure) for result in ended) and len(ended) == 4
        else:
            raise AssertionError("the change was acknowledged")
        assert self._lookup() == before
        self.fail_writes(False)

    # -- all together ----------------------------------------------------------------------------

    def test_a_long_random_life(self) -> None:
        for seed in range(5):
            self._live(random.Random(seed))
            self.wait(self.store.close())
            self.store = self.make_store(self.clock)

    def _live(self, chance: random.Random) -> None:
        """Do what chance says, and compare with a dict all along."""
        model: dict[str, dict[str, Binding]] = {ALICE: {}, BOB: {}}
        last: Any = None
        for number in range(150):
            aor = chance.choice((ALICE, BOB))
            if chance.random() < 0.2:
                self.clock.advance(chance.choice((0.001, 1.0, 30.0)))
            now = self.clock.seconds()
            for known in model.values():
                for key in [key for key, found in known.items() if found.expires_at <= now]:
                    del known[key]
            removed = tuple(chance.sample("abcde", chance.randrange(3)))
            added = [
                binding(key, aor, cseq=number, expires_at=now + chance.choice((5, 60, 600)))
                for key in chance.sample("abcde", chance.randrange(3))
                if key not in removed
            ]
            last = self.store.commit(LocationChange(aor, tuple(added), removed))
            for key in removed:
                model[aor].pop(key, None)
            model[aor].update((made.key, made) for made in added)
            for owner, known in model.items():
                assert self._lookup(owner) == list(known.values())
        self.wait(last)
        now = self.clock.seconds()
        everything = {(found.aor, found.key): found for found in self.wait(self.store.bindings())}
        alive = [found for known in model.values() for found in known.values() if found.expires_at > now]
        assert everything == {(found.aor, found.key): found for found in alive}
        for owner, known in model.items():
            self.wait(self.store.commit(LocationChange(owner, (), tuple(known))))
            assert self._lookup(owner) == []

    def test_evolved_bindings_are_values(self) -> None:
        first = binding()
        self._commit(first)
        assert self._lookup()[0] == first != attrs.evolve(first, cseq=2)
