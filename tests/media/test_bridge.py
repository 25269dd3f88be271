"""Who hears whom."""

import math
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


@pytest.mark.parametrize("speaker", [0, 1, 2])
@pytest.mark.parametrize("lengths", [(160, 240, 160), (80, 160, 480), (160, 160, 161)])
def test_frames_of_several_lengths_lose_nothing(lengths, speaker):
    bridge = Bridge()
    parties = [bridge.join() for _ in lengths]
    said = array("h", [n * 7919 % 20011 for n in range(24_000)])
    heard = [array("h") for _ in lengths]
    written, read = [0] * 3, [0] * 3
    for now in range(16_000):
        for place, length in enumerate(lengths):
            while written[place] <= now:
                sound = said[written[place] : written[place] + length].tobytes()
                parties[place].write(sound if place == speaker else bytes(len(sound)))
                written[place] += length
            while read[place] + length <= now:
                heard[place].frombytes(parties[place].read(length))
                read[place] += length
    for place in {0, 1, 2} - {speaker}:
        begin = said.index(heard[place][8000])
        assert 7000 < begin < 8500 and heard[place][8000:12_000] == said[begin : begin + 4000]


def test_three_who_shout_are_turned_down_and_not_cut():
    bridge = Bridge()
    parties = [bridge.join() for _ in range(3)]
    wave = [int(30_000 * math.sin(2 * math.pi * 400 * n / 8000)) for n in range(160)]
    for _ in range(20):
        for party in parties:
            party.write(array("h", wave).tobytes())
        heard = [party.read(160) for party in parties]
    found = array("h", heard[0])
    gain = max(found) / max(wave)
    assert max(found) > 32_000 and all(abs(a - gain * b) < 3 for a, b in zip(found, wave, strict=True))
    for _ in range(60):
        assert parties[0].read(160) is not None
    assert parties[0]._gain == 1.0
