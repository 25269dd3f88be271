"""The command behind ``twisted-sip explain``, and how its answer is shown."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock

from tests.element.test_decisions import request
from twisted_sip.cli.explain import lines
from twisted_sip.element.decisions import Decisions
from twisted_sip.element.trace import Trace
from twisted_sip.errors import StoreError
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import UDP
from twisted_sip.tap.control import CommandError
from twisted_sip.tap.explain_commands import explain_commands


class Flow:
    kind = UDP
    local = Address("192.0.2.1", 5060)
    remote = Address("192.0.2.7", 5070)


class Stage:
    def __init__(self, **parts: Any) -> None:
        self.clock = Clock()
        self.clock.advance(1_800_000_000)
        self.decisions = Decisions(self.clock.seconds)
        self.trace = Trace(self.clock.seconds)
        parts = {"decisions": self.decisions, "trace": self.trace, **parts}
        self.command = explain_commands(**parts)["explain"]

    def decide(self, call_id: str, method: str = "INVITE", key: str = "", first: str = "sip:bob@example.com") -> None:
        self.decisions.note(request(call_id, method), "route", "{0} goes somewhere", key, first)

    def ask(self, **arguments: Any) -> Any:
        return self.command(arguments)

    def refused(self, **arguments: Any) -> str:
        with pytest.raises(CommandError) as caught:
            self.ask(**arguments)
        return str(caught.value)


def test_by_the_beginning_of_the_call_id() -> None:
    stage = Stage()
    for call_id in ("abc", "abd", "x"):
        stage.decide(call_id)
    assert stage.ask(call_id="abc")["call_id"] == "abc"
    found = stage.ask(call_id="abd")
    assert [one["text"] for one in found["decisions"]] == ["sip:bob@example.com goes somewhere"]
    assert "messages" not in found
    assert stage.ask(call_id="x")["call_id"] == "x"
    assert stage.refused(call_id="ab") == "2 Call-IDs begin with ab"
    assert stage.refused(call_id="y") == "nothing was decided about a call y"
    assert stage.refused(call_id="") == "nothing was decided about a call "
    assert stage.refused(call_id=5) == "call_id is not a text"


def test_the_last_call_of_a_user() -> None:
    stage = Stage()
    assert stage.refused(last=True) == "nothing was decided about a call"
    stage.decide("one")
    stage.decide("two", "BYE", first="sip:carol@example.com")
    assert stage.ask(last=True)["call_id"] == "two"
    assert stage.ask(last=True, method="invite")["call_id"] == "one"
    assert stage.ask(user="sip:bob@example.com")["call_id"] == "one"
    wrong = stage.refused(user="sip:bob@example.com", method="BYE")
    assert wrong == "nothing was decided about a call of bob@example.com begun by BYE"


AWAY = "480: {0} is not registered"


def away(known: Any) -> Any:
    """Explain a call to bob, who is not registered; *known* tells whether he is a user."""
    stage = Stage(user_known=known, users_key=lambda: "storage.directory")
    stage.decisions.note(request("x"), "location", AWAY, "server.domains", "sip:bob@example.com")
    stage.decide("x")
    found = stage.ask(call_id="x")
    assert isinstance(found, Deferred)
    told: list[Any] = []
    found.addCallback(told.append)
    return told


BOB_IS_AWAY = ("480: sip:bob@example.com is not registered", "server.domains")
NO_BOB = ("480: sip:bob@example.com is not registered: there is no such user", "storage.directory")


@pytest.mark.parametrize(("known", "what"), [(True, BOB_IS_AWAY), (False, NO_BOB)])
def test_unknown_users_are_told_from_those_who_are_away(known: bool, what: tuple[str, str]) -> None:
    asked: list[str] = []

    def look(aor: str) -> bool:
        asked.append(aor)
        return known

    waiting: Deferred[bool] = Deferred()
    for users in (look, lambda aor: waiting):
        told = away(users)
        if not told:
            waiting.callback(known)
        [found] = told
        first, second = found["decisions"]
        assert (first["text"], first["key"], first["room"]) == (*what, "location")
        assert second["text"] == "sip:bob@example.com goes somewhere"
    assert asked == ["sip:bob@example.com"]


def test_where_nobody_can_tell_whether_there_is_a_user() -> None:
    [found] = away(lambda aor: fail(StoreError("gone")))
    assert (found["decisions"][0]["text"], found["decisions"][0]["key"]) == BOB_IS_AWAY


def test_what_is_not_kept() -> None:
    assert "[trace] decisions" in Stage(decisions=None).refused(call_id="x")
    stage = Stage(trace=None)
    stage.decide("x")
    assert "[trace] enabled" in stage.refused(call_id="x", messages=True)
    stage = Stage()
    message = request("x")
    stage.trace.seen(message, message.to_bytes(), Flow())  # type: ignore[arg-type]
    assert "the trace has its messages alone" in stage.refused(call_id="x")


def test_with_messages_in_the_order_of_time() -> None:
    stage = Stage()
    message = request("x")
    stage.trace.seen(message, message.to_bytes(), Flow())  # type: ignore[arg-type]
    stage.decide("x", key="route[0].to")
    stage.clock.advance(0.25)
    stage.decide("x", first="sip:\x1b[31mbob")
    stage.decisions.note(request("x"), "answer", "404 Not Found")
    stage.trace.sent(message, message.to_bytes(), Flow())  # type: ignore[arg-type]
    found = stage.ask(call_id="x", messages=True)
    assert len(found["messages"]) == 2
    shown = [line.plain for line in lines("x", found["decisions"], found["messages"])]
    assert shown[0] == "Call-ID x"
    assert shown[3:] == [
        "   0.000  <- 192.0.2.7:5070 udp  INVITE sip:bob@example.com",
        "   0.000  INVITE  route   sip:bob@example.com goes somewhere  [route[0].to]",
        "   0.250          route   sip:\ufffd[31mbob goes somewhere",
        "   0.250          answer  404 Not Found",
        "   0.250  -> 192.0.2.7:5070 udp  INVITE sip:bob@example.com",
    ]
