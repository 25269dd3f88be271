"""SIP without a server around it: an element on sockets that the program opens itself, as with any Twisted protocol.

It answers every MESSAGE with its own text, over UDP and TCP::

    python examples/plain_reactor.py --port 5060
    twisted-sip message sip:anybody@127.0.0.1:5060 hello
"""

from __future__ import annotations

import argparse
from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from zope.interface import implementer

from twisted_sip.element.element import Element
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.processing import IncomingRequest, IRequestProcessor, Verdict
from twisted_sip.interfaces.transport_kind import TCP
from twisted_sip.message.builders import response_to
from twisted_sip.transport.datagram import MAX_DATAGRAM, SIPDatagramProtocol
from twisted_sip.transport.stream import SIPFactory


@implementer(IRequestProcessor)
class Parrot:
    """Says what it is told."""

    def process(self, incoming: IncomingRequest) -> Verdict:
        request = incoming.request
        if request.method != "MESSAGE":
            return None
        fields = [("content-type", request.headers.first("content-type") or "text/plain")]
        return response_to(request, 200, "", fields, request.body, incoming.to_tag)


def serve(reactor: Any, port: int) -> Element:
    """Listen on *port*; ``element.transports.stop()`` closes the connections that peers have opened."""
    element = Element(reactor, chain=[Parrot()])
    reactor.listenUDP(port, SIPDatagramProtocol(element), maxPacketSize=MAX_DATAGRAM)

    def listening(port: Any) -> None:
        # So that the element knows its own address over TCP too.
        element.transports.listening(TCP, Address(port.getHost().host, port.getHost().port))
        print(f"listening on port {port.getHost().port}", flush=True)

    serverFromString(reactor, f"tcp:{port}").listen(SIPFactory(element)).addCallback(listening)
    return element


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--port", type=int, default=5060)
    serve(reactor, parser.parse_args().port)
    reactor.run()


if __name__ == "__main__":
    main()
