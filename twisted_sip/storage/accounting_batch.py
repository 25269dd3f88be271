"""The calls that are answered within a moment: written in one row, and told to their callers together."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from twisted_sip.storage.batch_writer import Pause


class AnsweredBatch:
    """Calls that were answered within a moment, and what their answers wait for.

    :ivar number: of its row.
    :ivar records: what is to be written of them.
    :ivar left: how many of them are not over.
    :ivar fired: fires with None when they are written, or are waited for no longer.
    :ivar timer: when that is.
    """

    __slots__ = ("fired", "left", "number", "records", "timer")

    def __init__(self, number: int) -> None:
        """Begin with none."""
        self.number = number
        self.records: list[str] = []
        self.left = 0
        self.fired: Deferred[None] = Deferred()
        self.timer: Pause | None = None

    def release(self) -> None:
        """Let the answers go, if they have not gone yet."""
        timer, self.timer = self.timer, None
        if timer is not None:
            timer.cancel()
        if not self.fired.called:
            self.fired.callback(None)
