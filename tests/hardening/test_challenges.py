"""Every method on the default configuration of every server is challenged, refused or let in as admission says.

RFC 3261 section 22.1: ACK and CANCEL are never challenged. Whoever claims to be one of our users has to prove it;
others reach our users and nobody else; a To tag is no pass.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from houses import ALICE, BOB, CALLEE, KINDS, STRANGER, House

from twisted_sip.message.methods import METHODS

ALL = (*METHODS, "UNHEARDOF")
ASKED = tuple(method for method in ALL if method not in ("ACK", "CANCEL"))
OVER = pytest.mark.parametrize("over", ["udp", "tcp"])
KIND = pytest.mark.parametrize("kind", KINDS)
#: What strangers are answered who ask for bob; 403: they publish for nobody.
LET_IN = {
    "proxy": (200,),
    "registrar": (404,),
    "redirect": (302,),
    "b2bua": (200, 404),
    "presence": (200, 403, 404, 489),
}
Houses = Callable[[str], House]


def statuses(house: House, text: str, over: str) -> list[int]:
    """Send *text*; return what it was answered. Nothing may be left of it, and nothing may have gone on."""
    before = len(house.callee.requests), house.server.counts()["bindings"]
    found = [answer.status for answer in house.ask(text, over)]
    assert (len(house.callee.requests), house.server.counts()["bindings"]) == before
    house.sane()
    return found


@KIND
@OVER
@pytest.mark.parametrize("method", ASKED)
def test_who_claims_to_be_a_user_is_asked_to_prove_it(houses: Houses, kind: str, over: str, method: str) -> None:
    house = houses(kind)
    for uri in (BOB, "sip:example.com", "sip:somebody@elsewhere.example"):
        text = house.text_of(method, uri, sender=ALICE, over=over)
        (answer,) = house.ask(text, over)
        # Section 22.1: 407 is the proxy's; registrars and whoever else answers itself ask with 401.
        addressed = uri == "sip:example.com" or (method == "REGISTER" and uri == BOB) or kind != "proxy"
        assert answer.status == (401 if addressed else 407), (method, uri)
        name = "www-authenticate" if addressed else "proxy-authenticate"
        assert len(answer.headers.all(name)) == 1
        # The way in a dialog with an address of ours is no other.
        for tagged in (BOB, "sip:example.com"):
            text = house.text_of(method, tagged, sender=ALICE, over=over, to_tag="made-up")
            assert statuses(house, text, over) in ([401], [407]), (method, tagged)


@KIND
@OVER
@pytest.mark.parametrize("method", ASKED)
def test_a_dialog_that_nobody_knows_leads_nowhere(houses: Houses, kind: str, over: str, method: str) -> None:
    house = houses(kind)
    if method != "REGISTER":
        for sender in (ALICE, STRANGER):
            for uri in (f"sip:bob@{CALLEE}", "sip:somebody@elsewhere.example"):
                # RFC 3261 section 12.2: the remote target is an address; only our token leads there.
                assert statuses(house, house.text_of(method, uri, sender=sender, over=over, to_tag="x"), over) == [403]
                route = "Route: <sip:0123456789abcdef@192.0.2.1;lr>"
                text = house.text_of(method, uri, route, sender=sender, over=over, to_tag="x")
                assert statuses(house, text, over) == [481], (sender, uri)
                text = house.text_of(method, uri, f"Route: <sip:{CALLEE};lr>", sender=sender, over=over, to_tag="x")
                assert statuses(house, text, over) == [403], (sender, uri)


@KIND
@OVER
@pytest.mark.parametrize("method", ASKED)
def test_strangers_reach_our_users_and_nobody_else(houses: Houses, kind: str, over: str, method: str) -> None:
    house = houses(kind)
    for uri in ("sip:somebody@elsewhere.example", f"sip:bob@{CALLEE}", "tel:+4930123"):
        expected = [403] if not uri.startswith("tel") else [403, 416]
        (found,) = statuses(house, house.text_of(method, uri, sender=STRANGER, over=over), over)
        assert found in expected, (method, uri, found)
    text = house.text_of(method, "sip:x@elsewhere.example", "Route: <sip:192.0.2.1;lr>", sender=STRANGER, over=over)
    assert statuses(house, text, over) == [403]
    text = house.text_of(method, BOB, f"Route: <sip:{CALLEE};lr>", sender=STRANGER, over=over)
    assert statuses(house, text, over) == [403]
    if method == "REGISTER":
        # Whoever sends it: who is registered is in To (section 10.3 steps 3 and 4).
        text = house.text_of(method, "sip:example.com", sender=STRANGER, to=BOB, over=over)
        assert statuses(house, text, over) == [401]
        text = house.text_of(method, "sip:example.com", sender=ALICE, to=STRANGER, over=over)
        assert statuses(house, text, over) == [403]


@KIND
@OVER
def test_strangers_who_are_let_in(houses: Houses, kind: str, over: str) -> None:
    house = houses(kind)
    for method in ASKED:
        if method == "REGISTER":
            continue
        text = house.text_of(method, BOB, sender=STRANGER, over=over)
        found = [answer for answer in house.ask(text, over, wait=2.0) if answer.cseq.method == method]
        # Answered, and never asked for a password that its sender cannot have.
        (status,) = {answer.status for answer in found}
        assert status in LET_IN[kind], (method, status)
    house.sane()


@KIND
@OVER
def test_ack_and_cancel_are_never_challenged(houses: Houses, kind: str, over: str) -> None:
    house = houses(kind)
    for sender in (ALICE, STRANGER):
        for tag in ("", "x"):
            for uri in (BOB, "sip:example.com", "sip:x@elsewhere.example", f"sip:bob@{CALLEE}"):
                assert house.ask(house.text_of("ACK", uri, sender=sender, over=over, to_tag=tag), over) == []
                # RFC 3261 section 9.2: there is nothing to cancel.
                text = house.text_of("CANCEL", uri, sender=sender, over=over, to_tag=tag)
                assert statuses(house, text, over) == [481]
    house.sane()
