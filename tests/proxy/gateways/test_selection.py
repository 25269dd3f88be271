"""Which gateway comes first: priorities and weights (RFC 2782)."""

from __future__ import annotations

import random
from collections import Counter
from typing import NamedTuple

import pytest

from twisted_sip.proxy.gateways.selection import in_order
from twisted_sip.proxy.gateways.settings import Gateway, GatewaysSettings
from twisted_sip.proxy.gateways.table import Gateways


class One(NamedTuple):
    name: str
    priority: int
    weight: int


def test_shares() -> None:
    choices = [One("a", 1, 2), One("b", 1, 1), One("c", 1, 1), One("d", 2, 9)]
    drawn = random.Random(3)
    orders = [in_order(choices, drawn.randrange) for _ in range(4000)]
    first = Counter(order[0].name for order in orders)
    assert first["a"] == pytest.approx(2000, abs=120)
    assert first["b"] == pytest.approx(1000, abs=120) and first["d"] == 0
    assert all(order[-1].name == "d" and len(set(order)) == 4 for order in orders)


def test_weight_0_is_for_when_the_others_fail() -> None:
    choices = [One("spare", 1, 0), One("a", 1, 1), One("b", 1, 1), One("c", 0, 0)]
    assert {in_order(choices, random.randrange)[-1].name for _ in range(50)} == {"spare"}
    assert [one.name for one in in_order(choices, lambda below: below - 1)] == ["c", "b", "a", "spare"]
    assert in_order([], random.randrange) == []


class Time:
    now = 100.0

    def seconds(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def table(time: Time, *names: str, group: str = "g", settings: GatewaysSettings | None = None) -> Gateways:
    entries = [
        Gateway(group=group, uri=f"sip:{name}.example.net", name=name, priority=place)
        for place, name in enumerate(names)
    ]
    return Gateways(time.seconds, entries, settings, lambda below: 0)


def chosen(gateways: Gateways, group: str = "g") -> list[str]:
    return [gateway.settings.name for gateway in gateways.choose(group)]


def test_the_living_come_first_and_the_dead_where_there_is_no_other(time: Time) -> None:
    gateways = table(time, "a", "b", "c")
    a, b, c = gateways
    assert chosen(gateways) == ["a", "b", "c"] and chosen(gateways, "x") == [] and gateways
    a.outcome(408, False)
    assert chosen(gateways) == ["b", "c", "a"]
    assert a.state.value == "suspect" and a.last == "a request had no response (408)"
    b.probe_failed("x")
    b.probe_failed("x")
    assert b.state.value == "down" and chosen(gateways) == ["c", "a"]
    # A request that fails makes it no better.
    b.outcome(503, False)
    assert b.state.value == "down"
    gateways.enable("c", False)
    a.probe_failed("x")
    a.probe_failed("x")
    assert chosen(gateways) == ["a", "b"]
    c.by_hand = None
    assert chosen(gateways) == ["c"]


def test_a_suspect_is_tried_again_after_a_while(time: Time) -> None:
    gateways = table(time, "a", "b")
    [a, _] = gateways
    a.outcome(503, False)
    time.now += 29
    assert chosen(gateways) == ["b", "a"]
    time.now += 1
    assert chosen(gateways) == ["a", "b"] and a.shown()["for"] == 0.0


def test_answers(time: Time) -> None:
    gateways = table(time, "a")
    [a] = gateways
    a.outcome(503, True)
    # It lives; whether it takes requests is for its probes to tell.
    assert a.state.value == "up" and a.failed == 1 and a.last == "answered 503"
    a.probe_failed("no answer")
    assert a.state.value == "suspect"
    a.outcome(404, True)
    assert a.state.value == "up" and a.last == "answered 404"
    a.probe_answered(503, 0.1)
    assert a.state.value == "suspect" and a.round_trip is None
    a.probe_answered(408, 0.1)
    assert a.state.value == "down"
    a.probe_answered(405, 0.1)
    assert a.state.value == "up" and a.round_trip == 0.1


def test_other_gateways(time: Time) -> None:
    """What is known of a gateway outlives other settings."""
    gateways = table(time, "a", "b")
    told: list[int] = []
    gateways.changed = lambda: told.append(1)
    a, b = gateways
    a.probe_failed("x")
    gateways.enable("b", False)
    entries = [
        Gateway(group="g", uri="sip:c.example.net"),
        attrs_changed(b.settings, weight=7),
        attrs_changed(a.settings, uri="sip:elsewhere.example.net"),
    ]
    gateways.adopt(entries, GatewaysSettings(no_response=9.0))
    new, same, moved = gateways
    assert same is b and not b.enabled and b.weight == 7 and b.key == "gateway[1]"
    assert moved is not a and moved.state.value == "up" and new.settings.label == "sip:c.example.net"
    failover = b.target("1", 0, 0.0).failover
    assert failover is not None and failover.no_response == 9.0 and failover.key == "gateway[1]"
    assert len(told) == 2
    assert [gateway.settings.label for gateway in gateways.named("sip:b.example.net")] == ["b"]
    gateways.adopt((), GatewaysSettings())
    assert not gateways and chosen(gateways) == []


def attrs_changed(gateway: Gateway, **fields: object) -> Gateway:
    import attrs

    return attrs.evolve(gateway, **fields)  # type: ignore[arg-type]


def test_whose_calls_are_let_in(time: Time) -> None:
    entries = [
        Gateway(group="g", uri="sip:[2001:DB8::1]:5070", inbound=True),
        Gateway(group="g", uri="sip:gw.example.net", inbound=True),
        Gateway(group="g", uri="sip:192.0.2.9"),
    ]
    gateways = Gateways(time.seconds, entries)
    numeric, named, _ = gateways
    assert gateways.lets_in("2001:db8::1") is gateways.lets_in("[2001:db8::1]") is numeric
    assert gateways.lets_in("192.0.2.9") is gateways.lets_in("192.0.2.8") is None
    # A name is known by where its probes are answered from; the latest are kept.
    for last in range(8, 20):
        named.probe_answered(200, 0.1, f"192.0.2.{last}")
        named.probe_answered(200, 0.1, f"192.0.2.{last}")
    assert gateways.lets_in("192.0.2.19") is gateways.lets_in("192.0.2.12") is named
    assert gateways.lets_in("192.0.2.11") is None
    gateways.enable("sip:gw.example.net", False)
    assert gateways.lets_in("192.0.2.19") is None
