"""A proxy that differs from the usual one in a single decision: out of hours, calls for the reception go elsewhere.

Run it, register phones as reception and night-desk at the address it prints, and call the reception::

    python examples/night_desk.py --domain 192.0.2.10

It asks nobody for a password; sip_and_http.py shows a server with everything.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from twisted.internet import reactor

from twisted_sip.auth.authenticator import Authenticator
from twisted_sip.auth.settings import AuthSettings
from twisted_sip.element.admission import AdmissionProcessor
from twisted_sip.element.element import Element
from twisted_sip.element.entry import EntryProcessor
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.message.uri import SIPURI
from twisted_sip.proxy.service import ProxyService
from twisted_sip.registrar.service import RegistrarService
from twisted_sip.storage.credentials_memory import MemoryCredentialStore
from twisted_sip.storage.location_memory import MemoryLocationStore


class NightDesk(ProxyService):
    """Sends requests for the reception to the night desk out of hours."""

    open_from, open_until = 8, 18

    def route(self, incoming: IncomingRequest) -> Any:
        uri = incoming.request.uri
        if isinstance(uri, SIPURI) and uri.user == "reception":
            if not self.open_from <= time.localtime().tm_hour < self.open_until:
                incoming.request.set_uri(uri.replace(user="night-desk"))
        return super().route(incoming)


def serve(reactor: Any, domain: str, port: int, desk: type[NightDesk] = NightDesk) -> Element:
    """Put a proxy and registrar for *domain* together and let it listen on *port* over UDP and TCP."""
    element = Element(reactor, domains=[domain])
    location = MemoryLocationStore(reactor)
    authenticator = Authenticator.build(MemoryCredentialStore(), AuthSettings(required=False), reactor.seconds)
    element.chain += [
        EntryProcessor(element.domains),
        AdmissionProcessor(element.domains, element.dialog_tokens, authenticator),
        RegistrarService(location, reactor, element.domains.is_local_uri),
        desk(element, location),
    ]
    element.transports.listen(f"udp:{port}", f"tcp:{port}")
    return element


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--domain", default="127.0.0.1", help="name or address that the phones call their domain")
    parser.add_argument("--port", type=int, default=5060)
    parser.add_argument("--open", default="8-18", metavar="FROM-UNTIL", help="opening hours of the reception")
    options = parser.parse_args()
    first, _, last = options.open.partition("-")
    NightDesk.open_from, NightDesk.open_until = int(first), int(last)
    serve(reactor, options.domain, options.port)
    print(f"listening on port {options.port}", flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
