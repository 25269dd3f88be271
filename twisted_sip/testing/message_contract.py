"""What every message store must do, as test cases (IMessageStore; RFC 3428 section 7).

Mix it into a test case of your own, and run that with trial or pytest::

    class MyStoreTests(MessageStoreContract, unittest.TestCase):
        def make_store(self, clock, **limits):
            return MyStore(clock, **limits)
"""

from __future__ import annotations

import random
from typing import Any

from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from twisted_sip.errors import QuotaExceeded, StoreError, StoreFull
from twisted_sip.interfaces.message_store import IMessageStore, StoredMessage
from twisted_sip.testing.made_messages import ALICE, BOB, START, message
from twisted_sip.testing.store_contract import StoreContract


class MessageStoreContract(StoreContract):
    """Test cases for one kind of store."""

    # -- for the store's own tests to fill in ---------------------------------------

    def make_store(self, clock: Clock, **limits: int) -> Any:
        """Return an empty store that takes the time from *clock*, whose seconds are seconds since the epoch.

        :param limits: ``per_user``, ``bytes_per_user``, ``messages``, ``bytes``: what may be kept, where it matters.
        """
        raise NotImplementedError

    def _another(self, **limits: int) -> None:
        self.wait(self.store.close())
        self.store = self.make_store(self.clock, **limits)

    def _add(self, *messages: StoredMessage) -> None:
        for one in messages:
            assert self.wait(self.store.add(one)) is None

    def _remove(self, *keys: str) -> None:
        assert self.wait(self.store.remove(keys)) is None

    def _refused(self, one: StoredMessage, error: type[StoreError] = StoreError) -> None:
        try:
            self.wait(self.store.add(one))
        except error as found:
            assert "\n" not in str(found)
        else:
            raise AssertionError("the message was taken")

    def _waiting(self, recipient: str = BOB) -> list[StoredMessage]:
        return list(self.wait(self.store.waiting(recipient)))

    def _keys(self, recipient: str = BOB) -> list[str]:
        return [found.key for found in self._waiting(recipient)]

    def _recipients(self) -> set[str]:
        return set(self.wait(self.store.recipients()))

    def _expired(self) -> list[str]:
        return [found.key for found in self.wait(self.store.expired())]

    # -- adding and removing -------------------------------------------------------------

    def test_provides_the_interface(self) -> None:
        verifyObject(IMessageStore, self.store)

    def test_nothing_waits_at_first(self) -> None:
        assert (self._waiting(), self._recipients(), self._expired()) == ([], set(), [])

    def test_every_field_comes_back(self) -> None:
        whole = StoredMessage(
            key="k \udcff",
            recipient=BOB,
            sender="sip:gr\udcfc\udcdfe@example.com",
            from_value='"Größe \udcff" <sip:alice@example.com>;tag=7',
            to_value="<sip:bob@example.com>",
            call_id="c@h",
            cseq=2**31 - 1,
            received_at=START - 0.25,
            expires_at=START + 0.5,
            headers=(("Subject", "größer \udcff"), ("X-Two", "1"), ("X-Two", "2")),
            body=b"\x00\xff whole",
            instance="urn:x:\udcff",
        )
        self._add(whole)
        assert self._waiting() == [whole]
        assert self._recipients() == {BOB}

    def test_messages_wait_in_the_order_in_which_they_came(self) -> None:
        ended: list[str] = []
        last: Any = None
        for number in range(100):
            last = self.store.add(message(f"{number % 7}-{number}"))
            last.addCallback(lambda _, number=number: ended.append(f"{number % 7}-{number}"))
        self.wait(last)
        assert self._keys() == ended == [f"{number % 7}-{number}" for number in range(100)]

    def test_recipients_are_apart(self) -> None:
        self._add(message("one"), message("two", ALICE))
        self._remove("one", "unknown")
        assert (self._keys(), self._keys(ALICE), self._recipients()) == ([], ["two"], {ALICE})

    def test_the_same_message_is_kept_once(self) -> None:
        self._add(message("one"), message("two"), message("one"))
        assert self._keys() == ["one", "two"]
        both = [self.store.add(message("three")), self.store.add(message("three"))]
        assert [self.wait(done) for done in both] == [None, None]
        assert self._keys() == ["one", "two", "three"]
        self._remove("one")
        self._add(message("one"))
        assert self._keys() == ["two", "three", "one"]

    def test_what_is_removed_waits_no_more_at_once(self) -> None:
        self._add(message("one"), message("two"))
        removed = self.store.remove(["one"])
        assert self._keys() == ["two"]
        assert self.wait(removed) is None

    def test_what_is_removed_before_it_is_durable_never_waits(self) -> None:
        added = self.store.add(message("one"))
        self._remove("one")
        assert self.wait(added) is None
        assert self._keys() == []
        self._add(message("one"))
        assert self._keys() == ["one"]

    def test_what_was_given_does_not_change(self) -> None:
        self._add(message("one"))
        before = self.wait(self.store.waiting(BOB))
        self._add(message("two"))
        self._remove("one")
        assert [found.key for found in before] == ["one"]

    # -- limits ------------------------------------------------------------------------------

    def test_a_recipient_may_have_so_many(self) -> None:
        self._another(per_user=2)
        self._add(message("one"), message("two"), message("other", ALICE))
        self._refused(message("three"), QuotaExceeded)
        self._add(message("two"))
        self._remove("one")
        self._add(message("three"))
        assert self._keys() == ["two", "three"]

    def test_a_recipient_may_have_so_much(self) -> None:
        self._another(bytes_per_user=5000)
        self._add(message("one", body=b"x" * 3000))
        self._refused(message("two", body=b"x" * 3000), QuotaExceeded)
        self._add(message("small"), message("other", ALICE, body=b"x" * 3000))
        assert self._keys() == ["one", "small"]

    def test_there_may_be_so_many(self) -> None:
        self._another(messages=2)
        self._add(message("one"), message("two", ALICE))
        self._refused(message("three", "sip:carol@example.com"), StoreFull)
        self._remove("two")
        self._add(message("three", "sip:carol@example.com"))

    def test_there_may_be_so_much(self) -> None:
        self._another(bytes=5000)
        self._add(message("one", body=b"x" * 3000))
        self._refused(message("two", ALICE, body=b"x" * 3000), StoreFull)
        assert self._keys(ALICE) == []

    def test_limits_hold_for_what_is_not_durable_yet(self) -> None:
        self._another(per_user=2)
        first = [self.store.add(message(key)) for key in ("one", "two")]
        self._refused(message("three"), QuotaExceeded)
        assert [self.wait(done) for done in first] == [None, None]

    def test_what_has_expired_counts_for_no_quota(self) -> None:
        self._another(per_user=2, bytes_per_user=8000)
        self._add(message("short", expires_at=START + 60, body=b"x" * 5000), message("long"))
        self.clock.advance(61)
        self._add(message("three", body=b"x" * 4000))
        self._refused(message("four"), QuotaExceeded)
        assert self._keys() == ["long", "three"]

    # -- expiry -------------------------------------------------------------------------------

    def test_what_has_expired_waits_no_more(self) -> None:
        self._add(message("short", expires_at=START + 60), message("long", expires_at=START + 90))
        self.clock.advance(START + 59.5 - self.clock.seconds())
        assert (self._keys(), self._expired()) == (["short", "long"], [])
        self.clock.advance(0.5)
        assert (self._keys(), self._expired()) == (["long"], ["short"])
        assert self._expired() == ["short"], "until it is removed"
        self.clock.advance(30)
        assert (self._recipients(), self._expired()) == (set(), ["short", "long"])
        self._remove("short", "long")
        assert self._expired() == []

    def test_many_may_expire(self) -> None:
        for number in range(150):
            self._add(message(str(number), f"sip:{number}@example.com", expires_at=START + 150 - number))
        self.clock.advance(200)
        seen: list[str] = []
        for _ in range(150):
            found = self._expired()
            if not found:
                break
            seen += found
            self._remove(*found)
        assert seen == [str(number) for number in range(149, -1, -1)]

    # -- observers -----------------------------------------------------------------------------

    def test_observers_hear_of_changes(self) -> None:
        heard: list[tuple[str, int]] = []
        end = self.store.observe(lambda recipient: heard.append((recipient, len(self._waiting(recipient)))))
        self._add(message("one"), message("two"), message("three", ALICE))
        self._remove("one", "three", "unknown")
        assert heard == [(BOB, 1), (BOB, 2), (ALICE, 1), (BOB, 1), (ALICE, 0)]
        end()
        self._add(message("four"))
        assert len(heard) == 5
        end()

    def test_an_observer_that_fails_harms_nobody(self) -> None:
        def broken(recipient: str) -> None:
            raise ZeroDivisionError

        heard: list[str] = []
        self.store.observe(broken)
        self.store.observe(heard.append)
        self._add(message("one"))
        assert heard == [BOB]

    # -- durability ----------------------------------------------------------------------------

    def test_what_was_acknowledged_outlives_a_crash(self) -> None:
        self._add(message("b"), message("a"), message("odd \udcff", ALICE), message("gone"))
        self._remove("gone")
        before = self._waiting(), self._waiting(ALICE)
        self.store = self.crash_and_reopen()
        assert (self._waiting(), self._waiting(ALICE)) == before
        self._add(message("c"), message("b"))
        self._remove("a", "odd \udcff")
        self.store = self.crash_and_reopen()
        assert (self._keys(), self._recipients()) == (["b", "c"], {BOB})

    def test_what_expires_meanwhile_is_told_after_a_crash(self) -> None:
        self._add(message("short", expires_at=START + 60), message("long"))
        self.clock.advance(61)
        self.store = self.crash_and_reopen()
        assert (self._keys(), self._expired()) == (["long"], ["short"])
        self._remove("short")
        self.store = self.crash_and_reopen()
        assert self._expired() == []

    def test_a_message_that_could_not_be_written_never_waits(self) -> None:
        self._add(message("one"))
        heard: list[str] = []
        self.store.observe(heard.append)
        self.fail_writes(True)
        self._refused(message("two"))
        self._refused(message("two"))
        twice = [self.store.add(message("three")) for _ in range(2)]
        for done in twice:
            done.addErrback(lambda failure: failure.trap(StoreError) and None)
            assert self.wait(done) is None
        assert (self._keys(), heard) == (["one"], [])
        self.fail_writes(False)
        self._add(message("two"))
        self.store = self.crash_and_reopen()
        assert self._keys() == ["one", "two"]

    def test_room_for_what_could_not_be_written_is_given_back(self) -> None:
        self._another(per_user=1)
        self.fail_writes(True)
        self._refused(message("one"))
        self.fail_writes(False)
        self._add(message("two"))
        assert self._keys() == ["two"]

    def test_a_removal_that_could_not_be_written(self) -> None:
        self._add(message("one"), message("two"), message("three"))
        self.fail_writes(True)
        for key in ("one", "two"):
            try:
                self.wait(self.store.remove([key]))
            except StoreError:
                assert self._keys() == {"one": ["two", "three"], "two": ["three"]}[key], "delivered is delivered"
            else:
                raise AssertionError("the removal was acknowledged")
        self.fail_writes(False)
        # With the next change it goes from the disk too, and what is added again stays.
        self._add(message("two"))
        self.store = self.crash_and_reopen()
        assert self._keys() == ["three", "two"]

    # -- all together ----------------------------------------------------------------------------

    def test_a_long_random_life(self) -> None:
        for seed in range(5):
            self._live(random.Random(seed))
            self._another()

    def _live(self, chance: random.Random) -> None:
        """Do what chance says, and compare with a dict all along."""
        model: dict[str, StoredMessage] = {}
        for _ in range(150):
            if chance.random() < 0.2:
                self.clock.advance(chance.choice((0.001, 1.0, 30.0)))
            now = self.clock.seconds()
            key = chance.choice("abcdefgh")
            if chance.random() < 0.6:
                made = message(key, chance.choice((ALICE, BOB)), expires_at=now + chance.choice((5, 60, 600)))
                # The key tells a message from all others, so what is known by it is that message.
                made = model.get(key, made)
                self._add(made)
                model.setdefault(key, made)
            else:
                self._remove(key)
                model.pop(key, None)
            now = self.clock.seconds()
            for recipient in (ALICE, BOB):
                alive = [one for one in model.values() if one.recipient == recipient and one.expires_at > now]
                assert self._waiting(recipient) == alive
            assert set(self._expired()) == {one.key for one in model.values() if one.expires_at <= now}
        self._remove(*model)
        assert (self._recipients(), self._expired()) == (set(), [])
