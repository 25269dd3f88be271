"""Three-way calling by mixing (RFC 5359 section 2.10, RFC 3911 section 4): everybody hears all others."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from twisted_sip.agent.call_events import CallEvent, Ended
from twisted_sip.errors import LocalProtocolError

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call


class ThreeWay:
    """Two calls or more whose peers hear each other.

    :ivar calls: the calls in it.
    """

    def __init__(self, *calls: Call) -> None:
        """Join *calls*; each leaves when it ends, and the last two are then simply a call.

        :raises LocalProtocolError: one has no sound, or there are fewer than two.
        """
        if len(calls) < 2:
            raise LocalProtocolError("there are two calls at least to join")
        for call in calls:
            _check(call)
        self.calls: list[Call] = []
        self._forget: dict[Call, Any] = {}
        for call in calls:
            self._take(call)
        self._connect()

    def add(self, call: Call) -> None:
        """Let everybody hear the peer of *call* as well.

        :raises LocalProtocolError: it has no sound.
        """
        _check(call)
        self._take(call)
        self._connect()

    def _take(self, call: Call) -> None:
        self.calls.append(call)
        self._forget[call] = call.observe(partial(self._happened, call))
        call.conversation = self

    def _connect(self) -> None:
        if len(self.calls) == 2:
            self.calls[0].bridge(self.calls[1])
            return
        from twisted_sip.media.bridge import Bridge

        mixer = Bridge(max(getattr(call.media, "rate", 8000) for call in self.calls))
        for call in self.calls:
            call.media.bridge(mixer)

    def part(self) -> None:
        """Let nobody hear anybody any more; the calls go on."""
        calls, self.calls = self.calls, []
        for call in calls:
            self._leave(call)
            if not call.over:
                call.bridge(None)

    def _leave(self, call: Call) -> None:
        self._forget.pop(call)()
        if call.conversation is self:
            call.conversation = None

    def _happened(self, call: Call, event: CallEvent) -> None:
        if isinstance(event, Ended) and call in self.calls:
            self.calls.remove(call)
            self._leave(call)
            if len(self.calls) < 2:
                self.part()


def _check(call: Call) -> None:
    if call.media is None or not hasattr(call.media, "bridge"):
        raise LocalProtocolError("there is no sound in one of the calls")
