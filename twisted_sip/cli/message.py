"""``twisted-sip message``: one instant message in a MESSAGE request (RFC 3428)."""

from __future__ import annotations

from typing import Any

import click

from twisted_sip.cli.client import ask, client_options, parse_target, read_options, report


def _patient_options(command: Any) -> Any:
    # A server that keeps messages gives the devices of the recipient ten seconds before it does.
    return client_options(command, timeout=20.0)


@click.command()
@click.argument("uri")
@click.argument("text")
@_patient_options
def message(uri: str, text: str, **given: Any) -> None:
    """Send TEXT to URI (sip:bob@example.com).

    The exit status is 0 if it was taken.
    """
    settings = read_options(**given)
    headers = [("content-type", "text/plain;charset=UTF-8")]
    response = ask(settings, "MESSAGE", parse_target(uri), headers=headers, body=text.encode("utf-8"))
    report(settings, response, [], {})
