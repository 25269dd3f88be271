"""The event package reg as a part of a server without presence: users are told of their registrations (RFC 3680)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.element.element import Element
from twisted_sip.events.notifier import Notifier
from twisted_sip.events.reg_package import RegPackage
from twisted_sip.events.watcher_flows import WatcherFlows
from twisted_sip.message.request import Request
from twisted_sip.storage.batch_writer import WriterThread
from twisted_sip.storage.subscription_sqlite import SUBSCRIPTION_FILE, SQLiteSubscriptionStore
from twisted_sip.tap.gate import Gate
from twisted_sip.tap.notifier_reload import FIXED_EVENTS, configure_notifier
from twisted_sip.tap.part import Part, Prepared

if TYPE_CHECKING:
    from twisted_sip.tap.composition import Server
    from twisted_sip.tap.configuration import Configuration

_log = Logger()


class RegEventPart(Part):
    """The part.

    :ivar notifier: serves the subscriptions, None before the start.
    """

    sections = ("events",)
    fixed = FIXED_EVENTS

    def __init__(self) -> None:
        self.notifier: Notifier | None = None
        self._subscriptions: SQLiteSubscriptionStore | None = None
        self._flows: WatcherFlows | None = None
        self._package: RegPackage | None = None

    def open_stores(self, server: Server, directory: Path) -> None:
        section = server.configuration.storage
        self._subscriptions = SQLiteSubscriptionStore(
            directory / SUBSCRIPTION_FILE,
            server.reactor,
            WriterThread(server.rounds, "subscriptions"),
            interval=section.flush_interval,
            batch_size=section.batch_size,
            timeout=section.lock_timeout,
        )

    def links(self, server: Server, element: Element) -> Sequence[Any]:
        location, registrar = server.location, server.registrar
        assert location is not None and registrar is not None and self._subscriptions is not None
        flows = self._flows = WatcherFlows(element.transports.flow_from_token, location)
        self.notifier = Notifier(
            element,
            self._subscriptions,
            settings=server.configuration.events,
            flow_for=flows.find,
            claims_all=not server.forwards,
        )
        flows.observe(self.notifier.delivery)
        self._package = RegPackage(location, server.reactor, gruus=registrar.gruus_of)
        self.notifier.add(self._package)
        gate = Gate(("SUBSCRIBE",))
        self.notifier.start().addCallbacks(lambda _: gate.open(), self._not_loaded, errbackArgs=(gate,))
        return [gate, self.notifier]

    def _not_loaded(self, failure: Failure, gate: Gate) -> None:
        if self.notifier is not None:
            # The server has not been stopped meanwhile.
            _log.critical("nobody is told of registrations: {reason}", reason=failure.getErrorMessage())
        gate.shut()

    def reload(self, server: Server, configuration: Configuration) -> Prepared | None:
        """Make ready for other settings; what was granted stays granted."""

        def commit() -> None:
            if self.notifier is not None:
                configure_notifier(self.notifier, configuration.events)

        return Prepared(commit)

    def claims(self, request: Request) -> bool:
        return request.method == "SUBSCRIBE" and self.notifier is not None and self.notifier.claims(request)

    def methods(self) -> Sequence[str]:
        return ("SUBSCRIBE",)

    def events(self) -> Sequence[str]:
        return () if self.notifier is None else tuple(self.notifier.events)

    def counts(self) -> Mapping[str, Any]:
        return {} if self.notifier is None else {"subscriptions": self.notifier.counts()["subscriptions"]}

    async def close(self) -> None:
        notifier, self.notifier = self.notifier, None
        if notifier is not None:
            notifier.stop()
        if self._flows is not None:
            self._flows.close()
        if self._package is not None:
            self._package.stop()
        subscriptions, self._subscriptions = self._subscriptions, None
        if subscriptions is not None:
            await subscriptions.close()
