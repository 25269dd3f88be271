"""What ``twisted-sip doctor`` finds in the DNS beyond ``twisted-sip check``: do its records fit what is listened on?

A peer asks by RFC 3263 section 4: NAPTR, then SRV, then addresses; each transport leads to a port.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from twisted_sip.cli.findings import Finding
from twisted_sip.errors import ResolutionError, SIPError
from twisted_sip.interfaces.destination import Destination
from twisted_sip.message.uri import SIPURI

#: Seconds that the name servers may take for one question.
_PATIENCE = 10.0


async def port_findings(
    resolver: Any, reactor: Any, domains: Sequence[str], own: set[str], ports: Mapping[str, set[int]]
) -> list[Finding]:
    """Return whether peers that look the *domains* up come to ports that are listened on.

    :param own: the addresses of this host, and those that it is reached by.
    :param ports: transport -> the ports that the server listens on.
    """
    found: list[Finding] = []
    for domain in domains:
        for kind in ports:
            uri = SIPURI.parse(f"sip:{domain};transport={kind}")
            found += _judge(domain, kind, await _asked(resolver, reactor, uri), own, ports)
        if "tls" in ports:
            uri = SIPURI.parse(f"sips:{domain}")
            found += _judge(domain, "sips", await _asked(resolver, reactor, uri), own, ports)
    return found


async def _asked(resolver: Any, reactor: Any, uri: SIPURI) -> Sequence[Destination]:
    """Return where *uri* leads, nowhere if it cannot be found."""

    def too_late(value: Any, timeout: float) -> Any:
        raise ResolutionError("no name server answers")

    try:
        answer = resolver.resolve(uri)
        return await answer.addTimeout(_PATIENCE, reactor, too_late) if isinstance(answer, Deferred) else answer
    except SIPError:
        # That there is no such name is told for the domain as a whole.
        return ()


def _judge(
    domain: str, kind: str, found: Sequence[Destination], own: set[str], ports: Mapping[str, set[int]]
) -> Iterator[Finding]:
    subject = f"DNS of {domain}, {kind}"
    here = [destination for destination in found if destination.address.host in own]
    for destination in here:
        transport, port = destination.kind.parameter, destination.address.port
        listened = ports.get(transport, set())
        if port not in listened:
            known = ", ".join(map(str, sorted(listened))) or "none"
            service = (
                f"_{'sips' if kind in ('tls', 'sips') else 'sip'}._{'udp' if transport == 'udp' else 'tcp'}.{domain}"
            )
            yield Finding(
                "error",
                subject,
                f"leads to {transport} port {port}, which the server does not listen on (but {known})",
                f"correct the SRV record {service}, or [server] listen",
            )
            return
    if here:
        yield Finding("ok", subject, f"leads to port {here[0].address.port} here")
