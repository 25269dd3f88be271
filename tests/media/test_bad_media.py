"""RTP from strangers, floods, lies and junk: counted, never fatal."""

import random
import struct

import pytest

from twisted_sip.media.rtcp import ReceiverReport
from twisted_sip.media.tones import tone

STRANGER = ("198.51.100.66", 5555)


def rtp(sequence, payload_type=0, ssrc=0xBAD, payload=bytes(160)):
    return struct.pack("!BBHII", 0x80, payload_type, sequence & 0xFFFF, 160 * sequence & 0xFFFFFFFF, ssrc) + payload


def talking(pair):
    pair.agree()
    pair.a.play(tone("dial"))
    pair.run(1)
    return pair.b.stream, pair.b.port.socket(1).received


def test_strangers_are_not_heard_while_the_peer_is(pair):
    stream, received = talking(pair)
    before = stream.receiver.packets
    for number in range(100):
        received(rtp(number), STRANGER)
    assert stream.receiver.packets == before and stream.latch.refused == 100
    pair.run(1)
    assert pair.b.statistics().packets_lost == 0 and stream.latch.target[0] == "192.0.2.1"


def test_a_flood_of_strangers_does_not_silence_the_peer(pair):
    stream, received = talking(pair)
    for _ in range(50):
        for number in range(200):
            received(rtp(number), STRANGER)
        pair.run(0.02)
    assert stream.latch.refused + stream.flooded == 10_000
    assert pair.b.statistics().packets_lost == 0


def test_a_flood_of_the_peer_is_bounded(pair):
    stream, received = talking(pair)
    for number in range(5000):
        received(rtp(number, ssrc=stream.receiver.rtp.current.ssrc), stream.latch.latched)
    assert stream.flooded > 4000 and len(stream.receiver.buffer) <= 64
    pair.run(2)
    assert stream.receiver.packets > 100


def test_reports_of_strangers_and_floods_of_them(pair):
    stream, _ = talking(pair)
    received = pair.b.port.socket(2).received
    received(ReceiverReport(5).to_bytes(), STRANGER)
    assert stream.rtcp_latch.refused == 1 and stream._rtcp.reports_received <= 1
    for _ in range(2000):
        received(b"\x80\xc8\0\0", (stream.latch.latched[0], 9))
    assert stream._rtcp.malformed + stream.flooded == 2000 and stream.flooded > 0
    assert pair.b.statistics().packets_refused >= 2000


def test_payload_types_that_were_not_agreed_and_malformed_packets(pair):
    stream, received = talking(pair)
    peer = stream.latch.latched
    received(rtp(1, 18), peer)
    received(b"\x80\x00short", peer)
    received(b"\xbf\x00" + bytes(12), peer)
    assert stream.unknown == 1 and stream.malformed == 2


def test_reports_before_anything_was_agreed(pair):
    pair.a.offer()
    pair.a.port.socket(2).received(ReceiverReport(5).to_bytes(), STRANGER)
    assert pair.a.statistics().packets_refused == 0


def test_our_own_ssrc_from_elsewhere_makes_us_take_another(pair):
    stream, received = talking(pair)
    peer = stream.latch.latched
    old = stream.sender.ssrc
    received(rtp(1, ssrc=old), peer)
    assert stream.sender.ssrc != old and stream._rtcp.ssrc == stream.sender.ssrc
    new = stream.sender.ssrc
    received(rtp(2, ssrc=new), peer)
    assert stream.sender.ssrc == new, "from there it is a loop"
    pair.run(1)
    assert pair.a.statistics().packets_lost == 0 and pair.a.stream.receiver.rtp.current.ssrc == new


def test_our_own_ssrc_in_a_report(pair):
    stream, _ = talking(pair)
    old = stream.sender.ssrc
    pair.b.port.socket(2).received(ReceiverReport(old).to_bytes(), (stream.latch.latched[0], 7))
    assert stream.sender.ssrc != old


def test_conflicts_are_bounded_and_need_no_reports(pair):
    pair.a.offer()
    stream = pair.a.stream
    for place in range(20):
        stream.latch.open = True
        pair.a.port.socket(1).received(rtp(1, ssrc=stream.sender.ssrc), ("198.51.100.66", place))
    assert len(stream._own) == 8 and stream.receiver.rtp.collisions == 20


