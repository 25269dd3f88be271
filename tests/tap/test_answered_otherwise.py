"""Calls that are answered before their time, and calls that cannot be answered (RFC 5373 section 4, RFC 3261 section
13.3.1.3)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.agent.settings import AgentSettings
from twisted_sip.errors import MediaRefused
from twisted_sip.tap.answering import Echo
from twisted_sip.tap.voice_menu import KeyAction, Menu, VoiceMenu
from twisted_sip.tap.voice_menu_call import MenuAnswer

from .ua_stage import HERE, Stage


class CountingEcho(Echo):
    """Counts its calls."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    async def talk(self, call: Any) -> None:
        self.calls.append(call)
        await super().talk(call)


def no_room(call: Any) -> Any:
    raise MediaRefused("too many sessions", status=503)


def test_who_is_answered_at_once_is_talked_to_at_once() -> None:
    answer = CountingEcho()
    stage = Stage(answer, ring=20.0, settings=AgentSettings(auto_answer="anybody"))
    call = stage.caller.call(f"sip:phone@{HERE}", headers=[("answer-mode", "Auto")])
    stage.run(1)
    assert call.established and len(answer.calls) == 1
    stage.run(30)
    assert call.established and len(answer.calls) == 1
    stage.stop()


@pytest.mark.parametrize("ring", [0.0, 2.0])
@pytest.mark.parametrize("mode", ["Auto", "Manual"])
def test_without_room_for_media_a_call_is_refused(ring: float, mode: str) -> None:
    stage = Stage(Echo(), ring=ring, settings=AgentSettings(auto_answer="anybody"))
    stage.answering.make_media = no_room
    call = stage.caller.call(f"sip:phone@{HERE}", headers=[("answer-mode", mode)])
    stage.run(3)
    assert call.over and call.ending.status == 503
    stage.stop()


@pytest.mark.parametrize("ring", [0.0, 2.0])
@pytest.mark.parametrize("mode", ["Auto", "Manual"])
def test_a_mistake_in_what_makes_media(failures: list[Any], ring: float, mode: str) -> None:
    stage = Stage(Echo(), ring=ring, settings=AgentSettings(auto_answer="anybody"))

    def mistake(call: Any) -> Any:
        raise KeyError("x")

    stage.answering.make_media = mistake
    call = stage.caller.call(f"sip:phone@{HERE}", headers=[("answer-mode", mode)])
    stage.run(3)
    assert call.over and call.ending.status == 500
    assert [type(failure) for failure in failures] == [KeyError]
    stage.stop()


def test_a_menu_goes_on_where_there_is_no_room_for_a_second_call(failures: list[Any]) -> None:
    """Its caller takes no REFER."""
    main = Menu(wait=2.0, times=1, key={"1": KeyAction(transfer="sip:sales@198.51.100.9")})
    stage = Stage(MenuAnswer(VoiceMenu(menu={"main": main}), lambda path: None))  # type: ignore[arg-type, return-value]
    stage.caller.settings = AgentSettings(accept_transfers="nobody")
    call = stage.call()
    assert call.established
    stage.answering.make_media = no_room
    call.send_dtmf("1", "info")
    stage.run(1)
    assert call.established
    stage.run(10)
    assert call.over and call.ending.cause == "bye" and failures == []
    stage.stop()
