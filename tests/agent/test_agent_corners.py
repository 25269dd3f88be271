"""What happens seldom: programs and media that fail, ends that come early, stops that nobody answers."""

from __future__ import annotations

import wave
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail

from twisted_sip.agent.account import Account
from twisted_sip.agent.compose import BUILT_IN, BuiltInMedia, user_agent
from twisted_sip.agent.event_log import EventLog
from twisted_sip.agent.invitation import target_of
from twisted_sip.agent.settings import AgentSettings
from twisted_sip.agent.three_way import ThreeWay
from twisted_sip.dialog.session_terms import SessionBody
from twisted_sip.errors import LocalProtocolError, MediaRefused, RemoteProtocolError
from twisted_sip.media.settings import MediaSettings
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.testing.network import Network

from .agents import OPEN, SDP, Scene, events

BODY = SessionBody("application/sdp", SDP.format(id=1, version=1, way="sendrecv").encode())


@pytest.fixture
def scene() -> Any:
    made = Scene()
    yield made
    made.stop()


def test_descriptions_of_the_program_before_the_answer(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1, media=False), scene.agent("bob", 2, media=False)
    bob.does = lambda call: call.ring(183, body=BODY, headers=[("x-a", "b")])
    call = alice.call(bob.uri, body=BODY)
    scene.run()
    [other] = bob.arrived
    assert other.remote_body == BODY and call.log.kept()[0].early_media
    other.answer(body=BODY)
    scene.run()
    assert call.established and call.local_body == BODY
    # What is described stays, unless the program says something else.
    done: list[Any] = []
    call.update(body=BODY).addCallback(done.append)
    scene.run()
    assert done == [call]

    async def describe(call: Any, offer: Any) -> Any:
        if offer is None:
            return None
        raise RemoteProtocolError("no", status=488)

    other.on_offer = describe
    call.update().addErrback(done.append)
    scene.run()
    assert done[1].value.status == 488


def test_media_that_cannot_be_made(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)

    def refuse(call: Any) -> Any:
        raise MediaRefused("too many", status=503, warning_code=399)

    with pytest.raises(MediaRefused):
        alice.call(bob.uri, media=refuse)
    assert not alice.calls
    broken = SimpleNamespace(offer=lambda: fail(ValueError("x")), close=lambda: None)
    late = SimpleNamespace(offer=Deferred, close=lambda: None)
    call = alice.call(bob.uri, media=broken)
    assert (call.ending.cause, call.ending.status) == ("media", 500)
    waiting: Deferred[Any] = Deferred()
    late.offer = lambda: waiting
    call = alice.call(bob.uri, media=late)
    call.hangup()
    assert call.over
    waiting.callback(None)
    scene.run()
    assert not bob.arrived
    bob.make_media = refuse
    failures: list[Any] = []
    bob.does = lambda call: call.answer().addErrback(failures.append)
    call = alice.call(bob.uri)
    scene.run()
    assert failures[0].check(MediaRefused)
    bob.arrived[0].reject(503)
    scene.run()
    assert call.ending.status == 503


