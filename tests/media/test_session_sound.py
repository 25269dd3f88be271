"""Sound through a simulated network: what is said is heard."""

import math
from array import array
from operator import mul

import pytest
from twisted.logger import globalLogPublisher

from twisted_sip.errors import LocalProtocolError
from twisted_sip.media.bridge import Bridge
from twisted_sip.media.codecs.opus import is_available
from twisted_sip.media.pcm import level, samples_of
from twisted_sip.media.tones import KeySource, tone


def melody(seconds, rate=8000):
    # A glide: no two pieces of it are alike.
    return array(
        "h",
        [
            int(9000 * math.sin(2 * math.pi * (300 * n / rate + 200 * (n / rate) ** 2)))
            for n in range(int(seconds * rate))
        ],
    ).tobytes()


def correlation(heard, said):
    """The best normalised correlation over all delays up to half a second, in steps of a sample."""
    a, b = samples_of(heard), samples_of(said)
    best = 0.0
    for delay in range(4000):
        piece = a[delay : delay + 4000]
        if len(piece) < 4000:
            break
        top = sum(map(mul, piece, b))
        size = math.sqrt(sum(map(mul, piece, piece)) * sum(map(mul, b[:4000], b[:4000])) or 1)
        best = max(best, top / size)
    return best


def test_what_is_said_is_heard(pair, ear, voice):
    pair.agree()
    heard = ear()
    pair.b.record(heard)
    said = melody(2)
    done = []
    pair.a.play(voice(said)).addCallback(done.append)
    pair.run(3)
    assert done == [True]
    assert correlation(heard.heard, said) > 0.99
    numbers = pair.b.statistics()
    assert numbers.packets_lost == numbers.packets_refused == numbers.packets_late == 0
    assert numbers.mos > 4.3 and numbers.jitter < 0.002


def test_echo_comes_back(pair, ear, voice):
    pair.agree()
    heard = ear()
    pair.a.record(heard)
    pair.b.echo()
    said = melody(1)
    pair.a.play(voice(said))
    pair.run(2)
    assert correlation(heard.heard, said) > 0.99
    pair.b.echo(False)
    heard.heard = b""
    pair.run(0.5)
    assert level(heard.heard[-1600:]) == -127.0


@pytest.mark.parametrize("codec", ["PCMA", "L16/16000", "opus"])
def test_every_codec_carries_it(pair_of, ear, voice, codec):
    if codec == "opus" and not is_available():
        pytest.skip("libopus is not installed")
    pair = pair_of({"codecs": (codec,)}, {"codecs": (codec, "PCMU")})
    pair.agree()
    heard = ear()
    pair.b.record(heard)
    said = melody(1)
    pair.a.play(voice(said))
    pair.run(2)
    assert correlation(heard.heard, said) > (0.9 if codec == "opus" else 0.98)
    assert pair.a.statistics().codec.startswith(codec.partition("/")[0])


def test_a_bad_network_is_bridged(pair_of, ear, voice):
    pair = pair_of()
    pair.agree()
    pair.network.jitter, pair.network.loss, pair.network.copies = 0.05, 0.05, 0.05
    heard = ear()
    pair.b.record(heard)
    pair.a.play(tone("dial"))
    pair.run(20)
    numbers = pair.b.statistics()
    assert 0.02 < numbers.fraction_lost < 0.09
    assert numbers.packets_duplicate > 10 and 0.005 < numbers.jitter < 0.05
    assert numbers.mos < 4.2
    quiet = sum(level(heard.heard[at : at + 320]) < -40 for at in range(32000, len(heard.heard), 320))
    assert quiet < 0.03 * len(heard.heard) / 320
    pair.network.copies = 0.0
    pair.run(15)
    assert 0.0 < pair.a.statistics().remote_fraction_lost < 0.2
    assert pair.a.statistics().round_trip == pytest.approx(0.06, abs=0.06)


def test_keys_as_events(pair):
    pair.agree()
    keys, done = [], []
    pair.b.on_dtmf = lambda *key: keys.append(key)
    pair.a.send_dtmf("19#").addCallback(done.append)
    pair.a.send_dtmf("5", duration=0.2).addCallback(done.append)
    pair.run(2)
    assert keys == [("1", 0.1, "rtp"), ("9", 0.1, "rtp"), ("#", 0.1, "rtp"), ("5", 0.2, "rtp")] and done == [True, True]


