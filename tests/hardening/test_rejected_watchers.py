"""A SUBSCRIBE that is rejected notifies nobody: neither its sender nor those who watch the watchers (RFC 6665 section
4.2.1, RFC 3857)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from houses import ALICE, BOB, HOST, STRANGER, House

from twisted_sip.message.request import Request

REFUSED = (
    (403, BOB, ("Event: reg",)),
    (403, BOB, ("Event: message-summary",)),
    (403, BOB, ("Event: presence.winfo",)),
    (489, BOB, ("Event: unheard-of",)),
    (489, BOB, ()),
    (400, BOB, ("Event: presence;;=",)),
    (400, BOB, ("Event: presence", "Event: presence")),
    (400, BOB, ("Event: presence", "Expires: soon")),
    (423, BOB, ("Event: presence", "Expires: 1")),
    (406, BOB, ("Event: presence", "Accept: x/y")),
    (420, BOB, ("Event: presence", "Require: unheard-of")),
    (415, BOB, ("Event: presence", "Content-Type: x/y", "Content-Length: 1", "", "x")),
)


@pytest.fixture(scope="module")
def house(houses: Callable[[str], House]) -> Iterator[House]:
    """Bob's client sees who watches bob."""
    house = houses("presence")
    text = house.text_of("SUBSCRIBE", BOB, "Event: presence.winfo", "Expires: 3600", sender=BOB)
    (answer,) = house.prove(text, "bob")
    assert answer.status == 200
    house.client.answer(house.client.expect(lambda one: isinstance(one, Request)), 200)
    yield house


def rejected(house: House, text: str, status: int, user: str = "") -> None:
    before = house.server.counts()["subscriptions"]
    house.network.trace.clear()
    answers = house.prove(text, user) if user else house.ask(text)
    assert [answer.status for answer in answers] == [status]
    house.network.advance(40.0)
    told = [one for one in house.network.trace if one[1].host == HOST and not one[4].startswith(b"SIP/2.0 ")]
    assert told == []
    assert house.server.counts()["subscriptions"] == before
    house.sane()


@pytest.mark.parametrize(("status", "uri", "lines"), REFUSED)
def test_nobody_is_told(house: House, status: int, uri: str, lines: tuple[str, ...]) -> None:
    for sender, user in ((STRANGER, ""), (ALICE, "alice")):
        if user and status == 400 and "Expires: soon" not in lines:
            # What is malformed is told before anybody is asked who it is.
            user = ""
        text = house.text_of("SUBSCRIBE", uri, *lines[:-2] if "" in lines else lines, sender=sender)
        if "" in lines:
            text = text.rstrip("\n") + "\n\nx"
        rejected(house, text, status, user)


def test_nor_before_somebody_is_who_he_says(house: House) -> None:
    for sender in (ALICE, BOB):
        rejected(house, house.text_of("SUBSCRIBE", BOB, "Event: presence", sender=sender), 401)
    rejected(house, house.text_of("SUBSCRIBE", BOB, "Event: presence", sender="sip:carol@example.com"), 403, "alice")


def test_who_is_taken_is_told(house: House) -> None:
    """What the others are measured by: both NOTIFYs are there when nothing is rejected."""
    house.network.trace.clear()
    assert house.prove(house.text_of("SUBSCRIBE", BOB, "Event: presence", "Expires: 600"))[0].status == 200
    house.network.advance(5.0)
    events = {
        one[4].split(b"\r\nEvent: ")[1].split(b"\r\n")[0].split(b";")[0]
        for one in house.network.trace
        if one[4].startswith(b"NOTIFY")
    }
    assert events == {b"presence", b"presence.winfo"}
