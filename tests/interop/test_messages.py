"""Phones write to each other, and to those who are away: 202, and all of it in order when they are back."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from baresip import Baresip
from conftest import TRANSPORTS, Pair
from linphonec import LinphoneConsole
from processes import wait_for
from server import Server

Phone = Baresip | LinphoneConsole
Start = Callable[..., Phone]

THINGS = ["shoes", "ships", "sealing wax", "cabbages", "kings"]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("here", "there"), [(Baresip, Baresip), (LinphoneConsole, LinphoneConsole), (Baresip, LinphoneConsole)]
)
def test_to_somebody_who_is_away_and_back(
    phone: Start, presence: Server, pair: Callable[[], Pair], here: type[Phone], there: type[Phone], transport: str
) -> None:
    one, other = pair()
    alice = phone(here, one, transport, peer=other)
    for count, thing in enumerate(THINGS, 1):
        alice.send(f"talk of {thing}")
        alice.wait_for_status("MESSAGE", 202, count)
    assert len(waiting(presence, other)) == len(THINGS)
    bob = phone(there, other, transport, peer=one)
    for thing in THINGS:
        bob.wait_for_message(f"talk of {thing}")
    assert re.findall(r"talk of (.*)", bob.program.text) == THINGS
    wait_for(lambda: not waiting(presence, other), lambda: str(waiting(presence, other)))
    bob.send("there is not any")
    alice.wait_for_message("there is not any")
    bob.wait_for_status("MESSAGE", 200)
    alice.send("have some wine")
    bob.wait_for_message("have some wine")
    alice.wait_for_status("MESSAGE", 200)


def waiting(server: Server, user: str) -> list[object]:
    """Return the messages that wait for *user*."""
    found = server.json("messages", f"{user}@{server.domain}")
    assert isinstance(found, list)
    return found
