"""What comes to an agent besides calls, and what is refused (RFC 3261 sections 8.2 and 11, RFC 3428, RFC 5373)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.agent.call_events import MessageReceived
from twisted_sip.agent.messages import InstantMessage
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError, RequestRefused

from .agents import Agent, Scene, events


class Reader(Agent):
    """Takes messages."""

    def __init__(self, *arguments: Any, **how: Any) -> None:
        super().__init__(*arguments, **how)
        self.read: list[InstantMessage] = []

    async def incoming_message(self, message: InstantMessage) -> None:
        if b"spam" in message.body:
            raise RemoteProtocolError("No", status=403)
        self.read.append(message)


@pytest.fixture
def scene() -> Any:
    made = Scene()
    yield made
    made.stop()


def outcome(scene: Scene, waiting: Any) -> Any:
    """Return what *waiting* gives, the status if that is a failure."""
    found: list[Any] = []
    waiting.addCallbacks(found.append, lambda failure: found.append(failure.value))
    scene.run(3)
    return found[0].status


def test_messages(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2, kind=Reader)
    assert outcome(scene, alice.message(bob.uri, "hello")) == 200
    assert outcome(scene, alice.message(bob.uri, b"spam")) == 403
    assert outcome(scene, bob.message(alice.uri, "hello")) == 405
    [message] = bob.read
    assert (message.text, message.call, message.sender.uri_text) == ("hello", None, alice.uri)
    call, other = scene.established(alice, bob)
    assert outcome(scene, call.message("in the call")) == 200
    assert bob.read[1].call is other
    assert isinstance(other.log.kept()[-1], MessageReceived)
    # Who takes none outside sees those in calls in their events.
    assert outcome(scene, other.message("to alice")) == 200
    assert call.log.kept()[-1].body == b"to alice"


def test_options(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2, max_calls=1)
    found: list[Any] = []
    alice.options(bob.uri).addCallback(found.append)
    scene.run()
    [response] = found
    assert "INVITE" in response.headers.first("allow") and "MESSAGE" not in response.headers.first("allow")
    assert "replaces" in response.headers.first("supported")
    call, _ = scene.established(alice, bob)
    assert outcome(scene, alice.options(bob.uri)) == 503
    assert outcome(scene, call.send("OPTIONS")) == 200


@pytest.mark.parametrize(
    ("method", "fields", "status"),
    [
        ("FETCH", [], 405),
        ("BYE", [], 481),
        ("INFO", [], 481),
        ("NOTIFY", [("event", "presence")], 481),
        ("SUBSCRIBE", [("event", "refer")], 403),
        ("OPTIONS", [("require", "magic")], 420),
        ("REFER", [], 400),
        ("INVITE", [("require", "magic")], 420),
        ("INVITE", [("content-type", "text/plain")], 415),
        ("INVITE", [("replaces", "x")], 400),
    ],
)
def test_refusals(scene: Scene, method: str, fields: list[tuple[str, str]], status: int) -> None:
    scene.agent("bob", 2)
    peer = scene.peer()
    lines = "".join(f"{name}: {value}\n" for name, value in fields)
    peer.send(
        f"{method} sip:bob@198.51.100.2 SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.9;branch=z9hG4bK1\nMax-Forwards: 70\n"
        f"From: <sip:p@198.51.100.9>;tag=1\nTo: <sip:bob@198.51.100.2>\nCall-ID: 1\nCSeq: 1 {method}\n"
        f"Contact: <sip:p@198.51.100.9>\n{lines}\n{'body' if status == 415 else ''}",
        ("198.51.100.2", 5060),
    )
    response = peer.expect(lambda message: getattr(message, "status", 0) >= 200)
    assert response.status == status
    if status == 405:
        assert "INVITE" in response.headers.first("allow")
    if status == 420:
        assert response.headers.first("unsupported") == "magic"
    if method == "INVITE":
        peer.send(
            f"ACK sip:bob@198.51.100.2 SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.9;branch=z9hG4bK1\nMax-Forwards: 70\n"
            f"From: <sip:p@198.51.100.9>;tag=1\nTo: {response.headers.first('to')}\nCall-ID: 1\nCSeq: 1 ACK\n",
            ("198.51.100.2", 5060),
        )


def test_requests_of_dialogs_that_there_are_not(scene: Scene) -> None:
    scene.agent("bob", 2)
    peer = scene.peer()
    for method, status in (("BYE", 481), ("INVITE", 481), ("REFER", 481), ("NOTIFY", 481), ("SUBSCRIBE", 481)):
        event = "Event: refer\n" if method in ("NOTIFY", "SUBSCRIBE") else ""
        peer.send(
            f"{method} sip:bob@198.51.100.2 SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.9;branch=z9hG4bK{method}\n{event}"
            f"Max-Forwards: 70\nFrom: <sip:p@198.51.100.9>;tag=1\nTo: <sip:bob@198.51.100.2>;tag=x\nCall-ID: 1\n"
            f"CSeq: 1 {method}\nContact: <sip:p@198.51.100.9>\n",
            ("198.51.100.2", 5060),
        )
        assert peer.expect(lambda message: getattr(message, "status", 0) >= 200).status == status


def test_who_is_not_ours_is_not_found(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call = alice.call("sip:nobody@198.51.100.2")
    scene.run()
    assert call.ending.status == 404 and not bob.arrived


def test_merged_requests(scene: Scene) -> None:
    """RFC 3261 section 8.2.2.2."""
    bob = scene.agent("bob", 2)
    peer = scene.peer()
    for branch in ("1", "2"):
        peer.send(
            f"INVITE sip:bob@198.51.100.2 SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.9;branch=z9hG4bK{branch}\n"
            "Max-Forwards: 70\nFrom: <sip:p@198.51.100.9>;tag=1\nTo: <sip:bob@198.51.100.2>\nCall-ID: 1\n"
            "CSeq: 1 INVITE\nContact: <sip:p@198.51.100.9>\n",
            ("198.51.100.2", 5060),
        )
    assert peer.expect(482)
    assert len(bob.arrived) == 1
    bob.arrived[0].reject(480)
    scene.run(40)


def test_hooks_that_fail(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)

    async def refuse(call: Any) -> None:
        raise RemoteProtocolError("no", status=488)

    def fail(call: Any) -> None:
        raise ValueError("a mistake")

    async def answer_and_fail(call: Any) -> None:
        await call.answer()
        raise ValueError("a mistake")

    outcomes = []
    for hook in (refuse, fail, answer_and_fail):
        bob.does = hook
        call = alice.call(bob.uri)
        scene.run(2)
        outcomes.append((call.ending.status, call.ending.cause))
    assert outcomes == [(488, "refused"), (500, "refused"), (0, "bye")]


def test_screening(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2, reject_anonymous=True)
    call = alice.call(bob.uri, anonymous=True)
    scene.run()
    assert call.ending.status == 433
    assert call.request.from_.display_name == "Anonymous" and call.request.headers.first("privacy") == "id"

    async def screen(incoming: Any) -> int | None:
        return 403 if incoming.request.from_.uri.user == "alice" else None

    bob.screen = screen
    call = alice.call(bob.uri)
    scene.run()
    assert call.ending.status == 403 and not bob.arrived


def test_strangers_to_a_registered_agent() -> None:
    scene = Scene(server=True)
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2, trust="servers")
    call, _ = scene.established(alice, bob)
    assert call.established
    direct = alice.call("sip:bob@198.51.100.2", route=())
    scene.run(2)
    assert direct.ending.status == 403
    scene.stop()


@pytest.mark.parametrize(
    ("field", "value", "wait"),
    [
        ("call-info", "<sip:x@y>;answer-after=0", 0.0),
        ("alert-info", '<http://x>;info="answer-after=2"', 2.0),
        ("alert-info", "<http://x>;info=alert-autoanswer", 0.0),
        ("answer-mode", "Auto", 0.0),
        ("answer-mode", "Manual", None),
        ("subject", "hello", None),
    ],
)
def test_automatic_answer(scene: Scene, field: str, value: str, wait: float | None) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2, auto_answer="anybody")
    carol = scene.agent("carol", 3)
    bob.does = carol.does = lambda call: call.ring()
    call = alice.call(bob.uri, headers=[(field, value)])
    no = alice.call(carol.uri, headers=[(field, value)])
    scene.run(0.5)
    assert call.established is (wait == 0.0)
    scene.run(2)
    assert call.established is (wait is not None)
    # Nobody answers by himself unless he is told to.
    assert not no.established


def test_a_listener(scene: Scene) -> None:
    from twisted_sip.agent.user_agent import UserAgent

    class Listener:
        def __init__(self) -> None:
            self.told: list[str] = []

        def incoming_call(self, call: Any) -> Any:
            return call.answer()

        def call_event(self, call: Any, event: Any) -> None:
            self.told.append(type(event).__name__)

    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2, kind=UserAgent)
    call = alice.call(bob.uri)
    scene.run()
    assert call.ending.status == 480
    bob.listener = listener = Listener()
    call = alice.call(bob.uri)
    scene.run()
    assert call.established
    call.hangup()
    scene.run()
    assert listener.told == ["Answered", "Confirmed", "Ended"]


def test_what_the_program_gets_wrong(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    for wrong in ("nobody", "mailto:a@b"):
        with pytest.raises(LocalProtocolError):
            alice.call(wrong)
    for how in ({"timeout": 0}, {"from_": "<"}, {"headers": [("x", "a\r\nb")]}):
        with pytest.raises(LocalProtocolError):
            alice.call(bob.uri, **how)
    assert not alice.calls
    call, other = scene.established(alice, bob)
    failures: list[Any] = []
    for attempt in (call.answer, call.ring, other.answer, other.ring):
        attempt().addErrback(failures.append)
    assert len(failures) == 4 and all(failure.check(LocalProtocolError) for failure in failures)
    for attempt in (call.reject, other.reject, other.redirect):
        with pytest.raises(LocalProtocolError):
            attempt()
    call.hangup()
    scene.run()
    other.answer().addErrback(failures.append)
    other.info(b"x").addErrback(failures.append)
    other.message("x").addErrback(failures.append)
    assert len(failures) == 7
    assert call.hangup().called


def test_info(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2, info_packages=("conference",))
    call, other = scene.established(alice, bob)
    assert outcome(scene, call.info(b"x", "text/plain")) == 200
    assert outcome(scene, call.info(b"y", "text/plain", "conference")) == 200
    assert [(event.package, event.body) for event in other.log.kept()[2:]] == [("", b"x"), ("conference", b"y")]
    failures: list[Any] = []
    call.info(b"x", "application/dtmf-relay").addErrback(failures.append)
    scene.run()
    assert failures[0].check(RequestRefused) and failures[0].value.status == 400
    call.info(b"5", "application/dtmf")
    scene.run()
    assert events(other)[-1] == "DTMF"
    call.info(b"", "", "unknown").addErrback(failures.append)
    assert failures[1].check(LocalProtocolError)