def test_answered_twice(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    waiting: Deferred[Any] = Deferred()
    failures: list[Any] = []

    def answer(call: Any) -> None:
        media = scene.make_media(call)
        described = media.answer
        media.answer = lambda offer: (setattr(media, "late", described(offer)), waiting)[1]
        call.answer(media=media).addErrback(failures.append)
        call.answer().addErrback(failures.append)
        call.answer_unless_done()

    bob.does = answer
    call = alice.call(bob.uri)
    scene.run()
    assert len(failures) == 1 and failures[0].check(LocalProtocolError)
    call.hangup()
    scene.run()
    # The answer comes too late.
    waiting.callback(scene.media[-1].late)
    assert bob.arrived[0].over and len(failures) == 2


def test_media_that_change_their_mind(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    made = scene.make_media(None)

    def answer(call: Any) -> None:
        call.ring(183, early_media=True)
        failures: list[Any] = []
        call.answer(media=None).addErrback(failures.append)
        assert failures
        call.answer()

    bob.does = answer
    call = alice.call(bob.uri, media=made)
    scene.run()
    assert call.established
    made.refuses = MediaRefused("no")
    bob.arrived[0].hold().addErrback(lambda failure: None)
    scene.run()
    made.refuses = None
    failures: list[Any] = []
    made.offer = lambda: fail(MediaRefused("not now"))
    call.hold().addErrback(failures.append)
    assert failures[0].check(MediaRefused)
    # A refusal of our own answer costs the change, not the call.
    assert call.established


def test_sound(scene: Scene, tmp_path: Path) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, _ = scene.established(alice, bob)
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(320))
    call.play(path)
    call.play(SimpleNamespace(rate=8000))
    call.stop_playing()
    call.record(str(tmp_path / "b.wav"))
    call.stop_recording()
    call.echo()
    call.bridge(None)
    keys = [what for what, _ in scene.media[0].keys]
    assert keys == ["play", "play", "stop", "record", "stop recording", "echo"]
    assert call.statistics().codec == "PCMU/8000" and call.local_host == "198.51.100.1"
    with pytest.raises(LocalProtocolError):
        call.play(__file__)


def test_a_stop_that_nobody_answers() -> None:
    scene = Scene()
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, _ = scene.established(alice, bob)
    ringing = alice.call("sip:x@198.51.100.70")
    referring = alice.refer("sip:x@198.51.100.70", "<sip:y@z>")
    failures: list[Any] = []
    referring.done.addErrback(failures.append)
    scene.network.cut(alice.element.reactor, bob.element.reactor)
    stopped: list[Any] = []
    alice.stopService().addCallback(stopped.append)
    assert alice.stopService() is not None and alice.stopping
    scene.run(6)
    assert stopped and call.over and ringing.over and len(alice.table) == 0 and failures
    bob.stopService()
    scene.run(6)
    scene.run(300)
    assert len(bob.table) == 0 and all(media.closed == 1 for media in scene.media)


def test_a_log_with_many_events() -> None:
    log: EventLog[int] = EventLog(kept=3)
    seen: list[int] = []

    def observe(number: int) -> None:
        seen.append(number)
        if number == 1:
            log.add(2)
        if number == 3:
            raise ValueError("a mistake")

    forget = log.observe(observe)
    later: list[int] = []
    log.observe(later.append)
    log.add(1)
    log.add(3)
    forget()
    forget()
    log.add(4)
    log.close()
    log.add(5)
    # In order for everybody, though 2 happened while 1 was being told.
    assert (seen, later) == ([1, 2, 3], [1, 2, 3, 4])
    stream = log.stream()
    read: list[int] = []

    async def follow() -> None:
        async for number in stream:
            read.append(number)

    Deferred.fromCoroutine(follow())
    assert (read, stream.missed) == ([2, 3, 4], 1)
    waiting = EventLog[int]().wait()
    waiting.addErrback(lambda failure: None)
    waiting.cancel()


def test_built_in_media() -> None:
    network = Network(1)
    node = network.node("198.51.100.1")
    agent = user_agent(node, media=BUILT_IN)
    assert isinstance(agent._make_media, BuiltInMedia) and agent.listeners == ("udp:5060", "tcp:5060")
    media = agent._make_media
    call: Any = SimpleNamespace(local_host="198.51.100.1")
    one, two = media(call), media(SimpleNamespace(local_host="198.51.100.2"))  # type: ignore[arg-type]
    assert set(media.planes) == {"198.51.100.1", "198.51.100.2"}
    assert media.planes["198.51.100.1"].settings.host == "198.51.100.1"
    media.close()
    assert not any(plane.sessions for plane in media.planes.values())
    fixed = BuiltInMedia(node, MediaSettings(host="198.51.100.9"))
    fixed(call).close()
    assert set(fixed.planes) == {"198.51.100.9"}
    del one, two
    # Messages over IPv4, media over IPv6: whatever we have that faces the peer.
    addresses = SimpleNamespace(source=lambda host: "2001:db8::1" if host == "2001:db8::9" else "")
    agent_of: Any = SimpleNamespace(element=SimpleNamespace(transports=SimpleNamespace(addresses=addresses)))
    for address, host in (
        ("2001:db8::9", "2001:db8::1"),
        ("2001:db8::8", "198.51.100.1"),
        ("name.example", "198.51.100.1"),
    ):
        body = SDP.format(id=1, version=1, way="sendrecv").replace("c=IN IP4 192.0.2.1", f"c=IN IP6 {address}")
        described = SimpleNamespace(
            local_host="198.51.100.1", remote_body=SessionBody("application/sdp", body.encode()), agent=agent_of
        )
        made = BuiltInMedia(node)
        made(described).close()  # type: ignore[arg-type]
        assert set(made.planes) == {host}
    # A later offer may want the other one.
    moves = BuiltInMedia(node)
    session = moves(SimpleNamespace(local_host="198.51.100.1", remote_body=None, agent=agent_of))  # type: ignore[arg-type]
    assert session.other_plane is not None and session.other_plane("2001:db8::8") is None
    assert session.other_plane("2001:db8::9") is moves.planes["2001:db8::1"]
    session.close()
    nonsense: Any = SimpleNamespace(local_host="198.51.100.1", remote_body=SessionBody("x", b"y"), agent=agent_of)
    BuiltInMedia(node)(nonsense).close()


def test_three_of_a_kind() -> None:
    class Talk(SimpleNamespace):
        __hash__ = object.__hash__

    def call(rate: int) -> Any:
        made = Talk(over=False, heard=[])
        made.media = SimpleNamespace(rate=rate, bridge=made.heard.append)
        made.bridge = made.heard.append
        made.observe = lambda observer: lambda: None
        return made

    calls = [call(8000), call(16000), call(8000)]
    three = ThreeWay(*calls)
    assert len({id(one.heard[0]) for one in calls}) == 1 and calls[0].heard[0].rate == 16000
    three.part()
    assert all(one.heard[-1] is None for one in calls)


def test_whom_to_call() -> None:
    account = Account(NameAddr.parse("<sip:a@example.com>"), contact_user="a")
    nobody = Account(NameAddr.parse("<tel:+1>"), contact_user="a")
    assert str(target_of("tel:+15551234", account)) == "sip:+15551234@example.com;user=phone"
    assert str(target_of("sip:x@y;method=BYE?Subject=z", account)) == "sip:x@y"
    for wrong, who in (("tel:+15551234", nobody), ("http://x", account), ("sip:", account)):
        with pytest.raises(LocalProtocolError):
            target_of(wrong, who)
    assert (nobody.domain, nobody.aor) == ("", "tel:+1")


def test_settings_that_contradict_each_other() -> None:
    with pytest.raises(LocalProtocolError):
        AgentSettings(session_expires=90, min_se=100)
    with pytest.raises(LocalProtocolError):
        AgentSettings(user_agent="a\r\nb")


def test_a_target_that_cannot_be_called(scene: Scene) -> None:
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2, max_calls=1, **OPEN)
    call, _ = scene.established(alice, bob)
    done: list[Any] = []
    call.transfer("sip:x@198.51.100.70").done.addCallback(done.append)
    scene.run(2)
    assert done == [503]

    async def wrong(call: Any, referral: Any) -> bool:
        raise RemoteProtocolError("no", status=405)

    bob.accept_transfer = wrong
    call.transfer("sip:x@198.51.100.70").done.addErrback(done.append)
    scene.run(2)
    assert done[1].value.status == 405 and len(bob.referring) == 0


