"""An agent and a peer by script: forks, UPDATE, PRACK, races, and what goes wrong (RFC 3261, 3262, 3311, 6228)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.agent.call_events import CallState
from twisted_sip.message.builders import build_request
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

from .agents import SDP, Scene, events

AGENT = ("198.51.100.1", 5060)
OFFER = SDP.format(id=1, version=1, way="sendrecv").replace("\n", "\r\n").encode()
HELD = SDP.format(id=1, version=2, way="sendonly").replace("\n", "\r\n").encode()


class Script:
    """The peer of alice."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.alice = scene.agent("alice", 1)
        self.peer = scene.peer()
        self.number = 0
        self.call: Any = None
        self.invite: Any = None

    def invited(self, **how: Any) -> Request:
        self.call = self.alice.call("sip:x@198.51.100.9", **how)
        self.invite = self.peer.expect("INVITE")
        return self.invite

    def answer(
        self, request: Request, status: int, tag: str = "a", body: bytes = b"", *headers: tuple[str, str]
    ) -> None:
        fields = [("contact", "<sip:x@198.51.100.9>"), ("allow", "INVITE, UPDATE, INFO, REFER"), *headers]
        if body:
            fields.append(("content-type", "application/sdp"))
        self.peer.answer(request, status, fields, body, to_tag=tag)
        self.scene.run(0.1)

    def established(self, **how: Any) -> Any:
        self.answer(self.invited(**how), 200, "a", OFFER)
        assert self.peer.expect("ACK") and self.call.established
        return self.call

    def request(self, method: str, *headers: tuple[str, str], body: bytes = b"", tag: str = "a") -> Response:
        """Send a request in the dialog; return its final response."""
        self.number += 1
        fields = [
            ("via", f"SIP/2.0/UDP 198.51.100.9;branch=z9hG4bKp{self.number}"),
            ("contact", "<sip:x@198.51.100.9>"),
            *headers,
        ]
        if body and not any(name == "content-type" for name, _ in headers):
            fields.append(("content-type", "application/sdp"))
        request = build_request(
            method,
            self.invite.contacts[0].uri,
            from_=f"<sip:x@198.51.100.9>;tag={tag}",
            to=str(self.invite.from_),
            call_id=self.invite.call_id,
            cseq=self.number,
            headers=fields,
            body=body,
        )
        self.peer.send(request, AGENT)
        found: Response = self.peer.expect(lambda message: isinstance(message, Response) and message.status >= 200)
        if method == "INVITE" and found.status < 300:
            ack = build_request(
                "ACK",
                self.invite.contacts[0].uri,
                from_=f"<sip:x@198.51.100.9>;tag={tag}",
                to=str(self.invite.from_),
                call_id=self.invite.call_id,
                cseq=self.number,
                headers=[("via", f"SIP/2.0/UDP 198.51.100.9;branch=z9hG4bKa{self.number}")],
            )
            self.peer.send(ack, AGENT)
        self.scene.run(0.1)
        return found

    def end(self) -> None:
        if self.call is not None and not self.call.over:
            self.call.hangup()
            self.scene.run(0.1)
        bye = [arrival.message for arrival in self.peer.arrivals if getattr(arrival.message, "method", "") == "BYE"]
        for request in bye:
            self.peer.answer(request, 200)


@pytest.fixture
def script() -> Any:
    scene = Scene()
    # Nothing overtakes anything.
    scene.network.conditions.delay = (0.01, 0.01)
    made = Script(scene)
    yield made
    made.end()
    scene.stop()


def test_an_offer_in_an_update(script: Script) -> None:
    call = script.established()
    answer = script.request("UPDATE", body=HELD)
    assert answer.status == 200 and b"m=audio" in answer.body
    assert call.held and events(call)[-2:] == ["HoldChanged", "MediaChanged"]
    assert script.request("UPDATE").status == 200
    assert script.request("UPDATE", body=b"nonsense").status == 400
    assert events(call)[-1] == "MediaRejected"
    assert script.request("INVITE", body=OFFER).status == 200
    assert not call.held
    # Without an offer we make one; nobody answers it in the ACK.
    assert b"m=audio" in script.request("INVITE").body


