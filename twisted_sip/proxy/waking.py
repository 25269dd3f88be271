"""A branch to a device that sleeps: it waits until the device was woken and has registered (RFC 8599 section 5.6.2).

The other branches of the request go on meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.routing import Target
from twisted_sip.proxy.branch import Branch
from twisted_sip.proxy.sips import fit_scheme

if TYPE_CHECKING:
    from twisted_sip.proxy.response_context import ResponseContext

_log = Logger()

ABSENT = "480: the device of {0} was woken, and has not registered in time"


class WakingBranch(Branch):
    """A branch whose target is known when its device is awake."""

    __slots__ = ("_waking",)

    def __init__(self, context: ResponseContext, target: Target, breadth: int) -> None:
        super().__init__(context, target, breadth)
        self._waking: Deferred[Target | None] | None = None

    def start(self) -> None:
        """Have the device woken."""
        waking = self.target.waking
        assert waking is not None
        woken = self._waking = waking()
        woken.addCallback(self._woken).addErrback(self._broken)

    def cancel(self, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """Wait no longer; or give up what was sent."""
        waking = self._waking
        if waking is None:
            super().cancel(headers)
            return
        self._waking = None
        self.cancelled = True
        waking.cancel()
        # Whoever cancels branches is not to be told of their end meanwhile.
        self._context.service.element.timers.start(0.0, self._ended, 487)

    def _woken(self, fresh: Target | None) -> None:
        if self._waking is None:
            return
        self._waking = None
        before = self.target
        if fresh is None:
            self._context.incoming.note("push", ABSENT, "push.wait", str(before.uri))
            self._ended(480)
            return
        fresh = attrs.evolve(
            fresh, q=before.q, no_answer=before.no_answer, waking=None, steps=before.steps, onward=before.onward
        )
        fitting = fit_scheme(self._context.request, [fresh])
        if not fitting:
            self._ended(480)
        elif fitting[0].flow_lost:
            self._ended(430)
        else:
            self.target = fitting[0]
            try:
                super().start()
            except RemoteProtocolError as error:
                self.failed(None, error.status, error.reason)

    def _broken(self, failure: Failure) -> None:
        _log.failure("a branch was not sent: {target}", failure, target=self.target)
        self._waking = None
        self._ended(500)

    def _ended(self, status: int) -> None:
        if self.final is None:
            self.end()
            self.final = self._context.local_response(status, "")
            self._context.final(self, self.final, False)
