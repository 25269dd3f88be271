"""Media sessions over ICE (RFC 8839)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from twisted_sip.errors import MediaRefused
from twisted_sip.media.ice_extension import ICEExtension, ICEMedia
from twisted_sip.media.plane import MediaPlane
from twisted_sip.media.settings import MediaSettings
from twisted_sip.sdp.description import SessionDescription
from twisted_sip.testing.media_network import MediaNetwork


class Scene:
    def __init__(self, *, first: bool = True, second: bool = True, mux: bool = False) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.network = MediaNetwork(self.clock)
        self.planes = []
        self.extensions: list[ICEExtension] = []
        for host, ice in (("192.0.2.1", first), ("192.0.2.2", second)):
            plane = self.network.plane(host, rtcp_mux=mux)
            if ice:
                media = ICEMedia(self.clock, plane.random_bytes)
                plane.extensions = [lambda session, media=media: self.keep(media(session))]
            self.planes.append(plane)
        self.a, self.b = (plane() for plane in self.planes)

    def keep(self, extension: ICEExtension) -> ICEExtension:
        self.extensions.append(extension)
        return extension

    def made(self, description: Any) -> SessionDescription:
        if not isinstance(description, SessionDescription):
            found: list[SessionDescription] = []
            description.addCallback(found.append)
            description = found[0]
        return SessionDescription.parse(description.to_bytes())

    def agree(self) -> tuple[SessionDescription, SessionDescription]:
        offer = self.made(self.a.offer())
        answer = self.made(self.b.answer(offer))
        self.a.answered(answer)
        return offer, answer

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.01)):
            self.clock.advance(0.01)

    def close(self) -> None:
        for plane in self.planes:
            plane.close()
        self.run(1)
        assert not self.network.sockets
        assert not self.clock.getDelayedCalls()


@pytest.mark.parametrize("mux", [False, True])
def test_sound_over_ice(mux: bool) -> None:
    scene = Scene(mux=mux)
    offer, answer = scene.agree()
    assert offer.media[0].ice_options == ("ice2",)
    assert {each.component for each in offer.media[0].candidates} == {1, 2}
    assert answer.media[0].ice_ufrag
    scene.run(3)
    streams = [each.stream for each in scene.extensions]
    assert [stream.state for stream in streams if stream is not None] == ["completed", "completed"]
    for session in (scene.a, scene.b):
        assert session.statistics().packets_received > 50
    # A later offer tells the selected pair alone, and changes nothing.
    again, _ = scene.agree()
    assert len(again.media[0].candidates) == (1 if mux else 2)
    assert again.media[0].remote_candidates
    assert again.media[0].ice_ufrag == offer.media[0].ice_ufrag
    scene.extensions[0].restart()
    restarted, answered = scene.agree()
    assert restarted.media[0].ice_ufrag != offer.media[0].ice_ufrag
    assert answered.media[0].ice_ufrag != answer.media[0].ice_ufrag
    scene.run(3)
    assert [stream.state for stream in streams if stream is not None] == ["completed", "completed"]
    scene.close()


def test_restart_rolled_back() -> None:
    scene = Scene()
    offer, _ = scene.agree()
    scene.run(2)
    scene.extensions[0].restart()
    assert scene.made(scene.a.offer()).media[0].ice_ufrag != offer.media[0].ice_ufrag
    scene.a.rolled_back()
    stream = scene.extensions[0].stream
    assert stream is not None and stream.ufrag == offer.media[0].ice_ufrag
    scene.close()


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True)])
def test_peer_without_ice(first: bool, second: bool) -> None:
    scene = Scene(first=first, second=second)
    scene.agree()
    scene.run(2)
    assert scene.extensions[0].stream is None
    scene.extensions[0].restart()
    for session in (scene.a, scene.b):
        assert session.statistics().packets_received > 50
    scene.agree()
    scene.close()


def test_plane_takes_it() -> None:
    clock = Clock()
    media = ICEMedia(clock, bytes)
    plane = MediaPlane(clock, MediaSettings(host="192.0.2.9"), sockets=MediaNetwork(clock), extensions=[media])
    session = plane()
    failed: list[str] = []
    extension = session._extensions[0]
    assert isinstance(extension, ICEExtension)
    extension.ice_failed("before anybody listens")
    extension.on_failed = failed.append
    extension.ice_failed("no way")
    assert failed == ["no way"]
    session.close()


def test_a_restart_of_the_peer_that_is_refused() -> None:
    """The codecs do not fit, so nothing of the offer counts, and sound goes on."""
    scene = Scene()
    _, answer = scene.agree()
    scene.run(2)
    scene.extensions[0].restart()
    offer = str(scene.made(scene.a.offer()))
    unfit = SessionDescription.parse(offer.replace("PCMU", "GSM").replace("PCMA", "LPC"))
    failures: list[Any] = []
    answering: Any = scene.b.answer(unfit)
    answering.addErrback(failures.append)
    assert failures[0].check(MediaRefused)
    scene.a.rolled_back()
    stream = scene.extensions[1].stream
    assert stream is not None and stream.ufrag == answer.media[0].ice_ufrag
    before = [session.statistics().packets_received for session in (scene.a, scene.b)]
    scene.run(40)
    after = [session.statistics().packets_received for session in (scene.a, scene.b)]
    assert all(new - old > 1500 for old, new in zip(before, after, strict=True))
    scene.close()


def test_a_lite_agent_says_nothing_of_ice_to_whoever_has_none() -> None:
    scene = Scene()
    for plane in scene.planes:
        plane.close()
    lite, plain = scene.network.plane("192.0.2.3", ice="lite"), scene.network.plane("192.0.2.4")
    one, other = lite(), plain()
    answer = scene.made(one.answer(scene.made(other.offer())))
    assert "ice" not in str(answer)
    fresh, full = lite(), scene.network.plane("192.0.2.5", ice="full")
    offer = scene.made(full().offer())
    assert "a=ice-lite" in str(scene.made(fresh.answer(offer)))
    assert "a=ice-lite" in str(scene.made(lite().offer()))
    for plane in (lite, plain, full):
        plane.close()
    scene.close()
