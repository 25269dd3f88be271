"""A thermostat that speaks SIP: it reports its state to whoever subscribes, and takes commands as messages.

Its event package, x-home-device, is one of its own. Run it, watch it, and make it warmer::

    python examples/home_device.py 5070
    twisted-sip message sip:thermostat@127.0.0.1:5070 "heat to 21.5"

It believes everybody, so leave it on this host; put it behind a server of yours, and that asks for passwords.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from twisted.internet import reactor
from zope.interface import implementer

from twisted_sip.element.element import Element
from twisted_sip.events.notifier import Notifier
from twisted_sip.interfaces.event_package import Authorization, IEventPackage, Notification
from twisted_sip.interfaces.processing import IncomingRequest, IRequestProcessor, Verdict
from twisted_sip.message.builders import response_to
from twisted_sip.storage.subscription_memory import MemorySubscriptionStore


@implementer(IEventPackage, IRequestProcessor)
class Thermostat:
    """An event package, and the link of the chain that takes commands."""

    event, default_expires, content_types, min_interval = "x-home-device", 3600, ("application/json",), 0.0
    resource = "sip:thermostat@127.0.0.1"
    target = 20.0

    def attached(self, host: Any) -> None:
        self.host = host

    def has_resource(self, resource: str) -> bool:
        return resource == self.resource

    def authorize(self, subscription: Any) -> Authorization:
        return Authorization()

    def notification(self, subscription: Any) -> Notification:
        return Notification(content_type="application/json", body=json.dumps({"target": self.target}).encode())

    def full_state_due(self, subscription: Any) -> None: ...

    def subscriptions_changed(self, subscriptions: Any) -> None: ...

    def process(self, incoming: IncomingRequest) -> Verdict:
        request = incoming.request
        if request.method != "MESSAGE":
            return None
        command = re.fullmatch(rb"heat to (\d{1,2}(\.\d)?)", request.body.strip())
        if command is None:
            return response_to(request, 488, to_tag=incoming.to_tag)
        self.target = float(command[1])
        self.host.changed(self.event, self.resource)
        return response_to(request, 200, to_tag=incoming.to_tag)


def serve(reactor: Any, port: int) -> None:
    """Let a thermostat listen on *port* of the loopback interface, over UDP."""
    element = Element(reactor, domains=["127.0.0.1"])
    notifier = Notifier(element, MemorySubscriptionStore(reactor), claims_all=True)
    notifier.add(thermostat := Thermostat())
    element.chain += [notifier, thermostat]
    element.transports.listen(f"udp:{port}:interface=127.0.0.1")
    notifier.start()
    print(f"listening on port {port}", flush=True)


if __name__ == "__main__":
    serve(reactor, int(sys.argv[1]))
    reactor.run()
