"""Which servers a URI means, and in which order: RFC 3263 section 4 as a machine without I/O.

:func:`locate` is a generator: it yields the DNS questions that it needs answered, is sent the answers, and returns the
destinations, best first. Also here: the choice of the transport (RFC 3263 section 4.1), the order of NAPTR records
(RFC 3403 section 4) and of SRV records (RFC 2782).
"""

from __future__ import annotations

import enum
import socket
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import NamedTuple

from twisted_sip.errors import ResolutionError
from twisted_sip.interfaces.destination import Destination
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import UDP, TransportKind

#: Nothing that a name server says makes more work than this: NAPTR services, SRV targets and addresses looked at.
MAX_SERVICES = 8
MAX_TARGETS = 16
MAX_ADDRESSES = 16
MAX_DESTINATIONS = 64


class InsecureTransport(ResolutionError):
    """A ``sips`` URI leads to transports that are not secure, so it leads nowhere (RFC 5630 section 5)."""


class NAPTRRecord(NamedTuple):
    """One NAPTR record (RFC 3403 section 4.1)."""

    order: int
    preference: int
    flags: str
    service: str
    regexp: str
    replacement: str


class SRVRecord(NamedTuple):
    """One SRV record (RFC 2782); a root *target* ("." or empty) says that the service is not available."""

    priority: int
    weight: int
    port: int
    target: str


class QuestionType(enum.Enum):
    """What is asked: ADDRESS stands for A and AAAA together (RFC 7984 section 3.1)."""

    NAPTR = "NAPTR"
    SRV = "SRV"
    ADDRESS = "ADDRESS"


class Question(NamedTuple):
    """One question for the DNS."""

    type: QuestionType
    name: str


class Answer(NamedTuple):
    """What is known of a name; everything empty where there is no such record, or no answer.

    :ivar addresses: numeric hosts in the order in which to try them (RFC 6724).
    """

    naptr: tuple[NAPTRRecord, ...] = ()
    srv: tuple[SRVRecord, ...] = ()
    addresses: tuple[str, ...] = ()


class Target(NamedTuple):
    """What is looked for: TARGET of RFC 3263 section 4 and what the URI says beside it.

    :ivar host: the domain or host name, not numeric.
    :ivar port: the explicit port, None if there is none.
    :ivar kind: the transport that was asked for, None if none was.
    :ivar secure: only secure transports will do (``sips``).
    :ivar name: what the peer's certificate must prove.
    """

    host: str
    port: int | None
    kind: TransportKind | None
    secure: bool
    name: str


#: A random integer from 0 up to, and without, its argument.
RandBelow = Callable[[int], int]

Search = Generator[tuple[Question, ...], Sequence[Answer], tuple[Destination, ...]]


def numeric_host(host: str) -> str | None:
    """Return *host* as a numeric host without brackets, None if it is a name."""
    if not host:
        return None
    if host[0] == "[" or ":" in host:
        bare = host[1:-1] if host[0] == "[" and host[-1] == "]" else host
        try:
            return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, bare))
        except (OSError, ValueError):
            raise ResolutionError(f"{host} is no IPv6 address") from None
    if host[0].isdigit():
        try:
            socket.inet_pton(socket.AF_INET, host)
        except (OSError, ValueError):
            # All digits and dots, yet no address: a name cannot end in a numeric label either (RFC 1123 section 2.1).
            if host.rstrip(".").rpartition(".")[2].isdigit():
                raise ResolutionError(f"{host} is no IPv4 address") from None
            return None
        return host
    return None


def choose_kind(parameter: str, secure: bool, kinds: Sequence[TransportKind]) -> TransportKind | None:
    """Return the transport that the ``transport`` URI parameter asks for, None if it is empty (RFC 3263 section 4.1).

    :param secure: the URI is ``sips``: ``tcp`` then means TLS over TCP (RFC 3261 section 26.2.2).
    :param kinds: the transports that we have.
    :raises InsecureTransport: the URI is ``sips`` and it cannot be secured (RFC 5630 section 5: never a downgrade).
    :raises ResolutionError: we do not have it.
    """
    if not parameter:
        return None
    for kind in kinds:
        if kind.parameter == parameter:
            if not secure or kind.secure:
                return kind
            break
    if secure:
        # SIP+D2T and SIPS+D2T run over the same protocol: the secure row of the one that was named.
        service = next(("SIPS" + kind.naptr[3:] for kind in kinds if kind.parameter == parameter), "")
        if not service and parameter == "tcp":
            service = "SIPS+D2T"
        for kind in kinds:
            if kind.secure and kind.naptr == service:
                return kind
        raise InsecureTransport(f"a sips URI cannot be reached over transport={parameter}")
    raise ResolutionError(f"transport={parameter} is not supported")


def default_kind(secure: bool, kinds: Sequence[TransportKind]) -> TransportKind:
    """Return the transport to use where neither URI nor DNS names one: UDP for sip, TLS for sips (section 4.1).

    :raises ResolutionError: we have none that will do.
    """
    if not secure and UDP in kinds:
        return UDP
    for kind in kinds:
        if kind.secure is secure:
            return kind
    if secure:
        raise InsecureTransport("no secure transport for a sips URI")
    raise ResolutionError("no transport for a sip URI")


