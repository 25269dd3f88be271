"""Addresses-of-record as people type them: ``alice@example.com`` or ``sip:alice@example.com``."""

from __future__ import annotations

import click

from twisted_sip.errors import SIPError
from twisted_sip.message.uri import SIPURI


def parse_aor(text: str) -> SIPURI:
    """Return the URI of the address-of-record *text*.

    :raises click.UsageError: it is none.
    """
    written = text if text.lower().startswith(("sip:", "sips:")) else f"sip:{text}"
    try:
        uri = SIPURI.parse(written)
    except SIPError as error:
        raise click.UsageError(f'"{text}" is not an address-of-record like alice@example.com ({error})') from error
    if not uri.user or uri.password or uri.port is not None or uri.params or uri.headers:
        raise click.UsageError(f'"{text}" is not an address-of-record like alice@example.com')
    return uri


def canonical_aor(text: str) -> str:
    """Return *text* as the stores know it, ``sip:user@host``."""
    return parse_aor(text).address_of_record
