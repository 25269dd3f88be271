"""Whom the password of an account is told, as a hash (RFC 3261 section 22.1, RFC 7616 section 5)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.auth.client import DigestClient
from twisted_sip.message.builders import build_request
from twisted_sip.message.request import Request

from .agents import Scene
from .script import OFFER
from .stranger import Stranger

HOST = "198.51.100.1"


class Called(Stranger):
    """Somebody who calls the Contact of bob, and writes what he likes into To: bob's BYE has it in From."""

    def challenged(self, domain: str, realm: str) -> list[Request]:
        """Return the BYEs of bob in a call to *domain*, the first of which is challenged for *realm*."""
        bob = self.bob
        bob.does = lambda call: call.answer()
        target = f"sip:{bob.accounts[0].contact_user}@{HOST}"
        tag = ""
        for method in ("INVITE", "ACK"):
            request = build_request(
                method,
                target,
                from_=f"{self.address};tag=f",
                to=f"<sip:bob@{domain}>{tag}",
                call_id="c1",
                cseq=1,
                headers=[
                    ("via", f"SIP/2.0/UDP {self.host};branch=z9hG4bK{method}"),
                    ("contact", f"<sip:x@{self.host}>"),
                    ("content-type", "application/sdp"),
                ],
                body=OFFER if method == "INVITE" else b"",
            )
            self.peer.send(request, (HOST, 5060))
            if method == "INVITE":
                tag = f";tag={self.peer.expect(200).to.tag}"
        self.scene.run(0.2)
        bob.arrived[0].hangup()
        bye = self.peer.expect("BYE")
        self.peer.answer(bye, 401, [("www-authenticate", f'Digest realm="{realm}", nonce="n", qop="auth"')])
        self.scene.run()
        byes: list[Any] = [arrival.message for arrival in self.peer.arrivals]
        return [message for message in byes if isinstance(message, Request) and message.method == "BYE"]


def test_the_domain_in_to_is_not_that_of_a_registered_user() -> None:
    scene = Scene(server=True)
    [bye] = Called(scene, 7, scene.agent("bob", 1)).challenged("evil.example", "evil.example")
    assert bye.from_.uri_text == "sip:bob@evil.example"


def test_nor_that_of_an_account() -> None:
    scene = Scene()
    bob = scene.agent("bob", 1)
    bob.accounts.clear()
    bob.account("sip:bob@example.com", credentials=DigestClient("bob", "secret"))
    [bye] = Called(scene, 7, bob).challenged("evil.example", "evil.example")
    assert "authorization" not in bye.headers


@pytest.mark.parametrize("realm", ["example.com", "EXAMPLE.com"])
def test_the_domain_of_the_account_is_answered(realm: str) -> None:
    scene = Scene(server=True)
    first, second, *_ = Called(scene, 7, scene.agent("bob", 1)).challenged("198.51.100.1", realm)
    assert "authorization" not in first.headers and "authorization" in second.headers
