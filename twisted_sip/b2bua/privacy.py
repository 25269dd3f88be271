"""Privacy of callers (RFC 3323 section 5): a back-to-back user agent provides what a proxy cannot.

``header``: each leg has a Via, a Contact and a Call-ID of ours in any case. ``session``: where media are relayed.
``user``: From is anonymous, and what else tells of the caller stays here. ``id`` and ``history`` are about fields that
nobody gets; they go on, for whoever may still show From.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from twisted_sip.element.anonymous import ANONYMOUS_HOST
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.proxy.privacy import INFORMATIONAL, failure_of, levels_of

if TYPE_CHECKING:
    from twisted_sip.b2bua.legs import BridgedLeg

#: What stands in From in place of callers who want that (section 4.1.1.3).
ANONYMOUS = NameAddr.build(f"sip:anonymous@{ANONYMOUS_HOST}", "Anonymous")

#: What is done here, and what is left for others; ``session`` is done where media are relayed.
_DONE = ("header", "user")
_LEFT = ("id", "history", "none", "critical")


def privacy_failure(request: Request, relays: bool) -> str:
    """Return the reason phrase of the 500 to *request*, whose privacy is critical and cannot be had here; empty where
    there is no reason.

    :param relays: media pass here.
    """
    return failure_of(request.headers, (*_DONE, *_LEFT, "session") if relays else (*_DONE, *_LEFT))


def hides_user(request: Request) -> bool:
    """Tell whether whoever sent *request* wants to be anonymous."""
    levels = levels_of(request.headers)
    return "user" in levels and "none" not in levels


def shown(leg: BridgedLeg) -> NameAddr:
    """Return how others are told of the peer of *leg*."""
    incoming = getattr(leg, "incoming", None)
    return ANONYMOUS if incoming is not None and hides_user(incoming.request) else leg.call.remote


def private_fields(request: Request, fields: Iterable[tuple[str, str]], relays: bool) -> list[tuple[str, str]]:
    """Return those of *fields*, made of the caller's *request*, that its privacy lets pass; what is done here is taken
    out of Privacy (section 5)."""
    levels = levels_of(request.headers)
    if not levels or "none" in levels:
        return list(fields)
    left = [level for level in levels if level not in _DONE and not (relays and level == "session")]
    found = []
    for name, value in fields:
        if name == "privacy":
            if any(level != "critical" for level in left):
                found.append((name, ";".join(left)))
                left = []
        elif "user" not in levels or name not in INFORMATIONAL:
            found.append((name, value))
    return found
