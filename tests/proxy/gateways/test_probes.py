"""Gateways are asked whether they live (RFC 3261 section 11)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.proxy.gateways.settings import GatewaysSettings

ONE, TWO = "sip:192.0.2.50", "sip:192.0.2.51"
SETTINGS = GatewaysSettings(probe_interval=20.0, probe_again=5.0, probe_timeout=2.0, failures=2)


@pytest.fixture
def watched(trunk: Any) -> Any:
    made = trunk(ONE, settings=SETTINGS)
    made.one = made.house.peer("192.0.2.50")
    made.probes.start()
    return made


def test_any_answer_is_life(watched: Any) -> None:
    for status in (200, 404, 501):
        options = watched.one.expect("OPTIONS", within=22.0)
        assert options.uri_text == ONE and options.from_.uri.host == "example.com"
        watched.one.answer(options, status)
        watched.house.network.advance(1.0)
        assert watched.states() == ["up"]
    assert watched.gateways.shown()[0]["round_trip"] > 0
    # Not more often than that.
    watched.one.expect_nothing(within=17.0)


@pytest.mark.parametrize("status", [0, 408, 503])
def test_down_after_so_many_failures_and_back(watched: Any, status: int) -> None:
    def fail(within: float) -> None:
        options = watched.one.expect("OPTIONS", within=within)
        if status:
            watched.one.answer(options, status)
        watched.house.network.advance(2.1)
        watched.one.skip()

    fail(1.0)
    assert watched.states() == ["suspect"]
    fail(6.0)
    assert watched.states() == ["down"]
    fail(6.0)
    assert watched.states() == ["down"]
    watched.one.answer(watched.one.expect("OPTIONS", within=6.0), 200)
    watched.house.network.advance(1.0)
    assert watched.states() == ["up"]
    watched.one.expect_nothing(within=17.0)


def test_a_request_that_fails_has_it_probed_soon(trunk: Any) -> None:
    made = trunk(ONE, TWO, settings=SETTINGS)
    one, two = made.house.peer("192.0.2.50"), made.house.peer("192.0.2.51")
    made.probes.start()
    for peer in (one, two):
        peer.answer(peer.expect("OPTIONS"), 200)
    made.house.network.advance(1.0)
    alice, _ = made.call()
    one.expect("INVITE")
    two.answer(two.expect("INVITE", within=3.1), 200, [("contact", f"<{TWO}>")])
    alice.expect(200)
    assert made.states() == ["suspect", "up"]
    one.answer(one.expect("OPTIONS", within=1.1), 200)
    made.house.network.advance(0.5)
    assert made.states() == ["up", "up"]


def test_gateways_come_and_go(trunk: Any) -> None:
    made = trunk(ONE, TWO, settings=SETTINGS)
    one, two = made.house.peer("192.0.2.50"), made.house.peer("192.0.2.51")
    made.gateways.enable(ONE, False)
    made.probes.start()
    two.answer(two.expect("OPTIONS"), 200)
    one.expect_nothing(within=5.0)
    made.gateways.enable(ONE, True)
    one.answer(one.expect("OPTIONS"), 200)
    made.gateways.adopt([gateway.settings for gateway in made.gateways][:1], GatewaysSettings(probe_interval=3.0))
    one.answer(one.expect("OPTIONS", within=3.2), 200)
    two.expect_nothing(within=30.0)
    made.gateways.adopt((), SETTINGS)
    made.house.network.advance(1.0)
    one.skip()
    one.expect_nothing(within=30.0)
    assert len(made.probes) == 0


def test_some_are_not_probed(trunk: Any) -> None:
    made = trunk(ONE, settings=SETTINGS, probe_interval=0.0)
    made.probes.start()
    one = made.house.peer("192.0.2.50")
    one.expect_nothing(within=60.0)
    assert len(made.probes) == 0


def test_the_end_while_a_probe_is_under_way(watched: Any) -> None:
    watched.one.expect("OPTIONS")
    watched.probes.stop()
    assert len(watched.probes) == 0
    watched.house.network.advance(60.0)
    assert watched.states() == ["up"]


def test_a_name_that_leads_nowhere(trunk: Any) -> None:
    made = trunk("sip:gone.example.net", settings=SETTINGS)
    made.probes.start()
    made.house.network.advance(1.0)
    assert made.states() == ["suspect"] and made.gateways.shown()[0]["last"] == "it was not reached"
