"""One gateway as it is now: whether it works, and what was seen of it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.logger import Logger

from twisted_sip.interfaces.routing import Failover, Target
from twisted_sip.message.hosts import canonical_host
from twisted_sip.message.uri import SIPURI, parse_uri
from twisted_sip.proxy.gateways.channels import Channels
from twisted_sip.proxy.gateways.settings import Gateway, GatewaysSettings
from twisted_sip.transport.resolver_selection import numeric_host

_log = Logger()

#: Addresses by which one gateway is known; the latest are kept, and those that have answered a probe within so many
#: seconds, or three intervals of probes.
_MOST_ADDRESSES, _ADDRESS_TIME = 8, 3600.0


def _address(host: str) -> str:
    return canonical_host(host).strip("[]")


class State(enum.Enum):
    """Whether a gateway works."""

    #: It does, as far as anybody knows.
    UP = "up"
    #: It has failed a request or a probe: it is tried last.
    SUSPECT = "suspect"
    #: So many probes had no answer: it is tried where there is no other.
    DOWN = "down"


class LiveGateway:
    """One gateway.

    :ivar settings: what is configured of it.
    :ivar key: its key in the configuration.
    :ivar uri: where it is, without user part.
    :ivar priority: as in the settings.
    :ivar weight: as in the settings.
    :ivar enabled: whether it is used; by hand, or as configured.
    :ivar since: when its state began, in seconds of the clock.
    :ivar last: what was seen of it last, in words.
    :ivar requests: how many were sent there.
    :ivar failed: how many of them it did not answer, or with a status that leads to the next gateway.
    :ivar round_trip: seconds that the last probe took, None before.
    :ivar channels: its calls, counted where there is a limit.
    :ivar troubled: called with it when a request has shown that it does not work.
    """

    __slots__ = (
        "_clock",
        "_fixed",
        "_hold_until",
        "_probes_failed",
        "_seen",
        "_state",
        "_terms",
        "_texts",
        "by_hand",
        "channels",
        "failed",
        "key",
        "last",
        "priority",
        "requests",
        "round_trip",
        "settings",
        "since",
        "troubled",
        "uri",
        "watch",
        "weight",
    )

    def __init__(
        self,
        clock: Callable[[], float],
        settings: Gateway,
        watch: GatewaysSettings,
        key: str,
        troubled: Callable[[LiveGateway], object],
    ) -> None:
        self._clock = clock
        self._state = State.UP
        self._hold_until = 0.0
        self._probes_failed = 0
        self.by_hand: bool | None = None
        self.since = clock()
        self.last = ""
        self.requests = 0
        self.failed = 0
        self.round_trip: float | None = None
        self.channels = Channels(clock)
        # Numeric hosts from which it has answered probes -> when; the latest comes last.
        self._seen: dict[str, float] = {}
        self.troubled = troubled
        self.adopt(settings, watch, key)

    def adopt(self, settings: Gateway, watch: GatewaysSettings, key: str) -> None:
        """Take new *settings* over, of the same group and URI; what is known of it stays."""
        self.settings = settings
        self.watch = watch
        self.key = key
        self.priority = settings.priority
        self.weight = settings.weight
        uri = parse_uri(settings.uri)
        assert isinstance(uri, SIPURI)  # the configuration was checked
        self.uri = uri
        self._fixed = (_address(uri.host),) if numeric_host(uri.host) else ()
        self._texts = (f"{uri.scheme}:", uri.text[len(uri.scheme) + 1 :])
        self._terms = Failover(
            statuses=frozenset(watch.failover),
            no_response=watch.no_response,
            outcome=self.outcome,
            began=self._began if settings.max_calls else None,
            ended=self.channels.give_back if settings.max_calls else None,
            name=settings.label,
            key=key,
        )

    @property
    def addresses(self) -> Sequence[str]:
        """The numeric hosts that it is known by: that of its URI, or those from which it has answered probes.

        Who has moved is forgotten at its old address, which may be somebody else's by then; the latest one stays.
        """
        if self._fixed:
            return self._fixed
        seen = self._seen
        if len(seen) > 1:
            given = self.settings.probe_interval
            interval = self.watch.probe_interval if given is None else given
            oldest = self._clock() - max(_ADDRESS_TIME, 3 * interval)
            while len(seen) > 1 and seen[next(iter(seen))] < oldest:
                del seen[next(iter(seen))]
        return tuple(seen)

    # -- whether it is used -----------------------------------------------------------

    @property
    def enabled(self) -> bool:
        """Whether it is used: as somebody has said by hand, or as it is configured."""
        return self.settings.enabled if self.by_hand is None else self.by_hand

    @property
    def full(self) -> bool:
        """Whether it has as many calls as it may have."""
        most = self.settings.max_calls
        return bool(most) and len(self.channels) >= most

    def _began(self, name: str) -> None:
        self.channels.take(name, self.watch.max_call_time)

    @property
    def state(self) -> State:
        """Whether it works."""
        if self._state is State.SUSPECT and self._clock() >= self._hold_until:
            self._become(State.UP, self.last)
        return self._state

    @property
    def probe_interval(self) -> float:
        """Seconds until the next probe, 0 for none."""
        given = self.settings.probe_interval
        usual = self.watch.probe_interval if given is None else given
        return usual if self._state is State.UP else min(usual, self.watch.probe_again)

    # -- requests -----------------------------------------------------------------------

    def target(self, user: str, q: int, no_answer: float) -> Target:
        """Return the target for a request.

        :param user: the user part of the Request-URI, as it is to be written; empty for none.
        :param q: where it stands in the order of targets.
        :param no_answer: as that of Target.
        :raises RemoteProtocolError: *user* is none.
        """
        scheme, rest = self._texts
        uri = parse_uri(f"{scheme}{user}@{rest}") if user else self.uri
        return Target(uri=uri, q=q, no_answer=no_answer, failover=self._terms)

    def outcome(self, status: int, said: bool) -> None:
        """A request has ended with *status*; *said* is False where the gateway gave no response."""
        self.requests += 1
        if not said:
            self.failed += 1
            self._fail(f"a request had no response ({status})")
            self.troubled(self)
            return
        if status in self._terms.statuses:
            # It lives, and does not take this one: others are its probes to judge.
            self.failed += 1
            self.last = f"answered {status}"
        elif self._state is not State.UP:
            self._works(f"answered {status}")

    # -- probes -------------------------------------------------------------------------

    def probe_answered(self, status: int, round_trip: float, host: str = "") -> None:
        """A probe was answered, by *host*: it lives, whatever it says, but for 408 and 503."""
        if host:
            seen = self._seen
            seen.pop(_address(host), None)
            seen[_address(host)] = self._clock()
            if len(seen) > _MOST_ADDRESSES:
                del seen[next(iter(seen))]
        if status in (408, 503):
            self.probe_failed(f"answered {status} to a probe")
        else:
            self.round_trip = round_trip
            self._works(f"answered {status} to a probe")

    def probe_failed(self, reason: str) -> None:
        """A probe was not answered."""
        self._probes_failed += 1
        if self._probes_failed >= self.watch.failures:
            self._become(State.DOWN, reason)
        else:
            self._fail(reason)

    # -- its state ----------------------------------------------------------------------

    def _works(self, what: str) -> None:
        self._probes_failed = 0
        self._become(State.UP, what)

    def _fail(self, what: str) -> None:
        if self._state is not State.DOWN:
            self._hold_until = self._clock() + self.watch.hold
            self._become(State.SUSPECT, what)
        else:
            self.last = what

    def _become(self, state: State, what: str) -> None:
        self.last = what
        if state is self._state:
            return
        self._state = state
        self.since = self._clock()
        tell = _log.info if state is State.UP else _log.warn
        tell(
            "gateway {gateway} of {group} is {state}: {reason}",
            gateway=self.settings.label,
            group=self.settings.group,
            state=state.value,
            reason=what,
        )

    def shown(self) -> Mapping[str, Any]:
        """Return what people are told of it."""
        settings = self.settings
        return {
            "group": settings.group,
            "name": settings.label,
            "uri": settings.uri,
            "priority": settings.priority,
            "weight": settings.weight,
            "enabled": self.enabled,
            "state": self.state.value,
            "for": round(self._clock() - self.since, 1),
            "calls": len(self.channels) if settings.max_calls else None,
            "max_calls": settings.max_calls,
            "requests": self.requests,
            "failed": self.failed,
            "round_trip": self.round_trip,
            "last": self.last,
            "key": self.key,
        }
