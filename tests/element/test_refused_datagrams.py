"""Refused datagrams: what waits goes on to the next server; many of them at a time cost no more than a few."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import UDP

U1, U2, U3, U4 = (f"UDP 192.0.2.{number}:5060" for number in (1, 2, 3, 4))


def test_strangers_refusals_are_looked_at_together(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.resolver["one.example.com"] = [U1, U2]
    desk.resolver["two.example.com"] = [U3, U4]
    looks: list[int] = []
    fail = type(desk.sender)._fail

    def counted(sender: Any, refused: set[Address]) -> None:
        looks.append(len(refused))
        fail(sender, refused)

    monkeypatch.setattr(type(desk.sender), "_fail", counted)
    desk.send("OPTIONS", "sip:one.example.com")
    desk.send("OPTIONS", "sip:two.example.com")
    desk.sender.destination_refused(Address("192.0.2.1", 5060))
    assert len(desk.flow(U2).sent) == 1, "the first at once"
    for number in range(5000):
        desk.sender.destination_refused(Address("198.51.100.1", number + 1))
        if number == 7:
            desk.sender.destination_refused(Address("192.0.2.3", 5060))
    assert looks == [1]
    assert not desk.flow(U4).sent
    desk.advance(0.2)
    assert len(looks) == 2
    assert looks[1] <= 1024
    assert len(desk.flow(U4).sent) == 1
    # Addresses that nothing was sent to are no dead servers: they would push those out of the memory.
    assert len(desk.dead) == 2
    assert desk.dead.suspected(UDP, Address("192.0.2.3", 5060))
    desk.answer(U2, 200)
    desk.answer(U4, 200)
    desk.settle()
