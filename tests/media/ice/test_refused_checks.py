"""Descriptions, checks and answers that do not count (RFC 8445 sections 7.2.5 and 7.3)."""

from __future__ import annotations

import pytest

from twisted_sip.errors import RemoteProtocolError
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
)
from twisted_sip.stun.server import Signature, answer, error_response

from .scripted_peer import KEY, PWD, UFRAG, Peer, Scene


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
