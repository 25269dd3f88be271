"""``twisted-sip gateways``: which gateways there are, whether they work, and how to take one out of use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from twisted_sip.cli import state_dir as state
from twisted_sip.cli.control_client import ControlClient
from twisted_sip.cli.output import Failed, duration, json_option, print_json, print_table

_COLUMNS = ("group", "gateway", "priority", "weight", "state", "for", "calls", "requests", "failed", "probe", "last")


@click.group(invoke_without_command=True)
@json_option
@state.state_dir_options
@click.pass_context
def gateways(context: click.Context, as_json: bool, state_dir: Path | None, config: Path | None) -> None:
    """Show the gateways and whether they work; switch them on and off."""
    if context.invoked_subcommand is not None:
        return
    with ControlClient(state.find(state_dir, config)) as server:
        found = server.ask("gateways")
    if as_json:
        print_json(found)
    else:
        print_table(_COLUMNS, [_row(gateway) for gateway in found], "there are no gateways")


def _row(gateway: Mapping[str, Any]) -> tuple[object, ...]:
    round_trip = gateway["round_trip"]
    return (
        gateway["group"],
        gateway["name"],
        gateway["priority"],
        gateway["weight"],
        gateway["state"] if gateway["enabled"] else "off",
        duration(gateway["for"]),
        "" if gateway["calls"] is None else f"{gateway['calls']} of {gateway['max_calls']}",
        gateway["requests"],
        gateway["failed"],
        "" if round_trip is None else f"{1000 * round_trip:.0f} ms",
        gateway["last"],
    )


def _switch(name: str, enabled: bool, state_dir: Path | None, config: Path | None) -> None:
    with ControlClient(state.find(state_dir, config)) as server:
        count = server.ask("gateways-enable", name=name, enabled=enabled)["gateways"]
    if not count:
        raise Failed(f"there is no gateway {name}")
    click.echo(f"{name} is {'used again' if enabled else 'not used any more'}")


@gateways.command()
@click.argument("name")
@state.state_dir_options
def enable(name: str, state_dir: Path | None, config: Path | None) -> None:
    """Use the gateway NAME (its name or its URI) from now on."""
    _switch(name, True, state_dir, config)


@gateways.command()
@click.argument("name")
@state.state_dir_options
def disable(name: str, state_dir: Path | None, config: Path | None) -> None:
    """Do not use the gateway NAME (its name or its URI) until it is enabled, or the server is started anew."""
    _switch(name, False, state_dir, config)