def order_naptr(
    records: Iterable[NAPTRRecord], secure: bool, kinds: Sequence[TransportKind]
) -> list[tuple[TransportKind, str]]:
    """Return transport and SRV name of each record that we can use, most preferred first (RFC 3263 section 4.1).

    For a ``sips`` URI every service but SIPS is discarded; a ``sip`` URI keeps SIPS services.
    """
    services = {kind.naptr: kind for kind in kinds if kind.secure or not secure}
    usable = []
    for record in records:
        kind = services.get(record.service.upper())
        # Terminal records that lead to SRV, without rewriting: nothing else belongs to this application (section 4.1).
        if kind is None or record.flags.lower() != "s" or record.regexp or not record.replacement.strip("."):
            continue
        usable.append((record.order, record.preference, kind, record.replacement.rstrip(".")))
    usable.sort(key=lambda entry: entry[:2])
    return [(kind, name) for _, _, kind, name in usable[:MAX_SERVICES]]


def order_srv(records: Iterable[SRVRecord], randbelow: RandBelow) -> list[SRVRecord]:
    """Return *records* in the order in which to try them: by priority, then drawn by weight (RFC 2782)."""
    ordered: list[SRVRecord] = []
    by_priority: dict[int, list[SRVRecord]] = {}
    for record in records:
        by_priority.setdefault(record.priority, []).append(record)
    for priority in sorted(by_priority):
        # "all those with weight 0 are placed at the beginning of the list"
        left = sorted(by_priority[priority], key=lambda record: record.weight != 0)
        while len(left) > 1:
            drawn = randbelow(sum(record.weight for record in left) + 1)
            running = 0
            for place, record in enumerate(left):
                running += record.weight
                if running >= drawn:
                    ordered.append(left.pop(place))
                    break
        ordered.extend(left)
    return ordered


def denied(records: Sequence[SRVRecord]) -> bool:
    """Return True if *records* say that the service is decidedly not available at this domain (RFC 2782, Target)."""
    return bool(records) and all(not record.target.strip(".") for record in records)


def locate(target: Target, kinds: Sequence[TransportKind], randbelow: RandBelow) -> Search:
    """Find the destinations of *target*, which is not numeric (RFC 3263 sections 4.1 and 4.2).

    A generator: yields tuples of questions, is sent one answer for each, returns the destinations, never none.

    :raises ResolutionError: there is no server.
    """
    if target.port is not None:
        # An explicit port: A and AAAA only, whatever SRV would say (section 4.2).
        kind = target.kind or default_kind(target.secure, kinds)
        return (yield from _at_host(target, kind, target.port))
    if target.kind is not None:
        services = [(target.kind, f"{target.kind.srv}.{target.host}")]
    else:
        (answer,) = yield (Question(QuestionType.NAPTR, target.host),)
        services = order_naptr(answer.naptr, target.secure, kinds)
        if services:
            return (yield from _in_turn(target, services, randbelow))
        services = [(kind, f"{kind.srv}.{target.host}") for kind in kinds if kind.secure is target.secure]
        if not services:
            # Says what is missing: a transport that is secure, or one that a sip URI may use unasked.
            default_kind(target.secure, kinds)
    return (yield from _side_by_side(target, services, kinds, randbelow))


def _in_turn(target: Target, services: Sequence[tuple[TransportKind, str]], randbelow: RandBelow) -> Search:
    """Follow the NAPTR records: the first service that has servers is the one to use."""
    missing = []
    for kind, name in services:
        (answer,) = yield (Question(QuestionType.SRV, name),)
        if not answer.srv:
            missing.append(kind)
            continue
        found = yield from _at_servers(target, kind, answer.srv, randbelow)
        if found:
            return found
    if missing:
        # No SRV records: A and AAAA of the domain, with the transport found so far (section 4.2).
        return (yield from _at_host(target, missing[0], missing[0].default_port))
    raise ResolutionError(f"no server for {target.host}")


def _side_by_side(
    target: Target,
    services: Sequence[tuple[TransportKind, str]],
    kinds: Sequence[TransportKind],
    randbelow: RandBelow,
) -> Search:
    """Ask for the SRV records of every transport in question and use the first that has servers (section 4.1)."""
    answers = yield tuple(Question(QuestionType.SRV, name) for _, name in services)
    for (kind, _), answer in zip(services, answers, strict=True):
        found = yield from _at_servers(target, kind, answer.srv, randbelow)
        if found:
            return found
    refused = {kind for (kind, _), answer in zip(services, answers, strict=True) if denied(answer.srv)}
    if any(answer.srv for answer in answers) and len(refused) < sum(1 for answer in answers if answer.srv):
        raise ResolutionError(f"the servers of {target.host} have no addresses")
    kind = target.kind or default_kind(target.secure, kinds)
    if kind in refused:
        raise ResolutionError(f"{target.host} offers no such service")
    return (yield from _at_host(target, kind, kind.default_port))


def _at_servers(target: Target, kind: TransportKind, records: Sequence[SRVRecord], randbelow: RandBelow) -> Search:
    """Return the destinations of SRV *records*, possibly none; addresses of two servers never mix (RFC 7984 section
    4)."""
    servers = [record for record in order_srv(records, randbelow) if record.target.strip(".") and record.port]
    del servers[MAX_TARGETS:]
    if not servers:
        return ()
    names = tuple(dict.fromkeys(record.target.rstrip(".") for record in servers))
    answers = yield tuple(Question(QuestionType.ADDRESS, name) for name in names)
    known = {name: answer.addresses for name, answer in zip(names, answers, strict=True)}
    found: dict[Destination, None] = {}
    for record in servers:
        for host in known[record.target.rstrip(".")][:MAX_ADDRESSES]:
            found[Destination(kind, Address(host, record.port), target.name)] = None
    return tuple(found)[:MAX_DESTINATIONS]


def _at_host(target: Target, kind: TransportKind, port: int) -> Search:
    (answer,) = yield (Question(QuestionType.ADDRESS, target.host),)
    if not answer.addresses:
        raise ResolutionError(f"{target.host} has no address")
    return tuple(Destination(kind, Address(host, port), target.name) for host in answer.addresses[:MAX_ADDRESSES])
