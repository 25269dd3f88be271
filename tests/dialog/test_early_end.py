"""199 Early Dialog Terminated of ours (RFC 6228 section 5)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.dialog.session_terms import SessionTerms
from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.response import Response

WHY = [("reason", "SIP;cause=486")]


def test_a_peer_that_does_not_know_it(pair: Any) -> None:
    pair.again(alice=SessionTerms(supported=()))
    _, session = pair.ringing()
    with pytest.raises(LocalProtocolError, match="199"):
        session.invite.progress(199, headers=WHY)
    pair.settle()


@pytest.mark.parametrize("described", [True, False])
def test_what_it_says(pair: Any, described: bool) -> None:
    """A Reason it must have, and the option tag of 199 it must not."""
    _, session = pair.ringing()
    session.invite.progress(180)
    pair.advance(0.1)
    body = pair.bob.describe("answer") if described else None
    with pytest.raises(LocalProtocolError, match="Reason"):
        session.invite.progress(199, body=body)
    session.invite.progress(199, body=body, headers=WHY)
    pair.advance(0.2)
    [told] = {m.status: m for _, m in pair.link.carried if isinstance(m, Response) and m.status == 199}.values()
    assert told.headers.first("supported") == "100rel, timer" and told.headers.first("reason") == WHY[0][1]
    assert pair.alice.sessions[0].ending.status == 486
    pair.settle()


def test_repeated(pair: Any) -> None:
    """RFC 3261 section 13.3.1.1: with its Reason."""
    pair.again(alice=SessionTerms(ring_timeout=400), bob=SessionTerms(ring_timeout=400))
    _, session = pair.ringing()
    session.invite.progress(199, headers=WHY)
    pair.link.advance(160, 0.5)
    told = [m for _, m in pair.link.carried if isinstance(m, Response) and m.status == 199]
    assert len({m.headers.first("rseq") for m in told}) == 2
    assert {m.headers.first("reason") for m in told} == {WHY[0][1]}
    pair.settle()
