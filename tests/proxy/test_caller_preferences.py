"""Caller preferences and Request-Disposition in the proxy (RFC 3841 sections 7 and 9.1)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.interfaces.call_policy import CallPolicy
from twisted_sip.proxy.policy_router import PolicyRouter
from twisted_sip.proxy.settings import ProxySettings
from twisted_sip.storage.call_policy_memory import MemoryCallPolicyStore

BOB = "sip:bob@example.com"


@pytest.fixture
def house(make_house: Any) -> Any:
    house = make_house()
    house.bind("bob", "sip:bob@192.0.2.10", params=";audio")
    house.bind("bob", "sip:bob@192.0.2.11", params=";audio;video")
    return house


def called(house: Any, *numbers: int) -> list[bool]:
    """Tell which peers have had an INVITE within a second."""
    house.network.advance(1)
    return [bool(house.peers[number].messages) for number in numbers]


def start(house: Any, *extra: str, peers: tuple[int, ...] = (10, 11), method: str = "INVITE") -> tuple[Any, str]:
    alice = house.peer("192.0.2.2")
    house.peers = {number: house.peer(f"192.0.2.{number}") for number in peers}
    text = house.request(method, BOB, extra=extra)
    house.send(alice, text)
    return alice, text


def test_who_can_is_asked_first(house: Any) -> None:
    alice, _ = start(house, "Accept-Contact: *;video")
    assert called(house, 10, 11) == [False, True]
    video, audio = house.peers[11], house.peers[10]
    video.answer(video.expect("INVITE"), 486)
    audio.answer(audio.expect("INVITE"), 200, [("contact", "<sip:bob@192.0.2.10>")])
    alice.expect(200)


def test_a_single_contact_is_no_exception(make_house: Any) -> None:
    house = make_house()
    house.bind("bob", "sip:bob@192.0.2.10", params=";audio")
    alice = house.peer("192.0.2.2")
    house.refused(alice, house.request("INVITE", BOB, extra=["Reject-Contact: *;audio"]), 480)
    house.refused(alice, house.request("INVITE", BOB, extra=["a: audio"], branch="2", call_id="2"), 400)


@pytest.mark.parametrize(
    ("wish", "fork", "expected"),
    [
        ("no-fork", "parallel", [True, False, False]),
        ("sequential", "parallel", [True, False, False]),
        ("parallel", "parallel", [True, True, True]),
        ("fork", "parallel", [True, True, False]),
        ("parallel", "serial", [True, False, False]),
        ("parallel", "none", [True, False, False]),
    ],
)
def test_how_to_fork(make_house: Any, wish: str, fork: str, expected: list[bool]) -> None:
    """Within what the operator has set."""
    house = make_house(settings=ProxySettings(fork=fork))
    for number, q in ((10, 1000), (11, 1000), (12, 500)):
        house.bind("bob", f"sip:bob@192.0.2.{number}", q=q, registered_at=float(-number))
    start(house, f"Request-Disposition: {wish}", peers=(10, 11, 12))
    assert called(house, 10, 11, 12) == expected


def test_no_fork_ends_with_the_first(house: Any) -> None:
    alice, text = start(house, "Request-Disposition: no-fork", "Accept-Contact: *;video")
    house.peers[11].answer(house.peers[11].expect("INVITE"), 486)
    house.send(alice, house.ack_for(text, alice.expect(486)))
    assert called(house, 10) == [False]


def test_not_to_cancel(house: Any) -> None:
    """The caller gets each 2xx and sees to what rings."""
    alice, _ = start(house, "Request-Disposition: no-cancel")
    first, second = house.peers[10], house.peers[11]
    one, two = first.expect("INVITE"), second.expect("INVITE")
    second.answer(two, 180)
    first.answer(one, 200, [("contact", "<sip:bob@192.0.2.10>")])
    alice.expect(200)
    second.expect_nothing(within=2.0)
    second.answer(two, 200, [("contact", "<sip:bob@192.0.2.11>")])
    alice.expect(200)


def test_a_6xx_cancels_all_the_same(house: Any) -> None:
    alice, text = start(house, "Request-Disposition: no-cancel")
    first, second = house.peers[10], house.peers[11]
    one, two = first.expect("INVITE"), second.expect("INVITE")
    second.answer(two, 180)
    first.answer(one, 603)
    second.answer(second.expect("CANCEL"), 200)
    second.answer(two, 487)
    house.send(alice, house.ack_for(text, alice.expect(603)))


def test_strangers_are_not_told_where_somebody_is(house: Any) -> None:
    start(house, "Request-Disposition: redirect")
    assert called(house, 10, 11) == [True, True]


def test_to_be_redirected(house: Any) -> None:
    house.admit.user = "sip:alice@example.com"
    alice, text = start(house, "Request-Disposition: redirect", "Accept-Contact: *;video")
    response = alice.expect(300)
    assert response.headers.elements("contact") == ["<sip:bob@192.0.2.11>;q=1.0", "<sip:bob@192.0.2.10>;q=0.5"]
    house.send(alice, house.ack_for(text, response))
    assert called(house, 10, 11) == [False, False]


def test_wishes_for_others_are_not_ours(house: Any) -> None:
    """Section 7.1."""
    house.admit.user = "sip:alice@example.com"
    alice, carol = house.peer("192.0.2.2"), house.peer("192.0.2.20")
    house.send(alice, house.request("INVITE", "sip:carol@192.0.2.20", extra=["Request-Disposition: redirect"]))
    assert carol.expect("INVITE").headers.first("request-disposition") == "redirect"


def test_who_a_call_is_forwarded_to_is_chosen_too(house: Any) -> None:
    store = MemoryCallPolicyStore()
    store.set("sip:carol@example.com", CallPolicy(forward_busy=BOB))
    house.proxy.routers.append(
        PolicyRouter(store, house.element.domains.is_local_uri, lambda: 43200.0, lambda: house.proxy)
    )
    house.bind("carol", "sip:carol@192.0.2.20")
    alice, carol = house.peer("192.0.2.2"), house.peer("192.0.2.20")
    house.peers = {number: house.peer(f"192.0.2.{number}") for number in (10, 11)}
    extra = ["Accept-Contact: *;video;require;explicit"]
    house.send(alice, house.request("INVITE", "sip:carol@example.com", extra=extra))
    carol.answer(carol.expect("INVITE"), 486)
    assert called(house, 10, 11) == [False, True]
