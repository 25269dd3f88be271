"""``twisted-sip reload``: have a running server read its configuration anew."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from twisted_sip.cli import state_dir as state
from twisted_sip.cli.control_client import ControlClient
from twisted_sip.cli.output import console, json_option, print_json
from twisted_sip.cli.traced_message import plain

#: Seconds that a server may take: it reads large tables beside its work, and does one reload after the other.
_PATIENCE = 600.0


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@json_option
@state.state_dir_options
def reload(dry_run: bool, as_json: bool, state_dir: Path | None, config: Path | None) -> None:
    """Have a running server read its configuration anew; calls in progress go on.

    Either all of it is put in place or, where there is a fault, nothing. The exit status is 1 then.
    """
    with ControlClient(state.find(state_dir, config)) as server:
        found: dict[str, Any] = server.ask("reload", patience=_PATIENCE, dry_run=dry_run)
    if as_json:
        print_json(found)
    elif found["faults"]:
        for fault in found["faults"]:
            click.echo(f"twisted-sip: {plain(fault)}", err=True)
        click.echo("twisted-sip: nothing was changed", err=True)
    else:
        _print(found, dry_run)
    if found["faults"]:
        sys.exit(1)


def _print(found: dict[str, Any], dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    for change in found["changed"]:
        _line(change["key"], f"{change['before']} -> {change['after']}", "bold")
    for word in ("opened", "closed"):
        for name in found[word]:
            _line(name, would + word, "bold")
    for change in found["needs_restart"]:
        _line(change["key"], f"{change['before']} -> {change['after']} needs a restart", "yellow")
    for change in found["unused"]:
        _line(change["key"], f"{change['before']} -> {change['after']} is not used by this server", "dim")
    if not any(found[key] for key in ("changed", "opened", "closed", "needs_restart", "unused")):
        click.echo("nothing has changed")
    elif dry_run:
        click.echo("nothing was changed: this was a dry run")


def _line(subject: str, text: str, style: str) -> None:
    line = Text(plain(subject), style)
    line.append(f": {plain(text)}", "default")
    console().print(line, soft_wrap=True)
