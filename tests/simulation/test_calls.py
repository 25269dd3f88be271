"""Calls between simulated phones through a simulated server, one situation each, on a network that loses nothing."""

from __future__ import annotations

import pytest

from twisted_sip.proxy.settings import ProxySettings
from twisted_sip.testing.agreement import disagreements
from twisted_sip.testing.behaviour import BUSY, DECLINE, NO_ANSWER, SILENT, UNAVAILABLE, Behaviour
from twisted_sip.testing.nat import NAT
from twisted_sip.testing.network import Network
from twisted_sip.testing.phone import SimulatedPhone
from twisted_sip.testing.server import SimulatedServer

BOB = "sip:bob@example.com"


class Stage:
    """A server, and phones by name; at the end everything has to be over, agreed on, and gone."""

    def __init__(self, network: Network, **settings: object) -> None:
        self.network = network
        self.server = SimulatedServer(network, **settings)  # type: ignore[arg-type]
        self.phones: list[SimulatedPhone] = []

    def phone(
        self, user: str, behaviour: Behaviour | None = None, nat: NAT | None = None, **how: object
    ) -> SimulatedPhone:
        number = len(self.phones) + 1
        node = self.network.node(f"10.0.0.{number}" if nat else f"198.51.100.{number}", behind=nat)
        transport = str(how.get("transport", "udp"))
        keep_alive = 20.0 if nat is not None or transport == "tcp" else 0.0
        phone = SimulatedPhone(
            self.network,
            node,
            user,
            proxy=self.server.route(transport),
            behaviour=behaviour,
            keep_alive=keep_alive,
            **how,  # type: ignore[arg-type]
        )
        self.phones.append(phone)
        phone.registration.start(60)
        self.network.advance(2.0)
        assert phone.registration.statuses == [200]
        return phone

    def end(self, calm: bool = True) -> None:
        for phone in self.phones:
            phone.quiet()
        self.network.advance(760.0)
        for phone in self.phones:
            phone.disconnect()
        self.network.advance(10.0)
        assert disagreements(self.phones, calm=calm) == []
        assert [phone.leftovers() for phone in self.phones if phone.leftovers()] == []
        assert self.server.leftovers() == {}


@pytest.fixture
def stage(network: Network) -> Stage:
    return Stage(network)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("kind", ["public", "full cone", "port restricted", "symmetric"])
@pytest.mark.parametrize("ends", ["caller", "callee"])
def test_a_call_is_answered_and_ended_by_either_side(stage: Stage, transport: str, kind: str, ends: str) -> None:
    nats = {
        "full cone": NAT.full_cone,
        "port restricted": NAT.port_restricted,
        "symmetric": NAT.symmetric,
    }
    nat = nats[kind](stage.network, "203.0.113.1") if kind in nats else None
    alice = stage.phone("alice", nat=nat, transport=transport)
    bob = stage.phone("bob", Behaviour(talks=5.0 if ends == "callee" else 50.0), nat=nat, transport=transport)
    call = alice.call(BOB, Behaviour(talks=5.0 if ends == "caller" else 50.0, reinvites_after=1.0))
    stage.network.advance(20.0)
    assert call.status == 200
    assert call.sent.provisionals == [100, 180]
    [leg] = bob.incoming
    assert leg.acknowledged
    [dialog] = call.dialogs.values()
    assert leg.dialog is not None
    wanted = ("bye sent", "bye received") if ends == "caller" else ("bye received", "bye sent")
    assert (dialog.ended, leg.dialog.ended) == wanted
    assert {dialog.bye_outcome, leg.dialog.bye_outcome} == {0, 200}
    assert [sent.outcome for sent in alice.sent if sent.method == "INVITE"] == [200, 200]
    stage.end()


@pytest.mark.parametrize(("reaction", "status"), [(BUSY, 486), (DECLINE, 603), (UNAVAILABLE, 480)])
def test_a_refusal_gets_through(stage: Stage, reaction: str, status: int) -> None:
    alice = stage.phone("alice")
    stage.phone("bob", Behaviour(reaction=reaction))
    call = alice.call(BOB)
    stage.network.advance(10.0)
    assert call.status == status
    stage.end()


@pytest.mark.parametrize("patience", [0.001, 0.05, 1.0, 5.0])
def test_a_call_is_cancelled(stage: Stage, patience: float) -> None:
    alice = stage.phone("alice")
    bob = stage.phone("bob", Behaviour(reaction=NO_ANSWER))
    call = alice.call(BOB, Behaviour(patience=patience))
    stage.network.advance(40.0)
    assert call.status == 487
    assert all(leg.status == 487 and leg.was_cancelled for leg in bob.incoming)
    stage.end()


@pytest.mark.parametrize("reaction", [NO_ANSWER, SILENT])
def test_timer_c_ends_what_nobody_answers(stage: Stage, reaction: str) -> None:
    alice = stage.phone("alice")
    bob = stage.phone("bob", Behaviour(reaction=reaction, rings_after=0.1 if reaction == NO_ANSWER else None))
    call = alice.call(BOB)
    stage.network.advance(180.0)
    assert not call.status
    stage.network.advance(5.0)
    # Section 16.8: CANCEL after any provisional response, 100 included; 487 comes from the phone.
    assert call.status == 487
    assert bob.incoming[0].status == 487
    stage.end()


