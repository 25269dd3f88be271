"""From the options of a twistd command to its service: configuration, log, and words for the one who started it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from twisted.application.service import IServiceCollection, MultiService
from twisted.internet.defer import maybeDeferred
from twisted.logger import ILogObserver, Logger
from twisted.python import usage
from twisted.python.components import Componentized

from twisted_sip.errors import ConfigurationError
from twisted_sip.tap import state
from twisted_sip.tap.collector import keep_one_heap
from twisted_sip.tap.composition import Server
from twisted_sip.tap.configuration import Configuration
from twisted_sip.tap.demo import account_settings, demo_passwords
from twisted_sip.tap.hang_up import HangUp
from twisted_sip.tap.hosts import host_names, is_address
from twisted_sip.tap.options import ServerOptions
from twisted_sip.tap.part import Part
from twisted_sip.tap.reload import reload_logged
from twisted_sip.tap.server_log import ServerLog
from twisted_sip.tap.startup import StartFailure, report_start_failures, stop_with
from twisted_sip.tap.stopping import StoppingSignals
from twisted_sip.transport.descriptors import parse_descriptor

_log = Logger()


class LoggedService(MultiService):
    """What twistd runs: a service whose ``configuration`` says how to log and where its state is.

    :param server: the service.
    :param options: the options of the command; their parent has those of twistd.
    """

    def __init__(self, server: Any, options: usage.Options) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.server = server
        self._twistd: dict[str, Any] = options.parent or {}
        self._log: ServerLog | None = None
        self._hang_up = HangUp(server.reactor, self._read_anew, self._terminal_gone)
        self._stopping = StoppingSignals(server.reactor)
        server.setServiceParent(self)

    def setServiceParent(self, parent: IServiceCollection) -> None:
        """Become part of *parent*, and give a twistd application the log that the configuration asks for."""
        if isinstance(parent, Componentized) and not self._twistd.get("logger") and not self._twistd.get("syslog"):
            self._log = self.server.log_settings = self._server_log()
            parent.setComponent(ILogObserver, self._log)  # type: ignore[no-untyped-call]
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]

    def _server_log(self) -> ServerLog:
        path = self._twistd.get("logfile") or ""
        # A daemon may be told to work in another directory.
        return ServerLog(
            self.server.configuration.log,
            path if path in ("", "-") else os.path.abspath(path),
            "" if self._foreground else os.path.abspath("twistd.log"),
        )

    @property
    def _foreground(self) -> bool:
        return bool(self._twistd.get("nodaemon") or self._twistd.get("debug"))

    def privilegedStartService(self) -> None:
        """Open the ports."""
        with self._failures_logged():
            super().privilegedStartService()  # type: ignore[no-untyped-call]
            if self._twistd.get("uid") is not None:
                state.give_to(self.server.configuration.server.state_dir, self._twistd["uid"], self._twistd.get("gid"))

    @contextlib.contextmanager
    def _failures_logged(self) -> Iterator[None]:
        """Write into the log why a daemon cannot start: of what it raises its starter prints the beginning alone."""
        try:
            yield
        except StartFailure as error:
            if not self._foreground:
                for line in str(error).splitlines():
                    _log.critical("{line}", line=line)
            raise

    def startService(self) -> None:
        """Start the server."""
        # Who is told that it listens may send the signal.
        self._hang_up.install()
        self.server.reactor.callWhenRunning(self._stopping.install)
        with self._failures_logged():
            super().startService()  # type: ignore[no-untyped-call]

    def stopService(self) -> Any:
        """Stop the server."""
        self._hang_up.remove()
        self._stopping.stopping()

        def stopped(result: Any) -> Any:
            self._stopping.remove()
            return result

        return maybeDeferred(super().stopService).addBoth(stopped)

    def _read_anew(self) -> None:
        if self._log is not None:
            self._log.reopen()
        reload_logged(self.server)

    def _terminal_gone(self) -> None:
        _log.info("the terminal is gone")
        self.server.reactor.stop()


class TwistdService(LoggedService):
    """The service of the servers that know users: they may have demo users.

    :param server: the server.
    :param options: the options of the command.
    """

    def __init__(self, server: Server, options: ServerOptions) -> None:
        super().__init__(server, options)
        self._options = options

    def startService(self) -> None:
        """Start the server, then print what to type into two phones."""
        super().startService()
        if self._options["demo"] and self._foreground:
            # Once Control-C is minded: a reader who presses it then shall see no traceback.
            self.server.when_running(_print, accounts(self.server, self.server.demo_passwords))

    def announce(self) -> None:
        """Print now what nobody would see later, when the process has left its terminal."""
        if self._options["demo"] and not self._foreground:
            directory = self.server.configuration.server.state_dir
            state.prepare(directory)
            _print(accounts(self.server, demo_passwords(directory)))


def accounts(server: Server, passwords: dict[str, str]) -> str:
    """Return the account settings of the demo users of *server*, with the ports that it has got if it runs."""
    section = server.configuration.server
    address = section.advertise or _address(server)
    domains = server.domains
    if not section.domains and address in domains:
        domains = (address, *(name for name in domains if name != address))
    return account_settings(passwords, domains, address, _ports(server))


def _address(server: Server) -> str:
    """Return the address at which *server* is reached, whatever the DNS knows of its domains."""
    first = server.domains[0].strip("[]")
    descriptors = [parse_descriptor(text) for text in server.configuration.server.listen]
    bound = [one.interface for one in descriptors if not one.wildcard]
    # An address that this host does not have is that of a NAT in front of it.
    reached = len(bound) < len(descriptors) or first in bound or first not in host_names()
    if is_address(first) and reached:
        return first
    return bound[0] if bound else host_names()[0]


def _ports(server: Server) -> list[str]:
    """Return what people call the places where *server* listens, or is to listen: ``udp 5060``."""
    if server.element is not None:
        listeners = [one for one in server.element.transports.listeners if not one.retired]
        places = [(one.kind, one.address.port) for one in listeners]
    else:
        descriptors = [parse_descriptor(text) for text in server.configuration.server.listen]
        places = [(one.kind, one.port) for one in descriptors]
    return list(dict.fromkeys(f"{kind.parameter} {port or '(its port is in the log)'}" for kind, port in places))


def _print(text: str) -> None:
    # The log has taken sys.stdout over by the time the server has started.
    stream = sys.__stdout__
    if stream is not None:
        stream.write(text)
        stream.flush()


def parts_of(configuration: Configuration) -> list[Part]:
    """Return what a server with presence has beside registrar and proxy."""
    # A server without presence needs neither XML nor HTTP.
    from twisted_sip.tap.packages_part import PackagesPart
    from twisted_sip.tap.presence_part import PresencePart
    from twisted_sip.tap.site_part import SitePart

    presence = PresencePart()
    parts: list[Part] = [presence, PackagesPart(presence)]
    if configuration.xcap.enabled:
        parts.append(SitePart(presence))
    return parts


def parts_without_presence(configuration: Configuration) -> list[Part]:
    """Return what a server without presence has beside registrar and proxy."""
    if not configuration.registrar.reg_event:
        return []
    # Who tells nobody of registrations needs no XML.
    from twisted_sip.tap.reg_event_part import RegEventPart

    return [RegEventPart()]


def watching_parts(configuration: Configuration) -> list[Part]:
    """Return what every server may have for those who look on: metrics, copies of its messages."""
    from twisted_sip.tap.hep_part import HEPPart

    parts: list[Part] = [HEPPart()]
    if configuration.metrics.enabled:
        # Who serves no metrics needs neither HTTP nor what makes them.
        from twisted_sip.tap.metrics_part import MetricsPart

        parts.append(MetricsPart())
    return parts


def make_server(
    options: ServerOptions, *, forwards: bool, presence: bool = False, parts: Sequence[Part] = ()
) -> TwistdService:
    """Return the service of a twistd command.

    :param forwards: it is a proxy.
    :param presence: it serves presence and instant messages.
    :param parts: what else it has.

    A configuration that cannot be used ends the process: every fault on a line of its own, status 1.
    """
    from twisted.internet import reactor

    report_start_failures()
    try:
        configuration: Configuration = options.configuration()
        parts = [
            *parts,
            *watching_parts(configuration),
            *(parts_of if presence else parts_without_presence)(configuration),
        ]
        keep_one_heap()
        server = Server(reactor, configuration, forwards=forwards, demo=bool(options["demo"]), parts=parts)
        server.reread = options.configuration
        if not configuration.auth.required:
            print(
                "WARNING: authentication is off; anybody who can reach this server may register as anybody "
                "and call through it. For trusted networks only!",
                file=sys.stderr,
            )
        service = TwistdService(server, options)
        service.announce()
        reactor.callWhenRunning(server.rest_collector)
        return service
    except ConfigurationError as error:
        stop_with(error.problems)
    except StartFailure as error:
        stop_with(str(error).splitlines())
