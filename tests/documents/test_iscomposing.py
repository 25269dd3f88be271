"""Who is typing (RFC 3994)."""

from __future__ import annotations

import pytest

from twisted_sip.documents.iscomposing import IsComposing, parse_iscomposing
from twisted_sip.errors import DocumentError

#: The examples of section 5.
ACTIVE = b"""<?xml version="1.0" encoding="UTF-8"?>
<isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing"
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
xsi:schemaLocation="urn:ietf:params:xml:ns:im-composing
iscomposing.xsd">
  <state>active</state>
  <contenttype>text/plain</contenttype>
  <refresh>90</refresh>
</isComposing>"""
IDLE = ACTIVE.replace(b"active", b"idle").replace(b"text/plain", b"audio").replace(
    b"<refresh>90</refresh>", b"<lastactive>2003-01-27T10:43:00Z</lastactive>"
)  # fmt: skip


def test_the_examples_of_section_5() -> None:
    active = parse_iscomposing(ACTIVE)
    assert active == IsComposing(active=True, content_type="text/plain", refresh=90)
    assert active.active_until(1000.0) == 1090.0
    idle = parse_iscomposing(IDLE)
    assert idle == IsComposing(active=False, content_type="audio", last_active=1043664180.0)
    assert idle.active_until(1000.0) == 1000.0


@pytest.mark.parametrize(
    "status",
    [
        IsComposing(active=True),
        IsComposing(active=False, last_active=1043664180.0),
        IsComposing(active=True, content_type="text/plain", refresh=60),
    ],
)
def test_a_status_reads_back(status: IsComposing) -> None:
    assert parse_iscomposing(status.to_bytes()) == status


def test_lenience() -> None:
    assert IsComposing(active=True).active_until(0.0) == 120.0
    assert not parse_iscomposing(ACTIVE.replace(b"active", b"pondering")).active
    for refresh in (b"0", b"-1", b"soon", b"9" * 5000, b""):
        assert parse_iscomposing(ACTIVE.replace(b"90", refresh)).refresh is None
    assert parse_iscomposing(ACTIVE.replace(b"90", b"9999999999")).refresh == 1 << 31
    assert parse_iscomposing(IDLE.replace(b"2003", b"soon")).last_active is None


@pytest.mark.parametrize(
    ("body", "reason"), [(b"<isComposing/>", "namespace"), (ACTIVE.replace(b"active", b""), "state")]
)
def test_what_is_no_status(body: bytes, reason: str) -> None:
    with pytest.raises(DocumentError, match=reason):
        parse_iscomposing(body)
