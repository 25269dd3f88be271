"""Agents behind the shipped registrar and proxy; pickup, call-back, polite calls (RFC 5359, RFC 3891 section 7.1)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError

from twisted_sip.agent.compose import StandaloneAgent, user_agent
from twisted_sip.agent.services import NotNow
from twisted_sip.dialog.session_terms import SessionBody
from twisted_sip.errors import LocalProtocolError, RequestRefused
from twisted_sip.message.builders import build_request, response_to
from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.testing.network import Network
from twisted_sip.transport.resolver import Resolver

from .agents import OPEN, Scene


@pytest.fixture
def scene() -> Any:
    made = Scene()
    yield made
    made.stop()


def test_calls_by_way_of_the_proxy() -> None:
    scene = Scene(server=True)
    alice, bob, carol = (scene.agent(name, number) for number, name in enumerate(("alice", "bob", "carol"), 1))
    call, other = scene.established(alice, bob)
    # The Contact is the GRUU that the registrar has given (RFC 5627 section 4.4).
    assert "gr=urn:uuid:" in call.dialog.remote_target and "gr=urn:uuid:" in other.dialog.remote_target
    assert call.dialog.route_set
    assert other.account.aor == "sip:bob@example.com"
    call.hold()
    scene.run()
    assert other.held
    consultation, far = scene.established(alice, carol)
    done: list[Any] = []
    call.transfer(consultation).done.addCallback(done.append)
    scene.run(4)
    assert done == [200]
    assert bob.calls[0].established and carol.calls[0].established and far.over
    carol.calls[0].hangup()
    scene.run()
    assert not bob.calls
    scene.stop()


def test_a_wrong_password_is_told_of() -> None:
    scene = Scene(server=True)
    alice = scene.agent("alice", 1)
    registration = alice.register("sip:bob@example.com", password="wrong", outbound_proxies=["sip:192.0.2.1"])
    failures: list[Any] = []
    registration.when_registered().addErrback(failures.append)
    scene.run(2)
    assert failures[0].value.status == 401
    scene.stop()


DIALOG = """<?xml version="1.0"?>
<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="{version}" state="full" entity="sip:x@198.51.100.9">
{dialogs}</dialog-info>"""
RINGING = """<dialog id="1" call-id="{call_id}" local-tag="{local}" remote-tag="{remote}" direction="recipient">
<state>early</state><remote><identity>sip:alice@198.51.100.1</identity></remote></dialog>
"""
PRESENCE = """<?xml version="1.0"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="pres:bob@x"><tuple id="a"><status><basic>{basic}</basic></status>
</tuple></presence>"""


class Notifier:
    """Tells by script what agents subscribe to."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.peer = scene.peer()
        self.cseq = 0

    def answer(self, status: int = 200) -> Any:
        subscribe = self.peer.expect("SUBSCRIBE")
        self.peer.answer(subscribe, status)
        return subscribe

    def notify(self, subscribe: Any, body: str, media_type: str, state: str = "active") -> int:
        self.cseq += 1
        request = build_request(
            "NOTIFY",
            subscribe.contacts[0].uri,
            from_=f"{subscribe.to.without('tag')};tag=peer",
            to=str(subscribe.from_),
            call_id=subscribe.call_id,
            cseq=self.cseq,
            headers=[
                ("via", f"SIP/2.0/UDP 198.51.100.9;branch=z9hG4bKn{self.cseq}"),
                ("event", subscribe.headers.first("event")),
                ("subscription-state", state),
                ("contact", "<sip:x@198.51.100.9>"),
                ("content-type", media_type),
            ],
            body=body.encode(),
        )
        self.peer.send(request, (str(subscribe.contacts[0].uri.host), 5060))
        status: int = self.peer.expect(lambda message: getattr(message, "status", 0) >= 200).status
        return status


def test_pick_up(scene: Scene) -> None:
    alice, bob, carol = (scene.agent(name, number, **OPEN) for number, name in enumerate(("alice", "bob", "carol"), 1))
    notifier = Notifier(scene)
    bob.does = lambda call: call.ring()
    call = alice.call(bob.uri)
    scene.run()
    [ringing] = bob.arrived
    picked: list[Any] = []
    carol.pick_up("sip:bob@198.51.100.9").addCallback(picked.append)
    dialog = ringing.dialog
    body = RINGING.format(call_id=dialog.call_id, local=dialog.local_tag, remote=dialog.remote_tag)
    subscribe = notifier.answer()
    body = DIALOG.format(version=0, dialogs=body)
    assert notifier.notify(subscribe, body, "application/dialog-info+xml", "terminated;reason=timeout") == 200
    scene.run(2)
    assert picked[0].established and alice.arrived[0].established and call.over and ringing.over


