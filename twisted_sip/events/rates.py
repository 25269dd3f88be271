"""How often one watcher is notified: the notifier's side of RFC 6446, and the package's own limit (RFC 6665 section
5.4.10)."""

from __future__ import annotations

from collections import deque

from twisted_sip.dialog.rates import Rates
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.response import Response

#: The least and the greatest rate that can be told (RFC 6446 section 9.2).
_LEAST = 1e-10
_MOST = 99.9999999999

#: NOTIFYs in the rolling period of the adaptive minimum rate, and the most that are remembered.
_COUNT = 10
_REMEMBERED = 1000


class RateControl:
    """What a watcher asked for, as far as it is granted.

    :ivar rates: the granted rates, which every NOTIFY tells (section 4.2).
    :ivar params: the same as parameters of Subscription-State, each with its semicolon in front.
    :ivar gap: the least seconds between two NOTIFYs (section 5.2); 0 for no limit.
    """

    __slots__ = ("_period", "_sent", "gap", "params", "rates")

    def __init__(self, rates: Rates, now: float, *, remaining: float, most: float) -> None:
        """Grant what can be granted of *rates*.

        :param remaining: seconds until the subscription ends.
        :param most: NOTIFYs per second of one watcher without any news, at most.
        """
        max_rate = rates.max_rate
        if max_rate is not None and remaining > 0:
            # Section 5.3: at least one before the end.
            max_rate = min(max(max_rate, 1.0 / remaining, _LEAST), _MOST)
        adaptive = rates.adaptive_min_rate
        min_rate = rates.min_rate
        # Sections 6.3 and 7.3 leave it to us, section 8 wants them no greater than max-rate.
        ceiling = most if max_rate is None else min(most, max_rate)
        if adaptive is not None:
            adaptive = min(adaptive, ceiling)
        if min_rate is not None:
            min_rate = min(min_rate, ceiling)
            if adaptive is not None and min_rate >= adaptive:
                # Section 8: not to be considered.
                min_rate = None
        self.rates = Rates(max_rate=max_rate, min_rate=min_rate, adaptive_min_rate=adaptive)
        self.params = "".join(f";{name}={value}" for name, value in self.rates.params())
        self.gap = 1.0 / max_rate if max_rate is not None else 0.0
        # The period holds ten NOTIFYs at the rate that was asked for (section 7.4 recommends several).
        self._period = _COUNT / adaptive if adaptive is not None else 0.0
        self._sent: deque[float] | None = None
        if adaptive is not None:
            # Section 7.2 step 1: as if that many had been sent in the period before.
            self._sent = deque((now - number / adaptive for number in range(_COUNT - 1, -1, -1)), _REMEMBERED)

    def note(self, now: float) -> None:
        """A NOTIFY was sent."""
        if self._sent is not None:
            self._sent.append(now)

    def latest(self, sent_at: float) -> float | None:
        """Return when the next NOTIFY is due though there is no news, None for never (sections 6.2, 7.2 and 7.4).

        :param sent_at: when the last one was sent.
        """
        rates = self.rates
        waits: list[float] = []
        if rates.min_rate is not None:
            waits.append(1.0 / rates.min_rate)
        sent = self._sent
        if sent is not None and rates.adaptive_min_rate is not None:
            while sent and sent[0] <= sent_at - self._period:
                sent.popleft()
            # Equations (1) and (2) of section 7.4.
            waits.append(max(len(sent) / (rates.adaptive_min_rate**2 * self._period), self.gap))
        return sent_at + min(waits) if waits else None


def rates_in(response: Response, event: str) -> Rates | None:
    """Return the rates in *response*, a 2xx to a NOTIFY of *event*, None where it says nothing of them (RFC 6446
    sections 5.1 and 9.3)."""
    try:
        told = response.typed("event")
    except RemoteProtocolError:
        return None
    return None if told is None or told.token != event else Rates.of(told.params)
