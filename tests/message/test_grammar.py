"""Tokens, quoted strings, lists and parameters (RFC 3261 section 25.1)."""

from __future__ import annotations

import pytest

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.grammar import (
    Params,
    check_value,
    end_of_quoted,
    is_parameter_value,
    is_token,
    parse_params,
    quote,
    split_list,
    unquote,
)


@pytest.mark.parametrize("text", ["INVITE", "!interesting-Method0123456789_*+`.%indeed'~", "a"])
def test_tokens(text: str) -> None:
    assert is_token(text)


@pytest.mark.parametrize("text", ["", "a b", "a@b", "a;b", "é", "a\n", "٣", 'a"'])
def test_what_is_no_token(text: str) -> None:
    assert not is_token(text)


@pytest.mark.parametrize("text", ["", "plain", 'say "hi"', "back\\slash", "Jürgen", '\\"'])
def test_quote_and_unquote_are_inverse(text: str) -> None:
    assert unquote(quote(text)) == text


def test_quote_escapes_quotes_and_backslashes() -> None:
    assert quote('a"b\\c') == '"a\\"b\\\\c"'


@pytest.mark.parametrize("bad", ["a\rb", "a\nb", "a\0b"])
def test_control_characters_from_the_caller_are_refused(bad: str) -> None:
    with pytest.raises(LocalProtocolError):
        quote(bad)
    with pytest.raises(LocalProtocolError):
        check_value(bad)
    check_value("plain")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('"a"', "a"),
        (' "a\\\\b" ', "a\\b"),
        ("bare", "bare"),
        (" bare ", "bare"),
        ('"open', "open"),
        ('"', ""),
        ('""', ""),
        ('"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f"', "BEL:\x07 NUL:\x00 DEL:\x7f"),
    ],
)
def test_unquote_is_lenient(text: str, said: str) -> None:
    assert unquote(text) == said


@pytest.mark.parametrize(
    ("text", "end"),
    [('"a"b', 3), ('"a\\"b"', 6), ('"a', -1), ('"a\\"', -1), ("a", -1)],
)
def test_end_of_quoted(text: str, end: int) -> None:
    assert end_of_quoted(text) == end


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("", []),
        (" \t", []),
        ("a", ["a"]),
        (" a , b\t,c", ["a", "b", "c"]),
        ("a,,b,", ["a", "b"]),
        ('"a,b" <sip:x>, c', ['"a,b" <sip:x>', "c"]),
        ('"a\\",b", c', ['"a\\",b"', "c"]),
        ("<sip:a,b@c>;q=1, <sip:d>", ["<sip:a,b@c>;q=1", "<sip:d>"]),
        ("x (one, two (three, four)), y", ["x (one, two (three, four))", "y"]),
        ("x (one \\) , two), y", ["x (one \\) , two)", "y"]),
        # Parentheses are ordinary characters where no comment can stand.
        ("sip:a(b@c, sip:d)e@f", ["sip:a(b@c", "sip:d)e@f"]),
        ("x (open, y (z, w)", ["x (open", "y (z", "w)"]),
        # What never closes reaches to the end.
        ('a, "b, c', ["a", '"b, c']),
        ("a, <b, c", ["a", "<b, c"]),
    ],
)
def test_split_list(text: str, elements: list[str]) -> None:
    assert split_list(text) == elements


def test_split_list_at_semicolons() -> None:
    assert split_list('a; b="c;d" ;<e;f>;(g;h)', ";") == ["a", 'b="c;d"', "<e;f>", "(g", "h)"]
    assert split_list("a;b", ";") == ["a", "b"]


def test_parameters_keep_order_and_spelling() -> None:
    params = parse_params(' ;Tag = 1918 ; lr;x="a;b=\\"c" ;y=')
    assert str(params) == ';Tag=1918;lr;x="a;b=\\"c";y='
    assert params.items() == (("Tag", "1918"), ("lr", None), ("x", '"a;b=\\"c"'), ("y", ""))
    assert list(params) == ["tag", "lr", "x", "y"]
    assert len(params) == 4
    assert repr(params) == f"<Params {params}>"


def test_parameter_names_are_case_insensitive() -> None:
    params = parse_params("Tag=a;TTL=1;lr")
    assert params.get("tAG") == "a"
    assert "ttl" in params
    assert "Lr" in params
    assert params.get("lr", "x") is None
    assert params.get("absent") is None
    assert params.get("absent", "x") == "x"
    assert "absent" not in params
    assert 5 not in params


def test_of_a_repeated_parameter_the_first_counts_and_both_stay() -> None:
    params = parse_params("a=1;A=2")
    assert params.get("a") == "1"
    assert str(params) == ";a=1;A=2"
    assert str(params.with_("a", "3")) == ";a=3"
    assert str(params.without("A")) == ""


def test_changed_parameters_are_new_ones() -> None:
    params = parse_params(";a=1;b")
    assert str(params.with_("B", "2")) == ";a=1;b=2"
    assert str(params.with_("c")) == ";a=1;b;c"
    assert str(params.without("a")) == ";b"
    assert params.without("absent") is params
    assert str(params) == ";a=1;b"


def test_parameters_compare_without_order() -> None:
    assert parse_params("a=1;b") == parse_params("B;A=1")
    assert hash(parse_params("a=1;b")) == hash(parse_params("B;A=1"))
    assert parse_params("a=1") != parse_params("a=2")
    assert parse_params("a=1") != ";a=1"
    assert not Params()
    assert parse_params("  ") == Params()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "a"),
        ("a b", "a"),
        ("a=", None),
        ("a;b", None),
        ("a", ""),
        ("a", "b c"),
        ("a", "b;c"),
        ("a", "b\r\nX: y"),
        ("a", '"open'),
        ("a", '"x"y'),
        ("a", '"x\r\ny"'),
        ("a", "b,c"),
        ("a", "<b>"),
        ("a", '"\x00"'),
    ],
)
def test_parameters_that_would_not_read_back_are_refused(name: str, value: str | None) -> None:
    with pytest.raises(LocalProtocolError):
        Params().with_(name, value)


def test_parameter_values() -> None:
    assert is_parameter_value('"a;b"')
    assert is_parameter_value("2001:db8::1")
    assert not is_parameter_value("")


@pytest.mark.parametrize(
    "text",
    [
        ";",
        ";;",
        "a;;b",
        ";a;",
        "; ;a",
        "=a",
        ";a=b c",
        ';a="open',
        ';a="x"y',
        ";a=<b>",
        ";a=b,c",
        ";a b=c",
        ";é=1",
        ';a="x\ny"',
        ";a=\rb",
        ";<a",
    ],
)
def test_malformed_parameters(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_params(text)
