"""Call records, and who keeps them.

A record is told when the call is answered, so that a crash loses no call that was talked in, and again, whole, when it
is over.
"""

from __future__ import annotations

from typing import Literal

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Interface

#: How a call came out: ``answered``, ``refused`` by the callee or by us, ``cancelled`` by the caller, ``failed`` where
#: nobody could be reached, ``interrupted`` where this program has stopped in the middle of it; empty while it lasts.
Result = Literal["", "answered", "refused", "cancelled", "failed", "interrupted"]


@attrs.frozen(slots=True, kw_only=True)
class LegRecord:
    """One leg of a call: a dialog, or an attempt to make one.

    :ivar call_id: its Call-ID.
    :ivar incoming: the peer has called us.
    :ivar uri: whom it was to or from.
    :ivar began: when its INVITE came or went, in seconds since the epoch.
    :ivar answered: when it was answered, None if it was not.
    :ivar ended: when it was over, None while it is not.
    :ivar status: the final response, 0 without one.
    :ivar reason: why it ended: a reason phrase, or the text of a Reason (RFC 3326).
    """

    call_id: str
    incoming: bool
    uri: str
    began: float
    answered: float | None = None
    ended: float | None = None
    status: int = 0
    reason: str = ""


@attrs.frozen(slots=True, kw_only=True)
class CallRecord:
    """One call, from its set-up to its end. Times are in seconds since the epoch.

    :ivar id: what it is known by here; unique.
    :ivar user: the address-of-record that proved to be the caller's, empty if none did.
    :ivar caller: who calls: the URI in From.
    :ivar callee: whom the caller wanted: the Request-URI.
    :ivar set_up: when the INVITE came.
    :ivar ringing: when the callee's device first rang, None if it did not.
    :ivar answered: when it was answered, None if it was not.
    :ivar ended: when it was over, None while it is not.
    :ivar result: see Result.
    :ivar status: the final response to the caller.
    :ivar reason: why it ended.
    :ivar ended_by: ``caller``, ``callee``, ``server`` or ``network``; empty while it lasts.
    :ivar legs: every leg that it had.
    """

    id: str
    user: str = ""
    caller: str
    callee: str
    set_up: float
    ringing: float | None = None
    answered: float | None = None
    ended: float | None = None
    result: Result = ""
    status: int = 0
    reason: str = ""
    ended_by: str = ""
    legs: tuple[LegRecord, ...] = ()

    @property
    def seconds(self) -> float:
        """For how long it was talked; 0.0 while it lasts, or if it was not answered."""
        if self.answered is None or self.ended is None:
            return 0.0
        return max(0.0, self.ended - self.answered)


class IAccountingSink(Interface):
    """Keeps call records.

    What it raises, or its Deferred fails with, is logged; the call goes on.
    """

    def answered(record: CallRecord) -> Deferred[None] | None:
        """A call is answered: *record* is what is known of it so far."""

    def ended(record: CallRecord) -> Deferred[None] | None:
        """A call is over, answered or not: *record* is whole and takes the place of the one before."""

    def close() -> Deferred[None] | None:
        """Nothing more comes."""
