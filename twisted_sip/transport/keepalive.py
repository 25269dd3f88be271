"""Keep-alives of a client towards its edge proxy or registrar (RFC 5626 section 4.4).

Over connections a double CRLF that a single CRLF answers (section 4.4.1), over UDP a STUN Binding request (section
4.4.2). Either finds out when the flow has failed.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from twisted_sip.errors import RemoteProtocolError, TransportError
from twisted_sip.interfaces.flow import Flow
from twisted_sip.stun.binding import binding_request, mapped_address
from twisted_sip.stun.message import SUCCESS, parse_stun
from twisted_sip.transport.datagram import DatagramFlow
from twisted_sip.transport.layer import TransportLayer
from twisted_sip.transport.stream_flow import StreamFlow

#: Seconds within which a pong has to come (section 4.4.1).
PONG_TIMEOUT = 10.0
#: Longest time between pings over a connection, in seconds (section 4.4.1); the shortest is a fifth less.
STREAM_INTERVAL = 120.0
#: Longest and shortest time between Binding requests, in seconds (section 4.4.2).
DATAGRAM_INTERVALS = (24.0, 29.0)
#: First retransmission interval of STUN in seconds, number of requests, and how many times the first interval the
#: last one is waited for (RFC 8489 section 6.2.1; RFC 5626 section 4.4.2).
RTO, REQUESTS, LAST_WAIT = 0.5, 7, 16

#: Called once with the flow that has failed.
Failed = Callable[[Flow], None]


class StreamKeepAlive:
    """Pings over one connection until :meth:`stop` or until it fails.

    :ivar answered: a pong has come.
    """

    def __init__(
        self,
        flow: StreamFlow,
        clock: IReactorTime,
        failed: Failed,
        random: Callable[[], float],
        interval: float = STREAM_INTERVAL,
    ) -> None:
        """Begin.

        :param random: gives numbers from 0 to 1; each interval is another one.
        :param interval: the longest time between pings, in seconds; a Flow-Timer less ten seconds (section 4.4).
        """
        self._flow = flow
        self._clock = clock
        self._failed: Failed | None = failed
        self._random = random
        self._interval = interval
        self._call: IDelayedCall | None = None
        self.answered = False
        flow.on_pong(self._pong)
        self._wait()

    def _wait(self) -> None:
        # The lower bound is 20 % less (section 4.4.1).
        self._call = self._clock.callLater(self._interval * (0.8 + 0.2 * self._random()), self._ping)

    def _ping(self) -> None:
        try:
            self._flow.send_keep_alive(b"\r\n\r\n")
        except TransportError:
            self._fail()
            return
        self._call = self._clock.callLater(PONG_TIMEOUT, self._fail)

    def _pong(self) -> None:
        self.answered = True
        self._cancel()
        self._wait()

    def _fail(self) -> None:
        failed, self._failed = self._failed, None
        self.stop()
        if failed is not None:
            self._flow.abort()
            failed(self._flow)

    def _cancel(self) -> None:
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None

    def stop(self) -> None:
        """Ping no more."""
        self._failed = None
        self._flow.on_pong(None)
        self._cancel()


class DatagramKeepAlive:
    """Binding requests over one UDP flow until :meth:`stop` or until it fails.

    :ivar mapped: the address by which the server sees us, None as long as it has not answered.
    """

    def __init__(
        self,
        flow: DatagramFlow,
        layer: TransportLayer,
        failed: Failed,
        random: Callable[[], float],
        token: Callable[[], bytes],
        intervals: tuple[float, float] = DATAGRAM_INTERVALS,
    ) -> None:
        """Begin with a request at once.

        :param random: gives numbers from 0 to 1; each interval is another one.
        :param token: gives twelve unpredictable octets (RFC 8489 section 5).
        :param intervals: shortest and longest time between requests, in seconds.
        """
        self.mapped: tuple[str, int] | None = None
        self._flow = flow
        self._layer = layer
        self._failed: Failed | None = failed
        self._random = random
        self._token = token
        self._intervals = intervals
        self._transaction = b""
        self._sent = 0
        self._call: IDelayedCall | None = None
        self._begin()

    @property
    def answered(self) -> bool:
        """True once a Binding response has come."""
        return self.mapped is not None

    def _begin(self) -> None:
        self._transaction = self._token()
        self._layer.stun_waiters[self._transaction] = self._answered
        self._sent = 0
        self._send()

    def _send(self) -> None:
        try:
            self._flow.send_keep_alive(binding_request(self._transaction))
        except TransportError:
            self._fail()
            return
        self._sent += 1
        if self._sent < REQUESTS:
            self._call = self._layer.clock.callLater(RTO * 2 ** (self._sent - 1), self._send)
        else:
            self._call = self._layer.clock.callLater(RTO * LAST_WAIT, self._fail)

    def _answered(self, data: bytes, flow: Flow) -> None:
        if flow != self._flow:
            # Somebody else has guessed.
            return
        try:
            response = parse_stun(data)
            mapped = mapped_address(response)
        except RemoteProtocolError:
            # Silence is what it counts as (RFC 8489 section 6.3).
            return
        self._cancel()
        if response.message_class != SUCCESS or mapped is None or self.mapped not in (None, mapped):
            # Section 4.4.2: an error, or another address, is the end of the flow.
            self._fail()
            return
        self.mapped = mapped
        low, high = self._intervals
        self._call = self._layer.clock.callLater(low + (high - low) * self._random(), self._begin)

    def _fail(self) -> None:
        failed, self._failed = self._failed, None
        self.stop()
        if failed is not None:
            failed(self._flow)

    def _cancel(self) -> None:
        self._layer.stun_waiters.pop(self._transaction, None)
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None

    def stop(self) -> None:
        """Ask no more."""
        self._failed = None
        self._cancel()
