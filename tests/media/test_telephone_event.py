"""Keys as events (RFC 4733) out and in."""

import pytest

from twisted_sip.errors import LocalProtocolError
from twisted_sip.media.telephone_event import EventReceiver, EventSender, event_payload, event_reports


def sent(digits, duration=0.1, gap=0.1, step=160, begin=0):
    sender = EventSender(8000, step)
    sender.press(digits, duration, gap)
    now = begin
    packets = []
    while sender.busy:
        packet = sender.next(now & 0xFFFFFFFF)
        if packet is not None:
            (report,) = event_reports(packet[0])
            packets.append((now, report, packet[1], packet[2]))
        now += step
        assert now < begin + 8000 * 200
    return packets


def receiver():
    told = []
    return EventReceiver(8000, lambda key, held: told.append((key, round(held, 3)))), told


def play(made, packets):
    for now, report, timestamp, _ in packets:
        made.received(event_payload(report.event, report.end, report.duration), timestamp, now / 8000)


def test_one_key_is_a_row_of_updates_and_three_ends():
    packets = sent("5")
    assert [(report.duration, report.end) for _, report, _, _ in packets] == [
        (160, False),
        (320, False),
        (480, False),
        (640, False),
        (800, True),
        (800, True),
        (800, True),
    ]
    assert [marker for *_, marker in packets] == [True] + [False] * 6
    assert {timestamp for *_, timestamp, _ in packets} == {0}
    assert {report.event for _, report, _, _ in packets} == {5}


def test_a_duration_between_two_packets_is_told_exactly():
    assert sent("5", 0.05)[-1][1].duration == 400


def test_several_keys_have_gaps_between_them():
    packets = sent("1#", gap=0.1)
    begins = sorted({timestamp for *_, timestamp, _ in packets})
    assert len(begins) == 2 and begins[1] - begins[0] >= 800 + 800
    assert sum(marker for *_, marker in packets) == 2


def test_a_comma_waits_for_a_second():
    begins = sorted({timestamp for *_, timestamp, _ in sent("1,2")})
    assert begins[1] - begins[0] >= 8000 + 1600


def test_a_long_key_is_told_in_segments():
    packets = sent("7", 20.0)
    full = [(report, timestamp, marker) for _, report, timestamp, marker in packets if report.duration == 0xFFFF]
    assert len(full) == 2 and not any(report.end for report, *_ in full)
    begins = sorted({timestamp for *_, timestamp, _ in packets})
    assert begins == [0, 0xFFFF, 2 * 0xFFFF]
    assert sum(marker for *_, marker in packets) == 1
    made, told = receiver()
    play(made, packets)
    assert told == [("7", 20.0)]


@pytest.mark.parametrize("wrong", ["x", "1 2", "1" * 300])
def test_what_is_no_key_is_refused(wrong):
    with pytest.raises(LocalProtocolError):
        EventSender(8000, 160).press(wrong, 0.1, 0.1)


def test_durations_are_bounded():
    for duration, gap in ((0, 0.1), (61, 0.1), (0.1, -1), (0.1, 61)):
        with pytest.raises(LocalProtocolError):
            EventSender(8000, 160).press("1", duration, gap)


def test_a_queue_of_keys_is_bounded_and_can_be_dropped():
    sender = EventSender(8000, 160)
    sender.press("1" * 200, 0.1, 0.1)
    with pytest.raises(LocalProtocolError):
        sender.press("1" * 100, 0.1, 0.1)
    sender.next(0)
    sender.stop()
    for turn in range(30):
        sender.next(160 * turn)
    assert not sender.busy


def test_keys_are_told_once_each():
    made, told = receiver()
    play(made, sent("0123456789*#ABCD!"))
    assert "".join(key for key, _ in told) == "0123456789*#ABCD!"
    assert {held for _, held in told} == {0.1}


def test_the_same_key_twice_is_two_keys():
    made, told = receiver()
    play(made, sent("55"))
    assert told == [("5", 0.1)] * 2


@pytest.mark.parametrize("lost", range(7))
def test_one_packet_may_be_lost(lost):
    made, told = receiver()
    packets = sent("5")
    del packets[lost]
    play(made, packets)
    assert told == [("5", 0.1)]


def test_the_end_may_be_lost_and_is_told_after_a_while():
    made, told = receiver()
    play(made, sent("5")[:3])
    assert made.pressed
    made.tick(0.1)
    assert told == []
    made.tick(0.5)
    assert told == [("5", 0.06)] and not made.pressed
    play(made, sent("5")[4:])
    assert told == [("5", 0.06)]


def test_the_next_key_ends_the_one_before():
    made, told = receiver()
    packets = [one for one in sent("12") if not one[1].end]
    play(made, packets)
    assert told == [("1", 0.08)]


def test_packets_in_another_order_make_the_same_key():
    made, told = receiver()
    packets = sent("5")
    packets[1], packets[3] = packets[3], packets[1]
    play(made, packets)
    play(made, packets)
    assert told == [("5", 0.1)]


def test_timestamps_wrap():
    made, told = receiver()
    play(made, sent("12", begin=0xFFFFFF00))
    assert [key for key, _ in told] == ["1", "2"]


def test_several_events_in_one_packet():
    made, told = receiver()
    made.received(event_payload(1, True, 400) + event_payload(2, True, 480), 1000, 0.0)
    assert told == [("1", 0.05), ("2", 0.06)]


def test_another_clock_of_the_peer():
    made, told = receiver()
    play(made, sent("1", begin=5_000_000)[:2])
    made.reset()
    play(made, sent("2"))
    assert [key for key, _ in told] == ["1", "2"]
    made.reset()


@pytest.mark.parametrize("payload", [b"", b"\1\2\3", bytes(68)])
def test_malformed_ones_are_counted(payload):
    made, told = receiver()
    made.received(payload, 0, 0.0)
    assert made.malformed == 1 and told == []


def test_events_that_are_no_keys_are_left_out():
    made, told = receiver()
    made.received(event_payload(40, True, 400), 0, 0.0)
    assert told == [] and made.malformed == 0


def test_a_clock_set_back_does_not_swallow_keys():
    found = []
    receiver = EventReceiver(8000, lambda key, held: found.append(key))
    receiver.received(event_payload(1, True, 800), 500_000, 1.0)
    receiver.received(event_payload(2, True, 800), 499_000, 1.1)
    assert found == ["1"], "a copy of something before it"
    receiver.received(event_payload(3, True, 800), 1_000, 2.0)
    receiver.received(event_payload(4, True, 800), 900, 30.0)
    assert found == ["1", "3", "4"]
