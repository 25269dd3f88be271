"""What admission tells of why a request is let in or not: words, and the key of the configuration."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.element.test_admission import ANONYMOUS, ELSEWHERE, FOREIGN, World, message

ALICE = "sip:alice@example.com"


def why(incoming: Any) -> list[tuple[str, str]]:
    """Return words and key of each note."""
    told = []
    for room, text, *rest in incoming.notes:
        assert room == "admission"
        key, first, second = (*rest, "", "", "")[:3]
        told.append((text.replace("{0}", first).replace("{1}", second), key))
    return told


def test_who_proves_it_is_let_in() -> None:
    world = World()
    asked = world.run(message())
    assert why(asked) == [(f"407: {ALICE} has to prove it, for realm example.com", "auth.required")]
    assert why(world.signed(message())) == [(f"{ALICE} has proved to be the sender", "auth.required")]


def test_registering_is_asked_with_401() -> None:
    asked = World().run(message("REGISTER", "sip:example.com", to=f"<{ALICE}>"))
    assert why(asked) == [(f"401: {ALICE} has to prove it, for realm example.com", "auth.required")]


def test_another_user() -> None:
    incoming = World().signed(message(from_="<sip:bob@example.com>;tag=f"))
    assert why(incoming) == [("403: digest user alice may not speak as sip:bob@example.com", "")]


def test_without_authentication() -> None:
    world = World(required=False)
    assert why(world.run(message())) == [(f"taken for {ALICE}: nobody is asked for a password", "auth.required")]
    routed = world.run(message(fields=[("Route", "<sip:elsewhere.example.net;lr>")]))
    assert why(routed) == [(f"403: its Route leads on, and {ALICE} has proved nothing", "auth.required")]


def test_strangers() -> None:
    world = World()
    let_in = ("from somebody elsewhere, for one of our users", "auth.foreign_callers")
    assert why(world.run(message(from_=FOREIGN))) == [let_in]
    assert why(world.run(message(from_=ANONYMOUS))) == [let_in]
    nowhere = world.run(message(uri=ELSEWHERE, from_=FOREIGN, to=f"<{ELSEWHERE}>"))
    assert why(nowhere) == [(f"403: neither the sender is one of our users nor {ELSEWHERE}", "server.domains")]
    kept_out = World(foreign_callers=False).run(message(from_=FOREIGN))
    assert why(kept_out) == [("403: only our users may send, not those elsewhere", "auth.foreign_callers")]


def test_a_banned_source() -> None:
    world = World(ban_users=1, ban_failures=1)
    refused = answered(world, {})
    assert why(refused) == [("403: wrong passwords for too many users have come from there", "auth.ban_users")]
    assert why(answered(world, {})) == why(refused)
    stranger = world.run(message(from_=FOREIGN))
    assert why(stranger) == [("403: 198.51.100.7 is banned", "auth.ban_users")]


def test_a_banned_user() -> None:
    world = World(ban_failures=1)
    refused = answered(world, {})
    assert why(refused) == [(f"403: wrong passwords for {ALICE} have come too often from there", "auth.ban_failures")]
    assert why(answered(world, {"response": "01"})) == why(refused)


@pytest.mark.parametrize(
    ("changes", "text", "key"),
    [
        ({}, "the password of {} is wrong", "auth.required"),
        ({"algorithm": "SHA-256"}, "{} has answered with an algorithm that is not offered", "auth.algorithms"),
        ({"qop": "", "nc": "", "cnonce": ""}, "the password of {} is wrong", "auth.required"),
        ({"qop": "auth-int"}, "the answer of {} protects what was not asked for (qop)", "auth.qop"),
        ({"username": "x"}, "there is no user x, who would speak as {}", "storage.directory"),
        ({"userhash": "true"}, "the digest user name for {} is hashed, and cannot be looked up", ""),
        ({"nonce": "x"}, "{} is asked again, the nonce was not one that is good now", "auth.nonce_lifetime"),
        ({"realm": "x"}, "{} has to prove it, its credentials are for another realm", "auth.realm"),
    ],
)
def test_answers_that_are_not_good(changes: dict[str, str], text: str, key: str) -> None:
    world = World()
    assert why(answered(world, changes)) == [(f"407: {text.format(ALICE)}", key)]


def test_who_has_to_send_a_qop() -> None:
    incoming = answered(World(require_qop=True), {"qop": "", "nc": "", "cnonce": ""})
    assert why(incoming) == [(f"407: the answer of {ALICE} has no qop", "auth.require_qop")]


@pytest.mark.parametrize("url", ["", "https://users.example.com"])
def test_nobody_is_told_from_a_wrong_password_but_to_those_who_run_the_server(url: str) -> None:
    world, key = World(credentials_url=url), "auth.credentials_url" if url else "storage.directory"
    nobody = "sip:nobody@example.com"
    unknown = answered(world, {"username": "nobody"}, f"<{nobody}>;tag=f")
    wrong = answered(world, {})
    assert why(unknown) == [(f"407: there is no user {nobody}", key)]
    assert why(wrong) == [(f"407: the password of {ALICE} is wrong", key if url else "auth.required")]
    told = [re.sub('nonce="[^"]*"', "", str(incoming.answers)) for incoming in (unknown, wrong)]
    assert told[0] == told[1]


def test_who_registers_for_another() -> None:
    incoming = World().signed(message("REGISTER", "sip:example.com", to="<sip:bob@example.com>"))
    assert why(incoming) == [("403: digest user alice may not speak as sip:bob@example.com", "registrar.third_party")]


def test_another_digest_uri() -> None:
    incoming = answered(World(), {"uri": "sip:else@example.com"})
    assert why(incoming) == [("400: Digest uri and Request-URI differ", "")]


def answered(world: World, changes: dict[str, str], from_: str = f"<{ALICE}>;tag=f") -> Any:
    """Answer a challenge, with *changes* in what is right but for the response."""
    challenge = world.run(message(from_=from_))
    if not challenge.answers[0][2]:
        return challenge
    nonce = challenge.answers[0][2][0][1].partition('nonce="')[2].partition('"')[0]
    values = {
        "username": "alice", "realm": "example.com", "nonce": nonce, "uri": "sip:bob@example.com", "response": "00",
        "algorithm": "MD5", "qop": "auth", "nc": "00000001", "cnonce": "c", **changes,
    }  # fmt: skip
    bare = ("algorithm", "qop", "nc", "userhash")
    given = [f"{name}={value}" if name in bare else f'{name}="{value}"' for name, value in values.items() if value]
    return world.run(message(from_=from_, fields=[("Proxy-Authorization", f"Digest {', '.join(given)}")]))


def test_dialogs() -> None:
    world = World()
    to = "<sip:bob@example.com>;tag=t"
    token = world.run(message("BYE", to=to, from_=FOREIGN), ["sip:wrong@example.com;lr"])
    assert why(token) == [("481: the token in its Route is not of this dialog", "")]
    none = world.run(message("BYE", ELSEWHERE, to=to, from_=FOREIGN))
    text = f"403: it brings no token of a dialog, and {ELSEWHERE} is none of our users"
    assert why(none) == [(text, "server.domains")]
    ack = world.run(message("ACK", ELSEWHERE, to=to, from_=FOREIGN))
    assert why(ack) == [("dropped: an ACK that brings no token of a dialog and leads elsewhere", "server.domains")]
