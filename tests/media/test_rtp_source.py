"""Validity, loss and jitter of a source (RFC 3550 appendices A.1, A.3, A.8), and which source is heard (8.2)."""

from twisted_sip.media.rtp_receiver import MOST_SOURCES, RTPReceiver
from twisted_sip.media.rtp_source import RTPSource


def source(first=0, probation=0):
    return RTPSource(1, first, 8000, probation)


def test_two_in_sequence_prove_a_source():
    found = source(10, 2)
    assert found.expected == 0
    assert [found.update(number) for number in (10, 12, 13)] == [-1, -1, 13]
    assert (found.received, found.expected, found.base_seq) == (1, 1, 13)


def test_numbers_wrap_and_go_on():
    found = source(65534)
    assert [found.update(number) for number in (65534, 65535, 0, 1)] == [65534, 65535, 65536, 65537]
    assert found.extended_max == 65537 and found.lost == 0


def test_a_packet_from_before_the_wrap_has_its_old_number():
    found = source(65534)
    for number in (65534, 0):
        found.update(number)
    assert found.update(65535) == 65535
    assert found.update(0) == 65536
    assert found.received == 4 and found.lost == -1


def test_a_large_jump_is_believed_when_it_goes_on():
    found = source(0)
    found.update(0)
    assert found.update(20000) == -1
    assert found.update(30000) == -1
    assert found.update(30001) == 30001
    assert found.restarts == 1 and found.received == 1


def test_loss_is_counted_and_told_once():
    found = source(0)
    for number in (0, 1, 2, 3, 8, 9):
        found.update(number)
    assert (found.expected, found.received, found.lost) == (10, 6, 4)
    assert found.fraction_lost() == (4 << 8) // 10
    assert found.fraction_lost() == 0
    found.update(9)
    assert found.fraction_lost() == 0


def test_all_lost_but_one_is_not_more_than_all():
    found = source(0)
    found.update(0)
    found.fraction_lost()
    found.update(2999)
    assert found.fraction_lost() == 255


def test_jitter_is_that_of_the_formula():
    found = source(0)
    times = [0.0, 0.020, 0.045, 0.060, 0.095]
    jitter, before = 0.0, 0.0
    for place, now in enumerate(times):
        found.arrived(160 * place, now)
        transit = now * 8000 - 160 * place
        if place:
            jitter += (abs(transit - before) - jitter) / 16
        before = transit
    assert abs(found.jitter - jitter) < 1e-6


def test_timestamps_that_wrap_are_no_jitter():
    found = source(0)
    for place in range(4):
        found.arrived((0xFFFFFF00 + 160 * place) & 0xFFFFFFFF, place * 0.02)
    assert found.jitter < 1e-6


def test_timestamps_that_jump_are_left_out():
    found = source(0)
    found.arrived(0, 0.0)
    found.arrived(0x40000000, 0.02)
    assert found.jitter == 0.0
    found.arrived(0x3FFFFF00, 0.04)
    assert found.jitter > 0


def test_the_first_source_is_heard_from_its_first_packet():
    receiver = RTPReceiver()
    assert receiver.take(1, 100, 0, 8000, 0.0) == 100
    assert receiver.received == 1 and receiver.lost == 0 and receiver.jitter == 0.0


def test_a_second_source_must_wait_while_the_first_speaks():
    receiver = RTPReceiver()
    for place in range(10):
        assert receiver.take(1, place, 160 * place, 8000, place * 0.02) == place
        assert receiver.take(2, 500 + place, 160 * place, 8000, place * 0.02) == -1
    assert receiver.refused == 10 and receiver.current.ssrc == 1


def test_a_new_ssrc_goes_on_where_the_old_one_is_silent():
    receiver = RTPReceiver()
    for place in (0, 1, 5):
        receiver.take(1, place, 0, 8000, 0.0)
    assert [receiver.take(2, number, 0, 8000, 1.0) for number in (50, 51, 52)] == [-1, 51, 52]
    assert receiver.changes == 1 and receiver.received == 5 and receiver.lost == 3


def test_after_bye_the_next_source_follows_at_once():
    receiver = RTPReceiver()
    receiver.take(1, 0, 0, 8000, 0.0)
    receiver.bye(7)
    receiver.bye(1)
    receiver.take(2, 0, 0, 8000, 0.02)
    assert receiver.take(2, 1, 0, 8000, 0.04) == 1


def test_a_new_offer_lets_another_source_in():
    receiver = RTPReceiver()
    receiver.forget()
    receiver.take(1, 0, 0, 8000, 0.0)
    receiver.forget()
    receiver.take(2, 0, 0, 8000, 0.01)
    assert receiver.take(2, 1, 0, 8000, 0.01) == 1


def test_many_sources_do_not_fill_the_memory():
    receiver = RTPReceiver()
    for ssrc in range(1000):
        receiver.take(ssrc, 0, 0, 8000, 0.001 * ssrc / 1000)
    assert len(receiver._sources) <= MOST_SOURCES


def test_wrong_numbers_of_the_current_source_are_refused():
    receiver = RTPReceiver()
    receiver.take(1, 0, 0, 8000, 0.0)
    assert receiver.take(1, 30000, 0, 8000, 0.02) == -1
    assert receiver.refused == 1
