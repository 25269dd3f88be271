"""When a server looks for garbage in cycles.

A busy server holds some hundred thousand objects for as long as its transactions last, up to 32 seconds over UDP. They
die by reference counting. With Python's defaults the collector goes through all of them again and again, which costs
more than everything else together and stops the world for longer than a retransmission interval. So everything is
looked at when there is little of it or it has been long, and what is young as soon as there is more of it than new
transactions explain: messages leave no cycles, and those of a load that grows would only be looked at in vain.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from typing import Any

#: Net new objects before the youngest are looked at between two ticks. The older generations are not looked at by
#: themselves.
_THRESHOLDS = (2_000_000, 1_000_000, 1_000_000)

#: Net new objects that need no explanation, and those that each new live transaction explains: what it consists of, and
#: what its call or registration leaves.
_YOUNG, _EXPLAINED = 50_000, 50

#: Up to so many live transactions a look at everything takes no longer than a few messages do.
_QUIET = 500

#: The most looks that are put off before one is taken however much there is; one for so many live transactions. What a
#: look costs grows with them, what has been left behind by then with the time.
_PATIENCE = 180
_EACH = 250

#: Connections that have ended, after which a look is not put off: each leaves cycles behind, which over TLS hold some
#: 50 kB of OpenSSL's until they are looked at. Whoever breaks off handshakes shall not fill the memory with them.
_ENDED = 500


#: M_ARENA_MAX of mallopt(3).
_MOST_HEAPS = -8


def _of_libc(name: str) -> Any:
    """Return a function of the C library, None where it has none of that *name*."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return None


def keep_one_heap() -> None:
    """Have all threads share one C heap, where that is glibc's; to be called before there is a second thread.

    Each has its own otherwise, and keeps for good what a batch has needed at the end of that: :meth:`Collector.tick`
    gives back the gaps alone there.
    """
    mallopt = _of_libc("mallopt")
    if mallopt is not None:
        mallopt(_MOST_HEAPS, 1)


class Collector:
    """Looks at everything now and then; for a process that is a server.

    :param busy: gives the number of live transactions.
    :param ended: gives the number of connections that have ended since the start.
    """

    #: Seconds between two calls of :meth:`tick`.
    INTERVAL = 10.0

    __slots__ = ("_busy", "_ended", "_give_back", "_known", "_put_off", "_seen")

    def __init__(self, busy: Callable[[], int], ended: Callable[[], int] = lambda: 0) -> None:
        self._busy = busy
        self._ended = ended
        self._put_off = 0
        self._seen = 0
        self._known = 0
        # Texts of messages come and go in all sizes and leave gaps, which the heap would keep after each burst.
        self._give_back = _of_libc("malloc_trim")

    def settle(self) -> None:
        """Leave alone what there is, and what is older than a moment; to be called when the server has started."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)

    def tick(self) -> None:
        """Collect if it is quiet, or has not been for long, the longer the more there is; or if much was left behind.

        To be called every INTERVAL seconds. Of much that is new and no part of a transaction only that is looked at.
        """
        self._put_off += 1
        busy, ended = self._busy(), self._ended()
        due = busy <= _QUIET or self._put_off >= min(_PATIENCE, busy // _EACH)
        if due or ended - self._seen >= _ENDED:
            self._put_off = 0
            self._seen = ended
            self._known = busy
            gc.collect()
            if self._give_back is not None:
                self._give_back(0)
        elif gc.get_count()[0] > _YOUNG + _EXPLAINED * max(0, busy - self._known):
            self._known = busy
            gc.collect(0)
