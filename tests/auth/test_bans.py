"""Bans: what counts, who is banned, how it ends, and that attackers cannot grow the tables."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from twisted_sip.auth.bans import KNOWN_FOR, Ban, Bans
from twisted_sip.auth.settings import AuthSettings
from twisted_sip.message.hosts import source_of


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make(clock: Clock, **settings: float) -> Bans:
    return Bans(AuthSettings(**settings), clock.seconds)  # type: ignore[arg-type]


def fail(bans: Bans, source: str, user: str, times: int) -> Ban | None:
    ban = None
    for guess in range(times):
        ban = bans.failed(source, user, f"{user}-{guess}")
    return ban


def test_one_user_of_one_source_is_banned(clock: Clock) -> None:
    bans = make(clock, ban_failures=3, ban_time=60)
    assert fail(bans, "192.0.2.1", "alice", 2) is None
    assert not bans.banned("192.0.2.1", "alice")
    ban = bans.failed("192.0.2.1", "alice", "last")
    assert ban == Ban("192.0.2.1", "alice", 3, 60.0)
    assert bans.banned("192.0.2.1", "alice")
    # One bad phone does not ban an office, nor the user elsewhere.
    assert not bans.banned("192.0.2.1", "bob")
    assert not bans.banned("192.0.2.1")
    assert not bans.banned("192.0.2.2", "alice")
    assert bans.list() == (ban,)


def test_a_name_that_nobody_has_bans_no_office(clock: Clock) -> None:
    """Without a name (it is hashed, RFC 7616 section 3.4.4) a ban would be one of all who are there."""
    bans = make(clock, ban_failures=3, ban_users=2)
    assert fail(bans, "192.0.2.1", "", 10) is None
    assert not bans.banned("192.0.2.1") and not bans.banned("192.0.2.1", "bob")
    # It counts as one of several.
    ban = fail(bans, "192.0.2.1", "bob", 1)
    assert ban is not None and not ban.user and bans.banned("192.0.2.1")


def test_a_ban_ends(clock: Clock) -> None:
    bans = make(clock, ban_failures=1, ban_time=60)
    fail(bans, "192.0.2.1", "alice", 1)
    clock.advance(59)
    assert bans.banned("192.0.2.1", "alice")
    clock.advance(1)
    assert bans.list() == ()
    assert not bans.banned("192.0.2.1", "alice")
    bans.expire()
    assert len(bans._bans) == 0


def test_the_same_answer_again_is_a_retransmission(clock: Clock) -> None:
    bans = make(clock, ban_failures=2)
    for _ in range(20):
        assert bans.failed("192.0.2.1", "alice", "same") is None
    assert bans.failed("192.0.2.1", "alice", "other") is not None


def test_failures_are_forgotten_after_the_window(clock: Clock) -> None:
    bans = make(clock, ban_failures=3, ban_window=100)
    fail(bans, "192.0.2.1", "alice", 2)
    clock.advance(100)
    assert fail(bans, "192.0.2.1", "alice", 2) is None
    assert fail(bans, "192.0.2.1", "alice", 1) is not None


def test_a_cracker_of_many_users_is_banned_as_a_source(clock: Clock) -> None:
    bans = make(clock, ban_users=5)
    for number in range(4):
        assert bans.failed("192.0.2.1", f"user{number}", "x") is None
    ban = bans.failed("192.0.2.1", "user4", "x")
    assert ban == Ban("192.0.2.1", "", 5, 600.0)
    assert bans.banned("192.0.2.1") and bans.banned("192.0.2.1", "anybody")
    assert not bans.banned("192.0.2.2")


def test_a_banned_source_spares_users_known_from_there(clock: Clock) -> None:
    bans = make(clock, ban_users=2, ban_failures=10, ban_time=10 * KNOWN_FOR)
    bans.succeeded("192.0.2.1", "alice")
    clock.advance(3601)
    bans.succeeded("192.0.2.1", "alice")
    bans.failed("192.0.2.1", "one", "x")
    bans.failed("192.0.2.1", "two", "x")
    assert not bans.banned("192.0.2.1", "alice")
    assert bans.banned("192.0.2.1", "one")
    # Guessing at the known user bans the pair.
    fail(bans, "192.0.2.1", "alice", 10)
    assert bans.banned("192.0.2.1", "alice")
    bans.lift("192.0.2.1", "alice")
    clock.advance(KNOWN_FOR)
    assert bans.banned("192.0.2.1", "alice")


def test_distinct_users_count_within_the_window(clock: Clock) -> None:
    bans = make(clock, ban_users=2, ban_window=10)
    bans.failed("192.0.2.1", "one", "x")
    clock.advance(10)
    assert bans.failed("192.0.2.1", "two", "x") is None


def test_nobody_is_banned_where_it_is_switched_off(clock: Clock) -> None:
    bans = make(clock, ban_users=0, ban_failures=0)
    assert all(fail(bans, "192.0.2.1", f"user{number}", 30) is None for number in range(30))
    assert not bans.banned("192.0.2.1", "user1")


def test_observers_hear_of_bans_until_they_leave(clock: Clock) -> None:
    bans = make(clock, ban_failures=1)
    heard: list[Ban] = []
    leave = bans.observe(heard.append)
    fail(bans, "192.0.2.1", "alice", 1)
    leave()
    fail(bans, "192.0.2.1", "bob", 1)
    assert heard == [Ban("192.0.2.1", "alice", 1, 600.0)]


def test_lifting(clock: Clock) -> None:
    bans = make(clock, ban_failures=1)
    for user in ("alice", "bob", "carol"):
        fail(bans, "192.0.2.1", user, 1)
    fail(bans, "192.0.2.9", "alice", 1)
    assert bans.lift("192.0.2.1", "nobody") == 0
    assert bans.lift("192.0.2.1", "bob") == 1
    assert not bans.banned("192.0.2.1", "bob") and bans.banned("192.0.2.1", "alice")
    assert bans.lift("192.0.2.1") == 2
    assert [ban.source for ban in bans.list()] == ["192.0.2.9"]


def test_lifting_forgets_the_failures_too(clock: Clock) -> None:
    bans = make(clock, ban_failures=2, ban_users=0)
    fail(bans, "192.0.2.1", "alice", 1)
    assert bans.lift("192.0.2.1") == 0
    assert bans.failed("192.0.2.1", "alice", "another") is None


def test_what_counts_as_one_source() -> None:
    assert source_of("192.0.2.1") == "192.0.2.1"
    assert source_of("2001:db8::1") == source_of("2001:db8:0:0:ffff::2") == "2001:db8::/64"
    assert source_of("2001:db8::/64") == "2001:db8::/64"
    assert source_of("2001:db8:0:1::1") != source_of("2001:db8::1")
    assert source_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert source_of("::1") == "::1"
    assert source_of("fe80::1%eth0") == "fe80::1%eth0"
    assert source_of("no:address") == "no:address"


def test_a_network_is_banned_and_lifted_by_any_of_its_names(clock: Clock) -> None:
    bans = make(clock, ban_failures=1)
    fail(bans, "2001:db8::1", "alice", 1)
    assert bans.banned("2001:db8::ffff", "alice")
    assert bans.lift("2001:db8::/64") == 1
    assert not bans.banned("2001:db8::1", "alice")


def test_attackers_do_not_grow_the_tables(clock: Clock) -> None:
    bans = make(clock, ban_failures=1, ban_users=3, max_bans=1000)
    for number in range(100_000):
        source = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        bans.failed(source, "x" * 5000, "guess")
        bans.succeeded(source, "y" * 5000)
    assert len(bans) <= 4000
    assert all(len(ban.user) <= 128 for ban in bans.list())
    clock.advance(KNOWN_FOR)
    bans.expire()
    assert len(bans) == 0


def test_old_rows_go_as_new_ones_come(clock: Clock) -> None:
    bans = make(clock, ban_failures=0, ban_users=0, ban_window=10)
    for number in range(20):
        bans.failed(f"192.0.2.{number}", "alice", "x")
    clock.advance(11)
    for number in range(10):
        bans.failed(f"198.51.100.{number}", "alice", "x")
    assert len(bans) == 10


def test_one_source_with_many_users_keeps_few_rows(clock: Clock) -> None:
    bans = make(clock, ban_users=20)
    made = 0
    while not bans.banned("192.0.2.1", f"user{made}"):
        bans.failed("192.0.2.1", f"user{made}", "x")
        made += 1
    assert made == 20
    assert len(bans) <= 22
