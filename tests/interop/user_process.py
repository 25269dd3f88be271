"""A user who watches and keeps documents by the library: told on standard input what to do, tells on standard output.

Arguments: address-of-record, password, URI of the SIP server, transport, XCAP root, certificate of the HTTPS server.
Lines in: ``watch URI EVENT``, ``unwatch URI EVENT``, ``put AUID TYPE FILE``, ``delete AUID``. Lines out: JSON.
"""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import Any

import treq
from twisted.internet import reactor, task
from twisted.internet.defer import Deferred
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.internet.stdio import StandardIO
from twisted.protocols.basic import LineOnlyReceiver
from twisted.web.client import Agent
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from twisted_sip.auth.client import DigestClient
from twisted_sip.dialog.subscriber import Notified
from twisted_sip.documents.pidf import Presence
from twisted_sip.documents.winfo import WinfoDocument
from twisted_sip.element.element import Element
from twisted_sip.errors import SIPError
from twisted_sip.events.subscriber import Subscriber
from twisted_sip.events.subscription import Subscription
from twisted_sip.transport.settings import TLSSettings, TransportSettings
from twisted_sip.xcap.client import XCAPClient, XCAPError


@implementer(IPolicyForHTTPS)
class OneCertificate:
    """Believes in one certificate, which is for the domain and not for the address that it is reached at."""

    def __init__(self, path: str, domain: str) -> None:
        self._path = Path(path)
        self._domain = domain

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        return optionsForClientTLS(self._domain, trustRoot=Certificate.loadPEM(self._path.read_bytes()))


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


class Orders(LineOnlyReceiver):
    """What is to be done."""

    delimiter = b"\n"

    def __init__(self, aor: str, password: str, server: str, root: str, certificate: str) -> None:
        self.aor = aor
        self.server = server
        settings = TransportSettings(tls=TLSSettings(verify_peers=False))
        self.element = Element(reactor, transport_settings=settings)
        self.subscriber = Subscriber(self.element)
        self.element.chain.append(self.subscriber)
        name, _, domain = aor.removeprefix("sip:").partition("@")
        self.digest = DigestClient(name, password)
        self.documents = XCAPClient(
            root,
            aor,
            password=password,
            request=functools.partial(
                treq.request, agent=Agent(reactor, OneCertificate(certificate, domain)), persistent=False
            ),
        )
        self.subscriptions: dict[tuple[str, str], Subscription] = {}
        self.over: Deferred[None] = Deferred()

    def lineReceived(self, line: bytes) -> None:
        order, *words = line.decode().split()
        Deferred.fromCoroutine(getattr(self, order)(*words)).addErrback(lambda failure: failure.printTraceback())

    def connectionLost(self, reason: object = None) -> None:
        self.over.callback(None)

    async def watch(self, uri: str, event: str) -> None:
        def told(notified: Notified) -> None:
            tell(told=uri, event=event, state=notified.state, reason=notified.reason, **contents(notified))

        self.subscriptions[uri, event] = subscription = self.subscriber.subscribe(
            uri,
            event,
            from_=f"<{self.aor}>",
            on_notify=told,
            credentials=self.digest,
            route=[f"<{self.server};lr>"],
        )
        await subscription.when_over()
        tell(over=uri, event=event, reason=subscription.reason, status=subscription.status)

    async def unwatch(self, uri: str, event: str) -> None:
        await self.subscriptions[uri, event].unsubscribe()

    async def put(self, auid: str, kind: str, path: str) -> None:
        try:
            tell(put=auid, etag=await self.documents.put_document(auid, Path(path).read_bytes(), kind))
        except XCAPError as error:
            tell(put=auid, error=str(error), status=error.status)

    async def delete(self, auid: str) -> None:
        try:
            await self.documents.delete_document(auid)
            tell(deleted=auid)
        except XCAPError as error:
            tell(deleted=auid, error=str(error), status=error.status)


def contents(notified: Notified) -> dict[str, Any]:
    """Return what a NOTIFY has told, as JSON can say it."""
    found: dict[str, Any] = {"cseq": notified.request.cseq.number, "body": notified.body.decode()}
    try:
        if notified.content_type == "application/watcherinfo+xml":
            document = WinfoDocument.parse(notified.body)
            found["watchers"] = [[each.uri, each.status, each.event] for row in document.lists for each in row.watchers]
        elif notified.content_type == "application/pidf+xml":
            found["basic"] = Presence.parse(notified.body).basic
    except SIPError as error:
        found["error"] = str(error)
    return found


async def main(reactor: Any, aor: str, password: str, server: str, transport: str, root: str, certificate: str) -> None:
    orders = Orders(aor, password, server, root, certificate)
    orders.element.transports.listen(*(f"{kind}:0:interface=127.0.0.1" for kind in ("udp", "tcp")))
    StandardIO(orders)
    tell(ready=aor)
    await orders.over
    await orders.subscriber.stop()
    await orders.element.stop()


task.react(lambda reactor: Deferred.fromCoroutine(main(reactor, *sys.argv[1:])))
