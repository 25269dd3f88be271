"""The web sites of servers: as many connections as the settings say, before TLS, and none for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from houses import HOST, House
from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport

from twisted_sip.tap.site_part import SitePart

SETTINGS = """
max_connections = 3
max_connections_per_source = 2
"""


class Wire(StringTransport):
    """A connection that only an abort ends."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


@pytest.fixture
def web(make_house: Callable[..., House]) -> Any:
    made = make_house("presence", SETTINGS)
    (site,) = [part for part in made.server.parts if isinstance(part, SitePart)]
    assert site.web is not None
    return made, site


def connect(site: Any, host: str) -> Any:
    (port,) = site.web.ports.values()
    protocol = port.factory.buildProtocol(IPv4Address("TCP", host, 4000))
    if protocol is not None:
        protocol.wire = Wire()
        protocol.makeConnection(protocol.wire)
    return protocol


def test_connections_of_xcap(web: Any) -> None:
    house, site = web
    first, second = connect(site, "192.0.2.7"), connect(site, "192.0.2.7")
    assert connect(site, "192.0.2.7") is None and connect(site, "192.0.2.8") and connect(site, "192.0.2.9") is None
    first.dataReceived(b"PUT /xcap-root/x HTTP/1.1\r\nContent-Length: 100\r\n\r\n")
    for _ in range(30):
        assert not first.wire.aborted
        first.dataReceived(b"x")
        house.network.advance(1)
    assert first.wire.aborted
    # Others have another minute for their first byte.
    assert not second.wire.aborted
    house.network.advance(60)
    assert second.wire.aborted


def test_a_reload_takes_other_numbers_over(web: Any) -> None:
    house, site = web
    house.text = SETTINGS.replace("3", "5").replace("2", "4")
    connections = site.web.connections
    prepared = site.reload(house.server, house.read())
    assert (connections.most, connections.most_per_source) == (3, 2)
    prepared.commit()
    assert (connections.most, connections.most_per_source) == (5, 4)
    assert f"tcp:8080:interface={HOST}" in house.read().xcap.listen
