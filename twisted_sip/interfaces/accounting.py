"""Call records, and who keeps them.

A record is told when the call is answered, so that a crash loses no call that was talked in, and again, whole, when it
is over. Records are not to be changed by those who are told of them. They are not frozen since what is takes several
times as long to make, and at the end of a call the same object may come again, changed.
"""

from __future__ import annotations

from typing import Literal

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Interface

#: How a call came out: ``answered``, ``refused`` by the callee, by the callee's call policy or by us, ``cancelled`` by
#: the caller, ``failed`` where nobody could be reached, ``interrupted`` where this program has stopped in the middle of
#: it; empty while it lasts.
Result = Literal["", "answered", "refused", "cancelled", "failed", "interrupted"]


@attrs.define(slots=True, kw_only=True)
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
    :ivar callee_tag: the tag of who answered it, where that is no business of this program alone (a proxy).
    """

    call_id: str
    incoming: bool
    uri: str
    began: float
    answered: float | None = None
    ended: float | None = None
    status: int = 0
    reason: str = ""
    callee_tag: str = ""


@attrs.define(slots=True, kw_only=True)
class CallRecord:
    """One call, from its set-up to its end. Times are in seconds since the epoch.

    :ivar id: what it is known by here; unique.
    :ivar user: the address-of-record of the caller, empty where that is none of our users. A proxy and a b2bua have it
        from authentication; where nobody has to prove anything it is that of From.
    :ivar callee_user: the address-of-record of the user of ours who has answered, or was called; empty for none.
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
    :ivar call_id: the Call-ID of the caller's INVITE.
    :ivar known_until: when it was last known to live: its answer, the latest refresh of its session (RFC 4028), or its
        end where somebody told it; for one that was interrupted, when this program last said that it runs. None where
        it was not answered.
    :ivar interval: seconds after which it is taken for over if nothing is heard of it, 0.0 where that is not so.
    :ivar caller_tag: the tag of the caller, and
    :ivar callee_tag: that of who answered, where these are no business of this program alone: of calls through a proxy.
    :ivar target: the URI of the device that answered or was asked, where that was one.
    :ivar legs: every leg that it had; none where the record itself says it all: for a call through a proxy that went to
        one device alone.
    """

    id: str
    user: str = ""
    callee_user: str = ""
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
    call_id: str = ""
    known_until: float | None = None
    interval: float = 0.0
    caller_tag: str = ""
    callee_tag: str = ""
    target: str = ""
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
        """A call is answered: *record* is what is known of it so far.

        :return: fires when it may be told to the caller, since the record is durable, or never will be. Many records
            may share one Deferred: what is added to it must not fail. None: at once.
        """

    def ended(record: CallRecord) -> Deferred[None] | None:
        """A call is over, answered or not: *record* is whole and takes the place of the one before."""

    def close() -> Deferred[None] | None:
        """Nothing more comes."""
