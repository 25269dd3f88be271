"""Two linphones register, call, decline, cancel, hold and send messages through the proxy over each transport.

Linphone asks for a public GRUU (RFC 5627) and puts it into its Contact: every request in its dialogs is for an address
of the proxy's own domain.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from baresip import Baresip
from linphone import Linphone
from processes import wait_for
from server import Server

Start = Callable[..., Linphone]

TRANSPORTS = ("udp", "tcp", "tls")


def establish(caller: Linphone, callee: Linphone) -> None:
    assert "Status: Ok" in caller.do(f"call {callee.aor}")
    callee.wait("IncomingReceived")
    caller.wait("OutgoingRinging")
    callee.do("answer")
    for phone in (caller, callee):
        phone.wait("StreamsRunning")


@pytest.mark.parametrize(
    ("from_", "to", "ends"), [("udp", "udp", 0), ("tcp", "tcp", 1), ("tls", "tls", 0), ("tls", "udp", 1)]
)
def test_a_call(linphone: Start, server: Server, from_: str, to: str, ends: int) -> None:
    phones = linphone("alice", from_), linphone("bob", to)
    establish(*phones)
    for phone in phones:
        phone.do(f"incall-player-start {phone.tone}")
    time.sleep(1.2)  # Longer than T1: a 200 whose ACK is lost would come again.
    phones[ends].do("terminate")
    for phone in phones:
        phone.wait("End")
        sent, received = phone.packets()
        assert sent > 10, phone.text
        assert received > 10, phone.text
    last = server.ladder("--method", "INVITE")
    assert re.search(r"200 Ok \(BYE", last), last
    assert "↻" not in last, last
    assert not re.search(r"─ (403|404|408|430|481|5\d\d) ", last), last


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_caller_who_gives_up(linphone: Start, transport: str) -> None:
    alice, bob = linphone("alice", transport), linphone("bob", transport)
    alice.do(f"call {bob.aor}")
    bob.wait("IncomingReceived")
    alice.wait("OutgoingRinging")
    alice.do("terminate")
    bob.wait("End")
    alice.wait("End")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_callee_who_declines(linphone: Start, server: Server, transport: str) -> None:
    alice, bob = linphone("alice", transport), linphone("bob", transport)
    alice.do(f"call {bob.aor}")
    bob.wait("IncomingReceived")
    bob.do("terminate")
    alice.wait("(Error|End)")
    assert re.search(r"─ (603|486) ", server.ladder("--method", "INVITE"))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_message(linphone: Start, transport: str) -> None:
    alice, bob = linphone("alice", transport), linphone("bob", transport)
    alice.do(f"message {bob.aor} have some wine")
    bob.program.wait_for('Content: "have some wine"')
    alice.program.wait_for("State: LinphoneChatMessageStateDelivered")
    bob.do(f"message {alice.aor} there is not any")
    alice.program.wait_for('Content: "there is not any"')


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_wrong_password(linphone: Start, server: Server, transport: str) -> None:
    alice = linphone("alice", transport, password="wrong", register=False)
    wait_for(lambda: alice.registration() == "Failed", lambda: alice.text)
    assert server.contacts("alice") == []


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_phone_that_leaves(linphone: Start, server: Server, transport: str) -> None:
    alice = linphone("alice", transport)
    assert len(server.contacts("alice")) == 1
    assert "Status: Ok" in alice.do("unregister ALL")
    wait_for(lambda: not server.contacts("alice"), "alice is still registered")


@pytest.mark.parametrize("transport", ["udp", "tls"])
def test_hold(linphone: Start, transport: str) -> None:
    alice, bob = linphone("alice", transport), linphone("bob", transport)
    establish(alice, bob)
    for phone, other in ((alice, bob), (bob, alice)):
        before, there = phone.mark, other.mark
        phone.do("call-pause 1")
        phone.wait("Paused", before)
        other.wait("PausedByRemote", there)
        before, there = phone.mark, other.mark
        phone.do("call-resume 1")
        phone.wait("StreamsRunning", before)
        other.wait("StreamsRunning", there)
    bob.do("terminate")
    alice.wait("End")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_with_a_phone_of_another_make(
    linphone: Start, baresip: Callable[..., Baresip], server: Server, transport: str
) -> None:
    alice, bob = linphone("alice", transport), baresip("bob", transport)
    alice.do(f"call {bob.aor}")
    bob.wait("CALL_INCOMING")
    bob.do("accept")
    alice.wait("StreamsRunning")
    bob.wait("CALL_ESTABLISHED")
    bob.do("hangup")
    alice.wait("End")
    before, there = alice.mark, bob.mark
    bob.do("dial", alice.aor)
    alice.program.wait_for("LinphoneCallIncomingReceived", after=before)
    alice.do("answer")
    bob.wait("CALL_ESTABLISHED", there)
    alice.do("terminate")
    bob.wait("CALL_CLOSED", there)
