"""Servers that did not answer lately, so that the next request tries another one first.

RFC 3263 section 4.3 says to go on to the next server; this remembers it for a short while. A server that sent 503 with
Retry-After gets nothing at all for that time (RFC 3261 section 21.5.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from twisted_sip.interfaces.destination import Destination
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TransportKind


class Now(Protocol):
    """What tells the time: a TimerQueue."""

    def now(self) -> float:
        """Return seconds on a scale that never goes back."""


class _Mark(NamedTuple):
    until: float
    held: bool


class DeadTargets:
    """The memory of dead targets, by transport, host and port; bounded, each entry with its end.

    :ivar marks: what is remembered; some may be out of date. For the sender to ask whether there is anything at all.
    """

    __slots__ = ("_longest", "_max_entries", "_suspect_for", "_time", "marks")

    def __init__(
        self, time: Now, *, suspect_for: float = 30.0, longest: float = 300.0, max_entries: int = 1024
    ) -> None:
        """Remember, with *time* as the clock.

        :param suspect_for: seconds for which a server that failed is tried last.
        :param longest: the most seconds that a Retry-After is believed.
        :param max_entries: how many servers are remembered; the oldest are forgotten first.
        """
        self._time = time
        self._suspect_for = suspect_for
        self._longest = longest
        self._max_entries = max_entries
        self.marks: dict[tuple[TransportKind, Address], _Mark] = {}

    def __len__(self) -> int:
        """Return how many are remembered; some may be out of date. Zero costs the sender nothing."""
        return len(self.marks)

    def expire(self) -> None:
        """Drop what is past its end; for a caller that looks now and then, since an idle table is not visited."""
        now = self._time.now()
        self.marks = {key: mark for key, mark in self.marks.items() if mark.until > now}

    def suspect(self, kind: TransportKind, address: Address) -> None:
        """Remember that the server at *address* did not answer or could not be reached."""
        mark = self._mark(kind, address)
        if mark is None or not mark.held:
            self._put(kind, address, self._suspect_for, False)

    def hold(self, kind: TransportKind, address: Address, seconds: float) -> None:
        """Remember that the server at *address* wants no requests for *seconds* (its Retry-After)."""
        if seconds > 0:
            self._put(kind, address, min(seconds, self._longest), True)

    def forget(self, kind: TransportKind, address: Address) -> None:
        """The server at *address* has answered; a Retry-After that it sent stays."""
        mark = self.marks.get((kind, address))
        if mark is not None and not mark.held:
            del self.marks[kind, address]

    def suspected(self, kind: TransportKind, address: Address) -> bool:
        """Tell whether the server at *address* is remembered as dead."""
        return self._mark(kind, address) is not None

    def order(self, destinations: Sequence[Destination], spare_held: bool) -> Sequence[Destination]:
        """Return *destinations* with the living first and the suspects after them, each in their order.

        :param spare_held: leave out those that asked to be left alone; the result may then be empty.
        """
        marks = self.marks
        if not marks:
            return destinations
        living: list[Destination] = []
        suspects: list[Destination] = []
        for destination in destinations:
            mark = self._mark(destination.kind, destination.address)
            if mark is None:
                living.append(destination)
            elif not (mark.held and spare_held):
                suspects.append(destination)
        return living + suspects

    def held_for(self, destinations: Sequence[Destination]) -> float:
        """Return after how many seconds the first of *destinations* takes requests again, 0 if one does now."""
        now = self._time.now()
        left = []
        for destination in destinations:
            mark = self._mark(destination.kind, destination.address)
            if mark is None or not mark.held:
                return 0.0
            left.append(mark.until - now)
        return min(left, default=0.0)

    def _mark(self, kind: TransportKind, address: Address) -> _Mark | None:
        mark = self.marks.get((kind, address))
        if mark is not None and mark.until <= self._time.now():
            del self.marks[kind, address]
            return None
        return mark

    def _put(self, kind: TransportKind, address: Address, seconds: float, held: bool) -> None:
        marks = self.marks
        now = self._time.now()
        # Taken out first, so that the order of the table is the order of the last failure.
        marks.pop((kind, address), None)
        if len(marks) >= self._max_entries:
            for key in [key for key, mark in marks.items() if mark.until <= now]:
                del marks[key]
            while len(marks) >= self._max_entries:
                del marks[next(iter(marks))]
        marks[kind, address] = _Mark(now + seconds, held)
