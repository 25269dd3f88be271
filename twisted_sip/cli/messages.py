"""``twisted-sip messages``: what waits for a user who is away."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from twisted_sip.cli import state_dir as state
from twisted_sip.cli.aor import canonical_aor
from twisted_sip.cli.control_client import ControlClient
from twisted_sip.cli.output import duration, json_option, print_json, print_table


@click.command()
@click.argument("aor")
@click.option("--purge", is_flag=True, help="Drop all of them; nobody is told.")
@json_option
@state.state_dir_options
def messages(aor: str, purge: bool, as_json: bool, state_dir: Path | None, config: Path | None) -> None:
    """List the messages that wait for AOR (alice@example.com), without their texts."""
    wanted = canonical_aor(aor)
    with ControlClient(state.find(state_dir, config)) as server:
        if purge:
            _report(server.ask("messages-purge", aor=wanted), as_json)
            return
        found = server.ask("messages", aor=wanted)
    if as_json:
        print_json(found)
        return
    now = time.time()
    rows = [
        (
            one["sender"].removeprefix("sip:"),
            datetime.fromtimestamp(one["received_at"]).strftime("%Y-%m-%d %H:%M:%S"),
            one["content_type"],
            f"{one['bytes']} bytes",
            duration(max(0, one["expires_at"] - now)),
        )
        for one in found
    ]
    print_table(("from", "received", "what", "size", "expires in"), rows, f"no message waits for {aor}")


def _report(outcome: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(outcome)
    else:
        dropped = outcome["dropped"]
        click.echo(f"{dropped} message{'' if dropped == 1 else 's'} dropped")
