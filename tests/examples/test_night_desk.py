"""examples/night_desk.py sends calls for the reception to the night desk out of hours, and only those."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DOMAIN = "desk.example"
SOURCE = Path(__file__).parents[2] / "examples" / "night_desk.py"


@pytest.mark.parametrize(("hours", "answers"), [("0-0", "night-desk"), ("0-24", "reception")])
def test_the_hour_decides(
    program: Callable[..., str], free_port: int, peer: Callable[[int], Any], hours: str, answers: str
) -> None:
    program("night_desk.py", "--domain", DOMAIN, "--port", str(free_port), "--open", hours)
    phones = {user: peer(free_port) for user in ("reception", "night-desk", "carol")}
    for user, phone in phones.items():
        assert phone.register(user, DOMAIN) == "SIP/2.0 200 OK"
    caller = phones["carol"]
    called = f"sip:reception@{DOMAIN}"
    caller.request("MESSAGE", called, f"sip:carol@{DOMAIN}", called, "Content-Type: text/plain", body="hello")
    received = phones[answers].receive()
    assert received.startswith(f"MESSAGE sip:{answers}@127.0.0.1:{phones[answers].port} SIP/2.0\r\n")
    assert received.endswith("\r\n\r\nhello")


def test_other_calls_go_where_they_always_go(
    program: Callable[..., str], free_port: int, peer: Callable[[int], Any]
) -> None:
    program("night_desk.py", "--domain", DOMAIN, "--port", str(free_port), "--open", "0-0")
    carol, dave = peer(free_port), peer(free_port)
    for user, phone in (("carol", carol), ("dave", dave)):
        assert phone.register(user, DOMAIN) == "SIP/2.0 200 OK"
    carol.request("MESSAGE", f"sip:dave@{DOMAIN}", f"sip:carol@{DOMAIN}", f"sip:dave@{DOMAIN}")
    assert dave.receive().startswith("MESSAGE sip:dave@127.0.0.1")


def test_the_decision_takes_ten_lines() -> None:
    body = re.search(r"class NightDesk.*?(?=\n\n\n)", SOURCE.read_text("utf-8"), re.DOTALL)
    assert body is not None
    assert len([line for line in body[0].splitlines() if line.strip()]) <= 10
