"""When RTCP is sent (RFC 3550 sections 6.2, 6.3 and appendix A.7)."""

import pytest

from twisted_sip.media.rtcp_timing import COMPENSATION, MOST_MEMBERS, RTCPTiming, interval


def timing(random=0.5, bandwidth=20000.0, now=0.0):
    return RTCPTiming(bandwidth, now, lambda: random)


@pytest.mark.parametrize(
    ("members", "senders", "we_sent", "initial", "expected"),
    [
        (2, 2, True, True, 2.5),
        (2, 2, True, False, 5.0),
        (1000, 500, True, False, 1000 * 100 / 1000),
        (1000, 10, True, False, 10 * 100 / 250),
        (1000, 10, False, False, 990 * 100 / 750),
    ],
)
def test_the_interval_of_the_appendix(members, senders, we_sent, initial, expected):
    found = interval(members, senders, 1000.0, we_sent, 100.0, initial)
    assert found == pytest.approx(max(expected, 2.5 if initial else 5.0))


@pytest.mark.parametrize("random", [0.0, 0.5, 0.999])
def test_the_first_report_is_due_after_half_the_time_give_or_take_chance(random):
    assert timing(random).tn == pytest.approx(2.5 * (random + 0.5) / COMPENSATION)


def test_reports_follow_in_the_full_time():
    found = timing()
    first = found.tn
    assert not found.due(first - 0.01)
    assert found.due(first)
    found.sent(100, first)
    assert found.tn == pytest.approx(first + 5 / COMPENSATION)


def test_the_timer_is_reconsidered_when_many_have_come():
    found = timing(bandwidth=200.0)
    at = found.tn
    for ssrc in range(50):
        found.report_received(ssrc, 120, 0.5)
    assert not found.due(at)
    assert found.tn > at


def test_who_leaves_brings_the_next_report_nearer():
    found = timing(bandwidth=200.0)
    for ssrc in range(9):
        found.report_received(ssrc, 120, 0.1)
    found.due(found.tn)
    members, before = found.members, found.tn
    found.bye_received(0, 60, 1.0)
    assert found.members == members - 1
    assert found.tn == pytest.approx(1.0 + (members - 1) / members * (before - 1.0))


def test_a_bye_of_one_who_was_not_counted_changes_nothing():
    found = timing()
    found.data_received(1, 0.0)
    found.due(found.tn)
    before = found.tn
    found.bye_received(99, 60, 0.5)
    assert found.tn == before and found.members == 2


def test_senders_and_members_are_forgotten_in_time():
    found = timing()
    found.data_received(1, 0.0)
    found.data_sent(0.0)
    assert (found.members, found.senders) == (2, 2)
    found.due(11.0)
    assert (found.members, found.senders) == (2, 1)
    found.due(100.0)
    assert found.members == 1


def test_we_have_sent_until_two_reports_without_data():
    found = timing()
    found.data_sent(0.5)
    assert found.we_sent
    found.sent(100, 5.0)
    assert found.we_sent
    found.sent(100, 10.0)
    assert not found.we_sent


def test_members_are_bounded():
    found = timing()
    for ssrc in range(1000):
        found.data_received(ssrc, 0.0)
        found.report_received(ssrc + 5000, 100, 0.0)
    assert found.members == MOST_MEMBERS + 1


def test_few_leave_at_once_and_many_wait():
    assert timing().leave(60, 1.0)
    found = timing(bandwidth=2000.0)
    for ssrc in range(60):
        found.report_received(ssrc, 120, 0.0)
    assert not found.leave(60, 1.0)
    assert (found.members, found.senders, found.we_sent) == (1, 0, False)
    before = found.tn
    assert before > 1.0
    found.report_received(999, 60, 1.1)
    for ssrc in range(40):
        found.bye_received(ssrc, 60, 1.2)
    assert found.members == 41
    assert not found.due(before)
    assert found.due(found.tn)
