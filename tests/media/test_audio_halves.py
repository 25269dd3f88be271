"""The two halves of a stream without a network: formats, rates, sources that change."""

import pytest

from twisted_sip.errors import MediaRefused
from twisted_sip.media.agreement import terms_of
from twisted_sip.media.audio_receiver import AudioReceiver, Format, Role
from twisted_sip.media.audio_sender import AudioSender
from twisted_sip.media.codecs.comfort_noise import NoiseGenerator
from twisted_sip.media.codecs.table import codec_kinds
from twisted_sip.media.pcm import level
from twisted_sip.media.settings import MediaSettings
from twisted_sip.media.tones import tone
from twisted_sip.sdp.description import SessionDescription

PCMU, WIDE = codec_kinds(("PCMU", "L16/16000"))
FORMATS = {
    0: Format(Role.SOUND, 8000, PCMU),
    96: Format(Role.SOUND, 16000, WIDE),
    13: Format(Role.NOISE, 8000),
    101: Format(Role.EVENTS, 8000),
}


def made(rate=8000, samples=160):
    keys = []
    receiver = AudioReceiver(lambda count: bytes(count), lambda *key: keys.append(key))
    receiver.configure(FORMATS, rate, samples)
    return receiver, keys


def speak(receiver, kind, count, ssrc=1, first=0, now=0.0):
    form = FORMATS[kind]
    codec = form.kind.make()
    source = tone("dial", rate=codec.rate)
    for place in range(count):
        payload = codec.encode(source.read(codec.rate // 50))
        number = first + place
        receiver.take(kind, number, number * form.clock_rate // 50, ssrc, payload, now + place * 0.02)


@pytest.mark.parametrize(("rate", "kind"), [(8000, 96), (16000, 0), (8000, 0)])
def test_another_rate_than_that_of_the_frames(rate, kind):
    receiver, _ = made(rate, rate // 50)
    speak(receiver, kind, 10)
    frames = [receiver.play() for _ in range(12)]
    assert {len(frame) for frame in frames} == {2 * rate // 50}
    assert level(b"".join(frames[3:9])) > -20
    # What is missing is made up at that rate as well.
    assert level(frames[10]) > -40
    assert receiver.packet_seconds == pytest.approx(0.02)


def test_frames_of_another_length_than_the_packets():
    receiver, _ = made(8000, 80)
    speak(receiver, 0, 4)
    assert {len(receiver.play()) for _ in range(8)} == {160}
    receiver, _ = made(8000, 240)
    speak(receiver, 0, 10)
    assert {len(receiver.play()) for _ in range(6)} == {480}


def test_formats_that_are_no_longer_agreed_are_forgotten():
    receiver, _ = made()
    speak(receiver, 0, 4)
    receiver.play()
    receiver.configure({8: Format(Role.SOUND, 8000, PCMU)}, 8000, 160)
    assert receiver.play() == bytes(320)
    assert receiver.play(False) == bytes(320)
    receiver.configure({0: FORMATS[0]}, 16000, 320)
    assert len(receiver.play()) == 640


def test_a_change_of_codec_keeps_the_other_one():
    receiver, _ = made()
    speak(receiver, 0, 4)
    receiver.play()
    receiver.configure({0: FORMATS[0], 8: Format(Role.SOUND, 8000, PCMU)}, 8000, 160)
    assert level(receiver.play()) > -20


def test_another_source_begins_with_an_empty_buffer_and_no_key():
    receiver, keys = made()
    speak(receiver, 0, 5)
    receiver.take(101, 5, 800, 1, b"\x05\x0a\x00\xa0", 0.1)
    speak(receiver, 0, 4, ssrc=2, first=700, now=5.0)
    assert keys == [("5", 0.02)] and len(receiver.buffer) == 3
    receiver.take(101, 704, 9999, 2, b"\x06\x8a\x00\xa0", 5.1)
    receiver.renew()
    assert keys[-1] == ("6", 0.02)


def test_nobody_listens_and_nothing_is_decoded():
    receiver, _ = made()
    speak(receiver, 0, 3)
    receiver.take(13, 3, 480, 1, b"\x40", 0.1)
    receiver.take(101, 4, 480, 1, b"\x05\x0a\x00\xa0", 0.1)
    speak(receiver, 0, 2, first=6, now=0.2)
    assert {receiver.play(False) for _ in range(10)} == {bytes(320)}
    assert receiver._packet_samples == 160


def test_noise_fills_the_gap_that_it_describes():
    receiver, _ = made()
    receiver._random = lambda count: bytes((n * 7919 >> 3) & 0xFF for n in range(count))
    for place in range(3):
        receiver.take(13, place, 160 * place, 1, b"\x2d", 0.02 * place)
    frames = [receiver.play() for _ in range(10)]
    assert all(abs(level(frame) + 45) < 6 for frame in frames[1:])


def test_keys_at_another_clock():
    receiver, keys = made()
    receiver.take(101, 0, 0, 1, b"\x05\x8a\x03\x20", 0.0)
    receiver.configure({**FORMATS, 102: Format(Role.EVENTS, 48000)}, 8000, 160)
    receiver.take(102, 1, 9600, 1, b"\x06\x8a\x12\xc0", 0.1)
    assert keys == [("5", 0.1), ("6", 0.1)]


def test_a_sender_without_codec_and_with_noise():
    sender = AudioSender(lambda count: bytes(range(count)))
    assert sender.next(b"") is None
    codec = PCMU.make()
    sender.configure(codec, 0, 20, noise=13)
    sender.configure(codec, 0, 20, noise=13)
    first = sender.next(bytes(320))
    assert first[1] == 0x80 and sender.next(bytes(320))[1] == 0
    assert sender.next(None)[1] == 13 and sender.next(None) is None
    assert sender.next(bytes(320))[1] == 0x80
    sender.configure(WIDE.make(), 96, 20, events=101)
    assert sender.next(None) is None and sender.samples == 320
    sender.change_ssrc(9)
    assert sender.next(bytes(640))[8:12] == b"\0\0\0\x09"
    sender.close()
    sender.close()


def media(text, connection="c=IN IP4 192.0.2.9"):
    return SessionDescription.parse(f"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\n{connection}\r\nt=0 0\r\n{text}").media[
        0
    ]


@pytest.mark.parametrize(
    "connection", ["", "c=IN IP4 233.252.0.1/127", "c=IN IP4 255.255.255.255", "c=IN IP6 2001:db8::1"]
)
def test_answers_with_addresses_that_cannot_be(connection):
    local = media("m=audio 4000 RTP/AVP 0\r\n")
    remote = media("m=audio 4000 RTP/AVP 0\r\n", connection)
    with pytest.raises(MediaRefused):
        terms_of(local, remote, (PCMU,), MediaSettings(), offered=True, six=False)


def test_codecs_that_we_lack_are_left_out_of_what_may_come():
    local = media("m=audio 4000 RTP/AVP 0 18 13\r\n")
    remote = media("m=audio 0 RTP/AVP 0\r\n")
    assert terms_of(local, remote, (PCMU,), MediaSettings(), offered=True, six=False).kind is None
    terms = terms_of(local, local, (PCMU,), MediaSettings(), offered=True, six=False)
    assert set(terms.formats) == {0, 13} and terms.noise == 13


def test_events_beside_the_sound_and_ends_in_a_heap_add_no_delay():
    receiver, _keys = made()
    number = 0
    for turn in range(200):
        for _ in range(3 if turn % 10 == 5 else 1):
            receiver.take(101, number, 160 * (turn - turn % 10), 1, bytes((1, 0x8A, 0, 160)), turn / 50)
            number += 1
        receiver.take(0, number, 160 * turn, 1, b"\x10" * 160, turn / 50)
        number += 1
        receiver.play(turn < 100)
    assert len(receiver.buffer) <= 4 and receiver.buffer.depth == 2 and not receiver.buffer.dropped


def test_a_spectrum_that_changes_all_the_time_is_not_followed():
    drawn = []
    noise = NoiseGenerator(lambda count: drawn.append(count) or bytes(range(256)) * (count // 256))
    for number in range(100):
        noise.describe(bytes((40, number, 200)))
        assert len(noise.read(160)) == 320
    assert len(drawn) == 10 and max(drawn) == 2048
