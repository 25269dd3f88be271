"""Nobody speaks as another: who has proved to be alice is alice, whatever stands in From, P-Asserted-Identity,
P-Preferred-Identity or Contact (RFC 3261 sections 10.3 and 22, RFC 3325)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from houses import ALICE, BOB, CALLEE, KINDS, STRANGER, House

from twisted_sip.message.methods import METHODS

ASKED = tuple(method for method in (*METHODS, "UNHEARDOF") if method not in ("ACK", "CANCEL"))
CAROL = "sip:carol@example.com"
#: Bob's phone is trusted: it is told who calls (RFC 3325).
TRUSTING = f'[proxy]\ntrusted = ["{CALLEE}/32"]\n'
KIND = pytest.mark.parametrize("kind", KINDS)
METHOD = pytest.mark.parametrize("method", ASKED)
Houses = Callable[[str], House]


@pytest.fixture(scope="module")
def trusting(make_house: Callable[..., House]) -> House:
    house = make_house("proxy", TRUSTING)
    house.register_bob()
    return house


def refused(house: House, text: str, user: str = "alice") -> None:
    """With the good credentials of *user* the answer is 403; nothing goes on."""
    before = len(house.callee.requests), house.server.counts()["bindings"]
    assert [answer.status for answer in house.prove(text, user)] == [403]
    assert (len(house.callee.requests), house.server.counts()["bindings"]) == before
    house.sane()


@KIND
@METHOD
def test_from(houses: Houses, kind: str, method: str) -> None:
    house = houses(kind)
    for sender in (CAROL, "sips:carol@example.com", "sip:CAROL@example.com", "sip:%63arol@example.com:5060"):
        for uri in ("sip:example.com", BOB):
            refused(house, house.text_of(method, uri, sender=sender))
    if method != "REGISTER":
        # Not in a dialog either, with or without the tags of one.
        refused(house, house.text_of(method, BOB, sender=CAROL, to_tag="x"))
    # Names that look like hers are other names.
    for sender in ("sip:Alice@example.com", "sip:alice%00@example.com", "sip:alice%20@example.com", "sip:@example.com"):
        text = house.text_of(method, BOB, sender=sender)
        answers = house.ask(text)
        assert answers[0].status in (400, 401, 407)
        if answers[0].status != 400:
            refused(house, house.text_of(method, BOB, sender=sender))


@KIND
def test_to_of_a_register(houses: Houses, kind: str) -> None:
    house = houses(kind)
    for sender in (ALICE, CAROL, STRANGER):
        for lines in ((), ("Expires: 0",), ("P-Asserted-Identity: <sip:carol@example.com>",)):
            refused(house, house.text_of("REGISTER", "sip:example.com", *lines, sender=sender, to=CAROL))


@METHOD
def test_an_asserted_identity_of_a_user_is_taken_out(trusting: House, method: str) -> None:
    if method == "REGISTER":
        return
    for name in ("P-Asserted-Identity", "P-Preferred-Identity"):
        for lines in (
            (f"{name}: <{CAROL}>",),
            (f'{name}: "Carol" <{CAROL}>, <tel:+4930123>',),
            (f"{name}: <{CAROL}>", f"{name}: <{ALICE}>"),
            (f"{name.upper()}: {CAROL}", f"P-Asserted-Identity: <{CAROL}>"),
            (f"{name} : <{CAROL}>", f"p-preferred-identity: <{CAROL}>"),
        ):
            before = len(trusting.callee.requests)
            text = trusting.text_of(method, BOB, *lines)
            assert [answer.status for answer in trusting.prove(text) if answer.cseq.method == method][:1] == [200]
            (request,) = [one for one in trusting.callee.requests[before:] if one.method == method][:1]
            found = request.headers.elements("p-asserted-identity")
            assert found == [f"<{ALICE}>"], (lines, found)
            assert not request.headers.all("p-preferred-identity")
            assert "carol" not in request.to_bytes().decode()
    trusting.sane()


@METHOD
def test_an_asserted_identity_of_a_stranger_is_taken_out(trusting: House, method: str) -> None:
    if method == "REGISTER":
        return
    for sender in (STRANGER, "sip:anonymous@anonymous.invalid"):
        for name in ("P-Asserted-Identity", "P-Preferred-Identity"):
            before = len(trusting.callee.requests)
            text = trusting.text_of(method, BOB, f"{name}: <sip:friend@elsewhere.example>", sender=sender)
            assert 200 in [answer.status for answer in trusting.ask(text)]
            for request in trusting.callee.requests[before:]:
                assert not request.headers.all("p-asserted-identity")
                assert not request.headers.all("p-preferred-identity")
            # As one of us it does not go without a password.
            text = trusting.text_of(method, BOB, f"P-Preferred-Identity: <{CAROL}>", sender=sender)
            if sender != STRANGER:
                assert [answer.status for answer in trusting.ask(text)] == [407]


@KIND
@METHOD
def test_a_preferred_identity_beside_an_anonymous_from(houses: Houses, kind: str, method: str) -> None:
    if method != "REGISTER":
        anonymous = "sip:anonymous@anonymous.invalid"
        house = houses(kind)
        refused(house, house.text_of(method, BOB, f"P-Preferred-Identity: <{CAROL}>", sender=anonymous))


@METHOD
def test_who_is_anonymous_is_vouched_for_as_who_has_proved_it(trusting: House, method: str) -> None:
    if method == "REGISTER":
        return
    before = len(trusting.callee.requests)
    lines = (f"P-Preferred-Identity: <{ALICE}>", f"P-Asserted-Identity: <{CAROL}>")
    text = trusting.text_of(method, BOB, *lines, sender="sip:anonymous@anonymous.invalid")
    assert trusting.prove(text)
    for request in trusting.callee.requests[before:]:
        if request.method == method:
            assert request.headers.elements("p-asserted-identity") == [f"<{ALICE}>"]


@KIND
def test_contact(houses: Houses, kind: str) -> None:
    house = houses(kind)
    location = house.server.location
    assert location is not None
    carols = house.text_of("REGISTER", "sip:example.com", sender=CAROL).replace("sip:client@", "sip:carol@")
    assert [answer.status for answer in house.prove(carols, "carol")] == [200]
    before = [binding for binding in location.bindings() if binding.aor == CAROL]
    assert len(before) == 1
    for contact in ("<sip:carol@192.0.2.11>", f"<{CAROL}>", "*", '<sip:carol@192.0.2.11>;+sip.instance="<urn:uuid:1>"'):
        lines = ("Expires: 0",) if contact == "*" else ()
        text = house.text_of("REGISTER", "sip:example.com", *lines)
        text = text.replace("<sip:client@192.0.2.11>", contact)
        (answer,) = house.prove(text)
        # A contact that is a user of ours would send her calls in circles.
        assert answer.status == (403 if CAROL in contact else 200)
        # Alice's contacts are alice's, whatever they are called.
        assert "sip:carol@192.0.2.11" not in "".join(answer.headers.all("contact")) or contact != "*"
        assert [binding for binding in location.bindings() if binding.aor == CAROL] == before


@METHOD
def test_a_contact_is_no_identity(trusting: House, method: str) -> None:
    if method == "REGISTER":
        return
    before = len(trusting.callee.requests)
    text = trusting.text_of(method, BOB).replace("<sip:client@192.0.2.11>", f'"Carol" <{CAROL}>')
    assert 200 in [answer.status for answer in trusting.prove(text)]
    (request,) = [one for one in trusting.callee.requests[before:] if one.method == method][:1]
    assert request.headers.elements("p-asserted-identity") == [f"<{ALICE}>"]
    assert request.from_.uri.text == ALICE
    # Her credentials prove no more because her name stands there.
    text = trusting.text_of(method, BOB, sender=CAROL)
    refused(trusting, text)


def test_users_publish_and_watch_as_themselves(houses: Houses) -> None:
    house = houses("presence")
    for lines in (
        ("P-Asserted-Identity: <sip:carol@example.com>",),
        ("P-Preferred-Identity: <sip:carol@example.com>",),
    ):
        text = house.text_of("PUBLISH", CAROL, "Event: presence", "Expires: 300", *lines)
        refused(house, text)
    # What waits for carol is alice's business in no way.
    for event in ("presence.winfo", "reg", "message-summary"):
        text = house.text_of(
            "SUBSCRIBE", CAROL, f"Event: {event}", "Expires: 300", "P-Asserted-Identity: <sip:carol@example.com>"
        )
        assert [answer.status for answer in house.prove(text)] == [403], event
