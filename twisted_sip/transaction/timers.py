"""Timers of few fixed lengths at O(1) each, and the timer values of RFC 3261 section 17 (table 4) and RFC 6026.

Transactions start thousands of timers that all have one of a handful of lengths and are mostly cancelled early. Timers
of one length fall due in the order in which they were started, so each length has a first-in-first-out queue; a small
heap holds one entry for each queue that is not empty, and one pending call of the clock serves them all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from twisted_sip.errors import LocalProtocolError

#: A queue drops its cancelled timers in bulk once none is live, or they are this many and outnumber the live ones.
_BULK = 64

#: Empty queues are looked for when there are this many, or twice as many as were left the last time.
_LENGTHS = 256

_NEVER = float("inf")

_new_timer = object.__new__


class Timer:
    """One timer. It keeps nothing alive once it has fired or was cancelled.

    :ivar due: when it fires, on the clock's scale.
    """

    __slots__ = ("_args", "_callback", "_queue", "due")

    due: float
    _callback: Callable[..., object] | None
    _args: tuple[Any, ...]
    _queue: _Queue

    @property
    def active(self) -> bool:
        """True until it has fired or was cancelled."""
        return self._callback is not None

    def cancel(self) -> None:
        """Never fire. Harmless when it has fired or was cancelled before."""
        if self._callback is None:
            return
        self._callback = None
        self._args = ()
        queue = self._queue
        queue.dead = dead = queue.dead + 1
        held = len(queue.waiting)
        if dead == held:
            queue.waiting.clear()
            queue.dead = 0
        elif dead >= _BULK and dead + dead > held:
            queue.sweep()


class _Queue:
    """The timers of one length.

    :ivar waiting: the timers in order of falling due; some may be cancelled.
    :ivar dead: how many are cancelled.
    :ivar listed: True while the heap holds an entry for this queue.
    """

    __slots__ = ("dead", "listed", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Timer] = deque()
        self.dead = 0
        self.listed = False

    def sweep(self) -> None:
        """Drop the cancelled timers: O(1) for each of them."""
        self.waiting = deque(timer for timer in self.waiting if timer._callback is not None)
        self.dead = 0

    def head(self) -> Timer | None:
        """Return the first live timer, None if there is none; cancelled ones before it are dropped."""
        waiting = self.waiting
        while waiting:
            timer = waiting[0]
            if timer._callback is not None:
                return timer
            waiting.popleft()
            self.dead -= 1
        return None


class TimerQueue:
    """All timers of one element, over one pending call of the clock.

    It is made for few distinct lengths; each further length costs a queue while it has timers.

    :ivar now: gives the clock's time in seconds; only differences mean anything.
    :ivar grain: seconds, may be set at any time. The clock wakes the queue at most once in this time, so timers fire
        up to *grain* late (never early) and a busy element serves many in one wake-up. Zero: each exactly when it is
        due.
    """

    def __init__(self, clock: IReactorTime, grain: float = 0.0) -> None:
        """Make a queue over *clock*."""
        self._clock = clock
        self.now: Callable[[], float] = clock.seconds
        self.grain = grain
        self._queues: dict[float, _Queue] = {}
        self._heap: list[tuple[float, int, float]] = []
        self._serial = 0
        self._most_lengths = _LENGTHS
        # Infinite: nothing is pending. Minus infinity: awake, the clock is asked again at the end of the round.
        self._wake_at = _NEVER
        self._armed_for = 0.0
        self._call: IDelayedCall | None = None

    def start(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Call ``callback(*args)`` after *delay* seconds and return the timer.

        What *callback* raises goes to the clock (a reactor logs it); the other timers fire all the same.
        """
        queue = self._queues.get(delay)
        if queue is None:
            if len(self._queues) >= self._most_lengths:
                self._forget_lengths()
            queue = self._queues[delay] = _Queue()
        # What Timer() does, without the call: the hottest constructor of all.
        timer = _new_timer(Timer)
        timer.due = due = self.now() + delay
        timer._callback = callback
        timer._args = args
        timer._queue = queue
        queue.waiting.append(timer)
        if not queue.listed:
            self._list(queue, due, delay)
            if due + self.grain < self._wake_at:
                self._arm(due)
        return timer

    @property
    def pending(self) -> int:
        """How many timers are going to fire."""
        return sum(len(queue.waiting) - queue.dead for queue in self._queues.values())

    @property
    def held(self) -> int:
        """How many timer objects are kept, cancelled ones included."""
        return sum(len(queue.waiting) for queue in self._queues.values())

    def stop(self) -> None:
        """Cancel every timer and the pending call of the clock. The queue may be used again."""
        for queue in list(self._queues.values()):
            for timer in list(queue.waiting):
                timer.cancel()
        self._queues.clear()
        self._heap.clear()
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._wake_at = _NEVER

    def _forget_lengths(self) -> None:
        """Drop the queues that are empty: what was cancelled may have been due in years, and peers choose lengths."""
        queues = self._queues
        self._heap = [entry for entry in self._heap if queues[entry[2]].head() is not None]
        heapify(self._heap)
        self._queues = {delay: queue for delay, queue in queues.items() if queue.head() is not None}
        self._most_lengths = max(_LENGTHS, 2 * len(self._queues))

    def _list(self, queue: _Queue, due: float, delay: float) -> None:
        queue.listed = True
        self._serial += 1
        heappush(self._heap, (due, self._serial, delay))

    def _arm(self, due: float) -> None:
        """Have the clock wake us for what is *due*."""
        self._armed_for = due
        self._wake_at = due + self.grain
        delay = max(0.0, self._wake_at - self.now())
        if self._call is None:
            self._call = self._clock.callLater(delay, self._wake)
        else:
            self._call.reset(delay)

    def _wake(self) -> None:
        self._call = None
        # The clock's sum of now and delay may round to a hair before what was asked for.
        self._fire_due(max(self.now(), self._armed_for))

    def catch_up(self) -> None:
        """Fire what is due, without waiting for the clock: somebody is awake anyway."""
        if self._heap and self._wake_at != -_NEVER:
            now = self.now()
            if self._heap[0][0] <= now:
                self._fire_due(now)

    def _fire_due(self, now: float) -> None:
        self._wake_at = -_NEVER
        try:
            while self._heap and self._heap[0][0] <= now:
                _, _, delay = heappop(self._heap)
                queue = self._queues[delay]
                try:
                    self._fire(queue, now)
                finally:
                    self._relist(queue, delay)
        finally:
            self._wake_at = _NEVER
            if self._heap:
                self._arm(self._heap[0][0])
            elif self._call is not None:
                self._call.cancel()
                self._call = None

    def _fire(self, queue: _Queue, now: float) -> None:
        """Fire what is due in *queue*, timers of no length that the callbacks start included."""
        while (timer := queue.head()) is not None and timer.due <= now:
            queue.waiting.popleft()
            callback = timer._callback
            args = timer._args
            timer._callback = None
            timer._args = ()
            assert callback is not None  # head() gives live timers only
            callback(*args)

    def _relist(self, queue: _Queue, delay: float) -> None:
        queue.listed = False
        timer = queue.head()
        if timer is not None:
            self._list(queue, timer.due, delay)
        elif self._queues.get(delay) is queue:
            del self._queues[delay]


