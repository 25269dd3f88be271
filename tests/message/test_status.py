"""Reason phrases."""

from __future__ import annotations

import pytest

from twisted_sip.message.status import REASON_PHRASES, reason_phrase


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (100, "Trying"),
        (183, "Session Progress"),
        (199, "Early Dialog Terminated"),
        (407, "Proxy Authentication Required"),
        (423, "Interval Too Brief"),
        (430, "Flow Failed"),
        (440, "Max-Breadth Exceeded"),
        (481, "Call/Transaction Does Not Exist"),
        (505, "Version Not Supported"),
        (608, "Rejected"),
    ],
)
def test_registered(status: int, phrase: str) -> None:
    assert reason_phrase(status) == phrase


def test_unregistered_statuses_have_the_phrase_of_their_class() -> None:
    assert reason_phrase(499) == "Bad Request"
    assert reason_phrase(299) == "OK"
    assert reason_phrase(699) == "Global Failure"
    assert reason_phrase(700) == ""
    assert reason_phrase(99) == ""


def test_the_registry_holds_legal_statuses_and_phrases() -> None:
    assert len(REASON_PHRASES) == 75
    for status, phrase in REASON_PHRASES.items():
        assert 100 <= status <= 699
        assert phrase.isascii() and phrase.isprintable() and phrase
