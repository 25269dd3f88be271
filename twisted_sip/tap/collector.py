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

#: Connections that have ended, after which a look is not put off: each leaves cycles behind, which over TLS hold some
#: 50 kB of OpenSSL's until they are looked at. Whoever breaks off handshakes shall not fill the memory with them.
_ENDED = 500


class Collector:
    """Looks at everything now and then; for a process that is a server.

    :param busy: gives the number of live transactions.
    :param ended: gives the number of connections that have ended since the start.
    """

    #: Seconds between two calls of :meth:`tick`.
    INTERVAL = 10.0

    __slots__ = ("_busy", "_ended", "_put_off", "_seen")

    def __init__(self, busy: Callable[[], int], ended: Callable[[], int] = lambda: 0) -> None:
        self._busy = busy
        self._ended = ended
        self._put_off = 0
        self._seen = 0

    def settle(self) -> None:
        """Leave alone what there is, and what is older than a moment; to be called when the server has started."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)

    def tick(self) -> None:
        """Collect if it is quiet, or has not been for long, the longer the more there is; or if much was left behind.

        To be called every INTERVAL seconds.
        """
        self._put_off += 1
        busy, ended = self._busy(), self._ended()
        due = busy <= _QUIET or self._put_off >= min(_PATIENCE, busy // _EACH)
        if due or ended - self._seen >= _ENDED:
            self._put_off = 0
            self._seen = ended
            gc.collect()
