"""Two baresips register, call, decline, cancel, hold and send messages through the proxy over each transport."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from baresip import Baresip
from processes import wait_for
from server import Server

Start = Callable[..., Baresip]

TRANSPORTS = ("udp", "tcp", "tls")
#: Which phone is where; the last ones have the proxy change the transport (RFC 5658).
PAIRS = (("udp", "udp"), ("tcp", "tcp"), ("tls", "tls"), ("udp", "tls"), ("tcp", "udp"))


def establish(caller: Baresip, callee: Baresip) -> None:
    caller.do("dial", f"sip:{callee.user}@sip.test")
    callee.wait("CALL_INCOMING")
    callee.do("accept")
    caller.wait("CALL_ESTABLISHED")
    callee.wait("CALL_ESTABLISHED")


def packets(phone: Baresip) -> tuple[int, int]:
    """Return how many RTP packets the phone sent and received in the call that it has just closed."""
    found = phone.program.wait_for(r"^packets: +(\d+) +(\d+)")
    return int(found[1]), int(found[2])


@pytest.mark.parametrize("ends", ["caller", "callee"])
@pytest.mark.parametrize(("from_", "to"), PAIRS)
def test_a_call(baresip: Start, server: Server, from_: str, to: str, ends: str) -> None:
    alice, bob = baresip("alice", from_), baresip("bob", to)
    establish(alice, bob)
    time.sleep(0.6)  # Some thirty packets of 20 ms each way.
    one, other = (alice, bob) if ends == "caller" else (bob, alice)
    one.do("hangup")
    other.wait("CALL_CLOSED")
    for phone in (alice, bob):
        sent, received = packets(phone)
        assert sent > 10, phone.program.text
        assert received > 10, phone.program.text
    last = server.ladder("--method", "INVITE")
    assert re.search(r"200 OK \(BYE", last), last
    assert not re.search(r"─ (403|404|408|430|481|5\d\d) ", last), last


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_caller_who_gives_up(baresip: Start, transport: str) -> None:
    alice, bob = baresip("alice", transport), baresip("bob", transport)
    alice.do("dial", "sip:bob@sip.test")
    bob.wait("CALL_INCOMING")
    alice.wait("CALL_RINGING")
    alice.do("hangup")
    bob.wait("CALL_CLOSED")
    bob.program.wait_for("CANCEL")
    alice.program.wait_for("487 Request Terminated")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_callee_who_declines(baresip: Start, transport: str) -> None:
    alice, bob = baresip("alice", transport), baresip("bob", transport)
    alice.do("dial", "sip:bob@sip.test")
    bob.wait("CALL_INCOMING")
    bob.do("hangup")
    assert "486" in alice.wait("CALL_CLOSED")["param"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_message(baresip: Start, transport: str) -> None:
    alice, bob = baresip("alice", transport), baresip("bob", transport)
    for sender, recipient, text in ((alice, bob, "have some wine"), (bob, alice, "there isn't any")):
        sender.do("contact_next")
        before = len(sender.program.lines)
        sender.do("message", text)
        recipient.program.wait_for(re.escape(text))
        sender.program.wait_for(r"SIP/2.0 200 OK", after=before)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_wrong_password(baresip: Start, server: Server, transport: str) -> None:
    alice = baresip("alice", transport, password="wrong", register=False)
    try:
        alice.program.wait_for("reg: .* 403 Forbidden")  # It tries on until it is banned.
        assert "[1 binding]" not in alice.program.text
        assert server.contacts("alice") == []
        assert [ban["user"] for ban in server.json("bans", "list")] == ["alice"]
    finally:
        alice.stop()
        assert server.command("bans", "lift", "127.0.0.1").returncode == 0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_phone_that_leaves(baresip: Start, server: Server, transport: str) -> None:
    alice, bob = baresip("alice", transport), baresip("bob")
    assert len(server.contacts("alice")) == 1
    alice.stop()
    wait_for(lambda: not server.contacts("alice"), "alice is still registered")
    bob.do("dial", "sip:alice@sip.test")
    assert "480" in bob.wait("CALL_CLOSED")["param"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_hold(baresip: Start, transport: str) -> None:
    alice, bob = baresip("alice", transport), baresip("bob", transport)
    establish(alice, bob)
    for phone, other in ((alice, bob), (bob, alice)):
        before = len(other.program.lines)
        phone.do("hold")
        other.program.wait_for(r"^a=(sendonly|inactive)", after=before)
        before = len(other.program.lines)
        phone.do("resume")
        other.program.wait_for(r"^a=sendrecv", after=before)
    bob.do("hangup")
    alice.wait("CALL_CLOSED")
