"""``twisted-sip contacts``: where users can be reached now."""

from __future__ import annotations

from pathlib import Path

import click

from twisted_sip.cli import state_dir as state
from twisted_sip.cli.aor import canonical_aor
from twisted_sip.cli.control_client import ControlClient
from twisted_sip.cli.output import duration, json_option, print_json, print_table


@click.command()
@click.argument("aor", required=False)
@json_option
@state.state_dir_options
def contacts(aor: str | None, as_json: bool, state_dir: Path | None, config: Path | None) -> None:
    """List the contacts of all users, or of AOR (alice@example.com)."""
    wanted = canonical_aor(aor) if aor else ""
    with ControlClient(state.find(state_dir, config)) as server:
        found = server.ask("contacts", aor=wanted)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            binding["aor"].removeprefix("sip:"),
            binding["contact"],
            f"{binding['q'] / 1000:g}",
            duration(binding["expires_in"]),
            binding["received"],
            binding["user_agent"],
        )
        for binding in found
    ]
    nothing = f"{aor} is not registered" if aor else "nobody is registered"
    print_table(("user", "contact", "q", "expires in", "seen at", "device"), rows, nothing)
