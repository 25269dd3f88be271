"""Things that happen at the wrong moment, and things that nobody takes."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail

from twisted_sip.agent.call_events import DTMF, HoldChanged
from twisted_sip.b2bua.b2bua import B2BUA
from twisted_sip.b2bua.session_lines import held, rejected, split
from twisted_sip.b2bua.transcoding import Transcoding
from twisted_sip.errors import LocalProtocolError, MediaRefused, RemoteProtocolError

from .scene import Scene
from .scripted import RELIABLE, Party, Talk, sdp


@pytest.fixture
def scene() -> Any:
    made = Scene()
    yield made
    made.stop()


def test_messages_and_keys_that_nobody_takes(scene: Scene) -> None:
    talk = Talk(scene)
    alice, bob = talk.alice, talk.bob
    alice.call(bob.uri, body=sdp(4000))
    bob.answer(bob.invited(), 180)
    alice.response(180)
    alice.request("MESSAGE", ("content-type", "text/plain"), body=b"hello")
    alice.response(480, "MESSAGE")
    alice.request("INFO", ("content-type", "application/dtmf-relay"), body=b"Signal=1")
    bob.answer(bob.invite, 200, body=sdp(5000))
    alice.response(200, "INVITE")
    alice.ack(cseq=1)
    scene.run(1)
    alice.request("MESSAGE", ("content-type", "text/plain"), body=b"hello")
    bob.answer(bob.asked("MESSAGE"), 415)
    alice.response(415, "MESSAGE")
    talk.over()


def test_info_packages(scene: Scene) -> None:
    """An Info Package is for who has said to take it (RFC 6086)."""
    made = Scene(settings={"info_packages": ["known"]})
    talk = Talk(made)
    alice, bob = talk.alice, talk.bob
    alice.call(bob.uri, ("recv-info", "known"), body=sdp(4000))
    bob.answer(bob.invited(), 200, body=sdp(5000))
    alice.response(200, "INVITE")
    alice.ack()
    made.run(1)
    alice.request("INFO", ("info-package", "known"), ("content-type", "text/x"), body=b"x")
    alice.response(469, "INFO")
    bob.request("INFO", ("info-package", "known"), ("content-type", "text/x"), body=b"x")
    passed = alice.asked("INFO")
    assert passed.headers.first("info-package") == "known" and passed.body == b"x"
    alice.answer(passed, 200)
    bob.response(200, "INFO")
    talk.over()
    made.stop()


@pytest.mark.parametrize("answer", [True, None, 0])
def test_a_grant_that_comes_too_late(answer: Any) -> None:
    later: Deferred[Any] = Deferred()

    class Slow(B2BUA):
        def authorize_call(self, call: Any) -> Any:
            return later

    scene = Scene(kind=Slow)
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call = alice.call(bob.uri)
    scene.run(1)
    call.hangup()
    scene.run(1)
    later.callback(answer)
    scene.run(1)
    assert call.over and not bob.arrived
    scene.stop()


def test_descriptions_of_the_caller_that_are_none() -> None:
    """No leg is left of a call that cannot be offered."""
    scene = Scene(settings={"media": "relay"})
    talk = Talk(scene)
    talk.alice.call(talk.bob.uri, body=sdp(4000) + b"m=audio 4 RTP/AVP 0\r\n" * 9)
    talk.alice.response(488, "INVITE")
    scene.run(1)
    [record] = scene.accounting.records
    assert [leg.ended is not None for leg in record.legs] == [True, True]
    scene.run(40)
    scene.stop()


def test_an_answer_that_cannot_be_passed_on() -> None:
    scene = Scene(settings={"media": "relay", "fallback": False})
    talk = Talk(scene)
    alice, bob = talk.alice, talk.bob
    alice.call(bob.uri, body=sdp(4000))
    bob.answer(bob.invited(), 200, body=sdp(5000) + b"m=audio 4 RTP/AVP 0\r\n" * 9)
    alice.peer.expect(lambda message: getattr(message, "status", 0) == 488)
    bob.answer(bob.asked("BYE"), 200)
    scene.run(40)
    assert not scene.bridged
    scene.stop()


def test_devices_that_answer_at_once(scene: Scene) -> None:
    """Another one has been faster: its answer is acknowledged, and it is hung up."""
    alice, bob, carol = Party(scene, "alice", 6), Party(scene, "bob", 7), Party(scene, "carol", 8)
    scene.bind("team", f"sip:bob@{bob.host}")
    from twisted_sip.interfaces.routing import Target
    from twisted_sip.message.uri import parse_uri

    targets = [Target(uri=parse_uri(f"sip:{one.name}@{one.host}")) for one in (bob, carol)]
    scene.b2bua.route = lambda call: targets
    alice.call("sip:team@example.com", RELIABLE, body=sdp(4000))
    bob.invited()
    carol.invited()
    bob.reliably(183, sdp(5000))
    bob.answer(bob.asked("PRACK"), 200)
    response = alice.response(183)
    carol.answer(carol.invite, 180)
    scene.run(0.2)
    alice.prack(response, sdp(4002, version=2))
    bob.asked("UPDATE")
    # What was offered to the one is of no use to the other one.
    carol.answer(carol.invite, 200, body=sdp(6000))
    alice.peer.expect(lambda message: getattr(message, "status", 0) == 491)
    bob.answer(bob.asked("CANCEL"), 200)
    bob.answer(bob.invite, 200)
    bob.answer(bob.asked("BYE"), 200)
    alice.response(200, "INVITE")
    alice.ack(cseq=1)
    again = carol.invited()
    carol.answer(again, 200, body=sdp(6000, version=2))
    offer = alice.invited()
    alice.answer(offer, 200, body=sdp(4000, version=3))
    scene.run(1)
    alice.request("BYE")
    carol.answer(carol.asked("BYE"), 200)
    scene.run(40)


# -- where media end here ----------------------------------------------------------------------------------


class FakeCall:
    """A call of which it is known what fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.established = True
        self.over = False
        self.ended: list[str] = []

    def hold(self) -> Any:
        return fail(self.error)

    resume = hold

    def send_dtmf(self, digit: str) -> Any:
        raise self.error

    def hangup(self, reason: str) -> None:
        self.ended.append(reason)


