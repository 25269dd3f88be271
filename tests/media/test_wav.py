"""WAV files that are cut off, that lie about themselves, or that a full disk does not take."""

import io
import struct
import wave

import pytest

from twisted_sip.errors import LocalProtocolError
from twisted_sip.media.wav import WavSink, WavSource


def wav(data, *, channels=1, before=b"", told=None):
    form = struct.pack("<HHIIHH", 1, channels, 8000, 16000 * channels, 2 * channels, 16)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + before
    body += b"data" + struct.pack("<I", len(data) if told is None else told) + data
    return io.BytesIO(b"RIFF" + struct.pack("<I", len(body)) + body)


def test_a_chunk_beyond_the_end_of_the_file_makes_no_file_to_play():
    with pytest.raises(LocalProtocolError):
        WavSource(wav(bytes(320), before=b"LIST" + struct.pack("<I", 5000) + bytes(8)))


@pytest.mark.parametrize(("data", "channels"), [(b"\x01", 1), (b"\x01\x02\x03", 2), (b"", 1)])
def test_what_was_cut_off_before_its_first_sample_is_over_at_once(data, channels):
    source = WavSource(wav(data, channels=channels, told=32000), repeat=True)
    assert source.read(160) is None


def test_what_was_cut_off_within_a_sample_is_played_again():
    source = WavSource(wav(b"\x01\x00\x01\x00\x02\x00", channels=2, told=32000), repeat=True)
    assert source.read(3) == b"\x01\x00" * 3


class FullDisk(io.BytesIO):
    full = False

    def write(self, data):
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(data)


def test_a_full_disk_keeps_no_file_open(tmp_path, monkeypatch):
    opened = []

    def open_wave(target, mode):
        opened.append(wave.Wave_write(target))
        return opened[-1]

    monkeypatch.setattr("twisted_sip.media.wav.wave.open", open_wave)
    disk = FullDisk()
    sink = WavSink(disk)
    sink.write(bytes(16000))
    disk.full = True
    with pytest.raises(OSError):
        sink.write(bytes(16000))
    sink.write(bytes(10))
    with pytest.raises(OSError):
        sink.close()
    sink.close()
    sink.write(bytes(16000))
    # What the wave module lets go of.
    assert opened[0]._file is None
