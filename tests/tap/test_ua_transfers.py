"""Whom an answering user agent can be made to call."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.agent.call import Call
from twisted_sip.agent.settings import AgentSettings
from twisted_sip.errors import RequestRefused
from twisted_sip.tap.answering import Echo

from .ua_stage import THERE, Stage

OTHER = "198.51.100.9"


@pytest.mark.parametrize(
    ("target", "settings", "line", "status"),
    [
        (f"sip:bob@{THERE}", {}, False, 0),
        (f"sip:bob@{THERE}:5070", {}, False, 0),
        (f"sip:bob@{OTHER}", {}, False, 603),
        (f"sip:bob@{THERE};maddr={OTHER}", {}, False, 603),
        (f"sip:bob@{OTHER};maddr={THERE}", {}, False, 603),
        ("sip:bob@caller.example", {}, False, 603),
        ("tel:+1900555", {}, False, 603),
        (f"sip:bob@{OTHER}", {"transfer_targets": (OTHER,)}, False, 0),
        (f"sip:bob@{OTHER}", {"transfer_targets": ("*",)}, False, 0),
        (f"sip:bob@{THERE}", {"accept_transfers": "servers"}, False, 603),
        (f"sip:bob@{THERE}", {"accept_transfers": "nobody"}, False, 603),
        (f"sip:bob@{OTHER}", {"accept_transfers": "anybody", "transfer_targets": (OTHER,)}, True, 0),
        # With a line there are credentials: callers who have proved nothing lead nowhere.
        (f"sip:bob@{THERE}", {}, True, 603),
        (f"sip:bob@{OTHER}", {"transfer_targets": ("*",)}, True, 603),
    ],
)
def test_where_a_caller_may_send_it(target: str, settings: Any, line: bool, status: int) -> None:
    stage = Stage(Echo(), settings=AgentSettings(**settings))
    if line:
        stage.answering.account("sip:phone@198.51.100.1")
    done: list[Any] = []
    made: list[str] = []
    follow = stage.answering.lines.follow

    def followed(old: Call, new: Call) -> None:
        made.append(new.remote.uri_text)
        follow(old, new)

    stage.answering.lines.follow = followed
    call = stage.call()
    call.transfer(target).done.addBoth(done.append)
    stage.run(1)
    if status:
        error = done[0].value
        assert isinstance(error, RequestRefused) and error.status == status and not made
    else:
        assert made == [target]
    stage.stop()


def test_somebody_else_does_not_know_the_call() -> None:
    stage = Stage(Echo())
    stage.call()
    stranger = stage.phone(OTHER)
    done: list[Any] = []
    stranger.refer("sip:phone@198.51.100.1", f"sip:bob@{OTHER}").done.addBoth(done.append)
    stage.run(1)
    assert done[0].value.status == 603 and not [each for each in stage.answering.calls if each.outgoing]
    stranger.stopService()
    stage.stop()
