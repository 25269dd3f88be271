"""An ICE agent whose peer is the test: checks of every kind, in any order (RFC 8445 sections 7 and 8)."""

from __future__ import annotations

from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.candidate import Candidate
from twisted_sip.media.ice.settings import ICESettings
from twisted_sip.stun.binding import encode_xor_address
from twisted_sip.stun.message import (
    SUCCESS,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    STUNMessage,
)
from twisted_sip.stun.server import answer

from .scripted_peer import KEY, PWD, UFRAG, Peer, Scene


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
