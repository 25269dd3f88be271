"""The life of a server from its start to its end: ports, stores, element, services, control socket.

What requests meet in it is built in :mod:`twisted_sip.tap.chain`.

Ports are opened with the privileges that the process was started with; everything else after they have been given up,
in the process that stays.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip import __version__
from twisted_sip.auth.authenticator import Authenticator
from twisted_sip.auth.bans import Bans
from twisted_sip.element.decisions import Decisions
from twisted_sip.element.element import Element
from twisted_sip.element.limits import OverloadGauge, SourceLimits
from twisted_sip.element.trace import Trace
from twisted_sip.errors import ConfigurationError, StoreError
from twisted_sip.proxy.identity import trusts
from twisted_sip.proxy.service import ProxyService
from twisted_sip.registrar.service import RegistrarService
from twisted_sip.storage.call_policy_sqlite import SQLiteCallPolicyStore
from twisted_sip.storage.credentials_sqlite import SQLiteCredentialStore
from twisted_sip.storage.location_sqlite import SQLiteLocationStore
from twisted_sip.tap import state
from twisted_sip.tap.admitting import KnownUsers, ServerAdmission
from twisted_sip.tap.chain import build_chain
from twisted_sip.tap.collector import Collector
from twisted_sip.tap.configuration import Configuration
from twisted_sip.tap.control import ControlSocket
from twisted_sip.tap.core_settings import CoreSettings, warn_of_openness
from twisted_sip.tap.demo import demo_passwords, store_demo_users
from twisted_sip.tap.hosts import domains_of
from twisted_sip.tap.part import Part
from twisted_sip.tap.push_part import PushPart
from twisted_sip.tap.reload import Follower, Reload, reload, reread
from twisted_sip.tap.routing_part import RoutingPart
from twisted_sip.tap.server_commands import server_commands
from twisted_sip.tap.startup import StartFailure
from twisted_sip.tap.status import element_counts, fill, listening
from twisted_sip.tap.stores import open_call_policies, open_location, open_users
from twisted_sip.tap.transport_settings import transport_settings
from twisted_sip.transaction.timers import TimerValues
from twisted_sip.transport.rounds import Rounds

_log = Logger()

#: Seconds between two looks for bans and nonces that have ended.
_SWEEP = 60.0


class Server(MultiService):
    """A whole server: start it and it serves, stop it and everything acknowledged is on disk.

    A subclass may name services of its own in ``proxy_class`` and ``registrar_class``.

    :ivar reactor: the reactor that it runs in.
    :ivar configuration: the settings.
    :ivar domains: the domains it is responsible for.
    :ivar element: the SIP element, None before the first start.
    :ivar location: the bindings, None before the first start.
    :ivar credentials: the users, None before the first start.
    :ivar call_policies: what becomes of calls to users, None before the first start.
    :ivar bans: who is not listened to.
    :ivar trace: the messages kept, None if that is switched off.
    :ivar reread: gives the configuration as it is written now, and raises ConfigurationError with its faults;
        :meth:`reload` asks, and :meth:`reload_soon` in a thread.
    :ivar decisions: why requests went the way they did, None if that is not kept.
    """

    #: The services that are made; subclasses of these.
    proxy_class: type[ProxyService] = ProxyService
    registrar_class: type[RegistrarService] = RegistrarService

    def __init__(
        self,
        reactor: Any,
        configuration: Configuration,
        *,
        forwards: bool = True,
        demo: bool = False,
        parts: Sequence[Part] = (),
    ) -> None:
        """Make a server that is not started.

        :param reactor: the reactor to run in.
        :param forwards: True for a proxy and registrar, False for a registrar alone.
        :param demo: make the demo users.
        :param parts: what it has beside registrar and proxy.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self.configuration = configuration
        self.domains: Sequence[str] = domains_of(configuration.server.domains)
        self.reread: Callable[[], Configuration] = lambda: self.configuration
        self.reloads = DeferredLock()
        self.control: ControlSocket | None = None
        self.admission: ServerAdmission | None = None
        self.trusted: Callable[[str], bool] = trusts(configuration.proxy.trusted)
        self.log_settings: Follower | None = None
        self.forwards = forwards
        self.registers = not configuration.presence.outbound_proxy or forwards
        self.user_known: KnownUsers | None = None
        self.routing = RoutingPart()
        self.push = PushPart()
        self.parts = [self.routing, self.push, *parts]
        self.demo_passwords: dict[str, str] = {}
        self._demo = demo
        self.reactor = reactor
        self.element: Element | None = None
        self.location: SQLiteLocationStore | None = None
        self.credentials: SQLiteCredentialStore | None = None
        self.call_policies: SQLiteCallPolicyStore | None = None
        self.authenticator: Authenticator | None = None
        self.registrar: RegistrarService | None = None
        self.proxy: ProxyService | None = None
        now = reactor.seconds
        self.bans = Bans(configuration.auth, now)
        self.source_limits = SourceLimits(configuration.limits, now)
        self.gauge = OverloadGauge(configuration.limits, now, self._fill)
        section = configuration.trace
        self.trace = Trace(now, section.calls, section.messages_per_call, section.memory) if section.enabled else None
        self.decisions = Decisions(now, section.decisions) if section.decisions else None
        self._loops: list[LoopingCall] = []
        self._started = 0.0
        self._backlog = 0.0

    # -- start -----------------------------------------------------------------------

    def privilegedStartService(self) -> None:
        """Open the ports.

        :raises StartFailure: with one line for each reason.
        """
        if self.element is not None:
            return
        configuration = self.configuration
        directory = configuration.server.state_dir
        state.prepare(directory)
        try:
            settings = transport_settings(
                configuration, self.domains, [text for part in self.parts for text in part.listens(configuration)]
            )
            element = Element(
                self.reactor,
                domains=self.domains,
                transport_settings=settings,
                timer_values=TimerValues(timer_c=configuration.proxy.timer_c),
                token_key=state.secret_key(directory),
                max_transactions=configuration.limits.max_transactions,
                admit=self.source_limits.admit,
            )
            element.transports.listen(*configuration.server.listen)
        except ConfigurationError as error:
            raise StartFailure("\n".join(error.problems)) from error
        self.element = element
        super().privilegedStartService()  # type: ignore[no-untyped-call]

    def startService(self) -> None:
        """Open the stores and begin to serve.

        :raises StartFailure: with one line for each reason; nothing is left open then.
        """
        self.privilegedStartService()
        assert self.element is not None
        try:
            self._open_stores()
            self._build_services(self.element)
            super().startService()  # type: ignore[no-untyped-call]
        except (StartFailure, StoreError) as error:
            self._abandon()
            raise StartFailure(str(error)) from error
        self._started = self.reactor.seconds()
        self._loop(self._tick, OverloadGauge.INTERVAL)
        self._loop(self._sweep, _SWEEP)
        for transport, addresses in listening(self.element).items():
            _log.info("listening over {transport} on {addresses}", transport=transport, addresses=", ".join(addresses))
        warn_of_openness(self.configuration)

    def _open_stores(self) -> None:
        section = self.configuration.storage
        directory = section.directory or self.configuration.server.state_dir
        self.credentials = open_users(section, directory, self.reactor)
        self.call_policies = open_call_policies(section, directory, self.reactor)
        self.location = open_location(section, directory, self.reactor, self.rounds)
        for part in self.parts:
            part.open_stores(self, directory)
        if self._demo:
            self.demo_passwords = demo_passwords(self.configuration.server.state_dir)
            store_demo_users(self.credentials, self.demo_passwords, self.realms())

    @property
    def rounds(self) -> Rounds:
        """Where threads report; once its ports are open."""
        assert self.element is not None
        return self.element.transports.rounds

    def realms(self) -> tuple[str, ...]:
        """Return the realms of our users: the configured one, or each domain."""
        realm = self.configuration.auth.realm
        return (realm,) if realm else tuple(dict.fromkeys(name.lower().strip("[]") for name in self.domains))

    def _build_services(self, element: Element) -> None:
        services = build_chain(self, element)
        self.control = ControlSocket(self.reactor, self.configuration.server.state_dir, server_commands(self))
        for service in [*services, self.control]:
            if IService.providedBy(service):
                service.setServiceParent(self)

    def _loop(self, work: Any, interval: float) -> None:
        loop = LoopingCall(work)
        loop.clock = self.reactor
        loop.start(interval, now=False).addErrback(self._loop_failed)
        self._loops.append(loop)

    @staticmethod
    def _loop_failed(failure: Failure) -> None:
        _log.failure("a periodic task has ended", failure)

    def when_running(self, function: Any, *args: Any) -> None:
        """Call *function* when the reactor runs; at once if it does."""
        self.reactor.callWhenRunning(function, *args)

    def rest_collector(self) -> None:
        """Have the garbage collector keep out of the way; for a process that is this server and nothing else."""
        collector = Collector(self._transactions, self._ended)
        collector.settle()
        self._loop(collector.tick, Collector.INTERVAL)

    def _transactions(self) -> int:
        return sum(self.element.transactions.counts().values()) if self.element is not None else 0

    def _ended(self) -> int:
        return self.element.transports.connections.ended if self.element is not None else 0

    # -- while it runs -----------------------------------------------------------------

    def _fill(self) -> float:
        return 0.0 if self.element is None else max(fill(self.element, self.configuration.limits), self._backlog)

    def _tick(self) -> None:
        self.gauge.tick()
        if self.element is not None:
            self._backlog = self.element.transports.backlog()

    def followers(self) -> list[Follower]:
        """Return who has settings that may change while it runs."""
        return [CoreSettings(), *self.parts, *([] if self.log_settings is None else [self.log_settings])]

    def reload(self, dry_run: bool = False) -> Reload:
        """Take over the settings that :attr:`reread` gives; calls in progress go on.

        :param dry_run: look whether all of them can be had, and change nothing.
        :returns: what has changed, and what cannot change before the next start.
        :raises ConfigurationError: with every fault; nothing has changed then.
        """
        return reload(self, self.reread(), dry_run=dry_run)

    def reload_soon(self, dry_run: bool = False) -> Deferred[Reload]:
        """Do what :meth:`reload` does, with :attr:`reread` called in a thread: requests go on meanwhile.

        :returns: fires with what has changed, or fails with ConfigurationError.
        """
        return reread(self, dry_run)

    def _sweep(self) -> None:
        if self.authenticator is not None:
            self.authenticator.expire()
        if self.element is not None:
            self.element.dead_targets.expire()

    @property
    def started(self) -> float:
        """When it was started, in seconds since the epoch."""
        return self._started

    def counts(self) -> dict[str, Any]:
        """Return how much it holds, and what it has refused since its start, by the names of the status page."""
        assert self.element is not None and self.location is not None
        counts: dict[str, Any] = {
            "bindings": len(self.location),
            **element_counts(self.element),
            "bans": len(self.bans.list()),
            "messages refused": self.source_limits.refused,
            "requests shed": self.gauge.shed,
            "load": round(self.gauge.load, 3),
        }
        if self.trace is not None:
            counts["traced calls"] = len(self.trace)
        for part in self.parts:
            counts |= part.counts()
        return counts

    def status(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return how the server is doing, for the control socket."""
        assert self.element is not None
        return {
            "version": __version__,
            "pid": os.getpid(),
            "time": time.time(),
            "uptime": self.reactor.seconds() - self._started,
            "domains": list(self.domains),
            "realm": self.configuration.auth.realm,
            "listening": listening(self.element),
            "counts": self.counts(),
        }

    # -- stop --------------------------------------------------------------------------

    def _abandon(self) -> None:
        """Give back what a start that failed has taken."""
        for part in self.parts:
            Deferred.fromCoroutine(part.close()).addErrback(self._loop_failed)
        for store in (self.credentials, self.call_policies):
            if store is not None:
                store.close()
        if self.location is not None:
            self.location.close().addErrback(self._loop_failed)
        if self.element is not None:
            self.element.stop().addErrback(self._loop_failed)
        self.element = self.location = self.credentials = self.call_policies = None

    def stopService(self) -> Deferred[None]:
        """Close the ports, then the stores.

        :returns: fires with None when every acknowledged change is on disk and every socket is closed.
        """
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for loop in self._loops:
            if loop.running:
                loop.stop()
        self._loops.clear()
        element, self.element = self.element, None
        location, self.location = self.location, None
        users = (self.credentials, self.call_policies)
        self.credentials = self.call_policies = None
        try:
            await super().stopService()  # type: ignore[no-untyped-call]
            if element is not None:
                await element.stop()
        finally:
            for service in list(self):
                await _gone(service)
            for part in self.parts:
                await part.close()
            if location is not None:
                await location.close()
            for store in users:
                if store is not None:
                    store.close()


async def _gone(service: IService) -> None:
    result = service.disownServiceParent()
    if isinstance(result, Deferred):
        await result
