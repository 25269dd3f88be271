"""application/simple-message-summary (RFC 3842 sections 3.5 and 5.2)."""

from __future__ import annotations

import pytest

from twisted_sip.documents.message_summary import FAX, MAX_COUNT, NONE, TEXT, VOICE, Counts, Summary
from twisted_sip.errors import DocumentError, LocalProtocolError

# Section 4.1, A5.
EXAMPLE = b"""Messages-Waiting: yes
Message-Account: sip:alice@vmail.example.com
Voice-Message: 4/8 (1/2)

To: <alice@atlanta.example.com>
From: <bob@biloxi.example.com>
Subject: carpool tomorrow?
Date: Sun, 09 Jul 2000 21:23:01 -0700
Priority: normal
Message-ID: 13784434989@vmail.example.com

To: <alice@example.com>
From: <cathy-the-bob@example.com>
Subject: HELP! at home ill, present for me please
Date: Sun, 09 Jul 2000 21:25:12 -0700
Priority: urgent
Message-ID: 13684434990@vmail.example.com
"""


def test_the_example_is_read_and_written_as_it_stands() -> None:
    body = EXAMPLE.replace(b"\n", b"\r\n")
    read = Summary.parse(body)
    assert read.messages_waiting and read.account == "sip:alice@vmail.example.com"
    assert dict(read.counts) == {VOICE: Counts(4, 8, 1, 2)}
    first, second = read.messages
    assert first[2] == ("Subject", "carpool tomorrow?") and second[4] == ("Priority", "urgent")
    assert read.to_bytes() == body
    assert Summary.parse(EXAMPLE) == read


def test_the_status_follows_from_the_counts_unless_it_is_told() -> None:
    assert Summary().to_bytes() == b"Messages-Waiting: no\r\n"
    assert Summary(counts={FAX: Counts(2, 4)}).to_bytes() == b"Messages-Waiting: yes\r\nFax-Message: 2/4\r\n"
    assert Summary(counts={FAX: Counts(0, 4, 0, 1)}).to_bytes() == b"Messages-Waiting: no\r\nFax-Message: 0/4 (0/1)\r\n"
    assert Summary(waiting=True, counts={NONE: Counts()}).to_bytes() == b"Messages-Waiting: yes\r\nNone: 0/0\r\n"
    assert b"x-video: 1/0" in Summary(counts={"X-Video": Counts(1)}).to_bytes()


def test_reading_is_lenient() -> None:
    read = Summary.parse(
        b"\r\nmessages-waiting :YES\nMESSAGE-ACCOUNT:<sip:a@example.com>\nvoice-message:1 / 2( 3/4 )  rubbish\n"
        b"Text-Message: 99999999999999999999/4294967296\nnonsense\n: 1/2\nfax-message:\n  5/6\nx: y\n\n\n\nA: b\n"
    )
    assert read.messages_waiting and read.account == "sip:a@example.com"
    assert dict(read.counts) == {
        VOICE: Counts(1, 2, 3, 4),
        TEXT: Counts(MAX_COUNT, MAX_COUNT),
        FAX: Counts(5, 6),
    }
    assert read.messages == ((("A", "b"),),)
    assert not Summary.parse(b"Messages-Waiting: no").messages_waiting


def test_what_is_read_is_bounded() -> None:
    lines = b"".join(b"c%d: 1/1\r\n" % number for number in range(2000))
    assert len(Summary.parse(b"Messages-Waiting: yes\r\n" + lines).counts) == 64
    with pytest.raises(DocumentError) as caught:
        Summary.parse(b"Messages-Waiting: yes\r\n" + b"x" * 70_000)
    assert caught.value.too_large


@pytest.mark.parametrize("body", [b"", b"Voice-Message: 1/0", b"Messages-Waiting: perhaps", b"\xff\xfe"])
def test_without_a_status_it_is_none(body: bytes) -> None:
    with pytest.raises(DocumentError):
        Summary.parse(body)


@pytest.mark.parametrize(
    "made",
    [
        Summary(counts={VOICE: Counts(MAX_COUNT + 1)}),
        Summary(counts={VOICE: Counts(0, -1)}),
        Summary(counts={"two words": Counts()}),
        Summary(account="<sip:a@example.com>"),
        Summary(messages=((("Subject", "a\r\nb"),),)),
        Summary(messages=((("", "a"),),)),
    ],
)
def test_what_makes_no_sense_is_not_written(made: Summary) -> None:
    with pytest.raises(LocalProtocolError):
        made.to_bytes()


def test_counts_add_up_to_what_can_be_told() -> None:
    assert Counts(1, 2, 3, 4) + Counts(1, 1, 1, 1) == Counts(2, 3, 4, 5)
    assert (Counts(MAX_COUNT) + Counts(1)).new == MAX_COUNT
