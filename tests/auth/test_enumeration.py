"""Strangers learn nothing of who exists (svwar): the same bytes but for nonces, the same steps, the same comparison."""

from __future__ import annotations

import hmac
import re
from typing import Any

import pytest

from twisted_sip.auth import authenticator as module
from twisted_sip.auth.authenticator import Challenge
from twisted_sip.message.builders import response_to

REALM = "example.com"
SOURCE = "192.0.2.7"


def wire(world: Any, request: Any, user: str) -> bytes:
    outcome = world.authenticator.check(request, SOURCE, REALM, False, user)
    headers = outcome.headers if isinstance(outcome, Challenge) else ()
    reason = "" if isinstance(outcome, Challenge) else outcome.reason
    response = response_to(request, outcome.status, reason, headers, to_tag="t")
    return re.sub(rb'nonce="[0-9a-f]{60}"', b'nonce="N"', response.to_bytes())


@pytest.mark.parametrize("algorithms", [(), ("SHA-256", "MD5")])
def test_known_and_unknown_users_get_the_same_bytes(make_world: Any, algorithms: tuple[str, ...]) -> None:
    world = make_world(algorithms=algorithms)
    request = world.request()
    assert wire(world, request, "alice") == wire(world, request, "nobody") == wire(world, request, "")
    # Wrong answers, round by round up to the ban and into it.
    for number in range(12):
        seen = {
            user: wire(world, world.request(world.answer(user=user, password=f"p{number}")), user).replace(
                user.encode(), b"USER"
            )
            for user in ("alice", "nobody")
        }
        assert seen["alice"] == seen["nobody"].replace(b"sip:alice@", b"sip:USER@"), number


def test_known_and_unknown_users_take_the_same_steps(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []

    def digest(*args: Any, **kwargs: Any) -> str:
        steps.append("digest")
        return original(*args, **kwargs)

    def compare(one: Any, other: Any) -> bool:
        steps.append(f"compare {len(one)} {len(other)}")
        return compare_digest(one, other)

    original, compare_digest = module.digest_response, hmac.compare_digest
    monkeypatch.setattr(module, "digest_response", digest)
    monkeypatch.setattr(module.hmac, "compare_digest", compare)
    taken = []
    for user in ("alice", "nobody"):
        answer = world.answer(user=user, password="wrong")
        steps.clear()
        world.check(answer)
        taken.append(steps.copy())
    # The first comparison is that of the nonce's MAC.
    assert taken[0] == taken[1] == ["compare 32 32", "digest", "compare 32 32"]


def test_the_dummy_cannot_be_answered(world: Any) -> None:
    """Even who knew what stands in for the HA1 of an unknown user is not let in."""
    challenge = world.challenge(user="nobody")
    answer = world.answer(challenge, user="nobody")
    given = re.search(r'response="([0-9a-f]{32})"', answer)
    assert given is not None
    expected = module.digest_response(
        world.authenticator._dummies["MD5"],
        "REGISTER",
        "sip:example.com",
        challenge.nonce,
        qop="auth",
        nc="00000001",
        cnonce="c",
    )
    assert isinstance(world.check(answer.replace(given[1], expected)), Challenge)
    assert len(world.authenticator.nonces) == 0
