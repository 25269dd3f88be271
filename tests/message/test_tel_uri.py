"""tel URIs (RFC 3966)."""

from __future__ import annotations

import pytest

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.tel_uri import TelURI


@pytest.mark.parametrize(
    ("text", "number", "digits", "context"),
    [
        # section 6
        ("tel:+1-201-555-0123", "+1-201-555-0123", "+12015550123", ""),
        ("tel:7042;phone-context=example.com", "7042", "7042", "example.com"),
        ("tel:863-1234;phone-context=+1-914-555", "863-1234", "8631234", "+1-914-555"),
        ("tel:*21A#;phone-context=a.example.", "*21A#", "*21a#", "a.example."),
        ("TEL:+(44)20.7946", "+(44)20.7946", "+44207946", ""),
        ("tel:+1;isub=12/a?b,c@d=e;m-x;y=[a]/:&+$%41", "+1", "+1", ""),
        ("tel:+1;ext=(1)-2", "+1", "+1", ""),
    ],
)
def test_parts(text: str, number: str, digits: str, context: str) -> None:
    uri = TelURI.parse(text)
    assert (uri.scheme, uri.number, uri.digits, uri.phone_context) == ("tel", number, digits, context)
    assert uri.is_global == number.startswith("+")
    assert str(uri) == text
    assert uri == TelURI(text)
    assert uri != text
    assert hash(uri) == hash(TelURI(text))
    assert repr(uri) == f"<TelURI {text}>"


def test_mandatory_parameters() -> None:
    assert TelURI("tel:+1;m-a;b=c;M-D=e").mandatory_params == ("m-a", "m-d")


@pytest.mark.parametrize(
    "text",
    [
        "tel:",
        "tel",
        "sip:+1",
        "tel:+",
        "tel:+-",
        "tel:-",
        "tel:+1a",
        "tel:+1*",
        "tel:1 2;phone-context=a",
        "tel:١;phone-context=a",
        # section 5.1.5
        "tel:7042",
        "tel:7042;phone-context",
        "tel:7042;phone-context=",
        "tel:7042;phone-context=+",
        "tel:7042;phone-context=a_b",
        "tel:7042;phone-context=a.1",
        "tel:7042;phone-context=+1;phone-context=+1",
        "tel:+1;",
        "tel:+1;;a",
        "tel:+1;a=",
        "tel:+1;a_b=c",
        "tel:+1;=c",
        "tel:+1;a=b;A=c",
        "tel:+1;a=%4",
        "tel:+1;a=b,c",
        # section 5.3
        "tel:+1;ext=1;isub=2",
        "tel:+1;ext",
        "tel:+1;ext=",
        "tel:+1;ext=a",
        "tel:+1;isub",
        "tel:+1;isub=",
        "tel:+1\n",
    ],
)
def test_malformed(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        TelURI(text)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tel:+1-201-555-0123", "tel:+1(201)555.0123"),
        ("tel:7042;phone-context=Example.COM", "TEL:70-42;Phone-Context=example.com"),
        ("tel:863-1234;phone-context=+1-914-555", "tel:8631234;phone-context=+1914555"),
        ("tel:+1;ext=1-2;a=B", "tel:+1;A=b;ext=12"),
        ("tel:+1;isub=1%32", "tel:+1;isub=12"),
        ("tel:abc;phone-context=x", "tel:A-BC;phone-context=X"),
    ],
)
def test_equivalent(one: str, other: str) -> None:
    # section 4
    assert TelURI(one).equivalent(TelURI(other))
    assert TelURI(one).canonical() == TelURI(other).canonical()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tel:+7042", "tel:7042;phone-context=+1"),
        ("tel:+1201", "tel:+1202"),
        ("tel:7042;phone-context=example.com", "tel:7042;phone-context=example.org"),
        ("tel:7042;phone-context=+1", "tel:7042;phone-context=+12"),
        ("tel:+1;a", "tel:+1"),
        ("tel:+1", "tel:+1;a=b"),
        ("tel:+1;a=b", "tel:+1;a=c"),
        ("tel:+1;a=1-2", "tel:+1;a=12"),
        ("tel:+1;isub=1-2", "tel:+1;isub=12"),
        ("tel:+1;ext=1", "tel:+1;isub=1"),
    ],
)
def test_different(one: str, other: str) -> None:
    assert not TelURI(one).equivalent(TelURI(other))
    assert not TelURI(other).equivalent(TelURI(one))
    assert not TelURI(one).equivalent(other)
