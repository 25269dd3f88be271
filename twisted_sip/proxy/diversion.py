"""Diversion values of requests that users have forwarded (RFC 5806 sections 5.2 and 5.4)."""

from __future__ import annotations

from twisted_sip.interfaces.routing import Target
from twisted_sip.message.diversion import Diversion
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI


def divert(request: Request, target: Target, written: bool) -> None:
    """Put who has had *request* forwarded to *target* before what it says already, the latest first.

    Values that came with redirections go on in any case (section 5.2).

    :param written: write those of the users who have a call policy too.
    """
    for step in target.steps:
        for value in reversed(step.diversions):
            request.headers.prepend("diversion", value)
        if written and step.reason:
            uri = step.uri
            who = uri.address_of_record if isinstance(uri, SIPURI) else str(uri)
            request.headers.prepend("diversion", str(Diversion.build(who, step.reason)))
