"""``twisted-sip watchers``: who is told of the state of a user."""

from __future__ import annotations

from pathlib import Path

import click

from twisted_sip.cli import state_dir as state
from twisted_sip.cli.aor import canonical_aor
from twisted_sip.cli.control_client import ControlClient
from twisted_sip.cli.output import duration, json_option, print_json, print_table


@click.command()
@click.argument("aor")
@json_option
@state.state_dir_options
def watchers(aor: str, as_json: bool, state_dir: Path | None, config: Path | None) -> None:
    """List who has subscribed to the state of AOR (alice@example.com)."""
    with ControlClient(state.find(state_dir, config)) as server:
        found = server.ask("watchers", aor=canonical_aor(aor))
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one["watcher"].removeprefix("sip:") or "(somebody)",
            one["event"],
            one["state"],
            duration(one["expires_in"]),
        )
        for one in found
    ]
    print_table(("watcher", "event", "state", "expires in"), rows, f"nobody watches {aor}")
