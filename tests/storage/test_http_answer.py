"""Bodies of HTTP answers: read to their end, too long, given up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss

from twisted_sip.storage.http_answer import body_of


class Answer:
    """An answer whose body is given by hand."""

    def __init__(self) -> None:
        self.transport = StringTransport()
        self.body: Any = None

    def deliverBody(self, protocol: Any) -> None:
        self.body = protocol
        protocol.makeConnection(self.transport)


def test_a_body_is_read_to_its_end() -> None:
    answer, found = Answer(), list[Any]()
    body_of(answer, 10).addBoth(found.append)
    for part in (b"01234", b"56789"):
        answer.body.dataReceived(part)
    assert not found
    answer.body.connectionLost(Failure(CancelledError()))
    assert found == [b"0123456789"] and not answer.transport.disconnecting


def test_one_that_is_too_long_is_cut() -> None:
    answer, found = Answer(), list[Any]()
    body_of(answer, 10).addBoth(found.append)
    answer.body.dataReceived(b"x" * 1000)
    assert found == [b"x" * 11] and answer.transport.disconnecting
    answer.body.dataReceived(b"y")
    answer.body.connectionLost()
    assert found == [b"x" * 11]


def test_who_gives_up_closes_the_connection() -> None:
    answer, found = Answer(), list[Any]()
    body = body_of(answer, 10).addBoth(found.append)
    body.cancel()
    assert found[0].check(CancelledError) and answer.transport.disconnecting
    answer.body.connectionLost()
    # An answer that is over already has no connection.
    gone: Any = SimpleNamespace(deliverBody=lambda protocol: None)
    body = body_of(gone, 10).addBoth(found.append)
    body.cancel()
    assert found[1].check(CancelledError)


def test_one_that_breaks_off() -> None:
    answer, found = Answer(), list[Any]()
    body_of(answer, 10, whole=True).addBoth(found.append)
    answer.body.dataReceived(b"012")
    answer.body.connectionLost(Failure(ResponseFailed([])))
    assert found[0].check(ResponseFailed)
    for reason in (ResponseDone(), PotentialDataLoss()):
        answer = Answer()
        body_of(answer, 10, whole=True).addBoth(found.append)
        answer.body.dataReceived(b"012")
        answer.body.connectionLost(Failure(reason))
        assert found.pop() == b"012"
    answer = Answer()
    body_of(answer, 2, whole=True).addBoth(found.append)
    answer.body.dataReceived(b"012")
    answer.body.connectionLost(Failure(ResponseFailed([])))
    assert found.pop() == b"012"
