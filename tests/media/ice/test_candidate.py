"""Candidates as SDP tells them (RFC 8839 section 5.1)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.candidate import Candidate, CandidateType, candidate_priority, mismatch
from twisted_sip.media.ice.pair import pair_priority
from twisted_sip.media.ice.settings import ICESettings, TURNServer
from twisted_sip.testing.network import Network

from .conftest import ICECall, Side


@pytest.mark.parametrize(
    "text",
    [
        "1 1 UDP 2130706431 203.0.113.141 8998 typ host",
        "2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998",
        "3 2 UDP 1 2001:db8::1 9 typ relay raddr :: rport 9 generation 0",
    ],
)
def test_there_and_back(text: str) -> None:
    candidate = Candidate.parse(text)
    assert candidate.to_text() == text
    assert candidate.numeric
    assert Candidate.from_sdp(candidate.to_sdp()) == candidate


def test_what_is_not_used_is_read() -> None:
    tcp = Candidate.parse("1 1 TCP 5 192.0.2.1 9 typ host tcptype active")
    assert (tcp.transport, tcp.extensions) == ("tcp", (("tcptype", "active"),))
    strange = Candidate.parse("1 1 UDP 5 host.local 9 typ strange")
    assert strange.kind is None and not strange.numeric
    assert strange.to_text() == "1 1 UDP 5 host.local 9 typ unknown"


def test_priorities() -> None:
    # RFC 8445 section 5.1.2.1 with the values of 5.1.2.2.
    assert candidate_priority(CandidateType.HOST, 65535, 1) == 2130706431
    assert candidate_priority(CandidateType.SERVER_REFLEXIVE, 65535, 1) == 1694498815
    assert pair_priority(5, 3) == (3 << 32) + 10 + 1
    assert pair_priority(3, 5) == (3 << 32) + 10


def test_mismatch() -> None:
    told = [Candidate.parse("1 1 UDP 5 192.0.2.1 9000 typ host")]
    assert not mismatch(told, {1: Address("192.0.2.1", 9000)})
    assert mismatch(told, {1: Address("192.0.2.1", 9001)})
    assert mismatch(told, {1: Address("192.0.2.1", 9000), 2: Address("192.0.2.1", 9001)})
    # RFC 8839 section 4.2.5, the second and the fourth exception.
    assert not mismatch(told, {1: Address("0.0.0.0", 9)})
    assert not mismatch(told, {1: Address("phone.example.org", 9000)})


@given(st.lists(st.text(max_size=12) | st.sampled_from(["1", "UDP", "typ", "host", "raddr", "192.0.2.1"]), max_size=14))
def test_any_text(words: list[str]) -> None:
    with contextlib.suppress(RemoteProtocolError):
        Candidate.parse(" ".join(words)).to_text()


def test_addresses_are_the_same_however_they_are_written() -> None:
    told = Candidate.parse("1 1 UDP 2130706431 2001:DB8:0:0:0:0:0:1 9000 typ host")
    assert told.address == Address("2001:db8::1", 9000)
    assert not mismatch([told], {1: Address("2001:0DB8::1", 9000)})
    assert Candidate.parse("1 1 UDP 1 192.000.002.001 9000 typ host").address.host == "192.0.2.1"
    server = Address("2001:DB8::5", 3478)
    assert ICESettings(stun_servers=(server,)).stun_servers == (Address("2001:db8::5", 3478),)
    assert TURNServer(server).address == Address("2001:db8::5", 3478)
    assert Candidate.parse("1 1 UDP 1 Phone.local 9000 typ host").address.host == "Phone.local"


def test_a_lite_peer_that_writes_its_address_at_length_is_reached() -> None:
    network = Network(5)
    full = Side(network.node("2001:db8::a"), controlling=True, components=1)
    lite = Side(network.node("2001:db8::b"), controlling=False, components=1, lite=True)
    call = ICECall(network, full, lite)
    call.gather(full)
    call.tell(full, lite)
    call.gather(lite)
    port = lite.stream.local_candidates[0].address.port
    text = f"1 1 UDP 2130706431 2001:0DB8:0:0:0:0:0:B {port} typ host"
    full.stream.set_remote(lite.stream.ufrag, lite.stream.pwd, [Candidate.parse(text)], lite=True)
    lite.agent.start()
    full.agent.start()
    call.complete()
    assert full.kinds == ("host", "host")
    call.talk()
    call.close()


@pytest.mark.parametrize(("username", "password"), [("bob", ""), ("bob", "a\nb"), ("b\0b", "secret")])
def test_credentials_that_no_turn_server_could_take(username: str, password: str) -> None:
    with pytest.raises(LocalProtocolError):
        TURNServer(Address("192.0.2.1", 3478), username, password)
