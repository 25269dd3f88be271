"""Lists as an event package like any other."""

from __future__ import annotations

import unittest
from types import SimpleNamespace
from typing import Any, ClassVar

from twisted.internet.task import Clock

from twisted_sip.documents import resource_lists, rls_services
from twisted_sip.documents.rls_services import RLSService, RLSServices
from twisted_sip.events.hosted import HostedPackage
from twisted_sip.interfaces.documents import Document
from twisted_sip.presence.lists.list_package import ListPackage
from twisted_sip.presence.lists.server import ResourceListServer
from twisted_sip.presence.package import PresencePackage
from twisted_sip.presence.service import PresenceService
from twisted_sip.storage.documents_memory import MemoryDocumentStore
from twisted_sip.storage.publication_memory import MemoryPublicationStore
from twisted_sip.testing.package_contract import EventPackageContract, FakeHost
from twisted_sip.transaction.timers import TimerQueue


class ListPackageTests(EventPackageContract, unittest.TestCase):
    resource = "sip:buddies@example.com"
    watcher = "sip:alice@example.com"
    tells_differences: ClassVar[bool] = True

    def make_package(self, clock: Clock) -> Any:
        documents = MemoryDocumentStore()
        buddies = resource_lists.ResourceList(
            "", (resource_lists.Entry("sip:bob@example.com"), resource_lists.Entry("sip:carol@example.com"))
        )
        services = rls_services.build(RLSServices((RLSService(uri=self.resource, members=buddies),)))
        documents.put(Document(auid="rls-services", owner=self.watcher, name="index", etag="1", content=services))
        domains = SimpleNamespace(is_local_uri=lambda uri: uri.host == "example.com")
        element: Any = SimpleNamespace(
            reactor=clock, timers=TimerQueue(clock), domains=domains, random_text=lambda: "random"
        )
        presence = PresencePackage(PresenceService(element, MemoryPublicationStore(clock)))
        hosted = HostedPackage(presence, min_expires=60, max_expires=3600, option_tags=frozenset())
        host: Any = _Host({"presence": hosted})
        self.host = host
        host.element = element
        presence.attached(host)
        server = ResourceListServer(host, documents)
        return ListPackage(server, presence)


class _Host(FakeHost):
    """A notifier with packages beside the one under test."""

    settings = SimpleNamespace(answer_timeout=10.0)
    element: Any

    def __init__(self, hosted: dict[str, HostedPackage]) -> None:
        super().__init__()
        self.hosted = hosted.get
