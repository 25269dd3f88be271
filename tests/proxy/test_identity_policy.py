"""Asserted identity at the edge of the trust domain (RFC 3325 sections 5 to 7, RFC 3323)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.proxy.identity import IdentityPolicy, trusts

BOB = "sip:bob@example.com"
PAI = "p-asserted-identity"
TRUSTED, UNTRUSTED = "198.51.100.1", "192.0.2.2"


@pytest.fixture
def house(make_house: Any) -> Any:
    return make_house(policies=[IdentityPolicy(trusts(["198.51.100.0/24", "2001:db8::/32"]))])


def forwarded(house: Any, source: str, target: str, *extra: str, method: str = "MESSAGE") -> Any:
    """Return what *target* gets of a request from *source*, and both peers."""
    caller, callee = house.peer(source), house.peer(target)
    house.bind("bob", f"sip:bob@{target}")
    house.send(caller, house.request(method, BOB, via=source, extra=extra))
    return callee.expect(method), caller, callee


def test_networks() -> None:
    trusted = trusts(["198.51.100.0/24", "2001:db8::/32"])
    assert trusted("198.51.100.77") and trusted("2001:db8::1")
    assert not trusted("198.51.101.1") and not trusted("example.com")
    assert not trusts([])("198.51.100.1")


def test_what_the_untrusted_assert_goes(house: Any) -> None:
    got, _, callee = forwarded(house, UNTRUSTED, "198.51.100.9", "P-Asserted-Identity: <sip:boss@example.com>")
    assert PAI not in got.headers
    callee.answer(got, 200)


def test_what_the_trusted_assert_stays(house: Any) -> None:
    given = "<sip:boss@example.com>, <tel:+15551234>"
    got, _, callee = forwarded(house, TRUSTED, "198.51.100.9", f"P-Asserted-Identity: {given}", "Privacy: id")
    assert got.headers.all(PAI) == [given]
    callee.answer(got, 200)


@pytest.mark.parametrize(
    ("privacy", "stays"), [(None, True), ("id", False), ("header; ID", False), ("user", False), ("none", True)]
)
def test_privacy_towards_the_untrusted(house: Any, privacy: str | None, stays: bool) -> None:
    extra = ["P-Asserted-Identity: <sip:boss@example.com>", "P-Asserted-Identity: <tel:+1555>"]
    got, _, callee = forwarded(
        house, TRUSTED, "192.0.2.9", *extra, *([f"Privacy: {privacy}"] if privacy is not None else [])
    )
    assert len(got.headers.all(PAI)) == (2 if stays else 0)
    callee.answer(got, 200)


def test_who_has_authenticated_is_asserted_to_the_trusted(house: Any) -> None:
    house.admit.user = "sip:alice@example.com"
    got, _, callee = forwarded(house, UNTRUSTED, "198.51.100.9")
    assert got.headers.all(PAI) == ["<sip:alice@example.com>"]
    callee.answer(got, 200)


@pytest.mark.parametrize(
    ("preferred", "asserted"),
    [
        ('"Alice" <sip:alice@example.com>', '"Alice" <sip:alice@example.com>'),
        ('"Boss" <sip:boss@example.com>', "<sip:alice@example.com>"),
        ("<sip:", "<sip:alice@example.com>"),
        ("<tel:+1555>", "<sip:alice@example.com>"),
    ],
)
def test_preferred_identity_is_a_hint_and_goes(house: Any, preferred: str, asserted: str) -> None:
    """Section 6."""
    house.admit.user = "sip:alice@example.com"
    got, _, callee = forwarded(house, UNTRUSTED, "198.51.100.9", f"P-Preferred-Identity: {preferred}")
    assert got.headers.all(PAI) == [asserted]
    assert "p-preferred-identity" not in got.headers
    callee.answer(got, 200)


def test_nothing_is_asserted_to_the_untrusted(house: Any) -> None:
    house.admit.user = "sip:alice@example.com"
    got, _, callee = forwarded(house, UNTRUSTED, "192.0.2.9", "P-Preferred-Identity: <sip:alice@example.com>")
    assert PAI not in got.headers and "p-preferred-identity" not in got.headers
    callee.answer(got, 200)


def test_the_next_hop_counts(house: Any) -> None:
    """A Route or a flow decides who is next, not the Request-URI."""
    caller, edge = house.peer(TRUSTED), house.peer("192.0.2.60")
    house.bind("bob", "sip:bob@198.51.100.9", path=("<sip:192.0.2.60;lr>",))
    extra = ["P-Asserted-Identity: <sip:boss@example.com>", "Privacy: id"]
    house.send(caller, house.request("MESSAGE", BOB, via=TRUSTED, extra=extra))
    got = edge.expect("MESSAGE")
    assert PAI not in got.headers
    edge.answer(got, 200)
    bob = house.stream("192.0.2.10")
    house.register("carol", bob, "sip:carol@198.51.100.9;transport=tcp")
    house.send(caller, house.request("MESSAGE", "sip:carol@example.com", via=TRUSTED, branch="two", extra=extra))
    got = bob.expect("MESSAGE")
    assert PAI not in got.headers
    bob.answer(got, 200)


def test_ack_is_covered(house: Any) -> None:
    caller, callee = house.peer(UNTRUSTED), house.peer("198.51.100.9")
    extra = ["P-Asserted-Identity: <sip:boss@example.com>"]
    house.send(caller, house.request("ACK", "sip:bob@198.51.100.9", to=f"<{BOB}>;tag=b", extra=extra))
    assert PAI not in callee.expect("ACK").headers


@pytest.mark.parametrize(
    ("caller", "callee", "privacy", "stays"),
    [
        (UNTRUSTED, "192.0.2.9", "", False),
        (UNTRUSTED, "198.51.100.9", "", True),
        (UNTRUSTED, "198.51.100.9", "id", False),
        (TRUSTED, "198.51.100.9", "id", True),
        (TRUSTED, "192.0.2.9", "", False),
    ],
)
def test_responses(house: Any, caller: str, callee: str, privacy: str, stays: bool) -> None:
    got, near, far = forwarded(house, caller, callee)
    headers = [(PAI, "<sip:bob@example.com>")] + ([("privacy", privacy)] if privacy else [])
    far.answer(got, 200, headers)
    assert (PAI in near.expect(200).headers) is stays


OTHERS = ["P-Charging-Vector: icid-value=1", "P-Charging-Function-Addresses: ccf=x", "P-Asserted-Service: urn:x"]
OWN = ("p-charging-vector", "p-charging-function-addresses", "p-asserted-service")


@pytest.mark.parametrize(("source", "stays"), [(TRUSTED, True), (UNTRUSTED, False)])
def test_what_networks_tell_each_other(house: Any, source: str, stays: bool) -> None:
    """RFC 7315 sections 6.5 and 6.6: from the trusted alone, in requests and in responses."""
    got, caller, callee = forwarded(house, source, "198.51.100.9", *OTHERS)
    assert [name in got.headers for name in OWN] == [stays] * 3
    callee.answer(got, 200, [(name, "x") for name in OWN])
    response = caller.expect(200)
    assert all(name in response.headers for name in OWN)


def test_what_the_untrusted_answer(house: Any) -> None:
    got, caller, callee = forwarded(house, TRUSTED, "192.0.2.9")
    callee.answer(got, 200, [("remote-party-id", "<sip:boss@example.com>"), *[(name, "x") for name in OWN]])
    response = caller.expect(200)
    assert not [name for name in ("remote-party-id", *OWN) if name in response.headers]


@pytest.mark.parametrize(("caller", "stays"), [(TRUSTED, True), (UNTRUSTED, False)])
def test_the_forerunner_in_responses(house: Any, caller: str, stays: bool) -> None:
    got, peer, callee = forwarded(house, caller, "198.51.100.9")
    callee.answer(got, 200, [("remote-party-id", "<sip:boss@example.com>")])
    assert ("remote-party-id" in peer.expect(200).headers) is stays
