"""Rates per source, the load, and the order in which requests are shed."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from twisted_sip.element.limits import (
    CALL,
    NEVER,
    OTHER,
    PRIORITY,
    LimitSettings,
    OverloadGauge,
    OverloadProcessor,
    SourceLimits,
    priority_of,
)
from twisted_sip.interfaces.processing import TAKEN
from twisted_sip.message.request import Request


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(1_700_000_000)
    return clock


def make(clock: Clock, **settings: int) -> SourceLimits:
    return SourceLimits(LimitSettings(**settings), clock.seconds)  # type: ignore[arg-type]


def admitted(limits: SourceLimits, host: str, times: int) -> int:
    return sum(limits.admit(host) for _ in range(times))


def test_a_second_s_worth_may_come_at_once(clock: Clock) -> None:
    limits = make(clock, requests_per_second=100)
    assert abs(admitted(limits, "192.0.2.1", 1000) - 100) <= 1
    assert limits.refused >= 899
    assert abs(admitted(limits, "192.0.2.2", 1000) - 100) <= 1


def test_the_rate_holds_over_time(clock: Clock) -> None:
    limits = make(clock, requests_per_second=100)
    taken = 0
    for _ in range(1000):
        clock.advance(0.01)
        taken += admitted(limits, "192.0.2.1", 5)
    # Ten seconds and the burst.
    assert abs(taken - 1100) <= 10


def test_many_at_once_make_no_difference(clock: Clock) -> None:
    limits = make(clock, requests_per_second=500, loopback_requests_per_second=6400)
    for host, rate in (("192.0.2.1", 500), ("2001:db8::1", 500), ("127.0.0.1", 6400)):
        assert abs(admitted(limits, host, 10_000) - rate) <= 1 + rate // 1000
        clock.advance(0.3)
        assert abs(admitted(limits, host, 10_000) - 0.3 * rate) <= 16
        clock.advance(3)
        assert limits.admit(host) and limits.admit(host)
        clock.advance(0.9)
        # What was taken out of the bucket before comes to it.
        assert abs(admitted(limits, host, 10_000) - rate) <= 16
        clock.advance(3)
    assert len(limits) == 0


def test_other_settings_hold_at_once(clock: Clock) -> None:
    limits = make(clock, requests_per_second=6400)
    assert admitted(limits, "192.0.2.1", 3) == 3
    limits.configure(LimitSettings(requests_per_second=1))
    assert admitted(limits, "192.0.2.1", 10) <= 1


def test_one_within_its_rate_is_never_refused(clock: Clock) -> None:
    limits = make(clock, requests_per_second=100)
    for _ in range(2000):
        clock.advance(0.011)
        assert limits.admit("192.0.2.1")
    assert limits.refused == 0


def test_this_host_may_do_more(clock: Clock) -> None:
    limits = make(clock, requests_per_second=10, loopback_requests_per_second=1000)
    for host in ("127.0.0.1", "::1"):
        assert abs(admitted(limits, host, 3000) - 1000) <= 1


def test_an_ipv6_network_is_one_source(clock: Clock) -> None:
    limits = make(clock, requests_per_second=10)
    assert abs(sum(limits.admit(f"2001:db8::{number:x}") for number in range(1, 100)) - 10) <= 1
    assert limits.admit("2001:db8:0:1::1")


def test_the_bucket_outlives_a_generation(clock: Clock) -> None:
    limits = make(clock, requests_per_second=100)
    limits.admit("192.0.2.9")
    clock.advance(0.95)
    admitted(limits, "192.0.2.1", 1000)
    clock.advance(0.1)
    assert abs(admitted(limits, "192.0.2.1", 1000) - 10) <= 2


def test_a_hundred_thousand_sources_do_not_grow_the_table(clock: Clock) -> None:
    limits = make(clock, max_sources=1000, loopback_requests_per_second=5000)
    taken = 0
    for number in range(100_000):
        taken += limits.admit(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        if number % 20_000 == 0:
            clock.advance(0.5)
            # Who comes regularly keeps a place of his own; the others share one rate.
            assert limits.admit("192.0.2.1")
    assert len(limits) <= 4000
    assert taken < 4 * 1000 + 5 * 5000
    assert limits.refused > 50_000
    clock.advance(2.5)
    assert len(limits) == 0


def test_who_is_known_stays_limited_in_a_full_table(clock: Clock) -> None:
    limits = make(clock, max_sources=2, requests_per_second=100)
    limits.admit("192.0.2.1")
    clock.advance(0.99)
    admitted(limits, "192.0.2.1", 1000)
    clock.advance(0.02)
    # A new generation, filled by others; the bucket of the first is in the old one.
    assert limits.admit("192.0.2.2") and limits.admit("192.0.2.3")
    assert admitted(limits, "192.0.2.1", 100) < 20
    assert not limits.admit("192.0.2.1")


def test_an_empty_bucket_stays_empty_in_the_next_generation(clock: Clock) -> None:
    limits = make(clock, requests_per_second=1)
    clock.advance(0.5)
    assert limits.admit("192.0.2.1")
    clock.advance(0.9)
    assert limits.admit("192.0.2.2")
    assert not limits.admit("192.0.2.2")
    clock.advance(0.2)
    assert not limits.admit("192.0.2.2")


def test_the_table_empties_by_itself(clock: Clock) -> None:
    limits = make(clock)
    limits.admit("192.0.2.1")
    assert len(limits) == 1
    clock.advance(1)
    assert len(limits) == 1
    clock.advance(1)
    assert len(limits) == 0


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="requests_per_second"):
        LimitSettings(requests_per_second=0)


# -- overload --------------------------------------------------------------------------


def request(method: str = "INVITE", *fields: tuple[str, str], uri: str = "sip:b@x", tag: str = "") -> Request:
    return Request(method, uri, [("From", "<sip:a@x>;tag=1"), ("To", f"<sip:b@x>{tag}"), *fields])


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (request("ACK"), NEVER),
        (request("CANCEL"), NEVER),
        (request("BYE", tag=";tag=2"), NEVER),
        (request("INVITE", tag=" ; TAG=2"), NEVER),
        (request(), CALL),
        (request("REGISTER"), OTHER),
        (request("OPTIONS"), OTHER),
        (request("INVITE", uri="urn:service:sos.fire"), PRIORITY),
        (request("MESSAGE", ("Resource-Priority", "ets.0")), PRIORITY),
        (request("INVITE", ("Resource-Priority", "x.1, DSN.Flash")), PRIORITY),
        (request("INVITE", ("Resource-Priority", "dsn.routine")), CALL),
        (request("INVITE", ("Resource-Priority", "made-up.9")), CALL),
        (request("INVITE", ("Resource-Priority", "ets")), CALL),
        (Request("INVITE", "sip:b@x", [("To", "<<<")]), OTHER),
    ],
)
def test_classes(message: Request, expected: int) -> None:
    assert priority_of(message) == expected


def gauge_at(clock: Clock, load: float) -> OverloadGauge:
    return OverloadGauge(LimitSettings(), clock.seconds, lambda: load)


def shares(gauge: OverloadGauge) -> list[float]:
    """Return how much of each class is let in: in-dialog, priority, INVITE, others."""
    kinds = [
        request("BYE", tag=";tag=2"),
        request("INVITE", ("Resource-Priority", "wps.1")),
        request(),
        request("OPTIONS"),
    ]
    return [sum(gauge.refuse(kind) == 0 for _ in range(100)) / 100 for kind in kinds]


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        (0.0, [1.0, 1.0, 1.0, 1.0]),
        (0.69, [1.0, 1.0, 1.0, 1.0]),
        (0.8, [1.0, 1.0, 1.0, 0.5]),
        (0.85, [1.0, 1.0, 1.0, 0.25]),
        (0.925, [1.0, 1.0, 0.5, 0.0]),
        (1.0, [1.0, 1.0, 0.0, 0.0]),
        (1.25, [1.0, 0.5, 0.0, 0.0]),
        (9.0, [1.0, 0.0, 0.0, 0.0]),
    ],
)
def test_the_order_of_shedding(clock: Clock, load: float, expected: list[float]) -> None:
    assert shares(gauge_at(clock, load)) == pytest.approx(expected, abs=0.02)


def test_retry_after_is_spread(clock: Clock) -> None:
    gauge = gauge_at(clock, 2.0)
    seconds = {gauge.refuse(request("OPTIONS")) for _ in range(50)}
    assert min(seconds) >= 5 and len(seconds) == 10
    assert gauge.shed == 50


def test_lag_counts_as_load_and_wears_off(clock: Clock) -> None:
    gauge = OverloadGauge(LimitSettings(max_lag=0.5), clock.seconds)
    gauge.tick()
    clock.advance(0.1)
    gauge.tick()
    assert gauge.load == pytest.approx(0, abs=1e-6)
    clock.advance(1.1)
    gauge.tick()
    assert gauge.load == pytest.approx(0, abs=1e-6)  # once is nothing
    clock.advance(1.1)
    gauge.tick()
    assert gauge.load == pytest.approx(2.0)
    for _ in range(12):
        clock.advance(0.1)
        gauge.tick()
    assert gauge.load < 0.01


def test_the_link_of_the_chain(clock: Clock) -> None:
    answers: list[Any] = []
    notes: list[Any] = []

    class Incoming:
        def __init__(self, message: Request) -> None:
            self.request = message

        def respond_statelessly(self, status: int, reason: str = "", headers: Any = ()) -> None:
            answers.append((status, list(headers)))

        def note(self, *what: str) -> None:
            notes.append(what)

    link = OverloadProcessor(gauge_at(clock, 2.0))
    assert link.process(Incoming(request("BYE", tag=";tag=2"))) is None  # type: ignore[arg-type]
    assert answers == []
    assert link.process(Incoming(request())) is TAKEN  # type: ignore[arg-type]
    assert answers == [(503, [("Retry-After", "6")])]
    assert [(room, key) for room, _, key, *_ in notes] == [("limits", "limits.max_transactions")]


def test_while_the_load_is_low_it_is_looked_at_now_and_then(clock: Clock) -> None:
    load = 0.1
    asked: list[float] = []

    def fill() -> float:
        asked.append(load)
        return load

    class Incoming:
        request = request("OPTIONS")

        def respond_statelessly(self, status: int, reason: str = "", headers: Any = ()) -> None:
            assert status == 503

        def note(self, *what: str) -> None:
            assert what[0] == "limits"

    gauge = OverloadGauge(LimitSettings(), clock.seconds, fill)
    link = OverloadProcessor(gauge)
    incoming: Any = Incoming()
    for _ in range(34):
        assert link.process(incoming) is None
    assert len(asked) == 2
    assert link.process(incoming) is None
    # A tick has it looked at; from half of the full load on each request does.
    load = 2.0
    gauge.tick()
    assert link.process(incoming) is TAKEN
    load = 0.6
    for _ in range(3):
        assert link.process(incoming) is None
    assert len(asked) == 7
