"""One allocation at a TURN server, from Allocate to the Refresh that gives it back (RFC 8656 sections 7 to 12).

Sans-I/O. Permissions and channels are in turn_peers.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import attrs
from twisted.logger import Logger

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.settings import TURNServer
from twisted_sip.media.ice.turn_peers import TURNPeers
from twisted_sip.stun.binding import decode_xor_address, mapped_address
from twisted_sip.stun.credentials import LongTermCredentials
from twisted_sip.stun.message import INDICATION, STUNMessage, parse_stun
from twisted_sip.stun.requester import Attributes, Requester, STUNFailure
from twisted_sip.stun.transaction import Cancellable, Retransmission, Timers
from twisted_sip.stun.turn import (
    ALLOCATE,
    DATA,
    DATA_INDICATION,
    IPV4_FAMILY,
    IPV6_FAMILY,
    LIFETIME,
    REFRESH,
    REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT,
    TURN_ATTRIBUTES,
    UDP_TRANSPORT,
    XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS,
    is_channel_data,
    lifetime,
    parse_channel_data,
    parse_lifetime,
)

#: Seconds before the expiry at which an allocation is refreshed (section 8).
_MARGIN = 60
#: The shortest and longest time between two refreshes: a server may name any lifetime.
_LEAST, _MOST = 5.0, 3540.0
#: How many servers a chain of 300s may name (RFC 8489 section 10).
_REDIRECTIONS = 3
#: The farewell is worth a few seconds.
_FAREWELL = Retransmission(rc=3, rm=4, ti=4.0)
_FAREWELL_LIMIT = 8.0

_log = Logger()


class TURNUser(Protocol):
    """Who wants an allocation."""

    def turn_send(self, client: TURNClient, server: Address, data: bytes) -> None:
        """Send *data* to *server* from the socket of *client*."""

    def turn_allocated(self, client: TURNClient) -> None:
        """``client.relayed`` and ``client.mapped`` are known."""

    def turn_failed(self, client: TURNClient, code: int, reason: str) -> None:
        """There is no allocation, or not any more. *code* is the STUN error code, 408 if nothing was heard, or 0."""

    def turn_received(self, client: TURNClient, peer: Address, data: bytes) -> None:
        """*peer* sent *data* to the relayed address."""

    def turn_closed(self, client: TURNClient) -> None:
        """After :meth:`TURNClient.close`: the allocation is given back or given up; nothing is left."""


class TURNClient:
    """One allocation for UDP peers. Nothing is sent before :meth:`allocate`.

    :param reliable: TCP or TLS to the server: feed what STUNFramer cuts to :meth:`datagram`.
    :param family: 4 or 6: the family of the relayed address, that of the server unless given (section 18.6).
    :ivar relayed: the relayed transport address, None without an allocation.
    :ivar mapped: our address as the server sees it: the server-reflexive one.
    :ivar state: ``new``, ``allocating``, ``allocated``, ``closing`` or ``closed``.
    """

    def __init__(
        self,
        user: TURNUser,
        timers: Timers,
        random_bytes: Callable[[int], bytes],
        server: TURNServer,
        *,
        reliable: bool = False,
        software: str = "",
        family: int | None = None,
        terms: Retransmission | None = None,
    ) -> None:
        self._user = user
        self._timers = timers
        self._random_bytes = random_bytes
        self._terms = terms or Retransmission(reliable=reliable)
        self._settings = server
        self._software = software
        self._family = family
        self._asked: set[Address] = set()
        self._timer: Cancellable | None = None
        self.server = server.address
        self.relayed: Address | None = None
        self.mapped: Address | None = None
        self.state = "new"
        self._requester = self._new_requester()
        self._peers = TURNPeers(self, timers, random_bytes, padded=reliable)

    @property
    def idle(self) -> bool:
        """True when no timer runs and nothing waits for an answer."""
        return self._timer is None and not self._requester.waiting and self._peers.idle

    def allocate(self) -> None:
        """Ask for the allocation (section 7.1); ``turn_allocated`` or ``turn_failed`` follows."""
        if self.state != "new":
            raise LocalProtocolError("an allocation was asked for already")
        self.state = "allocating"
        self._ask()

    def send(self, peer: Address, data: bytes) -> None:
        """Send *data* to *peer*, over a channel if there is one; a permission is asked for first (section 9).

        What is sent before the permission is granted is kept, as little as it is, or lost.
        """
        if self.state == "allocated":
            self._peers.send(peer, data)

    def permit(self, peer: Address) -> None:
        """Let *peer* send to the relayed address from now on (section 10)."""
        if self.state == "allocated":
            self._peers.permit(peer)

    def bind(self, peer: Address) -> None:
        """Use a channel for what goes to and comes from *peer* as soon as the server has it (section 12)."""
        if self.state == "allocated":
            self._peers.bind(peer)

    def keep_only(self, peers: Iterable[Address]) -> None:
        """Let the permissions and channels of all other peers run out."""
        self._peers.keep_only(set(peers))

    def datagram(self, source: Address, data: bytes) -> bool:
        """Take what came from *source*; tell whether it was from our server and ours. Never raises."""
        if source != self.server or self.state in ("new", "closed"):
            return False
        if is_channel_data(data):
            self._channel_data(data)
            return True
        if self._requester.datagram(data):
            return True
        return self._indication(data)

    def close(self) -> None:
        """Give the allocation back (section 8: LIFETIME 0); ``turn_closed`` follows, perhaps at once. Idempotent."""
        state = self.state
        if state in ("closing", "closed"):
            return
        self.state = "closing"
        self._peers.close()
        self._cancel_timer()
        if state == "allocated":
            self._farewell()
        elif state == "allocating":
            # An answer that is under way would leave an allocation behind.
            self._timer = self._timers.start(_FAREWELL_LIMIT, self._end)
        else:
            self._end()

    # -- for TURNPeers ------------------------------------------------------------------

    def request(self, method: int, attributes: Attributes, done: Callable[[STUNMessage | STUNFailure], object]) -> None:
        """Ask the server for something more."""
        self._requester.request(method, attributes, done)

    def transmit(self, data: bytes) -> None:
        """Send octets to the server."""
        self._user.turn_send(self, self.server, data)

    def lost(self, code: int, reason: str) -> None:
        """The allocation does not exist any more (sections 5 and 12.3)."""
        if self.state not in ("allocating", "allocated"):
            return
        _log.info("TURN allocation at {server} failed: {code} {reason}", server=self.server, code=code, reason=reason)
        self._drop()
        self._user.turn_failed(self, code, reason)

    # -- allocation ---------------------------------------------------------------------

    def _new_requester(self) -> Requester:
        settings = self._settings
        credentials = LongTermCredentials(settings.username, settings.password) if settings.username else None
        return Requester(
            self._timers,
            self._random_bytes,
            self.transmit,
            credentials,
            self._terms,
            software=self._software,
            understood=TURN_ATTRIBUTES,
        )

    def _ask(self) -> None:
        self._asked.add(self.server)
        family = self._family or (6 if ":" in self.server.host else 4)
        attributes: tuple[tuple[int, bytes], ...] = ((REQUESTED_TRANSPORT, UDP_TRANSPORT),)
        if family == 6:
            attributes = (*attributes, (REQUESTED_ADDRESS_FAMILY, IPV6_FAMILY))
        elif ":" in self.server.host:
            attributes = (*attributes, (REQUESTED_ADDRESS_FAMILY, IPV4_FAMILY))
        self._requester.request(ALLOCATE, lambda _: attributes, self._allocate_answered)

    def _allocate_answered(self, answer: STUNMessage | STUNFailure) -> None:
        if isinstance(answer, STUNFailure):
            if self.state == "closing":
                self._end()
            elif answer.code == 300 and answer.alternate is not None and self._redirect(Address(*answer.alternate)):
                return
            else:
                self.lost(answer.code, answer.reason)
            return
        if self.state == "closing":
            self._cancel_timer()
            self._farewell()
            return
        try:
            relayed = answer.first(XOR_RELAYED_ADDRESS)
            told = parse_lifetime(answer)
            mapped = mapped_address(answer)
            if relayed is None or mapped is None or not told:
                raise RemoteProtocolError("incomplete Allocate response")
            self.relayed = Address(*decode_xor_address(relayed, answer.transaction_id))
        except RemoteProtocolError as error:
            self.lost(0, error.reason)
            return
        self.mapped = Address(*mapped)
        self.state = "allocated"
        self._refresh_in(told)
        self._user.turn_allocated(self)

    def _redirect(self, server: Address) -> bool:
        # RFC 8489 section 10: not to one that was asked already, and of the same address family.
        if server in self._asked or len(self._asked) > _REDIRECTIONS:
            return False
        if (":" in server.host) != (":" in self.server.host):
            return False
        self.server = server
        self._requester.close()
        self._requester = self._new_requester()
        self._ask()
        return True

    def _refresh_in(self, told: int) -> None:
        delay = told - _MARGIN if told > 2 * _MARGIN else told / 2
        self._timer = self._timers.start(min(max(delay, _LEAST), _MOST), self._refresh)

    def _refresh(self) -> None:
        self._timer = None
        self._requester.request(REFRESH, lambda _: (), self._refresh_answered)

    def _refresh_answered(self, answer: STUNMessage | STUNFailure) -> None:
        if isinstance(answer, STUNFailure):
            # Section 8.3: 437, and anything else leaves nothing to rely on.
            self.lost(answer.code, answer.reason)
            return
        try:
            told = parse_lifetime(answer)
        except RemoteProtocolError:
            told = None
        if not told:
            self.lost(0, "Refresh response without LIFETIME")
            return
        self._refresh_in(told)

    # -- from the server ------------------------------------------------------------------

    def _channel_data(self, data: bytes) -> None:
        try:
            number, payload = parse_channel_data(data)
        except RemoteProtocolError:
            # Section 12.6: silently discarded.
            return
        peer = self._peers.peer_of(number)
        if peer is not None and self.state == "allocated":
            self._user.turn_received(self, peer, payload)

    def _indication(self, data: bytes) -> bool:
        try:
            message = parse_stun(data)
            if message.message_class != INDICATION or message.method != DATA_INDICATION:
                return False
            value, payload = message.first(XOR_PEER_ADDRESS), message.first(DATA)
            if value is None or payload is None or message.unknown_beyond(TURN_ATTRIBUTES):
                # Section 11.4. Without DATA it tells an ICMP error, a hint that anybody could forge.
                return True
            peer = Address(*decode_xor_address(value, message.transaction_id))
        except RemoteProtocolError:
            return False
        if self.state == "allocated" and self._peers.permitted(peer):
            self._user.turn_received(self, peer, payload)
        return True

    # -- the end ----------------------------------------------------------------------------

    def _farewell(self) -> None:
        self._timer = self._timers.start(_FAREWELL_LIMIT, self._end)
        self._requester.close()
        self._requester.terms = attrs.evolve(_FAREWELL, reliable=self._terms.reliable)
        self._requester.request(REFRESH, lambda _: ((LIFETIME, lifetime(0)),), lambda _: self._end())

    def _drop(self) -> None:
        self.state = "closed"
        self.relayed = None
        self._cancel_timer()
        self._requester.close()
        self._peers.close()

    def _end(self) -> None:
        if self.state != "closed":
            self._drop()
            self._user.turn_closed(self)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
