"""``twisted-sip check``: what is wrong with a configuration and its surroundings, each with its mend."""

from __future__ import annotations

import sys
from pathlib import Path

import attrs
import click
from rich.text import Text

from twisted_sip.cli.dns_findings import dns_findings
from twisted_sip.cli.findings import Finding, local_findings
from twisted_sip.cli.output import console, json_option, print_json
from twisted_sip.cli.traced_message import plain
from twisted_sip.cli.ua_findings import is_for_ua, ua_configuration, ua_findings
from twisted_sip.errors import ConfigurationError
from twisted_sip.tap import configuration
from twisted_sip.tap.configuration import Configuration
from twisted_sip.tap.ua_sections import UAConfiguration

_STYLES = {"ok": "green", "warning": "yellow", "error": "red"}


@click.command()
@click.argument("config", type=click.Path(path_type=Path), required=False)
@click.option("--state-dir", type=click.Path(path_type=Path), metavar="DIR", help="State directory of the server.")
@click.option(
    "--for",
    "wanted",
    type=click.Choice(["server", "sip-ua"]),
    help="What CONFIG is for [server, or sip-ua where it has sections of that].",
)
@click.option("--no-dns", is_flag=True, help="Do not ask name servers.")
@json_option
def check(config: Path | None, state_dir: Path | None, wanted: str | None, no_dns: bool, as_json: bool) -> None:
    """Look for what is wrong: the file CONFIG, ports, certificates, databases, DNS of the domains.

    The exit status is 1 if something would keep the server from working.
    """
    findings: list[Finding] = []
    settings: Configuration | None = None
    agent: UAConfiguration | None = None
    try:
        if wanted == "sip-ua" or (wanted is None and config is not None and is_for_ua(config)):
            agent = ua_configuration(config) if config is not None else UAConfiguration()
            if state_dir is not None:
                agent = attrs.evolve(agent, server=attrs.evolve(agent.server, state_dir=state_dir))
        else:
            settings = _server_settings(config, state_dir)
        if config is not None:
            findings.append(Finding("ok", f"configuration {config}", "has no faults"))
    except ConfigurationError as error:
        findings += faults_of(error)
    if agent is not None:
        findings += ua_findings(agent)
    if settings is not None:
        findings += local_findings(settings)
        if not no_dns:
            findings += dns_findings(settings)
    if as_json:
        print_json([attrs.asdict(finding) for finding in findings])
    else:
        for finding in findings:
            print_finding(finding)
    if any(finding.level == "error" for finding in findings):
        sys.exit(1)


def _server_settings(config: Path | None, state_dir: Path | None) -> Configuration:
    settings = configuration.load(config) if config is not None else Configuration()
    return configuration.overridden(settings, state_dir=str(state_dir or ""))


def faults_of(error: ConfigurationError) -> list[Finding]:
    """Return a finding for each fault of a configuration."""
    return [_of_problem(problem) for problem in error.problems]


def _of_problem(problem: str) -> Finding:
    """Make a finding of a line ``file: key: what is wrong, what would be right``."""
    subject, _, text = problem.partition(": ")
    key, colon, rest = text.partition(": ")
    if colon:
        subject, text = f"{subject}: {key}", rest
    wrong, _, mend = text.partition(", ")
    return Finding("error", subject, wrong, mend)


def print_finding(finding: Finding) -> None:
    """Print *finding* on a line of its own."""
    line = Text(f"{finding.level:<8}", _STYLES[finding.level])
    line.append(f"{plain(finding.subject)}: {plain(finding.text)}", "default")
    if finding.mend:
        line.append(f", {plain(finding.mend)}", "bold")
    console().print(line, soft_wrap=True)
