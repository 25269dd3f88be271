"""Telephone events where sound has another clock than they: Opus with phones that know events of 8000 Hz alone.

RFC 4733 section 2.1: one base of timestamps for both; durations are counted by the clock in rtpmap.
"""

import struct

from twisted_sip.media.agreement import offered_codecs
from twisted_sip.media.codecs import table
from twisted_sip.media.settings import MediaSettings
from twisted_sip.media.telephone_event import EventReceiver, EventSender

from .test_session_offers import sdp

WIDE = "m=audio 4000 RTP/AVP 96 101\r\na=rtpmap:96 L16/16000\r\na=rtpmap:101 telephone-event/8000\r\n"


def test_events_of_8000_are_offered_whatever_the_sound_is():
    settings = MediaSettings(codecs=("L16/16000",))
    offered = offered_codecs(table.codec_kinds(settings.codecs), settings)
    assert [(one.name, one.clock_rate) for one in offered] == [
        ("L16", 16000),
        ("telephone-event", 16000),
        ("telephone-event", 8000),
    ]
    both = MediaSettings(codecs=("PCMU", "L16/16000"))
    events = [one.clock_rate for one in offered_codecs(table.codec_kinds(both.codecs), both) if one.is_telephone_event]
    assert events == [8000, 16000]
    assert offered_codecs((), settings) == ()


def test_keys_to_a_phone_with_events_of_8000(pair_of):
    pair = pair_of({"codecs": ("L16/16000",)}, {"codecs": ("L16/16000",)})
    pair.a.answer(sdp(WIDE))
    sender = pair.a.stream.sender
    assert sender.events.clocks == (8000, 160, 16000)
    pair.a.send_dtmf("5", duration=0.1)
    begin = sender.timestamp
    packets = [sender.next(bytes(640)) for _ in range(5)]
    assert {packet[1] & 0x7F for packet in packets} == {101}
    # One begin, by the clock of the sound; durations by that of the events.
    assert {struct.unpack("!I", packet[4:8])[0] for packet in packets} == {begin}
    assert [struct.unpack("!BBH", packet[12:])[2] for packet in packets] == [160, 320, 480, 640, 800]
    # The sound goes on where its clock is by then.
    assert sender.timestamp == (begin + 5 * 320) & 0xFFFFFFFF


def test_keys_between_both(pair_of):
    """What is offered to a phone with events of 8000 alone comes to be pressed and heard."""
    pair = pair_of({"codecs": ("L16/16000",)}, {"codecs": ("L16/16000",)})
    keys = []
    pair.b.on_dtmf = lambda key, seconds, how: keys.append((key, round(seconds, 2), how))
    offer = str(pair.a.offer())
    lines = [line for line in offer.split("\r\n") if "telephone-event/16000" not in line]
    answer = pair.b.answer(type(pair.a._offer[0]).parse("\r\n".join(lines)))
    assert [one.clock_rate for one in answer.media[0].codecs if one.is_telephone_event] == [8000]
    pair.a.answered(answer)
    pair.a.send_dtmf("7", duration=0.2)
    pair.run(0.6)
    assert keys == [("7", 0.2, "rtp")]


def test_events_of_the_sounds_own_clock_come_first(pair_of):
    pair = pair_of({"codecs": ("L16/16000",)})
    pair.a.answer(sdp(WIDE.replace("96 101", "96 101 102") + "a=rtpmap:102 telephone-event/16000\r\n"))
    assert (pair.a.stream.terms.events, pair.a.stream.terms.events_rate) == (102, 16000)


def test_long_keys_by_two_clocks():
    sender = EventSender(8000, 160, 48000)
    sender.press("1", 10.0, 0.0)
    begins, told = set(), []
    receiver = EventReceiver(8000, lambda key, seconds: told.append((key, round(seconds, 2))))
    for place in range(520):
        event = sender.next(1000 + place * 960)
        if event is not None:
            begins.add(event[1])
            receiver.received(event[0], event[1], place * 0.02)
    # Section 2.5.1.3: the second segment begins 65535 units of 8000 Hz later, by the clock of the sound.
    assert begins == {1000, 1000 + 65535 * 6}
    assert told == [("1", 10.0)]
