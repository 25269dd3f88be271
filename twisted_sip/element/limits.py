"""How much is taken from one source, and what is left undone when it is too much for us.

Rates per source are a token bucket (in its GCRA form: one number for each source, the time at which its bucket is full
again). Under overload requests are shed in a fixed order (RFC 3261 section 21.5.4 for the answer, RFC 4412 and RFC 5031
for what goes first); how many of a class are shed grows with the load, so that the answer to overload is no on-off
oscillation.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
from zope.interface import implementer

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.processing import TAKEN, IncomingRequest, IRequestProcessor, Verdict
from twisted_sip.message.hosts import source_of
from twisted_sip.message.request import Request

#: Resource-Priority namespaces of RFC 4412 section 10 and their lowest value, which asks for nothing special.
_NAMESPACES = {"dsn": "routine", "drsn": "routine", "q735": "4", "ets": "", "wps": ""}

#: Seconds' worth of requests that may come at once, and the length of a generation of buckets.
_BURST = 1.0

#: The most that are taken out of a bucket at once, and the least part of it that this is.
_MOST_AT_ONCE, _PARTS = 16, 64


@attrs.frozen(slots=True, kw_only=True)
class LimitSettings:
    """Settings of limits: the ``[limits]`` section.

    :ivar requests_per_second: datagrams and messages taken from one source; a second's worth may come at once.
    :ivar loopback_requests_per_second: the same for this host.
    :ivar max_sources: sources whose rate is watched one by one; beyond, new ones share one rate, that of this host.
    :ivar max_transactions: transactions at a time; more are answered 503.
    :ivar max_connections: connections at a time; more are closed at once.
    :ivar max_connections_per_source: connections of one source at a time.
    :ivar max_lag: seconds of delay in the reactor that count as full load.
    :ivar retry_after: least seconds in the Retry-After of a 503; some more are added so that not all come back at once.
    """

    requests_per_second: int = attrs.field(
        default=500, validator=attrs.validators.ge(1), metadata={"help": "messages a second from one source"}
    )
    loopback_requests_per_second: int = attrs.field(
        default=20_000, validator=attrs.validators.ge(1), metadata={"help": "messages a second from this host"}
    )
    max_sources: int = attrs.field(
        default=50_000, validator=attrs.validators.ge(1), metadata={"help": "sources whose rate is watched singly"}
    )
    max_transactions: int = attrs.field(
        default=100_000, validator=attrs.validators.ge(1), metadata={"help": "transactions at a time"}
    )
    max_connections: int = attrs.field(
        default=10_000, validator=attrs.validators.ge(1), metadata={"help": "connections at a time"}
    )
    max_connections_per_source: int = attrs.field(
        default=1_000, validator=attrs.validators.ge(1), metadata={"help": "connections of one source at a time"}
    )
    max_lag: float = attrs.field(
        default=0.5, validator=attrs.validators.gt(0), metadata={"help": "seconds of delay that count as full load"}
    )
    retry_after: int = attrs.field(
        default=5, validator=attrs.validators.ge(1), metadata={"help": "least seconds in the Retry-After of a 503"}
    )


class SourceLimits:
    """The request rate of each source.

    The table is two generations of a second each. A bucket that was not touched for that long is full and need not be
    remembered, so the older generation is dropped whole: no entry outlives its use, and nothing is ever swept.

    Who has a full bucket gets some out of it at once, and is not looked at again before they are used up. They are so
    few beside what a bucket holds that it makes no difference to anybody but us.

    :param settings: rates and max_sources; replace by :meth:`configure`.
    :param now: gives the time in seconds.
    """

    __slots__ = (
        "_interval",
        "_loopback_interval",
        "_loopback_lot",
        "_lot",
        "_max",
        "_now",
        "_old",
        "_paid",
        "_shared",
        "_turn",
        "_young",
        "refused",
    )

    def __init__(self, settings: LimitSettings, now: Callable[[], float]) -> None:
        self._now = now
        self._young: dict[str, float] = {}
        self._old: dict[str, float] = {}
        self._turn = 0.0
        self._shared = 0.0
        #: How many were refused.
        self.refused = 0
        self.configure(settings)

    def configure(self, settings: LimitSettings) -> None:
        """Take new *settings* over; the buckets stay as they are."""
        self._interval = 1.0 / settings.requests_per_second
        self._loopback_interval = 1.0 / settings.loopback_requests_per_second
        self._lot = _lot(settings.requests_per_second)
        self._loopback_lot = _lot(settings.loopback_requests_per_second)
        self._max = settings.max_sources
        #: Source -> how many more messages are let in unseen.
        self._paid: dict[str, int] = {}

    def admit(self, host: str) -> bool:
        """Tell whether one more message of the numeric *host* may be looked at, and count it."""
        paid = self._paid.get(host)
        if paid:
            self._paid[host] = paid - 1
            return True
        now = self._now()
        if now >= self._turn:
            self._rotate(now)
        source = source_of(host) if ":" in host else host
        full_at = self._young.get(source)
        if full_at is None:
            return self._first(source, now)
        loopback = host[:4] == "127." or host == "::1"
        step = self._loopback_interval if loopback else self._interval
        if full_at <= now:
            lot = self._loopback_lot if loopback else self._lot
            self._young[source] = now + lot * step
            self._paid[host] = lot - 1
            return True
        full_at += step
        if full_at > now + _BURST:
            self.refused += 1
            return False
        self._young[source] = full_at
        return True

    def _first(self, host: str, now: float) -> bool:
        """The first message of *host* in this generation."""
        full_at = self._old.get(host)
        loopback = host[:4] == "127." or host == "::1"
        # Who was there in the last second keeps a place of his own, whatever flood of others has come meanwhile.
        if len(self._young) < (self._max if full_at is None else 2 * self._max):
            full_at = now if full_at is None or full_at < now else full_at
            after = full_at + (self._loopback_interval if loopback else self._interval)
            if after > now + _BURST:
                self._young[host] = full_at
                self.refused += 1
                return False
            self._young[host] = after
            return True
        # More sources than we watch, most likely forged ones: those without a place share a bucket.
        full_at = max(self._shared, now) + self._loopback_interval
        if full_at > now + _BURST:
            self.refused += 1
            return False
        self._shared = full_at
        return True

    def _rotate(self, now: float) -> None:
        # After a pause of two generations nothing is left that could count.
        self._old = self._young if now < self._turn + _BURST else {}
        self._young = {}
        self._paid = {}
        self._turn = now + _BURST

    def __len__(self) -> int:
        """Return how many sources are in the table; none a while after the last message."""
        if self._now() >= self._turn:
            self._rotate(self._now())
        return len(self._young) + len(self._old)


def _lot(rate: int) -> int:
    """Return how many a source with a full bucket gets at once, where *rate* is what it may send in a second."""
    return max(1, min(_MOST_AT_ONCE, rate // _PARTS))


#: What is told of a request that is shed.
LATE, FULL = "503: shed, the server is late with all it has to do", "503: shed, the tables of the server are filling up"

#: Classes of requests, in the order in which they are kept.
NEVER, PRIORITY, CALL, OTHER = range(4)

#: Below this load as many requests as this pass until it is worked out again; a tick ends that, too.
_CALM, _CALM_REQUESTS = 0.5, 16

#: Class -> (load at which shedding begins, load at which all are shed).
_SHED = {PRIORITY: (1.0, 1.5), CALL: (0.85, 1.0), OTHER: (0.7, 0.9)}


def priority_of(request: Request) -> int:
    """Return the class of *request*: NEVER, PRIORITY, CALL or OTHER.

    In-dialog requests, ACK and CANCEL finish what was begun and free what it holds. Resource-Priority (RFC 4412) above
    the lowest value of a known namespace and emergency calls (RFC 5031) come next. Who sends them is not known yet, so
    they are put first, never let past the hard limits.
    """
    method = request.method
    if method in ("ACK", "CANCEL"):
        return NEVER
    try:
        if request.to.tag:
            return NEVER
    except RemoteProtocolError:
        return OTHER
    if request.uri_text[:15].lower() == "urn:service:sos":
        return PRIORITY
    if "resource-priority" in request.headers.names:
        for value in request.headers.elements("resource-priority"):
            namespace, dot, level = value.lower().partition(".")
            if dot and level and _NAMESPACES.get(namespace, level) != level:
                return PRIORITY
    return CALL if method == "INVITE" else OTHER


def _nobody(request: Request) -> bool:
    return False


class OverloadGauge:
    """Measures how loaded this process is and says what is shed.

    Load is 1.0 where the reactor is late by ``max_lag`` or the fullest table is full.

    :param settings: max_lag and retry_after; may be replaced.
    :param now: gives the time in seconds.
    :param fill: gives how full the fullest table is, 0.0 to 1.0.
    """

    #: Seconds between two calls of :meth:`tick`.
    INTERVAL = 0.1

    __slots__ = ("_debt", "_expected", "_fill", "_late", "_now", "_spread", "calm", "lag", "settings", "shed", "spares")

    def __init__(
        self, settings: LimitSettings, now: Callable[[], float], fill: Callable[[], float] = lambda: 0.0
    ) -> None:
        self.settings = settings
        self._now = now
        self._fill = fill
        self._expected: float | None = None
        self._late = 0.0
        self._debt = [0.0, 0.0, 0.0, 0.0]
        self._spread = 0
        #: Tells which requests are never shed, whatever their class: calls for help.
        self.spares: Callable[[Request], bool] = _nobody
        #: How many more requests need not be asked about, since the load was low a moment ago.
        self.calm = 0
        #: Seconds by which the reactor was late, lately.
        self.lag = 0.0
        #: How many requests were shed.
        self.shed = 0

    def tick(self) -> None:
        """Take the lag; to be called every INTERVAL seconds by the reactor, which is late by what it has to do."""
        now = self._now()
        if self._expected is not None:
            late = max(0.0, now - self._expected)
            # Late once is a machine that was busy with something else; what counts is to be late again. Down by half: a
            # single quiet moment is no recovery.
            self.lag = max(min(late, self._late), self.lag / 2 if self.lag > 0.001 else 0.0)
            self._late = late
        self._expected = now + self.INTERVAL
        self.calm = 0

    @property
    def load(self) -> float:
        """The load, 0.0 idle, 1.0 full; more when the reactor is later than ``max_lag``."""
        return max(self.lag / self.settings.max_lag, self._fill())

    def refuse(self, request: Request) -> int:
        """Return 0 if *request*, which belongs to no transaction, may come in, else the seconds for Retry-After."""
        load = self.load
        if load < 0.7:
            self.calm = _CALM_REQUESTS if load < _CALM else 0
            return 0
        class_ = priority_of(request)
        if class_ == NEVER or self.spares(request):
            return 0
        begin, end = _SHED[class_]
        if load <= begin:
            return 0
        # Every nth request goes, without dice: the debt grows with each by the share that has to go.
        self._debt[class_] += min(1.0, (load - begin) / (end - begin))
        if self._debt[class_] < 1.0:
            return 0
        self._debt[class_] -= 1.0
        self.shed += 1
        self._spread = (self._spread + 1) % 10
        return self.settings.retry_after + self._spread


@implementer(IRequestProcessor)
class OverloadProcessor:
    """The link of the chain that sheds: 503 with Retry-After, nothing kept (RFC 3261 sections 21.5.4 and 20.33).

    :param gauge: decides.
    """

    def __init__(self, gauge: OverloadGauge) -> None:
        self.gauge = gauge

    def process(self, incoming: IncomingRequest) -> Verdict:
        """Pass *incoming* on, or answer it 503."""
        gauge = self.gauge
        if gauge.calm > 0:
            # The usual case: this runs for each request, and the load is dear to work out.
            gauge.calm -= 1
            return None
        retry_after = gauge.refuse(incoming.request)
        if not retry_after:
            return None
        late = gauge.lag > 0.5 * gauge.settings.max_lag
        incoming.note("limits", LATE if late else FULL, "limits.max_lag" if late else "limits.max_transactions")
        incoming.respond_statelessly(503, headers=[("Retry-After", str(retry_after))])
        return TAKEN
