"""Two baresips watch each other, alone with the presence server and through the proxy, over each transport."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from baresip import Baresip
from conftest import TRANSPORTS, Pair
from server import Server

Start = Callable[..., Baresip]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_its_user_says(phone: Start, pair: Callable[[], Pair], transport: str) -> None:
    one, other = pair()
    alice, bob = phone(Baresip, one, transport, peer=other), phone(Baresip, other, transport, peer=one)
    alice.wait_to_see("Online")
    bob.wait_to_see("Online")
    bob.do("presence_offline")
    alice.wait_to_see("Offline")
    bob.do("presence_online")
    alice.wait_to_see("Online")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_phone_that_leaves(phone: Start, presence: Server, pair: Callable[[], Pair], transport: str) -> None:
    one, other = pair()
    alice, bob = phone(Baresip, one, transport, peer=other), phone(Baresip, other, transport, peer=one)
    alice.wait_to_see("Online")
    bob.wait_to_see("Online")
    bob.stop()
    # It has published twice before it got an entity-tag, and withdraws what it knows of (RFC 3903 section 4.5).
    alice.wait_to_see("Offline")
    assert presence.json("watchers", alice.aor) == []


def test_phones_that_are_killed(phone: Start, presence: Server, pair: Callable[[], Pair]) -> None:
    phones = []
    for transport in TRANSPORTS:
        one, other = pair()
        alice = phone(Baresip, one, transport, peer=other)
        bob = phone(Baresip, other, transport, peer=one, expires=5)
        phones.append((alice, bob))
    for alice, _ in phones:
        alice.wait_to_see("Online")
    for alice, bob in phones:
        bob.kill()
        assert alice.sees() == "Online"
    for alice, bob in phones:
        alice.wait_to_see("Offline", 10)
        assert presence.contacts(bob.user) == []
