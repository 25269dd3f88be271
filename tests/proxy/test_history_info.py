"""History-Info (RFC 7044) and Diversion (RFC 5806) of requests that the proxy forwards, and in responses."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.interfaces.call_policy import CallPolicy
from twisted_sip.proxy.policy_router import PolicyRouter
from twisted_sip.proxy.settings import ProxySettings
from twisted_sip.proxy.static_routes import StaticRoute, StaticRouter
from twisted_sip.storage.call_policy_memory import MemoryCallPolicyStore

BOB, CAROL = "sip:bob@example.com", "sip:carol@example.com"
ASKED = "Supported: 100rel, histinfo"


def scene(make_house: Any, *routes: StaticRoute, **settings: Any) -> Any:
    house = make_house(settings=ProxySettings(**settings), routers=[StaticRouter(routes)])
    house.policies = MemoryCallPolicyStore()
    house.proxy.routers.append(
        PolicyRouter(house.policies, house.element.domains.is_local_uri, lambda: 43200.0, lambda: house.proxy)
    )
    house.bind("bob", "sip:bob@192.0.2.10")
    house.bind("carol", "sip:carol@192.0.2.11")
    house.alice, house.bob, house.carol = (house.peer(f"192.0.2.{number}") for number in (2, 10, 11))
    return house


@pytest.fixture
def house(make_house: Any) -> Any:
    return scene(make_house)


def call(house: Any, *extra: str, to: str = BOB) -> str:
    text: str = house.request("INVITE", to, extra=extra)
    house.send(house.alice, text)
    return text


def history(message: Any) -> list[str]:
    return list(message.headers.elements("history-info"))


def test_to_a_contact(house: Any) -> None:
    """Section 9.2: the Request-URI, written for the one who has sent it, and the new one."""
    call(house, ASKED)
    invite = house.bob.expect("INVITE")
    assert history(invite) == [f"<{BOB}>;index=1", "<sip:bob@192.0.2.10>;index=1.1;rc=1"]
    house.bob.answer(invite, 180)
    assert history(house.alice.expect(180)) == history(invite)
    house.bob.answer(invite, 200, [("contact", "<sip:bob@192.0.2.10>")])
    assert history(house.alice.expect(200)) == history(invite)


def test_how_devices_are_woken_is_left_out(make_house: Any) -> None:
    """RFC 8599 section 13; what they redirect is theirs all the same."""
    house = scene(make_house, recurse=True)
    house.unbind()
    house.bind("bob", "sip:bob@192.0.2.10;pn-provider=apns;pn-prid=secret;pn-param=app")
    call(house, ASKED)
    invite = house.bob.expect("INVITE")
    assert history(invite) == [f"<{BOB}>;index=1", "<sip:bob@192.0.2.10>;index=1.1;rc=1"]
    house.bob.answer(invite, 302, [("contact", "<sip:x@192.0.2.11>;mp=1")])
    found = history(house.carol.expect("INVITE"))
    assert found[-1] == "<sip:x@192.0.2.11>;index=1.2;mp=1.1" and "secret" not in str(found)


def test_where_it_begins_elsewhere(house: Any) -> None:
    call(house, f"History-Info: <sip:old@example.net>;index=1, <{BOB}>;index=1.3;mp=1")
    invite = house.bob.expect("INVITE")
    assert history(invite)[-1] == "<sip:bob@192.0.2.10>;index=1.3.1;rc=1.3"
    assert len(history(invite)) == 3


def test_a_gap(house: Any) -> None:
    """Section 10.3 rule 6."""
    call(house, "History-Info: <sip:old@example.net>;index=1.1.2")
    assert history(house.bob.expect("INVITE"))[1:] == [
        f"<{BOB}>;index=1.1.2.0",
        "<sip:bob@192.0.2.10>;index=1.1.2.0.1;rc=1.1.2.0",
    ]


@pytest.mark.parametrize(
    ("extra", "mode", "written", "answered"),
    [
        ([], "asked", False, False),
        (["Supported: timer"], "asked", False, False),
        (["Supported: timer", "Supported: Histinfo"], "asked", True, True),
        ([ASKED], "never", False, False),
        ([], "always", True, False),
        ([ASKED], "always", True, True),
        (["History-Info: <sip:b"], "always", False, False),
        (["History-Info: " + ", ".join(f"<sip:a@b>;index=1.{n}" for n in range(60))], "always", False, False),
    ],
)
def test_when_it_is_written(make_house: Any, extra: list[str], mode: str, written: bool, answered: bool) -> None:
    """Section 9.4: nobody gets it in a response who has not asked."""
    house = scene(make_house, history_info=mode)
    call(house, *extra)
    invite = house.bob.expect("INVITE")
    assert any("index=1.1;rc=1" in each for each in history(invite)) is written
    house.bob.answer(invite, 200, [("contact", "<sip:bob@192.0.2.10>")])
    assert bool(history(house.alice.expect(200))) is answered


def test_not_within_dialogs(house: Any) -> None:
    house.admit.user = "sip:alice@example.com"
    text = house.request("INFO", "sip:bob@192.0.2.10", to=f"<{BOB}>;tag=b", extra=[ASKED])
    house.send(house.alice, text)
    info = house.bob.expect("INFO")
    assert history(info) == []
    house.bob.answer(info, 200)


def test_forks_and_their_failures(house: Any) -> None:
    """Sections 9.3, 10.2 and 10.3 rule 5: of forks that are under way nothing is known."""
    house.unbind()
    for number, q in ((10, 1000), (11, 1000), (12, 500)):
        house.bind("bob", f"sip:bob@192.0.2.{number}", q=q, registered_at=float(-number))
    last = house.peer("192.0.2.12")
    call(house, ASKED)
    one, two = house.bob.expect("INVITE"), house.carol.expect("INVITE")
    assert history(one)[1:] == ["<sip:bob@192.0.2.10>;index=1.1;rc=1"]
    assert history(two)[1:] == ["<sip:bob@192.0.2.11>;index=1.2;rc=1"]
    house.carol.answer(two, 486, [("reason", 'Q.850;cause=17;text="Busy, now"')])
    house.network.advance(1)
    house.bob.answer(one, 404)
    three = last.expect("INVITE")
    expected = [
        f"<{BOB}>;index=1",
        "<sip:bob@192.0.2.10?Reason=SIP%3Bcause%3D404>;index=1.1;rc=1",
        "<sip:bob@192.0.2.11?Reason=SIP%3Bcause%3D486&Reason=Q.850%3Bcause%3D17%3Btext%3D%22Busy%2C%20now%22>"
        ";index=1.2;rc=1",
        "<sip:bob@192.0.2.12>;index=1.3;rc=1",
    ]
    assert history(three) == expected
    last.answer(three, 200, [("contact", "<sip:bob@192.0.2.12>")])
    assert history(house.alice.expect(200)) == expected


def test_nobody_answers(house: Any) -> None:
    text = call(house, ASKED)
    house.bob.expect("INVITE")
    response = house.alice.expect(408, within=40.0)
    assert history(response)[1] == "<sip:bob@192.0.2.10?Reason=SIP%3Bcause%3D408>;index=1.1;rc=1"
    house.send(house.alice, house.ack_for(text, response))


def test_forwarded_by_a_user(house: Any) -> None:
    """Section 7: the user within this server has an entry too."""
    house.policies.set(BOB, CallPolicy(forward_busy=CAROL))
    call(house, ASKED)
    invite = house.bob.expect("INVITE")
    house.bob.answer(invite, 180)
    house.alice.expect(180)
    house.bob.answer(invite, 486)
    assert history(house.alice.expect(181))[1] == "<sip:bob@192.0.2.10?Reason=SIP%3Bcause%3D486>;index=1.1;rc=1"
    assert history(house.carol.expect("INVITE"))[2:] == [
        f"<{CAROL}>;index=1.2;mp=1",
        "<sip:carol@192.0.2.11>;index=1.3;rc=1.2",
    ]


def test_forwarded_elsewhere(house: Any) -> None:
    house.policies.set(BOB, CallPolicy(forward_always="sip:carol@192.0.2.11"))
    call(house, ASKED)
    assert history(house.carol.expect("INVITE")) == [f"<{BOB}>;index=1", "<sip:carol@192.0.2.11>;index=1.1;mp=1"]


def test_a_route(make_house: Any) -> None:
    house = scene(make_house, StaticRoute(user="desk", to=(CAROL,)), StaticRoute(user="out", to=("sip:x@192.0.2.10",)))
    call(house, ASKED, to="sip:desk@example.com")
    assert history(house.carol.expect("INVITE"))[1:] == [
        f"<{CAROL}>;index=1.1;mp=1",
        "<sip:carol@192.0.2.11>;index=1.2;rc=1.1",
    ]
    text = house.request("INVITE", "sip:out@example.com", branch="two", call_id="two", extra=[ASKED])
    house.send(house.alice, text)
    assert history(house.bob.expect("INVITE"))[1:] == ["<sip:x@192.0.2.10>;index=1.1;mp=1"]


def test_telephone_numbers(make_house: Any) -> None:
    """Section 9.1: as SIP URIs."""
    house = scene(make_house, StaticRoute(user="+1*", to=("sip:{user}@192.0.2.10",)))
    house.admit.user = "sip:alice@example.com"
    call(house, ASKED, to="tel:+15551234")
    assert history(house.bob.expect("INVITE"))[0] == "<sip:+15551234@192.0.2.1;user=phone>;index=1"


def test_no_change(house: Any) -> None:
    house.admit.user = "sip:alice@example.com"
    call(house, ASKED, to="sip:bob@192.0.2.10")
    assert history(house.bob.expect("INVITE"))[1] == "<sip:bob@192.0.2.10>;index=1.1;np=1"


def test_redirected(make_house: Any) -> None:
    """Section 10.4: only who redirects knows how the target came about."""
    house = scene(make_house, recurse=True)
    call(house, ASKED)
    house.bob.answer(house.bob.expect("INVITE"), 302, [("contact", "<sip:x@192.0.2.11>;mp=1.1")])
    invite = house.carol.expect("INVITE")
    assert history(invite)[1:] == [
        "<sip:bob@192.0.2.10?Reason=SIP%3Bcause%3D302>;index=1.1;rc=1",
        "<sip:x@192.0.2.11>;index=1.2;mp=1.1",
    ]
    house.carol.answer(invite, 302, [("contact", "<sip:y@192.0.2.12>")])
    last = house.peer("192.0.2.12").expect("INVITE")
    assert history(last)[-1] == "<sip:y@192.0.2.12>;index=1.3"


def test_what_others_have_added(house: Any) -> None:
    """Section 9.3 step 3."""
    call(house, ASKED)
    invite = house.bob.expect("INVITE")
    theirs = [*history(invite), "<sip:bob@192.0.2.77>;index=1.1.1;rc=1.1"]
    house.bob.answer(invite, 183, [("history-info", ", ".join(theirs))])
    assert history(house.alice.expect(183)) == theirs
    house.bob.answer(invite, 180, [("history-info", "<sip:b")])
    assert history(house.alice.expect(180)) == theirs


def test_asked_to_redirect(house: Any) -> None:
    """Section 8."""
    house.admit.user = "sip:alice@example.com"
    text = call(house, ASKED, "Request-Disposition: redirect")
    response = house.alice.expect(302)
    assert response.headers.all("contact") == ["<sip:bob@192.0.2.10>;rc=1"]
    assert history(response) == [f"<{BOB}>;index=1"]
    house.send(house.alice, house.ack_for(text, response))


# -- Diversion ------------------------------------------------------------------------------


@pytest.mark.parametrize("written", [True, False])
def test_who_has_diverted_it(make_house: Any, written: bool) -> None:
    """RFC 5806 section 5.4: the latest first."""
    house = scene(make_house, diversion=written, trusted=("192.0.2.2",))
    house.policies.set(BOB, CallPolicy(forward_always=CAROL))
    house.policies.set(CAROL, CallPolicy(forward_always="sip:dave@192.0.2.12"))
    call(house, "Diversion: <sip:old@example.net>;reason=away")
    invite = house.peer("192.0.2.12").expect("INVITE")
    ours = [f"<{CAROL}>;reason=unconditional;counter=1", f"<{BOB}>;reason=unconditional;counter=1"]
    assert invite.headers.elements("diversion") == [*(ours if written else []), "<sip:old@example.net>;reason=away"]


def test_contacts_and_routes_divert_nobody(make_house: Any) -> None:
    house = scene(make_house, StaticRoute(user="desk", to=(CAROL,)), diversion=True)
    call(house)
    assert "diversion" not in house.bob.expect("INVITE").headers
    house.send(house.alice, house.request("INVITE", "sip:desk@example.com", branch="two", call_id="two"))
    assert "diversion" not in house.carol.expect("INVITE").headers


def test_what_came_with_a_redirection_goes_on(make_house: Any) -> None:
    """RFC 5806 section 5.2."""
    house = scene(make_house, recurse=True)
    call(house)
    moved = [("contact", "<sip:x@192.0.2.11>"), ("diversion", "<sip:bob@example.com>;reason=deflection")]
    house.bob.answer(house.bob.expect("INVITE"), 302, moved)
    assert house.carol.expect("INVITE").headers.all("diversion") == ["<sip:bob@example.com>;reason=deflection"]


FORGED = "<sip:boss@example.com>;reason=unconditional"
OLD = "History-Info: <sip:boss@example.com>;index=1, <sip:bob@example.com>;index=1.1;mp=1"


@pytest.mark.parametrize("mode", ["asked", "always", "never"])
@pytest.mark.parametrize("trusted", [False, True])
def test_users_tell_nobody_whom_a_call_was_for(make_house: Any, mode: str, trusted: bool) -> None:
    """Carriers believe it; an exchange that is trusted may."""
    house = scene(make_house, history_info=mode, diversion=True, trusted=("192.0.2.2",) if trusted else ())
    house.admit.user = "sip:alice@example.net"
    call(house, OLD, f"Diversion: {FORGED}")
    invite = house.bob.expect("INVITE")
    assert invite.headers.elements("diversion") == ([FORGED] if trusted else [])
    assert ("boss" in str(history(invite))) is trusted
    if mode != "never" and not trusted:
        assert history(invite) == [f"<{BOB}>;index=1", "<sip:bob@192.0.2.10>;index=1.1;rc=1"]
    # Nor does one whom the call is forwarded by lose what is written of it.
    house.policies.set(CAROL, CallPolicy(forward_always="sip:dave@192.0.2.12"))
    house.send(
        house.alice,
        house.request("INVITE", CAROL, branch="two", call_id="two", extra=[f"Diversion: {FORGED}"]),
    )
    found = house.peer("192.0.2.12").expect("INVITE").headers.elements("diversion")
    ours = f"<{CAROL}>;reason=unconditional;counter=1"
    assert found == ([ours, FORGED] if trusted else [ours])


def test_strangers_tell_our_users_alone(make_house: Any) -> None:
    house = scene(make_house, StaticRoute(user="desk", to=("sip:x@192.0.2.12",), strangers=True))
    call(house, OLD, f"Diversion: {FORGED}")
    invite = house.bob.expect("INVITE")
    assert invite.headers.elements("diversion") == [FORGED] and "boss" in history(invite)[0]
    house.send(
        house.alice,
        house.request("INVITE", "sip:desk@example.com", branch="two", call_id="two", extra=[f"Diversion: {FORGED}"]),
    )
    assert "diversion" not in house.peer("192.0.2.12").expect("INVITE").headers


@pytest.mark.parametrize("trusted", [False, True])
def test_redirections_in_the_name_of_others(make_house: Any, trusted: bool) -> None:
    """A device speaks for its user, a trusted server for anybody."""
    house = scene(make_house, recurse=True, trusted=("192.0.2.10",) if trusted else ())
    call(house)
    moved = [("contact", "<sip:x@192.0.2.11>"), ("diversion", FORGED), ("diversion", "<tel:+1>, <sip:")]
    house.bob.answer(house.bob.expect("INVITE"), 302, moved)
    found = house.carol.expect("INVITE").headers.all("diversion")
    assert found == ([FORGED, "<tel:+1>, <sip:"] if trusted else [])
