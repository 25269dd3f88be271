"""Listening elsewhere while messages come and go: what stays, what is given up, and nothing at all where it fails."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.errors import ConfigurationError
from twisted_sip.interfaces.destination import Destination
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TCP, TLS, UDP
from twisted_sip.testing.network import Network
from twisted_sip.transport.certificates import utc_now
from twisted_sip.transport.layer import TransportLayer
from twisted_sip.transport.relisten import Relisten
from twisted_sip.transport.self_signed import make_self_signed
from twisted_sip.transport.settings import CertificateFiles, TLSSettings, TransportSettings

HOST, SECOND, PHONE = "192.0.2.1", "192.0.2.2", "192.0.2.9"
UDP_1, TCP_1 = f"udp:5060:interface={HOST}", f"tcp:5060:interface={HOST}"
UDP_2, TCP_2 = f"udp:5070:interface={HOST}", f"tcp:5070:interface={HOST}"

OPTIONS = b"""OPTIONS sip:192.0.2.1 SIP/2.0
Via: SIP/2.0/%s 192.0.2.9:5060;branch=z9hG4bK%d
From: <sip:a@192.0.2.9>;tag=1
To: <sip:192.0.2.1>
Call-ID: %d
CSeq: 1 OPTIONS
Max-Forwards: 70
Content-Length: 0

