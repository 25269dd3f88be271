"""``twisted-sip register``: register once, look at the bindings, or take them back (RFC 3261 section 10.2)."""

from __future__ import annotations

from typing import Any

import click

from twisted_sip.cli.aor import parse_aor
from twisted_sip.cli.client import ask, client_options, parse_target, read_options, report
from twisted_sip.cli.output import duration
from twisted_sip.cli.traced_message import plain
from twisted_sip.message.uri import SIPURI


@click.command()
@click.argument("aor")
@click.option("--contact", metavar="URI", help="Bind this contact; without it the bindings are only shown.")
@click.option("--expires", type=click.IntRange(0, 2**32 - 1), help="Seconds the contact is bound for; 0 takes it back.")
@click.option("--remove-all", is_flag=True, help="Take all bindings back.")
@client_options
def register(aor: str, contact: str | None, expires: int | None, remove_all: bool, **given: Any) -> None:
    """Register AOR (alice@example.com) at its domain, or show its bindings.

    Nothing listens at the contact when the command is done: bind one at which something does.
    """
    if remove_all and (contact or expires is not None):
        raise click.UsageError("--remove-all goes with no --contact and no --expires")
    if expires is not None and not contact:
        raise click.UsageError("--expires needs --contact")
    identity = parse_aor(aor)
    given["user"] = given["user"] or aor
    settings = read_options(**given)
    headers: list[tuple[str, str]] = []
    if remove_all:
        headers = [("contact", "*"), ("expires", "0")]
    elif contact:
        parameter = "" if expires is None else f";expires={expires}"
        headers = [("contact", f"<{parse_target(contact)}>{parameter}")]
    registrar = SIPURI.parse(f"{identity.scheme}:{identity.host}")
    response = ask(settings, "REGISTER", registrar, to=f"<{identity}>", headers=headers)
    bindings = _bindings(response) if 200 <= response.status < 300 else []
    lines = [
        f"  {plain(binding['contact'])}, {duration(binding['expires'])} left, q={binding['q']:g}"
        for binding in bindings
    ]
    if not lines and 200 <= response.status < 300:
        lines = ["  no bindings"]
    report(settings, response, lines, {"bindings": bindings})


def _bindings(response: Any) -> list[dict[str, Any]]:
    found = []
    for contact in response.contacts:
        expires, q = contact.params.get("expires") or "0", contact.params.get("q") or "1"
        found.append({"contact": contact.uri_text, "expires": int(expires), "q": float(q)})
    return found
