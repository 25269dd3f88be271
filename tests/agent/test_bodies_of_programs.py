"""Descriptions that come from the program, in whatever form it has them (RFC 3264, without media of ours)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.dialog.session_terms import SessionBody
from twisted_sip.errors import LocalProtocolError
from twisted_sip.sdp.description import SessionDescription

from .agents import Scene

_SDP = "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


@pytest.mark.parametrize(
    "form",
    [_SDP, _SDP.encode(), SessionDescription.parse(_SDP), SessionBody("application/sdp", _SDP.encode())],
    ids=["text", "bytes", "description", "body"],
)
def test_every_form(form: Any) -> None:
    scene = Scene()
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    bob.does = lambda call: call.answer(media=None, body=form)
    call = alice.call(bob.uri, media=None, body=form)
    scene.run()
    assert call.established and bob.arrived[0].established
    for side in (call, bob.arrived[0]):
        assert SessionDescription.parse(side.remote_body.data) == SessionDescription.parse(_SDP)
    scene.stop()


def test_what_is_no_description() -> None:
    scene = Scene()
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    with pytest.raises(LocalProtocolError, match="no session description: int"):
        alice.call(bob.uri, media=None, body=1)  # type: ignore[arg-type]
    failures: list[Any] = []

    def wrongly(call: Any) -> None:
        call.ring(183, body=1).addErrback(failures.append)
        call.answer(media=None, body=object()).addErrback(failures.append)
        call.reject(480)

    bob.does = wrongly
    call = alice.call(bob.uri, media=None, body=_SDP)
    scene.run()
    assert [failure.type for failure in failures] == [LocalProtocolError] * 2
    assert call.ending is not None and call.ending.status == 480
    scene.stop()


def test_another_description_than_the_early_one() -> None:
    """It is refused (RFC 3261 section 13.2.1), and the call can be answered with the right one."""
    scene = Scene()
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2, reliable=False)
    failures: list[Any] = []

    def ring(call: Any) -> None:
        call.ring(183, body=_SDP)
        call.answer(body=_SDP.replace("4000", "5000")).addErrback(failures.append)
        assert call.state.value == "ringing"

    bob.does = ring
    call = alice.call(bob.uri, media=None, body=_SDP)
    scene.run()
    assert failures and failures[0].check(LocalProtocolError)
    bob.arrived[0].answer(body=_SDP).addErrback(failures.append)
    scene.run()
    assert call.established and bob.arrived[0].established and len(failures) == 1
    scene.stop()
