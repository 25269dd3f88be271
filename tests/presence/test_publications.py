"""The table of publications: what is durable, what is on its way, what expires (RFC 3903 sections 4.1 and 6)."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from twisted_sip.errors import StoreError, StoreFull
from twisted_sip.interfaces.publication import PublicationChange
from twisted_sip.presence.publication import Publications
from twisted_sip.storage.publication_memory import MemoryPublicationStore
from twisted_sip.testing.observation import LoggedFailures

ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"
ERROR = StoreError("the disk is full")


class Store(MemoryPublicationStore):
    """Writes when it is told to."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.waiting: list[tuple[PublicationChange, Deferred[None]]] = []
        self.slow = True

    def commit(self, change: PublicationChange) -> Deferred[None]:
        if not self.slow:
            return super().commit(change)
        self.waiting.append((change, Deferred()))
        return self.waiting[-1][1]

    def write(self, error: Exception | None = None) -> None:
        """The oldest change that waits is written, or fails."""
        change, acknowledged = self.waiting.pop(0)
        if error is None:
            super().commit(change)
            acknowledged.callback(None)
        else:
            acknowledged.errback(error)


class Table:
    def __init__(self, **how: Any) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.store = Store(self.clock)
        self.told: list[str] = []
        self.outcomes: list[str] = []
        numbers = count(1)
        self.publications = Publications(
            self.store, self.clock, lambda: f"t{next(numbers)}", lambda resource, package: self.changed(resource), **how
        )

    def changed(self, resource: str) -> None:
        self.told.append(resource)

    def publish(self, body: bytes = b"one", expires: int = 100, replaces: Any = None, resource: str = ALICE) -> Any:
        made, committed = self.publications.publish(
            resource, "presence", content_type="a/b", body=body, expires=expires, replaces=replaces
        )
        self.keep(committed)
        return made

    def remove(self, publication: Any) -> None:
        self.keep(self.publications.remove(publication))

    def keep(self, outcome: Deferred[None]) -> None:
        outcome.addCallbacks(lambda _: self.outcomes.append("ok"), lambda failure: self.outcomes.append("failed"))

    def bodies(self, resource: str = ALICE) -> list[bytes]:
        return [each.body for each in self.publications.of(resource, "presence")]

    def tagged(self, publication: Any) -> Any:
        return self.publications.tagged(publication.resource, "presence", publication.etag)

    def check_empty(self) -> None:
        publications = self.publications
        assert len(publications) == 0 and not publications._durable and not publications._tags
        assert not publications._under_way and not len(publications._expiry) and not self.clock.getDelayedCalls()
        assert not len(self.store)


@pytest.fixture
def table() -> Table:
    return Table()


def test_it_is_seen_once_it_is_durable(table: Table) -> None:
    made = table.publish()
    assert table.bodies() == [] and table.tagged(made) is made and len(table.publications) == 1
    table.store.write()
    assert table.bodies() == [b"one"] and table.told == [ALICE] and table.outcomes == ["ok"]
    assert table.publications.resources("presence") == [ALICE] and table.publications.resources("dialog") == []
    table.remove(made)
    assert table.tagged(made) is None and table.bodies() == [b"one"]
    table.store.write()
    assert table.bodies() == [] and table.told == [ALICE] * 2
    table.check_empty()


def test_a_device_that_repeats_itself_has_one_publication(table: Table) -> None:
    table.store.slow = False

    def publish(body: bytes, source: str = "UDP:192.0.2.1:5060") -> Any:
        made, committed = table.publications.publish(
            ALICE, "presence", content_type="a/b", body=body, expires=100, publisher=ALICE, source=source
        )
        table.keep(committed)
        return made

    first, second = publish(b"open"), publish(b"open")
    assert table.bodies() == [b"open"] and len(table.publications) == 1
    # The device may go by either answer, until it has used one.
    assert table.tagged(first) == table.tagged(second) == second
    publish(b"open", "UDP:192.0.2.2:5060")
    table.clock.advance(1)
    publish(b"else")
    assert table.bodies() == [b"open", b"open", b"else"], "another device, or something else to say"
    table.remove(second)
    assert table.bodies() == [b"open", b"else"]
    assert table.tagged(first) is None and table.tagged(second) is None


