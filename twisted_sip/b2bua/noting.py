"""Why calls go the way they do, for ``twisted-sip explain``, where no INVITE of theirs tells: transfers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from twisted_sip.agent.referral import Referral

if TYPE_CHECKING:
    from twisted_sip.element.element import Element


class Noting(Protocol):
    """Keeps what is decided: an IncomingRequest does."""

    def note(self, room: str, text: str, key: str = "", first: str = "", second: str = "") -> None:
        """Keep *text*; see IncomingRequest."""


class ReferralNotes:
    """Keeps what is decided about a REFER, beside what is known of its request (element.decisions)."""

    __slots__ = ("_decisions", "_request")

    def __init__(self, element: Element, referral: Referral) -> None:
        self._decisions = element.decisions
        self._request = referral.request

    def note(self, room: str, text: str, key: str = "", first: str = "", second: str = "") -> None:
        """See Noting."""
        if self._decisions is not None:
            self._decisions.note(self._request, room, text, key, first, second)
