"""The services of RFC 5359 section 2 that are the agent's: hold and transfers.

What differs from the text, everywhere: nothing is sent over TLS, and GRUUs stand where a registrar has given them.
"""

from __future__ import annotations

from typing import Any

from tests.flows.ladder import Party, Stage
from twisted_sip.agent.call import Call, refer_to_call
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.transfer import Replaces
from twisted_sip.message.uri import SIPURI


async def rings_and_answers(call: Call) -> None:
    await call.ring()
    await call.answer()


async def answers(call: Call) -> None:
    await call.answer()


class Willing(Party):
    """Follows REFERs of strangers, lets calls be joined, and reads messages."""

    read: list[Any]

    def accept_transfer(self, call: Any, referral: Any) -> bool:
        return True

    def accept_join(self, call: Any, incoming: Any) -> bool:
        return True

    async def incoming_message(self, message: Any) -> None:
        self.read = [*getattr(self, "read", ()), message]


def direction(message: Any) -> str:
    """Return the direction that the description in *message* gives."""
    lines = message.body.decode().split()
    return next((line[2:] for line in lines if line in ("a=sendonly", "a=recvonly", "a=inactive")), "sendrecv")


CALL = """
F1 INVITE Alice -> Proxy 1
F2 INVITE Proxy 1 -> Bob
F3 (100 Trying) Proxy 1 -> Alice
F4 180 Ringing Bob -> Proxy 1
F5 180 Ringing Proxy 1 -> Alice
F6 200 OK Bob -> Proxy 1
F7 200 OK Proxy 1 -> Alice
F8 ACK Alice -> Proxy 1
F9 ACK Proxy 1 -> Bob
F10 INVITE Bob -> Proxy 1
F11 INVITE Proxy 1 -> Alice
F12 200 OK Alice -> Proxy 1
F13 200 OK Proxy 1 -> Bob
F14 ACK Bob -> Proxy 1
F15 ACK Proxy 1 -> Alice
"""

HOLD = (
    CALL
    + """\
F16 INVITE Bob -> Proxy 1
F17 INVITE Proxy 1 -> Alice
F18 200 OK Alice -> Proxy 1
F19 200 OK Proxy 1 -> Bob
F20 ACK Bob -> Proxy 1
F21 ACK Proxy 1 -> Alice
F22 BYE Alice -> Proxy 1
F23 BYE Proxy 1 -> Bob
F24 200 OK Bob -> Proxy 1
F25 200 OK Proxy 1 -> Alice
"""
)


#: The text has no 100 for re-INVITEs; the proxy does not know what they are.
MORE_TRYING = """
F1 100 Trying Proxy 1 -> Bob
F2 100 Trying Proxy 1 -> Bob
"""


def test_2_1_call_hold(stage: Stage) -> None:
    proxy = stage.proxy("Proxy 1", 1)
    alice, bob = stage.agent("Alice", 1, proxy), stage.agent("Bob", 2, proxy, rings_and_answers)
    call = alice.call(bob.uri)
    stage.run()
    [other] = bob.arrived
    other.hold()
    stage.run()
    assert direction(stage.last("INVITE", "Alice")) == "sendonly" and direction(stage.last("200", "Bob")) == "recvonly"
    assert call.held
    other.resume()
    stage.run()
    assert direction(stage.last("INVITE", "Alice")) == direction(stage.last("200", "Bob")) == "sendrecv"
    assert not call.held
    call.hangup()
    stage.run()
    stage.check(HOLD, extra=MORE_TRYING)


CONSULTATION = (
    CALL
    + """\
F16 INVITE Bob -> Proxy 1
F17 INVITE Proxy 1 -> Carol
F18 (100 Trying) Proxy 1 -> Bob
F19 180 Ringing Carol -> Proxy 1
F20 180 Ringing Proxy 1 -> Bob
F21 200 OK Carol -> Proxy 1
F22 200 OK Proxy 1 -> Bob
F23 ACK Bob -> Proxy 1
F24 ACK Proxy 1 -> Carol
F25 BYE Bob -> Proxy 1
F26 BYE Proxy 1 -> Carol
F27 200 OK Carol -> Proxy 1
F28 200 OK Proxy 1 -> Bob
F29 INVITE Bob -> Proxy 1
F30 INVITE Proxy 1 -> Alice
F31 200 OK Alice -> Proxy 1
F32 200 OK Proxy 1 -> Bob
F33 ACK Bob -> Proxy 1
F34 ACK Proxy 1 -> Alice
F35 BYE Alice -> Proxy 1
F36 BYE Proxy 1 -> Bob
F37 200 OK Bob -> Proxy 1
F38 200 OK Proxy 1 -> Alice
"""
)


