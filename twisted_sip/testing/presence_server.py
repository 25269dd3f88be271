"""A simulated server that serves presence as well: PUBLISH, watchers, watcher information, with stores that keep their
promises over crashes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from twisted_sip.events.hosted import HostedSubscription
from twisted_sip.events.notifier import Notifier
from twisted_sip.events.notifier_settings import NotifierSettings
from twisted_sip.interfaces.flow import Flow
from twisted_sip.presence.package import PresencePackage
from twisted_sip.presence.service import PresenceService
from twisted_sip.presence.settings import PresenceSettings
from twisted_sip.presence.watcher_info import WatcherInfoPackage
from twisted_sip.storage.documents_memory import MemoryDocumentStore
from twisted_sip.storage.publication_sqlite import PUBLICATION_FILE, SQLitePublicationStore
from twisted_sip.storage.subscription_sqlite import SUBSCRIPTION_FILE, SQLiteSubscriptionStore
from twisted_sip.tap.gate import Gate
from twisted_sip.testing.network import Network
from twisted_sip.testing.server import SimulatedServer
from twisted_sip.testing.slow_disk import SlowDisk

_METHODS = ("SUBSCRIBE", "PUBLISH")


class SimulatedPresenceServer(SimulatedServer):
    """A registrar, proxy and presence server.

    :ivar presence: its presence service; another one after each restart.
    :ivar notifier: its notifier, likewise.
    :ivar documents: what users keep by XCAP; outlives crashes.
    """

    def __init__(
        self,
        network: Network,
        host: str = "192.0.2.1",
        *,
        directory: Path,
        disk_latency: tuple[float, float] = (0.0, 0.02),
        presence_settings: PresenceSettings | None = None,
        notifier_settings: NotifierSettings | None = None,
        **how: Any,
    ) -> None:
        """Start it.

        :param directory: where the SQLite stores are kept.
        :param disk_latency: the least and the most seconds that each disk takes to write.
        :param how: as for SimulatedServer.
        """
        self.documents = MemoryDocumentStore()
        self._home = directory
        self._latency = disk_latency
        self._presence_settings = presence_settings
        self._notifier_settings = notifier_settings
        super().__init__(network, host, directory=directory, disk_latency=disk_latency, **how)

    def _start(self) -> None:
        super()._start()
        node, element = self.node, self.element
        self._disks = [SlowDisk(node, self._latency) for _ in range(2)]
        self._publications = SQLitePublicationStore(self._home / PUBLICATION_FILE, node, self._disks[0])
        self._subscriptions = SQLiteSubscriptionStore(self._home / SUBSCRIPTION_FILE, node, self._disks[1])
        self.notifier = Notifier(
            element, self._subscriptions, settings=self._notifier_settings, flow_for=self._flow_for
        )
        self.presence = PresenceService(
            element,
            self._publications,
            settings=self._presence_settings,
            documents=self.documents,
            location=self.location,
            authenticated=self._passwords is not None,
        )
        watcher_info = self.presence.watcher_info = WatcherInfoPackage(self.presence, element, self._subscriptions)
        self.notifier.add(PresencePackage(self.presence))
        self.notifier.add(watcher_info)
        gate = Gate(_METHODS)
        element.chain[-1:-1] = [gate, self.notifier, self.presence]
        Deferred.fromCoroutine(self._load()).addCallback(lambda _: gate.open())

    async def _load(self) -> None:
        await self.presence.load()
        await self.notifier.start()

    def _flow_for(self, subscription: HostedSubscription) -> Flow | None:
        flow: Flow | None = self.element.transports.flow_from_token(subscription.flow)
        return flow

    def crash(self) -> None:
        """Die at once, as by kill -9: what is not durable is lost, nobody is told."""
        for disk in self._disks:
            disk.crash()
        self._publications.abandon()
        self._subscriptions.abandon()
        # A process that is no more observes nothing.
        self.presence.stop_observing()
        super().crash()

    def leftovers(self) -> dict[str, Any]:
        """Return what is still held, by name; empty once every deadline has passed and everything has expired."""
        counts = self.notifier.counts()
        held = {
            "publications": len(self.presence.publications),
            "publications by place": len(self.presence.publications.resources("presence")),
            "subscriptions": counts["subscriptions"],
            "watchers": counts["watchers"],
            "NOTIFYs that wait": counts["waiting"],
            "dialogs": len(self.notifier.dialogs),
            "changes of publications": self._publications.waiting,
            "changes of subscriptions": self._subscriptions.waiting,
        }
        return {name: count for name, count in held.items() if count} | super().leftovers()
