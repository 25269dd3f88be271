"""Listeners that are being given up: what is under way by them goes on (RFC 3261 sections 17 and 18.2.2).

A stream socket takes no more connections at once; those that it took stay. A datagram socket stays open while a
transaction uses it, for some more time so that short calls end in peace, and no longer than a transaction may last.
Until then the address counts as ours: it stands in routes of dialogs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from twisted.internet.interfaces import IDelayedCall

from twisted_sip.transport.listener import Listener
from twisted_sip.transport.place import Place

if TYPE_CHECKING:
    from twisted_sip.transport.layer import TransportLayer

#: Seconds between two looks at who is done.
_LOOK = 4.0
#: The least seconds that an address stays ours: 64*T1, in which retransmissions come.
_LEAST = 32.0
#: The most seconds that a datagram socket stays open: Timer C, the CANCEL after it, and what that may take.
_MOST = 300.0


@attrs.define(slots=True, eq=False)
class _Leaving:
    listener: Listener
    since: float
    place: Place | None


class Retiring:
    """The listeners of a layer that are being given up."""

    def __init__(self, layer: TransportLayer) -> None:
        self._layer = layer
        self._leaving: list[_Leaving] = []
        self._call: IDelayedCall | None = None

    def __len__(self) -> int:
        """How many there are."""
        return len(self._leaving)

    def datagram_places(self) -> list[Place]:
        """Return the sockets that are open still: they may be taken back."""
        return [each.place for each in self._leaving if each.place is not None]

    def add(self, place: Place) -> None:
        """Give *place* up."""
        if place.listener.kind.stream:
            place.port.stopListening()
            self.add_listener(place.listener)
        else:
            self._add(place.listener, place)

    def add_listener(self, listener: Listener) -> None:
        """Give up *listener*, whose socket is closed or somebody else's now."""
        self._add(listener, None)

    def _add(self, listener: Listener, place: Place | None) -> None:
        listener.retired = True
        clock = self._layer.clock
        self._leaving.append(_Leaving(listener, clock.seconds(), place))
        if self._call is None:
            self._call = clock.callLater(_LOOK, self._look)

    def take_back(self, place: Place) -> None:
        """Go on with *place*, or with another socket at its address, if it is being given up."""
        place.listener.retired = False
        self._leaving = [each for each in self._leaving if each.listener is not place.listener]

    def _look(self) -> None:
        self._call = None
        now = self._layer.clock.seconds()
        for each in list(self._leaving):
            if self._is_done(each, now - each.since):
                self._leaving.remove(each)
                if each.place is not None:
                    each.place.port.stopListening()
                self._layer.addresses.remove(each.listener)
        if self._leaving:
            self._call = self._layer.clock.callLater(_LOOK, self._look)

    def _is_done(self, leaving: _Leaving, age: float) -> bool:
        if age < _LEAST:
            return False
        layer, listener = self._layer, leaving.listener
        if listener.kind.stream:
            flows = layer.connections.flows()
            return not any(flow.kind is listener.kind and flow.local == listener.address for flow in flows)
        return age >= _MOST or not layer.in_use(listener)

    def stop(self) -> list[Any]:
        """Forget all; return the ports that are to be closed."""
        leaving, self._leaving = self._leaving, []
        call, self._call = self._call, None
        if call is not None and call.active():
            call.cancel()
        return [each.place.port for each in leaving if each.place is not None]
