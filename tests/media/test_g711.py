"""G.711 against its definition, and the other codecs (RFC 3551, RFC 3389, RFC 7587)."""

import math
import sys
from array import array

import pytest

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.media.codecs import opus
from twisted_sip.media.codecs.comfort_noise import NoiseGenerator, comfort_noise
from twisted_sip.media.codecs.g711 import ALAW_TO_ULAW, G711, ULAW_TO_ALAW, alaw_value, ulaw_value
from twisted_sip.media.codecs.linear import L16
from twisted_sip.media.codecs.opus import Opus
from twisted_sip.media.codecs.table import codec_kinds
from twisted_sip.media.pcm import level, samples_of

ALL = bytes(range(256))
EVERY_SAMPLE = array("h", range(-32768, 32768)).tobytes()


def pcm(values):
    return array("h", values).tobytes()


def wave(rate=8000, frequency=440.0, samples=160, size=8000):
    return pcm([int(size * math.sin(2 * math.pi * frequency * n / rate)) for n in range(samples)])


def test_known_values_of_both_laws():
    # G.711 tables 1a and 2a: extremes and the smallest steps.
    assert [ulaw_value(code) for code in (0x00, 0x80, 0x7F, 0xFF, 0x7E, 0xFE)] == [-32124, 32124, 0, 0, -8, 8]
    assert [alaw_value(code) for code in (0x2A, 0xAA, 0x55, 0xD5, 0x54, 0xD4)] == [-32256, 32256, -8, 8, -24, 24]


@pytest.mark.parametrize(("name", "value"), [("PCMU", ulaw_value), ("PCMA", alaw_value)])
def test_decoding_is_the_formula(name, value):
    assert list(samples_of(G711(name).decode(ALL))) == [value(code) for code in ALL]


@pytest.mark.parametrize(("name", "value"), [("PCMU", ulaw_value), ("PCMA", alaw_value)])
def test_encoding_chooses_a_value_within_half_a_step(name, value):
    codes = G711(name).encode(EVERY_SAMPLE)
    values = sorted({value(code) for code in ALL})
    steps = {
        values[i]: max(values[i] - values[max(0, i - 1)], values[min(i + 1, 255) % len(values)] - values[i])
        for i in range(len(values))
    }
    for sample, code in zip(range(-32768, 32768, 7), codes[::7], strict=True):
        chosen = value(code)
        assert abs(chosen - sample) <= max(steps[chosen], 656), sample


@pytest.mark.parametrize("name", ["PCMU", "PCMA"])
def test_what_was_decoded_is_encoded_the_same(name):
    codec = G711(name)
    again = codec.encode(codec.decode(ALL))
    # u-law has two zeros, of which one is written.
    assert again == (ALL.replace(b"\x7f", b"\xff") if name == "PCMU" else ALL)


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the module of the standard library is gone")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_both_laws_are_those_of_the_standard_library():
    import audioop

    for name, encode, decode in (
        ("PCMU", audioop.lin2ulaw, audioop.ulaw2lin),
        ("PCMA", audioop.lin2alaw, audioop.alaw2lin),
    ):
        assert G711(name).encode(EVERY_SAMPLE) == encode(EVERY_SAMPLE, 2)
        assert G711(name).decode(ALL) == decode(ALL, 2)


def test_from_law_to_law_without_sound_between():
    ulaw, alaw = G711("PCMU"), G711("PCMA")
    assert ALL.translate(ULAW_TO_ALAW) == alaw.encode(ulaw.decode(ALL))
    assert ALL.translate(ALAW_TO_ULAW) == ulaw.encode(alaw.decode(ALL))


def test_l16_is_in_network_order_and_any_channels():
    codec = L16(16000)
    assert codec.encode(pcm([1, -2])) == b"\x00\x01\xff\xfe"
    assert codec.decode(b"\x00\x01\xff\xfe\x07") == pcm([1, -2])
    assert codec.samples(bytes(640)) == 320
    stereo = L16(44100, 2)
    assert stereo.encode(pcm([5])) == b"\x00\x05\x00\x05"
    assert stereo.decode(b"\x00\x02\x00\x04\x00") == pcm([3])
    codec.close()


@pytest.mark.parametrize("codec", [G711("PCMU"), L16(16000)])
def test_what_is_missing_fades_into_silence(codec):
    samples = codec.rate // 50
    codec.decode(codec.encode(wave(codec.rate, samples=samples)))
    levels = [level(codec.conceal(samples)) for _ in range(5)]
    assert levels[0] > -20
    assert levels[0] > levels[1] > levels[2] > levels[3] == levels[4] == -127.0


