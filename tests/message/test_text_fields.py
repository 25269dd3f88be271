"""Tokens, Call-IDs and free text."""

from __future__ import annotations

import pytest

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.text_fields import call_id_field, text_field, token_field


def test_token() -> None:
    parse = token_field("Require")
    assert parse(" 100rel\t") == "100rel"
    for text in ("", " ", "a b", "a,b", "\u00e4", "a\r\n"):
        with pytest.raises(RemoteProtocolError, match="Malformed Require header field") as caught:
            parse(text)
        assert caught.value.header == "Require"


def test_text() -> None:
    parse = text_field("Subject")
    assert parse(" \u00dcber  alles \t") == "\u00dcber  alles"
    assert parse("") == ""
    assert parse("\u00a0a\u00a0") == "\u00a0a\u00a0"
    for text in ("a\rb", "a\nb", "a\0b"):
        with pytest.raises(RemoteProtocolError, match="Malformed Subject header field"):
            parse(text)


def test_call_id() -> None:
    parse = call_id_field("Call-ID")
    # RFC 4475 section 3.1.1.2.
    assert parse(" intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{ ") == "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"
    for text in ("", "a b", "a,b", "a;b", "a\x7f", "a\0"):
        with pytest.raises(RemoteProtocolError, match="Malformed Call-ID header field"):
            parse(text)
