"""``twisted-sip publish``: presence of a user from the command line (RFC 3903), as PIDF (RFC 3863, 4480)."""

from __future__ import annotations

import secrets
import time
from typing import Any

import click

from twisted_sip.cli.aor import parse_aor
from twisted_sip.cli.client import ask, client_options, read_options, report
from twisted_sip.cli.output import duration
from twisted_sip.cli.traced_message import plain
from twisted_sip.documents import pidf
from twisted_sip.documents.pidf import Presence

#: What people say, and what it is in a presence document.
_STATUSES = {"open": "open", "closed": "closed", "online": "open", "offline": "closed"}


@click.command()
@click.argument("aor")
@click.argument("status", type=click.Choice(list(_STATUSES), case_sensitive=False), required=False)
@click.option("--note", default="", metavar="TEXT", help="A text for people.")
@click.option("--activity", "activities", multiple=True, metavar="NAME", help="busy, away, meeting ...; any number.")
@click.option("--expires", type=click.IntRange(1, 2**32 - 1), default=3600, help="Seconds it lasts for [3600].")
@click.option("--replace", metavar="ETAG", help="Put it in the place of what was published with this entity-tag.")
@click.option("--remove", metavar="ETAG", help="Take back what was published with this entity-tag.")
@client_options
def publish(
    aor: str,
    status: str | None,
    note: str,
    activities: tuple[str, ...],
    expires: int,
    replace: str | None,
    remove: str | None,
    **given: Any,
) -> None:
    """Publish that AOR (alice@example.com) is online or offline.

    It lasts until it expires or is taken back, beside whatever the user's devices publish. The entity-tag that is
    printed is what to take it back with.
    """
    if remove and (status or note or activities or replace):
        raise click.UsageError("--remove goes with no status, note, activity or --replace")
    if not remove and not status:
        raise click.UsageError("say online or offline, or --remove ETAG")
    identity = parse_aor(aor)
    given["user"] = given["user"] or aor
    settings = read_options(**given)
    headers = [("event", "presence"), ("expires", "0" if remove else str(expires))]
    if etag := remove or replace:
        headers.append(("sip-if-match", etag))
    body = b""
    if status:
        document = Presence(identity.address_of_record).with_status(
            _STATUSES[status.lower()],
            note=note,
            activity=activities,
            # Other devices of the user have theirs.
            id=f"t{secrets.token_hex(4)}",
            timestamp=time.time(),
        )
        body = document.to_xml()
        headers.append(("content-type", pidf.MEDIA_TYPE))
    response = ask(settings, "PUBLISH", identity, headers=headers, body=body)
    lines: list[str] = []
    details: dict[str, Any] = {}
    if 200 <= response.status < 300:
        lasts = (response.headers.first("expires") or "").strip()
        details = {
            "etag": response.headers.first("sip-etag") or "",
            "expires": int(lasts) if lasts.isascii() and lasts.isdigit() else expires,
        }
        if not remove:
            lines = [f"  entity-tag {plain(details['etag'])}, lasts for {duration(details['expires'])}"]
    elif response.status == 412:
        lines = ["  nothing is published with this entity-tag (any more)"]
    report(settings, response, lines, details)