@pytest.mark.parametrize("rate", ["PCMU", "L16/16000"])
def test_keys_in_the_sound_where_events_were_not_agreed(pair_of, rate):
    pair = pair_of({"dtmf": False, "codecs": (rate,)}, {"codecs": (rate,)})
    pair.agree()
    keys, done = [], []
    pair.b.on_dtmf = lambda key, held, how: keys.append((key, how))
    pair.a.send_dtmf("19#").addCallback(done.append)
    pair.a.send_dtmf("7").addCallback(done.append)
    with pytest.raises(LocalProtocolError):
        pair.a.send_dtmf("1", inband=False)
    pair.run(2)
    assert keys == [("1", "inband"), ("9", "inband"), ("#", "inband"), ("7", "inband")] and done == [True, True]
    pair.b.on_dtmf = None
    pair.a.send_dtmf("5")
    pair.run(0.5)
    assert len(keys) == 4


def test_keys_that_wait_for_others_in_the_sound(pair_of):
    pair = pair_of({"dtmf": False})
    pair.agree()
    done = []
    for _ in range(65):
        pair.a.send_dtmf("1").addCallback(done.append)
    with pytest.raises(LocalProtocolError):
        pair.a.send_dtmf("1")
    pair.run(0.3)
    assert done == [True]
    pair.a.close()
    assert done == [True] + [False] * 64


def test_keys_need_an_agreement_and_must_be_keys(pair):
    for digits in ("5", "x"):
        with pytest.raises(LocalProtocolError):
            pair.a.send_dtmf(digits)
    pair.agree()
    pair.b.on_dtmf = None
    done = []
    pair.a.send_dtmf("5").addCallback(done.append)
    pair.a.send_dtmf("6", inband=True).addCallback(done.append)
    pair.a.close()
    assert done == [False, False]


def test_a_source_is_replaced_stopped_or_cancelled(pair, voice):
    pair.agree()
    done = []
    first, second, third = (pair.a.play(voice(melody(1))) for _ in range(3))
    for one in (first, second, third):
        one.addCallback(done.append)
    assert done == [False, False]
    third.cancel()
    assert done == [False] * 3
    pair.a.stop_playing()
    pair.a.play(voice(melody(1))).addCallback(done.append)
    pair.a.stop_playing()
    assert done == [False] * 4
    stale = pair.a.play(voice(melody(1)))
    pair.a.play(voice(melody(1)))
    stale.cancel()


def test_one_source_follows_another(pair, voice):
    pair.agree()
    done = []
    pair.a.play(voice(melody(0.1))).addCallback(lambda _: pair.a.play(voice(melody(0.1)))).addCallback(
        done := [].append
    )
    pair.run(1)
    assert pair.a._sound.playing is None and done is not None


def test_files_are_closed_with_the_session(pair, ear, tmp_path):
    from twisted_sip.media.wav import WavSink, WavSource

    path = tmp_path / "a.wav"
    sink = WavSink(path)
    pair.agree()
    pair.b.record(ear())
    pair.b.record(sink)
    pair.a.play(KeySource("5"))
    pair.run(0.5)
    pair.b.stop_recording()
    pair.b.stop_recording()
    source = WavSource(path, repeat=True)
    assert source.seconds > 0.3
    pair.a.play(source)
    heard = ear()
    pair.b.record(heard)
    pair.run(0.1)
    pair.close()
    assert source.read(1) is None and heard.closed == 1


def test_faults_of_others_cost_them_and_not_the_call(pair, ear):
    class Wrong:
        rate = 8000

        def read(self, samples):
            raise ValueError("a fault")

        write = close = lambda self, *args: 1 / 0

    events = []
    globalLogPublisher.addObserver(events.append)
    try:
        pair.agree()
        done = []
        pair.a.play(Wrong()).addCallback(done.append)
        pair.b.record(Wrong())
        pair.run(1)
        pair.b.stop_recording()
    except ZeroDivisionError:
        raise AssertionError("the fault came out") from None
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert done == [True] and pair.b.statistics().packets_received > 40
    assert len([one for one in events if one.get("log_failure")]) == 4 or len(events) >= 3


def test_two_sessions_are_bridged(pair_of, ear, voice):
    one, two = pair_of(), pair_of({"codecs": ("PCMA",)}, {"codecs": ("L16/16000", "PCMA")})
    one.agree()
    two.agree()
    heard = ear()
    one.a.record(heard)
    one.b.bridge(two.b)
    said = melody(1)
    two.a.play(voice(said))
    for _ in range(400):
        one.clock.advance(0.005)
        two.clock.advance(0.005)
    assert correlation(heard.heard, said) > 0.98
    one.b.bridge(None)
    assert two.b._sound.party.read(160) == bytes(320)


