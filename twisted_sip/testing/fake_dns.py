"""A DNS in memory, with the look-ups of a twisted.names resolver that twisted_sip.transport.resolver uses.

Give it to ``Resolver(clock, names=FakeDNS(...))``: names resolve as the test says, and nothing leaves the process.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.names import dns
from twisted.names.error import DNSNameError, DNSQueryTimeoutError

_TYPES = {"A": dns.A, "AAAA": dns.AAAA, "SRV": dns.SRV, "NAPTR": dns.NAPTR, "CNAME": dns.CNAME}

#: (answers, authority, additional)
_Sections = tuple[list[Any], list[Any], list[Any]]


class FakeDNS:
    """Zones in memory.

    :ivar queries: (type, name) of every look-up, in order.
    :ivar failures: name -> the exception with which its look-ups fail.
    :ivar hold: while True look-ups wait for :meth:`release`.
    """

    def __init__(self) -> None:
        self.queries: list[tuple[str, str]] = []
        self.failures: dict[str, Exception] = {}
        self.hold = False
        self._zone: dict[tuple[str, str], list[Any]] = {}
        self._held: list[tuple[Deferred[_Sections], str, str]] = []

    # -- what there is -----------------------------------------------------------

    def a(self, name: str, *hosts: str, ttl: int = 60) -> FakeDNS:
        """Add A records."""
        return self._add("A", name, ttl, [dns.Record_A(host, ttl) for host in hosts])

    def aaaa(self, name: str, *hosts: str, ttl: int = 60) -> FakeDNS:
        """Add AAAA records."""
        return self._add("AAAA", name, ttl, [dns.Record_AAAA(host, ttl) for host in hosts])

    def srv(self, name: str, priority: int, weight: int, port: int, target: str, ttl: int = 60) -> FakeDNS:
        """Add an SRV record."""
        return self._add("SRV", name, ttl, [dns.Record_SRV(priority, weight, port, target, ttl)])

    def naptr(
        self,
        name: str,
        order: int,
        preference: int,
        service: str,
        replacement: str,
        *,
        flags: str = "s",
        regexp: str = "",
        ttl: int = 60,
    ) -> FakeDNS:
        """Add a NAPTR record."""
        record = dns.Record_NAPTR(
            order, preference, flags.encode(), service.encode(), regexp.encode(), replacement.encode(), ttl
        )
        return self._add("NAPTR", name, ttl, [record])

    def cname(self, name: str, target: str, ttl: int = 60) -> FakeDNS:
        """Make *name* an alias; look-ups of any type answer with the alias alone."""
        return self._add("CNAME", name, ttl, [dns.Record_CNAME(target, ttl)])

    def _add(self, type_: str, name: str, ttl: int, payloads: list[Any]) -> FakeDNS:
        headers = [dns.RRHeader(name, _TYPES[type_], dns.IN, ttl, payload) for payload in payloads]
        self._zone.setdefault((type_, name.lower()), []).extend(headers)
        return self

    def release(self) -> None:
        """Answer the look-ups that were held, and hold no more."""
        self.hold = False
        held, self._held = self._held, []
        for waiting, type_, name in held:
            self._answer(type_, name).chainDeferred(waiting)

    def time_out(self) -> None:
        """Let the look-ups that were held fail as if no name server had answered."""
        held, self._held = self._held, []
        for waiting, _, name in held:
            waiting.errback(DNSQueryTimeoutError(name))

    # -- the look-ups of a twisted.names resolver -----------------------------------

    def lookupAddress(self, name: str, timeout: Any = None) -> Deferred[Any]:
        """Look up A records."""
        return self._look_up("A", name)

    def lookupIPV6Address(self, name: str, timeout: Any = None) -> Deferred[Any]:
        """Look up AAAA records."""
        return self._look_up("AAAA", name)

    def lookupService(self, name: str, timeout: Any = None) -> Deferred[Any]:
        """Look up SRV records."""
        return self._look_up("SRV", name)

    def lookupNamingAuthorityPointer(self, name: str, timeout: Any = None) -> Deferred[Any]:
        """Look up NAPTR records."""
        return self._look_up("NAPTR", name)

    def _look_up(self, type_: str, name: str) -> Deferred[Any]:
        self.queries.append((type_, name))
        if self.hold:
            waiting: Deferred[_Sections] = Deferred()
            self._held.append((waiting, type_, name))
            return waiting
        return self._answer(type_, name)

    def _answer(self, type_: str, name: str) -> Deferred[_Sections]:
        failure = self.failures.get(name)
        if failure is not None:
            return fail(failure)
        records = self._zone.get((type_, name.lower())) or self._zone.get(("CNAME", name.lower()))
        if records is None:
            return fail(DNSNameError(name))
        return succeed((list(records), [], []))
