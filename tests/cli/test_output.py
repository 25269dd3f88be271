"""What is printed never steers a terminal, and stays the JSON that it was."""

from __future__ import annotations

import json

import pytest
from rich.text import Text

from twisted_sip.cli import output
from twisted_sip.cli.output import print_json, print_table


@pytest.mark.parametrize(
    "text", ["plain", "Grüße 😀", "\x1b[31m", "\x9b31m", "\x7f", "a\u202eb", "\U000e0041", "\udc9b", "\r\n"]
)
def test_json_is_printable(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [text], text: 1})
    out = capsys.readouterr().out
    assert json.loads(out) == {"a": [text], text: 1}
    assert out.replace("\n", "").isprintable()


ROWS = [("a", "gr\u00fc\u00dfe", 1, ""), ("longer", "\u6f22\u5b57", 22, "x"), ("", "\x1b[31m", 3, "y")]


@pytest.mark.parametrize("columns", [("begun (CET)", "from", "n", ""), ("", "", "", "")])
def test_long_tables_look_like_short_ones(
    columns: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lines() -> list[str]:
        print_table(columns, iter(ROWS), "nothing")
        return [line.rstrip() for line in capsys.readouterr().out.splitlines()]

    short = lines()
    monkeypatch.setattr(output, "_MANY", 2)
    monkeypatch.setattr(output, "table_of", None)
    assert lines() == short
    assert "\x1b" not in "".join(short)


def test_tables_of_very_many_rows_do_not_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich takes a minute for a hundred thousand rows."""
    monkeypatch.setattr(output, "table_of", None)
    print_table(("a", "b"), [(number, "x") for number in range(output._MANY + 1)], "nothing")
    with pytest.raises(TypeError):
        print_table(("a", "b"), [(number, "x") for number in range(output._MANY)], "nothing")


def test_styled_cells_keep_their_styles(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_MANY", 0)
    print_table(("a",), [(Text("x", "red"),)], "nothing")
    assert capsys.readouterr().out.split() == ["a", "\u2500" * 1, "x"]
    print_table(("a",), [], "nothing")
    assert capsys.readouterr().out == "nothing\n"
