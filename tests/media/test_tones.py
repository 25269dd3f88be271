"""Tones, and keys in the sound (Q.23, Q.24): made and found, and not found in speech."""

import math
import random
from array import array

import pytest

from twisted_sip.errors import LocalProtocolError
from twisted_sip.media.dtmf_detector import KeyDetector
from twisted_sip.media.pcm import level, mix, scaled
from twisted_sip.media.tones import KEY_TONES, TONES, Cadence, KeySource, ToneSource, key_sound, tone


def whole(source, samples=160):
    parts = []
    while (piece := source.read(samples)) is not None:
        parts.append(piece)
    return b"".join(parts)


def detected(sound, piece=320):
    told = []
    detector = KeyDetector(lambda key, held: told.append((key, held)))
    for start in range(0, len(sound), piece):
        detector.write(sound[start : start + piece])
    detector.close()
    return "".join(key for key, _ in told), [held for _, held in told]


def noise(samples, size, seed=1):
    chance = random.Random(seed)
    return array("h", [int(chance.gauss(0, size)) for _ in range(samples)]).tobytes()


def two(key, seconds, low=1.0, high=1.0, off=1.0, size=5000):
    row, column = KEY_TONES[key]
    turns = 2 * math.pi * off / 8000
    return array(
        "h",
        [
            int(size * (low * math.sin(turns * row * n) + high * math.sin(turns * column * n)))
            for n in range(int(8000 * seconds))
        ],
    ).tobytes()


def speech(seconds, seed):
    # Vowels: harmonics of a gliding pitch under two resonances, in syllables.
    chance = random.Random(seed)
    result = array("h")
    phase = 0.0
    while len(result) < 8000 * seconds:
        pitch, one, other = chance.uniform(85, 260), chance.uniform(300, 900), chance.uniform(900, 2500)
        glide = chance.uniform(-0.3, 0.3)
        weights = [
            (k, 1 / (1 + ((k * pitch - one) / 120) ** 2) + 0.7 / (1 + ((k * pitch - other) / 150) ** 2) + 0.02)
            for k in range(1, int(3600 / pitch))
        ]
        length = int(8000 * chance.uniform(0.08, 0.3))
        for n in range(length):
            phase += 2 * math.pi * pitch * (1 + glide * n / length) / 8000
            value = sum(weight * math.sin(k * phase) for k, weight in weights)
            result.append(int(max(-32000, min(32000, 4000 * value * math.sin(math.pi * n / length)))))
        result.extend([0] * int(8000 * chance.uniform(0, 0.1)))
    return result.tobytes()


@pytest.mark.parametrize("rate", [8000, 16000])
def test_a_tone_has_its_cadence(rate):
    source = tone("busy", "us", rate)
    on, off = source.read(rate // 2), source.read(rate // 2)
    assert level(on) > -20 and level(off) == -127.0
    assert source.read(rate // 2) == on


def test_every_country_has_every_tone():
    for country, tones in TONES.items():
        assert set(tones) == {"dial", "ringback", "busy", "congestion"}
        assert tone("dial", country).read(160)
    assert tone("busy", "xx").read(8000) == tone("busy", "eu").read(8000)
    with pytest.raises(LocalProtocolError):
        tone("beep")
    with pytest.raises(LocalProtocolError):
        ToneSource(Cadence(()))


def test_a_tone_may_end():
    source = ToneSource(Cadence(((0.01, (400,)),), repeat=2))
    assert len(source.read(120)) == 240 and len(source.read(120)) == 80 and source.read(120) is None


def test_all_keys_are_found_at_q24_times():
    keys, held = detected(whole(KeySource("0123456789*#ABCD", 0.065, 0.065)))
    assert keys == "0123456789*#ABCD"
    assert all(abs(one - 0.065) < 0.03 for one in held)


def test_a_comma_and_a_key_without_sound():
    assert len(whole(KeySource("1,2", 0.1, 0.1))) == 2 * (800 + 800 + 8000 + 800 + 800)
    assert key_sound("!", 0.01, 8000) == bytes(160)
    assert key_sound("a", 0.01, 8000) == key_sound("A", 0.01, 8000)


def test_the_same_key_twice_is_two_keys():
    assert detected(whole(KeySource("1122", 0.08, 0.08)))[0] == "1122"


def test_a_long_key_is_one_key():
    keys, held = detected(key_sound("5", 2.0, 8000) + bytes(1600))
    assert keys == "5" and abs(held[0] - 2.0) < 0.03


def test_pieces_of_any_size_make_no_difference():
    sound = whole(KeySource("159D", 0.08, 0.08))
    assert detected(sound, 6) == detected(sound, 4000)


@pytest.mark.parametrize("seed", range(5))
def test_keys_are_found_in_noise(seed):
    sound = whole(KeySource("0123456789*#ABCD", 0.1, 0.1))
    # 15 dB between signal and noise.
    loud = noise(len(sound) // 2, 32768 * 10 ** ((level(key_sound("5", 0.1, 8000)) - 15) / 20), seed)
    assert detected(mix(sound, loud))[0] == "0123456789*#ABCD"


@pytest.mark.parametrize("size", [0.05, 0.3, 3.0])
def test_keys_are_found_at_any_level(size):
    assert detected(scaled(whole(KeySource("147*", 0.1, 0.1)), size))[0] == "147*"


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.56), (0.45, 1.0)])
def test_twist_within_q24_is_accepted(low, high):
    sound = b"".join(two(key, 0.1, low, high) + bytes(1600) for key in "159#")
    assert detected(sound)[0] == "159#"


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.3), (0.25, 1.0)])
def test_more_twist_is_refused(low, high):
    assert detected(b"".join(two(key, 0.1, low, high) + bytes(1600) for key in "159#"))[0] == ""


@pytest.mark.parametrize("off", [0.985, 1.015])
def test_frequencies_may_be_a_little_off(off):
    assert detected(b"".join(two(key, 0.1, off=off) + bytes(1600) for key in "147*369#"))[0] == "147*369#"


def test_frequencies_of_no_key_are_refused():
    assert detected(two("5", 0.2, off=1.06))[0] == ""


def test_short_ones_single_tones_and_network_tones_are_refused():
    assert detected(key_sound("5", 0.02, 8000) + bytes(800))[0] == ""
    for one in (two("5", 0.2, high=0), two("5", 0.2, low=0)):
        assert detected(one)[0] == ""
    for tones in TONES.values():
        for cadence in tones.values():
            assert detected(ToneSource(cadence).read(8000))[0] == ""


def test_a_gap_of_a_block_does_not_part_a_key():
    sound = key_sound("5", 0.08, 8000) + bytes(2 * 60) + key_sound("5", 0.08, 8000) + bytes(1600)
    assert detected(sound)[0] == "5"


@pytest.mark.parametrize("seed", range(4))
def test_speech_has_no_keys(seed):
    assert detected(speech(12, seed))[0] == ""
