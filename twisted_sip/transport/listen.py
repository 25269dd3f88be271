"""Opening what descriptors say: one socket for each local address, and one clear line for each thing that is wrong.

A wildcard is spread over the addresses of the host, so that the address a message came to is known (RFC 3261 section
18.2.1 and RFC 3581 section 4: answers leave from where the request came in).
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from twisted_sip.errors import ConfigurationError
from twisted_sip.interfaces.flow import Address
from twisted_sip.transport.datagram import SIPDatagramProtocol
from twisted_sip.transport.descriptors import Descriptor, parse_descriptor
from twisted_sip.transport.listener import Listener, bare, is_loopback, is_numeric
from twisted_sip.transport.local_addresses import local_addresses
from twisted_sip.transport.place import Place, Wanted
from twisted_sip.transport.stream import SIPFactory
from twisted_sip.transport.tls import ServerTLS

if TYPE_CHECKING:
    from twisted_sip.transport.layer import TransportLayer

_log = Logger()

# An address that exists but cannot be bound yet or by this family: skipped where it is only one of many.
_UNUSABLE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

#: How often a free port is chosen that has to be free on several addresses.
_CHOICES = 16

#: Gives the socket that is open already for what is wanted, None to open one.
Known = Callable[[Wanted], Place | None]


def open_listeners(
    layer: TransportLayer, texts: Iterable[str], addresses: Callable[[], list[str]] = local_addresses
) -> list[Listener]:
    """Open the sockets that descriptors ask for.

    :param addresses: gives the addresses over which a wildcard is spread.
    :raises ConfigurationError: with every fault of every descriptor; nothing is left open then.
    """
    opened: list[Place] = []
    try:
        open_places(layer, texts, addresses, lambda wanted: None, opened)
    except ConfigurationError:
        for place in opened:
            close_place(layer, place)
        raise
    for place in opened:
        layer.opened(place)
    return [place.listener for place in opened]


def open_places(
    layer: TransportLayer,
    texts: Iterable[str],
    addresses: Callable[[], list[str]],
    known: Known,
    opened: list[Place],
) -> None:
    """Open the sockets that descriptors ask for and that are not *known*, and add them to *opened*.

    :raises ConfigurationError: with every fault of every descriptor; those opened until then are in *opened*.
    """
    problems: list[str] = []
    for text in texts:
        try:
            problems += _open(layer, parse_descriptor(text), addresses, known, opened)
        except ConfigurationError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigurationError(problems)


def close_place(layer: TransportLayer, place: Place) -> None:
    """Close a socket that has just been opened."""
    place.port.stopListening()
    layer.addresses.remove(place.listener)


def _open(
    layer: TransportLayer,
    descriptor: Descriptor,
    addresses: Callable[[], list[str]],
    known: Known,
    opened: list[Place],
) -> list[str]:
    """Open what is missing of *descriptor*; return what is wrong."""
    for left in reversed(range(1 if descriptor.port else _CHOICES)):
        made: list[Place] = []
        faults, taken = _open_all(layer, descriptor, addresses, known, made)
        if not (taken and left):
            break
        # The port that the first address has chosen is not free on another one: it chooses again.
        for place in made:
            close_place(layer, place)
    opened += made
    return faults


def _open_all(
    layer: TransportLayer,
    descriptor: Descriptor,
    addresses: Callable[[], list[str]],
    known: Known,
    made: list[Place],
) -> tuple[list[str], bool]:
    """Open what is missing of *descriptor*.

    :return: what is wrong, and whether the port that was chosen for all addresses is taken on one of them.
    """
    found = 0
    port = 0
    faults: list[str] = []
    taken = False
    for wanted in _wanted(layer, descriptor, addresses):
        place = known(wanted)
        if place is None:
            # With port 0 the first address chooses for all.
            address = Address(wanted.address.host, wanted.address.port or port)
            try:
                place = _listen(layer, wanted, address)
            except CannotListenError as error:
                code = getattr(error.socketError, "errno", None)
                if wanted.spread and code in _UNUSABLE:
                    _log.warn("{address} cannot be listened on", address=address)
                    continue
                taken = taken or (code == errno.EADDRINUSE and bool(made) and not wanted.address.port)
                faults.append(f"listen {descriptor.text}: {_explain(code, error, *address)}")
                continue
            made.append(place)
        found += 1
        port = place.address.port
    if not found and not faults:
        faults.append(f"listen {descriptor.text}: this host has no such address, choose another interface")
    return faults, taken


def _wanted(layer: TransportLayer, descriptor: Descriptor, addresses: Callable[[], list[str]]) -> list[Wanted]:
    tls = _server_tls(layer, descriptor) if descriptor.kind.secure else None
    return [
        Wanted(
            descriptor.text,
            descriptor.kind,
            Address(host, descriptor.port),
            _advertised(layer, descriptor, host),
            tls,
            descriptor.wildcard,
        )
        for host in _hosts(descriptor, addresses)
    ]


def _server_tls(layer: TransportLayer, descriptor: Descriptor) -> ServerTLS:
    try:
        return layer.contexts.server((descriptor.certificate,) if descriptor.certificate else ())
    except ConfigurationError as error:
        raise ConfigurationError([f"listen {descriptor.text}: {problem}" for problem in error.problems]) from error


def _hosts(descriptor: Descriptor, addresses: Callable[[], list[str]]) -> list[str]:
    if not descriptor.wildcard:
        return [descriptor.interface]
    hosts = addresses()
    if descriptor.interface:
        hosts = [host for host in hosts if (":" in host) == (":" in descriptor.interface)]
    return hosts


def _listen(layer: TransportLayer, wanted: Wanted, address: Address) -> Place:
    port: Any
    if not wanted.kind.stream:
        protocol = SIPDatagramProtocol(layer, wanted.advertise)
        port = layer.sockets.listen_datagram(protocol, address)
        return Place(wanted, port, protocol.listener)
    port = layer.sockets.listen_stream(stream_factory(layer, wanted), address)
    bound = Address(address.host, port.getHost().port)
    return Place(wanted, port, layer.listening(wanted.kind, bound, wanted.advertise))


def stream_factory(layer: TransportLayer, wanted: Wanted) -> Any:
    """Return the factory of the connections that peers open to the socket that is *wanted*."""
    factory = SIPFactory(layer, wanted.kind)
    return factory if wanted.tls is None else layer.sockets.serve_tls(wanted.tls, factory)


def _advertised(layer: TransportLayer, descriptor: Descriptor, host: str) -> str:
    """Return what peers of the socket at *host* are told instead of it, an empty string for *host* itself."""
    if descriptor.advertise is not None:
        return descriptor.advertise
    advertise = layer.settings.advertise
    name = bare(advertise.rpartition("]")[0] + "]") if advertise.startswith("[") else advertise.partition(":")[0]
    if descriptor.wildcard and is_loopback(host):
        # Peers on this host reach it by its loopback address; one that is asked for by name is another matter.
        return ""
    if is_numeric(name) and (":" in name) != (":" in host):
        return ""
    return advertise


def _explain(code: int | None, error: CannotListenError, host: str, port: int) -> str:
    where = f"port {port} on {host}"
    if code == errno.EADDRINUSE:
        return f"{where} is in use, stop what uses it or choose another port"
    if code == errno.EACCES:
        return f"{where} needs more rights, run as a user who has them or choose a port above 1023"
    if code in _UNUSABLE:
        return f"{host} is no address of this host, choose one that is"
    return f"{where} cannot be listened on: {error.socketError}"
