"""Requests for other hosts are not answered, whoever is meant there (RFC 3261 section 8.2.2.1)."""

from __future__ import annotations

from typing import Any

import pytest

from .agents import Scene
from .script import OFFER
from .stranger import Stranger


@pytest.mark.parametrize("accounts", [True, False])
@pytest.mark.parametrize(
    ("uri", "answered"),
    [
        ("sip:bob@198.51.100.1", True),
        # Where a router leads to us.
        ("sip:bob@203.0.113.7", True),
        ("sip:bob@localhost", True),
        ("sip:bob@other.example", False),
        ("sip:bob@198.51.100.1.example", False),
    ],
)
def test_who_is_meant_elsewhere(uri: str, answered: bool, accounts: bool) -> None:
    scene = Scene()
    caller = Stranger(scene, 9)
    caller.bob.does = lambda call: call.reject(486)
    if not accounts:
        caller.bob.accounts.clear()
    status = caller.request("INVITE", cseq=1, body=OFFER, uri=uri).status
    assert status == (486 if answered else 404)
    scene.run(40)
    scene.stop()


def test_our_domain_and_what_the_registrar_knows_us_by() -> None:
    scene = Scene(server=True)
    bob: Any = scene.agent("bob", 2)
    caller = Stranger(scene, 9, bob)
    bob.does = lambda call: call.reject(486)
    known = bob.accounts[0].contact_user
    for number, (uri, status) in enumerate(
        [("sip:bob@EXAMPLE.com", 486), (f"sip:{known}@anywhere.example", 486), ("sip:bob@other.example", 404)]
    ):
        answer = caller.request("INVITE", cseq=1, body=OFFER, uri=uri, call_id=f"c{number}")
        assert answer.status == status
    scene.run(40)
    scene.stop()
