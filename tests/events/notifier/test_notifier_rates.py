"""How often a watcher is notified (RFC 6446; RFC 6665 section 5.4.10)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.dialog.rates import Rates
from twisted_sip.events.rates import RateControl
from twisted_sip.message.response import Response

NOW = 1_800_000_000.0


def granted(remaining: float = 600, most: float = 1.0, **rates: float) -> RateControl:
    return RateControl(Rates(**rates), NOW, remaining=remaining, most=most)


def test_what_is_granted() -> None:
    assert granted(max_rate=0.5).params == ";max-rate=0.5" and granted(max_rate=0.5).gap == 2
    # Section 5.3: at least one before the end.
    assert granted(max_rate=0.001).gap == 600
    assert granted(remaining=0, max_rate=0.001).gap == pytest.approx(1000)
    # Sections 6.3, 7.3 and 8.
    assert granted(min_rate=50).rates.min_rate == 1
    assert granted(max_rate=0.1, min_rate=0.5).rates.min_rate == 0.1
    assert granted(max_rate=0.1, adaptive_min_rate=0.5).rates.adaptive_min_rate == 0.1
    assert granted(adaptive_min_rate=0.1, min_rate=0.2).rates.min_rate is None
    assert granted(adaptive_min_rate=0.2, min_rate=0.1).params == ";min-rate=0.1;adaptive-min-rate=0.2"
    assert granted().params == "" and granted().latest(NOW) is None


def test_the_adaptive_rate() -> None:
    control = granted(adaptive_min_rate=0.1)
    # Section 7.2 step 1: as if the rate had been kept in the period before.
    assert control.latest(NOW) == pytest.approx(NOW + 10)
    # Many changes in a short time: then it may be quiet for longer.
    moment = NOW
    for _ in range(10):
        moment += 1
        control.note(moment)
    assert control.latest(moment) == pytest.approx(moment + 19)
    # A long time without any: sooner than the rate.
    moment += 80
    control.note(moment)
    assert control.latest(moment) == pytest.approx(moment + 11)
    moment += 100
    control.note(moment)
    assert control.latest(moment) == pytest.approx(moment + 1)
    # Equation (2) of section 7.4.
    control = granted(max_rate=0.2, adaptive_min_rate=0.1)
    control.note(NOW + 300)
    assert control.latest(NOW + 300) == pytest.approx(NOW + 305)
    # Section 8: min-rate ends the quiet.
    control = granted(adaptive_min_rate=0.1, min_rate=0.08)
    for number in range(20):
        control.note(NOW + number / 10)
    assert control.latest(NOW + 2) == pytest.approx(NOW + 2 + 12.5)


def moments(desk: Any, watcher: Any, seconds: float) -> list[float]:
    """Return when NOTIFYs come within *seconds*, each answered."""
    start = desk.network.clock.seconds()
    found: list[float] = []
    seen = len(watcher.peer.arrivals)
    for _ in range(int(seconds * 10)):
        desk.network.advance(0.1)
        for arrival in watcher.peer.arrivals[seen:]:
            if not isinstance(arrival.message, Response):
                found.append(round(arrival.time - start, 1))
                watcher.peer.answer(arrival.message, 200, to_tag=watcher.tag)
        seen = len(watcher.peer.arrivals)
    return found


def test_no_more_than_that(desk: Any) -> None:
    watcher = desk.subscribed(event="Event: presence;max-rate=0.1")
    state = str(watcher.peer.messages[-1].typed("subscription-state"))
    assert state == "active;expires=600;max-rate=0.1"
    desk.package.put("one")
    desk.package.put("two")
    assert moments(desk, watcher, 30) == [9.9]
    assert watcher.peer.messages[-1].body == b"two"
    # What is about the subscription does not wait (section 5.2).
    desk.package.put("three")
    assert moments(desk, watcher, 1) == [0.0]
    assert watcher.subscribe(600, event="Event: presence;max-rate=0.1").status == 200
    watcher.notify()
    assert watcher.subscribe(0).status == 200
    assert watcher.notify().typed("subscription-state").terminated


def test_no_less_than_that(desk: Any) -> None:
    watcher = desk.subscribed(event="Event: presence;min-rate=0.1")
    assert moments(desk, watcher, 35) == [9.9, 19.9, 29.9]
    desk.package.put("news")
    assert moments(desk, watcher, 9) == [0.0]
    # RFC 5839: no need to tell what is known.
    tag = watcher.peer.messages[-1].headers.first("sip-etag")
    assert watcher.subscribe(600, more=f"Suppress-If-Match: {tag}", event="Event: presence;min-rate=0.1").status == 204
    assert moments(desk, watcher, 30) == []


def test_no_less_than_that_over_time(desk: Any) -> None:
    watcher = desk.subscribed(event="Event: presence;adaptive-min-rate=0.1")
    assert 3 <= len(moments(desk, watcher, 40)) <= 6


def test_rates_change_with_a_refresh(desk: Any) -> None:
    watcher = desk.subscribed(event="Event: presence;max-rate=0.01")
    assert watcher.subscribe(600).status == 200
    assert "rate" not in str(watcher.notify().typed("subscription-state"))
    desk.network.advance(0.1)
    desk.package.put("one")
    assert moments(desk, watcher, 1) == [0.0]


def test_rates_change_with_the_answer_to_a_notify(desk: Any) -> None:
    # Section 9.3.
    watcher = desk.subscribed(event="Event: presence;max-rate=0.01")
    desk.package.put("one")
    watcher.notify(200, [("event", "presence;max-rate=0.5")], within=101)
    desk.network.advance(0.1)
    desk.package.put("two")
    assert moments(desk, watcher, 5) == [1.9]
    for answer in ("dialog;max-rate=9", "presence;;"):
        desk.package.put(answer)
        watcher.notify(200, [("event", answer)])
        assert desk.only().rates.params == ";max-rate=0.5"
    desk.package.put("last")
    watcher.notify(200, [("event", "presence")])
    desk.network.advance(0.1)
    assert desk.only().rates.params == ""


def test_who_did_not_ask_for_rates_cannot_change_them(desk: Any) -> None:
    watcher = desk.subscribed()
    desk.package.put("one")
    watcher.notify(200, [("event", "presence;max-rate=0.5")])
    desk.network.advance(0.1)
    assert desk.only().rates is None


def test_the_limit_of_the_package(desk: Any) -> None:
    desk.package.min_interval = 5.0
    desk.restart(desk.package)
    watcher = desk.subscribed()
    desk.package.put("one")
    assert moments(desk, watcher, 12) == [4.9]
    desk.package.put("two")
    assert moments(desk, watcher, 1) == [0.0]
    desk.package.put("three")
    desk.package.put("four")
    assert moments(desk, watcher, 12) == [4.0]
    assert watcher.peer.messages[-1].body == b"four"
