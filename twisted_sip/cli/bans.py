"""``twisted-sip bans``: who is not listened to because of wrong passwords, and how to forgive them."""

from __future__ import annotations

from pathlib import Path

import click

from twisted_sip.cli import state_dir as state
from twisted_sip.cli.control_client import ControlClient
from twisted_sip.cli.output import Failed, duration, json_option, print_json, print_table


@click.group()
def bans() -> None:
    """List and lift bans for wrong passwords."""


@bans.command(name="list")
@json_option
@state.state_dir_options
def list_(as_json: bool, state_dir: Path | None, config: Path | None) -> None:
    """List the bans in force."""
    with ControlClient(state.find(state_dir, config)) as server:
        found = server.ask("bans-list")
    if as_json:
        print_json(found)
        return
    rows = [
        (ban["source"], ban["user"] or "(everybody there)", ban["failures"], duration(ban["ends_in"])) for ban in found
    ]
    print_table(("source", "user", "failures", "ends in"), rows, "nobody is banned")


@bans.command()
@click.argument("source")
@click.argument("user", required=False)
@json_option
@state.state_dir_options
def lift(source: str, user: str | None, as_json: bool, state_dir: Path | None, config: Path | None) -> None:
    """End the bans of SOURCE (an address), or of USER at SOURCE alone."""
    with ControlClient(state.find(state_dir, config)) as server:
        lifted = server.ask("bans-lift", source=source, user=user or "")["lifted"]
    if as_json:
        print_json({"lifted": lifted})
    elif lifted:
        click.echo(f"{lifted} ban{'s' if lifted > 1 else ''} lifted")
    if not lifted:
        raise Failed(f"no ban of {user + ' at ' if user else ''}{source} is in force")
