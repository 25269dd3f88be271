"""Diversion (RFC 5806 section 4)."""

from __future__ import annotations

import pytest

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.diversion import REASONS, Diversion


def test_what_is_sent() -> None:
    made = Diversion.build("sip:bob@example.com", "user-busy")
    assert str(made) == "<sip:bob@example.com>;reason=user-busy;counter=1"
    made = Diversion.build("sip:bob@example.com", "out to lunch", counter=3, privacy="full", params=[("screen", "no")])
    assert str(made) == '<sip:bob@example.com>;reason="out to lunch";counter=3;privacy=full;screen=no'
    assert (made.reason, made.counter, made.privacy) == ("out to lunch", 3, "full")
    assert {made} == {Diversion.parse(str(made))} and made != "x" and "Diversion" in repr(made)


@pytest.mark.parametrize("wrong", [{"counter": 0}, {"counter": 100}, {"privacy": "\r\n"}])
def test_what_cannot_be_sent(wrong: dict[str, object]) -> None:
    with pytest.raises(LocalProtocolError):
        Diversion.build("sip:bob@example.com", "unknown", **wrong)  # type: ignore[arg-type]


def test_what_is_read() -> None:
    read = Diversion.parse('"Bob" <sip:bob@example.com>;Reason="No-Answer";counter=12;privacy="OFF"')
    assert (read.reason, read.counter, read.privacy) == ("no-answer", 12, "off") and read.reason in REASONS
    assert read.address.display_name == "Bob"
    for counter in ("x", "0123", ""):
        assert Diversion.parse(f'<sip:bob@example.com>;counter="{counter}"').counter == 1
    bare = Diversion.parse("<sip:bob@example.com>")
    assert (bare.reason, bare.counter, bare.privacy) == ("unknown", 1, "")
    with pytest.raises(RemoteProtocolError, match="Diversion"):
        Diversion.parse("<sip:bob")
