"""REFER at its edges: early NOTIFYs, limits, targets that cannot be called, lost dialogs (RFC 3515, RFC 5057)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.agent.referral import Referral
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.builders import build_request

from .agents import OPEN, Scene
from .script import AGENT, OFFER, Script


@pytest.fixture
def script() -> Any:
    scene = Scene()
    scene.network.conditions.delay = (0.01, 0.01)
    made = Script(scene, **OPEN)
    yield made
    made.end()
    scene.stop()


def refer(*headers: tuple[str, str]) -> Referral:
    request = build_request(
        "REFER", "sip:a@b", from_="<sip:x@y>;tag=1", to="<sip:a@b>;tag=2", call_id="c", cseq=1, headers=headers
    )
    return Referral(request, None)


def test_what_a_refer_asks_for() -> None:
    asked = refer(("refer-to", "<sip:a@b;method=INVITE?Subject=hi&X-Evil=1&Replaces=c%3Bto-tag%3D1%3Bfrom-tag%3D2>"))
    assert str(asked.target) == "sip:a@b" and asked.headers[0] == ("subject", "hi")
    assert asked.replaces is not None and asked.replaces.call_id == "c" and len(asked.headers) == 2
    assert asked.referred_by == "<sip:x@y>" and asked.wants_notify
    assert repr(asked) == "<Referral to sip:a@b>"
    assert str(refer(("refer-to", "<tel:+1555>")).target) == "tel:+1555"
    given = refer(("refer-to", "<sip:a@b>"), ("referred-by", "<sip:z@y>;cid=1"), ("refer-sub", "false"))
    assert given.referred_by == "<sip:z@y>;cid=1" and not given.wants_notify
    twice = "c%3Bto-tag%3D1%3Bfrom-tag%3D2"
    with pytest.raises(RemoteProtocolError):
        refer(("refer-to", f"<sip:a@b?Replaces={twice}&Replaces={twice}>"))


def test_a_peer_that_does_not_take_refer(script: Script) -> None:
    invite = script.invited()
    script.peer.answer(
        invite,
        200,
        [("contact", "<sip:x@198.51.100.9>"), ("content-type", "application/sdp"), ("allow", "INVITE, BYE")],
        OFFER,
        to_tag="a",
    )
    assert script.peer.expect("ACK")
    with pytest.raises(LocalProtocolError):
        script.call.transfer("sip:x@y")


def test_a_target_without_a_domain(script: Script) -> None:
    script.alice.accounts[0].address = script.alice.accounts[0].address.with_uri("tel:+1")
    script.established()
    assert script.request("REFER", ("refer-to", "<tel:+1555>")).status == 202
    seen = []
    for _ in range(2):
        notify = script.peer.expect("NOTIFY")
        seen.append(notify.body[:11])
        script.peer.answer(notify, 200)
    assert seen == [b"SIP/2.0 100", b"SIP/2.0 503"]


def test_notifies_that_fail(script: Script) -> None:
    script.established()
    assert script.request("REFER", ("refer-to", "<sip:nobody@198.51.100.77>")).status == 202
    script.peer.answer(script.peer.expect("NOTIFY"), 500)
    # The last one is told all the same.
    last = script.peer.expect("NOTIFY", within=40)
    assert last.body.startswith(b"SIP/2.0 408")
    script.peer.answer(last, 200)
    assert script.request("REFER", ("refer-to", "<sip:nobody@198.51.100.77>")).status == 202
    # RFC 5057 section 5.1: the dialog is gone, and the call with it.
    script.peer.answer(script.peer.expect("NOTIFY"), 404)
    script.scene.run(1)
    assert script.call.over and script.call.ending.cause == "dialog"
    script.scene.run(40)


def test_a_dialog_that_goes_away_with_its_transfer(script: Script) -> None:
    call = script.established()
    failures: list[Any] = []
    transfer = call.transfer("sip:x@y")
    transfer.done.addErrback(failures.append)
    script.answer(script.peer.expect("REFER"), 202)
    call.send("OPTIONS").addErrback(failures.append)
    options = script.peer.expect("OPTIONS")
    script.answer(options, 404)
    assert len(failures) == 2 and transfer.over and call.over
    again: list[Any] = []
    transfer.done.addErrback(again.append)
    assert again


def test_news_before_the_202(script: Script) -> None:
    """RFC 3515 section 2.4.4, outside of calls."""
    transfer = script.alice.refer("sip:x@198.51.100.9", "<sip:y@z>")
    sent = script.peer.expect("REFER")
    read: list[int] = []
    transfer.done.addCallback(read.append)

    def notify(number: int, body: bytes, state: str) -> int:
        request = build_request(
            "NOTIFY",
            sent.contacts[0].uri,
            from_="<sip:x@198.51.100.9>;tag=n",
            to=str(sent.from_),
            call_id=sent.call_id,
            cseq=number,
            headers=[
                ("via", f"SIP/2.0/UDP 198.51.100.9;branch=z9hG4bKr{number}"),
                ("contact", "<sip:x@198.51.100.9>"),
                ("event", "refer"),
                ("subscription-state", state),
                ("content-type", "message/sipfrag"),
            ],
            body=body,
        )
        script.peer.send(request, AGENT)
        status: int = script.peer.expect(lambda message: getattr(message, "status", 0) >= 200).status
        return status

    assert notify(1, b"SIP/2.0 100 Trying\r\n", "active;expires=60") == 200
    script.peer.answer(sent, 202, [("contact", "<sip:x@198.51.100.9>")], to_tag="n")
    assert notify(2, b"SIP/2.0 200 OK\r\n", "terminated;reason=noresource") == 200
    script.scene.run(1)
    assert read == [200]
    # Nobody waits for it any more.
    assert notify(3, b"SIP/2.0 200 OK\r\n", "terminated") == 481


@pytest.mark.parametrize(("kind", "status"), [("", 415), ("message/sipfrag", 400)])
def test_a_last_notify_that_says_nothing(script: Script, kind: str, status: int) -> None:
    """Who waits for the outcome does not wait for what cannot come any more."""
    call = script.established()
    failures: list[Any] = []
    call.transfer("sip:y@z").done.addErrback(failures.append)
    script.answer(script.peer.expect("REFER"), 202)
    fields = [("event", "refer"), ("subscription-state", "terminated;reason=noresource")]
    answer = script.request("NOTIFY", *fields, *([("content-type", kind)] if kind else []))
    assert answer.status == status and call.established
    assert [failure.value.status for failure in failures] == [480]
    assert len(script.alice.referring) == 0


def test_a_refer_outside_that_comes_to_nothing(script: Script) -> None:
    failures: list[Any] = []
    script.alice.refer("sip:x@198.51.100.9", "<sip:y@z>", notify=False).done.addErrback(failures.append)
    script.peer.answer(script.peer.expect("REFER"), 603)
    script.alice.refer("sip:x@198.51.100.9", "<sip:y@z>").done.addErrback(failures.append)
    # No Contact, no dialog.
    script.peer.answer(script.peer.expect("REFER"), 202)
    script.scene.run(1)
    assert [failure.value.status for failure in failures] == [603, 400]


def test_refers_without_end(script: Script) -> None:
    from twisted.internet.defer import Deferred

    script.alice.accept_transfer = lambda call, referral: Deferred()
    call = script.established()
    script.number += 1
    head = [("refer-to", "<sip:nobody@198.51.100.77>"), ("contact", "<sip:x@198.51.100.9>")]

    def send(number: int) -> None:
        via = ("via", f"SIP/2.0/UDP 198.51.100.9;branch=z9hG4bKq{number}")
        request = build_request(
            "REFER",
            script.invite.contacts[0].uri,
            from_="<sip:x@198.51.100.9>;tag=a",
            to=str(script.invite.from_),
            call_id=script.invite.call_id,
            cseq=number,
            headers=[via, *head],
        )
        script.peer.send(request, AGENT)

    send(10)
    script.scene.run(0.1)
    for number in (11, 12):
        send(number)
        assert script.peer.expect(491)
    assert len(script.alice.referring) == 1 and call.established
    script.alice.referring.close()


def test_a_waiting_verdict_and_a_cancel(script: Script) -> None:
    from twisted.internet.defer import Deferred

    waiting: Deferred[Any] = Deferred()
    script.alice.screen = lambda incoming: waiting
    head = (
        "{method} sip:alice@198.51.100.1 SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.9;branch=z9hG4bK1\nMax-Forwards: 70\n"
        "From: <sip:x@198.51.100.9>;tag=1\nTo: <sip:alice@198.51.100.1>\nCall-ID: c\nCSeq: 1 {method}\n"
        "Contact: <sip:x@198.51.100.9>\n\n"
    )
    script.peer.send(head.format(method="INVITE"), AGENT)
    assert script.peer.expect(100)
    script.peer.send(head.format(method="CANCEL"), AGENT)
    assert script.peer.expect(487)
    waiting.callback(None)
    script.scene.run(1)
    assert not script.alice.arrived


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("INFO sip:alice@198.51.100.1 SIP/2.0\nTo: <sip:alice@198.51.100.1>;tag=\n", 481),
        ("OPTIONS sip:alice@198.51.100.1 SIP/2.0\nTo: <<sip:alice>\n", 400),
        ("ACK sip:alice@198.51.100.1 SIP/2.0\nTo: <<sip:alice>\n", 0),
        ("ACK sip:alice@198.51.100.1 SIP/2.0\nTo: <sip:alice@198.51.100.1>\n", 0),
        ("ACK sip:alice@198.51.100.1 SIP/2.0\nTo: <sip:alice@198.51.100.1>;tag=x\n", 0),
        ("ACK sip:who@198.51.100.1 SIP/2.0\nTo: <sip:who@198.51.100.1>;tag=x\n", 0),
        ("BYE sip:who@198.51.100.1 SIP/2.0\nTo: <sip:who@198.51.100.1>;tag=x\n", 404),
        ("PUBLISH sip:alice@198.51.100.1 SIP/2.0\nTo: <sip:alice@198.51.100.1>\n", 405),
        ("OPTIONS mailto:alice@198.51.100.1 SIP/2.0\nTo: <sip:alice@198.51.100.1>\n", 416),
    ],
)
def test_odd_requests(script: Script, head: str, status: int) -> None:
    method = head.partition(" ")[0]
    script.peer.send(
        f"{head}Via: SIP/2.0/UDP 198.51.100.9;branch=z9hG4bK1\nMax-Forwards: 70\nFrom: <sip:x@198.51.100.9>;tag=1\n"
        f"Call-ID: c\nCSeq: 1 {method}\n",
        AGENT,
    )
    if status:
        assert script.peer.expect(lambda message: getattr(message, "status", 0)).status == status
    else:
        script.peer.expect_nothing(within=1)