def test_a_join_without_sound(scene: Scene) -> None:
    alice, bob, carol = (scene.agent(name, number) for number, name in enumerate(("alice", "bob", "carol"), 1))
    bob.does = lambda call: call.answer(media=None, body=BODY)
    bob.accept_join = lambda call, incoming: True
    call = alice.call(bob.uri, media=None, body=BODY)
    scene.run()
    joined = carol.call(bob.uri, join=call, media=None, body=BODY)
    scene.run(2)
    # RFC 3911 section 4: the matched dialog stays as it is.
    assert joined.over and call.established
    assert "Joined" in events(bob.arrived[0])


def test_calls_by_a_connection() -> None:
    """A registration over TCP: calls come and go by its flow."""
    over_tcp = Scene(server=True)
    alice, bob = over_tcp.agent("alice", 1), over_tcp.agent("bob", 2)
    registration = alice.register(
        "sip:carol@example.com", password="secret", outbound_proxies=["sip:192.0.2.1;transport=tcp"]
    )
    over_tcp.run(2)
    bob.does = lambda call: call.answer()
    call = alice.call(bob.uri, account=registration)
    over_tcp.run(2)
    assert call.established and call.account.registration is registration
    back = bob.call("sip:carol@example.com")
    alice.does = lambda call: call.answer()
    over_tcp.run(2)
    assert back.established and alice.arrived[-1].account.registration is registration
    assert "transport=tcp" not in back.dialog.remote_target or "gr=" in back.dialog.remote_target
    [flow] = alice.element.transports.connections.flows()
    assert alice.arrived[-1].wire.local_host(alice.arrived[-1].remote) == flow.local.host
    over_tcp.stop()
