"""Numbers, Retry-After, Timestamp and MIME-Version."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.numeric_fields import (
    MAX_DELTA_SECONDS,
    MIMEVersion,
    RetryAfter,
    Timestamp,
    check_seconds,
    number_field,
    parse_delta_seconds,
    parse_number,
    seconds_field,
)


@pytest.mark.parametrize(("text", "number"), [("0", 0), (" 70\t", 70), ("0068", 68), ("0" * 9999 + "255", 255)])
def test_number(text: str, number: int) -> None:
    assert number_field("Max-Forwards", 255)(text) == number


@pytest.mark.parametrize(
    "text", ["", " ", "-1", "+1", "1.0", "1 2", "0x1", "1_0", "\u0661", "\u00b2", "256", "9" * 5000]
)
def test_no_number(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match="Malformed Max-Forwards header field") as caught:
        parse_number(text, "Max-Forwards", 255)
    assert caught.value.header == "Max-Forwards"


def test_seconds_that_are_too_many_count_as_the_most() -> None:
    # RFC 3261 section 10.2, RFC 4475 section 3.1.2.4.
    parse = seconds_field("Expires")
    assert parse("3600") == 3600
    assert parse(str(MAX_DELTA_SECONDS)) == MAX_DELTA_SECONDS
    assert parse(str(MAX_DELTA_SECONDS + 1)) == parse("1" + "0" * 100) == parse("9" * 5000) == MAX_DELTA_SECONDS
    with pytest.raises(RemoteProtocolError, match="Malformed Expires header field: no number of seconds"):
        parse("soon")


def test_seconds_to_send() -> None:
    assert check_seconds(0, "Expires") == 0
    for seconds in (-1, 1 << 32):
        with pytest.raises(LocalProtocolError, match="Expires"):
            check_seconds(seconds, "Expires")


@given(st.integers(0, MAX_DELTA_SECONDS))
def test_seconds_round_trip(seconds: int) -> None:
    assert parse_delta_seconds(str(seconds), "Expires") == seconds


@pytest.mark.parametrize(
    ("text", "seconds", "comment", "duration"),
    [
        ("18000;duration=3600", 18000, "", 3600),
        ("120 (I'm in a meeting)", 120, "I'm in a meeting", None),
        (" 5 (a (b) \\) c) ; duration = 7", 5, "a (b) ) c", 7),
        ("949302838503028349304023988", MAX_DELTA_SECONDS, "", None),  # RFC 4475 section 3.1.2.5
    ],
)
def test_retry_after(text: str, seconds: int, comment: str, duration: int | None) -> None:
    found = RetryAfter.parse(text)
    assert (found.seconds, found.comment, found.duration) == (seconds, comment, duration)
    assert RetryAfter.parse(str(found)) == found
    assert hash(RetryAfter.parse(str(found))) == hash(found)


def test_retry_after_to_send() -> None:
    made = RetryAfter(5, [("duration", "7")], comment="lunch (\\o/)")
    assert str(made) == "5 (lunch \\(\\\\o/\\));duration=7"
    assert RetryAfter.parse(str(made)).comment == "lunch (\\o/)"
    assert made != RetryAfter(5)
    assert made != "5"
    assert repr(RetryAfter(5)) == "<RetryAfter 5>"
    for seconds, comment in ((-1, ""), (5, "\n")):
        with pytest.raises(LocalProtocolError):
            RetryAfter(seconds, comment=comment)


@pytest.mark.parametrize("text", ["", "soon", "5 (", "5 (a\\)", "5 6", "5;", "5 (a) b", "(5)"])
def test_malformed_retry_after(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match="Malformed Retry-After header field"):
        RetryAfter.parse(text)


def test_a_duration_that_is_no_number() -> None:
    with pytest.raises(RemoteProtocolError, match="Retry-After"):
        _ = RetryAfter.parse("5;duration=x").duration


@pytest.mark.parametrize(
    ("text", "moment", "delay"),
    [("54", "54", ""), ("54.21\t0.5", "54.21", "0.5"), ("54.  .5 ", "54.", ".5"), (" 1 2", "1", "2")],
)
def test_timestamp(text: str, moment: str, delay: str) -> None:
    found = Timestamp.parse(text)
    assert (found.moment, found.delay) == (moment, delay)
    assert Timestamp.parse(str(found)) == found
    assert hash(found) == hash(Timestamp(moment, delay))
    assert found != moment
    assert repr(found) == f"<Timestamp {found}>"


@pytest.mark.parametrize("text", ["", "x", ".5", "1 2 3", "1 -2", "\u0661", "1\n"])
def test_malformed_timestamp(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match="Malformed Timestamp header field"):
        Timestamp.parse(text)
    with pytest.raises(LocalProtocolError):
        Timestamp(text)


def test_mime_version() -> None:
    found = MIMEVersion.parse("1.0")
    assert found == (1, 0)
    assert str(found) == "1.0"
    for text in ("", "1", "1.x", "1.0.0"):
        with pytest.raises(RemoteProtocolError, match="MIME-Version"):
            MIMEVersion.parse(text)
