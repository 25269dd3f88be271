"""How the command speaks: tables and lines for people, JSON for programs, a line on standard error for what failed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from twisted_sip.cli.traced_message import plain

#: Columns of a line for a file or another program.
_NO_TERMINAL = 200


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
    """Print a table as :func:`table_of` makes it, or the line *nothing* if it has no rows."""
    table = table_of(columns, rows)
    if table.row_count:
        console().print(table)
    else:
        click.echo(nothing)


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