"""


class Stage:
    """A layer that listens, and a peer, on a simulated network."""

    def __init__(self, recorder: Any, *texts: str, **settings: Any) -> None:
        self.network = Network(1)
        self.node: Any = self.network.node(HOST, SECOND)
        self.recorder = recorder
        self.settings = TransportSettings(**settings)
        self.layer = TransportLayer(self.node, recorder, self.settings, boot="b")
        self.texts = texts
        self.layer.listen(*texts)
        self.peer = TransportLayer(self.network.node(PHONE), recorder, TransportSettings(), boot="p")
        self.peer.listen(f"udp:5060:interface={PHONE}")
        self._sent = 0

    def prepare(self, *texts: str, **settings: Any) -> Relisten:
        self.settings = TransportSettings(**settings)
        return self.layer.relisten(self.settings, self.texts, texts)

    def change(self, *texts: str, **settings: Any) -> Relisten:
        change = self.prepare(*texts, **settings)
        change.commit()
        self.texts = texts
        self.network.advance(0.1)
        return change

    def connect(self, port: int) -> Any:
        """Open a connection; return its flow, or the failure."""
        found: list[Any] = []
        # One without connections, that it could use again.
        peer = TransportLayer(self.peer.clock, self.recorder, TransportSettings(), boot="p")
        waiting: Any = peer.flow_to(Destination(TCP, Address(HOST, port), HOST))
        waiting.addBoth(found.append)
        self.network.advance(1)
        return found[0]

    def reaches(self, flow: Any) -> bool:
        """Tell whether a request over *flow* arrives."""
        self._sent += 1
        before = len(self.recorder.requests)
        flow.write(OPTIONS.replace(b"\n", b"\r\n") % (flow.kind.token.encode(), self._sent, self._sent))
        self.network.advance(1)
        return len(self.recorder.requests) > before

    def reaches_udp(self, port: int) -> bool:
        self._sent += 1
        before = len(self.recorder.requests)
        flow: Any = self.peer.flow_to(Destination(UDP, Address(HOST, port), HOST))
        flow.send_keep_alive(OPTIONS.replace(b"\n", b"\r\n") % (b"UDP", self._sent, self._sent))
        self.network.advance(1)
        return len(self.recorder.requests) > before

    def where(self) -> list[str]:
        return [str(listener.address) for listener in self.layer.listeners if not listener.retired]


def test_one_more_and_none_less(recorder: Any) -> None:
    stage = Stage(recorder, UDP_1, TCP_1)
    flow = stage.connect(5060)
    known = list(stage.layer.listeners)
    change = stage.change(UDP_1, TCP_1, UDP_2, TCP_2)
    assert change.opened == [f"udp {HOST}:5070", f"tcp {HOST}:5070"] and change.closed == []
    assert stage.layer.listeners[:2] == known
    assert flow.open and stage.reaches(flow)
    assert stage.reaches_udp(5060) and stage.reaches_udp(5070) and stage.reaches(stage.connect(5070))
    assert stage.layer.is_local_address(HOST, 5070)


def test_a_stream_listener_that_goes_keeps_its_connections(recorder: Any) -> None:
    stage = Stage(recorder, UDP_1, TCP_1, TCP_2)
    flow = stage.connect(5070)
    change = stage.change(UDP_1, TCP_1)
    assert change.closed == [f"tcp {HOST}:5070"] and change.opened == []
    assert stage.reaches(flow)
    assert getattr(stage.connect(5070), "check", None) is not None
    # Its address stands in routes of dialogs, and is ours as long as the connection is there.
    stage.network.advance(600)
    assert stage.reaches(flow) and stage.layer.is_local_address(HOST, 5070) and len(stage.layer.retiring) == 1
    flow.close_after_writing()
    stage.network.advance(10)
    assert not stage.layer.is_local_address(HOST, 5070) and len(stage.layer.retiring) == 0
    assert stage.where() == [f"{HOST}:5060"] * 2


def test_a_datagram_listener_that_goes_serves_what_uses_it(recorder: Any) -> None:
    stage = Stage(recorder, UDP_1, UDP_2)
    used = [True]
    stage.layer.in_use = lambda listener: used[0]
    stage.change(UDP_1)
    assert stage.where() == [f"{HOST}:5060"]
    stage.network.advance(100)
    assert stage.reaches_udp(5070) and stage.layer.is_local_address(HOST, 5070)
    used[0] = False
    stage.network.advance(10)
    assert not stage.reaches_udp(5070) and not stage.layer.is_local_address(HOST, 5070)
    assert len(stage.layer.retiring) == 0


def test_a_datagram_listener_does_not_stay_for_ever(recorder: Any) -> None:
    stage = Stage(recorder, UDP_1, UDP_2)
    stage.layer.in_use = lambda listener: True
    stage.change(UDP_1)
    stage.network.advance(290)
    assert stage.reaches_udp(5070)
    stage.network.advance(20)
    assert not stage.reaches_udp(5070)


def test_short_calls_end_in_peace(recorder: Any) -> None:
    stage = Stage(recorder, UDP_1, UDP_2)
    stage.change(UDP_1)
    stage.network.advance(25)
    assert stage.reaches_udp(5070)
    stage.network.advance(15)
    assert not stage.reaches_udp(5070)


def test_nothing_new_leaves_by_what_is_given_up(recorder: Any) -> None:
    stage = Stage(recorder, UDP_1, UDP_2, TCP_1, TCP_2)
    stage.change(UDP_2, TCP_2)
    assert stage.layer.datagram_flow(UDP, Address(PHONE, 5060)).local == Address(HOST, 5070)
    assert stage.layer.addresses.stream_sent_by(TCP, Address(HOST, 40000)) == f"{HOST}:5070"


def test_taken_back(recorder: Any) -> None:
    stage = Stage(recorder, UDP_1, UDP_2, TCP_1, TCP_2)
    flow = stage.connect(5070)
    assert stage.reaches(flow)
    stage.change(UDP_1, TCP_1)
    stage.network.advance(5)
    change = stage.change(UDP_1, UDP_2, TCP_1, TCP_2)
    assert change.opened == [f"tcp {HOST}:5070"]
    stage.network.advance(600)
    assert sorted(stage.where()) == [f"{HOST}:5060"] * 2 + [f"{HOST}:5070"] * 2
    assert stage.reaches_udp(5070) and stage.reaches(flow) and stage.reaches(stage.connect(5070))
    assert len(stage.layer.retiring) == 0 and len(stage.layer.places) == 4


def test_all_or_nothing(recorder: Any) -> None:
    stage = Stage(recorder, UDP_1, TCP_1, TCP_2)
    other = TransportLayer(stage.node, recorder, TransportSettings(), boot="o")
    other.listen(f"udp:5090:interface={HOST}")
    settings, contexts = stage.layer.settings, stage.layer.contexts
    before = stage.where()
    with pytest.raises(ConfigurationError) as caught:
        stage.prepare(UDP_1, f"tcp:5080:interface={HOST}", f"udp:5090:interface={HOST}", "sctp:5", mtu=1400)
    assert len(caught.value.problems) == 2 and "port 5090 on 192.0.2.1 is in use" in caught.value.problems[0]
    assert stage.where() == before and stage.layer.settings is settings and stage.layer.contexts is contexts
    assert stage.layer.connections.settings is settings and stage.layer.sockets.settings is settings
    assert Address(HOST, 5080) not in stage.node.listeners
    assert len(stage.layer.retiring) == 0
    assert stage.reaches(stage.connect(5070))


def test_roll_back_leaves_what_was_being_given_up(recorder: Any) -> None:
    stage = Stage(recorder, TCP_1, TCP_2)
    flow = stage.connect(5070)
    stage.change(TCP_1)
    stage.prepare(TCP_1, TCP_2).roll_back()
    assert len(stage.layer.retiring) == 1 and stage.layer.is_local_address(HOST, 5070)
    assert Address(HOST, 5070) not in stage.node.listeners
    assert stage.reaches(flow)


def test_others_ports_are_left_alone(recorder: Any) -> None:
    stage = Stage(recorder, UDP_1)
    stage.layer.listen(TCP_2)
    stage.change(UDP_2)
    assert stage.where() == [f"{HOST}:5070"] * 2
    assert stage.reaches(stage.connect(5070))


def test_addresses_that_came_later(recorder: Any) -> None:
    stage = Stage(recorder)
    hosts = [HOST]
    Relisten(stage.layer, stage.settings, (), ["udp:5060", "tcp:0"], lambda: hosts).commit()
    port = stage.layer.listeners[1].address.port
    hosts.append(SECOND)
    change = Relisten(stage.layer, stage.settings, ["udp:5060", "tcp:0"], ["udp:5060", "tcp:0"], lambda: hosts)
    # With port 0 the first address has chosen for all.
    assert change.opened == [f"udp {SECOND}:5060", f"tcp {SECOND}:{port}"]
    change.commit()
    hosts.remove(HOST)
    change = Relisten(stage.layer, stage.settings, ["udp:5060", "tcp:0"], ["udp:5060", "tcp:0"], lambda: hosts)
    assert change.closed == [f"udp {HOST}:5060", f"tcp {HOST}:{port}"] and change.opened == []
    change.commit()
    assert stage.where() == [f"{SECOND}:5060", f"{SECOND}:{port}"]


def test_another_name_for_peers(recorder: Any) -> None:
    stage = Stage(recorder, UDP_1, advertise="old.example.com")
    (listener,) = stage.layer.listeners
    flow = stage.layer.datagram_flow(UDP, Address(PHONE, 5060))
    assert flow.sent_by == "old.example.com:5060"
    told: list[int] = []
    stage.layer.addresses.changed = lambda: told.append(1)
    stage.change(UDP_1, advertise="new.example.com")
    assert stage.layer.listeners == [listener] and told
    assert stage.layer.datagram_flow(UDP, Address(PHONE, 5060)).sent_by == "new.example.com:5060"
    # What went out under the old name is answered to it, and routes of dialogs have it.
    assert stage.layer.addresses.own == {"old.example.com:5060", "new.example.com:5060"}
    assert stage.layer.is_local_address("old.example.com", 5060)
    assert stage.layer.is_local_address("OLD.example.com", None)
    assert not stage.layer.is_local_address("old.example.com", 5070)


def test_former_names_are_bounded(recorder: Any) -> None:
    stage = Stage(recorder, UDP_1)
    for number in range(40):
        stage.change(UDP_1, advertise=f"h{number}.example.com")
    assert len(stage.layer.addresses.own) == 17
    assert not stage.layer.is_local_address("h0.example.com", 5060)


def test_datagram_sockets_follow(recorder: Any) -> None:
    stage = Stage(recorder, UDP_1)
    stage.change(UDP_1, datagram_flows=2)
    protocol = stage.layer._datagrams[0]
    for port in range(9):
        protocol.flow((PHONE, 6000 + port))
    assert len(protocol._fresh) + len(protocol._stale) <= 2


def test_stop_closes_what_is_given_up(recorder: Any) -> None:
    stage = Stage(recorder, UDP_1, UDP_2, TCP_1)
    flow = stage.connect(5060)
    stage.change(UDP_1)
    done: list[Any] = []
    stage.layer.stop().addCallback(done.append)
    stage.network.advance(10)
    assert done == [None] and not flow.open
    assert not stage.node.sockets and not stage.node.listeners and not stage.node.getDelayedCalls()


def certificate(directory: Any, name: str) -> CertificateFiles:
    key, text = make_self_signed([name], utc_now())
    files = CertificateFiles(private_key=str(directory / "k.pem"), certificate=str(directory / "c.pem"))
    (directory / "k.pem").write_bytes(key)
    (directory / "c.pem").write_bytes(text)
    return files


def test_plain_becomes_tls_at_the_same_port(recorder: Any, tmp_path: Any) -> None:
    stage = Stage(recorder, TCP_1)
    flow = stage.connect(5060)
    port = stage.layer.places[0].port
    tls = TLSSettings(certificates=(certificate(tmp_path, "example.com"),))
    stage.change(f"tls:5060:interface={HOST}", tls=tls)
    assert stage.layer.places[0].port is port
    assert [(one.kind, one.retired) for one in stage.layer.listeners] == [(TCP, True), (TLS, False)]
    assert stage.reaches(flow)
    stage.change(TCP_1)
    assert [(one.kind, one.retired) for one in stage.layer.listeners] == [(TCP, False), (TLS, True)]
    assert stage.reaches(stage.connect(5060))


def test_authorities_that_cannot_be_read(recorder: Any, tmp_path: Any) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    stage = Stage(recorder, TCP_1)
    with pytest.raises(ConfigurationError, match="no readable certificates of authorities"):
        stage.prepare(TCP_1, UDP_1, tls=TLSSettings(trust_roots=str(tmp_path / "ca.pem")))
    assert stage.where() == [f"{HOST}:5060"]


def test_an_address_that_is_gone_is_left_out(recorder: Any) -> None:
    stage = Stage(recorder)
    change = Relisten(stage.layer, stage.settings, (), ["udp:5060"], lambda: [HOST, "192.0.2.77"])
    assert change.opened == [f"udp {HOST}:5060"]
    change.roll_back()
    assert stage.where() == []
    with pytest.raises(ConfigurationError, match="no such address"):
        Relisten(stage.layer, stage.settings, (), ["udp:5060"], lambda: ["192.0.2.77"])
