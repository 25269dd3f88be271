"""The server's side: challenges, right and wrong answers, stale nonces, replay, algorithms."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twisted_sip.auth.authenticator import Accepted, Challenge, Refused
from twisted_sip.auth.digest import ha1
from twisted_sip.auth.settings import AuthSettings
from twisted_sip.errors import StoreError
from twisted_sip.interfaces.credentials import Credential
from twisted_sip.message.auth_params import Challenge as DigestChallenge

REALM = "example.com"
SOURCE = "192.0.2.7"


def challenged(outcome: Any) -> DigestChallenge:
    assert isinstance(outcome, Challenge), outcome
    return DigestChallenge.parse(outcome.headers[0][1])


def test_without_credentials_a_challenge(world: Any) -> None:
    outcome = world.check()
    assert outcome.status == 401
    [(name, text)] = outcome.headers
    assert name == "WWW-Authenticate"
    challenge = DigestChallenge.parse(text)
    assert (challenge.realm, challenge.algorithm, challenge.qop, challenge.stale) == (REALM, "MD5", ("auth",), False)
    assert not outcome.stale


def test_as_proxy(world: Any) -> None:
    outcome = world.check(proxy=True)
    assert outcome.status == 407
    assert outcome.headers[0][0] == "Proxy-Authenticate"
    answer = world.answer(DigestChallenge.parse(outcome.headers[0][1]))
    assert world.check(answer, proxy=True) == Accepted("alice")
    # Authorization is for a UAS, Proxy-Authorization for a proxy (RFC 3261 section 22.3).
    assert isinstance(world.check(world.answer(), proxy=False, method="REGISTER"), Accepted)
    request = world.request(world.answer(), proxy=True)
    assert isinstance(world.authenticator.check(request, SOURCE, REALM, False, "alice"), Challenge)


def test_the_right_answer(world: Any) -> None:
    assert world.check(world.answer()) == Accepted("alice")
    assert len(world.authenticator.nonces) == 1


def test_a_wrong_answer_is_challenged_anew_and_counted(world: Any) -> None:
    first = world.challenge()
    again = challenged(world.check(world.answer(first, password="wrong")))
    assert not again.stale
    assert again.nonce != first.nonce
    assert len(world.authenticator.nonces) == 0
    assert len(world.authenticator.bans) == 2


def test_a_replay_is_stale(world: Any) -> None:
    answer = world.answer()
    assert isinstance(world.check(answer), Accepted)
    assert challenged(world.check(answer)).stale
    assert len(world.authenticator.bans.list()) == 0


def test_a_count_that_grows_is_good(world: Any) -> None:
    challenge = world.challenge()
    for nc in (1, 2, 4, 3):
        assert isinstance(world.check(world.answer(challenge, nc=nc)), Accepted)
    for nc in (1, 2, 3, 4):
        assert challenged(world.check(world.answer(challenge, nc=nc))).stale


def test_an_old_nonce_is_stale_and_the_next_is_good(world: Any) -> None:
    old = world.challenge()
    world.clock.advance(601)
    renewed = challenged(world.check(world.answer(old)))
    assert renewed.stale
    assert isinstance(world.check(world.answer(renewed)), Accepted)


def test_a_wrong_answer_to_an_old_nonce_counts(world: Any) -> None:
    old = world.challenge()
    world.clock.advance(601)
    assert not challenged(world.check(world.answer(old, password="wrong"))).stale
    assert len(world.authenticator.bans) > 0


def test_after_a_restart_nonces_are_stale(world: Any) -> None:
    answer = world.answer()
    world.authenticator = world.boot()
    renewed = challenged(world.check(answer))
    assert renewed.stale
    assert isinstance(world.check(world.answer(renewed)), Accepted)


def test_a_nonce_is_for_the_source_it_was_issued_to(world: Any) -> None:
    answer = world.answer()
    assert challenged(world.check(answer, source="198.51.100.1")).stale
    assert isinstance(world.check(answer), Accepted)


def test_a_nonce_of_ones_own_tells_nothing_and_counts_nothing(world: Any) -> None:
    """An oracle for guesses that cannot be counted: right and wrong answers look alike, and spoofing bans nobody."""
    made_up = DigestChallenge.digest(REALM, "0" * 60)
    world.store.asked.clear()
    for number in range(100):
        right = challenged(world.check(world.answer(made_up)))
        wrong = challenged(world.check(world.answer(made_up, password=f"wrong{number}")))
        assert right.stale and wrong.stale
    assert len(world.authenticator.bans) == 0
    assert world.authenticator.bans.list() == ()


def test_svcrack_ends_banned(world: Any) -> None:
    heard: list[Any] = []
    world.authenticator.bans.observe(heard.append)
    outcomes = [world.check(world.answer(password=f"guess{number}")) for number in range(20)]
    assert [type(outcome) for outcome in outcomes[:9]] == [Challenge] * 9
    assert outcomes[9:] == [Refused(403, limit="ban_failures")] * 11
    assert [(ban.source, ban.user, ban.failures) for ban in heard] == [(SOURCE, "alice", 10)]
    # The right password is of no use now; it is elsewhere, and after the ban.
    assert world.check(world.answer()) == Refused(403, limit="ban_failures")
    assert isinstance(world.check(world.answer(source="192.0.2.8"), source="192.0.2.8"), Accepted)
    world.clock.advance(601)
    assert isinstance(world.check(world.answer()), Accepted)


def test_it_tells_an_unknown_user_from_a_wrong_password_to_us_alone(world: Any) -> None:
    unknown = world.check(world.answer(user="nobody"))
    wrong = world.check(world.answer(password="x"))
    assert [(each.wrong, each.known) for each in (unknown, wrong)] == [("nobody", False), ("alice", True)]
    assert [each.status for each in (unknown, wrong)] == [401, 401]
    assert world.check().wrong is None


def test_a_source_with_many_users_ends_banned(world: Any) -> None:
    answer = world.answer()
    for number in range(20):
        world.check(world.answer(user=f"{1000 + number}", password="1234"))
    assert world.check() == Refused(403, limit="ban_users")
    assert world.check(answer) == Refused(403, limit="ban_users")
    world.authenticator.bans.lift(SOURCE)
    assert isinstance(world.check(), Challenge)


def test_clients_of_rfc_2069(world: Any) -> None:
    answer = world.answer(qop="")
    assert "nc=" not in answer
    assert isinstance(world.check(answer), Accepted)
    assert challenged(world.check(answer)).stale


def test_clients_of_rfc_2069_may_be_refused(make_world: Any) -> None:
    world = make_world(require_qop=True)
    assert not challenged(world.check(world.answer(qop=""))).stale
    assert isinstance(world.check(world.answer()), Accepted)


def test_qop_that_was_not_offered(world: Any) -> None:
    assert isinstance(world.check(world.answer(qop="auth-int")), Challenge)


def test_the_algorithm_of_the_user(world: Any) -> None:
    world.store.add("bob", "b", "SHA-256")
    challenge = world.challenge(user="bob")
    assert challenge.algorithm == "SHA-256"
    # No downgrade to what was not offered (RFC 8760 section 3).
    assert isinstance(world.check(world.answer(challenge, "bob", "b", algorithm="MD5")), Challenge)
    assert world.check(world.answer(challenge, "bob", "b")) == Accepted("bob")


def test_an_algorithm_that_is_not_known_here_is_not_offered(world: Any) -> None:
    world.store.add("bob", "b", "SHA-1")
    assert world.challenge(user="bob").algorithm == "MD5"


def test_several_algorithms_in_order_of_preference(make_world: Any) -> None:
    world = make_world(algorithms=("SHA-512-256", "SHA-256", "MD5"))
    outcome = world.check()
    challenges = [DigestChallenge.parse(text) for _, text in outcome.headers]
    assert [challenge.algorithm for challenge in challenges] == ["SHA-512-256", "SHA-256", "MD5"]
    assert world.store.asked == []
    for number, challenge in enumerate(challenges):
        assert isinstance(world.check(world.answer(challenge, nc=number + 1)), Accepted)
    assert isinstance(world.check(world.answer(algorithm="MD5-sess")), Challenge)


def test_algorithms_stand_once() -> None:
    with pytest.raises(ValueError, match="once"):
        AuthSettings(algorithms=("MD5", "MD5"))
    with pytest.raises(ValueError, match="SHA-1"):
        AuthSettings(algorithms=("SHA-1",))  # type: ignore[arg-type]


def test_a_credential_without_the_algorithm_fails(make_world: Any) -> None:
    world = make_world(algorithms=("SHA-256",))
    world.store.rows["bob", REALM] = Credential("bob", REALM, {"MD5": ha1("bob", REALM, "b")})
    assert isinstance(world.check(world.answer(user="bob", password="b")), Challenge)


def test_other_realms_and_schemes_are_no_credentials(world: Any) -> None:
    elsewhere = world.answer().replace('realm="example.com"', 'realm="example.net"')
    for value in (elsewhere, "Basic YWxpY2U6d29uZGVybGFuZA==", "NoOneKnowsThisScheme opaque-data=here"):
        assert not challenged(world.check(value)).stale
    assert isinstance(world.check(elsewhere, "Basic YQ==", world.answer()), Accepted)


def test_of_several_for_our_realm_the_one_with_our_nonce_counts(world: Any) -> None:
    foreign = world.answer(DigestChallenge.digest(REALM, "f" * 60))
    assert isinstance(world.check(foreign, world.answer()), Accepted)


def test_empty_values_before_the_first_challenge(world: Any) -> None:
    """RFC 8760 section 2.7: a client without a challenge may send empty parameters."""
    value = 'Digest username="alice", realm="example.com", nonce="", uri="sip:example.com", response=""'
    assert not challenged(world.check(value)).stale


def test_credentials_that_cannot_be_read(world: Any) -> None:
    outcome = world.check('Digest username="alice", realm="example.com"')
    assert outcome.status == 400
    assert "Authorization" in outcome.reason
    assert isinstance(world.check("Digest garbage", world.answer()), Accepted)


def test_credentials_without_a_digest_uri(world: Any) -> None:
    outcome = world.check('Digest username="alice", realm="example.com", nonce="n", response="0"')
    assert outcome == Refused(400, "Malformed Authorization header field: no uri")


def test_a_digest_for_another_target(world: Any) -> None:
    answer = world.answer(method="INVITE", uri="sip:bob@example.com")
    outcome = world.check(answer, method="INVITE", uri="sip:premium@example.com")
    assert outcome == Refused(400, "Digest uri and Request-URI differ")
    assert isinstance(world.check(answer, method="INVITE", uri="sip:bob@EXAMPLE.com:5060;transport=udp"), Accepted)


def test_hashed_and_endless_names_are_not_looked_up(world: Any) -> None:
    hashed = world.answer(userhash="true")
    endless = world.answer(user="a" * 300)
    world.store.asked.clear()
    assert not challenged(world.check(hashed)).stale
    assert not challenged(world.check(endless)).stale
    assert world.store.asked == []


def test_extended_user_names(world: Any) -> None:
    """RFC 7616 section 3.4: username* with percent escapes."""
    world.store.add("jäsøn", "secret")
    answer = world.answer(user="jäsøn", password="secret")
    answer = answer.replace('username="jäsøn"', "username*=UTF-8''j%C3%A4s%C3%B8n")
    assert world.check(answer) == Accepted("jäsøn")


def test_a_response_that_is_not_ascii(world: Any) -> None:
    answer = world.answer()
    start = answer.index('response="') + 10
    assert isinstance(world.check(answer[:start] + "é" * 32 + answer[start + 32 :]), Challenge)


def test_upper_case_digits_are_read(world: Any) -> None:
    answer = world.answer()
    start = answer.index('response="') + 10
    assert isinstance(world.check(answer[:start] + answer[start : start + 32].upper() + answer[start + 32 :]), Accepted)


def test_a_store_that_takes_its_time(world: Any) -> None:
    answer = world.answer()
    waiting: list[Deferred[Any]] = []

    def wait(found: Any) -> Deferred[Any]:
        deferred: Deferred[Any] = Deferred()
        waiting.append(deferred)
        return deferred.addCallback(lambda _: found)

    world.store.through = wait
    results: list[Any] = []
    # The same credentials twice while the store is looking: one is a replay.
    world.check(answer).addCallback(results.append)
    world.check(answer).addCallback(results.append)
    world.check().addCallback(results.append)
    assert results == []
    for deferred in waiting:
        deferred.callback(None)
    assert results[0] == Accepted("alice")
    assert challenged(results[1]).stale
    assert not challenged(results[2]).stale


def test_guesses_in_flight_do_not_outrun_the_ban(world: Any) -> None:
    answers = [world.answer(password=f"guess{number}") for number in range(30)]
    answers.append(world.answer())
    waiting: list[Deferred[Any]] = []

    def wait(found: Any) -> Deferred[Any]:
        deferred: Deferred[Any] = Deferred()
        waiting.append(deferred)
        return deferred.addCallback(lambda _: found)

    world.store.through = wait
    results: list[Any] = []
    for answer in answers:
        world.check(answer).addCallback(results.append)
    for deferred in waiting:
        deferred.callback(None)
    banned = Refused(403, limit="ban_failures")
    assert results[-1] == banned
    assert results.count(banned) == 22


def test_a_store_that_fails_lets_nobody_in(world: Any) -> None:
    answer = world.answer()

    def fail(found: Any) -> Any:
        raise StoreError("locked")

    world.store.through = fail
    with pytest.raises(StoreError):
        world.check(answer)
    failures: list[Failure] = []
    world.store.through = lambda found: Deferred().addCallback(lambda _: fail(found))
    deferred = world.check(answer)
    deferred.addErrback(failures.append)
    deferred.callback(None)
    assert failures[0].check(StoreError)


def test_settings_are_swapped_whole(world: Any) -> None:
    old = world.challenge()
    world.authenticator.configure(AuthSettings(algorithms=("SHA-256",), ban_failures=1, nonce_lifetime=5))
    assert world.challenge().algorithm == "SHA-256"
    assert world.check(world.answer(password="wrong")) == Refused(403, limit="ban_failures")
    world.clock.advance(6)
    world.authenticator.bans.lift(SOURCE)
    assert challenged(world.check(world.answer(old, algorithm="SHA-256"))).stale


def test_everything_has_a_deadline(world: Any) -> None:
    world.check(world.answer())
    world.check(world.answer(password="wrong"))
    assert len(world.authenticator.nonces) and len(world.authenticator.bans)
    world.clock.advance(100_000)
    world.authenticator.expire()
    assert len(world.authenticator.nonces) == len(world.authenticator.bans) == 0


def test_challenging_a_hundred_thousand_sources_leaves_nothing(world: Any) -> None:
    request = world.request()
    check = world.authenticator.check
    for number in range(100_000):
        check(request, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", REALM, False, "alice")
    assert len(world.authenticator.nonces) == 0
    assert len(world.authenticator.bans) == 0
