"""CSeq (RFC 3261 section 20.16)."""

from __future__ import annotations

import pytest

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.cseq import CSeq


@pytest.mark.parametrize(
    ("text", "number", "method"),
    [
        ("4711 INVITE", 4711, "INVITE"),
        ("0009   INVITE", 9, "INVITE"),
        (" 1\tINVITE ", 1, "INVITE"),
        ("4294967295 ACK", 2**32 - 1, "ACK"),
        ("0 BYE", 0, "BYE"),
        (f"{'0' * 5000} BYE", 0, "BYE"),
        (
            "139122385 !interesting-Method0123456789_*+`.%indeed'~",
            139122385,
            "!interesting-Method0123456789_*+`.%indeed'~",
        ),
        ("29344 RE%47IST%45R", 29344, "RE%47IST%45R"),
    ],
)
def test_parse(text: str, number: int, method: str) -> None:
    cseq = CSeq.parse(text)
    assert (cseq.number, cseq.method) == (number, method)
    assert CSeq.parse(str(cseq)) == cseq


def test_text() -> None:
    assert str(CSeq(1, "INVITE")) == "1 INVITE"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "INVITE",
        "1 INVITE x",
        "-1 INVITE",
        "1.5 INVITE",
        "٣ INVITE",
        "1 IN VITE",
        "1 INV@TE",
        "1INVITE",
        # RFC 4475 sections 3.1.2.4 and 3.1.2.5
        "36893488147419103232 REGISTER",
        "9292394834772304023312 OPTIONS",
        "4294967296 INVITE",
        "9" * 5000 + " INVITE",
    ],
)
def test_malformed(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        CSeq.parse(text)
    assert caught.value.status == 400
    assert caught.value.header == "CSeq"
