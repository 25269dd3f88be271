"""Arithmetic on samples, other rates, files."""

import io
import itertools
import math
import wave
from array import array

import pytest

from twisted_sip.errors import LocalProtocolError
from twisted_sip.media.pcm import level, mix, samples_of, saturated, scaled, silence, summed, without
from twisted_sip.media.resampling import ResampledSink, ResampledSource, Resampler, sink_at, source_at
from twisted_sip.media.silence_detector import SilenceDetector
from twisted_sip.media.wav import WavSink, WavSource


def pcm(*values):
    return array("h", values).tobytes()


def tone(rate, samples, frequency=400.0, size=10000):
    return pcm(*[int(size * math.sin(2 * math.pi * frequency * n / rate)) for n in range(samples)])


class ListSource:
    def __init__(self, rate, *pieces):
        self.rate = rate
        self.pieces = list(pieces)

    def read(self, samples):
        return self.pieces.pop(0) if self.pieces else None


class ListSink:
    def __init__(self, rate):
        self.rate = rate
        self.data = b""
        self.closed = 0

    def write(self, data):
        self.data += data

    def close(self):
        self.closed += 1


def test_sums_are_held_at_the_ends():
    assert mix(pcm(30000, -30000, 5), pcm(30000, -30000)) == pcm(32767, -32768, 5)
    assert mix(pcm(1), pcm(2, 3)) == pcm(3, 3)
    assert saturated([40000, -40000]) == pcm(32767, -32768)
    assert scaled(pcm(100, -100), 0.5) == pcm(50, -50) and scaled(pcm(7), 1.0) == pcm(7)


def test_everybody_but_oneself():
    parts = [pcm(10, 20), pcm(1, 2), pcm(100)]
    total = summed(parts, 2)
    assert total == [111, 22]
    assert without(total, parts[0]) == [101, 2]
    assert without(total, parts[2]) == [11, 22]


def test_levels():
    assert level(b"") == level(silence(10)) == -127.0
    assert abs(level(pcm(*[32767, -32767] * 50))) < 0.01
    assert samples_of(b"\1\0\5")[:] == array("h", [1])


@pytest.mark.parametrize(
    ("source", "target"), [(8000, 16000), (16000, 8000), (8000, 48000), (48000, 16000), (44100, 8000)]
)
def test_another_rate_keeps_length_level_and_pitch(source, target):
    resampler = Resampler(source, target)
    whole = tone(source, source)
    pieces = [
        resampler.convert(whole[start : start + 2 * (source // 50)])
        for start in range(0, len(whole), 2 * (source // 50))
    ]
    result = b"".join(pieces)
    assert abs(len(result) // 2 - target) <= 2
    assert abs(level(result) - level(whole)) < 0.5
    samples = samples_of(result)
    crossings = sum(1 for a, b in itertools.pairwise(samples) if a < 0 <= b)
    assert abs(crossings - 400) <= 1


def test_pieces_that_do_not_divide_are_kept_for_the_next():
    resampler = Resampler(48000, 16000)
    assert resampler.convert(pcm(3, 3)) == b""
    assert resampler.convert(pcm(3, 9, 9, 9, 1)) == pcm(3, 9)
    assert Resampler(8000, 8000).convert(b"ab") == b"ab"
    assert Resampler(8000, 16000).convert(b"") == b""


def test_sources_and_sinks_of_other_rates():
    source = ListSource(8000, tone(8000, 80), tone(8000, 80), b"", tone(8000, 100))
    wrapped = source_at(source, 16000)
    assert isinstance(wrapped, ResampledSource)
    assert len(wrapped.read(320)) == 640
    assert wrapped.read(320) == b""
    assert len(wrapped.read(320)) == 400
    assert wrapped.read(320) is None
    assert source_at(source, 8000) is source
    sink = ListSink(8000)
    assert sink_at(sink, 8000) is sink
    wider = sink_at(sink, 16000)
    assert isinstance(wider, ResampledSink)
    wider.write(tone(16000, 320))
    wider.close()
    assert len(sink.data) == 320 and sink.closed == 1


def test_what_is_recorded_can_be_played(tmp_path):
    path = tmp_path / "a.wav"
    sink = WavSink(path, 8000)
    sound = tone(8000, 20000)
    for start in range(0, len(sound), 320):
        sink.write(sound[start : start + 320])
    sink.close()
    sink.close()
    sink.write(b"late")
    source = WavSource(str(path))
    assert source.rate == 8000 and source.seconds == 2.5
    heard = b""
    while (piece := source.read(160)) is not None:
        heard += piece
    assert heard == sound
    source.close()
    assert source.read(1) is None


def test_a_file_can_be_played_again_and_again(tmp_path):
    path = tmp_path / "a.wav"
    sink = WavSink(path)
    sink.write(pcm(1, 2, 3))
    sink.close()
    source = WavSource(path, repeat=True)
    assert source.read(7) == pcm(1, 2, 3, 1, 2, 3, 1)
    source.close()


def test_a_recording_has_an_end(tmp_path):
    sink = WavSink(tmp_path / "a.wav", longest=0.04)
    for _ in range(10):
        sink.write(bytes(320))
    sink.close()
    assert WavSource(tmp_path / "a.wav").seconds == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("width", "channels", "frames", "expected"),
    [(1, 1, b"\x80\xff\x00", pcm(0, 127 << 8, -128 << 8)), (2, 2, pcm(2, 4, 6, 8), pcm(3, 7))],
)
def test_eight_bits_and_two_channels(width, channels, frames, expected):
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setnchannels(channels)
        made.setsampwidth(width)
        made.setframerate(8000)
        made.writeframes(frames)
    file.seek(0)
    assert WavSource(file).read(10) == expected


@pytest.mark.parametrize("width", [3])
def test_other_files_are_refused(width, tmp_path):
    with pytest.raises(LocalProtocolError):
        WavSource(io.BytesIO(b"RIFF of another kind"))
    with pytest.raises(LocalProtocolError):
        WavSource(io.BytesIO(b""))
    with pytest.raises(OSError):
        WavSource(tmp_path / "none.wav")
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setnchannels(1)
        made.setsampwidth(width)
        made.setframerate(8000)
        made.writeframes(bytes(9))
    file.seek(0)
    with pytest.raises(LocalProtocolError):
        WavSource(file)


def test_silence_is_told_once_and_speech_as_well():
    told = []
    detector = SilenceDetector(told.append, 0.5)
    quiet = tone(8000, 160, size=20)
    for _ in range(50):
        detector.write(quiet)
    detector.write(b"")
    assert told == [True]
    for _ in range(20):
        detector.write(tone(8000, 160))
    assert told == [True, False]
    detector.close()


def test_a_noisy_background_is_silence_too():
    told = []
    detector = SilenceDetector(told.append, 1.0)
    hum = tone(8000, 160, 100, 300)
    for _ in range(500):
        detector.write(hum)
    assert told == [True]
    detector.write(tone(8000, 160, size=6000))
    assert told == [True, False]
