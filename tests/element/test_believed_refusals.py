"""Where everybody is believed a refused request that comes again hears the same (RFC 3261 section 17.2)."""

from __future__ import annotations

import pytest

from twisted_sip.testing.network import Network
from twisted_sip.testing.peer import Peer
from twisted_sip.testing.server import SimulatedServer

SERVER = ("192.0.2.1", 5060)


def request(method: str, to: str, branch: str, *fields: str, uri: str = "") -> str:
    return "\n".join(
        [
            f"{method} {uri or to} SIP/2.0",
            f"Via: SIP/2.0/UDP 198.51.100.9;rport;branch=z9hG4bK{branch}",
            "Max-Forwards: 70",
            "From: <sip:alice@example.com>;tag=a",
            f"To: <{to}>",
            f"Call-ID: {branch}",
            f"CSeq: 1 {method}",
            *fields,
            "",
            "",
        ]
    )


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_registration_in_between_changes_nothing(method: str) -> None:
    network = Network(5)
    server = SimulatedServer(network)
    alice = Peer(network.node("198.51.100.9"))
    asked = request(method, "sip:bob@example.com", "one")
    alice.send(asked, SERVER)
    first = alice.expect(480)
    alice.send(
        request("REGISTER", "sip:bob@example.com", "two", "Contact: <sip:bob@198.51.100.9>", uri="sip:example.com"),
        SERVER,
    )
    alice.expect(200)
    alice.send(asked, SERVER)
    again = alice.expect(480)
    assert again.to.tag == first.to.tag
    # Once for each time that it came; and the phone of bob, which is the same, has heard nothing.
    alice.expect_nothing()
    network.advance(60)
    assert server.element.transactions.counts()["servers"] == 0
