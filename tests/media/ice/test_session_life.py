"""What follows after a pair was selected: consent, keep-alives, restarts (RFC 8445 sections 9 and 11, RFC 7675)."""

from __future__ import annotations

import pytest

from twisted_sip.errors import LocalProtocolError
from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.settings import ICESettings
from twisted_sip.stun.binding import encode_xor_address
from twisted_sip.stun.message import (
    BINDING,
    MESSAGE_INTEGRITY,
    SUCCESS,
    XOR_MAPPED_ADDRESS,
    STUNMessage,
)
from twisted_sip.stun.server import Signature, answer

from .scripted_peer import PWD, UFRAG, Peer, Scene


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


def test_another_branch_answers() -> None:
    scene = Scene().start().pass_time()
    before = scene.stream.ufrag, scene.stream.pwd
    other = Peer(scene, "192.0.2.3")
    scene.stream.set_remote("other", "q" * 22, [other.candidate()], answer=True)
    assert (scene.stream.ufrag, scene.stream.pwd) == before
    key = Signature(b"q" * 22, MESSAGE_INTEGRITY, "")

    def agree(request: STUNMessage, source: Address) -> bytes:
        mapped = encode_xor_address(*source, request.transaction_id)
        return answer(request, SUCCESS, ((XOR_MAPPED_ADDRESS, mapped),), key)

    other.manner = agree
    scene.side.agent.start()
    scene.pass_time()
    assert scene.stream.state == "completed"
    assert scene.side.selected[1].remote.address == other.address
    scene.close()
