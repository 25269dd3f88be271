"""A whole server on a node of the simulated network, which can crash and come back: registrar, admission, proxy.

It has what ``twistd sip-proxy`` has on the way of a request, put together for a simulation: one node, no control
socket, no threads. The location store keeps its promises over crashes: give it a directory for SQLite, or let it
keep what is durable in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted_sip.auth.authenticator import Authenticator
from twisted_sip.auth.settings import AuthSettings
from twisted_sip.element.admission import AdmissionProcessor
from twisted_sip.element.element import Element
from twisted_sip.element.entry import EntryProcessor, OptionsProcessor
from twisted_sip.element.limits import LimitSettings, OverloadGauge, OverloadProcessor, SourceLimits
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.location import ILocationStore
from twisted_sip.interfaces.transport_kind import TCP
from twisted_sip.proxy.service import ProxyService
from twisted_sip.proxy.settings import ProxySettings
from twisted_sip.registrar.service import RegistrarService
from twisted_sip.registrar.settings import RegistrarSettings
from twisted_sip.storage.credentials_memory import MemoryCredentialStore
from twisted_sip.storage.location_memory import MemoryLocationStore
from twisted_sip.storage.location_sqlite import LOCATION_FILE, SQLiteLocationStore
from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.testing.network import Network
from twisted_sip.testing.node import Node
from twisted_sip.testing.phone import leftovers
from twisted_sip.testing.slow_disk import SlowDisk
from twisted_sip.testing.slow_dns import SlowDNS
from twisted_sip.transaction.timers import TimerValues
from twisted_sip.transport.datagram import SIPDatagramProtocol
from twisted_sip.transport.resolver import Resolver
from twisted_sip.transport.settings import TLSSettings, TransportSettings
from twisted_sip.transport.stream import SIPFactory


class SimulatedServer:
    """A registrar and proxy.

    :ivar node: its node; another one after each restart.
    :ivar element: its SIP element; another one after each restart.
    :ivar location: its location store.
    :ivar starts: how often it was started.
    """

    def __init__(
        self,
        network: Network,
        host: str = "192.0.2.1",
        *,
        ipv6_host: str = "",
        domain: str = "example.com",
        dns: FakeDNS | None = None,
        passwords: Mapping[str, str] | None = None,
        directory: Path | None = None,
        disk_latency: tuple[float, float] = (0.0, 0.02),
        proxy_settings: ProxySettings | None = None,
        registrar_settings: RegistrarSettings | None = None,
        timer_values: TimerValues | None = None,
        tls: TLSSettings | None = None,
    ) -> None:
        """Start it.

        :param host: its IPv4 address.
        :param ipv6_host: its IPv6 address, empty for none.
        :param dns: where it finds other domains.
        :param passwords: user -> password; None for a trusted network without authentication.
        :param directory: where the SQLite location store is kept; None for a store in memory, which a crash does not
            touch, as if each change were durable at once.
        :param tls: listen for TLS at port 5061 of the IPv4 address as well, with these.
        :param disk_latency: the least and the most seconds that the disk takes to write.
        """
        self.network = network
        self.host = host
        self.hosts = (host, ipv6_host) if ipv6_host else (host,)
        self._dns = dns or FakeDNS()
        self.domain = domain
        self.starts = 0
        self._passwords = passwords
        self._directory = directory
        self._disk_latency = disk_latency
        self._proxy_settings = proxy_settings
        self._registrar_settings = registrar_settings
        self._timer_values = timer_values
        self._tls = tls
        # What a server keeps in its state directory.
        self._token_key = network.random_bytes(32)
        self._memory: MemoryLocationStore | None = None
        self._start()

    def __repr__(self) -> str:
        return f"<server of {self.domain}>"

    def route(self, transport: str = "udp", *, ipv6: bool = False) -> str:
        """Return what a phone writes into Route to come here."""
        host = f"[{self.hosts[-1]}]" if ipv6 else self.host
        return f"sip:{host};lr" if transport == "udp" else f"sip:{host};transport={transport};lr"

    # -- life ------------------------------------------------------------------------------

    def _start(self) -> None:
        self.starts += 1
        network = self.network
        node: Node = network.node(*self.hosts, name=f"{self.domain} {self.starts}")
        self.node = node
        limits = LimitSettings()
        self.source_limits = SourceLimits(limits, node.seconds)
        resolver = Resolver(node, names=SlowDNS(self._dns, node), randbelow=network.random.randrange)
        self.element = element = Element(
            node,
            resolver=resolver,
            domains=[self.domain],
            token_key=self._token_key,
            random_bytes=network.random_bytes,
            timer_values=self._timer_values,
            admit=self.source_limits.admit,
            transport_settings=TransportSettings(tls=self._tls or TLSSettings()),
        )
        self.location: ILocationStore = self._open_location(node)
        self.authenticator = self._make_authenticator(node)
        admission = AdmissionProcessor(element.domains, element.dialog_tokens, self.authenticator)
        self.registrar = RegistrarService(
            self.location,
            node,
            element.domains.is_local_uri,
            self._registrar_settings,
            user_known=None if self._passwords is None else self._user_known,
            make_tag=element.random_text,
        )
        self.registrar.element = element
        self.proxy = ProxyService(element, self.location, settings=self._proxy_settings)
        element.chain[:] = [
            OverloadProcessor(OverloadGauge(limits, node.seconds)),
            EntryProcessor(element.domains),
            admission,
            OptionsProcessor(element.domains),
            self.registrar,
            self.proxy,
        ]
        for host in self.hosts:
            node.listenUDP(5060, SIPDatagramProtocol(element), interface=host, maxPacketSize=65535)
            node.listenTCP(5060, SIPFactory(element), interface=host)
            element.transports.listening(TCP, Address(host, 5060))
        if self._tls is not None:
            element.transports.listen(f"tls:5061:interface={self.host}")

    def _open_location(self, node: Node) -> ILocationStore:
        if self._directory is not None:
            self._disk = SlowDisk(node, self._disk_latency)
            return SQLiteLocationStore(self._directory / LOCATION_FILE, node, self._disk)
        if self._memory is None:
            # Its clock is that of the network: its timers outlive the node.
            self._memory = MemoryLocationStore(self.network.clock)
        return self._memory

    def _make_authenticator(self, node: Node) -> Authenticator:
        credentials = MemoryCredentialStore()
        for user, password in (self._passwords or {}).items():
            credentials.add(user, self.domain, password)
        settings = AuthSettings(required=self._passwords is not None)
        return Authenticator.build(credentials, settings, node.seconds, self.network.random_bytes)

    def _user_known(self, aor: str) -> bool:
        return aor.removeprefix("sip:").partition("@")[0] in (self._passwords or {})

    @property
    def up(self) -> bool:
        """False between a crash and the restart."""
        return self.node.alive

    def crash(self) -> None:
        """Die at once, as by kill -9: what is not durable is lost, nobody is told."""
        if isinstance(self.location, SQLiteLocationStore):
            self._disk.crash()
            self.location.abandon()
        self.node.crash()

    def restart(self) -> None:
        """Come back after a :meth:`crash`, with what was durable."""
        self._start()

    # -- for tests ---------------------------------------------------------------------------

    def leftovers(self) -> dict[str, Any]:
        """Return what is still held, by name; empty once every deadline has passed and every binding has expired."""
        element, authenticator = self.element, self.authenticator
        authenticator.nonces.expire()
        authenticator.bans.expire()
        held: dict[str, Any] = {
            **leftovers(element),
            "connections": len(element.transports.connections),
            "bindings": len(list(self.location.bindings())),
            "turns at the registrar": len(self.registrar._turns),
            "nonces": len(authenticator.nonces),
            "bans": len(authenticator.bans.list()),
            "sources": len(self.source_limits),
            "changes under way": getattr(self.location, "waiting", 0),
            "calls of the clock": [str(call) for call in self.node.getDelayedCalls()],
        }
        return {name: count for name, count in held.items() if count}