def test_the_fastest_of_three_phones_gets_the_call(stage: Stage) -> None:
    alice = stage.phone("alice")
    slow = stage.phone("bob", Behaviour(reacts_after=8.0))
    fast = stage.phone("bob", Behaviour(reacts_after=1.0))
    busy = stage.phone("bob", Behaviour(reaction=BUSY, reacts_after=0.2))
    call = alice.call(BOB, Behaviour(talks=3.0))
    stage.network.advance(20.0)
    assert call.status == 200
    assert list(call.dialogs) == [fast.incoming[0].tag]
    assert [phone.incoming[0].status for phone in (slow, fast, busy)] == [487, 200, 486]
    assert slow.incoming[0].was_cancelled
    stage.end()


def test_two_phones_answer_at_once(stage: Stage) -> None:
    alice = stage.phone("alice")
    first = stage.phone("bob", Behaviour(reacts_after=1.0))
    second = stage.phone("bob", Behaviour(reacts_after=1.0))
    call = alice.call(BOB, Behaviour(talks=3.0))
    stage.network.advance(20.0)
    assert {leg.status for leg in first.incoming + second.incoming} == {200}
    assert len(call.dialogs) == 2
    assert call.sent.finals.count(200) >= 2
    stage.end()


def test_a_decline_ends_the_search(stage: Stage) -> None:
    alice = stage.phone("alice")
    stage.phone("bob", Behaviour(reaction=DECLINE, reacts_after=1.0))
    other = stage.phone("bob", Behaviour(reaction=NO_ANSWER))
    call = alice.call(BOB)
    stage.network.advance(10.0)
    assert call.status == 603
    assert other.incoming[0].was_cancelled
    stage.end()


def test_the_best_of_several_refusals(stage: Stage) -> None:
    alice = stage.phone("alice")
    stage.phone("bob", Behaviour(reaction=BUSY, reacts_after=1.0))
    stage.phone("bob", Behaviour(reaction=UNAVAILABLE, reacts_after=0.5))
    call = alice.call(BOB)
    stage.network.advance(10.0)
    assert call.status in (480, 486)
    stage.end()


def test_serial_forking_rings_one_after_the_other(network: Network) -> None:
    stage = Stage(network, proxy_settings=ProxySettings(fork="serial"))
    alice = stage.phone("alice")
    phones = [stage.phone("bob", Behaviour(reaction=BUSY, reacts_after=2.0)) for _ in range(2)]
    call = alice.call(BOB)
    network.advance(1.0)
    [rung] = [phone for phone in phones if phone.incoming]
    [other] = [phone for phone in phones if not phone.incoming]
    other.behaviour = Behaviour(reacts_after=2.0)
    network.advance(10.0)
    assert call.status == 200
    assert (rung.incoming[0].status, other.incoming[0].status) == (486, 200)
    stage.end()


def test_a_cancel_crosses_the_answer(stage: Stage) -> None:
    """The caller gives up when the 200 is under way: it is acknowledged and the call is hung up (section 9.1)."""
    alice = stage.phone("alice")
    bob = stage.phone("bob", Behaviour(reacts_after=1.0))
    call = alice.call(BOB)
    stage.network.advance_until(lambda: bool(bob.incoming and bob.incoming[0].status))
    call.cancel()
    stage.network.advance(40.0)
    assert call.cancelled and call.status == 200
    assert bob.incoming[0].dialog is not None and bob.incoming[0].dialog.ended == "bye received"
    stage.end()


def test_messages_and_options_reach_a_phone_behind_a_nat(stage: Stage) -> None:
    alice = stage.phone("alice")
    bob = stage.phone("bob", nat=NAT.symmetric(stage.network, "203.0.113.1"))
    message = alice.message(BOB, "hello")
    options = alice.options(BOB)
    server = alice.options("sip:example.com")
    nobody = alice.message("sip:nobody@example.com", "hello")
    stage.network.advance(5.0)
    assert (message.outcome, options.outcome, server.outcome, nobody.outcome) == (200, 200, 200, 480)
    assert bob.messages == [("sip:alice@example.com", b"hello")]
    stage.end()


def test_without_a_password_nothing_goes(network: Network) -> None:
    server = SimulatedServer(network, passwords={"alice": "right"})
    wrong = SimulatedPhone(network, network.node("198.51.100.1"), "alice", proxy=server.route(), password="wrong")
    right = SimulatedPhone(network, network.node("198.51.100.2"), "alice", proxy=server.route(), password="right")
    wrong.registration.start(60)
    right.registration.start(60)
    call = wrong.call("sip:alice@example.com")
    network.advance(1.0)
    assert wrong.registration.statuses == [401]
    assert right.registration.statuses == [200]
    assert call.status == 407
    assert right.incoming == []
