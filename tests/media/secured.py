"""Two sessions with protection between them, and what a wiretap sees."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from twisted_sip.media.stream_keys import MediaSecurity, SecurityState
from twisted_sip.sdp.description import SessionDescription
from twisted_sip.testing.media_network import MediaNetwork


class SecureCall:
    """Caller and callee; *left* and *right* are their settings."""

    def __init__(self, left: dict[str, Any], right: dict[str, Any] | None = None, *, call: Any = None) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000.0)
        self.network = MediaNetwork(self.clock)
        self.wire: list[bytes] = []
        self.drop = lambda data: False
        carry = self.network.carry

        def tapped(data: bytes, source: tuple[str, int], target: tuple[str, int]) -> None:
            self.wire.append(data)
            if not self.drop(data):
                carry(data, source, target)

        self.network.carry = tapped  # type: ignore[method-assign]
        right = left if right is None else right
        self.planes = (self.network.plane("192.0.2.1", **left), self.network.plane("192.0.2.2", **right))
        self.a, self.b = self.planes[0](call), self.planes[1](call)
        self.events: dict[str, list[MediaSecurity]] = {"a": [], "b": []}
        self.failures: list[str] = []
        for name, session in (("a", self.a), ("b", self.b)):
            session.on_failure = self.failures.append
            if session.keys is not None:
                session.keys.on_security = self.events[name].append

    def made(self, description: Any) -> SessionDescription:
        """The wire form of it, as soon as it is there."""
        if not isinstance(description, SessionDescription):
            found: list[SessionDescription] = []
            description.addCallback(found.append)
            for _ in range(1000):
                if found:
                    break
                self.clock.advance(0.01)
            description = found[0]
        return SessionDescription.parse(description.to_bytes())

    def agree(self, one: Any = None, other: Any = None) -> tuple[SessionDescription, SessionDescription]:
        """Offer and answer."""
        one, other = one or self.a, other or self.b
        offer = self.made(one.offer())
        answer = self.made(other.answer(offer))
        one.answered(answer)
        return offer, answer

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.01)):
            self.clock.advance(0.01)

    def heard(self, seconds: float = 1.0) -> tuple[int, int]:
        """Packets that came to the one and to the other meanwhile."""
        before = [one.statistics().packets_received for one in (self.a, self.b)]
        self.run(seconds)
        after = [one.statistics().packets_received for one in (self.a, self.b)]
        return after[0] - before[0], after[1] - before[1]

    @property
    def secure(self) -> bool:
        return self.a.security.state is self.b.security.state is SecurityState.SECURE

    def packets(self) -> list[bytes]:
        """RTP and RTCP that went over the wire, as it went."""
        return [data for data in self.wire if 128 <= data[0] <= 191]

    def close(self) -> None:
        for plane in self.planes:
            plane.close()
        self.run(35)
        assert not self.network.sockets
        assert not self.clock.getDelayedCalls()
