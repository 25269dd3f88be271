"""Privacy as far as a proxy can provide it (RFC 3323, RFC 3325 section 7, RFC 7044 section 10)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.proxy.identity import IdentityPolicy, trusts
from twisted_sip.proxy.settings import ProxySettings

BOB = "sip:bob@example.com"
PAI = "p-asserted-identity"
ALICE, TRUSTED, OTHER = "192.0.2.2", "198.51.100.9", "192.0.2.9"
ANONYMOUS = '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=a'
TELLING = [
    "Subject: lunch",
    "Call-Info: <http://alice.example/>",
    "Organization: Wonderland",
    "User-Agent: phone",
    "Reply-To: <sip:alice@example.com>",
    "In-Reply-To: x@alice",
]


@pytest.fixture
def house(make_house: Any) -> Any:
    # What Alice says of the way so far is believed; she is not in the trust domain of identities.
    made = make_house(settings=ProxySettings(history_info="always", trusted=(ALICE,)))
    made.proxy.policies.append(
        IdentityPolicy(trusts(["198.51.100.0/24"]), made.element.domains.is_local_uri, owns_number)
    )
    made.admit.user = "sip:alice@example.com"
    return made


def owns_number(user: str, identity: Any) -> bool:
    """Alice has two addresses and a number."""
    return str(identity) in ("sip:alice@example.com", "sip:a.liddell@example.com", "tel:+15551234")


def forwarded(house: Any, uri: str, *extra: str, method: str = "INVITE", **how: Any) -> Any:
    """Return what the peer that *uri* leads to gets."""
    host = uri.partition("@")[2]
    house.alice, callee = house.peer(ALICE), house.peer(host)
    house.callee = callee
    house.send(house.alice, house.request(method, uri, extra=extra, **how))
    return callee.expect(method)


@pytest.mark.parametrize("privacy", ["user", "USER;id", "header, user"])
def test_what_tells_of_the_caller(house: Any, privacy: str) -> None:
    """RFC 3323 section 5.3."""
    got = forwarded(house, f"sip:x@{OTHER}", *TELLING, f"Privacy: {privacy}")
    assert not [line for line in got.headers.names if line in ("subject", "call-info", "organization", "user-agent")]
    assert "reply-to" not in got.headers and "in-reply-to" not in got.headers
    # There is more to it, for somebody behind us.
    assert got.headers.first("privacy") == privacy


@pytest.mark.parametrize(("privacy", "gone"), [("user", True), ("id;USER", True), ("none", False), ("id", False)])
def test_what_tells_of_who_answers(house: Any, privacy: str, gone: bool) -> None:
    got = forwarded(house, f"sip:x@{OTHER}", method="MESSAGE")
    told = [("privacy", privacy), ("server", "phone"), ("organization", "Wonderland"), ("call-info", "<http://x/>")]
    house.callee.answer(got, 200, told)
    response = house.alice.expect(200)
    assert [name in response.headers for name, _ in told] == [True, *[not gone] * 3]


@pytest.mark.parametrize("privacy", ["none", "none;user", "id", "session"])
def test_what_was_not_asked_for(house: Any, privacy: str) -> None:
    got = forwarded(house, f"sip:x@{OTHER}", *TELLING, f"Privacy: {privacy}")
    assert got.headers.first("subject") == "lunch" and got.headers.first("privacy") == privacy


@pytest.mark.parametrize(
    ("privacy", "reason"),
    [
        ("header;critical", "Privacy Failure: header"),
        ("id;session;user;critical", "Privacy Failure: session, user"),
        ("critical;x\u00fc", "Privacy Failure: x\u00fc"),
    ],
)
def test_what_is_critical_and_cannot_be_had(house: Any, privacy: str, reason: str) -> None:
    """RFC 3323 section 5: 500, with what there is not."""
    house.bind("bob", f"sip:bob@{OTHER}")
    alice, bob = house.peer(ALICE), house.peer(OTHER)
    response = house.refused(alice, house.request("INVITE", BOB, extra=[f"Privacy: {privacy}"]), 500)
    assert response.reason == reason
    bob.expect_nothing(within=1.0)


@pytest.mark.parametrize("privacy", ["id;critical", "history;critical", "none", "none;header;critical"])
def test_what_is_critical_and_can_be_had(house: Any, privacy: str) -> None:
    assert forwarded(house, f"sip:x@{OTHER}", f"Privacy: {privacy}", "Proxy-Require: privacy")


def test_other_extensions_are_still_unknown(house: Any) -> None:
    response = house.refused(
        house.peer(ALICE), house.request("INVITE", BOB, extra=["Proxy-Require: Privacy, foo"]), 420
    )
    assert response.headers.all("unsupported") == ["foo"]


# -- identity -------------------------------------------------------------------------------


def test_the_anonymous_are_vouched_for_among_the_trusted(house: Any) -> None:
    """And nobody behind them is told (RFC 3325 section 7)."""
    got = forwarded(house, f"sip:x@{TRUSTED}", from_=ANONYMOUS)
    assert got.headers.all(PAI) == ["<sip:alice@example.com>"]
    assert got.headers.first("privacy") == "id"
    assert str(got.from_) == ANONYMOUS


def test_nobody_else_learns_of_it(house: Any) -> None:
    got = forwarded(house, f"sip:x@{OTHER}", from_=ANONYMOUS)
    assert PAI not in got.headers and "privacy" not in got.headers


@pytest.mark.parametrize("privacy", ["none", "id"])
def test_what_they_have_said_of_it_stays(house: Any, privacy: str) -> None:
    got = forwarded(house, f"sip:x@{TRUSTED}", f"Privacy: {privacy}", from_=ANONYMOUS)
    assert got.headers.all(PAI) == ["<sip:alice@example.com>"]
    assert got.headers.all("privacy") == [privacy]


@pytest.mark.parametrize(
    ("preferred", "asserted"),
    [
        (["<sip:a.liddell@example.com>"], ["<sip:a.liddell@example.com>"]),
        (['"A" <sip:a.liddell@example.com>, <tel:+15551234>'], ['"A" <sip:a.liddell@example.com>', "<tel:+15551234>"]),
        (["<sip:a.liddell@example.com>, <sip:alice@example.com>"], ["<sip:a.liddell@example.com>"]),
        (["<sip:boss@example.com>", "<tel:+1999>", "<http://x>", "<sip:"], ["<sip:alice@example.com>"]),
        (["<sip:boss@example.com>, <tel:+15551234>"], ["<tel:+15551234>"]),
    ],
)
def test_a_user_with_several_identities(house: Any, preferred: list[str], asserted: list[str]) -> None:
    """RFC 3325 sections 6 and 9.1."""
    got = forwarded(house, f"sip:x@{TRUSTED}", *(f"P-Preferred-Identity: {each}" for each in preferred))
    assert got.headers.all(PAI) == asserted
    assert "p-preferred-identity" not in got.headers


def test_connected_identity_passes(house: Any) -> None:
    """RFC 4916 section 4.7: From may change in a dialog; nobody is vouched for by that."""
    house.admit.user = ""
    got = forwarded(
        house,
        f"sip:x@{TRUSTED}",
        "P-Asserted-Identity: <sip:boss@example.com>",
        "Supported: from-change",
        method="UPDATE",
        from_="<sip:carol@example.com>;tag=a",
        to="<sip:x@example.net>;tag=b",
    )
    assert str(got.from_) == "<sip:carol@example.com>;tag=a" and PAI not in got.headers
    house.callee.answer(got, 200)
    house.alice.expect(200)


# -- History-Info ---------------------------------------------------------------------------

OURS = "<sip:carol@example.com?Reason=SIP%3Bcause%3D302>;index=1, <sip:x@example.net>;index=1.1"


@pytest.mark.parametrize(
    ("host", "privacy", "hidden"),
    [
        (OTHER, "history", True),
        (OTHER, "header", True),
        (OTHER, "history;id", True),
        (OTHER, "none;history", False),
        (OTHER, "", False),
        (TRUSTED, "history", False),
    ],
)
def test_targets_of_ours_leave_hidden(house: Any, host: str, privacy: str, hidden: bool) -> None:
    """RFC 7044 section 10.1.2; others' targets are others' to hide."""
    extra = [f"History-Info: {OURS}", *([f"Privacy: {privacy}"] if privacy else [])]
    got = forwarded(house, f"sip:x@{host}", *extra)
    entries = got.headers.elements("history-info")
    assert (entries[0] == "<sip:anonymous@anonymous.invalid?Reason=SIP%3Bcause%3D302>;index=1") is hidden
    assert entries[1] == "<sip:x@example.net>;index=1.1"
    left = {"header": "header", "history;id": "id", "": None, "none;history": "none;history"}
    assert got.headers.first("privacy") == (left.get(privacy) if privacy in left or host == OTHER else privacy)


def test_entries_that_ask_for_it(house: Any) -> None:
    mine = "<sip:carol@example.com?Privacy=history>;index=1, <sip:dave@example.com>;index=1.1, <sip:"
    got = forwarded(house, f"sip:x@{OTHER}", f"History-Info: {mine}")
    assert got.headers.elements("history-info")[:3] == [
        "<sip:anonymous@anonymous.invalid>;index=1",
        "<sip:dave@example.com>;index=1.1",
        "<sip:",
    ]


def test_not_on_the_way_to_our_own_users(house: Any) -> None:
    house.bind("bob", f"sip:bob@{OTHER}")
    alice, bob = house.peer(ALICE), house.peer(OTHER)
    house.send(alice, house.request("INVITE", BOB, extra=[f"History-Info: {OURS}", "Privacy: history"]))
    got = bob.expect("INVITE")
    assert "carol" in got.headers.elements("history-info")[0] and got.headers.first("privacy") == "history"


@pytest.mark.parametrize(("required", "left"), [("privacy", None), ("privacy, Privacy", None)])
def test_with_the_last_of_it_goes_the_extension(house: Any, required: str, left: str | None) -> None:
    """RFC 3323 section 5."""
    got = forwarded(house, f"sip:x@{OTHER}", "Privacy: history;critical", f"Proxy-Require: {required}")
    assert "privacy" not in got.headers and got.headers.first("proxy-require") == left


@pytest.mark.parametrize(("user", "hidden"), [("", True), ("sip:alice@example.com", False)])
def test_responses(house: Any, user: str, hidden: bool) -> None:
    house.admit.user = user
    house.bind("bob", f"sip:bob@{OTHER}")
    alice, bob = house.peer(ALICE), house.peer(OTHER)
    house.send(alice, house.request("INVITE", BOB, extra=["Supported: histinfo"]))
    invite = bob.expect("INVITE")
    bob.answer(invite, 180, [("privacy", "history")])
    response = alice.expect(180)
    first = response.headers.elements("history-info")[0]
    assert (first == "<sip:anonymous@anonymous.invalid>;index=1") is hidden
    assert ("privacy" in response.headers) is not hidden


def heard_by_a_stranger(house: Any, status: int, *headers: tuple[str, str], **how: Any) -> list[str]:
    """Return the History-Info of the response that a stranger gets, who has called Bob."""
    house.admit.user = ""
    house.bind("bob", "sip:bob@192.0.2.10")
    alice, bob = house.peer(ALICE), house.peer("192.0.2.10")
    house.send(alice, house.request("INVITE", BOB, extra=("Supported: histinfo",), **how))
    bob.answer(bob.expect("INVITE"), status, headers)
    found: list[str] = alice.expect(status).headers.elements("history-info")
    return found


def test_where_our_users_are_is_nothing_for_strangers(house: Any) -> None:
    assert heard_by_a_stranger(house, 486) == [
        f"<{BOB}>;index=1",
        "<sip:anonymous@anonymous.invalid?Reason=SIP%3Bcause%3D486>;index=1.1;rc=1",
    ]


def test_what_strangers_knew_stays(house: Any) -> None:
    mine = "<sip:x@192.0.2.77>;index=1"
    house.admit.user = ""
    house.bind("bob", "sip:bob@192.0.2.10")
    alice, bob = house.peer(ALICE), house.peer("192.0.2.10")
    house.send(alice, house.request("INVITE", BOB, extra=(f"History-Info: {mine}, <{BOB}>;index=1.1;mp=1",)))
    bob.answer(bob.expect("INVITE"), 486)
    assert alice.expect(486).headers.elements("history-info")[:2] == [mine, f"<{BOB}>;index=1.1;mp=1"]


def test_contacts_of_our_users_are_in_our_domain(house: Any) -> None:
    """RFC 7044 section 10.1.2: hidden as their address is, whatever their host."""
    found = heard_by_a_stranger(house, 486, ("privacy", "history"), from_="<sip:carol@example.com>;tag=a")
    assert found == [
        "<sip:anonymous@anonymous.invalid>;index=1",
        "<sip:anonymous@anonymous.invalid?Reason=SIP%3Bcause%3D486>;index=1.1;rc=1",
    ]
    assert "192.0.2.10" not in "".join(found)


@pytest.mark.parametrize(
    ("source", "to", "kept"), [(ALICE, TRUSTED, 0), (TRUSTED, OTHER, 0), ("198.51.100.8", TRUSTED, 1)]
)
def test_the_forerunner_of_asserted_identities(house: Any, source: str, to: str, kept: int) -> None:
    sender, got = house.peer(source), house.peer(to)
    text = house.request("INVITE", f"sip:x@{to}", via=source, extra=("Remote-Party-ID: <sip:boss@example.com>",))
    house.send(sender, text)
    assert got.expect("INVITE").headers.names.count("remote-party-id") == kept
