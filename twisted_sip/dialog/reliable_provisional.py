"""Reliable provisional responses at the UAS: sent again and again until their PRACK comes (RFC 3262 section 3).

One at a time: the next one waits until the one before is acknowledged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from twisted_sip.dialog.session_terms import SessionBody
from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.reliability import MAX_RSEQ, RAck
from twisted_sip.message.response import Response
from twisted_sip.transaction.timers import Timer, TimerQueue, TimerValues

#: The most responses that wait for the PRACK of the one before.
_MOST_WAITING = 16

#: How many that were not acknowledged in time may still be.
_MOST_LATE = 4


class Provisional(NamedTuple):
    """A reliable provisional response.

    :ivar response: the response, RSeq in it once it is sent.
    :ivar body: its session description, None without one.
    :ivar offers: that is an offer.
    """

    response: Response
    body: SessionBody | None
    offers: bool = False


class ReliableProvisionals:
    """The reliable provisional responses to one INVITE.

    :ivar unacknowledged: the one that waits for its PRACK, None without one.
    :ivar acknowledged: how many have had it.
    """

    __slots__ = (
        "_cseq",
        "_elapsed",
        "_interval",
        "_late",
        "_lost",
        "_rseq",
        "_send",
        "_timer",
        "_timers",
        "_values",
        "_waiting",
        "acknowledged",
        "unacknowledged",
    )

    def __init__(
        self,
        cseq: int,
        first: int,
        timers: TimerQueue,
        values: TimerValues,
        send: Callable[[Provisional], None],
        lost: Callable[[], None],
    ) -> None:
        """Have sent none.

        :param cseq: the number of the INVITE.
        :param first: the RSeq of the first one, 1 to 2**31-1.
        :param send: sends one, for the first time or again.
        :param lost: called when no PRACK has come in 64*T1.
        """
        self.unacknowledged: Provisional | None = None
        self.acknowledged = 0
        self._cseq = cseq
        self._rseq = first - 1
        self._timers = timers
        self._values = values
        self._send = send
        self._lost = lost
        self._waiting: list[Provisional] = []
        self._late: list[int] = []
        self._timer: Timer | None = None
        self._interval = 0.0
        self._elapsed = 0.0

    @property
    def described(self) -> bool:
        """True while one with a session description waits for its PRACK, or to be sent: no 2xx may be sent then."""
        waiting = [self.unacknowledged] if self.unacknowledged is not None else []
        return any(one.body is not None for one in [*waiting, *self._waiting])

    def send(self, provisional: Provisional) -> None:
        """Send it once its turn has come.

        :raises LocalProtocolError: too many wait already.
        """
        if self.unacknowledged is None:
            self._begin(provisional)
        elif len(self._waiting) < _MOST_WAITING:
            self._waiting.append(provisional)
        else:
            raise LocalProtocolError("too many provisional responses wait for their PRACK")

    def _begin(self, provisional: Provisional) -> None:
        self._rseq += 1
        if self._rseq > MAX_RSEQ:
            raise LocalProtocolError("no RSeq is left")
        provisional.response.headers.set("rseq", str(self._rseq))
        self.unacknowledged = provisional
        self._interval = self._values.T1
        self._elapsed = 0.0
        self._timer = self._timers.start(self._interval, self._again)
        self._send(provisional)

    def _again(self) -> None:
        self._elapsed += self._interval
        left = self._values.timeout - self._elapsed
        provisional = self.unacknowledged
        if left <= 0 or provisional is None:
            self.stop()
            self._lost()
            return
        # Section 3: doubled each time, and not capped at T2.
        self._interval = min(2 * self._interval, left)
        self._timer = self._timers.start(self._interval, self._again)
        self._send(provisional)

    def matches(self, rack: RAck) -> bool:
        """Tell whether *rack* acknowledges one that has not been acknowledged yet."""
        if rack.method != "INVITE" or rack.cseq != self._cseq:
            return False
        return rack.rseq in self._late or (self.unacknowledged is not None and rack.rseq == self._rseq)

    def acknowledge(self, rack: RAck) -> Provisional | None:
        """Take a PRACK that matches; the next response is sent by :meth:`go_on`.

        :return: what it acknowledges, None where nobody waits for that any more.
        """
        self.acknowledged += 1
        if rack.rseq in self._late:
            self._late.remove(rack.rseq)
            return None
        provisional, self.unacknowledged = self.unacknowledged, None
        self._stop_timer()
        return provisional

    def go_on(self) -> None:
        """Send the next one that waits."""
        if self.unacknowledged is None and self._waiting:
            self._begin(self._waiting.pop(0))

    def drop_waiting(self) -> None:
        """A 2xx is about to be sent: those that wait and say nothing of the session are not needed."""
        self._waiting = [one for one in self._waiting if one.body is not None]

    def stop(self) -> None:
        """The final response is sent: nothing is sent again, PRACKs are still welcome (section 3)."""
        if self.unacknowledged is not None:
            self._late.append(self._rseq)
            del self._late[:-_MOST_LATE]
        self.unacknowledged = None
        self._waiting.clear()
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
