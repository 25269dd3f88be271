"""When a server looks for garbage in cycles.

A busy server holds some hundred thousand objects for as long as its transactions last, up to 32 seconds over UDP. They
die by reference counting. With Python's defaults the collector goes through all of them again and again, which costs
more than everything else together and stops the world for longer than a retransmission interval. So only what is young
is looked at as one goes, and everything when there is little of it or it has been long.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

#: Net new objects before the youngest are looked at. The older generations are not looked at by themselves.
_THRESHOLDS = (50_000, 1_000_000, 1_000_000)

#: Up to so many live transactions a look at everything takes no longer than a few messages do.
_QUIET = 500

#: The most looks that are put off before one is taken however much there is; one for so many live transactions. What a
#: look costs grows with them, what has been left behind by then with the time.
_PATIENCE = 180
_EACH = 250


class Collector:
    """Looks at everything now and then; for a process that is a server.

    :param busy: gives the number of live transactions.
    """

    #: Seconds between two calls of :meth:`tick`.
    INTERVAL = 10.0

    __slots__ = ("_busy", "_put_off")

    def __init__(self, busy: Callable[[], int]) -> None:
        self._busy = busy
        self._put_off = 0

    def settle(self) -> None:
        """Leave alone what there is, and what is older than a moment; to be called when the server has started."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)

    def tick(self) -> None:
        """Collect if it is quiet, or has not been for long, the longer the more there is.

        To be called every INTERVAL seconds.
        """
        self._put_off += 1
        busy = self._busy()
        if busy <= _QUIET or self._put_off >= min(_PATIENCE, busy // _EACH):
            self._put_off = 0
            gc.collect()
