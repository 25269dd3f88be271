"""Replaces and Referred-By."""

from __future__ import annotations

import pytest

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.transfer import ReferredBy, Replaces


def test_replaces() -> None:
    found = Replaces.parse("98732@sip.example.com ;from-tag=r33th4x0r ;TO-tag=ff87ff;early-only;x=y")
    assert (found.call_id, found.to_tag, found.from_tag) == ("98732@sip.example.com", "ff87ff", "r33th4x0r")
    assert found.early_only
    assert str(found) == "98732@sip.example.com;to-tag=ff87ff;from-tag=r33th4x0r;early-only;x=y"
    assert Replaces.parse(str(found)) == found
    assert hash(Replaces.parse(str(found))) == hash(found)
    assert found != "x"
    plain = Replaces("a@b", "1", "0")
    assert repr(plain) == "<Replaces a@b;to-tag=1;from-tag=0>"
    assert plain == Replaces.parse("a@b;from-tag=0;to-tag=1")
    assert not plain.early_only


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a;to-tag=1",
        "a;from-tag=1",
        "a;to-tag=1;from-tag=2;to-tag=3",
        "a;to-tag;from-tag=1",
        "a;to-tag=[::1];from-tag=1",
        ";to-tag=1;from-tag=2",
        "a b;to-tag=1;from-tag=2",
        "a;;to-tag=1;from-tag=2",
        "a;to-tag=1;from-tag=2,b;to-tag=1;from-tag=2",
    ],
)
def test_malformed_replaces(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match="Malformed Replaces header field"):
        Replaces.parse(text)


def test_replaces_that_cannot_be_sent() -> None:
    for build in (
        lambda: Replaces("a b", "1", "2"),
        lambda: Replaces("a\r\n", "1", "2"),
        lambda: Replaces("a", "1;2", "2"),
        lambda: Replaces("a", "1", ""),
        lambda: Replaces("a", "1", "2", params=[("early-only", None)]),
    ):
        with pytest.raises(LocalProtocolError):
            build()


def test_referred_by() -> None:
    found = ReferredBy.parse('<sip:referror@referror.example>;cid="20398823.2UWQFN309shb3@referror.example"')
    assert str(found.address.uri) == "sip:referror@referror.example"
    assert found.cid == "20398823.2UWQFN309shb3@referror.example"
    assert found == ReferredBy.build("sip:referror@referror.example", cid=found.cid)
    assert hash(found) == hash(ReferredBy.parse(str(found)))
    assert found != "x"
    assert repr(ReferredBy.build("sip:a@b", "A")) == '<ReferredBy "A" <sip:a@b>>'
    assert ReferredBy.build("sip:a@b").cid == ""
    with pytest.raises(RemoteProtocolError, match="Malformed Referred-By header field"):
        ReferredBy.parse("<sip:a@b")
