"""How far the token of a dialog reaches that is old, or in the hands of others (element.tokens)."""

from __future__ import annotations

from typing import NamedTuple

from twisted_sip.element.admission_seams import TokenCheck
from twisted_sip.interfaces.processing import IncomingRequest


class Standing(NamedTuple):
    """What the tokens of a request in a dialog say.

    :ivar tokens: those that are right.
    :ivar between: they were made for those in From and To.
    :ivar bound: the request goes to the other end of the dialog by the flow in one of them, whatever its Request-URI.
    """

    tokens: tuple[str, ...]
    between: bool
    bound: bool


def standing_of(tokens: TokenCheck, incoming: IncomingRequest, call_id: str, from_tag: str, to_tag: str) -> Standing:
    """Return what *tokens* knows of those in *incoming*."""
    parties = tokens.parties(incoming.request)
    right = tuple(
        [
            uri.user
            for uri in incoming.own_routes
            if uri.user and tokens.dialog_valid(uri.user, call_id, from_tag, to_tag)
        ]
    )
    return Standing(
        right,
        all(tokens.between(token, parties) for token in right),
        any(tokens.leads_to_an_end(token, call_id, from_tag, to_tag) for token in right),
    )
