"""Who an agent is, and the way back to its peers (RFC 3261 section 12.2.1.1, RFC 5626 section 4.3)."""

from __future__ import annotations

from typing import Any

import pytest

from .agents import Scene


@pytest.fixture
def scene() -> Any:
    made = Scene()
    yield made
    made.stop()


def test_who_has_no_registration_any_more() -> None:
    scene = Scene(server=True)
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    [registration] = bob.registrations
    call, _ = scene.established(alice, bob)
    gone: list[Any] = []
    bob.unregister(registration).addCallback(gone.append)
    scene.run(2)
    assert gone and not bob.accounts and call.established
    missed = alice.call(bob.uri)
    scene.run(2)
    assert missed.ending.status in (404, 480)
    scene.stop()


def test_the_seams() -> None:
    from zope.interface.verify import verifyClass

    from twisted_sip.agent.user_agent import UserAgent
    from twisted_sip.interfaces.agent import IUserAgent
    from twisted_sip.interfaces.processing import IRequestProcessor

    assert verifyClass(IUserAgent, UserAgent) and verifyClass(IRequestProcessor, UserAgent)


@pytest.mark.parametrize(
    ("contact", "vias", "back"),
    [
        ("sip:p@198.51.100.9", 1, "contact"),
        ("sip:p@10.0.0.1", 1, "source"),
        ("sip:p@198.51.100.8;ob", 1, "source"),
        ("sip:p@198.51.100.8", 1, "other"),
        # A proxy that stays out of the dialog: the way that the INVITE came leads to it, not to the peer.
        ("sip:p@198.51.100.8;ob", 2, "other"),
    ],
)
def test_the_way_back(scene: Scene, contact: str, vias: int, back: str) -> None:
    from twisted_sip.message.builders import build_request

    bob = scene.agent("bob", 2)
    peer, other = scene.peer(9), scene.peer(8)
    bob.does = lambda call: call.answer(media=None)
    via = ", ".join(f"SIP/2.0/UDP 198.51.100.9;branch=z9hG4bK{number}" for number in range(vias))
    invite = build_request(
        "INVITE",
        bob.uri,
        from_="<sip:p@198.51.100.9>;tag=1",
        to=f"<{bob.uri}>",
        call_id="c",
        cseq=1,
        headers=[("via", via), ("contact", f"<{contact}>")],
    )
    peer.send(invite, ("198.51.100.2", 5060))
    ok = peer.expect(200)
    fields = [("via", "SIP/2.0/UDP 198.51.100.9;branch=z9hG4bKack")]
    ack = build_request(
        "ACK",
        ok.contacts[0].uri,
        from_="<sip:p@198.51.100.9>;tag=1",
        to=str(ok.to),
        call_id="c",
        cseq=1,
        headers=fields,
    )
    peer.send(ack, ("198.51.100.2", 5060))
    scene.run(0.1)
    bob.calls[0].hangup()
    where = other if back == "other" else peer
    where.answer(where.expect("BYE"), 200)
    scene.run(1)
