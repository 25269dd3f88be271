"""An unauthenticated datagram never draws more than one answer, of about its own size: whoever forges the address of
somebody else has nothing to gain here (RFC 3261 section 26.3.2.4).

What a phone of ours that was really reached says comes back as RFC 3261 section 13.3.1.4 has it: the phone repeats it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import pytest
from houses import ALICE, BOB, CLIENT, HOST, KINDS, SERVER, STRANGER, House

from twisted_sip.message.methods import METHODS
from twisted_sip.message.request import Request
from twisted_sip.testing.peer import on_the_wire

ALL = (*METHODS, "UNHEARDOF")
#: 64*T1, and the time that datagrams take.
LONG = 34.0
#: A challenge, or what is allowed and supported, is that much longer than what asked for it.
MORE = 420
Houses = Callable[[str], House]


def drawn(house: House, data: bytes, wait: float = LONG) -> list[bytes]:
    """Send *data*, answer nothing; return what the server sends to the address it came from."""
    house.network.trace.clear()
    house.client.send(data, SERVER)
    house.network.advance(wait)
    found = [one for one in house.network.trace if one[1].host == HOST and one[2].host == CLIENT]
    house.client.arrivals.clear()
    house.client.skip()
    return [one[4] for one in found]


def small(house: House, sent: list[bytes], most: int = 1) -> int:
    """What each of *sent* draws in 64*T1 is no gain to anybody; return how many answers came."""
    house.network.trace.clear()
    for data in sent:
        house.client.send(data, SERVER)
        house.network.advance(0.05)
    house.network.advance(LONG)
    found = [one[4] for one in house.network.trace if one[1].host == HOST and one[2].host == CLIENT]
    house.client.arrivals.clear()
    house.client.skip()
    by_branch = Counter(branch.group() for one in found if (branch := re.search(rb"z9hG4bKh\d+", one)))
    assert not by_branch or max(by_branch.values()) == 1, by_branch.most_common(3)
    assert len(found) <= most * len(sent), (len(found), len(sent))
    assert sum(map(len, found)) <= most * sum(len(data) + MORE for data in sent)
    house.sane()
    return len(found)


@pytest.mark.parametrize("kind", KINDS)
def test_requests(houses: Houses, kind: str) -> None:
    house = houses(kind)
    for sender in (ALICE, STRANGER):
        for uri in ("sip:example.com", "sip:nobody@example.com", BOB, "sip:x@elsewhere.example"):
            for tag in ("", "x"):
                # Bob's phone is called, and answers.
                rings = (sender, uri) == (STRANGER, BOB) and kind in ("proxy", "b2bua")
                methods = [method for method in ALL if not (rings and method == "INVITE")]
                sent = [on_the_wire(house.text_of(method, uri, sender=sender, to_tag=tag)) for method in methods]
                # All are answered but the ACK.
                assert small(house, sent) == len(sent) - 1


@pytest.mark.parametrize("kind", KINDS)
def test_requests_for_more(houses: Houses, kind: str) -> None:
    """With all that makes answers long: what is required, asked for and wrong comes back once."""
    house = houses(kind)
    long = ", ".join(f"x{number}" for number in range(300))
    lines = (
        f"Require: {long}",
        f"Proxy-Require: {long}",
        "Event: presence",
        "Event: reg",
        "Event: dialog",
        "Accept: x/y",
        "Event: presence.winfo",
        "Expires: 1",
        "Content-Type: x/y",
        "Supported: eventlist",
        "Authorization: Digest x",
        'Proxy-Authorization: Digest username=a, realm="example.com"',
    )
    for sender in (ALICE, STRANGER):
        for uri in ("sip:example.com", "sip:nobody@example.com"):
            for method in ("OPTIONS", "INVITE", "SUBSCRIBE", "MESSAGE", "REGISTER", "PUBLISH"):
                # RFC 6665 section 4.2.1.2: a SUBSCRIBE that is taken is followed by a NOTIFY, see below.
                taken = (method, sender) == ("SUBSCRIBE", STRANGER)
                asked = [line for line in lines if not (taken and line == "Event: presence")]
                small(house, [on_the_wire(house.text_of(method, uri, line, sender=sender)) for line in asked])


@pytest.mark.parametrize("kind", KINDS)
def test_malformed(houses: Houses, kind: str) -> None:
    house = houses(kind)
    good = on_the_wire(house.text_of("INVITE", "sip:nobody@example.com", sender=STRANGER))
    for number in range(0, len(good), 2):
        house.number += 1
        other = good.replace(b"bKh", b"bKh%d" % house.number)
        small_ones = [other[:number] + b"\x01" + other[number + 1 :], other[:number]]
        house.network.trace.clear()
        for data in small_ones:
            house.client.send(data, SERVER)
        house.network.advance(0.2)
        found = [one[4] for one in house.network.trace if one[1].host == HOST]
        assert len(found) <= 2 and all(len(one) <= len(good) + MORE for one in found)
    # Nothing comes later.
    assert small(house, []) == 0
    odd = [b"SIP/2.0 200 OK" + good[good.index(b"\r\n") :], b"A" * 1200, b"INVITE", b"\r\n" * 500 + good[:-20]]
    # Several messages in one datagram are one (RFC 3261 section 18.3).
    odd.append(on_the_wire(house.text_of("OPTIONS", "sip:example.com", sender=STRANGER)) * 4)
    small(house, odd)


def test_vias_that_lead_elsewhere(houses: Houses) -> None:
    """Answers go to where the datagram came from, whatever the Via says (RFC 3261 section 18.2.2)."""
    house = houses("proxy")
    for via in ("192.0.2.77", "192.0.2.77;rport", "192.0.2.77;received=192.0.2.78", "192.0.2.77;maddr=192.0.2.79"):
        text = house.text_of("OPTIONS", "sip:example.com", sender=STRANGER)
        text = text.replace(f"{CLIENT}:5060;", f"{via};", 1)
        house.network.trace.clear()
        house.client.send(text, SERVER)
        house.network.advance(LONG)
        assert {one[2].host for one in house.network.trace if one[1].host == HOST} == {CLIENT}


def test_keep_alives_and_stun(houses: Houses) -> None:
    house = houses("proxy")
    stun = b"\x21\x12\xa4\x42" + bytes(range(12))
    unknown = b"".join(bytes((0x00, number, 0, 0)) for number in range(0x20, 0x70))
    for data, most in (
        (b"\r\n\r\n", 0),
        (b"\r\n", 0),
        (b"\0", 0),
        (b"\0\0\0\0", 0),
        (b"\x00\x01\x00\x00" + stun, 1),
        (b"\x00\x01" + len(unknown).to_bytes(2, "big") + stun + unknown, 1),
        (b"\x00\x11\x00\x00" + stun, 0),
        (b"\x01\x01\x00\x00" + stun, 0),
        (b"\x00\x01\x00\x04" + stun, 0),
        (b"\x00\x03\x00\x00" + stun, 0),
    ):
        found = drawn(house, data, 2.0)
        assert len(found) <= most, data
        assert sum(map(len, found)) <= max(2 * len(data), len(data) + 24), (data, found)


@pytest.mark.parametrize("uri", [BOB, "sip:nobody@example.com", "sip:example.com"])
@pytest.mark.parametrize("route", ["", f"Record-Route: <sip:{CLIENT};lr>", f"Record-Route: <sip:{CLIENT}:5060;lr;x>"])
def test_a_watcher_who_does_not_answer_is_told_once(houses: Houses, uri: str, route: str) -> None:
    """RFC 6665 section 4.2.1.2 wants a NOTIFY at once; to who has never answered it goes once, and no other follows."""
    house = houses("presence")
    before = house.server.counts()["subscriptions"]
    lines = [route] if route else []
    text = house.text_of("SUBSCRIBE", uri, "Event: presence", "Expires: 200", *lines, sender=STRANGER)
    found = drawn(house, on_the_wire(text), 260.0)
    assert sorted(one.split(b" ")[0] for one in found) == [b"NOTIFY", b"SIP/2.0"]
    assert house.server.counts()["subscriptions"] == before
    house.sane()


def test_a_watcher_who_answers_is_told_reliably(houses: Houses) -> None:
    house = houses("presence")
    text = house.text_of("SUBSCRIBE", "sip:nobody@example.com", "Event: presence", "Expires: 600", sender=STRANGER)
    house.client.send(text, SERVER)
    notify = house.client.expect("NOTIFY")
    house.client.answer(notify, 200)
    house.network.advance(635)
    # Its end (RFC 6665 section 4.2.2) is told again and again until that is answered.
    again = [one for one in house.client.messages if isinstance(one, Request) and one is not notify]
    assert len(again) > 5
    house.sane()


def test_refusals_of_a_call_come_again_when_they_are_asked_for(houses: Houses) -> None:
    """A lost refusal does not leave the caller alone: an INVITE that comes again draws it again (Timer A)."""
    house = houses("b2bua")
    data = on_the_wire(house.text_of("INVITE", "sip:nobody@example.com", sender=STRANGER))
    for _ in range(3):
        (answer,) = drawn(house, data, 1.0)
        assert answer.startswith(b"SIP/2.0 480 ")
