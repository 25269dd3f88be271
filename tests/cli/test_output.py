"""What is printed never steers a terminal, and stays the JSON that it was."""

from __future__ import annotations

import json

import pytest

from twisted_sip.cli.output import print_json


@pytest.mark.parametrize(
    "text", ["plain", "Grüße 😀", "\x1b[31m", "\x9b31m", "\x7f", "a\u202eb", "\U000e0041", "\udc9b", "\r\n"]
)
def test_json_is_printable(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [text], text: 1})
    out = capsys.readouterr().out
    assert json.loads(out) == {"a": [text], text: 1}
    assert out.replace("\n", "").isprintable()