@pytest.mark.parametrize("dialogs", ["", RINGING.format(call_id="x", local="", remote="y"), "nonsense<"])
def test_nothing_to_pick_up(scene: Scene, dialogs: str) -> None:
    carol = scene.agent("carol", 3)
    notifier = Notifier(scene)
    failures: list[Any] = []
    carol.pick_up("sip:bob@198.51.100.9").addErrback(failures.append)
    body = DIALOG.format(version=0, dialogs=dialogs)
    notifier.notify(notifier.answer(), body, "application/dialog-info+xml", "terminated;reason=timeout")
    scene.run(2)
    assert failures[0].check(RequestRefused)


def test_pick_up_of_somebody_who_tells_nothing(scene: Scene) -> None:
    carol = scene.agent("carol", 3)
    notifier = Notifier(scene)
    failures: list[Any] = []
    carol.pick_up("sip:bob@198.51.100.9").addErrback(failures.append)
    notifier.answer(403)
    scene.run(2)
    assert failures[0].value.status == 403


def test_call_back_when_he_is_not_busy_any_more(scene: Scene) -> None:
    alice = scene.agent("alice", 1)
    notifier = Notifier(scene)
    waiting = alice.call_back("sip:x@198.51.100.9")
    called: list[Any] = []
    waiting.called.addCallback(called.append)
    subscribe = notifier.answer()
    ringing = RINGING.format(call_id="c", local="l", remote="r")
    kind = "application/dialog-info+xml"
    assert notifier.notify(subscribe, DIALOG.format(version=0, dialogs=ringing), kind) == 200
    scene.run()
    assert not called
    assert notifier.notify(subscribe, "nonsense", kind) == 400
    assert notifier.notify(subscribe, DIALOG.format(version=1, dialogs=""), kind) == 200
    invite = notifier.peer.expect("INVITE")
    assert called == [waiting.call]
    notifier.peer.answer(invite, 486)
    again: list[Any] = []
    waiting.called.addCallback(again.append)
    assert again == called
    waiting.cancel()


@pytest.mark.parametrize("how", ["refused", "too long", "cancelled"])
def test_a_call_back_that_comes_to_nothing(scene: Scene, how: str) -> None:
    alice = scene.agent("alice", 1)
    notifier = Notifier(scene)
    waiting = alice.call_back("sip:x@198.51.100.9", timeout=60)
    failures: list[Any] = []
    waiting.called.addErrback(failures.append)
    subscribe = notifier.answer(403 if how == "refused" else 200)
    if how != "refused":
        busy = DIALOG.format(version=0, dialogs=RINGING.format(call_id="c", local="l", remote="r"))
        notifier.notify(subscribe, busy, "application/dialog-info+xml")
    if how == "cancelled":
        waiting.cancel()
    scene.run(70)
    assert failures[0].value.status == {"refused": 403, "too long": 408, "cancelled": 487}[how]
    with pytest.raises(LocalProtocolError):
        alice.call_back("sip:x@198.51.100.9", timeout=0)


@pytest.mark.parametrize("basic", ["open", "closed", "refused"])
def test_polite_calls(scene: Scene, basic: str) -> None:
    alice = scene.agent("alice", 1)
    notifier = Notifier(scene)
    found: list[Any] = []
    alice.polite_call("sip:x@198.51.100.9").addBoth(found.append)
    subscribe = notifier.answer(403 if basic == "refused" else 200)
    if basic != "refused":
        body = PRESENCE.format(basic=basic)
        notifier.notify(subscribe, body, "application/pidf+xml", "terminated;reason=timeout")
    scene.run(1)
    if basic == "closed":
        assert found[0].check(NotNow) and found[0].value.presence.basic == "closed"
    else:
        notifier.peer.answer(notifier.peer.expect("INVITE"), 480)
        scene.run(1)
        assert found[0].ending.status == 480


@pytest.mark.parametrize("how", ["polite_call", "pick_up"])
def test_who_waits_no_longer_calls_nobody(scene: Scene, how: str) -> None:
    alice = scene.agent("alice", 1)
    notifier = Notifier(scene)
    failures: list[Any] = []
    waiting = getattr(alice, how)("sip:x@198.51.100.9").addErrback(failures.append)
    notifier.answer()
    waiting.cancel()
    scene.run(60)
    assert [failure.type for failure in failures] == [CancelledError]
    assert not any(getattr(message, "method", "") == "INVITE" for message in notifier.peer.messages)


