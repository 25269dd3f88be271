"""Opening what descriptors say: one socket for each local address, and one clear line for each thing that is wrong.

A wildcard is spread over the addresses of the host, so that the address a message came to is known (RFC 3261 section
18.2.1 and RFC 3581 section 4: answers leave from where the request came in).
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from twisted_sip.errors import ConfigurationError
from twisted_sip.interfaces.flow import Address
from twisted_sip.transport.datagram import SIPDatagramProtocol
from twisted_sip.transport.descriptors import Descriptor, parse_descriptor
from twisted_sip.transport.listener import Listener, bare, is_loopback, is_numeric
from twisted_sip.transport.local_addresses import local_addresses
from twisted_sip.transport.stream import SIPFactory
from twisted_sip.transport.tls import ServerTLS

if TYPE_CHECKING:
    from twisted_sip.transport.layer import TransportLayer

_log = Logger()

# An address that exists but cannot be bound yet or by this family: skipped where it is only one of many.
_UNUSABLE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def open_listeners(
    layer: TransportLayer, texts: Iterable[str], addresses: Callable[[], list[str]] = local_addresses
) -> list[Listener]:
    """Open the sockets that descriptors ask for.

    :param addresses: gives the addresses over which a wildcard is spread.
    :raises ConfigurationError: with every fault of every descriptor; nothing is left open then.
    """
    problems: list[str] = []
    opened: list[tuple[IListeningPort, Listener]] = []
    for text in texts:
        try:
            descriptor = parse_descriptor(text)
            opened += _open(layer, descriptor, addresses)
        except ConfigurationError as error:
            problems.extend(error.problems)
    if problems:
        for port, listener in opened:
            port.stopListening()
            layer.addresses.remove(listener)
        raise ConfigurationError(problems)
    for port, _ in opened:
        layer.opened(port)
    return [listener for _, listener in opened]


def _open(
    layer: TransportLayer, descriptor: Descriptor, addresses: Callable[[], list[str]]
) -> list[tuple[IListeningPort, Listener]]:
    creator = _server_tls(layer, descriptor) if descriptor.kind.secure else None
    hosts = _hosts(descriptor, addresses)
    port = descriptor.port
    opened: list[tuple[IListeningPort, Listener]] = []
    problems: list[str] = []
    for host in hosts:
        try:
            pair = _listen(layer, descriptor, Address(host, port), creator)
        except CannotListenError as error:
            code = getattr(error.socketError, "errno", None)
            if descriptor.wildcard and code in _UNUSABLE:
                _log.warn("{address} cannot be listened on", address=Address(host, port))
                continue
            problems.append(f"listen {descriptor.text}: {_explain(code, error, host, port)}")
            continue
        opened.append(pair)
        # With port 0 the first address chooses for all.
        port = pair[1].address.port
    if not opened and not problems:
        problems.append(f"listen {descriptor.text}: this host has no such address, choose another interface")
    if problems:
        for listening, listener in opened:
            listening.stopListening()
            layer.addresses.remove(listener)
        raise ConfigurationError(problems)
    return opened


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


def _listen(
    layer: TransportLayer, descriptor: Descriptor, address: Address, creator: ServerTLS | None
) -> tuple[IListeningPort, Listener]:
    advertise = _advertised(layer, descriptor, address.host)
    port: Any
    if not descriptor.kind.stream:
        protocol = SIPDatagramProtocol(layer, advertise)
        port = layer.sockets.listen_datagram(protocol, address)
        return port, protocol.listener
    factory: Any = SIPFactory(layer, descriptor.kind)
    if creator is not None:
        factory = layer.sockets.serve_tls(creator, factory)
    port = layer.sockets.listen_stream(factory, address)
    bound = Address(address.host, port.getHost().port)
    return port, layer.listening(descriptor.kind, bound, advertise)


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
