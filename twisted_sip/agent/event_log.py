"""What has happened, in order: one stream of typed events, for as many readers as there are.

Bounded: who reads too slowly, or begins too late, is told how many events are gone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

E = TypeVar("E")

_log = Logger()

#: Events kept for those who read later.
_KEPT = 256


class EventLog(Generic[E]):
    """The events of one thing, from its first to its last.

    :ivar closed: the last event has happened.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        """Make an empty log.

        :param kept: how many events are kept for who has not read them yet.
        """
        self.closed = False
        self._kept = kept
        self._events: list[E] = []
        # How many events were dropped; the others have the numbers from there on.
        self._gone = 0
        # Most logs have neither, for the whole of their life.
        self._waiting: Sequence[Deferred[None]] = ()
        self._observers: Sequence[Callable[[E], object]] = ()
        self._untold: deque[E] | None = None

    def add(self, event: E) -> None:
        """*event* has happened. Observers are told in order, even if one of them makes the next event happen."""
        if self.closed:
            return
        events = self._events
        events.append(event)
        if self._observers or self._waiting or len(events) > self._kept:
            self._tell(event)

    def _tell(self, event: E) -> None:
        events = self._events
        if len(events) > self._kept:
            del events[0]
            self._gone += 1
        if not self._observers:
            # Nobody is told but those who wait.
            if self._waiting:
                self._wake()
            return
        if self._untold is not None:
            # One of them has made this happen: it is told of when they are all told of what came before.
            self._untold.append(event)
            return
        self._untold = untold = deque((event,))
        try:
            while untold:
                told = untold.popleft()
                for observer in list(self._observers):
                    try:
                        observer(told)
                    except Exception:
                        _log.failure("an observer of {event}", event=repr(told))
        finally:
            self._untold = None
        if self._waiting:
            self._wake()

    def close(self) -> None:
        """Nothing happens any more: streams end once they have been read."""
        self.closed = True
        if self._waiting:
            self._wake()

    def reopen(self) -> None:
        """What was over has begun again."""
        self.closed = False

    def observe(self, observer: Callable[[E], object]) -> Callable[[], None]:
        """Call *observer* with each event from now on; return what ends that."""
        self._observers = [*self._observers, observer]

        def forget() -> None:
            if observer in self._observers:
                left = list(self._observers)
                left.remove(observer)
                self._observers = left

        return forget

    def stream(self) -> EventStream[E]:
        """Return all events, from the first that is kept, to iterate over."""
        return EventStream(self)

    def kept(self) -> list[E]:
        """Return the events that are kept, the latest last."""
        return list(self._events)

    def read(self, place: int) -> tuple[int, E] | None:
        """Return the event with number *place*, or the next one that is kept, and its number; None if there is none."""
        place = max(place, self._gone)
        at = place - self._gone
        return (place, self._events[at]) if at < len(self._events) else None

    def wait(self) -> Deferred[None]:
        """Return a Deferred that fires with None at the next event or at the end; it may be cancelled."""
        waiting: Deferred[None] = Deferred(self._forget)
        self._waiting = [*self._waiting, waiting]
        return waiting

    def _forget(self, waiting: Deferred[None]) -> None:
        self._waiting = [other for other in self._waiting if other is not waiting]

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, ()
        for waiter in waiting:
            waiter.callback(None)


class EventStream(Generic[E]):
    """An asynchronous iterator over the events of a log, in order; it ends with the log.

    :ivar missed: how many events were gone before they were read.
    """

    def __init__(self, log: EventLog[E]) -> None:
        self.missed = 0
        self._log = log
        self._place = 0

    def __aiter__(self) -> EventStream[E]:
        return self

    async def __anext__(self) -> E:
        while True:
            found = self._log.read(self._place)
            if found is not None:
                place, event = found
                self.missed += place - self._place
                self._place = place + 1
                return event
            if self._log.closed:
                raise StopAsyncIteration
            await self._log.wait()
