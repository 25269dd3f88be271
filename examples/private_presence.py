"""A presence server that shows colleagues everything, and others no more than whether somebody is there.

Run it, then publish and watch at its port: ``python examples/private_presence.py example.com 5060``
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import reactor

from twisted_sip.documents.permissions import ALL_PERMISSIONS, EVERYTHING, Permissions, SubHandling
from twisted_sip.presence.service import PresenceService
from twisted_sip.tap.composition import Server
from twisted_sip.tap.configuration import Configuration, overridden
from twisted_sip.tap.presence_part import PresencePart


class PrivatePresence(PresenceService):
    def authorize_watcher(self, resource: str, watcher: str, subscription: Any) -> Permissions:
        if watcher.partition("@")[2] == resource.partition("@")[2]:
            return ALL_PERMISSIONS
        return Permissions(sub_handling=SubHandling.ALLOW, services=EVERYTHING)


class PrivatePart(PresencePart):
    presence_class = PrivatePresence


if __name__ == "__main__":
    domain, port = sys.argv[1:]
    listen = [f"udp:{port}:interface=127.0.0.1"]
    configuration = overridden(Configuration(), domains=[domain], listen=listen, no_auth=True)
    server: Any = Server(reactor, configuration, forwards=False, parts=[PrivatePart()])
    server.startService()
    reactor.addSystemEventTrigger("before", "shutdown", server.stopService)
    print(f"listening on port {port}", flush=True)
    reactor.run()
