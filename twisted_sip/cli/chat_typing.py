"""Who is typing: the machines of RFC 3994 sections 3.2 and 3.3."""

from __future__ import annotations

from collections.abc import Callable

from twisted_sip.documents.iscomposing import IDLE_TIMEOUT, MIN_REFRESH, IsComposing
from twisted_sip.transaction.timers import Timer, TimerQueue


class Composer:
    """What we tell of ourselves (section 3.2, figure 1).

    :ivar active: the state.
    """

    def __init__(self, timers: TimerQueue, tell: Callable[[IsComposing], object]) -> None:
        """Make a composer that is idle.

        :param tell: sends a status message.
        """
        self.active = False
        self._timers = timers
        self._tell = tell
        self._idle: Timer | None = None
        self._refresh: Timer | None = None

    def typed(self) -> None:
        """Something was typed."""
        if self._idle is not None:
            self._idle.cancel()
        self._idle = self._timers.start(float(IDLE_TIMEOUT), self._idle_timeout)
        if not self.active:
            self.active = True
            self._tell_active()

    def sent(self) -> None:
        """The message was sent, which says by itself that nothing more is typed."""
        self.active = False
        self.stop()

    def cleared(self) -> None:
        """What was typed has been taken back."""
        if self.active:
            self._idle_timeout()

    def stop(self) -> None:
        """Tell nothing more."""
        for timer in (self._idle, self._refresh):
            if timer is not None:
                timer.cancel()
        self._idle = self._refresh = None

    def _tell_active(self) -> None:
        self._refresh = self._timers.start(float(MIN_REFRESH), self._tell_active)
        self._tell(IsComposing(active=True, content_type="text/plain", refresh=MIN_REFRESH))

    def _idle_timeout(self) -> None:
        self.sent()
        self._tell(IsComposing(active=False, content_type="text/plain"))


class PeerComposing:
    """What the other side tells (section 3.3, figure 2).

    :ivar active: the state.
    """

    def __init__(self, timers: TimerQueue, changed: Callable[[bool], object]) -> None:
        """Begin idle.

        :param changed: called with each new state.
        """
        self.active = False
        self._timers = timers
        self._changed = changed
        self._timer: Timer | None = None

    def received(self, composing: IsComposing) -> None:
        """A status message has come."""
        if not composing.active:
            self.idle()
            return
        self._stop()
        self._timer = self._timers.start(composing.active_until(0.0), self.idle)
        self._become(True)

    def idle(self) -> None:
        """A message has come, or the time is over."""
        self._stop()
        self._become(False)

    def _stop(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _become(self, active: bool) -> None:
        if active != self.active:
            self.active = active
            self._changed(active)
