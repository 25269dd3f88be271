"""Values that the formats share."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from twisted_sip.documents.values import format_time, parse_time, same_uri


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2005-05-30T16:09:44Z", datetime(2005, 5, 30, 16, 9, 44, tzinfo=UTC)),
        (" 2005-05-30T16:09:44.5+02:00\n", datetime(2005, 5, 30, 14, 9, 44, 500000, tzinfo=UTC)),
        ("2005-05-30T16:09:44.123456789Z", datetime(2005, 5, 30, 16, 9, 44, 123456, tzinfo=UTC)),
        ("2005-05-30T16:09:44", datetime(2005, 5, 30, 16, 9, 44, tzinfo=UTC)),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_parse_time(text: str | None, time: datetime | None) -> None:
    assert parse_time(text) == time


def test_format_time() -> None:
    assert format_time(0) == "1970-01-01T00:00:00Z"
    assert format_time(1714903200.999) == "2024-05-05T10:00:00Z"


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("sip:alice@example.com", "sip:alice@EXAMPLE.com", True),
        ("sip:alice@example.com", "sip:Alice@example.com", False),
        ("sip:alice@example.com", "sips:alice@example.com", False),
        ("tel:+1-201-555-0123", "tel:+12015550123", True),
        ("urn:uuid:F81D4FAE-7dec", "URN:UUID:f81d4fae-7DEC", True),
        ("urn:esn:600B40c7", "urn:ESN:600B40c7", True),
        ("urn:esn:600B40c7", "urn:esn:600b40c7", False),
        ("mac:8asd7d7d70", "mac:8asd7d7d70", True),
        ("", "", True),
        ("", "sip:a@b", False),
        ("not a uri", "sip:a@b", False),
    ],
)
def test_same_uri(first: str, second: str, same: bool) -> None:
    assert same_uri(first, second) is same
    assert same_uri(second, first) is same
