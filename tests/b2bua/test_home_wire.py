"""Calls of phones that are registered here: whose Contact is a GRUU of ours, or an address behind a NAT.

RFC 5627 section 6.1, RFC 5626 section 5.3.
"""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred

from twisted_sip.agent.settings import AgentSettings
from twisted_sip.interfaces.location import LocationChange
from twisted_sip.message.builders import build_request
from twisted_sip.registrar.service import RegistrarService

from .scene import HOST, Agent, Scene
from .scripted import Party, sdp


class Home(Scene):
    """A b2bua that is a registrar too."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        element = self.b2bua.element
        registrar = RegistrarService(self.location, self.network.clock, element.domains.is_local_uri)
        registrar.element = element
        element.chain.insert(0, registrar)

    def registered(self, name: str, number: int) -> Any:
        """Return an agent that has registered, and has a GRUU."""
        host = f"198.51.100.{number}"
        plane = self.media.plane(host, timeout=0)
        self.planes.append(plane)
        made = Agent(self.element(host), settings=AgentSettings(), media=plane)
        registration = made.register(f"sip:{name}@example.com", outbound_proxies=[f"sip:{HOST}"])
        made.startService()
        self.run(2)
        assert ";gr=" in registration.gruu
        made.uri = f"sip:{name}@example.com"
        made.host = host
        self.agents[name] = made
        return made


@pytest.fixture
def home() -> Any:
    made = Home()
    yield made
    made.stop()


def test_phones_whose_contact_is_a_gruu_of_ours(home: Home) -> None:
    alice, bob = home.registered("alice", 1), home.registered("bob", 2)
    call, other = home.established(alice, bob)
    # Longer than a 2xx is repeated without its ACK (RFC 3261 section 13.3.1.4).
    home.run(40)
    assert call.established and other.established
    assert ";gr=" in call.wire.contact and ";gr=" in other.wire.contact
    for one, far in ((call, other), (other, call)):
        one.hold()
        home.run()
        assert far.held
        one.resume()
        home.run()
        assert not far.held
    home.hear((call, other))
    other.hangup()
    home.run()
    assert call.ending.cause == "bye"


def test_transfers_between_them(home: Home) -> None:
    alice, bob, carol = home.registered("alice", 1), home.registered("bob", 2), home.registered("carol", 3)
    call, other = home.established(alice, bob)
    carol.does = lambda arrived: arrived.answer()
    transfer = call.transfer(carol.uri)
    home.run(40)
    assert transfer.status == 200 and call.over
    home.hear((other, carol.arrived[0]))
    carol.arrived[0].hangup()
    home.run()
    assert other.over


def test_a_device_that_registers_from_elsewhere(home: Home) -> None:
    """It is where it has registered last, not where it has answered."""
    alice, bob = home.registered("alice", 1), home.registered("bob", 2)
    call, other = home.established(alice, bob)
    [binding] = home.location.lookup("sip:bob@example.com")
    elsewhere = home.peer(7)
    home.location.commit(_moved(binding, "sip:bob@198.51.100.7"))
    call.hangup()
    home.run()
    bye = elsewhere.expect("BYE")
    assert bye.uri_text == "sip:bob@198.51.100.7"
    elsewhere.answer(bye, 200)
    home.location.commit(_moved(binding, binding.contact, binding.flow))
    other.hangup()
    home.run()


@pytest.mark.parametrize("slow", [False, True])
def test_a_device_that_is_not_registered_any_more(home: Home, slow: bool) -> None:
    """It may be where it was all the same; so too where the store takes its time."""
    alice, bob = home.registered("alice", 1), home.registered("bob", 2)
    call, other = home.established(alice, bob)
    lookup = home.location.lookup
    home.location.lookup = lambda aor: Deferred() if slow else []  # type: ignore[method-assign]
    call.hold()
    other.hangup()
    home.run(3)
    assert call.over and other.over
    home.location.lookup = lookup  # type: ignore[method-assign]


class Natted(Party):
    """A phone that is behind a NAT: its Contact leads nowhere."""

    def __init__(self, scene: Scene, name: str, number: int) -> None:
        super().__init__(scene, name, number)
        self.contact = ("contact", f"<sip:{name}@192.168.7.7:5070>")

    def register(self) -> None:
        request = build_request(
            "REGISTER", "sip:example.com", from_=f"<{self.uri}>;tag=r", to=f"<{self.uri}>", call_id=f"r-{self.name}",
            cseq=1, headers=[("via", f"SIP/2.0/UDP 192.168.7.7:5070;branch=z9hG4bKr{self.name};rport"), self.contact],
        )  # fmt: skip
        self.peer.send(request, (HOST, 5060))
        self.peer.expect(200)


def test_a_callee_behind_a_nat(home: Home) -> None:
    alice = home.registered("alice", 1)
    bob = Natted(home, "bob", 9)
    aor = "sip:bob@example.com"
    home.location.commit(LocationChange(aor=aor, remove=tuple(one.key for one in home.location.lookup(aor))))
    bob.register()
    call = alice.call(bob.uri)
    invite = bob.invited()
    assert invite.uri_text == "sip:bob@192.168.7.7:5070"
    bob.answer(invite, 200, body=sdp())
    assert bob.asked("ACK").uri_text == "sip:bob@192.168.7.7:5070"
    home.run()
    assert call.established
    call.hold()
    again = bob.invited()
    bob.answer(again, 200, body=sdp(version=2))
    bob.asked("ACK")
    call.hangup()
    bob.answer(bob.asked("BYE"), 200)
    home.run()
    assert call.over


def _moved(binding: Any, contact: str, flow: str = "") -> Any:
    moved = attrs.evolve(binding, contact=contact, flow=flow, reg_id=binding.reg_id if flow else 0, received="")
    return LocationChange(aor=binding.aor, put=(moved,))
