"""Who hears whom."""

from array import array

import pytest

from twisted_sip.errors import LocalProtocolError
from twisted_sip.media.bridge import Bridge


def frame(value, samples=4):
    return array("h", [value] * samples).tobytes()


def turn(parties, values):
    heard = []
    for party, value in zip(parties, values, strict=True):
        if value is not None:
            party.write(frame(value))
    for party in parties:
        heard.append(party.read(4))
    return heard


def test_two_hear_each_other_as_they_are():
    bridge = Bridge()
    a, b = bridge.join("a"), bridge.join("b")
    assert turn([a, b], [5, 7]) == [frame(7), frame(5)]
    assert turn([a, b], [5, None]) == [b"", frame(5)]
    b.write(frame(1, 6))
    assert a.read(4) == frame(1, 4) and a.read(4) == frame(1, 2)


def test_three_hear_all_but_themselves():
    bridge = Bridge()
    parties = [bridge.join() for _ in range(3)]
    turn(parties, [0, 0, 0])
    assert turn(parties, [1, 10, 100]) == [frame(110), frame(101), frame(11)]
    assert turn(parties, [1, None, 100]) == [frame(100), frame(101), frame(1)]


def test_sums_are_held_at_the_ends():
    bridge = Bridge()
    parties = [bridge.join() for _ in range(3)]
    assert turn(parties, [32767, 32767, -5]) == [frame(32762), frame(32762), frame(32767)]


def test_the_muted_are_not_heard_and_hear():
    bridge = Bridge()
    parties = [bridge.join() for _ in range(3)]
    parties[0].muted = True
    assert turn(parties, [1, 10, 100]) == [frame(110), frame(100), frame(10)]
    bridge.leave(parties[2])
    assert turn(parties[:2], [1, 10]) == [frame(10), b""]


def test_who_has_left_hears_nothing_and_is_not_heard():
    bridge = Bridge()
    parties = [bridge.join() for _ in range(3)]
    parties[0].close()
    parties[0].close()
    assert parties[0].read(4) is None
    assert turn(parties[1:], [10, 100]) == [frame(100), frame(10)]
    parties[1].close()
    assert parties[2].read(4) == frame(0)


def test_what_nobody_fetches_does_not_pile_up():
    bridge = Bridge()
    a, b = bridge.join(), bridge.join()
    for value in range(500):
        a.write(frame(value, 160))
    assert b.read(10000)[-2:] == frame(499, 1) and len(a._said) == 0
    a.write(bytes(320))
    a.write(bytes(100_000))
    assert len(a._said) <= 1600


def test_frames_of_another_length_are_fetched_anyhow():
    bridge = Bridge()
    parties = [bridge.join() for _ in range(3)]
    for party in parties:
        party.write(frame(3))
    assert parties[0].read(4) == frame(6)
    assert len(parties[1].read(8)) == 16


def test_a_bridge_has_room_for_so_many():
    bridge = Bridge(most=1)
    bridge.join()
    with pytest.raises(LocalProtocolError):
        bridge.join()
