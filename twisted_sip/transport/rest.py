"""How a socket's rest ends: by a clock that nobody sets.

A reactor goes by the time of day. Where that is set back its calls come late by as much, and a socket that waits for
one would be deaf for so long. Linux has timers that are read like sockets (timerfd_create(2)).
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.posixbase import PosixReactorBase
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

_log = Logger()

_MONOTONIC = 1
_NANO = 1_000_000_000


class Rest(Protocol):
    """Ends the rests of one socket."""

    def start(self, seconds: float) -> None:
        """Begin a rest of so many *seconds*."""

    def close(self) -> None:
        """End it without a word; there will be no other."""


class ReactorRest:
    """Goes by the clock of the reactor.

    :param reactor: IReactorTime.
    :param over: called when a rest is over.
    """

    def __init__(self, reactor: Any, over: Callable[[], object]) -> None:
        self._reactor = reactor
        self._over = over
        self._call: Any = None

    def start(self, seconds: float) -> None:
        """See Rest."""
        self._call = self._reactor.callLater(seconds, self._ended)

    def _ended(self) -> None:
        self._call = None
        self._over()

    def close(self) -> None:
        """See Rest."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()


@implementer(IReadDescriptor)
class KernelRest:
    """Goes by a timer of the kernel.

    :param reactor: IReactorFDSet.
    :param over: called when a rest is over.
    :raises OSError: there are no more descriptors, or no such timers.
    """

    def __init__(self, reactor: Any, over: Callable[[], object]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        create = getattr(libc, "timerfd_create", None)
        if create is None:
            raise OSError("no timerfd_create")
        descriptor = create(_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._set = libc.timerfd_settime
        # struct itimerspec: the interval and the first time, in seconds and nanoseconds.
        self._times = (ctypes.c_long * 4)()
        self._descriptor: int = descriptor
        self._reactor = reactor
        self._over = over
        reactor.addReader(self)

    def start(self, seconds: float) -> None:
        """See Rest."""
        times = self._times
        # Zero would be never.
        times[2], times[3] = divmod(max(1, int(seconds * _NANO)), _NANO)
        self._set(self._descriptor, 0, times, None)

    def close(self) -> None:
        """See Rest."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._reactor.removeReader(self)
            os.close(descriptor)

    # -- IReadDescriptor ------------------------------------------------------------

    def fileno(self) -> int:
        return self._descriptor

    def logPrefix(self) -> str:
        return "rest"

    def doRead(self) -> None:
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:
            # Nothing is over.
            return
        try:
            self._over()
        except Exception:
            # The reactor would take it for the end of the descriptor, and the socket would rest for ever.
            _log.failure("after a rest")

    def connectionLost(self, reason: Failure) -> None:
        self.close()


def make_rest(reactor: Any, over: Callable[[], object]) -> Rest:
    """Return what ends the rests of a socket of *reactor*; *over* is called each time."""
    if sys.platform == "linux" and isinstance(reactor, PosixReactorBase):
        try:
            return KernelRest(reactor, over)
        except OSError:
            pass
    return ReactorRest(reactor, over)
