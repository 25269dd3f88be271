"""The services of RFC 5359 section 2 that watch the dialogs of others: parking, pickup, automatic redial."""

from __future__ import annotations

from typing import Any

from tests.flows.ladder import Stage
from tests.flows.test_rfc5359_calls import Willing, answers, referred, rings_and_answers
from twisted_sip.agent.call import Call
from twisted_sip.agent.services import fetch
from twisted_sip.documents.dialog_info import MEDIA_TYPE, DialogInfoDocument
from twisted_sip.events.dialog_package import DialogView
from twisted_sip.message.transfer import Replaces


def serves_all(agent: Any) -> None:
    """Let everybody see the calls of *agent*: in the flows nobody proves who he is."""
    agent.authorize_watcher = lambda account, watcher, proved: DialogView.COMPLETE
    agent.serve_dialogs()


PARK = """
F1 INVITE Alice -> Bob
F2 180 Ringing Bob -> Alice
F3 200 OK Bob -> Alice
F4 ACK Alice -> Bob
F5 REFER Bob -> Park Server
F6 202 Accepted Park Server -> Bob
F7 NOTIFY Park Server -> Bob
F8 200 OK Bob -> Park Server
F9 INVITE Park Server -> Alice
F10 200 OK Alice -> Park Server
F11 ACK Park Server -> Alice
F12 BYE Alice -> Bob
F13 200 OK Bob -> Alice
F14 NOTIFY Park Server -> Bob
F15 200 OK Bob -> Park Server
F16 SUBSCRIBE Carol -> Park Server
F17 200 OK Park Server -> Carol
F18 NOTIFY Park Server -> Carol
F19 200 OK Carol -> Park Server
F20 INVITE Carol -> Alice
F21 200 OK Alice -> Carol
F22 ACK Carol -> Alice
F23 BYE Alice -> Park Server
F24 200 OK Park Server -> Alice
"""


def test_2_15_call_park(stage: Stage) -> None:
    alice, bob = stage.agent("Alice", 1), stage.agent("Bob", 2, does=rings_and_answers)
    park, carol = stage.agent("Park Server", 3, kind=Willing), stage.agent("Carol", 4)
    serves_all(park)
    alice.call(bob.uri)
    stage.run()
    parked = referred(stage, park, bob.arrived[0])
    told: list[Any] = []
    fetch(carol, park.uri, "dialog", MEDIA_TYPE, carol.account_of_choice).addCallback(told.append)
    stage.run()
    [dialog] = DialogInfoDocument.parse(told[0].body).dialogs
    assert dialog.state == "confirmed" and dialog.remote is not None and dialog.remote.target is not None
    replaces = Replaces(dialog.call_id, dialog.remote_tag, dialog.local_tag)
    taken = carol.call(dialog.remote.target.uri, replaces=replaces)
    stage.run()
    assert taken.established and parked.over and len(alice.calls) == 1
    stage.check(PARK)


PICKUP = """
F1 INVITE Alice -> Bob
F2 180 Ringing Bob -> Alice
F3 SUBSCRIBE Bill -> Bob
F4 200 OK Bob -> Bill
F5 NOTIFY Bob -> Bill
F6 200 OK Bill -> Bob
F7 INVITE Bill -> Alice
F8 200 OK Alice -> Bill
F9 CANCEL Alice -> Bob
F10 200 OK Bob -> Alice
F11 487 Request Terminated Bob -> Alice
F12 ACK Alice -> Bob
F13 ACK Bill -> Alice
F14 BYE Alice -> Bill
F15 200 OK Bill -> Alice
"""


def test_2_16_call_pickup(stage: Stage) -> None:
    async def rings(call: Call) -> None:
        await call.ring()

    alice, bob, bill = stage.agent("Alice", 1), stage.agent("Bob", 2, does=rings), stage.agent("Bill", 3)
    serves_all(bob)
    alice.call(bob.uri)
    stage.run()
    picked: list[Call] = []
    bill.pick_up(bob.uri).addCallback(picked.append)
    stage.run()
    assert picked[0].established and not bob.calls and len(alice.calls) == 1
    alice.calls[0].hangup()
    stage.run()
    stage.check(PICKUP)


REDIAL = """
F1 INVITE Alice -> Bob
F2 486 Busy Here Bob -> Alice
F3 ACK Alice -> Bob
F4 SUBSCRIBE Alice -> Bob
F5 200 OK Bob -> Alice
F6 NOTIFY Bob -> Alice
F7 200 OK Alice -> Bob
F8 NOTIFY Bob -> Alice
F9 200 OK Alice -> Bob
F10 INVITE Alice -> Bob
F11 180 Ringing Bob -> Alice
F12 200 OK Bob -> Alice
F16 SUBSCRIBE Alice -> Bob
F13 ACK Alice -> Bob
F17 200 OK Bob -> Alice
F18 NOTIFY Bob -> Alice
F19 200 OK Alice -> Bob
"""


def test_2_17_automatic_redial(stage: Stage) -> None:
    """Alice ends her subscription as soon as she calls: F16 follows F10, and no F14 tells her of her own call. In the
    text Bob is busy with nobody in particular; here it is Dave."""
    alice, bob, dave = stage.agent("Alice", 1), stage.agent("Bob", 2, does=answers), stage.agent("Dave", 3)
    serves_all(bob)
    other = dave.call(bob.uri)
    stage.run()
    bob.does = lambda call: call.reject(486)
    refused = alice.call(bob.uri)
    stage.run()
    assert refused.ending.status == 486
    waiting = alice.call_back(bob.uri)
    stage.run(10.0)
    assert waiting.call is None
    bob.does = rings_and_answers
    other.hangup()
    stage.run(5.0)
    assert waiting.call.established
    stage.check(REDIAL, but=["Dave"])
