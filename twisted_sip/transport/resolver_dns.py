"""Questions to the DNS through twisted.names: asked once, remembered for a short while, never for long.

Answers are kept for their TTL within limits, negative ones too (RFC 2308), in a table of bounded size. /etc/hosts and
the names under ``localhost`` (RFC 6761 section 6.3) come before the DNS.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.defer import TimeoutError as DeferTimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.names import dns
from twisted.names.client import Resolver as NamesResolver
from twisted.names.error import AuthoritativeDomainError, DNSFormatError, DomainError
from twisted.python.failure import Failure

from twisted_sip.transport.resolver_addresses import SourceOf, order_addresses, system_source_of
from twisted_sip.transport.resolver_hosts import HostsFile
from twisted_sip.transport.resolver_selection import (
    Answer,
    NAPTRRecord,
    Question,
    QuestionType,
    SRVRecord,
)

log = Logger()

#: twisted.names answers with (answers, authority, additional).
Sections = tuple[Iterable[Any], Iterable[Any], Iterable[Any]]

#: What a resolver says where there is no such name, or nobody answers.
_NO_ANSWER = (DomainError, AuthoritativeDomainError, DeferTimeoutError, NotImplementedError, OSError)

_MAX_RECORDS = 64
_MAX_ALIASES = 4


class Names(Protocol):
    """What is used of twisted.internet.interfaces.IResolver; a fake in tests provides the same."""

    def lookupAddress(self, name: str, timeout: Any = None) -> Deferred[Any]: ...

    def lookupIPV6Address(self, name: str, timeout: Any = None) -> Deferred[Any]: ...

    def lookupService(self, name: str, timeout: Any = None) -> Deferred[Any]: ...

    def lookupNamingAuthorityPointer(self, name: str, timeout: Any = None) -> Deferred[Any]: ...


@attrs.frozen(slots=True, kw_only=True)
class DNSSettings:
    """How long to wait and to remember, in seconds.

    :ivar query_timeouts: when to repeat a query, and after the last one to give it up.
    :ivar min_ttl: answers are kept at least so long.
    :ivar max_ttl: answers are kept no longer, whatever their TTL says.
    :ivar negative_ttl: how long it is remembered that there is nothing.
    :ivar failure_ttl: how long it is remembered that nobody answered.
    :ivar max_entries: how many answers are remembered.
    :ivar max_waiting: how many questions may wait for an answer at one time.
    :ivar ipv6: ask for AAAA records too.
    :ivar ipv4: ask for A records too.
    """

    query_timeouts: tuple[int, ...] = (1, 2)
    min_ttl: float = 1.0
    max_ttl: float = 300.0
    negative_ttl: float = 30.0
    failure_ttl: float = 5.0
    max_entries: int = 2048
    max_waiting: int = 1024
    ipv6: bool = True
    ipv4: bool = True


class DNSQuestions:
    """Answers questions from memory or by asking.

    :ivar waiting: the questions that are out, each with those who wait for it.
    """

    __slots__ = ("_clock", "_hosts", "_names", "_offered_tls", "_settings", "_source_of", "known", "waiting")

    def __init__(
        self,
        clock: IReactorTime,
        names: Names,
        settings: DNSSettings | None = None,
        hosts: Callable[[str], tuple[str, ...]] | None = None,
        source_of: SourceOf = system_source_of,
    ) -> None:
        """Ask *names*; *hosts* gives the numeric hosts of a name from /etc/hosts."""
        self._clock = clock
        self._names = names
        self._settings = settings or DNSSettings()
        self._hosts = hosts if hosts is not None else HostsFile(clock).lookup
        self._source_of = source_of
        self._offered_tls: dict[str, None] = {}
        self.known: dict[Question, tuple[float, Answer]] = {}
        self.waiting: dict[Question, list[Deferred[Answer]]] = {}

    def local(self, name: str) -> tuple[str, ...]:
        """Return the numeric hosts that *name* has on this host without the DNS, none if it has none."""
        settings = self._settings
        if name == "localhost" or name.endswith(".localhost"):
            found: tuple[str, ...] = ("127.0.0.1", "::1")
        else:
            found = self._hosts(name)
        return tuple(host for host in found if (settings.ipv6 if ":" in host else settings.ipv4))

    def ask(self, question: Question) -> Answer | Deferred[Answer]:
        """Return the answer, at once where it is known; an answer without records where there is none.

        The Deferred never fails.
        """
        entry = self.known.get(question)
        if entry is not None:
            if entry[0] > self._clock.seconds():
                return entry[1]
            del self.known[question]
        if question.type is QuestionType.ADDRESS:
            numeric = _numeric(question.name) or self.local(question.name)
            if numeric:
                return Answer(addresses=numeric)
        waiters = self.waiting.get(question)
        result: Deferred[Answer] = Deferred(lambda gone: self._abandon(question, gone))
        if waiters is not None:
            waiters.append(result)
            return result
        if len(self.waiting) >= self._settings.max_waiting:
            log.warn("Too many DNS questions are waiting; {name} is not looked up", name=question.name)
            return Answer()
        self.waiting[question] = [result]
        self._look_up(question).addCallback(self._found, question)
        return result

    def _abandon(self, question: Question, result: Deferred[Answer]) -> None:
        """One who waited has gone; the query itself goes on for the memory's sake, bounded by its timeouts."""
        waiters = self.waiting.get(question)
        if waiters is not None and result in waiters:
            waiters.remove(result)

    def _look_up(self, question: Question) -> Deferred[tuple[Answer, float]]:
        if question.type is QuestionType.NAPTR:
            return self._query(self._names.lookupNamingAuthorityPointer, dns.NAPTR, question.name).addCallback(
                lambda got: (Answer(naptr=_distinct(map(_naptr, got[0]))), got[1])
            )
        if question.type is QuestionType.SRV:
            return self._query(self._names.lookupService, dns.SRV, question.name).addCallback(
                lambda got: (Answer(srv=_distinct(map(_srv, got[0]))), got[1])
            )
        queries = []
        if self._settings.ipv6:
            queries.append(self._query(self._names.lookupIPV6Address, dns.AAAA, question.name))
        if self._settings.ipv4:
            queries.append(self._query(self._names.lookupAddress, dns.A, question.name))
        return gatherResults(queries).addCallback(self._addresses)

    def _addresses(self, results: list[tuple[list[Any], float]]) -> tuple[Answer, float]:
        """Put A and AAAA answers together (RFC 7984 section 3.1)."""
        hosts = [_host(record) for records, _ in results for record in records]
        ttl = min((ttl for records, ttl in results if records or not hosts), default=0.0)
        return Answer(addresses=order_addresses(hosts, self._source_of)), ttl

    def _query(
        self, look_up: Callable[..., Deferred[Any]], type_: int, name: str, aliases: int = 0
    ) -> Deferred[tuple[list[Any], float]]:
        """Ask one query; fires with the records of *type_* (RRHeader) and for how long they hold."""
        settings = self._settings

        def answered(sections: Sections) -> Any:
            answers = list(sections[0])
            records = [record for record in answers if record.type == type_ and record.payload is not None]
            if records:
                ttl = min(record.ttl for record in answers)
                return records[:_MAX_RECORDS], min(max(ttl, settings.min_ttl), settings.max_ttl)
            alias = next((record.payload.name for record in answers if record.type == dns.CNAME), None)
            # The name server gave the alias alone; a chain of them, or a loop, ends soon.
            if alias is not None and aliases < _MAX_ALIASES:
                return self._query(look_up, type_, _text(alias.name), aliases + 1)
            return [], settings.negative_ttl

        def failed(failure: Failure) -> tuple[list[Any], float]:
            if failure.check(*_NO_ANSWER) is None:
                log.failure("DNS look-up of {name} failed", failure=failure, name=name)
                return [], settings.failure_ttl
            negative = failure.check(dns.DomainError, AuthoritativeDomainError, NotImplementedError)
            return [], settings.negative_ttl if negative else settings.failure_ttl

        try:
            asked = look_up(name, timeout=settings.query_timeouts)
        except Exception:
            # A resolver that raises must not leave the question waiting for ever.
            return _fired(failed(Failure()))
        return asked.addCallback(answered).addErrback(failed)

    def _found(self, found: tuple[Answer, float], question: Question) -> None:
        answer, ttl = found
        known = self.known
        if len(known) >= self._settings.max_entries:
            self._make_room()
        known[question] = (self._clock.seconds() + ttl, answer)
        if question.type is QuestionType.NAPTR:
            self._watch_for_bid_down(question.name, answer)
        for waiter in self.waiting.pop(question, ()):
            waiter.callback(answer)

    def _watch_for_bid_down(self, name: str, answer: Answer) -> None:
        """Say so when a domain that offered TLS no longer does: it may be an attack (RFC 3263 section 7)."""
        if any(record.service.lower().startswith("sips+") for record in answer.naptr):
            self._offered_tls.pop(name, None)
            self._offered_tls[name] = None
            if len(self._offered_tls) > self._settings.max_entries:
                del self._offered_tls[next(iter(self._offered_tls))]
        elif name in self._offered_tls:
            del self._offered_tls[name]
            log.warn("{name} offered SIP over TLS in its NAPTR records, and no longer does", name=name)

    def _make_room(self) -> None:
        """Drop what is out of date, and the oldest eighth if that is not enough."""
        now = self._clock.seconds()
        known = self.known
        for question in [question for question, (until, _) in known.items() if until <= now]:
            del known[question]
        if len(known) >= self._settings.max_entries:
            for question in list(known)[: len(known) // 8 + 1]:
                del known[question]


def system_names(reactor: Any, timeouts: tuple[int, ...] = (1, 2)) -> NamesResolver:
    """Return the resolver for the name servers of /etc/resolv.conf.

    Without twisted.names' own cache, which has no bound and would grow with the names that peers make up.
    """
    return _QuietNames("/etc/resolv.conf", None, timeouts, reactor)  # type: ignore[no-untyped-call]


class _QuietNames(NamesResolver):
    """Says nothing of the sockets that it asks by, one for each look-up, and does not ask for ever."""

    def _connectedProtocol(self, interface: str = "") -> Any:
        made = _QuietProtocol(self, reactor=self._reactor)  # type: ignore[no-untyped-call]
        # The system picks a port, one that is free.
        self._reactor.listenUDP(0, made, interface=interface)
        return made

    def queryTCP(self, queries: Any, timeout: Any = None) -> Any:
        """Ask over TCP, for as long as over UDP: also where no connection comes about, or it ends."""
        timeouts: Any = self.timeout
        patience = sum(timeouts)
        asked = super().queryTCP(queries, patience)  # type: ignore[no-untyped-call]
        return asked.addTimeout(patience, self._reactor)

    def filterAnswers(self, message: Any) -> Any:
        """Return what *message* says, asking over TCP for what did not fit into it, once."""
        if message.trunc:
            return self.queryTCP(message.queries).addCallback(self._whole)
        return super().filterAnswers(message)  # type: ignore[no-untyped-call]

    def _whole(self, message: Any) -> Any:
        if message.trunc:
            # Cut off where there was room for all of it: to ask again would bring the same, for ever.
            return Failure(DNSFormatError(message))
        return super().filterAnswers(message)  # type: ignore[no-untyped-call]


class _QuietProtocol(dns.DNSDatagramProtocol):
    noisy = False


def _fired(value: tuple[list[Any], float]) -> Deferred[tuple[list[Any], float]]:
    done: Deferred[tuple[list[Any], float]] = Deferred()
    done.callback(value)
    return done


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace").lower()


def _numeric(name: str) -> tuple[str, ...]:
    """An SRV target may be a number where it should be a name; that is understood."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, name)
        except (OSError, ValueError):
            continue
        return (name,)
    return ()


def _distinct(records: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(records))


def _naptr(record: Any) -> NAPTRRecord:
    payload = record.payload
    return NAPTRRecord(
        payload.order,
        payload.preference,
        _text(payload.flags.string),
        _text(payload.service.string),
        # The case of what it puts in counts (RFC 3402 section 3.2).
        payload.regexp.string.decode("utf-8", "replace"),
        _text(payload.replacement.name),
    )


def _srv(record: Any) -> SRVRecord:
    payload = record.payload
    return SRVRecord(payload.priority, payload.weight, payload.port, _text(payload.target.name))


def _host(record: Any) -> str:
    if record.type == dns.AAAA:
        return socket.inet_ntop(socket.AF_INET6, record.payload.address)
    return str(record.payload.dottedQuad())
