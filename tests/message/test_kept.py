"""Memories of what lines were read as are bounded, and hold nothing long."""

from __future__ import annotations

import pytest

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message import builders, cseq
from twisted_sip.message.builders import response_to
from twisted_sip.message.cseq import CSeq, cseq_in
from twisted_sip.message.kept import Kept
from twisted_sip.message.limits import SHORT
from twisted_sip.message.request import Request


def test_a_text_is_read_once_and_the_oldest_go_first() -> None:
    asked: list[str] = []

    def read(text: str) -> int:
        asked.append(text)
        return int(text)

    kept = Kept(read, 16)
    assert [kept["5"], kept["5"]] == [5, 5] and asked == ["5"]
    for number in range(100, 200):
        assert kept[str(number)] == number
        assert len(kept) <= 16
    assert "199" in kept and "5" not in kept
    with pytest.raises(ValueError):
        kept["x"]
    assert "x" not in kept


def test_long_texts_are_not_kept() -> None:
    kept = Kept(len, 16)
    assert kept["x" * (SHORT + 1)] == SHORT + 1
    assert not kept


def test_cseq_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cseq, "_kept", {})
    monkeypatch.setattr(cseq, "_MOST_KEPT", 4)
    for number in range(1, 12):
        assert cseq_in(f"CSeq: {number} BYE") == CSeq(number, "BYE")
        assert len(cseq._kept) <= 4
    # Such numbers do not come again.
    assert cseq_in("CSeq: 4711 BYE") == CSeq(4711, "BYE")
    assert "CSeq: 4711 BYE" not in cseq._kept
    with pytest.raises(RemoteProtocolError):
        cseq_in("CSeq: BYE")


def test_orders_of_header_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builders, "_COPIED_OF", {})
    monkeypatch.setattr(builders, "_MOST_ORDERS", 4)
    fields = [("via", "SIP/2.0/UDP h"), ("from", "<sip:a@h>;tag=1"), ("to", "<sip:b@h>"), ("call-id", "c")]
    for number in range(10):
        request = Request("BYE", "sip:b@h", [*fields, ("cseq", "1 BYE"), *[("x-a", "b")] * number])
        assert response_to(request, 200).headers.names == ["via", "from", "to", "call-id", "cseq"]
        assert len(builders._COPIED_OF) <= 4
    builders._COPIED_OF.clear()
    response_to(Request("BYE", "sip:b@h", [*fields, ("x-" + "a" * SHORT, "b")]), 200)
    assert not builders._COPIED_OF
