"""Contact and its parameters."""

from __future__ import annotations

import pytest

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.registration_fields import ContactParam

INSTANCE = "urn:uuid:00000000-0000-1000-8000-000A95A0E128"
REGISTERED = (
    f'<sip:line1@192.168.1.2;transport=tcp;ob>;reg-id=1;+sip.instance="<{INSTANCE}>";q=0.7;expires=600;'
    'pub-gruu="sip:a@example.com;gr=x";temp-gruu="sip:t@example.com;gr";+sip.message;audio'
)


def test_contact_of_an_outbound_client() -> None:
    found = ContactParam.parse(REGISTERED)
    assert not found.star
    assert (found.instance, found.reg_id, found.q, found.expires) == (INSTANCE, 1, 700, 600)
    assert (found.pub_gruu, found.temp_gruu) == ("sip:a@example.com;gr=x", "sip:t@example.com;gr")
    assert found.outbound
    assert set(found.features) == {"+sip.message", "audio"}
    assert str(found) == REGISTERED
    assert ContactParam.parse(str(found)) == found
    assert hash(found) == hash(ContactParam.parse(REGISTERED))
    assert found != REGISTERED
    assert repr(found) == f"<ContactParam {REGISTERED}>"


def test_plain_contacts() -> None:
    found = ContactParam.parse("sip:a@b;expires=5")
    assert (found.instance, found.reg_id, found.q, found.expires) == ("", None, 1000, 5)
    assert not found.outbound
    assert not ContactParam.parse("<tel:+1-2>").outbound
    assert ContactParam.parse("<sip:a@b>").expires is None


def test_star() -> None:
    found = ContactParam.parse(" * ")
    assert found.star
    assert str(found) == "*"
    assert (found.expires, found.q, found.instance, found.outbound, found.features) == (None, 1000, "", False, {})
    with pytest.raises(LocalProtocolError):
        found.with_expires(5)


@pytest.mark.parametrize(
    ("params", "expires"),
    [(";expires=x", 3600), (";expires", 3600), (";expires=280297596632815", (1 << 32) - 1), (";expires=-1", 3600)],
)
def test_expires_that_makes_no_sense(params: str, expires: int) -> None:
    assert ContactParam.parse(f"<sip:a@b>{params}").expires == expires


@pytest.mark.parametrize("value", ["=0", "=2147483648", "=x", "=\u0661", "=99999999999", "="])
def test_bad_reg_id(value: str) -> None:
    with pytest.raises(RemoteProtocolError, match="Contact"):
        _ = ContactParam.parse(f"<sip:a@b>;reg-id{value}").reg_id


def test_malformed() -> None:
    for text in ("", "<sip:a@b", '"open <sip:a@b>'):
        with pytest.raises(RemoteProtocolError, match="Malformed Contact header field") as caught:
            ContactParam.parse(text)
        assert caught.value.header == "Contact"


def test_build() -> None:
    made = ContactParam.build(
        "sip:a@b", "A B", q=500, expires=60, instance=INSTANCE, reg_id=2, params=[("audio", None), ("class", "x y")]
    )
    assert str(made) == (f'"A B" <sip:a@b>;q=0.5;expires=60;+sip.instance="<{INSTANCE}>";reg-id=2;audio;class="x y"')
    found = ContactParam.parse(str(made))
    assert (found.instance, found.reg_id, found.q, found.expires) == (INSTANCE, 2, 500, 60)
    assert str(ContactParam.build("sip:a@b")) == "<sip:a@b>"


def test_what_cannot_be_sent() -> None:
    for build in (
        lambda: ContactParam.build("sip:a@b", q=1001),
        lambda: ContactParam.build("sip:a@b", expires=-1),
        lambda: ContactParam.build("sip:a@b", reg_id=0),
        lambda: ContactParam.build("sip:a@b", instance="<x>"),
        lambda: ContactParam.build("sip:a@b", "\r\n"),
        lambda: ContactParam.build("sip:a@b", params=[("a", "\n")]),
    ):
        with pytest.raises(LocalProtocolError):
            build()


def test_as_a_registrar_lists_it() -> None:
    found = ContactParam(NameAddr.parse('"A" <sip:a@b>;q=0.5;expires=7200'))
    assert found.with_expires(60) == '"A" <sip:a@b>;q=0.5;expires=60'
    assert found.with_pub_gruu("sip:a@c;gr=1").endswith(';pub-gruu="sip:a@c;gr=1"')
    with pytest.raises(LocalProtocolError):
        found.with_expires(1 << 32)
    with pytest.raises(LocalProtocolError):
        found.with_pub_gruu("\n")
