"""Long answers of the control socket: made and written bit by bit, so that the server does its work meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

_log = Logger()

#: Rows that are made in one turn of the reactor: it takes about as long as a request does.
ROWS_AT_A_TIME = 50

#: Things that are looked at in vain for one row that costs as much; :func:`sifted` yields None so often.
LOOKS_FOR_A_ROW = 20


@attrs.frozen(slots=True)
class Rows:
    """The result of a command that is a list, perhaps a very long one; on the wire it looks like any other.

    :ivar rows: gives the members, or None for a little work that has brought none. It is asked in many turns of the
        reactor, so what it walks through must not change meanwhile.
    """

    rows: Iterable[Any]


def sifted(things: Iterable[Any], row: Callable[[Any], Any]) -> Iterator[Any]:
    """Yield what *row* makes of each of *things* that it does not return None for, and None now and then for those."""
    looked = 0
    for thing in things:
        made = row(thing)
        if made is not None:
            yield made
            continue
        looked += 1
        if looked % LOOKS_FOR_A_ROW == 0:
            yield None


class RowWriter:
    """Writes the answer that is a Rows.

    :param clock: gives the turns.
    :param write: takes bytes.
    :param done: called once at the end, with whether all has been written; not if :meth:`stop` is called before.
    """

    def __init__(
        self, rows: Rows, clock: IReactorTime, write: Callable[[bytes], None], done: Callable[[bool], None]
    ) -> None:
        self._rows: Iterator[Any] = iter(rows.rows)
        self._clock = clock
        self._write = write
        self._done = done
        self._turn: IDelayedCall | None = None
        self._paused = False
        self._between = b'{"ok": true, "result": ['

    def go_on(self) -> None:
        """Write the next rows, and come back for more; also the way to begin, and to end a pause."""
        self._paused = False
        if self._turn is None:
            self._write_some()

    def pause(self) -> None:
        """Write no more until :meth:`go_on`."""
        self._paused = True

    def stop(self) -> None:
        """Write nothing any more."""
        self.pause()
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def _write_some(self) -> None:
        self._turn = None
        if self._paused:
            return
        text: list[bytes] = []
        left = ROWS_AT_A_TIME
        try:
            for row in self._rows:
                if row is not None:
                    text += self._between, json.dumps(row).encode("utf-8")
                    self._between = b", "
                left -= 1
                if not left:
                    break
        except Exception:
            # The answer has begun: it cannot be taken back, only left without an end.
            _log.failure("a control command failed in the middle of its answer")
            self._done(False)
            return
        if left:
            text += (b"]}\n",) if self._between == b", " else (self._between, b"]}\n")
            self._write(b"".join(text))
            self._done(True)
            return
        # First, for to write may bring a pause.
        self._turn = self._clock.callLater(0, self._write_some)
        if text:
            self._write(b"".join(text))
