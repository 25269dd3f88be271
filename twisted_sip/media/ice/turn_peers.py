"""Permissions and channels of one allocation (RFC 8656 sections 9 to 12)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted_sip.errors import LocalProtocolError
from twisted_sip.interfaces.flow import Address
from twisted_sip.stun.binding import encode_xor_address
from twisted_sip.stun.message import STUNMessage
from twisted_sip.stun.requester import STUNFailure, indication
from twisted_sip.stun.transaction import Cancellable, Timers
from twisted_sip.stun.turn import (
    CHANNEL_BIND,
    CHANNEL_NUMBER,
    CREATE_PERMISSION,
    DATA,
    FIRST_CHANNEL,
    LAST_CHANNEL,
    SEND,
    XOR_PEER_ADDRESS,
    channel_data,
    channel_number,
)

if TYPE_CHECKING:
    from twisted_sip.media.ice.turn_client import TURNClient

#: A permission lasts 300 seconds (section 9), a channel 600 (section 12): both are renewed a minute earlier.
_PERMISSION_RENEWAL, _CHANNEL_RENEWAL = 240.0, 540.0
#: After a refusal a permission is not asked for again for so many seconds.
_REFUSAL = 60.0
#: Addresses with a permission, channels, and datagrams that wait for one permission.
_MOST_PERMISSIONS, _MOST_CHANNELS, _MOST_HELD = 100, 16, 8


class _Permission:
    __slots__ = ("granted", "held", "refused", "timer")

    def __init__(self) -> None:
        self.granted = False
        self.refused = False
        self.held: list[tuple[Address, bytes]] = []
        self.timer: Cancellable | None = None

    def cancel(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class _Channel:
    __slots__ = ("bound", "number", "timer")

    def __init__(self, number: int) -> None:
        self.number = number
        self.bound = False
        self.timer: Cancellable | None = None

    def cancel(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class TURNPeers:
    """Who may be reached over the allocation of *client*, and how.

    Channel numbers are used once in the life of an allocation, so the wait before another use (section 12) never
    comes up.
    """

    def __init__(
        self, client: TURNClient, timers: Timers, random_bytes: Callable[[int], bytes], *, padded: bool
    ) -> None:
        self._client = client
        self._timers = timers
        self._random_bytes = random_bytes
        self._padded = padded
        self._permissions: dict[str, _Permission] = {}
        self._channels: dict[Address, _Channel] = {}
        self._numbers: dict[int, Address] = {}
        self._next = FIRST_CHANNEL

    @property
    def idle(self) -> bool:
        return not (self._permissions or self._channels)

    def permitted(self, peer: Address) -> bool:
        """Tell whether we let *peer* send: asked for is enough, since the answer may be late or lost."""
        permission = self._permissions.get(peer.host)
        return permission is not None and not permission.refused

    def peer_of(self, number: int) -> Address | None:
        """Return whom the channel *number* leads to, None if it was not asked for."""
        return self._numbers.get(number)

    def send(self, peer: Address, data: bytes) -> None:
        channel = self._channels.get(peer)
        if channel is not None and channel.bound:
            self._client.transmit(channel_data(channel.number, data, padded=self._padded))
            return
        self.permit(peer)
        permission = self._permissions.get(peer.host)
        if permission is None or permission.refused:
            return
        if permission.granted:
            self._indicate(peer, data)
        elif len(permission.held) < _MOST_HELD:
            permission.held.append((peer, data))

    def permit(self, peer: Address) -> None:
        if peer.host in self._permissions or len(self._permissions) >= _MOST_PERMISSIONS:
            return
        self._permissions[peer.host] = _Permission()
        self._ask_permission(peer)

    def bind(self, peer: Address) -> None:
        if peer in self._channels or len(self._channels) >= _MOST_CHANNELS or self._next > LAST_CHANNEL:
            return
        # Section 12: a ChannelBind installs a permission as well, but not before it is answered.
        self.permit(peer)
        channel = self._channels[peer] = _Channel(self._next)
        self._numbers[self._next] = peer
        self._next += 1
        self._ask_channel(peer, channel)

    def keep_only(self, peers: set[Address]) -> None:
        hosts = {peer.host for peer in peers}
        for host in [host for host in self._permissions if host not in hosts]:
            self._permissions.pop(host).cancel()
        for peer in [peer for peer in self._channels if peer not in peers]:
            self._drop_channel(peer)

    def close(self) -> None:
        self.keep_only(set())

    # -- permissions ------------------------------------------------------------------------

    def _ask_permission(self, peer: Address) -> None:
        def attributes(transaction_id: bytes) -> tuple[tuple[int, bytes], ...]:
            return ((XOR_PEER_ADDRESS, encode_xor_address(peer.host, peer.port, transaction_id)),)

        try:
            self._client.request(CREATE_PERMISSION, attributes, lambda answer: self._answered(peer, answer))
        except LocalProtocolError:
            # Too many requests wait, or the host is no address: as if refused.
            self._refused(peer.host)

    def _answered(self, peer: Address, answer: STUNMessage | STUNFailure) -> None:
        permission = self._permissions.get(peer.host)
        if permission is None:
            return
        if isinstance(answer, STUNFailure):
            if answer.code == 437:
                # Section 5: the allocation is gone.
                self._client.lost(answer.code, answer.reason)
            else:
                self._refused(peer.host)
            return
        permission.granted = True
        permission.cancel()
        permission.timer = self._timers.start(_PERMISSION_RENEWAL, self._ask_permission, peer)
        held, permission.held = permission.held, []
        for each, data in held:
            self._indicate(each, data)

    def _refused(self, host: str) -> None:
        permission = self._permissions[host]
        permission.cancel()
        permission.refused, permission.granted = True, False
        permission.held.clear()
        permission.timer = self._timers.start(_REFUSAL, self._forget, host)

    def _forget(self, host: str) -> None:
        del self._permissions[host]

    def _indicate(self, peer: Address, data: bytes) -> None:
        def attributes(transaction_id: bytes) -> tuple[tuple[int, bytes], ...]:
            return ((XOR_PEER_ADDRESS, encode_xor_address(peer.host, peer.port, transaction_id)), (DATA, data))

        self._client.transmit(indication(SEND, attributes, self._random_bytes))

    # -- channels -----------------------------------------------------------------------------

    def _ask_channel(self, peer: Address, channel: _Channel) -> None:
        channel.timer = None

        def attributes(transaction_id: bytes) -> tuple[tuple[int, bytes], ...]:
            return (
                (CHANNEL_NUMBER, channel_number(channel.number)),
                (XOR_PEER_ADDRESS, encode_xor_address(peer.host, peer.port, transaction_id)),
            )

        try:
            self._client.request(CHANNEL_BIND, attributes, lambda answer: self._channel_answered(peer, answer))
        except LocalProtocolError:
            self._drop_channel(peer)

    def _channel_answered(self, peer: Address, answer: STUNMessage | STUNFailure) -> None:
        channel = self._channels.get(peer)
        if channel is None:
            return
        if not isinstance(answer, STUNFailure):
            channel.bound = True
            channel.timer = self._timers.start(_CHANNEL_RENEWAL, self._ask_channel, peer, channel)
        elif answer.code in (400, 437):
            # Section 12.3: client and server are out of step; section 5.
            self._client.lost(answer.code, answer.reason)
        else:
            # Send indications do as well.
            self._drop_channel(peer)

    def _drop_channel(self, peer: Address) -> None:
        channel = self._channels.pop(peer)
        channel.cancel()
        del self._numbers[channel.number]
