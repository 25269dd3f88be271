"""Takes call records and charges users: ``python examples/billing.py PORT``; ``[accounting] url`` leads there."""

import json
import sqlite3
import sys
from typing import Any

from twisted.internet import endpoints, reactor
from twisted.web.resource import Resource
from twisted.web.server import Site

PRICE = 0.02

database = sqlite3.connect("charges.db", isolation_level=None)
database.execute("CREATE TABLE IF NOT EXISTS charge (id TEXT PRIMARY KEY, user TEXT, callee TEXT, amount REAL)")


class Billing(Resource):
    isLeaf = True

    def render_POST(self, request: Any) -> bytes:
        ended = [record for record in json.load(request.content) if record["event"] == "ended" and record["answered"]]
        rows = [(record["id"], record["user"], record["callee"], record["seconds"] / 60 * PRICE) for record in ended]
        # What is told twice is charged once; 200 goes out when it is on disk, else it is told again.
        database.executemany("INSERT OR IGNORE INTO charge VALUES (?, ?, ?, ?)", rows)
        return b""


endpoint = endpoints.serverFromString(reactor, f"tcp:{sys.argv[1]}:interface=127.0.0.1")
endpoint.listen(Site(Billing()))
print("ready", flush=True)
reactor.run()
