"""The notifier's side of one subscription: a usage of a dialog (RFC 6665 section 4.2).

A machine without I/O: the owner tells it what policy says, what the watcher asks for, when its time is over and how
each NOTIFY ended; the machine says what the subscription is, makes the NOTIFY requests and sees to it that exactly one
of them, the last one, says ``terminated``, and that the next one leaves when the one before has been answered.

``resp_wait`` and ``pending`` of the figure in section 4.2.2 are one state here: the same inputs lead out of both.
"""

from __future__ import annotations

import enum
from typing import Final

from twisted_sip.dialog.dialog import FIRST_CSEQ, Dialog
from twisted_sip.dialog.dialogs import Effect, effect_of
from twisted_sip.message.header_map import HeaderMap
from twisted_sip.message.request import Request
from twisted_sip.message.route_set import apply_route_set

PENDING: Final = "pending"
ACTIVE: Final = "active"
TERMINATED: Final = "terminated"

#: How much the watcher is owed: nothing; news, as soon as its rate allows; a NOTIFY in any case and at once.
NOTHING: Final = 0
NEWS: Final = 1
AT_ONCE: Final = 2

#: Seconds until a NOTIFY that failed for a while is tried again, where the answer does not say: this long at first,
#: then twice as long each time, but not longer than that.
_FIRST_PAUSE = 10.0
_LONGEST_PAUSE = 600.0

#: (state, what policy says) -> the next state. The figure in section 4.2.2 has no way from active back to pending: RFC
#: 5025 section 3.2.1 has it, in the same subscription.
_DECIDED: dict[tuple[str, str], str] = {
    (PENDING, PENDING): PENDING,
    (PENDING, ACTIVE): ACTIVE,
    (PENDING, TERMINATED): TERMINATED,
    (ACTIVE, PENDING): PENDING,
    (ACTIVE, ACTIVE): ACTIVE,
    (ACTIVE, TERMINATED): TERMINATED,
}


# The header fields of every NOTIFY.
_NAMES: Final = ("max-forwards", "from", "to", "call-id", "cseq", "event", "subscription-state")


class Outcome(enum.Enum):
    """What the end of a NOTIFY means for its subscription."""

    #: It has arrived.
    TOLD = "told"
    #: It has not, and will not: wait for the next news (RFC 5057 section 5.1, "transaction only").
    REFUSED = "refused"
    #: It has not; try again at ``retry_at``.
    LATER = "later"
    #: The subscription is gone (section 4.2.2), or its last NOTIFY has ended.
    OVER = "over"
    #: The dialog is gone, with all its usages (RFC 5057 section 5.1).
    DIALOG_OVER = "dialog over"


