"""The call tracker at a proxy on the simulated network: phones that call, ring, answer, cancel and hang up."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.calls.settings import CallTrackerSettings
from twisted_sip.calls.tracker import CallTracker
from twisted_sip.interfaces.calls import Call
from twisted_sip.testing.behaviour import BUSY, NO_ANSWER, SILENT, Behaviour
from twisted_sip.testing.network import Conditions, Network
from twisted_sip.testing.phone import SimulatedPhone
from twisted_sip.testing.server import SimulatedServer

ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"


class House:
    """A server with a tracker, and phones."""

    def __init__(self, settings: CallTrackerSettings | None = None) -> None:
        self.network = Network(7, Conditions(delay=(0.01, 0.01)))
        self.network.clock.advance(1_800_000_000.0)
        self.server = SimulatedServer(self.network)
        self.tracker = CallTracker(
            self.server.node, self.server.element.domains.is_local_uri, settings or CallTrackerSettings()
        )
        self.server.proxy.policies.append(self.tracker)
        self.told: list[tuple[str, str, str, str]] = []
        self.tracker.observe(self._told)
        self.phones = 0

    def _told(self, call: Call) -> None:
        self.told.append((call.caller_aor, call.callee_aor, call.state, call.event_for(True)))

    def phone(self, user: str, **how: Any) -> SimulatedPhone:
        self.phones += 1
        node = self.network.node(f"198.51.100.{self.phones}")
        made = SimulatedPhone(self.network, node, user, proxy=self.server.route(), **how)
        made.registration.start(600)
        self.network.advance(1.0)
        return made

    def states(self, aor: str) -> list[str]:
        return [call.state for call in self.tracker.of(aor)]

    def quiet(self) -> None:
        assert not len(self.tracker) and not self.tracker.invitations and not self.tracker._by_aor
        self.network.advance(60)
        assert self.tracker._sweep_call is None


@pytest.fixture
def house() -> House:
    return House()


def test_a_call_from_trying_to_bye(house: House) -> None:
    alice, bob = house.phone("alice"), house.phone("bob")
    bob.behaviour = Behaviour(rings_after=0.5, reacts_after=2.0, talks=100)
    call = alice.call(BOB, Behaviour(talks=20.0))
    house.network.advance(0.3)
    assert house.states(ALICE) == house.states(BOB) == ["trying"]
    house.network.advance(0.7)
    assert house.states(BOB) == ["early"]
    house.network.advance(5)
    (known,) = house.tracker.of(BOB)
    assert known is house.tracker.of(ALICE)[0] and list(house.tracker.calls()) == [known]
    assert (known.state, known.code, known.caller_aor, known.callee_aor) == ("confirmed", 200, ALICE, BOB)
    assert known.callee_tag and alice.contact_uri in known.caller_contact and bob.contact_uri in known.callee_contact
    house.network.advance(30)
    assert call.over
    assert [each[2:] for each in house.told] == [
        ("trying", ""),
        ("early", ""),
        ("confirmed", ""),
        ("terminated", "local-bye"),
    ]
    house.quiet()


def test_the_callee_hangs_up(house: House) -> None:
    alice, bob = house.phone("alice"), house.phone("bob")
    bob.behaviour = Behaviour(talks=5)
    alice.call(BOB, Behaviour(talks=100.0))
    house.network.advance(15)
    assert house.told[-1] == (ALICE, BOB, "terminated", "remote-bye")
    house.quiet()


@pytest.mark.parametrize(
    ("callee", "patience", "event", "code"),
    [
        (Behaviour(reaction=BUSY), None, "rejected", 486),
        (Behaviour(reaction=NO_ANSWER), 5.0, "cancelled", 487),
        (Behaviour(reaction=SILENT), 5.0, "cancelled", 487),
    ],
)
def test_calls_that_come_to_nothing(
    house: House, callee: Behaviour, patience: float | None, event: str, code: int
) -> None:
    alice, bob = house.phone("alice"), house.phone("bob")
    bob.behaviour = callee
    alice.call(BOB, Behaviour(patience=patience))
    ends: list[tuple[str, int]] = []
    house.tracker.observe(lambda call: ends.append((call.event, call.code)) if call.event else None)
    house.network.advance(40)
    assert ends == [(event, code)]
    house.quiet()


def test_losers_of_a_fork_are_over_when_another_one_answers(house: House) -> None:
    alice = house.phone("alice")
    slow, quick = house.phone("bob"), house.phone("bob")
    slow.behaviour = Behaviour(reaction=NO_ANSWER)
    quick.behaviour = Behaviour(reacts_after=3.0, talks=100)
    alice.call(BOB, Behaviour(talks=10.0))
    house.network.advance(2)
    assert house.states(ALICE) == house.states(BOB) == ["early", "early"]
    house.network.advance(3)
    assert house.states(BOB) == ["confirmed"]
    assert (ALICE, BOB, "terminated", "cancelled") in house.told
    house.network.advance(30)
    house.quiet()


def test_a_call_whose_end_nobody_tells_is_over_in_time() -> None:
    house = House(CallTrackerSettings(max_duration=300))
    alice, bob = house.phone("alice"), house.phone("bob")
    bob.behaviour = Behaviour(talks=10_000)
    alice.call(BOB, Behaviour(talks=10_000))
    house.network.advance(10)
    assert house.states(BOB) == ["confirmed"]
    alice.node.crash()
    bob.node.crash()
    house.network.advance(340)
    assert house.told[-1] == (ALICE, BOB, "terminated", "timeout")
    house.quiet()


def test_a_bye_that_finds_nobody_ends_the_call_all_the_same(house: House) -> None:
    alice, bob = house.phone("alice"), house.phone("bob", transport="udp")
    bob.behaviour = Behaviour(talks=10_000)
    alice.call(BOB, Behaviour(talks=10))
    house.network.advance(5)
    bob.node.crash()
    house.network.advance(60)
    assert house.told[-1] == (ALICE, BOB, "terminated", "local-bye")
    house.quiet()


def test_strangers_calls_count_for_the_user_alone(house: House) -> None:
    bob = house.phone("bob")
    bob.behaviour = Behaviour(talks=10)
    node = house.network.node("203.0.113.9")
    stranger = SimulatedPhone(house.network, node, "eve", proxy=house.server.route(), domain="elsewhere.example")
    stranger.call(BOB, Behaviour(talks=100))
    house.network.advance(6)
    (known,) = house.tracker.of(BOB)
    assert (known.caller_aor, known.callee_aor, known.state) == ("", BOB, "confirmed")
    assert house.tracker.of("sip:eve@elsewhere.example") == ()
    house.network.advance(20)
    house.quiet()
