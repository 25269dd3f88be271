"""URIs of other schemes that mean users of ours (RFC 3856 section 5, RFC 3428 section 5)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.element.entry import EntryProcessor
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI
from twisted_sip.testing.scripted_sending import ScriptedIncoming


class Ours:
    def is_local_uri(self, uri: Any) -> bool:
        return isinstance(uri, SIPURI) and uri.host == "example.com"


def entered(uri: str, schemes: tuple[str, ...] = ("pres", "im")) -> tuple[Any, str]:
    fields = [
        ("via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"),
        ("max-forwards", "70"),
        ("from", "<sip:a@b>;tag=1"),
        ("to", "<sip:c@d>"),
        ("call-id", "x"),
        ("cseq", "1 MESSAGE"),
    ]
    request = Request("MESSAGE", uri, fields)
    ours: Any = Ours()
    incoming: Any = ScriptedIncoming(request)
    return EntryProcessor(ours, schemes).process(incoming), str(request.uri)


@pytest.mark.parametrize("uri", ["pres:alice@example.com", "IM:alice@example.com", "im:alice@example.com?body=x"])
def test_they_are_taken_for_the_sip_uri(uri: str) -> None:
    assert entered(uri) == (None, "sip:alice@example.com")


@pytest.mark.parametrize("uri", ["pres:alice@example.net", "pres:example.com", "pres:@", "mailto:alice@example.com"])
def test_others_are_foreign(uri: str) -> None:
    verdict, _ = entered(uri)
    assert verdict.status == 416


def test_without_presence_all_of_them_are() -> None:
    verdict, _ = entered("pres:alice@example.com", ())
    assert verdict.status == 416
