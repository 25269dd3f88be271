"""examples/answer_bot.py answers who writes to it, and everybody else gets his messages, later if need be."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

DOMAIN = "bot.example"
SOURCE = Path(__file__).parents[2] / "examples" / "answer_bot.py"


def test_the_bot_answers(program: Callable[..., str], free_port: int, peer: Callable[[int], Any]) -> None:
    program("answer_bot.py", DOMAIN, str(free_port))
    carol, dave = peer(free_port), peer(free_port)
    assert carol.register("carol", DOMAIN) == "SIP/2.0 200 OK"
    user, echo, absent = (f"sip:{name}@{DOMAIN}" for name in ("carol", "echo", "dave"))
    carol.request("MESSAGE", echo, user, echo, "Content-Type: text/plain", body="hello")
    received = [carol.receive(), carol.receive()]
    [answer] = [message for message in received if message.startswith("MESSAGE")]
    assert answer.endswith("\r\n\r\nYou said: hello") and f"From: <{echo}>;tag=" in answer
    assert [message for message in received if message.startswith("SIP/2.0 200 OK")]
    carol.request("MESSAGE", absent, user, absent, "Content-Type: text/plain", body="later")
    answers = [carol.receive()]
    while answers[-1].startswith("MESSAGE"):
        # The bot's message comes again: nobody has answered it.
        answers.append(carol.receive())
    assert answers[-1].startswith("SIP/2.0 202 Accepted")
    assert dave.register("dave", DOMAIN) == "SIP/2.0 200 OK"
    assert dave.receive().endswith("\r\n\r\nlater")


def test_the_bot_takes_ten_lines() -> None:
    text = SOURCE.read_text("utf-8")
    body = re.search(r"class AnswerBot.*?(?=\n\n\n)", text, re.DOTALL)
    assert body is not None and len([line for line in body[0].splitlines() if line.strip()]) <= 10
    assert len(text.splitlines()) <= 45
