"""How the command speaks: tables and lines for people, JSON for programs, a line on standard error for what failed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from twisted_sip.cli.traced_message import plain

#: Columns of a line for a file or another program.
_NO_TERMINAL = 200

#: Tables of more rows than these are laid out line by line.
_MANY = 500


class Failed(click.ClickException):
    """What was asked cannot be done: its text goes to standard error, the exit status is 1."""

    exit_code = 1

    def show(self, file: Any = None) -> None:
        """Print the text as it stands, each reason on its line."""
        for line in self.message.splitlines():
            # A peer's words may stand in it: a reason phrase, a name.
            click.echo(f"twisted-sip: {plain(line)}", err=True)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")


def console() -> Console:
    """Return a console on standard output as it is now; what is no terminal takes long lines."""
    found = Console(highlight=False)
    return found if found.is_terminal or "COLUMNS" in os.environ else Console(highlight=False, width=_NO_TERMINAL)


def print_json(value: Any) -> None:
    """Print *value* as JSON, indented; what could steer a terminal is escaped, as JSON allows for any character."""
    lines = json.dumps(value, ensure_ascii=False, indent=2).split("\n")
    click.echo("\n".join(map(_harmless, lines)))


def _harmless(text: str) -> str:
    """Return *text*, of JSON, with what could steer a terminal escaped."""
    # Nearly always there is nothing of that kind, and there may be millions of lines.
    return (
        text if text.isprintable() else "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)
    )


def table_of(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Return a table, without a head where no column has a name; control characters in cells are made visible, but in
    those that are Text already."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold", show_header=any(columns))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(plain(str(cell))) for cell in row))
    return table


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], nothing: str) -> None:
    """Print a table as :func:`table_of` makes it, or the line *nothing* if it has no rows.

    One of very many rows is laid out here, since nobody would wait for it: it looks the same, but that lines longer
    than the terminal is wide are left to the terminal.
    """
    found = list(rows)
    if len(found) > _MANY and not any(isinstance(cell, Text) for row in found for cell in row):
        _print_long(columns, found)
    elif found:
        console().print(table_of(columns, found))
    else:
        click.echo(nothing)


def _print_long(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    cells = [[plain(str(cell)) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]
    if any(columns):
        console().print(Text(_line(columns, widths), "bold"), soft_wrap=True)
        console().print(Text("─" * (sum(widths) + 3 * (len(widths) - 1))), soft_wrap=True)
    # A few at a time: whoever looks at the first ones does not wait for the last ones, and there is no second copy.
    for start in range(0, len(cells), _MANY):
        click.echo("\n".join([_line(row, widths) for row in cells[start : start + _MANY]]))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "   ".join(
        # Some characters are two columns wide.
        [
            cell.ljust(width) if cell.isascii() else cell + " " * (width - cell_len(cell))
            for cell, width in zip(cells, widths, strict=True)
        ]
    ).rstrip()


def json_line(value: Any) -> str:
    """Return *value* as JSON on one line; what could steer a terminal is escaped."""
    return _harmless(json.dumps(value, ensure_ascii=False))


def duration(seconds: float) -> str:
    """Return *seconds* as people say it: ``59 s``, ``12 min``, ``3 h 5 min``, ``2 d 3 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if minutes < 60:
        return f"{minutes} min"
    if hours < 24:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"
