"""The services of RFC 5359 section 2 with three parties that an agent brings together: conferences, click to dial."""

from __future__ import annotations

from tests.flows.ladder import Stage
from tests.flows.test_rfc5359_calls import Willing, rings_and_answers
from twisted_sip.agent.call import Call

ADDED = """
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
"""


def test_2_10_third_party_is_added(stage: Stage) -> None:
    """The Contact of a mixing phone has no ``isfocus`` (RFC 4579 section 5.7)."""
    alice, bob = stage.agent("Alice", 1), stage.agent("Bob", 2, does=rings_and_answers)
    carol = stage.agent("Carol", 3, does=rings_and_answers)
    alice.call(bob.uri)
    stage.run()
    [first] = bob.arrived
    first.update()
    stage.run()
    second = bob.call(carol.uri)
    stage.run()
    bob.three_way(first, second)
    assert second.media in first.media.bridged or first.media in second.media.bridged
    stage.check(ADDED)


JOINS = """
F1 INVITE Alice -> Bob
F2 180 Ringing Bob -> Alice
F3 200 OK Bob -> Alice
F4 ACK Alice -> Bob
F5 INVITE Carol -> Bob
F6 180 Ringing Bob -> Carol
F7 INVITE Bob -> Alice
F8 200 OK Alice -> Bob
F9 ACK Bob -> Alice
F10 200 OK Bob -> Carol
F11 ACK Carol -> Bob
"""


def test_2_11_third_party_joins(stage: Stage) -> None:
    alice = stage.agent("Alice", 1)
    bob = stage.agent("Bob", 2, does=rings_and_answers, kind=Willing)
    carol = stage.agent("Carol", 3)
    call = alice.call(bob.uri)
    stage.run()

    async def mixes(call: Call) -> None:
        assert call.joins is bob.arrived[0]
        await call.ring()
        await call.joins.update()
        await call.answer()

    bob.does = mixes
    joining = carol.call(bob.uri, join=call.join_value())
    stage.run()
    assert joining.established and call.established and len(bob.calls) == 2
    assert bob.arrived[1].media in bob.arrived[0].media.bridged or bob.arrived[0].media in bob.arrived[1].media.bridged
    stage.check(JOINS)


CLICK = """
F1 REFER PC -> Bob
F2 202 Accepted Bob -> PC
F3 INVITE Bob -> Carol
F4 180 Ringing Carol -> Bob
F5 200 OK Carol -> Bob
F6 ACK Bob -> Carol
"""


def test_2_18_click_to_dial(stage: Stage) -> None:
    pc, bob = stage.agent("PC", 1), stage.agent("Bob", 2, kind=Willing)
    carol = stage.agent("Carol", 3, does=rings_and_answers)
    asked = pc.refer(bob.uri, f"<{carol.uri}>", notify=False)
    stage.run()
    assert asked.status == 202 and bob.made[0].established
    assert stage.last("REFER", "Bob").headers.first("refer-sub") == "false"
    assert stage.last("202", "PC").headers.first("refer-sub") == "false"
    stage.check(CLICK)
