"""RTCP packets (RFC 3550 section 6, appendices A.2, A.4, A.5)."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.media.rtcp import (
    Bye,
    ReceiverReport,
    ReportBlock,
    SenderReport,
    SourceDescription,
    compound,
    parse_compound,
)

BLOCK = ReportBlock(7, 12, -3, 70000, 55, 0x12345678, 65536)
REPORT = SenderReport(1, 0x0123456789ABCDEF, 1000, 5, 800, (BLOCK,))


def test_a_compound_comes_back_as_it_was():
    packets = [REPORT, SourceDescription(1, ((1, "alice@192.0.2.1"), (2, "Alice"))), Bye((1, 2), "hung up")]
    assert parse_compound(compound(packets)) == packets


@pytest.mark.parametrize("length", range(6))
def test_descriptions_of_every_length_are_padded(length):
    packets = [ReceiverReport(1), SourceDescription(1, ((1, "x" * length),))]
    data = compound(packets)
    assert not len(data) % 4
    assert parse_compound(data) == packets
    assert packets[1].cname == "x" * length


def test_several_chunks_of_one_packet_are_several_values():
    chunk = bytes.fromhex("00000009 01 02 6162 00000000".replace(" ", ""))
    data = ReceiverReport(1).to_bytes() + b"\x82\xca\x00\x06" + chunk + chunk
    assert parse_compound(data)[1:] == [SourceDescription(9, ((1, "ab"),))] * 2


def test_loss_is_clamped():
    for lost, told in ((1 << 30, 0x7FFFFF), (-(1 << 30), -0x800000)):
        (report,) = parse_compound(ReceiverReport(1, (ReportBlock(2, lost=lost),)).to_bytes())
        assert report.blocks[0].lost == told


def test_other_packets_are_left_out():
    data = REPORT.to_bytes() + b"\x80\xcc\x00\x02" + bytes(8)
    assert parse_compound(data) == [REPORT]


def test_a_bye_without_reason_and_without_sources():
    assert parse_compound(ReceiverReport(1).to_bytes() + Bye(()).to_bytes())[1] == Bye(())


def test_padding_at_the_end_is_taken_off():
    bye = b"\xa1\xcb\x00\x02" + bytes((0, 0, 0, 9)) + bytes((0, 0, 0, 4))
    assert parse_compound(ReceiverReport(1).to_bytes() + bye)[1] == Bye((9,))


WRONG = {
    "empty": b"",
    "bye first": Bye((1, 2)).to_bytes(),
    "version": b"\x41" + ReceiverReport(1).to_bytes()[1:],
    "padded first": b"\xa0" + ReceiverReport(1).to_bytes()[1:],
    "length": b"\x80\xc9\x00\x05" + bytes(4),
    "rest": ReceiverReport(1).to_bytes() + b"\x80\xcb",
    "second version": ReceiverReport(1).to_bytes() + b"\x01\xcb\x00\x00",
    "blocks": b"\x9f\xc9\x00\x01" + bytes(4),
    "chunk": ReceiverReport(1).to_bytes() + b"\x81\xca\x00\x02" + bytes(4) + b"\x01\xffab",
    "many chunks": ReceiverReport(1).to_bytes() + b"\x9f\xca\x00\x02" + bytes(8),
    "sources": ReceiverReport(1).to_bytes() + b"\x9f\xcb\x00\x01" + bytes(4),
    "padding": ReceiverReport(1).to_bytes() + b"\xa1\xcb\x00\x01" + bytes((0, 0, 0, 9)),
    "many": ReceiverReport(1).to_bytes() * 65,
}


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG)
def test_what_is_no_compound_is_refused(data):
    with pytest.raises(RemoteProtocolError):
        parse_compound(data)


@given(st.binary(max_size=60))
def test_nothing_else_is_raised(rest):
    with contextlib.suppress(RemoteProtocolError):
        parse_compound(ReceiverReport(1).to_bytes() + b"\x81\xca" + rest)


def test_what_does_not_fit_is_not_sent():
    with pytest.raises(LocalProtocolError):
        SourceDescription(1, ((1, "x" * 256),)).to_bytes()
    with pytest.raises(LocalProtocolError):
        Bye(tuple(range(32))).to_bytes()
