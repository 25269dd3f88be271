"""Many calls at a steady rate: they are made, held and ended, and what becomes of them is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from twisted_sip.agent.call import Call
from twisted_sip.agent.user_agent import UserAgent
from twisted_sip.cli.client import parse_target
from twisted_sip.dialog.session_terms import SessionBody
from twisted_sip.errors import LocalProtocolError, RequestRefused, SIPError
from twisted_sip.media.wav import WavSource

#: A stream over which nothing goes: what a call needs that is about signalling alone.
_INACTIVE = (
    "v=0\r\no=- {id} 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio 9 RTP/AVP 0 8\r\na=inactive\r\n"
)
#: What is told of set-up times, in hundredths.
_PERCENTILES = (50, 90, 95, 99)


@attrs.frozen(slots=True, kw_only=True)
class LoadPlan:
    """What to do. Times are in seconds.

    :ivar uri: whom to call, ``{n}`` for the number of the call.
    :ivar rate: calls per second.
    :ivar calls: calls in all.
    :ivar duration: of a call, from its answer on.
    :ivar limit: the most calls at a time; what would be more begins later.
    :ivar play: what to play in each, None for no sound.
    :ivar timeout: for which a call may ring.
    """

    uri: str
    rate: float
    calls: int
    duration: float
    limit: int
    play: Path | None
    timeout: float


class LoadCalls:
    """The calls of one run."""

    def __init__(self, agent: UserAgent, plan: LoadPlan) -> None:
        """Make none yet."""
        self._agent = agent
        self._plan = plan
        self._reactor: Any = agent.element.reactor
        self._started = 0
        self._answered = 0
        self._failed: Counter[str] = Counter()
        self._setup: list[float] = []
        self._active: set[Call] = set()
        self._packets: Counter[str] = Counter()
        self._mos: list[float] = []
        self._begun = 0.0
        self._last_start = 0.0
        self._next: IDelayedCall | None = None
        self._done: Deferred[None] = Deferred()
        self._stopping = False

    def run(self) -> Deferred[None]:
        """Begin; fires with None when the last call is over."""
        self._begun = self._last_start = self._reactor.seconds()
        self._step()
        return self._done

    async def stop(self) -> None:
        """Begin no more calls, and end those that are up."""
        self._stopping = True
        if self._next is not None and self._next.active():
            self._next.cancel()
        for call in list(self._active):
            call.hangup()

    def _step(self) -> None:
        """Begin as many calls as are due."""
        self._next = None
        plan = self._plan
        due = int((self._reactor.seconds() - self._begun) * plan.rate) + 1
        while self._started < min(due, plan.calls) and len(self._active) < plan.limit:
            self._begin()
        if self._started < plan.calls and not self._stopping:
            delay = self._begun + self._started / plan.rate - self._reactor.seconds()
            self._next = self._reactor.callLater(max(0.001, delay), self._step)
        self._check()

    def _begin(self) -> None:
        self._started += 1
        now = self._last_start = self._reactor.seconds()
        uri = parse_target(self._plan.uri.replace("{n}", str(self._started)))
        body = None if self._plan.play is not None else self._inactive()
        try:
            call = self._agent.call(uri, timeout=self._plan.timeout, body=body)
        except SIPError as error:
            self._failed[str(error)] += 1
            return
        self._active.add(call)
        call.answered.addCallbacks(self._talk, self._refused, (now,))
        call.ended.addCallback(self._over, call)

    def _inactive(self) -> SessionBody:
        host = self._agent.element.transports.listeners[0].address.host
        number = self._started
        return SessionBody("application/sdp", _INACTIVE.format(id=number, host=host).encode())

    def _talk(self, call: Call, began: float) -> None:
        self._answered += 1
        self._setup.append(self._reactor.seconds() - began)
        self._agent.table.later(self._plan.duration, call.hangup, call)
        if self._plan.play is not None:
            try:
                call.play(WavSource(self._plan.play, repeat=True))
            except (LocalProtocolError, OSError) as error:
                # No sound was agreed, or there are as many open files as there may be.
                self._failed[f"not played: {getattr(error, 'strerror', None) or error}"] += 1

    def _refused(self, failure: Failure) -> None:
        failure.trap(RequestRefused)
        error: Any = failure.value
        response = getattr(error, "response", None)
        reason = response.reason if response is not None else ""
        self._failed[f"{error.status} {reason}".rstrip()] += 1

    def _over(self, end: Any, call: Call) -> None:
        self._active.discard(call)
        found = call.statistics()
        self._packets.update(sent=found.packets_sent, received=found.packets_received, lost=max(0, found.packets_lost))
        if found.mos:
            self._mos.append(found.mos)
        self._check()

    def _check(self) -> None:
        finished = self._stopping or self._started >= self._plan.calls
        if finished and not self._active and not self._done.called:
            self._done.callback(None)

    def result(self) -> dict[str, Any]:
        """Return how it goes, or went."""
        packets = self._packets
        expected = packets["received"] + packets["lost"]
        elapsed = self._last_start - self._begun
        return {
            "calls": self._plan.calls,
            "started": self._started,
            "active": len(self._active),
            "answered": self._answered,
            "failed": dict(self._failed.most_common()),
            "seconds": round(self._reactor.seconds() - self._begun, 3),
            "rate": round((self._started - 1) / elapsed, 2) if elapsed > 0 else 0.0,
            "setup_ms": percentiles(self._setup),
            "rtp": {
                "sent": packets["sent"],
                "received": packets["received"],
                "lost": packets["lost"],
                "loss": round(packets["lost"] / expected, 6) if expected else 0.0,
                "mos_least": round(min(self._mos), 2) if self._mos else 0.0,
                "mos_mean": round(sum(self._mos) / len(self._mos), 2) if self._mos else 0.0,
            },
        }


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return the least, some percentiles (nearest rank) and the most of *seconds*, in milliseconds; empty for none."""
    if not seconds:
        return {}
    ranked = sorted(seconds)
    count = len(ranked)
    found = {"min": ranked[0]}
    found.update({f"p{part}": ranked[-(-count * part // 100) - 1] for part in _PERCENTILES})
    found["max"] = ranked[-1]
    return {name: round(value * 1000, 2) for name, value in found.items()}
