"""The implicit subscriptions of REFER at both sides (RFC 3515 sections 2.4.4 to 2.4.7)."""

from __future__ import annotations

from typing import Any

import pytest

from .agents import OPEN, Scene
from .script import OFFER, Script


@pytest.fixture
def script() -> Any:
    scene = Scene()
    # Nothing overtakes anything.
    scene.network.conditions.delay = (0.01, 0.01)
    made = Script(scene, **OPEN)
    yield made
    made.end()
    scene.stop()


def test_references_of_subscriptions_to_refer(script: Script) -> None:
    """SUBSCRIBE refreshes and ends the implicit subscription (RFC 3515 section 2.4.4)."""
    script.established()
    answer = script.request("REFER", ("refer-to", "<sip:nobody@198.51.100.77>"))
    assert answer.status == 202
    notify = script.peer.expect("NOTIFY")
    assert notify.body.startswith(b"SIP/2.0 100") and notify.headers.first("event") == "refer"
    assert notify.headers.first("subscription-state").startswith("active;expires=")
    script.peer.answer(notify, 200)
    assert script.request("SUBSCRIBE", ("event", "refer"), ("expires", "60")).headers.first("expires") == "60"
    script.peer.answer(script.peer.expect("NOTIFY"), 200)
    # One at a time.
    assert script.request("REFER", ("refer-to", "<sip:nobody@198.51.100.77>")).status == 491
    assert script.request("SUBSCRIBE", ("event", "refer"), ("expires", "0")).status == 200
    last = script.peer.expect("NOTIFY")
    assert last.headers.first("subscription-state") == "terminated;reason=timeout"
    script.peer.answer(last, 200)
    assert script.request("SUBSCRIBE", ("event", "refer"), ("expires", "60")).status == 481
    [other] = [call for call in script.alice.calls if call is not script.call]
    # What it was about goes on.
    assert not other.over
    script.scene.run(40)
    assert other.over
    again = script.request("REFER", ("refer-to", "<sip:nobody@198.51.100.77>"), ("refer-sub", "false"))
    assert again.headers.first("refer-sub") == "false"
    script.scene.run(40)
    third = script.request("REFER", ("refer-to", "<sip:nobody@198.51.100.77>"))
    assert third.status == 202
    notify = script.peer.expect("NOTIFY")
    assert notify.headers.first("event") == f"refer;id={script.number}"
    # 481 ends the subscription, and with it nothing else (RFC 5057).
    script.peer.answer(notify, 481)
    assert script.call.established


@pytest.mark.parametrize(
    ("fields", "body", "status"),
    [
        ([("event", "refer")], b"", 400),
        ([("event", "refer"), ("subscription-state", "active"), ("content-type", "text/plain")], b"x", 415),
        ([("event", "refer"), ("subscription-state", "active"), ("content-type", "message/sipfrag")], b"x", 400),
        ([("event", "presence"), ("subscription-state", "active")], b"", 481),
    ],
)
def test_bad_notifies(script: Script, fields: list[tuple[str, str]], body: bytes, status: int) -> None:
    call = script.established()
    transfer = call.transfer("sip:x@y")
    refer = script.peer.expect("REFER")
    script.answer(refer, 202)
    assert script.request("NOTIFY", *fields, body=body).status == status
    assert not transfer.over
    failures: list[Any] = []
    transfer.done.addErrback(failures.append)
    script.scene.run(40)
    assert failures[0].value.status == 408 and transfer.status == 408


def test_transfers_that_end_in_silence(script: Script) -> None:
    call = script.established()
    done: list[Any] = []
    call.transfer("sip:x@y").done.addErrback(done.append)
    script.answer(script.peer.expect("REFER"), 202)
    fields = [("event", "refer"), ("subscription-state", "terminated"), ("content-type", "message/sipfrag")]
    assert script.request("NOTIFY", *fields, body=b"SIP/2.0 100 Trying\r\n").status == 200
    assert script.request("NOTIFY", *fields, body=b"SIP/2.0 200 OK\r\n").status == 481
    script.scene.run(1)
    assert done[0].value.status == 480
    call.transfer("sip:x@y", hangup=False).done.addErrback(done.append)
    script.answer(script.peer.expect("REFER"), 501)
    assert done[1].value.status == 501
    call.transfer("sip:x@y").done.addErrback(done.append)
    script.peer.expect("REFER")
    # Nobody answers: 408, which destroys the dialog's usage (RFC 5057 section 5.1).
    script.scene.run(40)
    assert done[2].value.status in (408, 481)


@pytest.mark.parametrize("news", [True, False])
def test_a_subscription_that_was_not_asked_for(script: Script, news: bool) -> None:
    """RFC 4488 section 4: who knows Refer-Sub need not grant it, and tells then."""
    script.answer(script.invited(), 200, "a", OFFER, ("supported", "norefersub"))
    transfer = script.call.transfer("sip:y@198.51.100.8", notify=False, hangup=False)
    done: list[Any] = []
    transfer.done.addCallback(done.append)
    script.answer(script.peer.expect("REFER"), 202)
    fields = [("event", "refer"), ("content-type", "message/sipfrag")]
    if news:
        state = ("subscription-state", "terminated;reason=noresource")
        assert script.request("NOTIFY", *fields, state, body=b"SIP/2.0 486 Busy Here\r\n").status == 200
    script.scene.run(40)
    assert done == [486 if news else 202] and len(script.alice.referring) == 0


def test_no_dialog_without_a_subscription(script: Script) -> None:
    """Outside of calls: the 202 needs no Contact then."""
    done: list[Any] = []
    script.alice.refer("sip:x@198.51.100.9", "<sip:y@z>", notify=False).done.addCallback(done.append)
    script.peer.answer(script.peer.expect("REFER"), 202, [("refer-sub", "false")])
    script.scene.run(1)
    assert done == [202] and len(script.alice.dialogs) == 0 and len(script.alice.referring) == 0