def test_replays_and_wrong_order(script: Script) -> None:
    script.established()
    script.number = 10
    assert script.request("INFO").status == 200
    script.number = 4
    assert script.request("INFO").status == 500
    assert script.request("BYE", tag="other").status == 481
    script.number = 20
    assert script.request("MESSAGE").status == 200
    script.number = 18
    assert script.request("MESSAGE").status == 500
    script.number = 30
    assert script.request("PUBLISH").status == 405
    assert script.request("BYE").status == 200
    assert script.call.ending.by == "remote"


def test_forks(script: Script) -> None:
    """RFC 3261 section 13.2.2.4: the first answer wins, and its media."""
    invite = script.invited()
    script.answer(invite, 180, "a")
    script.answer(invite, 183, "b", HELD)
    script.answer(invite, 183, "c", OFFER)
    call = script.call
    assert call.state is CallState.RINGING and call.session is None
    media = script.scene.media[0]
    assert media.remote is not None and not media.remote.is_held
    script.answer(invite, 200, "b", HELD)
    assert call.established and call.dialog.remote_tag == "b"
    assert media.remote.is_held and call.held
    assert script.peer.expect("ACK")
    # The second answer is acknowledged and hung up.
    script.answer(invite, 200, "c", OFFER)
    assert script.peer.expect("ACK").to.tag == "c"
    bye = script.peer.expect("BYE")
    assert bye.to.tag == "c"
    script.peer.answer(bye, 200)
    assert call.established


def test_a_fork_that_ends(script: Script) -> None:
    invite = script.invited()
    script.answer(invite, 183, "a", OFFER)
    script.answer(invite, 199, "a", b"", ("reason", "SIP;cause=486"))
    assert script.call.state is CallState.RINGING
    script.answer(invite, 486, "a")
    assert script.call.ending.status == 486


def test_the_answer_crosses_the_cancel(script: Script) -> None:
    invite = script.invited()
    script.answer(invite, 180, "a")
    script.call.hangup()
    script.peer.expect("CANCEL")
    script.answer(invite, 200, "a", OFFER)
    assert script.peer.expect("ACK")
    script.peer.answer(script.peer.expect("BYE"), 200)
    assert script.call.over and script.call.ending.cause == "cancel" and script.call.ending.status == 487


def test_a_2xx_without_answer(script: Script) -> None:
    script.answer(script.invited(), 200, "a")
    assert script.peer.expect("ACK") and script.peer.expect("BYE")
    assert script.call.over
    assert script.call.ending.cause == "no-answer"


def test_an_answer_that_is_none(script: Script) -> None:
    script.answer(script.invited(), 200, "a", b"nonsense")
    assert script.peer.expect("ACK") and script.peer.expect("BYE")
    assert (script.call.ending.cause, script.call.ending.status) == ("media", 488)


def test_reliable_progress(script: Script) -> None:
    """RFC 3262: the answer is in the 183, the 200 has none."""
    invite = script.invited()
    script.answer(invite, 183, "a", OFFER, ("require", "100rel"), ("rseq", "7"))
    prack = script.peer.expect("PRACK")
    assert prack.headers.first("rack") == f"7 {invite.cseq.number} INVITE"
    script.answer(prack, 200, "a")
    script.answer(invite, 200, "a")
    assert script.call.established and script.scene.media[0].remote is not None


def test_our_progress_is_reliable_where_that_is_wanted(script: Script) -> None:
    script.alice.does = lambda call: call.ring(183, early_media=True)
    invite = build_request(
        "INVITE",
        "sip:alice@198.51.100.1",
        from_="<sip:x@198.51.100.9>;tag=a",
        to="<sip:alice@198.51.100.1>",
        call_id="c",
        cseq=1,
        headers=[
            ("via", "SIP/2.0/UDP 198.51.100.9;branch=z9hG4bK1"),
            ("contact", "<sip:x@198.51.100.9>"),
            ("require", "100rel"),
            ("content-type", "application/sdp"),
        ],
        body=OFFER,
    )
    script.peer.send(invite, AGENT)
    progress = script.peer.expect(183)
    assert progress.body
    [call] = script.alice.arrived
    call.answer()
    prack = build_request(
        "PRACK",
        progress.contacts[0].uri,
        from_="<sip:x@198.51.100.9>;tag=a",
        to=str(progress.to),
        call_id="c",
        cseq=2,
        headers=[
            ("via", "SIP/2.0/UDP 198.51.100.9;branch=z9hG4bK2"),
            ("rack", f"{progress.headers.first('rseq')} 1 INVITE"),
        ],
    )
    script.peer.send(prack, AGENT)
    final = script.peer.expect(lambda message: isinstance(message, Response) and message.cseq.method == "INVITE")
    assert final.status in (183, 200)
    script.call = call
    script.scene.run(0.5)
    assert call.established
    # Nobody sends the ACK: in the end the call is over (section 13.3.1.4).
    script.scene.run(33)
    assert (call.ending.cause, call.ending.by) == ("no-ack", "network")


