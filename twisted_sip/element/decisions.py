"""Why each call went the way it did: what was decided about a request, where, and by which key of the configuration.

Noting is on the path of requests, so it keeps texts and does nothing else. Beside the trace, which has the messages, it
is what ``twisted-sip explain`` shows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import attrs

#: Decisions kept of one call: the first ones, which tell how it was set up.
MAX_DECISIONS = 60

#: Items of each decision in the list that is kept of a call; see the trace for why it is no tuple.
_ITEMS = 5


@attrs.frozen(slots=True)
class Decision:
    """One thing that was decided.

    :ivar time: seconds since the epoch.
    :ivar method: the method of the request that it was about.
    :ivar room: who decided: ``admission``, ``registrar``, ``route``, ``gateway``, ``policy``, ``location`` ...
    :ivar text: what, in a few words for people.
    :ivar key: the key of the configuration that caused it (``route[2].to``), empty where none did.
    """

    time: float
    method: str
    room: str
    text: str
    key: str


class Decisions:
    """The decisions about the most recent calls, by Call-ID; bounded like the trace.

    :param clock: the time in seconds since the epoch.
    :param max_calls: Call-IDs kept; the one seen first goes first.
    """

    def __init__(self, clock: Callable[[], float], max_calls: int = 2000) -> None:
        self._clock = clock
        self._max_calls = max_calls
        self._calls: dict[str, list[Any]] = {}
        self._order: deque[str] = deque()

    def __len__(self) -> int:
        return len(self._calls)

    def note(self, call_id: str, method: str, room: str, text: str, key: str = "") -> None:
        """Keep what was decided about a request; the arguments are those of Decision."""
        call = self._calls.get(call_id)
        if call is None:
            call = self._calls[call_id] = []
            self._order.append(call_id)
            if len(self._calls) > self._max_calls:
                del self._calls[self._order.popleft()]
        if len(call) < MAX_DECISIONS * _ITEMS:
            call += (self._clock(), method, room, text, key)

    def call(self, call_id: str) -> list[Decision]:
        """Return what was decided about *call_id*, in the order of time; empty if nothing is known."""
        call = self._calls.get(call_id, ())
        return [Decision(*call[at : at + _ITEMS]) for at in range(0, len(call), _ITEMS)]

    def find(self, text: str) -> Iterator[str]:
        """Yield the Call-IDs that begin with *text*, newest first."""
        return (call_id for call_id in reversed(self._calls) if call_id.startswith(text))
