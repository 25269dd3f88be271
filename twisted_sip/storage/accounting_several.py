"""Call records to several sinks at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sip.errors import StoreError
from twisted_sip.interfaces.accounting import CallRecord, IAccountingSink

_log = Logger()


@implementer(IAccountingSink)
class SeveralSinks:
    """Tells every one of several sinks; one that fails is logged and stops no other.

    :ivar sinks: they, in the order in which they are told.
    :ivar failed: how many records a sink has not taken.
    """

    def __init__(self, sinks: Sequence[Any]) -> None:
        """Tell *sinks*, each an IAccountingSink."""
        self.sinks = tuple(sinks)
        self.failed = 0
        # Sinks that cannot keep anything just now, with how many records they have not taken since they began to fail.
        self._failing: dict[int, int] = {}

    def answered(self, record: CallRecord) -> Deferred[Any] | None:
        """See IAccountingSink; the Deferred does not fail."""
        return self._tell([sink.answered for sink in self.sinks], record)

    def ended(self, record: CallRecord) -> Deferred[Any] | None:
        """See IAccountingSink; the Deferred does not fail."""
        return self._tell([sink.ended for sink in self.sinks], record)

    def _tell(self, tells: Sequence[Callable[[CallRecord], Any]], record: CallRecord) -> Deferred[Any] | None:
        waits: list[Deferred[Any]] = []
        for place, tell in enumerate(tells):
            try:
                told = tell(record)
            except Exception:
                self._not_kept(Failure(), place, record.id)
                continue
            if isinstance(told, Deferred):
                waits.append(told.addErrback(self._not_kept, place, record.id))
            elif self._failing:
                self._kept(place)
        if len(waits) < 2:
            return waits[0] if waits else None
        return DeferredList(waits)

    def _not_kept(self, failure: Failure, place: int, id: str) -> None:
        self.failed += 1
        if failure.check(StoreError) is None:
            _log.failure("a call record was not kept: {id}", failure, id=id)
            return
        count = self._failing[place] = self._failing.get(place, 0) + 1
        if count == 1:
            # A disk that is full is no better for a line with each call.
            _log.critical("CALL RECORDS ARE NOT KEPT: {reason}", reason=failure.getErrorMessage())

    def _kept(self, place: int) -> None:
        count = self._failing.pop(place, 0)
        if count:
            _log.critical("call records are kept again: {count} were not kept by one that keeps them", count=count)

    def close(self) -> Deferred[Any]:
        """See IAccountingSink; what fails is logged."""
        waits: list[Deferred[Any]] = []
        for sink in self.sinks:
            closed = sink.close()
            if isinstance(closed, Deferred):
                waits.append(closed.addErrback(lambda failure: _log.failure("a sink was not closed", failure)))
        return DeferredList(waits)
