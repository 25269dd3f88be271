"""Date: strict out, lenient in."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.dates import SIPDate

MOMENT = 1289690940  # Sat, 13 Nov 2010 23:29:00 GMT


def test_the_one_form() -> None:
    found = SIPDate.parse("Sat, 13 Nov 2010 23:29:00 GMT")
    assert found.timestamp == MOMENT
    assert found.datetime == datetime(2010, 11, 13, 23, 29, tzinfo=UTC)
    assert str(found) == "Sat, 13 Nov 2010 23:29:00 GMT"
    assert repr(found) == f"SIPDate({MOMENT})"
    assert found == SIPDate(MOMENT + 0.75)
    assert hash(found) == hash(SIPDate(MOMENT))
    assert found != MOMENT


@pytest.mark.parametrize(
    "text",
    [
        " sat,13 nov 2010 23:29:00 gmt ",
        "Sat 13 Nov 2010 23:29:00 GMT",
        "Saturday, 13-Nov-10 23:29:00 GMT",
        "Mon, 13 Nov 2010 23:29:00 UTC",
        "13\tNov  2010 23:29:00",
    ],
)
def test_usual_misspellings(text: str) -> None:
    assert SIPDate.parse(text).timestamp == MOMENT


def test_two_digit_years_and_leap_seconds() -> None:
    assert SIPDate.parse("1 Jan 70 0:00:00").timestamp == 0
    assert SIPDate.parse("31 Dec 2016 23:59:60 GMT") == SIPDate.parse("31 Dec 2016 23:59:59 GMT")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Fri, 01 Jan 2010 16:00:00 EST",  # RFC 4475 section 3.1.2.12
        "Sat, 13 Nov 2010 23:29 GMT",
        "Sat, 13 Nov 2010 24:29:00 GMT",
        "Sat, 31 Feb 2010 23:29:00 GMT",
        "Sat, 13 Foo 2010 23:29:00 GMT",
        "Xyz, 13 Nov 2010 23:29:00 GMT",
        "Sat, 13 Nov 110 23:29:00 GMT",
        "Sat, \u0661\u0663 Nov 2010 23:29:00 GMT",
        "Sat, 13 Nov 2010 23:29:00 GMT" + " " * 64,
    ],
)
def test_malformed(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match="Malformed Date header field") as caught:
        SIPDate.parse(text)
    assert caught.value.header == "Date"


@pytest.mark.parametrize("moment", [1e20, -1e20, float("nan"), float("inf")])
def test_moments_without_name(moment: float) -> None:
    with pytest.raises(LocalProtocolError):
        SIPDate(moment)


@given(st.integers(-62135596800, 253402300799))
def test_round_trip(moment: int) -> None:
    made = SIPDate(moment)
    assert SIPDate.parse(str(made)) == made
    assert len(str(made)) == 29


@given(st.text() | st.lists(st.sampled_from(["Sat", ",", " ", "13", "Nov", "10", ":", "GMT", "99999"])).map("".join))
def test_no_exception_but_the_declared_one(text: str) -> None:
    with suppress(RemoteProtocolError):
        SIPDate.parse(text)