def test_2_2_consultation_hold(stage: Stage) -> None:
    proxy = stage.proxy("Proxy 1", 1)
    alice, bob = stage.agent("Alice", 1, proxy), stage.agent("Bob", 2, proxy, rings_and_answers)
    carol = stage.agent("Carol", 3, proxy, rings_and_answers)
    call = alice.call(bob.uri)
    stage.run()
    [other] = bob.arrived
    other.hold()
    stage.run()
    consultation = bob.call(carol.uri)
    stage.run()
    assert consultation.established and call.held
    consultation.hangup()
    stage.run()
    other.resume()
    stage.run()
    assert call.established and not call.held
    call.hangup()
    stage.run()
    stage.check(CONSULTATION, extra=MORE_TRYING)


MUSIC = """
F1 INVITE Alice -> Bob
F2 180 Ringing Bob -> Alice
F3 200 OK Bob -> Alice
F4 ACK Alice -> Bob
F5 INVITE Bob -> Alice
F6 200 OK Alice -> Bob
F7 ACK Bob -> Alice
F8 REFER Bob -> Music Server
F9 202 Accepted Music Server -> Bob
F10 NOTIFY Music Server -> Bob
F11 200 OK Bob -> Music Server
F12 INVITE Music Server -> Alice
F13 200 OK Alice -> Music Server
F14 ACK Music Server -> Alice
F15 BYE Alice -> Bob
F16 200 OK Bob -> Alice
F17 NOTIFY Music Server -> Bob
F18 200 OK Bob -> Music Server
F19 INVITE Bob -> Alice
F20 200 OK Alice -> Bob
F21 ACK Bob -> Alice
F22 BYE Alice -> Music Server
F23 200 OK Music Server -> Alice
"""


def referred(stage: Stage, server: Any, call: Call) -> Call:
    """Bob has *server* take his place in *call*; return the call that Alice is in then."""
    bob: Any = call.agent
    transfer = bob.refer(server.uri, refer_to_call(call))
    stage.run()
    assert transfer.status == 200 and call.over
    [made] = server.made
    assert made.established
    taken: Call = made
    return taken


def test_2_3_music_on_hold(stage: Stage) -> None:
    """The NOTIFY tells no dialog identifiers; Bob, whose music server it is, has them from there."""
    alice, bob = stage.agent("Alice", 1), stage.agent("Bob", 2, does=rings_and_answers)
    music = stage.agent("Music Server", 3, kind=Willing)
    alice.call(bob.uri)
    stage.run()
    bob.arrived[0].hold()
    stage.run()
    held = referred(stage, music, bob.arrived[0])
    back = bob.call(alice.uri, replaces=taking(held))
    stage.run()
    assert back.established and held.over and alice.calls == (alice.arrived[1],)
    stage.check(MUSIC)


def taking(call: Call) -> Replaces:
    """Return the Replaces for the peer of *call*, who then leaves it."""
    return call.replaces_value()


UNATTENDED = """
F1 INVITE Bob -> Alice
F2 180 Ringing Alice -> Bob
F3 200 OK Alice -> Bob
F4 ACK Bob -> Alice
F5 REFER Alice -> Bob
F6 202 Accepted Bob -> Alice
F7 NOTIFY Bob -> Alice
F8 200 OK Alice -> Bob
F9 BYE Alice -> Bob
F10 200 OK Bob -> Alice
F11 INVITE Bob -> Carol
F12 180 Ringing Carol -> Bob
F13 200 OK Carol -> Bob
F14 ACK Bob -> Carol
F15 NOTIFY Bob -> Alice
F16 200 OK Alice -> Bob
"""


