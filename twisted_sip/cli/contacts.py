"""``twisted-sip contacts``: where users can be reached now."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from twisted_sip.cli import state_dir as state
from twisted_sip.cli.aor import canonical_aor
from twisted_sip.cli.control_client import ControlClient, NoServer
from twisted_sip.cli.output import Failed, duration, json_option, print_json, print_table
from twisted_sip.errors import StoreError
from twisted_sip.storage.location_sqlite import LOCATION_FILE, stored_bindings
from twisted_sip.tap.configuration import Configuration
from twisted_sip.tap.control_commands import contact_row


@click.command()
@click.argument("aor", required=False)
@json_option
@state.state_dir_options
def contacts(aor: str | None, as_json: bool, state_dir: Path | None, config: Path | None) -> None:
    """List the contacts of all users, or of AOR (alice@example.com)."""
    wanted = canonical_aor(aor) if aor else ""
    found = _found(state.settings(state_dir, config), wanted)
    found.sort(key=lambda binding: (binding["aor"], -binding["q"], binding["key"]))
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


def _found(settings: Configuration, aor: str) -> list[dict[str, Any]]:
    """Return the contacts: those of the running server, or what one that has stopped has left in its database."""
    directory = settings.server.state_dir
    try:
        with ControlClient(directory) as server:
            found: list[dict[str, Any]] = server.ask("contacts", aor=aor)
            return found
    except NoServer:
        path = (settings.storage.directory or directory) / LOCATION_FILE
        if not path.exists():
            raise
        now = time.time()
        try:
            bindings = stored_bindings(path, now)
        except StoreError as error:
            raise Failed(str(error)) from error
        click.echo("twisted-sip: no server runs; these are from its database", err=True)
        return [contact_row(binding, now) for binding in bindings if not aor or binding.aor == aor]
