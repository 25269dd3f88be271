"""Call records in memory: the latest ones, for tests and for programs that look at them now and then."""

from __future__ import annotations

from collections import deque

from zope.interface import implementer

from twisted_sip.interfaces.accounting import CallRecord, IAccountingSink


@implementer(IAccountingSink)
class MemoryAccounting:
    """Keeps the latest records.

    :ivar records: those of calls that are over, the latest last.
    :ivar under_way: id -> those of calls that are answered and not over.
    """

    def __init__(self, kept: int = 10_000) -> None:
        """Keep none yet.

        :param kept: how many records of calls that are over are kept, the latest ones.
        """
        self.records: deque[CallRecord] = deque(maxlen=kept)
        self.under_way: dict[str, CallRecord] = {}

    def answered(self, record: CallRecord) -> None:
        """See IAccountingSink."""
        self.under_way[record.id] = record

    def ended(self, record: CallRecord) -> None:
        """See IAccountingSink."""
        self.under_way.pop(record.id, None)
        self.records.append(record)

    def close(self) -> None:
        """See IAccountingSink."""