class NotifierSubscription:
    """One subscription at the notifier.

    :ivar dialog: the dialog that it uses.
    :ivar event: the event type.
    :ivar event_id: the id parameter of Event, or empty.
    :ivar state: ``pending``, ``active`` or ``terminated``.
    :ivar reason: why it is terminated, or empty.
    :ivar retry_after: when to subscribe again, in seconds, told in the last NOTIFY; None if that is not said.
    :ivar expires_at: end of life, in seconds of the owner's clock.
    :ivar owed: NOTHING, NEWS or AT_ONCE.
    :ivar busy: a NOTIFY is being made or under way; the next one waits for its end.
    :ivar closed: the last NOTIFY has been sent, or none can be sent any more.
    :ivar retry_at: no NOTIFY before that moment, 0 for any time.
    :ivar failures: how many NOTIFYs in a row failed for a while.
    """

    __slots__ = (
        "busy",
        "closed",
        "dialog",
        "event",
        "event_id",
        "expires_at",
        "failures",
        "owed",
        "reason",
        "retry_after",
        "retry_at",
        "state",
    )

    def __init__(self, dialog: Dialog, event: str, event_id: str, expires_at: float) -> None:
        self.dialog = dialog
        self.event = event
        self.event_id = event_id
        self.expires_at = expires_at
        self.state: str = PENDING
        self.reason = ""
        self.retry_after: int | None = None
        self.owed: int = NOTHING
        self.busy = False
        self.closed = False
        self.retry_at = 0.0
        self.failures = 0

    # -- what happens to it ---------------------------------------------------------

    def decide(self, state: str, reason: str = "", retry_after: int | None = None) -> bool:
        """Policy says that it be *state* (section 4.2.1.3).

        :return: True if the state is another one now, which the watcher is owed a NOTIFY about at once.
        """
        following = _DECIDED.get((self.state, state))
        if following is None or following == self.state:
            return False
        if following is TERMINATED:
            return self.end(reason or "rejected", retry_after)
        self.state = following
        self.owe(AT_ONCE)
        return True

    def end(self, reason: str, retry_after: int | None = None) -> bool:
        """It is over: unsubscribed, expired, or ended by the owner. A last NOTIFY is owed (section 4.2.2).

        :return: False if it was over before.
        """
        if self.state is TERMINATED:
            return False
        self.state = TERMINATED
        self.reason = reason
        self.retry_after = retry_after
        self.retry_at = 0.0
        self.owe(AT_ONCE)
        return True

    def drop(self, reason: str = "") -> bool:
        """It is gone and nobody is to be told: the watcher does not know it any more, or asked for silence.

        :return: False if it was over before.
        """
        was_alive = self.state is not TERMINATED
        self.state = TERMINATED
        self.reason = self.reason or reason
        self.closed = True
        self.owed = NOTHING
        return was_alive

    def owe(self, what: int) -> None:
        """Owe the watcher NEWS, or a NOTIFY AT_ONCE. What is owed already comes in the same NOTIFY."""
        if what > self.owed and not self.closed:
            self.owed = what

    def begin(self) -> int:
        """Begin a NOTIFY: the subscription is busy, and what happens from now on is owed another one.

        :return: what was owed.
        """
        owed, self.owed = self.owed, NOTHING
        self.busy = True
        return owed

    # -- its NOTIFYs ------------------------------------------------------------------

    def subscription_state(self, now: float) -> str:
        """Return the value of Subscription-State (section 8.2.3), without rates."""
        if self.state is TERMINATED:
            # Section 4.1.3: no expires with terminated.
            text = f"terminated;reason={self.reason}" if self.reason else "terminated"
            return text if self.retry_after is None else f"{text};retry-after={self.retry_after}"
        # Halves are rounded up: who was granted 3600 seconds is told so, whatever became of its fractions.
        left = int(self.expires_at - now + 0.5)
        return f"{self.state};expires={left if left > 0 else 0}"

    def notify(
        self, now: float, params: str, names: list[str], lines: list[str], body: bytes, max_forwards: int = 70
    ) -> Request:
        """Return the NOTIFY that was begun, without Via and Contact.

        What Dialog.request does, without its checks: everything here has been read or checked before.

        :param params: parameters for Subscription-State, each with its semicolon in front.
        :param names: canonical names of further header fields.
        :param lines: their lines.
        """
        dialog = self.dialog
        cseq = dialog.local_cseq
        dialog.local_cseq = cseq = FIRST_CSEQ if cseq is None else cseq + 1
        state = self.state
        left = int(self.expires_at - now + 0.5)
        if state is TERMINATED or left <= 0:
            told = self.subscription_state(now)
        else:
            # As subscription_state() does, for all NOTIFYs but the last.
            told = f"{state};expires={left}"
        call_id = dialog.call_id
        headers = HeaderMap.from_lines(
            [*_NAMES, *names],
            [
                f"Max-Forwards: {max_forwards}",
                f"From: {dialog.local_uri};tag={dialog.local_tag}",
                # A peer of RFC 2543 has no tag (RFC 3261 section 12.1.1).
                f"To: {dialog.remote_uri};tag={dialog.remote_tag}" if dialog.remote_tag else f"To: {dialog.remote_uri}",
                f"Call-ID: {call_id}",
                f"CSeq: {cseq} NOTIFY",
                f"Event: {self.event};id={self.event_id}" if self.event_id else f"Event: {self.event}",
                f"Subscription-State: {told}{params}",
                *lines,
            ],
        )
        # The trace asks for it.
        headers.parsed["call-id"] = call_id
        request = Request.from_parts("NOTIFY", dialog.remote_target, headers, body)
        if dialog.route_set:
            apply_route_set(request, dialog.route_set, dialog.remote_target)
        if self.state is TERMINATED:
            self.closed = True
        return request

    def answered(self, status: int, now: float, retry_after: int | None = None) -> Outcome:
        """The NOTIFY under way has had its final response, or counts as having had one (RFC 3261 section 8.1.3.1).

        :param status: the response's; 408 after a timeout, 503 where it could not be sent.
        :param retry_after: seconds of its Retry-After, if it has one.
        """
        self.busy = False
        if 200 <= status < 300:
            self.failures = 0
            return Outcome.OVER if self.closed else Outcome.TOLD
        # Section 4.2.2 names what removes the subscription, RFC 5057 section 5.1 what takes the dialog with it.
        effect = effect_of(status, "NOTIFY")
        if effect is Effect.DIALOG:
            self.drop()
            return Outcome.DIALOG_OVER
        if effect is Effect.USAGE or self.closed:
            self.drop()
            return Outcome.OVER
        if retry_after is None:
            if status < 500 or status in (505, 513, 603, 606):
                # The same NOTIFY would be refused again.
                return Outcome.REFUSED
            # RFC 5057 section 5.1, notes 13, 15 and 17: an interval of our choosing.
            retry_after = int(min(_FIRST_PAUSE * 2 ** min(self.failures, 10), _LONGEST_PAUSE))
        self.failures += 1
        self.owe(NEWS)
        if self.state is not TERMINATED:
            # The last NOTIFY is tried once, and at once.
            self.retry_at = now + retry_after
        return Outcome.LATER
