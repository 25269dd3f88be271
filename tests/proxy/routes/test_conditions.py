"""For which requests a route is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

TO = {"to": ("sip:x@192.0.2.9",)}
GOES = ["sip:x@192.0.2.9"]


@pytest.mark.parametrize(
    ("pattern", "uri", "goes"),
    [
        ("0900*", "sip:0900123@example.com", True),
        # All of these are the same number for a gateway.
        ("0900*", "sip:%30900123@example.com", True),
        ("0900*", "sip:0-900-123@example.com", True),
        ("0900*", "sip:(0900).123;ext=1@example.com", True),
        ("0900123", "sip:0900123;phone-context=x@example.com;user=phone", True),
        ("0900*", "tel:0(900)-123;phone-context=example.com", True),
        ("+4930*", "tel:+49-30-1", True),
        ("*21*", "sip:*21*@example.com", True),
        ("0900*", "sip:front-0900@example.com", False),
        # It must not be used by those who do not know the parameter (RFC 3966 section 5.4).
        ("*", "tel:+49-30-1;m-x=1", False),
        ("*", "urn:service:sos", False),
        ("", "sip:example.com", True),
    ],
)
def test_numbers(desk: Any, pattern: str, uri: str, goes: bool) -> None:
    assert desk({"user": pattern, **TO}).ask(uri) == (GOES if goes else [])


@pytest.mark.parametrize(
    ("host", "uri", "goes"),
    [
        ("example.com", "tel:7042;phone-context=Example.com", True),
        ("+49*", "tel:7042;phone-context=+4930", True),
        ("example.com", "tel:+49301", False),
        ("*", "tel:+49301", True),
    ],
)
def test_the_host_of_a_tel_uri_is_its_context(desk: Any, host: str, uri: str, goes: bool) -> None:
    assert desk({"host": host, **TO}).ask(uri) == (GOES if goes else [])


def test_regular_expressions(desk: Any) -> None:
    made = desk({"user_matches": r"0(?P<area>\d\d)(\d+)", "to": ("sip:{2}@192.0.2.9;x={area}",)})
    assert made.ask("sip:030123@example.com") == ["sip:123@192.0.2.9;x=30"]
    assert made.ask("sip:0301x@example.com") == made.ask("sip:1030123@example.com") == []
    # Those of operators may take long: they see what is short alone.
    assert made.ask(f"sip:030{'1' * 300}@example.com") == []
    assert desk({"user": "1*", "user_matches": ".*", **TO}).ask("sip:2@example.com") == []
    assert desk({"user_matches": "a(b)?", "to": ("sip:x{1}@h",)}).ask("sip:a@example.com") == ["sip:x@h"]


@pytest.mark.parametrize(
    ("pattern", "request_", "goes"),
    [
        ("alice@*", {}, True),
        ("ALICE@example.com", {}, True),
        # Who was proved counts, not what stands in From.
        ("alice@*", {"user": "sip:bob@example.com"}, False),
        ("bob@example.com", {"user": "sip:bob@example.com", "from_": "sip:anonymous@anonymous.invalid"}, True),
        ("*@partner.example", {"user": "", "from_": "sip:x@partner.example"}, True),
        ("+4930*", {"user": "", "from_": "tel:+49-30-1"}, True),
        ("urn:*", {"user": "", "from_": "urn:x:y"}, True),
        ("@example.com", {"from_": "sip:example.com", "user": ""}, True),
    ],
)
def test_callers(desk: Any, pattern: str, request_: Any, goes: bool) -> None:
    made = desk({"caller": pattern, "strangers": True, **TO})
    assert made.ask("sip:1@example.com", **request_) == (GOES if goes else [])


@pytest.mark.parametrize(
    ("headers", "goes"),
    [
        ([("subject", "Sales: hello"), ("x-office", "berlin")], True),
        ([("subject", "other"), ("subject", "SALES"), ("x-office", "berlin")], True),
        ([("subject", "sales")], False),
        ([], False),
    ],
)
def test_header_fields(desk: Any, headers: Any, goes: bool) -> None:
    made = desk({"headers": {"s": "Sales*", "X-Office": "berlin"}, **TO})
    assert made.ask("sip:1@example.com", headers=headers) == (GOES if goes else [])


@pytest.mark.parametrize(
    ("when", "goes"),
    [
        # Monday; Berlin is two hours ahead in summer.
        ("2026-06-01 07:30", True),
        ("2026-06-01 06:59", False),
        ("2026-06-01 15:00", False),
        ("2026-06-06 10:00", False),
        # One hour ahead in winter.
        ("2026-01-05 07:30", False),
        ("2026-01-05 08:30", True),
        # Saturday night.
        ("2026-01-03 21:30", True),
        ("2026-01-04 00:30", True),
    ],
)
def test_hours(desk: Any, when: str, goes: bool) -> None:
    now = datetime.fromisoformat(when).replace(tzinfo=UTC).timestamp()
    route = {"hours": ("mon-fri 09:00-17:00", "sat 22:00-02:00"), "time_zone": "Europe/Berlin", **TO}
    assert desk(route, now=lambda: now).ask("sip:1@example.com") == (GOES if goes else [])


def test_other_methods_hosts_and_routes(desk: Any) -> None:
    made = desk({"method": "MESSAGE", "status": 405}, {"host": "*.example.org", "status": 410, "reason": "Gone Away"})
    assert made.ask("sip:1@example.com", method="MESSAGE") == 405 and made.keys == ["route[0].status"]
    assert made.ask("sip:1@a.Example.org") == 410 and made.keys == ["route[1].status"]
    assert made.ask("sip:1@example.com") == [] and made.keys == []