def test_a_cancel_that_says_why(script: Script) -> None:
    script.alice.does = lambda call: call.ring()
    head = (
        "{method} sip:alice@198.51.100.1 SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.9;branch=z9hG4bK1\nMax-Forwards: 70\n"
        "From: <sip:x@198.51.100.9>;tag=1\nTo: <sip:alice@198.51.100.1>\nCall-ID: c\nCSeq: 1 {method}\n"
        "Contact: <sip:x@198.51.100.9>\n"
    )
    script.peer.send(head.format(method="INVITE") + "\n", AGENT)
    script.peer.expect(180)
    script.peer.send(head.format(method="CANCEL") + 'Reason: SIP;cause=200;text="elsewhere"\n\n', AGENT)
    assert script.peer.expect(487)
    [call] = script.alice.arrived
    assert (call.ending.cause, call.ending.reason) == ("elsewhere", "elsewhere")


def test_a_change_that_is_refused_for_good(script: Script) -> None:
    call = script.established()
    failures: list[Any] = []
    call.hold().addErrback(failures.append)
    call.resume().addErrback(failures.append)
    script.answer(script.peer.expect("INVITE"), 481)
    script.scene.run(1)
    assert call.over and len(failures) == 2
    script.peer.answer(script.peer.expect("BYE"), 481)


def test_the_peer_is_faster(script: Script) -> None:
    """Our offer takes its time, and the peer changes the session meanwhile."""
    from twisted.internet.defer import Deferred

    call = script.established()
    media = script.scene.media[0]
    offer = media.offer
    waiting: Deferred[Any] = Deferred()
    media.offer = lambda: waiting
    done: list[Any] = []
    call.update().addCallback(done.append)
    assert not done
    script.number += 1
    script.peer.send(
        build_request(
            "INVITE",
            script.invite.contacts[0].uri,
            from_="<sip:x@198.51.100.9>;tag=a",
            to=str(script.invite.from_),
            call_id=script.invite.call_id,
            cseq=script.number,
            headers=[
                ("via", f"SIP/2.0/UDP 198.51.100.9;branch=z9hG4bKp{script.number}"),
                ("contact", "<sip:x@198.51.100.9>"),
                ("content-type", "application/sdp"),
            ],
            body=HELD,
        ),
        AGENT,
    )
    assert script.peer.expect(200)
    waiting.callback(offer())
    assert not done
    media.offer = offer
    ack = build_request(
        "ACK",
        script.invite.contacts[0].uri,
        from_="<sip:x@198.51.100.9>;tag=a",
        to=str(script.invite.from_),
        call_id=script.invite.call_id,
        cseq=script.number,
        headers=[("via", "SIP/2.0/UDP 198.51.100.9;branch=z9hG4bKack")],
    )
    script.peer.send(ack, AGENT)
    script.answer(script.peer.expect("INVITE"), 200, "a", OFFER)
    assert done == [call] and media.rollbacks == 1


def test_session_timers(script: Script) -> None:
    """RFC 4028: refreshes go on with re-INVITE where the peer knows no UPDATE."""
    invite = script.invited()
    script.peer.answer(
        invite,
        200,
        [
            ("contact", "<sip:x@198.51.100.9>"),
            ("content-type", "application/sdp"),
            ("allow", "INVITE, ACK, BYE, CANCEL"),
            ("require", "timer"),
            ("session-expires", "100;refresher=uac"),
        ],
        OFFER,
        to_tag="a",
    )
    assert script.peer.expect("ACK")
    for _ in range(3):
        refresh = script.peer.expect("INVITE", within=60)
        fields = [("contact", "<sip:x@198.51.100.9>"), ("content-type", "application/sdp"), ("require", "timer")]
        script.peer.answer(refresh, 200, [*fields, ("session-expires", "100;refresher=uac")], OFFER, to_tag="a")
        assert script.peer.expect("ACK")
    assert script.call.established
    # No answer any more: the session ends.
    script.scene.run(150)
    assert script.call.over and script.call.ending.by == "network"


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
