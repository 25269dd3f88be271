"""The devices of a user, and the ways to them (RFC 3261 section 16.5, RFC 5626 section 6, RFC 5630 section 5.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import isawaitable
from typing import Any

import attrs

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.location import Binding, ILocationStore
from twisted_sip.interfaces.routing import Target
from twisted_sip.interfaces.transport_kind import TRANSPORT_KINDS
from twisted_sip.message.gruu import instance_key, public_gruu
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI, URI

#: How often a user may be forwarded to another one by a contact.
_DEPTH = 8

#: Via transports under which congestion is controlled (RFC 3428 section 8); WebSockets and SCTP beside ours.
_SAFE = frozenset(kind.token for kind in TRANSPORT_KINDS.values() if kind.reliable) | {
    "WS",
    "WSS",
    "SCTP",
    "TLS-SCTP",
}


@attrs.frozen(slots=True, kw_only=True)
class Device:
    """One device of a user.

    :ivar id: what makes it itself: ``+sip.instance``, else its contact.
    :ivar ways: how to reach it, the best one first: with Outbound each is another flow, tried one after the other.
    """

    id: str
    ways: tuple[Target, ...]

    @property
    def congestion_safe(self) -> bool:
        """True if every way to it is known to control congestion at every hop (RFC 3428 section 8)."""
        return all(map(_congestion_safe, self.ways))


def _congestion_safe(target: Target) -> bool:
    if target.flow is not None:
        return target.flow.kind.reliable
    uri = target.uri
    if target.path or not isinstance(uri, SIPURI):
        # What follows the first of several hops is not known.
        return False
    if target.secure or uri.secure:
        return True
    return (uri.transport or "").upper() in _SAFE


def came_safely(request: Request) -> bool:
    """Tell whether every hop that *request* has taken controls congestion (RFC 3428 section 8)."""
    try:
        return all(via.transport in _SAFE for via in request.vias)
    except RemoteProtocolError:
        return False


class Devices:
    """Finds devices.

    :param location: the bindings.
    :param target_of: makes a target of a binding, as LocationRouter.target_of does: its flow, its Path; raises
        RemoteProtocolError for one that cannot be used.
    :param is_local_uri: tells whether a URI is in one of our domains.
    """

    def __init__(
        self,
        location: ILocationStore,
        target_of: Callable[[Binding], Target],
        is_local_uri: Callable[[URI], bool],
    ) -> None:
        self.location = location
        self._target_of = target_of
        self._is_local_uri = is_local_uri

    async def of(self, aor: str, *, secure: bool = False, instance: str = "", most: int = 32) -> list[Device]:
        """Return the devices of *aor*, that which registered last first.

        :param secure: those with a ``sips`` contact alone: the request was for a ``sips`` URI.
        :param instance: that with this instance key alone: the request was for a GRUU (RFC 5627 section 6.1).
        :param most: no more than so many.
        :raises StoreError: the bindings cannot be read.
        """
        found: dict[str, list[Target]] = {}
        places: set[Any] = set()
        for target in await self._targets(aor, {aor}, 0):
            fitting = _fitting(target, secure)
            if fitting is not None and instance:
                fitting = self._of_instance(fitting, aor, instance)
            if fitting is None:
                continue
            place = (str(fitting.uri), fitting.flow, fitting.path)
            if place in places and not fitting.flow_lost:
                # RFC 3261 section 16.5: no target twice.
                continue
            places.add(place)
            found.setdefault(target.instance or target.key or str(target.uri), []).append(fitting)
        return [Device(id=name, ways=tuple(ways)) for name, ways in list(found.items())[:most]]

    def _of_instance(self, target: Target, aor: str, instance: str) -> Target | None:
        """Return *target* if it leads to this instance of *aor*: a GRUU means one device, and forwards to nobody."""
        if target.aor == aor and target.instance and instance_key(target.instance) == instance:
            return target
        uri = target.uri
        if target.path and not target.instance and isinstance(uri, SIPURI) and uri.address_of_record == aor:
            # Whoever is registered is known further on.
            return attrs.evolve(target, uri=SIPURI.parse(public_gruu(aor, instance, secure=uri.secure)))
        return None

    async def _targets(self, aor: str, known: set[str], depth: int) -> list[Target]:
        bindings: Any = self.location.lookup(aor)
        if isawaitable(bindings):
            bindings = await bindings
        targets: list[Target] = []
        for binding in _latest_first(bindings):
            try:
                target = self._target_of(binding)
            except RemoteProtocolError:
                continue
            uri = target.uri
            if target.flow is None and not target.path and self._is_local_uri(uri):
                # A contact that forwards to another user of ours: his devices stand for it.
                other = uri.address_of_record if isinstance(uri, SIPURI) and uri.user and not uri.headers else ""
                if other and other not in known and depth < _DEPTH:
                    known.add(other)
                    targets += await self._targets(other, known, depth + 1)
                continue
            targets.append(target)
        return targets


def _latest_first(bindings: Sequence[Binding]) -> list[Binding]:
    return sorted(bindings, key=lambda binding: -binding.registered_at)


def _fitting(target: Target, secure: bool) -> Target | None:
    """Return *target* in the form in which the request may go there, None if it may not (RFC 5630 section 5.3)."""
    uri = target.uri
    if not isinstance(uri, SIPURI) or uri.scheme != "sips":
        return None if secure else target
    if secure:
        return target
    return attrs.evolve(target, uri=uri.replace(scheme="sip"), secure=not target.path)
