"""Two linphones, and one with a baresip, watch each other, alone with the presence server and through the proxy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from baresip import Baresip
from conftest import TRANSPORTS, Pair
from linphonec import LinphoneConsole
from server import Server

Start = Callable[..., Baresip | LinphoneConsole]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_phone_that_leaves(phone: Start, presence: Server, pair: Callable[[], Pair], transport: str) -> None:
    one, other = pair()
    alice, bob = phone(LinphoneConsole, one, transport, peer=other), phone(LinphoneConsole, other, transport, peer=one)
    alice.wait_to_see("Online")
    bob.wait_to_see("Online")
    bob.stop()
    alice.wait_to_see("Offline")
    assert presence.json("watchers", alice.aor) == []
    assert presence.json("presence", bob.aor)["publications"] == []


def test_phones_that_are_killed(phone: Start, presence: Server, pair: Callable[[], Pair]) -> None:
    phones = []
    for transport in TRANSPORTS:
        one, other = pair()
        alice = phone(LinphoneConsole, one, transport, peer=other)
        bob = phone(LinphoneConsole, other, transport, peer=one, expires=5)
        phones.append((alice, bob))
    for alice, _ in phones:
        alice.wait_to_see("Online")
    for alice, bob in phones:
        bob.kill()
        assert alice.sees() == "Online"
    for alice, bob in phones:
        alice.wait_to_see("Offline", 10)
        assert presence.contacts(bob.user) == []


@pytest.mark.parametrize(("here", "there"), [("udp", "udp"), ("tls", "tcp")])
def test_with_a_phone_of_another_make(phone: Start, pair: Callable[[], Pair], here: str, there: str) -> None:
    one, other = pair()
    alice, bob = phone(Baresip, one, here, peer=other), phone(LinphoneConsole, other, there, peer=one)
    assert isinstance(alice, Baresip)
    alice.wait_to_see("Online")
    bob.wait_to_see("Online")
    alice.do("presence_offline")
    bob.wait_to_see("Offline")
    alice.do("presence_online")
    bob.wait_to_see("Online")
    bob.stop()
    alice.wait_to_see("Offline")
