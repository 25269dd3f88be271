"""Answers of a TURN server that make no sense (RFC 8656 sections 7.3 and 8.3)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.settings import TURNServer
from twisted_sip.media.ice.turn_client import TURNClient
from twisted_sip.stun.binding import encode_xor_address
from twisted_sip.stun.message import SUCCESS, XOR_MAPPED_ADDRESS, parse_stun
from twisted_sip.stun.server import answer
from twisted_sip.stun.turn import (
    LIFETIME,
    XOR_RELAYED_ADDRESS,
    lifetime,
)
from twisted_sip.testing.network import Network
from twisted_sip.transaction.timers import TimerQueue


class Scripted:
    """A server without sense."""

    def __init__(self, *answers: tuple[tuple[int, bytes], ...], reliable: bool = False, family: int | None = None):
        from twisted.internet.task import Clock

        self.clock = Clock()
        self.events: list[Any] = []
        self.sent: list[bytes] = []
        self.answers = list(answers)
        server = TURNServer(Address("2001:db8::5", 3478))
        timers = TimerQueue(self.clock)
        self.client = TURNClient(
            self,
            timers,
            Network(1).random_bytes,
            server,
            reliable=reliable,
            family=family,  # type: ignore[arg-type]
        )
        self.client.allocate()

    def turn_send(self, client: TURNClient, server: Address, data: bytes) -> None:
        self.sent.append(data)
        if self.answers:
            request = parse_stun(data)
            values = tuple(
                (kind, encode_xor_address(value.decode(), 9, request.transaction_id) if b"." in value else value)
                for kind, value in self.answers.pop(0)
            )
            self.client.datagram(server, answer(request, SUCCESS, values))

    def turn_allocated(self, client: TURNClient) -> None:
        self.events.append("allocated")

    def turn_failed(self, client: TURNClient, code: int, reason: str) -> None:
        self.events.append(reason)


FINE = ((XOR_RELAYED_ADDRESS, b"192.0.2.7"), (XOR_MAPPED_ADDRESS, b"192.0.2.8"), (LIFETIME, lifetime(2)))


@pytest.mark.parametrize(
    "bad",
    [(), FINE[:2], FINE[1:], (*FINE[:2], (LIFETIME, lifetime(0))), (*FINE[:2], (LIFETIME, b"1")), (FINE[0], FINE[2])],
)
def test_incomplete_answers(bad: tuple[tuple[int, bytes], ...]) -> None:
    scene = Scripted(bad)
    assert scene.events == ["malformed LIFETIME" if bad[-1:] == ((LIFETIME, b"1"),) else "incomplete Allocate response"]
    assert scene.client.idle


@pytest.mark.parametrize("bad", [(), ((LIFETIME, b"1"),), ((LIFETIME, lifetime(0)),)])
def test_bad_refresh(bad: tuple[tuple[int, bytes], ...]) -> None:
    scene = Scripted(FINE, bad)
    # However short a lifetime a server names, it is not asked more than once in five seconds.
    scene.clock.advance(4.9)
    assert len(scene.sent) == 1
    scene.clock.advance(0.2)
    assert scene.events == ["allocated", "Refresh response without LIFETIME"]
    assert scene.client.idle


def test_family_and_stream() -> None:
    families = {None: b"\2\0\0\0", 4: b"\1\0\0\0", 6: b"\2\0\0\0"}
    for family, value in families.items():
        scene = Scripted(reliable=True, family=family)
        assert parse_stun(scene.sent[0]).first(0x0017) == value
        scene.clock.advance(39.5)
        assert scene.events == ["no answer"]
