"""Whether both ends of every call of user agents agree on what has become of it, and each tells one story of it.

What is compared: a call that is up is up at both ends, with the same descriptions (RFC 3264), and who has put the other
on hold knows it as the other does (section 8.4).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted_sip.agent.call import Call
from twisted_sip.agent.call_events import CallState
from twisted_sip.testing.faked_media import FakedMedia
from twisted_sip.testing.simulated_agent import SimulatedAgent
from twisted_sip.testing.simulated_b2bua import SimulatedB2BUA


def contradictions(
    agents: Iterable[SimulatedAgent], b2bua: SimulatedB2BUA | None = None, *, whole: bool = True
) -> tuple[list[str], int]:
    """Return a line for each contradiction between calls that go on, and how many go on at both ends.

    It is for a moment at which nothing is under way: all have had the time to notice what has become of their calls.

    :param b2bua: stands between them: its legs are other ends of theirs.
    :param whole: all who were there are among *agents*; otherwise a call may be the last end of one.
    """
    found: list[str] = []
    ends: dict[tuple[str, str, str], tuple[Any, Call]] = {}
    everybody: list[Any] = [*agents] if b2bua is None else [*agents, b2bua]
    for agent in everybody:
        for call in agent.calls:
            dialog = call.dialog
            if dialog is None or call.state is not CallState.ESTABLISHED:
                found.append(f"{agent!r}: still {call!r} {call.id}")
                continue
            ends[dialog.id.call_id, dialog.id.local_tag, dialog.id.remote_tag] = (agent, call)
    pairs = 0
    for (call_id, local_tag, remote_tag), (agent, call) in ends.items():
        other = ends.get((call_id, remote_tag, local_tag))
        if other is None:
            # Without a session timer nobody notices that a peer is dead.
            if whole or (call.session is not None and call.session.timer.interval):
                found.append(f"{agent!r} is alone in {call!r} {call_id}")
        elif local_tag < remote_tag:
            pairs += 1
            compared = _legs if b2bua in (agent, other[0]) else _compared
            found += [f"{agent!r} and {other[0]!r} in {call_id}: {line}" for line in compared(call, other[1])]
    for bridged in b2bua.bridged if b2bua is not None else ():
        far = [ends.get(_other_end(leg)) for leg in (bridged.caller, bridged.callee) if leg is not None]
        if len(far) == 2 and far[0] is not None and far[1] is not None:
            one, another = far[0][1], far[1][1]
            if (one.on_hold, another.on_hold) != (another.held, one.held):
                found.append(f"{far[0][0]!r} and {far[1][0]!r} by {bridged!r}: {_holds(one, another)}")
    return found, pairs


def _other_end(leg: Call) -> tuple[str, str, str]:
    dialog = leg.dialog
    return ("", "", "") if dialog is None else (dialog.id.call_id, dialog.id.remote_tag, dialog.id.local_tag)


def _legs(one: Call, other: Call) -> list[str]:
    """Compare one end with the leg of a b2bua, which holds nobody itself."""
    if (one.local_body, one.remote_body) != (other.remote_body, other.local_body):
        return [f"signalling: {one.local_body} {one.remote_body} {other.local_body} {other.remote_body}"]
    return []


def _holds(one: Call, other: Call) -> str:
    return f"holds: {one.on_hold}, {other.on_hold}; is held: {one.held}, {other.held}; {_ways(one)}, {_ways(other)}"


def _compared(one: Call, other: Call) -> list[str]:
    found: list[str] = []
    if (one.on_hold, other.on_hold) != (other.held, one.held):
        found.append(_holds(one, other))
    if (one.local_body, one.remote_body) != (other.remote_body, other.local_body):
        found.append(f"signalling: {one.local_body} {one.remote_body} {other.local_body} {other.remote_body}")
    media, others = one.media, other.media
    if isinstance(media, FakedMedia) and isinstance(others, FakedMedia):
        mine = media.agreed
        if mine is None or others.agreed != (mine[1], mine[0]):
            found.append(f"media: {mine} {others.agreed}")
    return found


def _ways(call: Call) -> str:
    return call.media.way if isinstance(call.media, FakedMedia) else "?"


def stories(agent: SimulatedAgent) -> list[str]:
    """Return a line for each call whose events do not make sense: they end with one Ended, and are answered before they
    are confirmed, once each. All calls of *agent* are over."""
    found: list[str] = []
    for call in agent.all_calls:
        told = [type(event).__name__ for event in call.log.kept()]
        ends = told.count("Ended")
        in_order = [name for name in told if name in ("Answered", "Confirmed")] in (
            [],
            ["Answered"],
            ["Answered", "Confirmed"],
        )
        if ends != 1 or told[-1] != "Ended" or not in_order or not call.over:
            found.append(f"{agent!r}: the story of {call!r} is {told}")
        if call.media is not None and not call.media.closed:
            found.append(f"{agent!r}: the media of {call!r} are not closed")
    return found
