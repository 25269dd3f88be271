"""Why each call went the way it did: what was decided about a request, where, and by which key of the configuration.

Noting is on the path of requests, so it keeps texts and values and does nothing else; they are put together when
somebody looks. Beside the trace, which has the messages, it is what ``twisted-sip explain`` shows.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeAlias

import attrs

from twisted_sip.errors import SIPError
from twisted_sip.message.request import Request

#: Decisions kept where nothing is said.
MOST_DECISIONS = 20_000

#: Characters of a Call-ID, a text and its values taken together; what is longer is cut.
MOST_CHARS = 600
_CUT = 200

#: What is kept of a decision: time, Call-ID, method, room, text, key, two values. Tuples of texts and numbers alone do
#: not burden the garbage collector.
Row: TypeAlias = tuple[float, str, str, str, str, str, str, str]


@attrs.frozen(slots=True)
class Decision:
    """One thing that was decided.

    :ivar time: seconds since the epoch.
    :ivar method: the method of the request that it was about.
    :ivar room: who decided: ``admission``, ``registrar``, ``route``, ``gateway``, ``policy``, ``location`` ...
    :ivar text: what, in a few words for people.
    :ivar key: the key of the configuration that caused it (``route[2].to``), empty where none did.
    """

    time: float
    method: str
    room: str
    text: str
    key: str


class Decisions:
    """The most recent decisions about all requests, in the order of time; the oldest go first.

    :param clock: the time in seconds since the epoch.
    :param most: decisions kept.
    :ivar keep: takes one more row, which is no longer than MOST_CHARS; for those who cannot afford :meth:`note`.
    """

    __slots__ = ("_kept", "clock", "keep")

    def __init__(self, clock: Callable[[], float], most: int = MOST_DECISIONS) -> None:
        self.clock = clock
        self._kept: deque[Row] = deque(maxlen=most)
        self.keep = self._kept.append

    def __len__(self) -> int:
        return len(self._kept)

    def resize(self, most: int) -> None:
        """Keep *most* decisions from now on."""
        self._kept = deque(self._kept, maxlen=most)
        self.keep = self._kept.append

    def note(self, request: Request, room: str, text: str, key: str = "", first: str = "", second: str = "") -> None:
        """Keep what was decided about *request*; the arguments are those of Decision.

        :param first: stands in *text* for ``{0}``, and *second* for ``{1}``, so that nothing need be put together now.
        """
        call_id = request.headers.parsed.get("call-id")
        if call_id is None:
            try:
                call_id = request.call_id
            except SIPError:
                call_id = ""  # as in the trace
        if len(call_id) + len(text) + len(first) + len(second) > MOST_CHARS:
            call_id, text, first, second = call_id[:MOST_CHARS], _cut(text), _cut(first), _cut(second)
        self.keep((self.clock(), call_id, request.method, room, text, key, first, second))

    def call(self, call_id: str) -> list[Decision]:
        """Return what was decided about *call_id*, in the order of time; empty if nothing is known."""
        return [decision_of(row) for row in self.rows(call_id)]

    def rows(self, call_id: str) -> list[Row]:
        """Return the same as it is kept: *text* and the values that stand in it are apart."""
        call_id = call_id[:MOST_CHARS]
        return [row for row in self._kept if row[1] == call_id]

    def find(self, text: str) -> Iterator[str]:
        """Yield the Call-IDs that begin with *text*, once each, newest first."""
        return reversed(dict.fromkeys(row[1] for row in self._kept if row[1].startswith(text)))

    def newest(self, method: str = "", about: str = "") -> str | None:
        """Return the Call-ID that was seen first of all last, None if there is none.

        :param method: only of calls whose first request was of this method, where it is not empty.
        :param about: only of calls of which a decision names this URI, where it is not empty.
        """
        begun: dict[str, str] = {}
        named: set[str] = set()
        names = re.compile(rf"(?<![\w.-]){re.escape(about)}(?![\w.-])").search
        for _, call_id, of, _, text, _, first, second in self._kept:
            begun.setdefault(call_id, of)
            if about and (names(first) or names(second) or names(text)):
                named.add(call_id)
        for call_id in reversed(begun):
            if (not method or begun[call_id] == method) and (not about or call_id in named):
                return call_id
        return None


def decision_of(row: Row) -> Decision:
    """Return *row* with its values put into its text."""
    time, _, method, room, text, key, first, second = row
    if first:
        text = text.replace("{0}", first).replace("{1}", second)
    return Decision(time, method, room, text, key)


def _cut(text: str) -> str:
    return text if len(text) <= _CUT else f"{text[:_CUT]}..."
