"""Whoever is called back may end what calls: nothing raises, nobody is forgotten, nothing is left.

For subscriptions see tests/events/test_subscriber_renewal.py (a callback that unsubscribes), for timers
tests/transaction/test_timers.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from twisted_sip.auth.bans import Bans
from twisted_sip.auth.settings import AuthSettings
from twisted_sip.element.trace import Trace
from twisted_sip.events.subscriber import Subscriber
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.location import Binding, LocationChange
from twisted_sip.interfaces.transport_kind import UDP
from twisted_sip.message.builders import build_request
from twisted_sip.storage.batch_writer import InlineThread
from twisted_sip.storage.location_memory import MemoryLocationStore
from twisted_sip.storage.location_sqlite import SQLiteLocationStore
from twisted_sip.testing.network import Network
from twisted_sip.testing.observation import LoggedFailures
from twisted_sip.testing.scripted_notifier import ScriptedNotifier
from twisted_sip.testing.server import SimulatedServer
from twisted_sip.testing.simulated_agent import SimulatedAgent


class Ends:
    """An observer that ends itself when it is called, twice, and others too."""

    def __init__(self, observe: Callable[[Any], Callable[[], None]]) -> None:
        self.heard = 0
        self.late = 0
        self._observe = observe
        self._end = observe(self)
        self.other = 0
        self._other_end = observe(self._other)

    def __call__(self, *what: Any) -> None:
        self.heard += 1
        self._end()
        self._end()
        if self.heard == 1:
            self._late_end = self._observe(self._late)

    def _other(self, *what: Any) -> None:
        self.other += 1
        self._other_end()

    def _late(self, *what: Any) -> None:
        self.late += 1
        self._late_end()


def check(ends: Ends, happens: Callable[[], Any]) -> None:
    with LoggedFailures() as failures:
        for _ in range(4):
            happens()
    assert not failures.texts
    assert (ends.heard, ends.other, ends.late) == (1, 1, 1)


def test_bans() -> None:
    bans = Bans(AuthSettings(ban_failures=1), Clock().seconds)
    numbers = iter(range(100))
    check(Ends(bans.observe), lambda: bans.failed(f"192.0.2.{next(numbers)}", "alice", "x"))
    assert not bans._observers


def binding(number: int, expires_at: float = 9e9) -> Binding:
    return Binding(aor="sip:a@b", key=str(number), contact="sip:c@d", call_id="c", cseq=1, expires_at=expires_at)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_locations(kind: str, tmp_path: Path) -> None:
    clock = Clock()
    store: Any = MemoryLocationStore(clock)
    if kind == "sqlite":
        store = SQLiteLocationStore(tmp_path / "location.db", clock, InlineThread())
    numbers = iter(range(100))

    def happens() -> None:
        store.commit(LocationChange(aor="sip:a@b", put=(binding(next(numbers)),)))
        clock.advance(1)

    check(Ends(store.observe), happens)
    # Who hears of a change may make another one.
    heard: list[Any] = []

    def again(change: Any) -> None:
        heard.append(change)
        if len(heard) < 3:
            store.commit(LocationChange(aor="sip:a@b", put=(binding(50 + len(heard)),)))

    end = store.observe(again)
    happens()
    clock.pump([1.0] * 5)
    assert len(heard) == 3
    end()
    # The end of a binding, and the end of everything within.
    store.commit(LocationChange(aor="sip:a@b", put=(binding(90, clock.seconds() + 10),)))
    store.observe(lambda change: store.close())
    with LoggedFailures() as failures:
        clock.advance(20)
    assert not failures.texts
    clock.advance(100)
    assert not clock.getDelayedCalls()


def test_followers_of_the_trace() -> None:
    trace = Trace(lambda: 1.0, 10, 10, 10_000)

    class Flow:
        kind, local, remote = UDP, Address("192.0.2.1", 5060), Address("192.0.2.2", 5060)

    request = build_request("OPTIONS", "sip:b", from_="<sip:a@b>;tag=1", to="<sip:b>", call_id="c", cseq=1)
    check(Ends(trace.follow), lambda: trace.seen(request, request.to_bytes(), Flow()))  # type: ignore[arg-type]
    assert trace.counts()["followers"] == 0


def test_flows() -> None:
    network = Network(2)
    alice = SimulatedAgent(network, "192.0.2.21", "alice")
    bob = SimulatedAgent(network, "192.0.2.22", "bob")
    heard: list[Any] = []

    def gone(flow: Any) -> None:
        heard.append(flow)
        alice.element.observe_flows(heard.append)
        alice.disconnect()

    alice.element.observe_flows(gone)
    with LoggedFailures() as failures:
        for uri in ("sip:bob@192.0.2.22;transport=tcp", "sip:192.0.2.22;transport=tcp"):
            alice.options(uri).addErrback(lambda failure: None)
        network.advance(0.5)
        bob.disconnect()
        network.advance(70)
    assert not failures.texts
    assert heard


ACTS: dict[str, Callable[[SimulatedAgent, Any], Any]] = {
    "hang up": lambda agent, call: call.hangup(),
    "hang up twice": lambda agent, call: (call.hangup(), call.hangup("again")),
    "stop": lambda agent, call: agent.stopService(),
    "disconnect": lambda agent, call: agent.disconnect(),
    "call": lambda agent, call: agent.call("sip:nobody@192.0.2.77", timeout=5) if not agent._stopping else None,
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("who", ["alice", "bob"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_calls(act: str, who: str, transport: str) -> None:
    """In the place of each event that a call has, whoever observes it does something drastic."""
    number = 0
    while True:
        network = Network(7)
        alice = SimulatedAgent(network, "192.0.2.21", "alice")
        bob = SimulatedAgent(network, "192.0.2.22", "bob")
        actor = alice if who == "alice" else bob
        events: list[Any] = []

        def observe(call: Any, actor: Any = actor, events: list[Any] = events, number: int = number) -> None:
            def told(event: Any) -> None:
                events.append(event)
                if len(events) == number + 1:
                    end()
                    end()
                    ACTS[act](actor, call)

            end = call.observe(told)

        def arrived(call: Any, bob: Any = bob) -> None:
            if who == "bob":
                observe(call)
            call.ring().addErrback(lambda failure: None)
            bob.node.callLater(1, call.answer_unless_done)

        bob.does = arrived
        with LoggedFailures() as failures:
            call = alice.call(f"sip:bob@192.0.2.22;transport={transport}")
            for done in (call.answered, call.ended):
                done.addErrback(lambda failure: None)
            if who == "alice":
                observe(call)
            network.advance(5)
            call.hangup().addErrback(lambda failure: None)
            network.advance(120)
            for agent in (alice, bob):
                agent.stopService().addErrback(lambda failure: None)
            network.advance(60)
            for agent in (alice, bob):
                agent.disconnect()
            network.advance(400)
        assert not failures.texts, (number, failures.texts)
        assert alice.leftovers() == {} and bob.leftovers() == {}, number
        if len(events) <= number:
            assert number >= 2
            return
        number += 1


@pytest.mark.parametrize("act", ["unregister", "stop", "disconnect"])
def test_registrations(act: str) -> None:
    number = 0
    while True:
        network = Network(7)
        server = SimulatedServer(network, passwords={"alice": "secret"})
        with LoggedFailures() as failures:
            alice = SimulatedAgent(
                network, "192.0.2.21", "alice", proxy="sip:192.0.2.1;transport=tcp;lr", password="secret"
            )
            registration = alice.registrations[0]
            events: list[Any] = []

            def told(
                event: Any,
                events: list[Any] = events,
                number: int = number,
                alice: Any = alice,
                own: Any = registration,
            ) -> None:
                events.append(event)
                if len(events) == number + 1:
                    if act == "unregister":
                        alice.unregister(own).addErrback(lambda failure: None)
                    elif act == "stop":
                        alice.stopService()
                    else:
                        alice.disconnect()

            registration.observe(told)
            network.advance(10)
            alice.disconnect()
            network.advance(100)
            alice.stopService()
            network.advance(8000)
        assert not failures.texts, (number, failures.texts)
        assert alice.leftovers() == {}, number
        assert server.leftovers() == {}, number
        if len(events) <= number:
            assert number >= 2
            return
        number += 1


@pytest.mark.parametrize("act", ["stop", "twice", "another"])
@pytest.mark.parametrize("state", ["active", "pending", "terminated"])
def test_subscriptions(act: str, state: str) -> None:
    desk = ScriptedNotifier()
    subscriber: Subscriber = desk.subscriber
    made: list[Any] = []

    def told(notified: Any) -> None:
        if len(made) > 1:
            return
        if act == "stop":
            subscriber.stop()
        elif act == "twice":
            made[0].unsubscribe()
            made[0].unsubscribe()
        else:
            made[0].unsubscribe()
            made.append(desk.subscribe())

    with LoggedFailures() as failures:
        made.append(desk.subscribe(on_notify=told))
        first = desk.last.request
        assert desk.notify(state, subscribe=first).status == 200
        for each in made:
            each.unsubscribe()
        desk.element.clock.pump([10.0] * 100)
    assert not failures.texts
    assert len(subscriber) == 0
