"""``twisted-sip doctor``: looks a server over, with its machine and its network; every finding with its mend.

``twisted-sip check`` asks whether a server would start well with a file on this host. The doctor asks that too, and
then looks at what a file cannot tell: the clock, the disk, who may read secrets, limits of the system, the chain of
certificates, whether the server that runs is the one in the file and answers on its ports, and what its registrations
and traced messages tell of NAT.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import click

from twisted_sip.cli.check import faults_of, print_finding
from twisted_sip.cli.control_client import ControlClient, NoAnswer, NoServer
from twisted_sip.cli.dns_findings import dns_findings, numeric
from twisted_sip.cli.doctor_dns import port_findings
from twisted_sip.cli.doctor_machine import clock_findings, file_findings, limit_findings, skew_findings
from twisted_sip.cli.doctor_nat import nat_findings, read_traffic
from twisted_sip.cli.doctor_server import listening, reach_findings, server_findings
from twisted_sip.cli.doctor_tls import chain_findings, served_findings
from twisted_sip.cli.findings import Finding, local_findings
from twisted_sip.cli.output import Failed, json_option, print_json
from twisted_sip.errors import ConfigurationError
from twisted_sip.tap import configuration
from twisted_sip.tap.configuration import Configuration
from twisted_sip.transport.descriptors import parse_descriptor

#: Traced calls that are looked at, the newest.
_CALLS = 200


@attrs.frozen(slots=True)
class Running:
    """What the running server tells of itself.

    :ivar status: as ``twisted-sip status``.
    :ivar contacts: its bindings.
    :ivar messages: the messages of its newest traced calls.
    """

    status: dict[str, Any]
    contacts: list[dict[str, Any]]
    messages: list[dict[str, Any]]


@click.command()
@click.argument("config", type=click.Path(path_type=Path), required=False)
@click.option("--state-dir", type=click.Path(path_type=Path), metavar="DIR", help="State directory of the server.")
@click.option("--no-dns", is_flag=True, help="Do not ask name servers.")
@click.option("--no-reach", is_flag=True, help="Do not send OPTIONS to the ports of the server.")
@click.option("--ntp", default="", metavar="HOST", help="Compare the clock with that of this time server.")
@click.option("--strict", is_flag=True, help="Warnings make the exit status 1 too.")
@click.option("--quiet", "-q", is_flag=True, help="Leave out what is well.")
@json_option
def doctor(
    config: Path | None,
    state_dir: Path | None,
    no_dns: bool,
    no_reach: bool,
    ntp: str,
    strict: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Look a server over: the file CONFIG, this machine, and the server that runs with the state directory.

    Beside what `twisted-sip check` finds: clock, disk, who may read keys and databases, open files, the chain of the
    certificates and what is shown to peers, ports that answer, DNS records that lead to other ports, private addresses
    where somebody outside should use them. The exit status is 1 if something is wrong.
    """
    settings, findings = Configuration(), []
    try:
        settings = configuration.load(config) if config is not None else settings
        settings = configuration.overridden(settings, state_dir=str(state_dir or ""))
        findings = [Finding("ok", f"configuration {config}", "has no faults")] if config is not None else []
        findings += examined(settings, config is not None, dns=not no_dns, reach=not no_reach, ntp=ntp)
    except ConfigurationError as error:
        findings = faults_of(error)
    wrong = ("error", "warning") if strict else ("error",)
    shown = [finding for finding in findings if not (quiet and finding.level == "ok")]
    if as_json:
        print_json([attrs.asdict(finding) for finding in shown])
    else:
        for finding in shown:
            print_finding(finding)
        print_finding(_summary(findings))
    if any(finding.level in wrong for finding in findings):
        sys.exit(1)


def _summary(findings: list[Finding]) -> Finding:
    counts = {level: sum(finding.level == level for finding in findings) for level in ("error", "warning")}
    if not any(counts.values()):
        return Finding("ok", "all in all", f"{len(findings)} things were looked at, all are well")
    words = [f"{count} {level}{'s' if count > 1 else ''}" for level, count in counts.items() if count]
    return Finding("error" if counts["error"] else "warning", "all in all", " and ".join(words))


def examined(
    settings: Configuration, from_file: bool, *, dns: bool = True, reach: bool = True, ntp: str = ""
) -> Iterator[Finding]:
    """Yield all that is found.

    :param from_file: the settings were read from a file, and are not the defaults.
    :param dns: ask name servers.
    :param reach: send OPTIONS to the ports of the server.
    :param ntp: a time server to compare the clock with, empty for none.
    """
    directory = settings.server.state_dir
    running: Running | None = None
    try:
        running = _ask(directory)
    except NoServer:
        yield Finding("warning", "server", f"none runs with {directory}", "start it, or name another --state-dir")
    except NoAnswer as error:
        yield Finding("error", "server", error.message, "see what it does or waits for (top, its log), or restart it")
    except Failed as error:
        yield Finding("error", "server", error.message, "run this as the user of the server")
    # Before any database is opened: that takes the rights of others away.
    files = list(file_findings(settings))
    yield from files
    yield from local_findings(settings, {finding.subject for finding in files if finding.level == "error"})
    yield from chain_findings(settings)
    yield from clock_findings(directory, ntp)
    if running is None:
        yield from limit_findings(settings)
    else:
        yield from _of_server(running, settings, from_file, reach)
    if dns:
        yield from _names(settings, running)


def _ask(directory: Path) -> Running:
    with ControlClient(directory) as server:
        status = server.ask("status")
        contacts = _optional(server, "contacts")
        messages: list[dict[str, Any]] = []
        for call in _optional(server, "trace-list", count=_CALLS):
            try:
                messages += server.ask("trace", call_id=call["call_id"])["messages"]
            except Failed:
                # It has gone from the trace meanwhile.
                continue
        return Running(status, contacts, messages)


def _optional(server: ControlClient, command: str, **arguments: Any) -> list[dict[str, Any]]:
    """Return what *command* lists, nothing where the server does not know it or keeps none of it."""
    try:
        found: list[dict[str, Any]] = server.ask(command, **arguments)
    except Failed:
        return []
    return found


def _of_server(running: Running, settings: Configuration, from_file: bool, reach: bool) -> Iterator[Finding]:
    status = running.status
    advertised = settings.server.advertise
    yield from server_findings(status, settings if from_file else None)
    yield from limit_findings(settings, status["pid"])
    traffic = read_traffic(running.messages)
    yield from skew_findings(traffic.skews)
    hosts = [host for kind in status["listening"] for host, _ in listening(status, kind)]
    yield from nat_findings(hosts, advertised, running.contacts, traffic)
    if reach:
        yield from reach_findings(status, advertised)
        yield from served_findings(settings, listening(status, "tls"))


def _names(settings: Configuration, running: Running | None) -> list[Finding]:
    """Ask name servers about the domains; runs the reactor."""
    if running is not None:
        ports = {kind: {port for _, port in listening(running.status, kind)} for kind in running.status["listening"]}
    else:
        ports = {}
        for text in settings.server.listen:
            descriptor = parse_descriptor(text)
            ports.setdefault(descriptor.kind.parameter, set()).add(descriptor.port)
    domains = [name for name in settings.server.domains if not numeric(name)]
    return dns_findings(settings, lambda resolver, reactor, own: port_findings(resolver, reactor, domains, own, ports))
