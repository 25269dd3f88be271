"""Fragments of SIP messages as bodies, message/sipfrag (RFC 3420), as NOTIFYs about a REFER have them (RFC 3515 section
2.4.5)."""

from __future__ import annotations

import re

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.request import Request
from twisted_sip.message.status import reason_phrase

MEDIA_TYPE = "message/sipfrag"

_STATUS_LINE = re.compile(rb"SIP/2\.0 ([1-6][0-9][0-9])(?: ([^\r\n]{0,200}))?(?:\r?\n|$)", re.IGNORECASE).match


def status_fragment(status: int, reason: str = "") -> bytes:
    """Return the status line of a response as a fragment."""
    return f"SIP/2.0 {status} {reason or reason_phrase(status)}\r\n".encode("utf-8", "surrogateescape")


def status_of(notify: Request) -> tuple[int, str]:
    """Return status and reason phrase that a NOTIFY tells of.

    :raises RemoteProtocolError: its body is no fragment of a response.
    """
    content_type = (notify.headers.first("content-type") or "").partition(";")[0].strip().lower()
    if content_type != MEDIA_TYPE:
        raise RemoteProtocolError("Unsupported Media Type", status=415, header="Content-Type")
    found = _STATUS_LINE(notify.body)
    if found is None:
        raise RemoteProtocolError("No status line in the body", status=400)
    return int(found[1]), (found[2] or b"").decode("utf-8", "replace").strip()
