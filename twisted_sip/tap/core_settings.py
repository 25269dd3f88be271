"""What every server takes over of other settings while it runs: listeners, certificates, domains, routes, limits.

See :mod:`twisted_sip.tap.reload`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.logger import Logger

from twisted_sip.element.decisions import Decisions
from twisted_sip.element.element import Element
from twisted_sip.element.trace import Trace
from twisted_sip.proxy.identity import trusts
from twisted_sip.tap.chain import watch_messages
from twisted_sip.tap.hosts import domains_of
from twisted_sip.tap.part import Prepared
from twisted_sip.tap.server_commands import server_commands
from twisted_sip.tap.transport_settings import transport_settings
from twisted_sip.transaction.timers import TimerValues

_log = Logger()

if TYPE_CHECKING:
    from twisted_sip.tap.composition import Server
    from twisted_sip.tap.configuration import Configuration


def warn_of_openness(configuration: Configuration) -> None:
    """Say so in the log where nobody has to prove who he is."""
    if not configuration.auth.required:
        _log.warn(
            "AUTHENTICATION IS OFF: anybody who can reach this server may register as anybody and call through it"
        )


class CoreSettings:
    """The core of a server as one that follows its settings."""

    sections: Sequence[str] = (
        "server",
        "tls",
        "transport",
        "auth",
        "registrar",
        "proxy",
        "limits",
        "storage",
        "trace",
    )
    fixed: Sequence[str] = (
        "server.state_dir",
        "storage",
        "auth.credentials_url",
        "transport.backlog",
        "registrar.reg_event",
    )

    def reload(self, server: Server, configuration: Configuration) -> Prepared | None:
        """Open what is to be listened on, and read the certificates.

        :raises ConfigurationError: one line for each thing that cannot be had.
        """
        element = server.element
        assert element is not None
        domains = domains_of(configuration.server.domains, server.domains)
        also = [text for part in server.parts for text in part.listens(configuration)]
        settings = transport_settings(configuration, domains, also)
        relisten = element.transports.relisten(
            settings, server.configuration.server.listen, configuration.server.listen
        )

        server_trace, required = server.configuration.trace, server.configuration.auth.required

        def commit() -> None:
            relisten.commit()
            server.domains = domains
            element.domains.adopt(domains)
            element.configure(TimerValues(timer_c=configuration.proxy.timer_c), configuration.limits.max_transactions)
            _services(server, configuration)
            if configuration.trace != server_trace:
                _watching(server, element, configuration)
            if configuration.auth.required != required:
                warn_of_openness(configuration)
            if server.control is not None:
                server.control.commands.update(server_commands(server))

        return Prepared(commit, relisten.roll_back, tuple(relisten.opened), tuple(relisten.closed))


def _services(server: Server, configuration: Configuration) -> None:
    server.source_limits.configure(configuration.limits)
    server.gauge.settings = configuration.limits
    if server.authenticator is not None:
        server.authenticator.configure(configuration.auth)
    if server.registrar is not None:
        server.registrar.settings = configuration.registrar
    server.trusted = trusts(configuration.proxy.trusted)
    if server.proxy is not None:
        server.proxy.settings = configuration.proxy
    if server.admission is not None:
        server.admission.follow(configuration)
        server.admission.domain = server.domains[0]


def _watching(server: Server, element: Element, configuration: Configuration) -> None:
    """Keep as many messages and decisions as the settings say."""
    section = configuration.trace
    now = server.reactor.seconds
    if not section.enabled:
        server.trace = None
    elif server.trace is None:
        server.trace = Trace(now, section.calls, section.messages_per_call, section.memory)
    else:
        server.trace.configure(section.calls, section.messages_per_call, section.memory)
    if not section.decisions:
        server.decisions = None
    elif server.decisions is None:
        server.decisions = Decisions(now, section.decisions)
    else:
        server.decisions.resize(section.decisions)
    watch_messages(server, element)
