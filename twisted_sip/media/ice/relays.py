"""The allocations of one stream: one for each socket and TURN server (RFC 8656 section 2: the 5-tuple)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.settings import TURNServer
from twisted_sip.media.ice.turn_client import TURNClient
from twisted_sip.stun.transaction import Retransmission

if TYPE_CHECKING:
    from twisted_sip.media.ice.stream import ICEStream


class Relays:
    """The TURN clients of *stream*, and what they tell."""

    def __init__(self, stream: ICEStream) -> None:
        self._stream = stream
        self._clients: dict[tuple[Address, Address], TURNClient] = {}
        self._bases: dict[TURNClient, Address] = {}

    @property
    def idle(self) -> bool:
        return not self._bases

    def get(self, base: Address, server: TURNServer, terms: Retransmission) -> TURNClient:
        """Return the allocation that is there, or a new client.

        One that is being given back blocks its 5-tuple for a moment (RFC 8656 section 7.4: 437) and is returned.
        """
        client = self._clients.get((base, server.address))
        if client is None:
            agent = self._stream.agent
            client = TURNClient(self, agent.timers, agent.random_bytes, server, terms=terms, software=agent.software)
            self._clients[base, server.address] = client
            self._bases[client] = base
        return client

    def datagram(self, base: Address, source: Address, data: bytes) -> bool:
        """Take what may have come from a TURN server; tell whether it did."""
        # A list: what comes may end a client.
        return any(client.datagram(source, data) for client, known in list(self._bases.items()) if known == base)

    def keep_only(self, kept: Mapping[TURNClient, set[Address]]) -> None:
        """Give back the allocations that are not *kept*; of those only some peers are needed."""
        for client in list(self._bases):
            if client in kept:
                client.keep_only(kept[client])
            else:
                client.close()

    def close_base(self, base: Address) -> None:
        for client, known in list(self._bases.items()):
            if known == base:
                client.close()

    def close(self) -> None:
        self.keep_only({})

    # -- TURNUser ---------------------------------------------------------------------------

    def turn_send(self, client: TURNClient, server: Address, data: bytes) -> None:
        base = self._bases.get(client)
        if base is not None:
            self._stream.user.ice_send(self._component(base), base, server, data)

    def turn_allocated(self, client: TURNClient) -> None:
        base = self._bases[client]
        gathering = self._stream.gathering
        if gathering is not None:
            gathering.allocated(self._component(base), base, client)

    def turn_failed(self, client: TURNClient, code: int, reason: str) -> None:
        base = self._forget(client)
        gathering = self._stream.gathering
        if gathering is not None:
            gathering.refused(self._component(base), base, client, code)
        self._stream.relay_lost(client)

    def turn_received(self, client: TURNClient, peer: Address, data: bytes) -> None:
        base = self._bases[client]
        self._stream.relayed(self._component(base), client, base, peer, data)

    def turn_closed(self, client: TURNClient) -> None:
        self._forget(client)
        self._stream.agent.check_closed()

    def _forget(self, client: TURNClient) -> Address:
        base = self._bases.pop(client)
        self._clients = {key: known for key, known in self._clients.items() if known is not client}
        return base

    def _component(self, base: Address) -> int:
        for component, bases in self._stream.all_bases.items():
            if base in bases:
                return component
        return 1
