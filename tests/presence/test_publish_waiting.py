"""PUBLISH requests that wait for the disk, and what can happen to their answers (RFC 3903 section 6)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.documents.pidf import Presence
from twisted_sip.interfaces.processing import TAKEN
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.presence.event_state_compositor import _Waiting

ALICE = "sip:alice@example.com"
OPEN = Presence(ALICE).with_status("open", id="phone")


@pytest.mark.parametrize("slow", [False, True])
def test_what_nobody_could_be_told_of_is_not_acknowledged(
    desk: Any, alice: Any, failures: Any, slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(resource: str) -> None:
        raise ValueError("not now")

    desk.store.slow = slow
    with monkeypatch.context() as patched:
        patched.setattr(desk.service, "state_changed", changed)
        alice.publish(OPEN, wait=False)
        desk.network.advance(1.0)
        desk.store.write()
        assert alice.response().status == 500
    assert failures.texts
    failures.texts.clear()


def test_who_cannot_be_answered_is_logged(desk: Any, failures: Any) -> None:
    class Asked:
        over = False
        request = Request("PUBLISH", ALICE, [("Call-ID", "1")])

        def send(self, response: Response) -> None:
            raise ValueError("not now")

    asked: Any = Asked()
    waiting = _Waiting(asked)
    assert waiting.verdict(Response(200)) is TAKEN
    waiting(None)
    assert failures.texts
    failures.texts.clear()
    # It was cancelled meanwhile, or the like.
    asked.over = True
    waiting(None)
