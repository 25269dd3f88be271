"""Requests of ours in a dialog, as they are usually made and as they are made with care (RFC 3261 section 12.2.1.1)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.dialog.dialog import Dialog
from twisted_sip.dialog.unsent import Unsent
from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.builders import build_request

USUAL = {
    "call_id": "c-1@x",
    "local_uri": '"Alice" <sip:alice@example.com>',
    "local_tag": "a",
    "remote_uri": "<sip:bob@example.com>",
    "remote_tag": "b",
    "remote_target": "sip:bob@192.0.2.2:5070",
}


def make(**how: Any) -> Dialog:
    return Dialog(local_cseq=4, remote_cseq=None, route_set=(), **{**USUAL, **how})


def with_tag(uri: str, tag: str) -> str:
    return f"{uri};tag={tag}" if tag else uri


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"local_tag": ""},
        {"remote_tag": ""},
        {"local_uri": '"J\u00f6rg" <sip:j@example.com>'},
        # Nothing that SIP forbids, but something to look at twice.
        {"remote_uri": '"B\tob" <sip:bob@example.com>'},
        {"remote_uri": '"\udcff" <sip:bob@example.com>'},
    ],
)
@pytest.mark.parametrize("hops", [70, 7])
def test_both_ways_come_to_the_same(how: dict[str, str], hops: int) -> None:
    dialog = make(**how)
    values = {**USUAL, **how}
    for number in (5, 6):
        made = dialog.request("INFO", [("X-One", "1")], b"body", max_forwards=hops)
        careful = build_request(
            "INFO",
            values["remote_target"],
            from_=with_tag(values["local_uri"], values["local_tag"]),
            to=with_tag(values["remote_uri"], values["remote_tag"]),
            call_id=values["call_id"],
            cseq=number,
            max_forwards=hops,
            headers=[("X-One", "1")],
            body=b"body",
        )
        assert made.to_bytes() == careful.to_bytes()
        assert made.uri == careful.uri and made.cseq == careful.cseq and made.headers.names == careful.headers.names


@pytest.mark.parametrize(
    "how",
    [
        {"remote_target": "sip:bob@x y"},
        {"remote_target": "<sip:bob@x>"},
        {"remote_target": ""},
        {"call_id": "c\r\nX: y"},
        {"remote_uri": "<sip:bob@example.com>\r\nX: y"},
    ],
)
def test_what_sip_does_not_allow_is_not_sent(how: dict[str, str]) -> None:
    dialog = make(**how)
    for _ in range(2):
        with pytest.raises(LocalProtocolError):
            dialog.request("BYE")
    assert dialog.local_cseq == 4


@pytest.mark.parametrize("method", ["", "B YE", "BYE\r\n"])
def test_no_such_method(method: str) -> None:
    dialog = make()
    dialog.request("INFO")
    with pytest.raises(LocalProtocolError):
        dialog.request(method)


def test_a_method_of_others() -> None:
    dialog = make()
    assert dialog.request("HELLO").cseq == dialog.request("HELLO", cseq=5).cseq == (5, "HELLO")


def test_what_was_not_sent_yet_can_be_sent_again() -> None:
    request = make().request("ACK", [("X-One", "1")], b"body", cseq=4)
    unsent, before = Unsent.of(request), request.to_bytes()
    request.headers.prepend("via", "SIP/2.0/UDP x;branch=z9hG4bK1")
    again = unsent.request()
    assert again.to_bytes() == before
    again.headers.prepend("via", "SIP/2.0/UDP y;branch=z9hG4bK2")
    assert unsent.request().to_bytes() == before