@attrs.frozen(slots=True)
class TimerValues:
    """The timer values of RFC 3261 table 4, RFC 6026 and RFC 4320, in seconds.

    :ivar T1: round-trip time estimate.
    :ivar T2: the longest retransmission interval of non-INVITE requests and INVITE responses.
    :ivar T4: the longest time a message stays in the network (Timers I and K on unreliable transports).
    :ivar timer_c: the proxy's limit on an INVITE that was not answered finally (RFC 3261 section 16.6 step 11).
    :ivar timer_d: the wait for retransmitted responses to an INVITE on unreliable transports, at least 32.
    :ivar trying: how long the user of an INVITE server transaction may take before 100 is sent (section 17.2.1).
    :ivar timeout: 64*T1: Timers B, F, H, J, L, M.
    :ivar trying_late: when a client's Timer E is first reset to T2: 100 to a non-INVITE request is due then and, over
        unreliable transports, not allowed before (RFC 4320 section 4.1).
    :ivar client_limit: the most between provisional responses to an INVITE before its client transaction ends
        with a timeout; longer than Timer C, which belongs to the proxy.
    :ivar server_limit: the most that the user of an INVITE server transaction may be silent; longer than what a proxy
        needs for Timer C and the CANCEL after it.
    """

    T1: float = 0.5
    T2: float = 4.0
    T4: float = 5.0
    timer_c: float = 180.0
    timer_d: float = 32.0
    trying: float = 0.2
    timeout: float = attrs.field(init=False)
    trying_late: float = attrs.field(init=False)
    client_limit: float = attrs.field(init=False)
    server_limit: float = attrs.field(init=False)

    @timeout.default
    def _timeout(self) -> float:
        if self.T1 <= 0:
            raise LocalProtocolError(f"T1 must be more than 0 seconds, not {self.T1}")
        return 64 * self.T1

    @trying_late.default
    def _trying_late(self) -> float:
        elapsed, interval = 0.0, self.T1
        while interval < self.T2:
            elapsed += interval
            interval = min(2 * interval, self.T2)
        return elapsed

    @client_limit.default
    def _client_limit(self) -> float:
        return self.timer_c + 64 * self.T1

    @server_limit.default
    def _server_limit(self) -> float:
        return self.timer_c + 128 * self.T1


DEFAULT_TIMER_VALUES = TimerValues()
