"""Privacy of callers (RFC 3323): what a b2bua provides, what is left for others, what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from .scene import HOST, Scene
from .scripted import Party, sdp

ANONYMOUS = '"Anonymous" <sip:anonymous@anonymous.invalid>'


@pytest.fixture(params=["direct", "relay"])
def scene(request: Any) -> Any:
    made = Scene(settings={"media": request.param})
    made.relays = request.param == "relay"  # type: ignore[attr-defined]
    made.alice, made.bob = Party(made, "alice", 8), Party(made, "bob", 9)  # type: ignore[attr-defined]
    yield made
    made.stop()


def called(scene: Any, privacy: str, *more: tuple[str, str]) -> Any:
    """Return the INVITE that bob gets; he is busy."""
    told = [("subject", "lunch"), ("organization", "Wonderland"), ("priority", "urgent"), *more]
    scene.alice.call(scene.bob.uri, *([("privacy", privacy)] if privacy else []), *told, body=sdp(host="198.51.100.8"))
    invite = scene.bob.invited()
    scene.bob.answer(invite, 486)
    scene.alice.response(486)
    return invite


@pytest.mark.parametrize(
    ("privacy", "left_direct", "left_relay"),
    [
        ("", None, None),
        ("none", "none", "none"),
        ("none;user;header", "none;user;header", "none;user;header"),
        ("id", "id", "id"),
        ("header", None, None),
        ("HEADER;id;critical", "id;critical", "id;critical"),
        ("user", None, None),
        ("header, user;history", "history", "history"),
        ("session", "session", None),
        ("user;session", "session", None),
        ("user;header;critical", None, None),
    ],
)
def test_what_is_done_is_not_asked_for_again(
    scene: Any, privacy: str, left_direct: str | None, left_relay: str | None
) -> None:
    invite = called(scene, privacy)
    assert invite.headers.first("privacy") == (left_relay if scene.relays else left_direct)
    hidden = "user" in privacy and "none" not in privacy
    assert (str(invite.from_.without("tag")) == ANONYMOUS) is hidden
    assert ("subject" not in invite.headers and "organization" not in invite.headers) is hidden
    assert invite.headers.first("priority") == "urgent"
    # Header privacy there is for everybody.
    assert "198.51.100.8" not in str(invite.headers.all("via") + invite.headers.all("contact"))
    assert HOST in str(invite.headers.first("contact"))
    assert (b"198.51.100.8" not in invite.body) is scene.relays


@pytest.mark.parametrize(
    ("privacy", "direct", "relay"),
    [
        ("session;critical", "Privacy Failure: session", ""),
        ("user;header;x-odd;session;critical", "Privacy Failure: x-odd, session", "Privacy Failure: x-odd"),
        ("none;session;critical", "", ""),
    ],
)
def test_what_is_critical(scene: Any, privacy: str, direct: str, relay: str) -> None:
    """Section 5: 500, with what there is not."""
    reason = relay if scene.relays else direct
    if not reason:
        called(scene, privacy)
        return
    scene.alice.call(scene.bob.uri, ("privacy", privacy), body=sdp(host="198.51.100.8"))
    assert scene.alice.response(500).reason == reason
    scene.bob.peer.expect_nothing()


@pytest.mark.parametrize(("privacy", "hidden"), [("user", True), ("none;user", False), ("id", False)])
def test_nobody_is_told_in_a_transfer_either(scene: Any, privacy: str, hidden: bool) -> None:
    """Whoever is called in bob's place learns no more of alice than bob."""
    carol = Party(scene, "carol", 7)
    scene.alice.call(scene.bob.uri, ("privacy", privacy), body=sdp(host="198.51.100.8"))
    scene.bob.answer(scene.bob.invited(), 200, body=sdp(host="198.51.100.9"))
    scene.alice.response(200)
    scene.alice.ack()
    scene.run(1)
    scene.bob.request("REFER", ("refer-to", f"<{carol.uri}>"))
    invite = carol.invited()
    assert (str(invite.from_.without("tag")) == ANONYMOUS) is hidden
    carol.answer(invite, 486)
    scene.run(40)
