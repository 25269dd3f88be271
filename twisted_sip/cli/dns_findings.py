"""Do the domains lead to this server? What ``twisted-sip check`` finds in the DNS (RFC 3263)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeAlias

from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.logger import globalLogBeginner

from twisted_sip.cli.findings import Finding
from twisted_sip.errors import ResolutionError, SIPError
from twisted_sip.interfaces.destination import Destination
from twisted_sip.message.uri import SIPURI
from twisted_sip.tap.configuration import Configuration
from twisted_sip.tap.hosts import host_names
from twisted_sip.transport.resolver import Resolver

#: Seconds that the name servers may take for one domain.
_PATIENCE = 10.0


#: Looks further: given the resolver, the reactor, and the addresses by which this host is reached.
More: TypeAlias = Callable[[Resolver, Any, set[str]], Coroutine[Any, Any, list[Finding]]]


def dns_findings(configuration: Configuration, more: More | None = None) -> list[Finding]:
    """Return what is found about the configured domains and the advertised name; runs the reactor.

    :param more: what to find beside, where there is a domain or a name to look up at all.
    """
    findings: list[Finding] = []
    domains = [name for name in configuration.server.domains if not numeric(name)]
    advertise = configuration.server.advertise
    if not domains and (not advertise or numeric(advertise)):
        return findings

    async def run(reactor: Any) -> None:
        resolver = Resolver(reactor)
        try:
            own = await own_addresses(resolver, reactor, configuration)
            findings.extend(await domain_findings(resolver, reactor, configuration, own))
            if more is not None:
                findings.extend(await more(resolver, reactor, own))
        finally:
            resolver.stop()

    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False, discardBuffer=True)
    try:
        task.react(lambda reactor: Deferred.fromCoroutine(run(reactor)))
    except SystemExit as end:
        if end.code not in (0, None):
            findings.append(Finding("warning", "DNS", "the look-ups were interrupted", "try again"))
    return findings


async def domain_findings(
    resolver: Resolver, reactor: Any, configuration: Configuration, own: set[str]
) -> list[Finding]:
    """Return whether the configured domains and the advertised name lead to *own*, the addresses of this host."""
    findings: list[Finding] = []
    advertise = configuration.server.advertise
    if advertise and not numeric(advertise):
        _, fault = await _look_up(resolver, reactor, advertise)
        if fault:
            findings.append(Finding("error", f"advertise {advertise}", fault, "publish an A or AAAA record for it"))
    for domain in configuration.server.domains:
        if not numeric(domain):
            found, fault = await _look_up(resolver, reactor, domain)
            findings.append(_judge(domain, found, fault, own))
    return findings


async def own_addresses(resolver: Resolver, reactor: Any, configuration: Configuration) -> set[str]:
    """Return the addresses of this host and those that it advertises."""
    own = {name for name in host_names() if numeric(name)}
    advertise = configuration.server.advertise
    if advertise and not numeric(advertise):
        found, _ = await _look_up(resolver, reactor, advertise)
        own |= {destination.address.host for destination in found}
    elif advertise:
        own.add(advertise.strip("[]"))
    return own


async def _look_up(resolver: Resolver, reactor: Any, name: str) -> tuple[Sequence[Destination], str]:
    """Return where *name* leads, or what is wrong with it."""

    def too_late(value: Any, timeout: float) -> Any:
        raise ResolutionError("no name server answers")

    try:
        found = resolver.resolve(SIPURI.parse(f"sip:{name}"))
        return (await found.addTimeout(_PATIENCE, reactor, too_late) if isinstance(found, Deferred) else found), ""
    except SIPError as error:
        return (), str(error)


def _judge(domain: str, found: Sequence[Destination], fault: str, own: set[str]) -> Finding:
    subject = f"DNS of {domain}"
    if fault:
        return Finding("warning", subject, fault, f"publish SRV records _sip._udp.{domain}, or an A or AAAA record")
    leads = ", ".join(dict.fromkeys(f"{destination.kind.parameter} {destination.address}" for destination in found))
    if any(destination.address.host in own for destination in found):
        return Finding("ok", subject, f"leads here: {leads}")
    return Finding(
        "warning",
        subject,
        f"leads elsewhere: {leads}",
        "let it lead to this host, or set [server] advertise if this host has that address outside",
    )


def numeric(host: str) -> bool:
    """Tell whether *host* is an address."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
