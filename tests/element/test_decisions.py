"""Why calls went the way they did, and how much of it is kept."""

from __future__ import annotations

from twisted.internet.task import Clock

from twisted_sip.element.decisions import MAX_DECISIONS, Decision, Decisions


def test_what_is_noted_is_told_in_order() -> None:
    clock = Clock()
    decisions = Decisions(clock.seconds)
    decisions.note("a", "INVITE", "admission", "alice has proved herself")
    clock.advance(1)
    decisions.note("a", "INVITE", "route", "to the gateway", "route[1].to")
    decisions.note("b", "BYE", "admission", "in a dialog")
    assert decisions.call("a") == [
        Decision(0.0, "INVITE", "admission", "alice has proved herself", ""),
        Decision(1.0, "INVITE", "route", "to the gateway", "route[1].to"),
    ]
    assert decisions.call("c") == []
    assert list(decisions.find("b")) == ["b"]


def test_calls_and_decisions_are_bounded() -> None:
    decisions = Decisions(Clock().seconds, 2)
    for call_id in ("a", "b", "c"):
        for number in range(MAX_DECISIONS + 5):
            decisions.note(call_id, "INVITE", "route", str(number))
    assert len(decisions) == 2
    assert decisions.call("a") == []
    assert [one.text for one in decisions.call("c")] == [str(number) for number in range(MAX_DECISIONS)]
