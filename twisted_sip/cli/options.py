"""``twisted-sip options``: what a server or phone can do (RFC 3261 section 11)."""

from __future__ import annotations

from typing import Any

import click

from twisted_sip.cli.client import ask, client_options, parse_target, read_options, report
from twisted_sip.cli.traced_message import plain

_SHOWN = ("server", "user-agent", "allow", "supported", "accept", "allow-events", "contact")


@click.command()
@click.argument("uri")
@client_options
def options(uri: str, **given: Any) -> None:
    """Ask URI (sip:bob@example.com, sip:example.com) what it can do.

    The exit status is 0 if the answer is a success.
    """
    settings = read_options(**given)
    response = ask(settings, "OPTIONS", parse_target(uri), contact=True, headers=[("accept", "application/sdp")])
    found = {name: ", ".join(response.headers.all(name)) for name in _SHOWN if name in response.headers}
    report(settings, response, [f"  {name + ':':<14} {plain(value)}" for name, value in found.items()], found)