@pytest.mark.parametrize("how", ["polite_call", "pick_up", "call_back"])
def test_numbers_are_watched_where_they_are_called(scene: Scene, how: str) -> None:
    """RFC 3261 section 19.1.6: a tel URI leads to the domain of the account."""
    alice = scene.agent("alice", 1)
    alice.accounts.clear()
    alice.account("sip:alice@198.51.100.9")
    notifier = Notifier(scene)
    waiting = getattr(alice, how)("tel:+15550100")
    (waiting.called if how == "call_back" else waiting).addErrback(lambda failure: failure.trap(RequestRefused))
    subscribe = notifier.answer(403)
    assert subscribe.uri_text == "sip:+15550100@198.51.100.9;user=phone"
    scene.run(60)


def test_three_ways(scene: Scene) -> None:
    alice, bob, carol = (scene.agent(name, number) for number, name in enumerate(("alice", "bob", "carol"), 1))
    one, _ = scene.established(alice, bob)
    two, _ = scene.established(alice, carol)
    three = alice.three_way(one, two)
    assert one.media.bridged == [two.media] and three.calls == [one, two]
    three.part()
    assert (one.media.bridged[-1], two.media.bridged[-1]) == (None, None)
    again = alice.three_way(one, two)
    two.hangup()
    scene.run()
    assert again.calls == [] and one.media.bridged[-1] is None
    for calls in ([one], [one, alice.call(carol.uri, media=None)]):
        with pytest.raises(LocalProtocolError):
            alice.three_way(*calls)


def test_an_agent_of_its_own() -> None:
    network = Network(9)
    node = network.node("198.51.100.1")
    other = network.node("198.51.100.2")

    class Echo(StandaloneAgent):
        async def incoming_call(self, call: Any) -> None:
            await call.answer(media=None, body=SessionBody("application/sdp", b"v=0\r\no=- 1 1 IN IP4 1.1.1.1\r\n"))

    echo = user_agent(
        node, "udp:5060:interface=198.51.100.1", agent=Echo, media=None, resolver=Resolver(node, names=FakeDNS())
    )
    caller = user_agent(other, "udp:5060:interface=198.51.100.2", media=None, resolver=Resolver(other, names=FakeDNS()))
    echo.startService()
    caller.startService()
    call = caller.call(
        "sip:echo@198.51.100.1", body=SessionBody("application/sdp", b"v=0\r\no=- 1 1 IN IP4 2.2.2.2\r\n")
    )
    network.advance(1)
    assert call.established and b"1.1.1.1" in call.remote_body.data and b"2.2.2.2" in call.local_body.data
    assert call.local_host == "198.51.100.2"
    stopped: list[Any] = []
    for agent in (caller, echo):
        agent.stopService().addCallback(stopped.append)
        network.advance(6)
    assert len(stopped) == 2
    assert [call for one in (node, other) for call in one.getDelayedCalls()] == []


def test_a_peer_by_script(scene: Scene) -> None:
    """A Contact behind ``ob``, a CANCEL that comes late, an INVITE that is repeated."""
    bob = scene.agent("bob", 2)
    peer = scene.peer()
    invite = build_request(
        "INVITE",
        "sip:bob@198.51.100.2",
        from_="<sip:p@198.51.100.9>;tag=1",
        to="<sip:bob@198.51.100.2>",
        call_id="c",
        cseq=1,
        headers=[
            ("via", "SIP/2.0/UDP 198.51.100.9;branch=z9hG4bK1"),
            ("contact", "<sip:p@10.0.0.1;ob>"),
        ],
    )
    bob.does = lambda call: call.answer(media=None)
    peer.send(invite, ("198.51.100.2", 5060))
    ok = peer.expect(200)
    peer.send(invite, ("198.51.100.2", 5060))
    scene.run(0.2)
    assert len(bob.arrived) == 1
    bob.arrived[0].hangup()
    ack = build_request(
        "ACK",
        ok.contacts[0].uri,
        from_="<sip:p@198.51.100.9>;tag=1",
        to=str(ok.to),
        call_id="c",
        cseq=1,
        headers=[("via", "SIP/2.0/UDP 198.51.100.9;branch=z9hG4bK2")],
    )
    peer.send(ack, ("198.51.100.2", 5060))
    # RFC 5626 section 4.3: by the way that the INVITE came.
    bye = peer.expect("BYE")
    peer.send(response_to(bye, 200), ("198.51.100.2", 5060))
    scene.run(1)
    assert not bob.calls
