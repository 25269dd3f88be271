"""Listening elsewhere, and with other settings, while messages come and go: all of it or nothing.

Sockets that are wanted still stay open, with what came in by them. Those that are new are opened first; if one cannot
be, they are closed again and everything is as before. Those that nobody wants any more are given up in good order (see
:mod:`twisted_sip.transport.retiring`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from twisted_sip.errors import ConfigurationError
from twisted_sip.transport.listen import close_place, open_places, stream_factory
from twisted_sip.transport.local_addresses import local_addresses
from twisted_sip.transport.place import Place, Wanted
from twisted_sip.transport.settings import TransportSettings
from twisted_sip.transport.tls import TLSContexts

if TYPE_CHECKING:
    from twisted_sip.transport.layer import TransportLayer


class Relisten:
    """A change of where a transport layer listens and how. Its sockets are open; :meth:`commit` or :meth:`roll_back`
    follows before anything else may happen.

    :ivar opened: the sockets that are new, as ``udp 192.0.2.1:5060``.
    :ivar closed: the sockets that are to be given up.
    """

    def __init__(
        self,
        layer: TransportLayer,
        settings: TransportSettings,
        before: Iterable[str],
        after: Iterable[str],
        addresses: Callable[[], list[str]] = local_addresses,
    ) -> None:
        """Open what is new.

        :param settings: the settings from now on; certificates are read anew in any case.
        :param before: the descriptors listened on until now; sockets for others are left alone.
        :param after: the descriptors to listen on.
        :param addresses: gives the addresses over which a wildcard is spread.
        :raises ConfigurationError: with every fault; everything is as before then.
        """
        self._layer = layer
        self._settings = settings
        self._former = layer.settings, layer.contexts
        mine = set(before)
        self._left = [place for place in layer.places if place.wanted.text in mine]
        self._kept: list[tuple[Place, Wanted]] = []
        self._new: list[Place] = []
        self._known = list(layer.listeners)
        layer.adopt(settings, TLSContexts(settings.tls))
        try:
            if settings.tls.trust_roots:
                # Of connections that are opened later the fault would come too late.
                layer.contexts.client("localhost")
            open_places(layer, after, addresses, self._place_of, self._new)
        except ConfigurationError:
            self.roll_back()
            raise
        self.opened = [str(place) for place in self._new]
        self.closed = [str(place) for place in self._left]

    def _place_of(self, wanted: Wanted) -> Place | None:
        for place in [*self._left, *self._layer.retiring.datagram_places()]:
            if place.serves(wanted):
                if place in self._left:
                    self._left.remove(place)
                elif any(place is kept for kept, _ in self._kept):
                    continue
                self._kept.append((place, wanted))
                return place
        return None

    def roll_back(self) -> None:
        """Have everything as it was."""
        for place in self._new:
            if place.listener in self._known:
                # One that is being given up had the same address.
                place.port.stopListening()
            else:
                close_place(self._layer, place)
        self._layer.adopt(*self._former)

    def commit(self) -> None:
        """Make it so; nothing can go wrong any more."""
        layer = self._layer
        layer.addresses.forget_sources()
        for place, wanted in self._kept:
            layer.retiring.take_back(place)
            self._keep(place, wanted)
        for place in self._new:
            layer.retiring.take_back(place)
            layer.addresses.readvertise(place.listener, place.wanted.advertise)
            layer.opened(place)
        for place in self._left:
            layer.places.remove(place)
            layer.retiring.add(place)
        layer.configure_datagrams()
        if layer.contexts.client_terms != self._former[1].client_terms:
            for flow in layer.connections.flows():
                flow.prove_again()

    def _keep(self, place: Place, wanted: Wanted) -> None:
        layer = self._layer
        if place not in layer.places:
            layer.opened(place)
        if wanted.kind.stream and (wanted.tls is not None or place.wanted.tls is not None):
            # Connections that are there go on as they began.
            _swap_factory(place.port, stream_factory(layer, wanted))
        if place.listener.kind is not wanted.kind:
            layer.retiring.add_listener(place.listener)
            place.listener = layer.listening(wanted.kind, place.address, wanted.advertise)
            layer.retiring.take_back(place)
        else:
            layer.addresses.readvertise(place.listener, wanted.advertise)
        place.wanted = wanted


def _swap_factory(port: Any, factory: Any) -> None:
    factory.doStart()
    before, port.factory = port.factory, factory
    before.doStop()
