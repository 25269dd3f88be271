"""A whole SIP server and a web server in one reactor: http://127.0.0.1:8080/ lists who is registered, as JSON.

The SIP server is the one that ``twistd sip-proxy`` runs, with the same configuration file::

    python examples/sip_and_http.py --config sip.toml --http 8080
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from twisted_sip.errors import SIPError
from twisted_sip.tap import configuration
from twisted_sip.tap.composition import Server
from twisted_sip.tap.configuration import Configuration


class Registered(Resource):
    """Tells who is registered now, and where."""

    isLeaf = True

    def __init__(self, server: Server) -> None:
        Resource.__init__(self)
        self._server = server

    def render_GET(self, request: Request) -> bytes:
        location = self._server.location
        found = [] if location is None else [(binding.aor, binding.contact) for binding in location.bindings()]
        request.setHeader(b"content-type", b"application/json")
        return json.dumps([{"user": aor, "contact": contact} for aor, contact in found]).encode()


def serve(reactor: Any, settings: Configuration, http_port: int) -> None:
    """Start both servers."""
    server = Server(reactor, settings)
    server.startService()
    reactor.addSystemEventTrigger("before", "shutdown", server.stopService)
    web = serverFromString(reactor, f"tcp:{http_port}:interface=127.0.0.1")
    web.listen(Site(Registered(server))).addCallbacks(
        lambda port: print(f"http://127.0.0.1:{port.getHost().port}/", flush=True),
        lambda failure: (print(failure.getErrorMessage(), file=sys.stderr), reactor.stop()),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--config", type=Path, help="configuration file of the SIP server")
    parser.add_argument("--http", type=int, default=8080, metavar="PORT", help="port of the web server")
    options = parser.parse_args()
    try:
        serve(reactor, configuration.load(options.config) if options.config else Configuration(), options.http)
    except SIPError as error:
        sys.exit(str(error))
    reactor.run()


if __name__ == "__main__":
    main()
