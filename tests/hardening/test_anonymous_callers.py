"""Callers who do not say who they are, at numbers that are for users alone (RFC 3323 section 4.1.1.3)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from houses import BOB, House

from twisted_sip.testing.peer import Peer

TRUNK = "192.0.2.50"
SETTINGS = f"""
[[route]]
user = "0*"
to = ["gateway:g"]
[[gateway]]
group = "g"
uri = "sip:{TRUNK}"
probe_interval = 0.0
[emergency]
to = ["gateway:g"]
"""
ANONYMOUS = "sip:anonymous@anonymous.invalid"


@pytest.mark.parametrize("uri", ["sip:0123@example.com", "sip:112@example.com", "urn:service:sos"])
def test_users_are_asked_who_they_are(make_house: Callable[..., House], uri: str) -> None:
    """The number is in our domain, and a stranger would be refused: who it is can be asked."""
    house = make_house("proxy", SETTINGS)
    trunk = Peer(house.network.node(TRUNK))
    text = house.text_of("INVITE", uri, sender=ANONYMOUS, to="sip:someone@example.com")
    (challenge,) = house.ask(text)
    assert challenge.status == 407
    trunk.expect_nothing()
    assert house.prove(text.replace("z9hG4bKh", "z9hG4bKx"), wait=0.1) == []
    invite = trunk.expect("INVITE")
    assert "anonymous" in (invite.headers.first("from") or "")
    trunk.answer(invite, 486)


def test_strangers_reach_our_users_unasked(make_house: Callable[..., House]) -> None:
    house = make_house("proxy", SETTINGS)
    house.register_bob()
    (answer,) = house.ask(house.text_of("MESSAGE", BOB, sender=ANONYMOUS))
    assert answer.status == 200
