"""The body of an HTTP answer (RFC 9110 section 6.4): read to its end, so that the connection can be used again.

An answer whose body nobody reads keeps its connection for ever; so does one without an end.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss


def body_of(response: Any, most: int, *, whole: bool = False) -> Deferred[bytes]:
    """Read the body of *response*, which was asked for with ``unbuffered=True``.

    :param most: bytes; of a body that has more the connection is closed.
    :param whole: a body that breaks off is none.
    :return: fires with the body when there is no more of it, however it ended, or with ``most + 1`` bytes of a longer
        one. Who cancels it closes the connection. With *whole* it fails with what HTTP says of one that breaks off.
    """
    body = _Body(most, whole)
    response.deliverBody(body)
    return body.over


class _Body(Protocol):
    """Gathers up to so many bytes.

    :ivar over: fires with them.
    """

    def __init__(self, most: int, whole: bool) -> None:
        self._most = most
        self._whole = whole
        self._read = bytearray()
        self.over: Deferred[bytes] = Deferred(self._give_up)

    def dataReceived(self, data: bytes) -> None:
        """Take a part."""
        self._read += data[: self._most + 1 - len(self._read)]
        if len(self._read) > self._most:
            self._give_up()
            self._end()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """There is no more of it."""
        if self._whole and not self.over.called and not reason.check(ResponseDone, PotentialDataLoss):
            self.over.errback(reason)
        else:
            self._end()

    def _end(self) -> None:
        if not self.over.called:
            self.over.callback(bytes(self._read))

    def _give_up(self, over: Deferred[bytes] | None = None) -> None:
        if self.transport is not None:
            self.transport.loseConnection()
