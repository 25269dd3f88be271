"""How many messages came and went, by transport, method and status: counted on the path of every message.

A watcher of messages like the trace (``element.message_sent``, ``element.message_seen``). Methods that RFCs do not know
share one name, so that strangers cannot make the table grow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.methods import METHODS
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

#: The name under which methods are counted that nobody has written an RFC about.
OTHER = "other"

_KNOWN = frozenset(METHODS)

Watcher = Callable[[Request | Response, bytes, Flow], None]


class MessageCounts:
    """Counts messages.

    :ivar sent: counts a message that went out: ``sent(message, data, flow)``.
    :ivar seen: counts a message that came in, likewise.
    """

    def __init__(self) -> None:
        self._sent: dict[tuple[str | int, str], int] = {}
        self._seen: dict[tuple[str | int, str], int] = {}
        self.sent: Watcher = _counter(self._sent)
        self.seen: Watcher = _counter(self._seen)

    def requests(self) -> Iterator[tuple[str, str, str, int]]:
        """Give direction (``in``, ``out``), transport, method and number."""
        for direction, table in (("in", self._seen), ("out", self._sent)):
            for (what, transport), count in table.items():
                if isinstance(what, str):
                    yield direction, transport, what, count

    def responses(self) -> Iterator[tuple[str, str, str, int]]:
        """Give direction, transport, status and number."""
        for direction, table in (("in", self._seen), ("out", self._sent)):
            for (what, transport), count in table.items():
                if isinstance(what, int):
                    yield direction, transport, str(what), count


def _counter(table: dict[tuple[str | int, str], int]) -> Watcher:
    def count(message: Request | Response, data: bytes, flow: Flow) -> None:
        what: str | int
        if isinstance(message, Request):
            what = message.method
            if what not in _KNOWN:
                what = OTHER
        else:
            what = message.status
        key = what, flow.kind.parameter
        table[key] = table.get(key, 0) + 1

    return count