def test_a_device_that_has_not_heard_of_its_first_publication(table: Table) -> None:
    def publish(body: bytes) -> Any:
        made, committed = table.publications.publish(
            ALICE,
            "presence",
            content_type="a/b",
            body=body,
            expires=100,
            source="UDP:192.0.2.1:5060",
            alike=lambda known: known.body[:2] == body[:2],
        )
        table.keep(committed)
        return made

    first, second = publish(b"t1 unknown"), publish(b"t1 open")
    table.store.write(ERROR)
    table.store.write(ERROR)
    assert table.outcomes == ["failed", "failed"] and not table.bodies()
    assert table.tagged(first) is None and table.tagged(second) is None and not len(table.publications)
    table.store.slow = False
    first, second, third = publish(b"t1 unknown"), publish(b"t1 open"), publish(b"t2 open")
    assert table.bodies() == [b"t1 open", b"t2 open"]
    table.clock.advance(1)
    publish(b"t1 closed")
    assert table.bodies() == [b"t1 open", b"t2 open", b"t1 closed"], "it has heard by now: it means another one"
    table.remove(table.tagged(first))
    assert table.bodies() == [b"t2 open", b"t1 closed"] and table.tagged(third)


def test_a_refresh_tells_nobody(table: Table) -> None:
    made = table.publish()
    table.store.write()
    again = table.publish(replaces=made)
    table.store.write()
    assert again.key == made.key and again.published_at == made.published_at and table.told == [ALICE]


def test_a_first_one_that_fails_leaves_nothing(table: Table) -> None:
    made = table.publish()
    table.store.write(ERROR)
    assert table.outcomes == ["failed"] and table.tagged(made) is None
    table.check_empty()


def test_a_change_that_fails_leaves_all_as_it_was(table: Table) -> None:
    made = table.publish()
    table.store.write()
    changed = table.publish(b"two", replaces=made)
    table.store.write(ERROR)
    assert table.bodies() == [b"one"] and table.tagged(made) is made and table.tagged(changed) is None
    table.remove(made)
    table.store.write(ERROR)
    assert table.bodies() == [b"one"] and table.tagged(made) is made
    assert table.told == [ALICE] and len(table.publications) == 1


def test_who_goes_on_from_a_change_that_fails(table: Table) -> None:
    """The next one has the whole state: it counts, whatever became of the one before."""
    made = table.publish()
    second = table.publish(b"two", replaces=made)
    table.store.write(ERROR)
    assert table.tagged(second) is second and len(table.publications) == 1
    table.store.write()
    assert table.bodies() == [b"two"] and table.told == [ALICE]
    third = table.publish(b"two", replaces=second)
    fourth = table.publish(b"two", replaces=third)
    table.store.write(ERROR)
    table.store.write(ERROR)
    # The third was never durable, but its key is: so the state is, with the entity-tag of the third.
    assert table.tagged(third) is third and table.tagged(fourth) is None
    table.remove(third)
    table.store.write()
    table.check_empty()


def test_two_in_a_row_that_fail(table: Table) -> None:
    made = table.publish()
    table.publish(b"two", replaces=made)
    table.store.write(ERROR)
    table.store.write(ERROR)
    table.check_empty()


def test_expiry(table: Table) -> None:
    table.store.slow = False
    table.publish(expires=100)
    table.publish(b"two", expires=50)
    table.publish(resource=BOB, expires=60)
    table.clock.advance(49)
    assert table.bodies() == [b"one", b"two"]
    table.clock.advance(2)
    assert table.bodies() == [b"one"]
    table.clock.advance(50)
    table.check_empty()
    assert table.told == [ALICE, ALICE, BOB, ALICE, BOB, ALICE]


def test_what_is_refreshed_in_time_does_not_expire_while_the_disk_is_slow(table: Table) -> None:
    """The end of the old one must not take the refreshed one out of the store, behind which it stands in the queue."""
    made = table.publish(expires=100)
    table.store.write()
    table.clock.advance(99)
    again = table.publish(expires=100, replaces=made)
    table.clock.advance(20)
    assert table.bodies() == [b"one"] and table.told == [ALICE] and len(table.store.waiting) == 1
    table.store.write()
    assert table.bodies() == [b"one"] and len(table.store) == 1 and table.tagged(again) is again
    table.store.slow = False
    table.clock.advance(100)
    assert table.told == [ALICE] * 2
    table.check_empty()


