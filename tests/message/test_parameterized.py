"""Tokens with parameters, q-values and error names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.grammar import Params, parse_params
from twisted_sip.message.parameterized import (
    TokenWithParams,
    format_quality,
    make_params,
    named,
    parameter,
    parse_quality,
)


class Thing(TokenWithParams):
    __slots__ = ()
    header = "Thing"


class CaseThing(TokenWithParams):
    __slots__ = ()
    header = "Case-Thing"
    case_sensitive = True


def test_parse_and_compare() -> None:
    found = Thing.parse(' Foo ; a = b;c;q=0.5 ; d="x \\" y"')
    assert (found.token, found.key, found.q) == ("Foo", "foo", 500)
    assert parameter(found.params, "D") == 'x " y'
    assert parameter(found.params, "c") == parameter(found.params, "e") == ""
    assert str(found) == 'Foo;a=b;c;q=0.5;d="x \\" y"'
    assert found == Thing.parse(str(found).replace("Foo", "FOO"))
    assert hash(found) == hash(Thing.parse(str(found).replace("Foo", "FOO")))
    assert CaseThing.parse("a") != CaseThing.parse("A")
    assert Thing.parse("a") != CaseThing.parse("a")
    assert repr(Thing.parse("a;b")) == "<Thing a;b>"


@pytest.mark.parametrize(
    ("text", "why"), [("", "empty"), (";a", "empty"), ("a b", "no token"), ("a;", "Empty parameter"), ('a;b="', "b")]
)
def test_malformed(text: str, why: str) -> None:
    with pytest.raises(RemoteProtocolError, match=f"Malformed Thing header field: .*{why}") as caught:
        Thing.parse(text)
    assert caught.value.header == "Thing"


def test_build() -> None:
    assert str(Thing("a", [("b", None), ("c", "d"), ("e", 'f "g'), ("h", "")])) == 'a;b;c=d;e="f \\"g";h=""'
    params = Params([("x", "y")])
    assert make_params(params) is params
    for token, items in [("a b", ()), ("a", [("b c", None)]), ("a", [("b", "\r\n")]), ("", ())]:
        with pytest.raises(LocalProtocolError):
            Thing(token, items)


@pytest.mark.parametrize(
    ("text", "thousandths"),
    [
        (None, 1000), ("1", 1000), ("1.000", 1000), ("0", 0), ("0.", 0), (".5", 500), ("0.7", 700), ("0.33", 330),
        ("0.1234", 123), ("2", 1000), ("x", 1000), ("", 1000), (".", 1000), ("0.\u0665", 1000), ("-1", 1000),
        ("9" * 5000, 1000),
    ],
)  # fmt: skip
def test_quality(text: str | None, thousandths: int) -> None:
    assert parse_quality(text) == thousandths


@given(st.integers(0, 1000))
def test_quality_round_trip(thousandths: int) -> None:
    assert parse_quality(format_quality(thousandths)) == thousandths
    assert len(format_quality(thousandths)) <= 5


def test_quality_out_of_range() -> None:
    for thousandths in (-1, 1001):
        with pytest.raises(LocalProtocolError):
            format_quality(thousandths)


def test_named_keeps_a_name_that_is_there_already() -> None:
    def complain(text: str) -> str:
        raise RemoteProtocolError("bad", status=416, header=text)

    with pytest.raises(RemoteProtocolError, match=r"^bad$"):
        named("Outer", complain)("Inner")
    with pytest.raises(RemoteProtocolError, match=r"^Malformed Outer header field: bad$") as caught:
        named("Outer", complain)("")
    assert (caught.value.status, caught.value.header) == (416, "Outer")
    assert named("Outer", parse_params)("a=b") == Params([("a", "b")])
