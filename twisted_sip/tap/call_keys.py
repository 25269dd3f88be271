"""The keys that a caller presses, one after the other, for who waits for them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed

from twisted_sip.agent.call_events import DTMF, Ended

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call
    from twisted_sip.transaction.timers import Timer

#: Keys that are kept for who does not wait for them yet.
_KEPT = 64


class CallKeys:
    """The keys of one call; a key stops what is being played."""

    def __init__(self, call: Call) -> None:
        """Listen until the call ends, or :meth:`close`."""
        self._call = call
        self._keys: deque[str] = deque(maxlen=_KEPT)
        self._waiting: Deferred[str] | None = None
        self._timer: Timer | None = None
        self._forget = call.observe(self._happened)

    def __len__(self) -> int:
        """How many keys nobody has asked for."""
        return len(self._keys)

    def _happened(self, event: Any) -> None:
        if isinstance(event, DTMF):
            if self._waiting is not None:
                self._give(event.digit)
                return
            self._keys.append(event.digit)
            if self._call.established:
                self._call.stop_playing()
        elif isinstance(event, Ended):
            self._give("")

    def _give(self, key: str) -> None:
        waiting, self._waiting = self._waiting, None
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        if waiting is not None:
            waiting.callback(key)

    def next(self, seconds: float) -> Deferred[str]:
        """Return a Deferred that fires with the next key; with an empty text after *seconds*, or when the call ends."""
        if self._keys:
            return succeed(self._keys.popleft())
        if self._call.over:
            return succeed("")
        waiting: Deferred[str] = Deferred()
        self._waiting = waiting
        self._timer = self._call.agent.element.timers.start(seconds, lambda: self._give(""))
        return waiting

    def clear(self) -> None:
        """Forget what was pressed."""
        self._keys.clear()

    def close(self) -> None:
        """Listen no longer."""
        self._forget()
        self._give("")