def test_the_peer_may_move_after_a_new_offer(pair):
    stream, _received = talking(pair)
    pair.agree()
    outer = ("203.0.113.7", 61000)
    pair.network.translated["192.0.2.1", pair.a.port.port] = outer
    pair.run(0.5)
    assert stream.latch.latched == outer and stream.latch.target == outer
    assert pair.a.statistics().packets_lost == 0


def test_a_phone_behind_a_nat_is_answered(pair):
    outer = ("203.0.113.7", 61000)
    pair.agree()
    pair.network.translated["192.0.2.1", pair.a.port.port] = outer
    pair.run(1)
    assert pair.b.stream.latch.target == outer and pair.a.statistics().packets_received > 40


def test_opus_that_is_none_is_concealed(pair_of, ear):
    from twisted_sip.media.codecs.opus import is_available

    if not is_available():
        pytest.skip("libopus is not installed")
    pair = pair_of({"codecs": ("opus",)}, {"codecs": ("opus",)})
    stream, received = talking(pair)
    pair.b.record(ear())
    kind = next(one for one, form in stream.terms.formats.items() if form.kind is not None)
    pair.a.stop_playing()
    pair.network.loss = 1.0
    pair.run(0.2)
    source = stream.receiver.rtp.current
    for _number in range(10):
        received(rtp(source.max_seq + 1, kind, source.ssrc, b"\xff\xff\xff"), stream.latch.latched)
        pair.run(0.02)
    assert stream.receiver.malformed >= 5


@pytest.mark.parametrize("seed", range(30))
def test_junk_on_both_ports_does_no_harm(pair, ear, seed):
    stream, received = talking(pair)
    pair.b.record(ear())
    pair.b.on_dtmf = lambda *key: None
    chance = random.Random(seed)
    peer = stream.latch.latched
    formats = [0, 8, 96, 13, 101, *stream.terms.formats]
    for _ in range(400):
        kind = chance.randrange(4)
        data = chance.randbytes(chance.randrange(60))
        if kind == 1:
            data = struct.pack("!BB", 0x80 | chance.randrange(64), chance.choice(formats)) + data
        elif kind == 2:
            data = (
                struct.pack("!BBH", 0x80 | chance.randrange(32), 200 + chance.randrange(5), chance.randrange(9)) + data
            )
        elif kind == 3:
            data = rtp(chance.randrange(70000), chance.choice(formats), chance.choice((1, 2, 0xBAD)), data)
        chance.choice((received, pair.b.port.socket(2).received))(data, chance.choice((peer, STRANGER, (peer[0], 9))))
        if not chance.randrange(10):
            pair.run(0.02)
    assert len(stream.receiver.buffer) <= 64 and len(stream.receiver._fifo) < 20_000
    pair.run(2)
    before = stream.receiver.packets
    pair.run(2)
    assert stream.receiver.packets > before + 50, "the peer is heard again"


def test_a_mirror_is_heard(pair, ear, voice):
    pair.agree()
    here = ("192.0.2.2", pair.b.port.port)
    pair.b.close()
    pair.network.bind(*here, lambda data, address: pair.network.carry(data, here, address))
    heard = ear()
    pair.a.record(heard)
    ssrc = pair.a.stream.sender.ssrc
    pair.a.play(voice(b"\x40\x1f" * 8000))
    pair.run(2)
    assert pair.a.stream.sender.ssrc == ssrc and len(heard.heard.strip(b"\0")) == 16000
    pair.a.port.socket(2).received(ReceiverReport(ssrc).to_bytes(), ("192.0.2.2", 7))
    assert pair.a.stream.sender.ssrc == ssrc
    pair.network.sockets.pop(here)


def test_a_source_that_begins_a_little_earlier_is_heard_at_once(pair, ear):
    stream, received = talking(pair)
    peer = stream.latch.latched
    ssrc = stream.receiver.rtp.current.ssrc
    pair.network.loss = 1.0
    heard = ear()
    pair.b.record(heard)
    begin = stream.receiver.rtp.current.max_seq - 500
    for place in range(50):
        received(rtp((begin + place) % 65536, ssrc=ssrc, payload=b"\x10" * 160), peer)
        pair.run(0.02)
    assert len(heard.heard.strip(b"\0")) > 40 * 320