def test_what_the_other_leg_does_not_take() -> None:
    scene = Scene(settings={"media": "transcode"})
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, other = scene.established(alice, bob)
    transcoding = scene.bridged[0].transcoding
    assert isinstance(transcoding, Transcoding)
    peer: Any = FakeCall(LocalProtocolError("not now"))
    for event in (HoldChanged(on=True), HoldChanged(on=False), DTMF(digit="5")):
        transcoding._happened(event, peer)
    pressed: list[Any] = []
    other.observe(lambda event: pressed.append(getattr(event, "digit", None)))
    call.send_dtmf("7")
    scene.run(3)
    assert "7" in pressed
    scene.stop()


def test_a_caller_who_cannot_be_answered() -> None:
    """The codecs of the caller are none of ours: the callee is hung up again."""
    scene = Scene(settings={"media": "transcode"})
    talk = Talk(scene)
    alice, bob = talk.alice, talk.bob
    strange = sdp(4000).replace(b"RTP/AVP 0", b"RTP/AVP 96") + b"a=rtpmap:96 strange/8000\r\n"
    alice.call(bob.uri, body=strange)
    bob.answer(bob.invited(), 183, body=sdp(5000))
    scene.run(1)
    bob.answer(bob.invite, 200, body=sdp(5000))
    bob.asked("ACK")
    alice.response(488, "INVITE")
    bob.answer(bob.asked("BYE"), 200)
    scene.run(40)
    assert not scene.bridged
    scene.stop()


def test_transcoding_needs_media(scene: Scene) -> None:
    bridged: Any = type("Joined", (), {"b2bua": scene.b2bua})
    with pytest.raises(MediaRefused):
        Transcoding(bridged)


# -- lines --------------------------------------------------------------------------------------------------


def test_lines_that_are_none() -> None:
    with pytest.raises(RemoteProtocolError):
        split(b"m=audio\r\n")
    assert split(b"v=0\no=x\nm=audio 1 RTP/AVP 0\na=x\n")[1] == [b"m=audio 1 RTP/AVP 0\r\na=x"]
    assert rejected(b"m=") == b"m=audio 0 RTP/AVP 0"
    assert held(b"m=audio 0 RTP/AVP 0\r\na=x") == b"m=audio 0 RTP/AVP 0"