def test_a_conference_of_three_hears_all_others(pair_of, ear):
    calls = [pair_of() for _ in range(3)]
    bridge = Bridge()
    for place, call in enumerate(calls):
        call.agree()
        call.b.bridge(bridge)
        call.ear = ear()
        call.a.record(call.ear)
        if place:
            call.a.play(KeySource("5" * 20))
    for _ in range(200):
        for call in calls:
            call.clock.advance(0.005)
    assert level(calls[0].ear.heard[-4000:]) > level(calls[1].ear.heard[-4000:]) > -40
    calls[0].close()
    assert len(bridge.parties) == 2


def test_another_codec_in_the_middle_of_it(pair_of, ear):
    pair = pair_of({"codecs": ("PCMU", "L16/16000")}, {"codecs": ("PCMU", "L16/16000")})
    pair.agree()
    heard, silences, keys = ear(), [], []
    pair.b.record(heard)
    pair.b.on_silence = silences.append
    pair.b.on_dtmf = lambda *one: keys.append(one)
    bridge = Bridge()
    pair.b.join(bridge)
    pair.a.play(tone("dial"))
    pair.run(1)
    from twisted_sip.media.codecs.table import codec_kinds

    pair.a._kinds = codec_kinds(("L16/16000",))
    pair.agree()
    assert pair.b.rate == 16000
    heard.heard = b""
    pair.run(1)
    assert level(heard.heard[3200:]) > -20 and abs(len(heard.heard) - 16000) < 800
    pair.a.stop_playing()
    pair.run(4)
    assert silences == [True]
    pair.b.on_silence = None
    pair.b.join(None)


def test_silence_is_comfort_noise_where_it_was_agreed(pair_of, ear):
    pair = pair_of({"comfort_noise": True}, {"comfort_noise": True})
    pair.agree()
    heard = ear()
    pair.b.record(heard)
    pair.run(5)
    assert pair.a.statistics().packets_sent <= 6
    pair.a.play(tone("dial"))
    pair.run(1)
    assert level(heard.heard[-1600:]) > -20
    assert pair.b.statistics().packets_lost == 0


def test_on_hold_nothing_is_sent_and_nobody_is_missed(pair_of):
    pair = pair_of({"timeout": 5.0}, {"timeout": 5.0})
    missed = []
    pair.agree()
    pair.a.on_timeout = pair.b.on_timeout = missed.append
    pair.a.hold(True)
    pair.b.hold(True)
    pair.agree()
    before = pair.a.statistics().packets_sent
    pair.run(10, 0.02)
    assert pair.a.statistics().packets_sent == before and missed == []


def test_a_peer_that_says_nothing_is_told_once(pair_of):
    pair = pair_of({"timeout": 5.0})
    pair.agree()
    missed = []
    pair.a.on_timeout = missed.append
    pair.run(1)
    pair.network.loss = 1.0
    pair.run(12, 0.02)
    assert len(missed) == 1 and 4.9 < missed[0] < 5.3
    pair.network.loss = 0.0
    pair.run(1)
    pair.network.loss = 1.0
    pair.run(6, 0.02)
    assert len(missed) == 2
    pair.a.on_timeout = None


def test_sound_before_the_answer_is_heard(pair, ear):
    heard = ear()
    pair.a.record(heard)
    answer = pair.b.answer(pair.a.offer())
    pair.b.play(tone("dial"))
    pair.run(1)
    assert level(heard.heard[-1600:]) > -20
    assert pair.a.statistics().packets_sent == 0
    pair.a.answered(answer)
    pair.run(0.2)
    assert pair.a.statistics().packets_sent > 5


def test_reports_go_both_ways_and_bye_ends_it(pair):
    pair.agree()
    pair.run(16, 0.02)
    assert pair.a.stream._rtcp.reports_received >= 2
    assert pair.a.statistics().round_trip == pytest.approx(0.03, abs=0.02)
    cname = pair.a.stream._rtcp.remote_cname
    assert cname.endswith("@192.0.2.2") and len(cname) > 20
    pair.b.close()
    pair.run(0.1)
    assert pair.a.stream.receiver.rtp.current.heard_at == float("-inf")
