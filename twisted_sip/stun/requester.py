"""Requests of a STUN client to one server, with credentials, until they are answered (RFC 8489 sections 6 and 9).

Sans-I/O: timers, chance and the way to the server are passed in.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.stun.binding import decode_address
from twisted_sip.stun.credentials import Credentials
from twisted_sip.stun.integrity import sign
from twisted_sip.stun.message import (
    ALTERNATE_SERVER,
    ERROR,
    INDICATION,
    REQUEST,
    SOFTWARE,
    SUCCESS,
    STUNMessage,
    parse_stun,
)
from twisted_sip.stun.transaction import Cancellable, ClientTransaction, Retransmission, Timers

#: A function of the transaction ID, since addresses are XORed with it.
Attributes = Callable[[bytes], tuple[tuple[int, bytes], ...]]

#: How often one request is sent anew after challenges.
_CHALLENGES = 3
#: Section 6.3.4: requests are sent again after 500 to 599 at most so often.
_SERVER_ERRORS = 4


@attrs.frozen(slots=True)
class STUNFailure:
    """What became of a request that did not succeed.

    :ivar code: the error code; 408 when nothing was heard in time, 0 when only forged answers came (section 9.1.4) or
        the answer could not be understood.
    :ivar reason: the reason phrase.
    :ivar alternate: host and port that a 300 tells to ask instead (section 10), None otherwise.
    """

    code: int
    reason: str
    alternate: tuple[str, int] | None = None


Outcome = Callable[[STUNMessage | STUNFailure], object]


class Requester:
    """All requests to one server over one socket or connection.

    :param send: sends octets to the server.
    :param random_bytes: a cryptographically strong source.
    :param credentials: None for a server or usage without authentication.
    :param terms: retransmissions of each request.
    :param software: the SOFTWARE to tell, none if empty (section 14.14).
    :param understood: comprehension-required attributes of the usage beyond RFC 8489.
    :param limit: how many requests may wait at the same time.
    :ivar terms: may be changed for the requests to come.
    """

    def __init__(
        self,
        timers: Timers,
        random_bytes: Callable[[int], bytes],
        send: Callable[[bytes], object],
        credentials: Credentials | None = None,
        terms: Retransmission | None = None,
        *,
        software: str = "",
        understood: frozenset[int] = frozenset(),
        limit: int = 64,
    ) -> None:
        self._timers = timers
        self._random_bytes = random_bytes
        self._send = send
        self._credentials = credentials
        self.terms = terms or Retransmission()
        self._software = software.encode("utf-8")
        self._understood = understood
        self._limit = limit
        self._waiting: dict[bytes, _Request] = {}

    @property
    def waiting(self) -> int:
        """How many requests have no answer yet."""
        return len(self._waiting)

    def request(self, method: int, attributes: Attributes, done: Outcome) -> None:
        """Send a request.

        :param attributes: gives those of the method for a transaction ID.
        :param done: called once, with the success response or a :class:`STUNFailure`.
        :raises LocalProtocolError: too many requests wait.
        """
        if len(self._waiting) >= self._limit:
            raise LocalProtocolError("too many STUN requests wait for their answers")
        self._start(_Request(method, attributes, done))

    def datagram(self, data: bytes) -> bool:
        """Take what came from the server; tell whether it answers a request of ours. Forged answers are discarded."""
        # The transaction ID first: most of what comes is for somebody else.
        request = self._waiting.get(data[8:20])
        if request is None:
            return False
        try:
            response = parse_stun(data)
        except RemoteProtocolError:
            return False
        if response.message_class not in (SUCCESS, ERROR) or response.method != request.method:
            return False
        credentials = self._credentials
        if credentials is not None and not credentials.believes(data, response, request.key):
            # Section 9.1.4: as if it had never been received, over an unreliable transport.
            request.forged = True
            if self.terms.reliable:
                self._end(response.transaction_id, STUNFailure(0, "the integrity protection was violated"))
            return True
        self._answered(request, response)
        return True

    def close(self) -> None:
        """Forget every request; nobody is told."""
        waiting, self._waiting = self._waiting, {}
        for request in waiting.values():
            request.stop()

    # -- inside ------------------------------------------------------------------------

    def _start(self, request: _Request) -> None:
        transaction_id = self._random_bytes(12)
        credentials = self._credentials
        made = request.attributes(transaction_id)
        if self._software:
            made = ((SOFTWARE, self._software), *made)
        kinds: tuple[int, ...] = ()
        request.key = None
        if credentials is not None and credentials.key is not None:
            request.key = credentials.key
            kinds = credentials.kinds
            made = (*made, *credentials.attributes())
        message = STUNMessage(request.method, REQUEST, transaction_id, made)
        data = sign(message, request.key or b"", kinds, fingerprint=True)
        request.transaction = ClientTransaction(
            self._timers, self.terms, data, self._send, lambda: self._timed_out(transaction_id)
        )
        self._waiting[transaction_id] = request
        request.transaction.start()

    def _answered(self, request: _Request, response: STUNMessage) -> None:
        transaction_id = response.transaction_id
        if response.unknown_beyond(self._understood):
            # Sections 6.3.3 and 6.3.4.
            self._end(transaction_id, STUNFailure(0, "unknown comprehension-required attributes in the response"))
            return
        if response.message_class == SUCCESS:
            self._end(transaction_id, response)
            return
        error = response.error
        if error is None:
            self._end(transaction_id, STUNFailure(0, "error response without ERROR-CODE"))
            return
        code, reason = error
        if self._credentials is not None and request.challenges < _CHALLENGES:
            if self._credentials.retry(response, request.key):
                request.challenges += 1
                self._again(transaction_id)
                return
        if 500 <= code < 600 and code != 508 and request.server_errors < _SERVER_ERRORS:
            # Section 6.3.4: it may be sent again; not at once, since the server has trouble.
            request.server_errors += 1
            request.stop()
            delay = self.terms.rto * 2**request.server_errors
            request.pause = self._timers.start(delay, self._again, transaction_id)
            return
        self._end(transaction_id, STUNFailure(code, reason, _alternate(response) if code == 300 else None))

    def _again(self, transaction_id: bytes) -> None:
        request = self._waiting.pop(transaction_id)
        request.stop()
        self._start(request)

    def _timed_out(self, transaction_id: bytes) -> None:
        forged = self._waiting[transaction_id].forged
        reason = "the integrity protection was violated" if forged else "no answer"
        self._end(transaction_id, STUNFailure(0 if forged else 408, reason))

    def _end(self, transaction_id: bytes, outcome: STUNMessage | STUNFailure) -> None:
        request = self._waiting.pop(transaction_id)
        request.stop()
        request.done(outcome)


class _Request:
    """One request, over all its transactions."""

    __slots__ = (
        "attributes",
        "challenges",
        "done",
        "forged",
        "key",
        "method",
        "pause",
        "server_errors",
        "transaction",
    )

    def __init__(self, method: int, attributes: Attributes, done: Outcome) -> None:
        self.method = method
        self.attributes = attributes
        self.done = done
        self.challenges = 0
        self.server_errors = 0
        self.forged = False
        self.key: bytes | None = None
        self.pause: Cancellable | None = None
        self.transaction: ClientTransaction | None = None

    def stop(self) -> None:
        if self.transaction is not None:
            self.transaction.stop()
        if self.pause is not None:
            self.pause.cancel()
            self.pause = None


def indication(method: int, attributes: Attributes, random_bytes: Callable[[int], bytes]) -> bytes:
    """Return an indication without authentication as octets (section 6.1)."""
    transaction_id = random_bytes(12)
    return STUNMessage(method, INDICATION, transaction_id, attributes(transaction_id)).to_bytes(fingerprint=True)


def _alternate(response: STUNMessage) -> tuple[str, int] | None:
    value = response.first(ALTERNATE_SERVER)
    if value is None:
        return None
    try:
        return decode_address(value)
    except RemoteProtocolError:
        return None
