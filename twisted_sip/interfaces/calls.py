"""Calls that pass this server, and who keeps track of them (RFC 4235 section 3.7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import attrs
from zope.interface import Interface

from twisted_sip.message.name_addr import NameAddr

#: The states of a call (RFC 4235 section 3.7.1), as they follow each other.
TRYING = "trying"
PROCEEDING = "proceeding"
EARLY = "early"
CONFIRMED = "confirmed"
TERMINATED = "terminated"


@attrs.define(slots=True, eq=False)
class Call:
    """One INVITE dialog, or what may become one. It changes as the call does; only its tracker changes it.

    :ivar call_id: the Call-ID.
    :ivar caller_tag: the tag of the caller.
    :ivar callee_tag: the tag of the callee, empty before there is one.
    :ivar caller_aor: the canonical address-of-record of the caller if that is a user of ours, or empty.
    :ivar callee_aor: the same of the callee: the user at whose device it rings.
    :ivar caller: the From of the INVITE.
    :ivar callee: the To of the INVITE.
    :ivar caller_contact: the Contact of the caller as it stood, or empty.
    :ivar callee_contact: the Contact of the callee as it stood, or empty.
    :ivar started_at: when the INVITE came, seconds since the epoch.
    :ivar number: tells it from the other calls of the same INVITE: 0, 1, 2 ...
    :ivar replaces: the Replaces of the INVITE as it stood, or empty (RFC 3891).
    :ivar referred_by: the Referred-By of the INVITE as it stood, or empty (RFC 3892).
    :ivar caller_session: (media type, body) that the caller offers, or None; kept only where the tracker is told so.
    :ivar callee_session: the same of the callee.
    :ivar state: ``trying``, ``proceeding``, ``early``, ``confirmed`` or ``terminated``.
    :ivar event: what ended it: ``cancelled``, ``rejected``, ``replaced``, ``error``, ``timeout``, or ``bye``.
    :ivar ended_by_caller: with ``bye``: the caller hung up.
    :ivar code: the status of the last response to the INVITE, 0 before there is one.
    :ivar replaced: an INVITE that was sent to one of its parties is to take its place.
    :ivar revision: counts its changes.
    :ivar expires_at: when it is taken for over, seconds since the epoch.
    """

    call_id: str
    caller_tag: str
    callee_tag: str
    caller_aor: str
    callee_aor: str
    caller: NameAddr
    callee: NameAddr
    caller_contact: str
    callee_contact: str
    started_at: float
    number: int
    replaces: str
    referred_by: str
    expires_at: float
    caller_session: tuple[str, bytes] | None = None
    callee_session: tuple[str, bytes] | None = None
    state: str = TRYING
    event: str = ""
    ended_by_caller: bool = False
    code: int = 0
    replaced: bool = False
    revision: int = 0

    def event_for(self, initiator: bool) -> str:
        """Return what ended it as one side has it: ``local-bye`` or ``remote-bye`` for a BYE, else :attr:`event`.

        :param initiator: the caller's side.
        """
        if self.event != "bye":
            return self.event
        return "local-bye" if self.ended_by_caller == initiator else "remote-bye"


class ICallTracker(Interface):
    """Knows the calls that pass."""

    def calls() -> Iterable[Call]:
        """Return every call that is not over."""

    def of(aor: str) -> Sequence[Call]:
        """Return the calls of *aor*, caller or callee, that are not over, in the order in which they began."""

    def observe(observer: Callable[[Call], None]) -> Callable[[], None]:
        """Call *observer* with each call that began, changed its state or ended; return what ends it.

        A call that ended is told of once, with its state ``terminated``, and is among :meth:`of` no more.
        """