def test_2_4_transfer_unattended(stage: Stage) -> None:
    """Bob tells of the ringing, too (RFC 3515 section 2.4.5 leaves that to him)."""
    alice, bob = stage.agent("Alice", 1, does=rings_and_answers), stage.agent("Bob", 2)
    carol = stage.agent("Carol", 3, does=rings_and_answers)
    bob.call(alice.uri)
    stage.run()
    transfer = alice.arrived[0].transfer(carol.uri, hangup=False)
    # Until the first NOTIFY.
    stage.run(0.025)
    alice.arrived[0].hangup()
    stage.run()
    assert transfer.status == 200 and bob.calls[0].remote.uri_text == carol.uri
    stage.check(UNATTENDED, extra="F1 NOTIFY Bob -> Alice\nF2 200 OK Alice -> Bob")


ATTENDED = """
F1 INVITE Alice -> Bob
F2 180 Ringing Bob -> Alice
F3 200 OK Bob -> Alice
F4 ACK Alice -> Bob
F5 INVITE Bob -> Alice
F6 200 OK Alice -> Bob
F7 ACK Bob -> Alice
F8 INVITE Bob -> Carol
F9 180 Ringing Carol -> Bob
F10 200 OK Carol -> Bob
F11 ACK Bob -> Carol
F12 INVITE Bob -> Carol
F13 200 OK Carol -> Bob
F14 ACK Bob -> Carol
F15 REFER Bob -> Alice
F16 202 Accepted Alice -> Bob
F17 NOTIFY Alice -> Bob
F18 200 OK Bob -> Alice
F19 INVITE Alice -> Carol
F20 200 OK Carol -> Alice
F21 ACK Alice -> Carol
F22 BYE Carol -> Bob
F23 200 OK Bob -> Carol
F24 NOTIFY Alice -> Bob
F25 200 OK Bob -> Alice
F26 BYE Bob -> Alice
F27 200 OK Alice -> Bob
"""


def test_2_5_transfer_attended(stage: Stage) -> None:
    alice, bob = stage.agent("Alice", 1), stage.agent("Bob", 2, does=rings_and_answers)
    carol = stage.agent("Carol", 3, does=rings_and_answers)
    alice.call(bob.uri)
    stage.run()
    [call] = bob.arrived
    call.hold()
    stage.run()
    consultation = bob.call(carol.uri)
    stage.run()
    consultation.hold()
    stage.run()
    # What takes the place of a call is answered at once (RFC 3891 section 3).
    carol.does = answers
    transfer = call.transfer(consultation)
    stage.run()
    assert transfer.status == 200 and not bob.calls
    [left], [right] = alice.calls, carol.calls
    assert left.id == right.id and right.remote.uri_text == alice.uri
    assert stage.last("INVITE", "Carol").headers.first("referred-by") == f"<{bob.uri}>"
    stage.check(ATTENDED)


MESSAGING = """
F1 INVITE Alice -> Bob
F2 180 Ringing Bob -> Alice
F3 200 OK Bob -> Alice
F4 ACK Alice -> Bob
F5 MESSAGE Bob -> Carol
F6 200 OK Carol -> Bob
F7 INVITE Carol -> Alice
F8 200 OK Alice -> Carol
F9 ACK Carol -> Alice
F10 BYE Alice -> Bob
F11 200 OK Bob -> Alice
"""


def test_2_6_transfer_instant_messaging(stage: Stage) -> None:
    alice, bob = stage.agent("Alice", 1), stage.agent("Bob", 2, does=rings_and_answers)
    carol = stage.agent("Carol", 3, kind=Willing)
    alice.call(bob.uri)
    stage.run()
    bob.message(carol.uri, refer_to_call(bob.arrived[0]))
    stage.run()
    # She clicks at it.
    uri = NameAddr.parse(carol.read[0].text).uri
    assert isinstance(uri, SIPURI)
    replaces = Replaces.parse(uri.headers.partition("=")[2].replace("%3B", ";").replace("%3D", "="))
    taken = carol.call(uri.replace(headers=""), replaces=replaces)
    stage.run()
    assert taken.established and not bob.calls and len(alice.calls) == 1
    stage.check(MESSAGING)
