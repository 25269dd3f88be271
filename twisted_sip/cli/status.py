"""``twisted-sip status``: how a running server is doing."""

from __future__ import annotations

from pathlib import Path

import click

from twisted_sip.cli import state_dir as state
from twisted_sip.cli.control_client import ControlClient
from twisted_sip.cli.output import duration, json_option, print_json, print_table


@click.command()
@json_option
@state.state_dir_options
def status(as_json: bool, state_dir: Path | None, config: Path | None) -> None:
    """Show how a running server is doing."""
    with ControlClient(state.find(state_dir, config)) as server:
        found = server.ask("status")
    if as_json:
        print_json(found)
        return
    click.echo(f"twisted-sip {found['version']}, process {found['pid']}, running for {duration(found['uptime'])}")
    click.echo(f"domains   {', '.join(found['domains'])}")
    for transport, addresses in found["listening"].items():
        click.echo(f"{transport:<9} {', '.join(addresses)}")
    click.echo()
    print_table(("", "now"), found["counts"].items(), "")
