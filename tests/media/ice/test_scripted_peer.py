"""An ICE agent whose peer is the test: checks of every kind, in any order (RFC 8445 sections 7 and 8)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.protocol import DatagramProtocol

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.binding_check import CheckTerms, check_request
from twisted_sip.media.ice.candidate import Candidate
from twisted_sip.media.ice.settings import ICESettings
from twisted_sip.stun.binding import encode_xor_address
from twisted_sip.stun.integrity import sign
from twisted_sip.stun.message import (
    BINDING,
    ERROR,
    INDICATION,
    MESSAGE_INTEGRITY,
    REQUEST,
    SUCCESS,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    STUNMessage,
    parse_stun,
)
from twisted_sip.stun.server import Signature, answer, error_response
from twisted_sip.testing.network import Network

from .conftest import Side

UFRAG, PWD = "peer", "p" * 22
KEY = Signature(PWD.encode(), MESSAGE_INTEGRITY, "")


class Peer(DatagramProtocol):
    """Takes what comes; answers checks as *manner* says."""

    def __init__(self, scene: Scene, host: str, port: int = 7000) -> None:
        self.scene = scene
        self.requests: list[STUNMessage] = []
        self.responses: list[STUNMessage] = []
        self.indications = 0
        node = scene.network.node(host) if host not in scene.nodes else scene.nodes[host]
        scene.nodes[host] = node
        self.address = Address(host, port)
        self.port = node.listenUDP(port, self, interface=host)
        self.manner: Any = self.agree

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        message = parse_stun(datagram)
        if message.message_class == REQUEST:
            self.requests.append(message)
            response = self.manner(message, Address(*addr))
            if response is not None:
                self.port.write(response, addr)
        elif message.message_class == INDICATION:
            self.indications += 1
        else:
            self.responses.append(message)

    def agree(self, request: STUNMessage, source: Address) -> bytes | None:
        mapped = encode_xor_address(*source, request.transaction_id)
        return answer(request, SUCCESS, ((XOR_MAPPED_ADDRESS, mapped),), KEY)

    def silent(self, request: STUNMessage, source: Address) -> bytes | None:
        return None

    def check(
        self, *, controlling: bool = False, use_candidate: bool = False, component: int = 1, tiebreaker: int = 1
    ) -> None:
        """Send a connectivity check."""
        stream = self.scene.side.stream
        terms = CheckTerms(f"{stream.ufrag}:{UFRAG}", stream.pwd.encode(), 5, controlling, tiebreaker, use_candidate)
        self.send(check_request(self.scene.network.random_bytes(12), terms), component)

    def send(self, data: bytes, component: int = 1) -> None:
        self.port.write(data, self.scene.side.stream.bases[component][0])

    def candidate(self, component: int = 1, priority: int = 2130706431) -> Candidate:
        host, port = self.address
        return Candidate.parse(f"1 {component} UDP {priority} {host} {port} typ host")


class Scene:
    def __init__(
        self,
        settings: ICESettings | None = None,
        *,
        controlling: bool = True,
        components: int = 1,
        lite: bool = False,
    ) -> None:
        self.network = Network(3)
        self.nodes: dict[str, Any] = {}
        self.side = Side(
            self.network.node("192.0.2.1"), settings, controlling=controlling, components=components, lite=lite
        )
        self.peer = Peer(self, "192.0.2.2")
        self.side.agent.gather()

    @property
    def stream(self) -> Any:
        return self.side.stream

    def start(self, *candidates: Candidate, lite: bool = False) -> Scene:
        self.stream.set_remote(UFRAG, PWD, candidates or [self.peer.candidate()], lite=lite)
        self.side.agent.start()
        return self

    def pass_time(self, seconds: float = 2.0) -> Scene:
        self.network.advance(seconds)
        return self

    def close(self) -> None:
        self.side.agent.close()
        assert self.side.agent.idle
        assert not self.side.timers.pending
        self.peer.check()
        before = len(self.peer.responses)
        self.pass_time(100)
        assert len(self.peer.responses) == before
        self.side.agent.close()
        self.side.agent.wake()
        assert self.side.events.count("closed") == 1


def test_controlling() -> None:
    scene = Scene().start().pass_time()
    assert scene.stream.state == "completed"
    assert [bool(each.all(0x0025)) for each in scene.peer.requests] == [False, True]
    assert scene.peer.requests[0].first(USERNAME) == f"{UFRAG}:{scene.stream.ufrag}".encode()
    assert scene.stream.remote_candidates[0].address == scene.peer.address
    scene.close()


def test_controlled() -> None:
    scene = Scene(controlling=False).start().pass_time()
    assert scene.stream.state == "running"
    # Section 12.1: data may go over any valid pair.
    assert scene.stream.selected(1) is not None
    scene.peer.check(controlling=True, use_candidate=True)
    scene.pass_time()
    assert scene.stream.state == "completed"
    assert scene.stream.remote_candidates == ()
    scene.close()


def test_nomination_before_our_check() -> None:
    scene = Scene(controlling=False)
    # Before the answer (section 7.3): answered at once, and not forgotten.
    scene.peer.check(controlling=True, use_candidate=True)
    scene.pass_time()
    assert [each.message_class for each in scene.peer.responses] == [SUCCESS]
    scene.start().pass_time()
    assert scene.stream.state == "completed"
    scene.close()


def test_nomination_that_we_cannot_confirm() -> None:
    scene = Scene(controlling=False)
    scene.peer.manner = scene.peer.silent
    scene.start().pass_time(0.2)
    # In progress: checked anew at once, twice over.
    for _ in range(3):
        scene.peer.check(controlling=True, use_candidate=True)
        scene.pass_time(0.2)
    assert len({each.transaction_id for each in scene.peer.requests}) == 4
    scene.pass_time(60)
    assert scene.side.events[-1] == "failed: the check of the nominated pair has failed"
    assert scene.side.agent.idle
    scene.close()


def test_nomination_that_fails() -> None:
    scene = Scene()

    def once(request: STUNMessage, source: Address) -> bytes | None:
        return None if request.all(0x0025) else scene.peer.agree(request, source)

    scene.peer.manner = once
    scene.start().pass_time(60)
    assert scene.side.events[-1] == "failed: the check of the nominated pair has failed"
    assert not scene.stream.send(1, b"\x80")
    scene.close()


def test_never_nominated() -> None:
    scene = Scene(controlling=False).start().pass_time(100)
    assert scene.side.events[-1] == "failed: no pair was selected in time"
    scene.close()


def test_several_nominations() -> None:
    # Section 8.1.1: a peer of RFC 5245 nominates as it checks; the pair with the highest priority is used.
    scene = Scene(controlling=False)
    better, worse = scene.peer, Peer(scene, "192.0.2.3")
    scene.start(better.candidate(), worse.candidate(priority=7)).pass_time()
    worse.check(controlling=True, use_candidate=True)
    scene.pass_time(0.5)
    assert scene.side.selected[1].remote.address == worse.address
    better.check(controlling=True, use_candidate=True)
    scene.pass_time(0.5)
    assert scene.side.selected[1].remote.address == better.address
    worse.check(controlling=True, use_candidate=True)
    scene.pass_time(4)
    assert scene.side.selected[1].remote.address == better.address
    # Later, other pairs are of no interest any more (section 8.3.1), nor are checks without the flag.
    late = Peer(scene, "192.0.2.4")
    late.check(controlling=True, use_candidate=True)
    late.check(controlling=True)
    scene.pass_time(1)
    assert len(late.responses) == 2 and not late.requests
    scene.close()


def test_peer_reflexive_remote() -> None:
    scene = Scene()
    scene.start(Candidate.parse("1 1 UDP 5 192.0.2.99 9 typ host"))
    scene.peer.check()
    scene.pass_time()
    assert scene.side.kinds == ("host", "prflx")
    # The exchange tells later what it is (section 7.3.1.3).
    scene.stream.set_remote(UFRAG, PWD, [scene.peer.candidate()])
    assert scene.stream.session.remote[1, scene.peer.address].kind.value == "host"
    scene.close()


def test_peer_reflexive_local() -> None:
    scene = Scene()

    def mapped(request: STUNMessage, source: Address) -> bytes:
        value = encode_xor_address("203.0.113.5", 4711, request.transaction_id)
        return answer(request, SUCCESS, ((XOR_MAPPED_ADDRESS, value),), KEY)

    scene.peer.manner = mapped
    scene.start().pass_time()
    assert scene.side.kinds == ("prflx", "host")
    assert scene.stream.local_candidates[0].address == Address("203.0.113.5", 4711)
    assert scene.stream.default_candidate(1).address == Address("203.0.113.5", 4711)
    scene.close()


def test_endless_mapped_addresses() -> None:
    scene = Scene(controlling=False)
    count = iter(range(1, 1000))

    def mapped(request: STUNMessage, source: Address) -> bytes:
        value = encode_xor_address("203.0.113.5", next(count), request.transaction_id)
        return answer(request, SUCCESS, ((XOR_MAPPED_ADDRESS, value),), KEY)

    scene.start()
    for port in range(100):
        other = Peer(scene, "192.0.2.3", 10000 + port)
        other.manner = mapped
        other.check(controlling=True)
        scene.pass_time(0.2)
    session = scene.stream.session
    assert len(session.local) <= 64
    assert len(session.remote) <= 64
    assert len(session.checklist.pairs) <= 100
    scene.close()


def test_flood_of_candidates() -> None:
    scene = Scene(ICESettings(max_pairs=10))
    scene.start(*(Candidate.parse(f"1 1 UDP {9 + each} 192.0.2.{each} 9 typ host") for each in range(1, 250)))
    assert len(scene.stream.session.remote) == 64
    assert len(scene.stream.session.checklist.pairs) == 10
    # There is room for one that is there: it takes the place of the worst.
    scene.peer.check()
    scene.pass_time()
    assert len(scene.stream.session.checklist.pairs) <= 10
    for _ in range(40):
        scene.peer.check()
    scene.pass_time()
    scene.close()


def test_flood_of_early_checks() -> None:
    scene = Scene()
    for _ in range(100):
        scene.peer.check()
    scene.pass_time()
    assert len(scene.stream.session.incoming._early) == 16
    assert len(scene.peer.responses) == 100
    scene.start().pass_time()
    assert scene.stream.state == "completed"
    scene.close()


def test_unusable_candidates() -> None:
    scene = Scene()
    texts = (
        "1 1 TCP 5 192.0.2.2 7000 typ host",
        "1 2 UDP 5 192.0.2.2 7000 typ host",
        "1 1 UDP 5 phone.local 7000 typ host",
        "1 1 UDP 5 192.0.2.2 7000 typ strange",
        "1 1 UDP 5 192.0.2.2 0 typ host",
    )
    scene.stream.set_remote(UFRAG, PWD, [Candidate.parse(text).to_sdp() for text in texts])
    assert not scene.stream.session.remote
    scene.side.agent.start()
    # Without candidates there is still hope for a check of the peer's.
    scene.pass_time(20)
    scene.peer.check()
    scene.pass_time()
    assert scene.stream.state == "completed"
    scene.close()


@pytest.mark.parametrize(("ufrag", "pwd"), [("abc", PWD), (UFRAG, "short"), ("a b c d", PWD), (UFRAG, "x" * 257)])
def test_malformed_credentials(ufrag: str, pwd: str) -> None:
    scene = Scene()
    with pytest.raises(RemoteProtocolError) as caught:
        scene.stream.set_remote(ufrag, pwd, [])
    assert caught.value.status == 488


def test_checks_that_are_refused() -> None:
    scene = Scene().start()
    stream, peer = scene.stream, scene.peer
    key = stream.pwd.encode()
    name = (USERNAME, f"{stream.ufrag}:{UFRAG}".encode())
    priority = (0x0024, b"\0\0\0\5")

    def request(*attributes: tuple[int, bytes]) -> STUNMessage:
        return STUNMessage(BINDING, REQUEST, scene.network.random_bytes(12), attributes)

    peer.send(request(name, priority).to_bytes())
    peer.send(sign(request(name, priority), b"wrong", (MESSAGE_INTEGRITY,)))
    peer.send(sign(request((USERNAME, b"nobody:peer"), priority), key, (MESSAGE_INTEGRITY,)))
    peer.send(sign(request(name), key, (MESSAGE_INTEGRITY,)))
    peer.send(sign(request(name, priority, (0x7777, b"")), key, (MESSAGE_INTEGRITY,)))
    peer.send(sign(STUNMessage(3, REQUEST, bytes(12), (name, priority)), key, (MESSAGE_INTEGRITY,)))
    peer.send(b"\0" * 40)
    peer.send(b"\x40\0\0\0")
    peer.send(STUNMessage(BINDING, INDICATION, bytes(12)).to_bytes())
    scene.network.advance(0.04)
    assert sorted(each.error[0] for each in peer.responses if each.error) == [400, 400, 401, 401, 420]
    assert not stream.datagram(1, stream.bases[1][0], peer.address, b"")
    assert not stream.datagram(1, stream.bases[1][0], peer.address, b"\x80data")
    # Another branch of a forked call is answered, and not called back.
    other = Peer(scene, "192.0.2.3")
    terms = CheckTerms(f"{stream.ufrag}:other", key, 5, False, 1)
    other.send(check_request(bytes(12), terms))
    scene.pass_time()
    assert len(other.responses) == 1 and not other.requests
    scene.close()


@pytest.mark.parametrize("manner", ["forged", "error", "unknown", "unmapped", "malformed", "elsewhere"])
def test_answers_that_do_not_count(manner: str) -> None:
    scene = Scene(ICESettings(patience=5.0))
    other = Peer(scene, "192.0.2.3")

    def reply(request: STUNMessage, source: Address) -> bytes | None:
        mapped = (XOR_MAPPED_ADDRESS, encode_xor_address(*source, request.transaction_id))
        if manner == "forged":
            return answer(request, SUCCESS, (mapped,), Signature(b"wrong", MESSAGE_INTEGRITY, ""))
        if manner == "error":
            return error_response(request, 400, signature=KEY)
        if manner == "unknown":
            return answer(request, SUCCESS, (mapped, (0x7777, b"")), KEY)
        if manner == "unmapped":
            return answer(request, SUCCESS, (), KEY)
        if manner == "malformed":
            return answer(request, SUCCESS, ((XOR_MAPPED_ADDRESS, b"x"),), KEY)
        other.port.write(answer(request, SUCCESS, (mapped,), KEY), source)
        return None

    scene.peer.manner = reply
    scene.start().pass_time(4)
    assert scene.stream.state == "running"
    scene.pass_time(50)
    assert scene.side.events[-1] == "failed: no connectivity check has succeeded"
    # A forged answer is as if it had not come: the check went on.
    assert len(scene.peer.requests) == (7 if manner == "forged" else 1)
    scene.close()


def test_nobody_listens() -> None:
    scene = Scene(ICESettings(patience=1.0))
    scene.side.tell_refusals = True
    scene.start(Candidate.parse("1 1 UDP 5 192.0.2.2 9999 typ host")).pass_time(3)
    assert scene.side.events[-1] == "failed: no connectivity check has succeeded"
    scene.stream.refused(1, scene.stream.bases[1][0], scene.peer.address)
    scene.close()


def test_role_conflict_that_the_peer_sees() -> None:
    scene = Scene()

    def conflict(request: STUNMessage, source: Address) -> bytes | None:
        if request.first(0x802A) is not None:
            return error_response(request, 487, signature=KEY)
        return scene.peer.agree(request, source)

    scene.peer.manner = conflict
    before = scene.side.agent.tiebreaker
    scene.start().pass_time()
    assert not scene.side.agent.controlling
    assert scene.side.agent.tiebreaker != before
    assert [each.first(0x8029) is not None for each in scene.peer.requests] == [False, True]
    scene.close()


@pytest.mark.parametrize("controlling", [True, False])
@pytest.mark.parametrize("ours", [0, 5, 9])
def test_role_conflict_that_we_see(controlling: bool, ours: int) -> None:
    scene = Scene(controlling=controlling).start()
    scene.side.agent.tiebreaker = ours
    scene.peer.check(controlling=controlling, tiebreaker=5)
    scene.network.advance(0.04)
    refused = (ours >= 5) is controlling
    assert [each.message_class for each in scene.peer.responses] == [ERROR if refused else SUCCESS]
    assert scene.side.agent.controlling is (controlling if refused else not controlling)
    scene.close()


def test_consent_expires() -> None:
    scene = Scene().start().pass_time(100)
    assert scene.stream.state == "completed"
    asked = len(scene.peer.requests)
    assert 16 <= asked <= 28
    scene.peer.manner = scene.peer.silent
    scene.pass_time(24)
    assert scene.stream.state == "completed"
    scene.pass_time(16)
    assert scene.side.events[-1] == "failed: consent to send has expired"
    # Not retransmitted: each is another transaction (RFC 7675).
    assert len({each.transaction_id for each in scene.peer.requests}) == len(scene.peer.requests)
    assert scene.side.agent.idle
    scene.close()


def test_keepalives() -> None:
    scene = Scene(ICESettings(consent=False)).start().pass_time(2)
    scene.pass_time(60)
    assert scene.peer.indications == 4
    for _ in range(6):
        # Data does as well (section 11).
        assert scene.stream.send(1, STUNMessage(BINDING, SUCCESS, bytes(12)).to_bytes())
        scene.pass_time(10)
    assert scene.peer.indications == 4
    scene.close()


def test_lite() -> None:
    scene = Scene(controlling=False, lite=True).start()
    assert not scene.stream.send(1, b"\x80")
    scene.peer.check(controlling=True)
    scene.pass_time(1)
    assert scene.stream.state == "running"
    for _ in range(2):
        scene.peer.check(controlling=True, use_candidate=True)
        scene.pass_time(1)
    assert scene.stream.state == "completed"
    assert not scene.peer.requests
    scene.pass_time(40)
    assert scene.peer.indications
    scene.close()


def test_components_that_the_peer_has_not() -> None:
    scene = Scene(components=2).start().pass_time()
    assert scene.stream.state == "completed"
    assert set(scene.side.selected) == {1}
    scene.close()


@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_component_dropped(when: str) -> None:
    scene = Scene(components=2)
    if when == "before":
        scene.stream.drop_component(2)
    other = Peer(scene, "192.0.2.2", 7001)
    if when != "after":
        other.manner = other.silent
    scene.start(scene.peer.candidate(), other.candidate(2)).pass_time()
    assert scene.stream.state == ("running" if when == "during" else "completed")
    scene.stream.drop_component(2)
    scene.pass_time()
    scene.stream.drop_component(1)
    assert scene.stream.state == "completed"
    assert scene.stream.selected(2) is None and scene.stream.selected(1) is not None
    scene.close()


def test_restart_by_the_peer_and_undone_here() -> None:
    scene = Scene().start().pass_time()
    stream = scene.stream
    assert not stream.is_restart(UFRAG, PWD)
    stream.set_remote(UFRAG, PWD, [])
    assert stream.state == "completed"
    assert stream.is_restart("other", "q" * 22)
    with pytest.raises(LocalProtocolError):
        stream.undo_restart()
    before = stream.ufrag, stream.pwd
    scene.side.agent.restart()
    scene.side.agent.restart()
    assert stream.state == "new"
    assert stream.send(1, STUNMessage(BINDING, SUCCESS, bytes(12)).to_bytes())
    scene.pass_time(0.1)
    stream.undo_restart()
    assert (stream.ufrag, stream.pwd) == before and stream.state == "completed"
    stream.set_remote("other", "q" * 22, [scene.peer.candidate()])
    assert stream.ufrag != before[0]
    scene.close()


def test_consent_lost_during_a_restart() -> None:
    scene = Scene().start().pass_time()
    scene.peer.manner = scene.peer.silent
    scene.side.agent.restart()
    scene.pass_time(40)
    assert scene.stream.selected(1) is None
    assert not scene.side.failed
    scene.close()


def test_restart_that_fails() -> None:
    scene = Scene().start().pass_time()
    scene.side.agent.restart()
    scene.side.agent.gather()
    scene.start()
    scene.peer.manner = scene.peer.silent
    scene.pass_time(60)
    assert scene.side.failed
    assert scene.stream.selected(1) is None
    scene.side.agent.start()
    scene.close()


def test_stream_removed() -> None:
    scene = Scene().start().pass_time()
    scene.side.agent.remove_stream(scene.stream)
    assert scene.side.agent.idle and not scene.side.timers.pending
    scene.close()
