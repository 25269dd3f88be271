"""Call records to several sinks at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

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

    def answered(self, record: CallRecord) -> Deferred[Any] | None:
        """See IAccountingSink; the Deferred does not fail."""
        return self._tell([sink.answered for sink in self.sinks], record)

    def ended(self, record: CallRecord) -> Deferred[Any] | None:
        """See IAccountingSink; the Deferred does not fail."""
        return self._tell([sink.ended for sink in self.sinks], record)

    def _tell(self, tells: Sequence[Callable[[CallRecord], Any]], record: CallRecord) -> Deferred[Any] | None:
        waits: list[Deferred[Any]] = []
        for tell in tells:
            try:
                told = tell(record)
            except Exception:
                self._not_kept(Failure(), record.id)
                continue
            if isinstance(told, Deferred):
                waits.append(told.addErrback(self._not_kept, record.id))
        if len(waits) < 2:
            return waits[0] if waits else None
        return DeferredList(waits)

    def _not_kept(self, failure: Failure, id: str) -> None:
        self.failed += 1
        _log.failure("a call record was not kept: {id}", failure, id=id)

    def close(self) -> Deferred[Any]:
        """See IAccountingSink; what fails is logged."""
        waits: list[Deferred[Any]] = []
        for sink in self.sinks:
            closed = sink.close()
            if isinstance(closed, Deferred):
                waits.append(closed.addErrback(lambda failure: _log.failure("a sink was not closed", failure)))
        return DeferredList(waits)
