"""The ladder: who is where, what fits, and what a hostile message cannot do to a terminal."""

from __future__ import annotations

import re

import pytest

from twisted_sip.cli.ladder import ASCII, Ladder
from twisted_sip.cli.traced_message import Traced

ALICE, BOB, CAROL = "192.0.2.20:5060", "192.0.2.30:49152", "[2001:db8::31]:5060"


def message(
    time: float, sent: bool, remote: str, first: str, cseq: str, *, transport: str = "UDP", sdp: bool = False
) -> Traced:
    text = f'{first}\r\nf: <sip:alice@example.com>;tag=1\r\nTo: "Bob" <sip:bob@example.com>\r\nCSeq: {cseq}\r\n'
    if sdp:
        text += "c: application/sdp\r\n"
    return Traced.of(
        {
            "time": 1000.0 + time,
            "sent": sent,
            "transport": transport,
            "local": "192.0.2.10:5060",
            "remote": remote,
            "text": text + "\r\n",
        }
    )


CALL = [
    message(0.0, False, ALICE, "INVITE sip:bob@example.com SIP/2.0", "2 INVITE", sdp=True),
    message(0.001, True, ALICE, "SIP/2.0 100 Trying", "2 INVITE"),
    message(0.002, True, BOB, "INVITE sip:bob@192.0.2.30 SIP/2.0", "2 INVITE", transport="TCP", sdp=True),
    message(0.003, True, CAROL, "INVITE sip:bob@[2001:db8::31] SIP/2.0", "2 INVITE", sdp=True),
    message(0.503, True, CAROL, "INVITE sip:bob@[2001:db8::31] SIP/2.0", "2 INVITE", sdp=True),
    message(1.25, False, BOB, "SIP/2.0 200 OK", "2 INVITE", transport="TCP", sdp=True),
    message(1.251, True, ALICE, "SIP/2.0 200 OK", "2 INVITE", sdp=True),
    message(1.252, True, CAROL, "CANCEL sip:bob@[2001:db8::31] SIP/2.0", "2 CANCEL"),
]


def drawn(messages: list[Traced], width: int) -> list[str]:
    ladder = Ladder(messages, width)
    assert ladder.readable
    return [line.plain for line in ladder.draw()]


def test_a_call_with_a_fork() -> None:
    lines = drawn(CALL, 132)
    assert lines[0] == "INVITE sip:bob@example.com"
    assert lines[1].endswith("8 messages in 1.252 s")
    assert lines[3].split() == ["alice", "server", "bob", "bob"]
    assert lines[4].split() == ["192.0.2.20", "192.0.2.10", "192.0.2.30", "[2001:db8::31]"]
    assert lines[5].split() == ["5060", "udp", "5060", "49152", "tcp", "5060", "udp"]
    bare = ["".join(line[9:].replace("─", "").replace(" ", "")) for line in lines[7:-1]]
    assert bare == [
        "├INVITE2SDP▶│││",
        "│◀100Trying(INVITE2)┤││",
        "│├INVITE2SDP▶││",
        "│├INVITE2SDP┼▶│",
        "│├INVITE2SDP↻┼▶│",
        "││◀200OKSDP(INVITE2)┤│",
        "│◀200OKSDP(INVITE2)┤││",
        "│├CANCEL2┼▶│",
    ]
    assert [line[:8].strip() for line in lines[7:-1]] == [
        "0.000", "0.001", "0.002", "0.003", "0.503", "1.250", "1.251", "1.252",
    ]  # fmt: skip


@pytest.mark.parametrize("width", [76, 80, 100, 132, 250])
def test_it_fits_the_terminal_and_its_lines_are_straight(width: int) -> None:
    lines = drawn(CALL, width)
    assert max(len(line) for line in lines[3:]) <= width
    places = {tuple(place for place, char in enumerate(line) if char == "│") for line in (lines[6], lines[-1])}
    (lives,) = places
    assert len(lives) == 4
    for line in lines[7:-1]:
        assert all(line[place] in "│├┤┼" for place in lives)


def test_narrow_terminals_get_short_labels_and_then_no_ladder() -> None:
    assert any(re.search("◀─+ 100 \\(2\\) ─+┤", line) for line in drawn(CALL, 76))
    assert not Ladder(CALL, 70).readable


def test_terminals_without_unicode() -> None:
    lines = [line.plain for line in Ladder(CALL, 120, ASCII).draw()]
    assert all(line.isascii() for line in lines)
    assert re.search("\\|-+ INVITE 2 SDP -+>\\|", lines[7])


def test_a_message_cannot_steer_the_terminal() -> None:
    evil = message(0, False, ALICE, "INVITE sip:\x1b[2J\x07 SIP/2.0", "1 \x1b]0;x\x07")
    lines = drawn([evil], 100)
    assert not any("\x1b" in line or "\x07" in line for line in lines)
    assert "\x1b" not in evil.line()


def test_one_line_of_a_list() -> None:
    request, response = CALL[0].line(), CALL[5].line()
    assert request.partition(" ")[2] == f"<- {ALICE} udp  INVITE sip:bob@example.com (2)"
    assert response.partition(" ")[2] == f"<- {BOB} tcp  200 OK (INVITE 2)"


def test_messages_that_are_hardly_any() -> None:
    for first in ("", "SIP/2.0 x", "\x00"):
        odd = message(0, False, ALICE, first, "")
        assert odd.status == 0
        drawn([odd], 100)


def test_folded_lines() -> None:
    text = "INVITE sip:b@example.com SIP/2.0\r\ncseq: 0009\r\n  INVITE\r\nfrom:\r\n\t<sip:a@example.com>\r\n\r\n"
    fields = {"time": 0, "sent": False, "transport": "UDP", "local": "192.0.2.1:5060", "remote": "192.0.2.2:5060"}
    traced = Traced.of({**fields, "text": text})
    assert (traced.cseq, traced.user("from")) == (("0009", "INVITE"), "a")