def test_what_is_missing_at_first_is_silence_and_noise_has_no_period():
    assert G711("PCMU").conceal(160) == bytes(320)
    codec = L16(8000)
    codec.decode(codec.encode(pcm([(n * 7919) % 8191 - 4000 for n in range(160)])))
    assert len(codec.conceal(160)) == 320
    short = L16(8000)
    short.decode(short.encode(wave(samples=40)))
    assert len(short.conceal(160)) == 320


def test_comfort_noise_has_the_level_that_is_told():
    assert comfort_noise(b"") == b"\x7f"
    loudness = comfort_noise(wave())[0]
    assert 13 <= loudness <= 17
    noise = NoiseGenerator(lambda count: bytes((n * 7919 >> 3) & 0xFF for n in range(count)))
    assert noise.read(160) == bytes(320)
    for payload in (bytes((45,)), bytes((45, 200, 90, 255))):
        noise.describe(payload)
        sound = b"".join(noise.read(160) for _ in range(50))
        assert abs(level(sound) + 45) < 3, payload
    noise.describe(bytes((0,)))
    assert level(noise.read(4000)) < -27
    noise.describe(bytes((127,)))
    assert noise.read(80) == bytes(160)
    noise.describe(bytes((45,)))
    assert len(noise.read(9000)) == 18000


def test_codecs_by_name_and_in_order():
    assert [kind.key for kind in codec_kinds(("pcma", "PCMU", "L16/16000"))] == [
        ("PCMA", 8000, 1),
        ("PCMU", 8000, 1),
        ("L16", 16000, 1),
    ]
    for wrong in ("G729", "PCMU/16000", "PCMU/x"):
        with pytest.raises(LocalProtocolError):
            codec_kinds((wrong,))
    for kind in codec_kinds(("PCMU", "PCMA", "L16", "L16/48000", "L16/44100")):
        codec = kind.make()
        assert codec.name == kind.name and codec.clock_rate == kind.clock_rate
        codec.close()


def test_without_libopus_it_is_left_out_and_told(monkeypatch):
    monkeypatch.setattr(opus.ctypes.util, "find_library", lambda name: None)
    opus.library.cache_clear()
    try:
        assert not opus.is_available()
        assert codec_kinds(("opus", "PCMU")) == codec_kinds(("PCMU",))
        with pytest.raises(LocalProtocolError, match="libopus"):
            Opus()
        monkeypatch.setattr(opus.ctypes.util, "find_library", lambda name: "libnone.so.99")
        opus.library.cache_clear()
        assert not opus.is_available()
    finally:
        monkeypatch.undo()
        opus.library.cache_clear()


@pytest.mark.skipif(not opus.is_available(), reason="libopus is not installed")
def test_opus_there_and_back():
    codec = Opus()
    heard = b""
    for place in range(20):
        payload = codec.encode(wave(16000, 440, 320 * 20)[640 * place : 640 * place + 640])
        assert codec.samples(payload) == 320
        heard += codec.decode(payload)
    assert len(heard) == 20 * 640 and -20 < level(heard[6400:]) < -10
    assert len(codec.conceal(320)) == 640
    assert len(codec.conceal(7)) == 80
    assert codec.decode(b"") == b"" and codec.samples(b"") == 0 and codec.samples(b"\xff\xff\xff") == 0
    with pytest.raises(RemoteProtocolError):
        codec.decode(b"\xff\xff\xff")
    with pytest.raises(LocalProtocolError):
        codec.encode(bytes(100))
    codec.close()
    codec.close()
    with pytest.raises(LocalProtocolError):
        Opus(rate=11025).encode(bytes(440))
    assert [kind.name for kind in codec_kinds(("opus",))] == ["opus"]


def test_a_deep_voice_goes_on_in_its_own_pitch():
    codec = G711("PCMU")
    # 75 Hz: 13 ms, and its overtones.
    sound = [
        int(3000 * sum(math.sin(2 * math.pi * 75 * k * n / 8000 + k * k) for k in range(1, 9))) // 8 for n in range(640)
    ]
    for begin in (0, 160, 320):
        codec.decode(codec.encode(pcm(sound[begin : begin + 160])))
    made = array("h", codec.conceal(160))
    wanted = sound[480:640]
    dot, own, theirs = (
        sum(a * b for a, b in zip(x, y, strict=True)) for x, y in ((made, wanted), (made, made), (wanted, wanted))
    )
    assert dot / math.sqrt(own * theirs) > 0.95
