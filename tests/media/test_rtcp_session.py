"""Reports both ways (RFC 3550 section 6.4): a loss, a jitter, a round trip."""

import pytest

from twisted_sip.media.quality import mos, rating
from twisted_sip.media.rtcp import Bye, ReceiverReport, ReportBlock, SenderReport, SourceDescription, parse_compound
from twisted_sip.media.rtcp_session import RTCPSession, ntp_time
from twisted_sip.media.rtp_receiver import RTPReceiver

NOW = 1_700_000_000.0


def session(ssrc=1, receiver=None):
    return RTCPSession(
        ssrc, f"{ssrc}@example", receiver or RTPReceiver(), now=NOW, bandwidth=20000.0, random=lambda: 0.5
    )


def test_ntp_time_counts_from_1900():
    assert ntp_time(0.0) >> 32 == 2_208_988_800
    assert ntp_time(0.5) & 0xFFFFFFFF == 1 << 31


def test_who_sends_makes_sender_reports():
    found = session()
    found.data_sent(160, NOW)
    assert found.poll(NOW, 0) is None
    data = found.poll(NOW + 2.1, 16000)
    report, description = parse_compound(data)
    assert isinstance(report, SenderReport)
    assert (report.packets, report.octets, report.rtp_timestamp, report.blocks) == (1, 160, 16000, ())
    assert description.cname == "1@example"
    assert found.due_at > NOW + 2


def test_who_only_listens_makes_receiver_reports_on_what_it_heard():
    receiver = RTPReceiver()
    found = session(receiver=receiver)
    for number in (0, 1, 2, 7):
        receiver.take(9, number, 160 * number, 8000, NOW + number * 0.02)
    report = parse_compound(found.poll(NOW + 2.1, 0))[0]
    assert isinstance(report, ReceiverReport)
    (block,) = report.blocks
    assert (block.ssrc, block.lost, block.highest, block.fraction_lost) == (9, 4, 7, 128)
    # What was not heard since is not reported on (section 6.4).
    assert parse_compound(found.report(NOW + 7, 0))[0].blocks == ()


def test_the_round_trip_is_that_of_figure_2():
    here, there = session(1), session(2)
    here.data_sent(160, NOW)
    there_receiver = there._receiver
    there_receiver.take(1, 0, 0, 8000, NOW)
    there.received(here.report(NOW, 0), NOW + 0.04)
    here.received(there.report(NOW + 1.04, 0), NOW + 1.08)
    assert here.round_trip == pytest.approx(0.08, abs=0.001)
    assert here.remote_fraction_lost == 0.0 and here.remote_jitter == 0 and here.remote_cname == "2@example"


def test_a_round_trip_that_cannot_be_is_not_believed():
    found = session()
    block = ReportBlock(1, last_sr=ntp_time(NOW - 100) >> 16 & 0xFFFFFFFF)
    found.received(ReceiverReport(2, (block,)).to_bytes(), NOW)
    assert found.round_trip is None
    block = ReportBlock(1, last_sr=ntp_time(NOW + 0.001) >> 16 & 0xFFFFFFFF)
    found.received(ReceiverReport(2, (block,)).to_bytes(), NOW)
    assert found.round_trip == 0.0


def test_reports_on_others_and_without_a_report_of_ours_tell_no_round_trip():
    found = session()
    found.received(ReceiverReport(2, (ReportBlock(77, lost=4), ReportBlock(1, 64, 9))).to_bytes(), NOW)
    assert found.round_trip is None and found.remote_fraction_lost == 0.25 and found.remote_lost == 9


def test_malformed_ones_are_counted():
    found = session()
    found.received(b"\x80\xc8\0\0", NOW)
    assert found.malformed == 1 and found.heard_at is None


def test_a_bye_ends_the_source():
    receiver = RTPReceiver()
    found = session(receiver=receiver)
    receiver.take(2, 0, 0, 8000, NOW)
    found.received(SenderReport(2, 0, 0, 0, 0).to_bytes() + Bye((2, 1)).to_bytes(), NOW)
    assert receiver.current.heard_at == float("-inf")
    assert not found._sr_at


def test_our_own_identifier_in_a_report_is_a_collision():
    found = session()
    found.received(ReceiverReport(1).to_bytes(), NOW)
    assert found.collided
    found.change_ssrc(5)
    assert found.ssrc == 5 and not found.collided


def test_many_senders_do_not_fill_the_memory():
    found = session()
    for ssrc in range(100, 200):
        found.received(SenderReport(ssrc, 0, 0, 0, 0).to_bytes(), NOW)
    assert len(found._sr_at) <= 8


def test_who_never_spoke_leaves_without_bye():
    found = session()
    assert found.bye(NOW, 0) is None
    found.data_sent(160, NOW)
    packets = parse_compound(found.bye(NOW, 0, "over"))
    assert isinstance(packets[1], SourceDescription) and packets[2] == Bye((1,), "over")


def test_reports_are_put_off_when_the_timer_says_so():
    found = session()
    for ssrc in range(60):
        found.timing.report_received(ssrc, 4000, NOW)
    before = found.due_at
    assert found.poll(before, 0) is None and found.due_at > before


def test_quality_falls_with_loss_and_delay():
    assert mos(0.0, 0.02) == pytest.approx(4.4, abs=0.02)
    assert mos(0.0, 0.02) > mos(0.02, 0.02) > mos(0.1, 0.02) > mos(1.0, 0.5) >= 1.0
    assert mos(0.0, 0.05) > mos(0.0, 0.4)
    assert rating(0.0, 0.0, "NONE") < rating(0.0, 0.0, "PCMA")
