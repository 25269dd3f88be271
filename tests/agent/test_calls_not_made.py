"""Calls that cannot even be begun, for want of room or by a fault of a hook: who waits for them is told (RFC 3515
section 2.4.7, RFC 5359 section 2.14)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from twisted_sip.agent.user_agent import UserAgent
from twisted_sip.cli.load_calls import LoadCalls, LoadPlan
from twisted_sip.errors import LocalProtocolError, MediaRefused

from .agents import OPEN, FakeMedia, Scene
from .script import Script


class NoOffer(FakeMedia):
    def offer(self) -> Any:
        raise MediaRefused("no ports", status=503)


@pytest.fixture
def script() -> Any:
    scene = Scene()
    scene.network.conditions.delay = (0.01, 0.01)
    made = Script(scene, **OPEN)
    yield made
    made.end()
    scene.stop()


def no_room(call: Any) -> Any:
    raise MediaRefused("too many sessions", status=503)


def a_mistake(call: Any) -> Any:
    raise KeyError("x")


@pytest.mark.parametrize(("media", "status"), [(no_room, b"503"), (a_mistake, b"500"), (NoOffer, b"503")])
def test_a_refer_is_told_so(script: Script, media: Any, status: bytes) -> None:
    script.established()
    script.alice.make_media = media
    for _ in range(2):
        # The second one too: the first one is not under way any more.
        assert script.request("REFER", ("refer-to", "<sip:y@198.51.100.8>")).status == 202
        for line in (b"SIP/2.0 100", b"SIP/2.0 " + status):
            notify = script.peer.expect("NOTIFY")
            assert notify.body.startswith(line)
            script.peer.answer(notify, 200)
        script.scene.run(0.1)
        assert len(script.alice.referring) == 0 and len(script.alice.calls) == 1


@pytest.mark.parametrize(("media", "status"), [(no_room, 503), (a_mistake, 500)])
def test_a_call_back_is_told_so(script: Script, media: Any, status: int) -> None:
    script.alice.make_media = media
    failures: list[Any] = []
    back = script.alice.call_back("sip:x@198.51.100.9")
    back.called.addErrback(failures.append)
    script.invite = subscribe = script.peer.expect("SUBSCRIBE")
    script.peer.answer(subscribe, 200, [("contact", "<sip:x@198.51.100.9>"), ("expires", "600")], to_tag="a")
    nothing = '<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="0" state="full" entity="sip:x@y"/>'
    fields = [("event", "dialog"), ("subscription-state", "active;expires=600")]
    script.request("NOTIFY", *fields, ("content-type", "application/dialog-info+xml"), body=nothing.encode())
    script.scene.run(1)
    assert [failure.value.status for failure in failures] == [status]
    script.answer(script.peer.expect("SUBSCRIBE"), 200)
    script.request("NOTIFY", ("event", "dialog"), ("subscription-state", "terminated;reason=timeout"))


def test_a_call_back_to_nobody_leaves_nothing() -> None:
    scene = Scene()
    alice = scene.agent("alice", 1)
    with pytest.raises(LocalProtocolError):
        alice.call_back("sip:no body", timeout=10)
    # No timer that finds nothing to end.
    scene.run(20)
    scene.stop()


def test_load_goes_on_without_its_file(tmp_path: Path) -> None:
    """It is gone, or there are too many open files: calls end in time all the same."""
    scene = Scene()
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    bob.does = lambda call: call.answer()
    plan = LoadPlan(uri=bob.uri, rate=10.0, calls=3, duration=1.0, limit=9, play=tmp_path / "gone.wav", timeout=9.0)
    running = LoadCalls(alice, plan)
    ends: list[Any] = []
    running.run().addCallback(ends.append)
    scene.run(5)
    result = running.result()
    assert ends == [None] and result["answered"] == 3
    assert result["failed"] == {"not played: No such file or directory": 3}
    scene.stop()


def test_load_counts_them() -> None:
    scene = Scene()
    alice: UserAgent = scene.agent("alice", 1)
    alice.make_media = no_room  # type: ignore[method-assign]
    plan = LoadPlan(
        uri="sip:x@198.51.100.9", rate=10.0, calls=3, duration=1.0, limit=9, play=Path("x.wav"), timeout=9.0
    )
    running = LoadCalls(alice, plan)
    ends: list[Any] = []
    running.run().addCallback(ends.append)
    scene.run(2)
    assert ends == [None] and running.result()["failed"] == {"too many sessions": 3}
    scene.stop()