@pytest.mark.parametrize("error", [None, ERROR])
def test_what_is_removed_while_it_expires_goes_once(table: Table, error: Any) -> None:
    made = table.publish(expires=100)
    other = table.publish(b"two", expires=300)
    table.store.write()
    table.store.write()
    table.clock.advance(99)
    table.remove(made)
    table.clock.advance(10)
    table.store.write(error)
    table.store.slow = False
    table.clock.advance(0.1)
    while table.store.waiting:
        table.store.write()
    assert table.bodies() == [b"two"] and table.told == [ALICE] * 3 and len(table.publications) == 1
    table.remove(other)
    table.check_empty()


def test_a_refresh_that_fails_when_it_is_too_late(table: Table) -> None:
    made = table.publish(expires=100)
    table.store.write()
    table.clock.advance(99)
    table.publish(replaces=made)
    table.clock.advance(10)
    table.store.write(ERROR)
    assert table.tagged(made) is None
    table.store.slow = False
    table.clock.advance(0.1)
    table.check_empty()
    assert table.told == [ALICE] * 2


def test_two_changes_at_a_time(table: Table) -> None:
    first = table.publish(expires=100)
    table.store.write()
    second = table.publish(b"two", expires=100, replaces=first)
    third = table.publish(b"three", expires=100, replaces=second)
    table.store.write()
    assert table.bodies() == [b"two"] and table.publications._under_way
    table.store.write()
    assert table.bodies() == [b"three"] and not table.publications._under_way
    assert table.tagged(third) is third and len(table.publications) == 1


def test_limits() -> None:
    table = Table(max_publications=3, max_per_resource=2)
    made = [table.publish(), table.publish()]
    with pytest.raises(StoreFull):
        table.publish()
    table.publish(resource=BOB)
    with pytest.raises(StoreFull):
        table.publish(resource="sip:carol@example.com")
    for _ in range(3):
        table.store.write()
    table.publish(b"two", replaces=made[0])
    assert len(table.publications) == 3


def test_after_a_restart(table: Table) -> None:
    table.store.slow = False
    table.publish(expires=100)
    table.publish(b"gone", expires=10)
    table.publications.close()
    assert len(table.publications) == 0 and not table.clock.getDelayedCalls()
    table.store._open = True
    table.clock.advance(20)
    late = Table()
    late.clock, late.store = table.clock, table.store
    for answer in (lambda found: found, succeed):
        found = table.store.load()
        late.publications = Publications(
            late.store, late.clock, lambda: "x", lambda resource, package: late.changed(resource)
        )
        late.store.load = lambda found=found, answer=answer: answer(found)  # type: ignore[method-assign]
        done = Deferred.fromCoroutine(late.publications.load())
        assert done.called and late.bodies() == [b"one"] and late.told == []
    late.clock.advance(100)
    # Each of the two has told it.
    assert late.told == [ALICE] * 2 and late.bodies() == []


def test_what_is_under_way_at_the_end(table: Table) -> None:
    """It becomes durable, and is told to those who wait; nothing begins anew."""
    made = table.publish()
    table.store.write()
    table.publish(b"two", replaces=made)
    table.publish()
    table.remove(made)
    closed: list[None] = []
    table.publications.close().addCallback(closed.append)
    table.store.write()
    table.store.write(ERROR)
    table.store.write()
    assert table.outcomes == ["ok", "ok", "failed", "ok"] and closed and table.told == [ALICE]
    assert len(table.publications) == 0 and not table.clock.getDelayedCalls()
    assert not table.publications._under_way


def test_an_expired_one_that_cannot_be_dropped_is_logged(table: Table) -> None:
    table.store.slow = False
    table.publish(expires=10)
    table.store.commit = lambda change: fail(ERROR)  # type: ignore[method-assign]
    with LoggedFailures() as failures:
        table.clock.advance(11)
    assert table.bodies() == [] and table.told == [ALICE] * 2
    assert failures.texts == ["an expired publication was not dropped: the disk is full"]


def test_what_nobody_could_be_told_of_has_failed(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    made = table.publish()
    table.store.write()

    def changed(resource: str) -> None:
        raise ValueError("not now")

    monkeypatch.setattr(table, "changed", changed)
    table.publish(b"two", replaces=made)
    table.remove(made)
    while table.store.waiting:
        table.store.write()
    assert table.outcomes == ["ok", "failed", "failed"]
