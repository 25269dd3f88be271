"""Packets put into order and held (RFC 3550 section 2.1)."""

import random

import pytest

from twisted_sip.errors import LocalProtocolError
from twisted_sip.media.jitter_buffer import DUPLICATE, LATE, MISSING, TAKEN, JitterBuffer


def buffer(*numbers, least=2, most=10, room=64):
    made = JitterBuffer(least, most, room)
    for number in numbers:
        made.put(number, 0, 160 * number, bytes((number % 256,)))
    return made


def got(made, count):
    found = []
    for _ in range(count):
        packet = made.get()
        found.append("-" if packet is None else "lost" if packet is MISSING else packet.payload[0])
    return found


def test_nothing_is_played_before_it_is_deep_enough():
    made = buffer(0)
    assert got(made, 1) == ["-"] and not made.playing
    made.put(1, 0, 160, b"\1")
    assert got(made, 2) == [0, 1] and made.playing


def test_order_is_made():
    assert got(buffer(2, 0, 3, 1, least=4), 4) == [0, 1, 2, 3]


def test_copies_are_dropped_before_and_after_their_time():
    made = buffer(0, 1, 2)
    assert made.put(1, 0, 0, b"") == DUPLICATE
    got(made, 2)
    assert made.put(1, 0, 0, b"") == DUPLICATE
    assert made.duplicates == 2 and made.late == 0


def test_very_old_ones_are_copies_and_not_late():
    made = buffer(*range(100, 110))
    got(made, 10)
    depth = made.depth
    assert made.put(1, 0, 0, b"") == DUPLICATE and made.depth == depth


def test_what_is_missing_is_told_when_later_ones_are_there():
    made = buffer(0, 1, 3)
    assert got(made, 4) == [0, 1, "lost", 3]
    assert made.concealed == 1
    assert made.put(2, 0, 0, b"") == LATE and made.late == 1


def test_late_ones_make_it_deeper_and_quiet_times_shallower():
    made = buffer(0, 1, 3)
    got(made, 4)
    made.put(2, 0, 0, b"")
    assert made.depth == 3
    for number in range(4, 4 + made.CALM):
        made.put(number, 0, 0, b"\0")
        made.get()
    assert made.depth == 2
    for number in range(300, 300 + made.CALM):
        made.put(number, 0, 0, b"\0")
        made.get()
    assert made.depth == 2


def test_the_depth_has_an_end():
    made = buffer(0, 1, 5, most=3)
    got(made, 6)
    for number in range(2, 5):
        assert made.put(number, 0, 0, b"") == LATE
        assert made.put(number, 0, 0, b"") == DUPLICATE
    assert made.depth == 3


def test_what_was_missed_long_ago_is_forgotten():
    made = buffer(0, 1, 3)
    for number in range(5, 205, 2):
        got(made, 2)
        made.put(number, 0, 0, b"\0")
    assert made.put(2, 0, 0, b"") == DUPLICATE and made.put(198, 0, 0, b"") == LATE


def test_run_dry_it_fills_up_again():
    made = buffer(0, 1)
    assert got(made, 3) == [0, 1, "-"] and not made.playing
    made.put(2, 0, 0, b"\2")
    assert got(made, 1) == ["-"]
    made.put(3, 0, 0, b"\3")
    assert got(made, 2) == [2, 3]


def test_the_end_of_a_talk_spurt_is_played_though_nothing_follows():
    made = buffer(0, least=3)
    assert got(made, 5) == ["-", "-", "-", 0, "-"]


def test_jitter_makes_it_deeper():
    made = buffer()
    made.widen(0.03, 0.02)
    assert made.depth == 6
    made.widen(0.001, 0.02)
    assert made.depth == 6
    made.widen(5.0, 0.02)
    assert made.depth == 10


def test_clocks_that_run_apart_are_kept_together():
    made = buffer(0, 1)
    number = 2
    for turn in range(5000):
        made.put(number, 0, 0, b"\0")
        number += 1
        if not turn % 50:
            made.put(number, 0, 0, b"\0")
            number += 1
        made.get()
    assert made.dropped > 50 and len(made) < 12


def test_a_flood_is_bounded():
    made = buffer(*range(200), room=20)
    assert len(made) == 20 and made.dropped == 180
    assert got(made, 1) == [180]


def test_a_source_that_begins_anew():
    made = buffer(0, 1, 2)
    got(made, 2)
    assert made.put(50000, 0, 0, b"\5") == TAKEN
    assert len(made) == 1 and made.depth == 2


def test_other_limits():
    made = buffer(least=2, most=10)
    made.limit(4, 20)
    assert made.depth == 4
    made.limit(1, 2)
    assert made.depth == 2
    made.limit(500, 1000)
    assert made.depth == 64


@pytest.mark.parametrize("limits", [(0, 1, 2), (3, 2, 5), (1, 9, 8)])
def test_limits_are_in_order(limits):
    with pytest.raises(LocalProtocolError):
        JitterBuffer(*limits)


@pytest.mark.parametrize("seed", range(20))
def test_any_network_keeps_order_and_bounds(seed):
    chance = random.Random(seed)
    arrivals = sorted(
        (number * 0.02 + chance.random() * 0.12, number) for number in range(500) if chance.random() > 0.05
    )
    made = JitterBuffer(2, 12)
    played = []
    place = 0
    for turn in range(700):
        while place < len(arrivals) and arrivals[place][0] <= turn * 0.02:
            made.put(arrivals[place][1], 0, 0, arrivals[place][1].to_bytes(2, "big"))
            place += 1
        packet = made.get()
        if packet is not None and packet is not MISSING:
            played.append(int.from_bytes(packet.payload, "big"))
        assert len(made) <= 64
    assert played == sorted(set(played))
    assert len(played) + made.late + made.dropped + made.duplicates == len(arrivals)
    assert len(played) > 0.9 * len(arrivals)


def test_numbers_that_the_sender_left_out_are_skipped():
    made = buffer(0, 1)
    assert got(made, 1) == [0]
    made.put(200, 0, 0, bytes((200,)))
    made.put(201, 0, 0, bytes((201,)))
    assert got(made, 3) == [1, 200, 201] and not made.concealed


def test_what_comes_in_a_heap_does_not_stay_late():
    made = buffer(*range(50))
    assert got(made, 3) == [0, 48, 49] and made.dropped == 47
    assert made.put(3, 0, 0, b"") == DUPLICATE


def test_the_more_is_held_the_sooner_some_is_left_out():
    made = buffer(*range(8))
    for number in range(8, 8 + 2 * made.EXCESS):
        made.get()
        made.put(number, 0, 0, b"")
    assert len(made) <= 4


def test_a_late_one_holds_the_reader_up_once():
    made = buffer(0, 1, 3, 4, 5)
    assert got(made, 4) == [0, 1, "lost", 3]
    made.put(2, 0, 0, b"")
    assert got(made, 3) == ["lost", 4, 5] and made.concealed == 1
    made = buffer(0, 1, 3, 4, 5, 6, 7)
    assert got(made, 3) == [0, 1, "lost"]
    made.put(2, 0, 0, b"")
    assert got(made, 2) == [3, 4], "there is enough already"
