"""The client side of one STUN transaction: retransmissions and their end (RFC 8489 sections 6.2.1 and 6.2.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import attrs


class Cancellable(Protocol):
    """A timer that runs."""

    def cancel(self) -> None: ...


class Timers(Protocol):
    """What is wanted of a TimerQueue."""

    def start(self, delay: float, callback: Callable[..., object], *args: Any) -> Cancellable: ...


@attrs.frozen(slots=True)
class Retransmission:
    """How a request is repeated; times in seconds.

    :ivar rto: before the first retransmission; doubled after each (section 6.2.1: at least 0.5).
    :ivar rc: how many requests are sent at most (7).
    :ivar rm: times *rto* to wait after the last (16).
    :ivar ti: the one wait over a reliable transport (section 6.2.2: 39.5).
    :ivar reliable: over TCP or TLS: sent once.
    """

    rto: float = 0.5
    rc: int = 7
    rm: float = 16
    ti: float = 39.5
    reliable: bool = False

    @property
    def limit(self) -> float:
        """Seconds from the first request to the timeout."""
        return self.ti if self.reliable else self.rto * (2 ** (self.rc - 1) - 1 + self.rm)


class ClientTransaction:
    """Sends one request until it is told to stop or the time is over; who owns it matches the responses.

    :ivar sent: how often the request was sent.
    """

    __slots__ = ("_data", "_interval", "_send", "_terms", "_timed_out", "_timer", "_timers", "sent")

    def __init__(
        self,
        timers: Timers,
        terms: Retransmission,
        data: bytes,
        send: Callable[[bytes], object],
        timed_out: Callable[[], object],
    ) -> None:
        """Make it; :meth:`start` sends.

        :param timed_out: called once when there was no answer in time.
        """
        self._timers = timers
        self._terms = terms
        self._data = data
        self._send = send
        self._timed_out = timed_out
        self._interval = terms.rto
        self._timer: Cancellable | None = None
        self.sent = 0

    @property
    def active(self) -> bool:
        """True from the start to the end."""
        return self._timer is not None

    def start(self) -> None:
        """Send the request for the first time."""
        self._transmit()

    def cancel(self) -> None:
        """Retransmit no more, but wait for an answer as long as a transaction lasts (RFC 8445 section 7.3.1.4)."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._timers.start(self._terms.rto * self._terms.rm, self._over)

    def stop(self) -> None:
        """End: an answer came, or nobody wants one any more. Nothing is called."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _transmit(self) -> None:
        self.sent += 1
        terms = self._terms
        if terms.reliable:
            self._timer = self._timers.start(terms.ti, self._over)
        elif self.sent >= terms.rc:
            self._timer = self._timers.start(terms.rto * terms.rm, self._over)
        else:
            self._timer = self._timers.start(self._interval, self._transmit)
            self._interval *= 2
        # Last: what is sent may be answered, and this transaction stopped, before it returns.
        self._send(self._data)

    def _over(self) -> None:
        self._timer = None
        self._timed_out()
