"""Gathering the candidates of one stream (RFC 8445 section 5.1, for lite agents section 5.2)."""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.candidate import Candidate, CandidateType, candidate_priority
from twisted_sip.media.ice.pair import LocalCandidate
from twisted_sip.media.ice.settings import TURNServer
from twisted_sip.media.ice.turn_client import TURNClient
from twisted_sip.stun.binding import mapped_address
from twisted_sip.stun.message import BINDING, STUNMessage
from twisted_sip.stun.requester import Requester, STUNFailure
from twisted_sip.stun.transaction import Retransmission

if TYPE_CHECKING:
    from twisted_sip.media.ice.stream import ICEStream


class Gathering:
    """One round of gathering; ``done`` is called once, when every server has answered or was given up.

    :ivar found: what was found so far.
    """

    def __init__(self, stream: ICEStream, done: Callable[[], object]) -> None:
        self._stream = stream
        self._agent = stream.agent
        self._done = done
        self._steps: deque[Callable[[], None]] = deque()
        self._requesters: dict[tuple[Address, Address], Requester] = {}
        self._waiting: set[TURNClient] = set()
        self._preferences: dict[tuple[CandidateType, int], int] = {}
        self._ended = False
        self.found: list[LocalCandidate] = []

    def start(self) -> None:
        """List the host candidates, and what to ask of which server; nothing is sent before :meth:`step`."""
        settings = self._agent.settings
        for component, bases in self._stream.bases.items():
            for base in bases:
                self._add(CandidateType.HOST, component, base, base, base)
                if self._agent.lite:
                    continue
                for server in settings.turn_servers:
                    if _same_family(base, server.address):
                        self._steps.append(lambda c=component, b=base, s=server: self._allocate(c, b, s))  # type: ignore[misc]
                for address in () if settings.relay_only else settings.stun_servers:
                    if _same_family(base, address):
                        self._steps.append(lambda c=component, b=base, a=address: self._ask(c, b, a))  # type: ignore[misc]

    def step(self) -> bool:
        """Start one transaction (section 5.1.1.2); tell whether there was one to start."""
        if not self._steps:
            return False
        self._steps.popleft()()
        return True

    def check_end(self) -> None:
        """Tell ``done`` if nothing is left to wait for."""
        if not (self._ended or self._steps or self._requesters or self._waiting):
            self._ended = True
            self._done()

    def give_up(self) -> None:
        """Wait no longer."""
        self.stop()
        self.check_end()

    def stop(self) -> None:
        """Forget what is under way."""
        self._steps.clear()
        for requester in self._requesters.values():
            requester.close()
        self._requesters.clear()
        waiting, self._waiting = self._waiting, set()
        for client in waiting:
            client.close()

    def datagram(self, base: Address, source: Address, data: bytes) -> bool:
        """Take what a STUN server may have sent; tell whether it was for us."""
        requester = self._requesters.get((base, source))
        return requester is not None and requester.datagram(data)

    # -- TURN ------------------------------------------------------------------------------

    def _allocate(self, component: int, base: Address, server: TURNServer) -> None:
        client = self._stream.relay(base, server, self._terms())
        if client.state == "allocated":
            # Kept from before a restart.
            self._use(component, base, client)
        elif client.state == "new":
            self._waiting.add(client)
            client.allocate()
        self.check_end()

    def allocated(self, component: int, base: Address, client: TURNClient) -> None:
        """*client* has its allocation."""
        if client in self._waiting:
            self._waiting.discard(client)
            self._use(component, base, client)
            self.check_end()

    def refused(self, component: int, base: Address, client: TURNClient, code: int) -> None:
        """*client* gets none."""
        if client not in self._waiting:
            return
        self._waiting.discard(client)
        if code in (486, 508) and not self._agent.settings.relay_only:
            # Section 5.1.1.2: the server lacks resources, but it can still tell a server-reflexive candidate.
            self._steps.append(lambda: self._ask(component, base, client.server))
            self._agent.wake()
        self.check_end()

    def _use(self, component: int, base: Address, client: TURNClient) -> None:
        if client.relayed is not None and client.mapped is not None:
            self._add(CandidateType.SERVER_REFLEXIVE, component, client.mapped, base, base, client.server)
            self._add(
                CandidateType.RELAYED,
                component,
                client.relayed,
                client.relayed,
                base,
                client.server,
                client.mapped,
                client,
            )

    # -- STUN ------------------------------------------------------------------------------

    def _ask(self, component: int, base: Address, server: Address) -> None:
        def done(answer: STUNMessage | STUNFailure) -> None:
            del self._requesters[base, server]
            # Section 5.1.1.2: an ALTERNATE-SERVER is ignored.
            if isinstance(answer, STUNMessage):
                self._reflexive(component, base, server, answer)
            self.check_end()

        if (base, server) in self._requesters:
            return
        requester = self._requesters[base, server] = Requester(
            self._agent.timers,
            self._agent.random_bytes,
            lambda data: self._stream.user.ice_send(component, base, server, data),
            None,
            self._terms(),
        )
        requester.request(BINDING, lambda _: (), done)

    def _reflexive(self, component: int, base: Address, server: Address, answer: STUNMessage) -> None:
        try:
            mapped = mapped_address(answer)
        except RemoteProtocolError:
            return
        if mapped is not None:
            self._add(CandidateType.SERVER_REFLEXIVE, component, Address(*mapped), base, base, server)

    def _terms(self) -> Retransmission:
        # Section 14.3: RTO = MAX (500ms, Ta * (Num-Of-Cands)).
        settings = self._agent.settings
        return Retransmission(rto=max(settings.RTO, settings.Ta * (len(self._steps) + 1)))

    # -- candidates ------------------------------------------------------------------------

    def _add(
        self,
        kind: CandidateType,
        component: int,
        address: Address,
        base: Address,
        socket: Address,
        server: Address | None = None,
        related: Address | None = None,
        relay: TURNClient | None = None,
    ) -> None:
        if _unusable(address) or (self._agent.settings.relay_only and kind is not CandidateType.RELAYED):
            return
        # Section 5.1.3: redundant candidates; and a relayed one that equals a host candidate (section 5.1.1.2).
        for known in self.found:
            if known.candidate.address == address and (known.base == base or relay is not None):
                return
        preference = self._preferences.get((kind, component), 65535)
        self._preferences[kind, component] = preference - 1
        if kind is CandidateType.SERVER_REFLEXIVE:
            related = base
        if related is not None and self._agent.settings.relay_only:
            # RFC 8839 section 9.1: no address but the relay's is told.
            related = Address("::" if ":" in related.host else "0.0.0.0", 9)
        foundation = self._agent.foundation(kind, base.host, server.host if server is not None else "")
        candidate = Candidate(
            foundation,
            component,
            "udp",
            candidate_priority(kind, preference, component),
            address,
            kind,
            related,
        )
        self.found.append(LocalCandidate(candidate, base, socket, relay))


def _same_family(one: Address, other: Address) -> bool:
    return (":" in one.host) == (":" in other.host)


def _unusable(address: Address) -> bool:
    """Tell whether nobody could ever reach *address*."""
    parsed = ipaddress.ip_address(address.host.partition("%")[0])
    return parsed.is_unspecified or parsed.is_multicast or not address.port
