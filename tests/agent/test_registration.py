"""A registration against a registrar by script (RFC 3261 section 10.2, RFC 3608, RFC 5627)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.python.failure import Failure

from twisted_sip.agent.registration import Registration
from twisted_sip.agent.registration_events import (
    BindingExpired,
    Registered,
    RegistrationChanged,
    RegistrationRefused,
    RegistrationState,
)
from twisted_sip.agent.registration_terms import RegistrationSettings
from twisted_sip.auth.client import ANY_REALM, DigestClient
from twisted_sip.errors import LocalProtocolError, RequestRefused
from twisted_sip.message.request import Request

from .conftest import CHALLENGE, HOST, INSTANCE, RegistrarScene

State = RegistrationState


def states(registration: Registration) -> list[str]:
    kept = registration.log.kept()
    return [event.state.value for event in kept if isinstance(event, RegistrationChanged)]


def test_register_refresh_and_leave(registrar: RegistrarScene) -> None:
    registration = registrar.register(instance=INSTANCE, settings=RegistrationSettings(expires=600))
    first = registrar.expect()
    assert first.uri_text == "sip:192.0.2.9"
    assert str(first.to) == "<sip:alice@example.com>"
    assert first.headers.first("supported") == "path, outbound, gruu"
    [contact] = first.typed("contact")
    assert (contact.expires, contact.reg_id, contact.instance) == (600, 1, INSTANCE)
    assert contact.address.uri_text == f"sip:{registration.contact_user}@{HOST}:5060;ob"
    registrar.accept(first, expires=300)
    assert registrar.settled == [registration]
    assert registration.state is State.REGISTERED
    assert registrar.silent(255)
    second = registrar.expect()
    assert (second.call_id, second.cseq.number) == (first.call_id, 2)
    registrar.accept(second)
    [one, two] = [event for event in registration.log.kept() if isinstance(event, Registered)]
    assert (one.refreshed, one.expires, two.refreshed, two.expires) == (False, 300, True, 600)
    over: list[Any] = []
    registration.stop().addCallback(over.append)
    last = registrar.expect()
    assert last.typed("contact")[0].expires == 0
    assert not over
    registrar.answer(last, 200)
    assert over and registration.state is State.ENDED
    assert registrar.leftovers() == {}
    assert states(registration) == ["registering", "registered", "leaving", "ended"]


def test_the_refresh_leaves_room_for_a_lost_transaction(registrar: RegistrarScene) -> None:
    # RFC 5627 section 4.2: 32 seconds before the end, or half of what is short.
    registrar.register(settings=RegistrationSettings(expires=50))
    registrar.accept(registrar.expect())
    assert registrar.silent(24)
    registrar.expect(within=2)


def test_longer_intervals_are_given_way_to(registrar: RegistrarScene) -> None:
    registration = registrar.register(settings=RegistrationSettings(expires=10))
    registrar.answer(registrar.expect(), 423, ("min-expires", "60"))
    again = registrar.expect()
    assert again.typed("contact")[0].expires == 60
    registrar.accept(again)
    assert registration.registered


@pytest.mark.parametrize("wanted", ["5", "nonsense", "99999999999"])
def test_senseless_intervals_are_not(registrar: RegistrarScene, wanted: str) -> None:
    registrar.register(settings=RegistrationSettings(expires=10))
    registrar.answer(registrar.expect(), 423, ("min-expires", wanted))
    [failure] = registrar.settled
    assert failure.check(RequestRefused) and failure.value.status == 423


def test_intervals_do_not_grow_for_ever(registrar: RegistrarScene) -> None:
    registration = registrar.register(settings=RegistrationSettings(expires=10, retry=False))
    for wanted in (20, 40, 80):
        registrar.answer(registrar.expect(), 423, ("min-expires", str(wanted)))
    assert registration.state is State.FAILED
    assert registrar.silent(3600)
    failures: list[Failure] = []
    registration.when_registered().addErrback(failures.append)
    assert failures[0].value.status == 423  # type: ignore[attr-defined]


def test_back_off(registrar: RegistrarScene) -> None:
    """RFC 5626 section 4.5."""
    registration = registrar.register()
    waits = []
    for _ in range(8):
        request = registrar.expect(within=2000)
        registrar.answer(request, 403)
        refused = registration.log.kept()[-1]
        if isinstance(refused, RegistrationChanged):
            refused = registration.log.kept()[-2]
        assert isinstance(refused, RegistrationRefused) and refused.retry_in is not None
        waits.append(refused.retry_in)
    for number, wait in enumerate(waits, 1):
        upper = min(1800, 30 * 2**number)
        assert upper / 2 <= wait <= upper
    assert registration.state is State.WAITING
    registrar.accept(registrar.expect(within=2000))
    assert registration.state is State.REGISTERED


def test_retry_after_is_waited_for(registrar: RegistrarScene) -> None:
    registrar.register()
    registrar.answer(registrar.expect(), 500, ("retry-after", "200"))
    assert registrar.silent(199)
    registrar.expect(within=3)


def test_a_retry_after_of_nothing_does_not_go_round(registrar: RegistrarScene) -> None:
    registrar.register()
    registrar.answer(registrar.expect(), 500, ("retry-after", "0"))
    registrar.answer(registrar.expect(within=2), 500, ("retry-after", "0"))
    assert registrar.silent(50)


def test_nobody_there_and_the_binding_runs_out(registrar: RegistrarScene) -> None:
    registration = registrar.register(settings=RegistrationSettings(expires=60))
    registrar.accept(registrar.expect(), ("service-route", "<sip:192.0.2.7;lr>"))
    assert registration.service_route == ("<sip:192.0.2.7;lr>",)
    registrar.network.advance(70)
    assert BindingExpired(reg_id=1) in registration.log.kept()
    assert registration.state is State.WAITING
    # RFC 3608 section 6.1: it goes with the registration.
    assert registration.service_route == () and registration.best is None
    registrar.peer.skip()
    registrar.accept(registrar.expect(within=200))
    assert registration.registered


def test_strongest_algorithm_of_a_trusted_realm(registrar: RegistrarScene) -> None:
    credentials = DigestClient("alice", "secret", strongest=True)
    registrar.register(credentials=credentials)
    first = registrar.expect()
    offers = [
        ("www-authenticate", CHALLENGE.format(realm="example.com", nonce=number, algorithm=algorithm))
        for number, algorithm in enumerate(("MD5", "SHA-256", "SHA-512-256", "NEW-1"))
    ]
    registrar.answer(first, 401, *offers)
    second = registrar.expect()
    [given] = second.typed("authorization")
    assert (given.algorithm, second.cseq.number) == ("SHA-512-256", 2)
    registrar.accept(second)
    assert registrar.registration.registered
    # The number goes on where the challenge has taken it.
    registrar.registration.refresh()
    assert registrar.expect().cseq.number == 3


def test_other_realms_get_no_answer(registrar: RegistrarScene) -> None:
    registrar.register(credentials=DigestClient("alice", "secret", strongest=True))
    challenge = CHALLENGE.format(realm="evil.example", nonce=1, algorithm="SHA-256")
    registrar.answer(registrar.expect(), 401, ("www-authenticate", challenge))
    [failure] = registrar.settled
    assert failure.value.status == 401
    assert registrar.silent(20)


def test_a_realm_that_is_trusted(registrar: RegistrarScene) -> None:
    registrar.register(credentials=DigestClient("alice", "secret", realms=[ANY_REALM]))
    challenge = CHALLENGE.format(realm="pbx", nonce=1, algorithm="SHA-256")
    registrar.answer(registrar.expect(), 401, ("www-authenticate", challenge))
    assert "authorization" in registrar.expect().headers


def test_gruu_is_ours_while_registered(registrar: RegistrarScene) -> None:
    registration = registrar.register(instance=INSTANCE, settings=RegistrationSettings(expires=60))
    request = registrar.expect()
    [contact] = request.headers.all("contact")
    gruus = ';pub-gruu="sip:alice@example.com;gr=x";temp-gruu="sip:tgruu.7@example.com;gr"'
    other = f'<sip:else@192.0.2.77>;+sip.instance="<{INSTANCE}>";reg-id=2;pub-gruu="sip:not@mine"'
    registrar.answer(request, 200, ("contact", other), ("contact", contact + gruus))
    assert registration.gruu == "sip:alice@example.com;gr=x"
    assert registration.temporary_gruu == "sip:tgruu.7@example.com;gr"
    registrar.network.advance(65)
    assert (registration.gruu, registration.temporary_gruu) == ("", "")


@pytest.mark.parametrize("host", [HOST, "203.0.113.7"])
def test_a_registrar_without_outbound_lists_no_reg_id(registrar: RegistrarScene, host: str) -> None:
    """It knows GRUUs and instances all the same, and may list the address that the request came from."""
    registration = registrar.register(instance=INSTANCE)
    request = registrar.expect()
    ours = request.typed("contact")[0].address.uri_text.replace(HOST, host)
    fields = f';expires=120;pub-gruu="sip:alice@example.com;gr=x";+sip.instance="<{INSTANCE}>"'
    others = '<sip:else@192.0.2.77>;expires=9;+sip.instance="<urn:x>", <sip:2@192.0.2.78>;expires=9'
    registrar.answer(request, 200, ("contact", others), ("contact", f"<{ours}>{fields}"))
    assert registration.gruu == "sip:alice@example.com;gr=x"
    [event] = [event for event in registration.log.kept() if isinstance(event, Registered)]
    assert event.expires == 120
    registrar.expect(within=120)


def test_what_makes_no_sense_in_a_200_is_not_there(registrar: RegistrarScene) -> None:
    registration = registrar.register(instance=INSTANCE)
    request = registrar.expect()
    contact = f'<sip:x@192.0.2.77>;+sip.instance="<{INSTANCE}>";reg-id=1;pub-gruu="mailto:x";temp-gruu="::"'
    fields = [("service-route", "<mailto:x>"), ("flow-timer", "soon"), ("contact", "*"), ("contact", "<nonsense>;q=x")]
    registrar.answer(request, 200, *fields, ("path", '"<'), ("contact", contact), ("expires", "soon"))
    assert registration.registered and registration.route == () and registration.gruu == ""


def test_a_200_that_binds_nothing(registrar: RegistrarScene) -> None:
    registration = registrar.register()
    registrar.accept(registrar.expect(), expires=0)
    assert not registration.registered and registrar.settled[0].value.status == 503


def test_leaving_while_a_refresh_is_under_way(registrar: RegistrarScene) -> None:
    registration = registrar.register()
    registrar.accept(registrar.expect())
    registration.refresh()
    refresh = registrar.expect()
    over: list[Any] = []
    registration.stop().addCallback(over.append)
    registration.stop()
    registrar.accept(refresh)
    last = registrar.expect()
    assert last.typed("contact")[0].expires == 0
    registrar.answer(last, 500)
    assert over and registrar.leftovers() == {}


def test_leaving_when_nobody_listens(registrar: RegistrarScene) -> None:
    registration = registrar.register()
    registrar.accept(registrar.expect())
    over: list[Any] = []
    registration.stop().addCallback(over.append)
    registrar.network.advance(6)
    assert over and registrar.leftovers() == {}
    failures: list[Failure] = []
    registration.when_registered().addErrback(failures.append)
    assert failures[0].value.status == 487  # type: ignore[attr-defined]


def test_leaving_before_anything_was_answered(registrar: RegistrarScene) -> None:
    registration = registrar.register()
    registrar.expect()
    registration.stop()
    registrar.network.advance(6)
    [failure] = registrar.settled
    assert failure.value.status == 487
    assert registrar.leftovers() == {}


def test_the_caller_may_not_wait_any_more(registrar: RegistrarScene) -> None:
    registration = registrar.register()
    waiting = registration.when_registered()
    waiting.addErrback(lambda failure: None)
    waiting.cancel()
    registrar.accept(registrar.expect())
    assert registrar.settled == [registration]


def test_what_the_caller_gets_wrong(registrar: RegistrarScene) -> None:
    for aor in ("alice", "mailto:a@b", "sip:example.com", "<sip:a@b>;tag=1"):
        with pytest.raises(LocalProtocolError):
            Registration(registrar.element, aor, keeper=registrar.keeper)
    for wrong in (
        {"registrar": "example"},
        {"outbound_proxies": ["sip:a"] * 5},
        {"contact_user": "a b"},
        {"instance": "<urn>"},
    ):
        with pytest.raises(LocalProtocolError):
            Registration(registrar.element, "sip:a@b", keeper=registrar.keeper, **wrong)  # type: ignore[arg-type]
    with pytest.raises(LocalProtocolError):
        RegistrationSettings(expires=0)


def test_service_route_and_outbound_proxy(registrar: RegistrarScene) -> None:
    registration = registrar.register(outbound_proxies=["sip:192.0.2.9"])
    request = registrar.expect()
    assert request.headers.all("route") == ["<sip:192.0.2.9;lr>"]
    assert registration.route == ("<sip:192.0.2.9;lr>",)
    registrar.accept(request, ("service-route", "<sip:192.0.2.5;lr>, <sip:192.0.2.6;lr>"))
    assert registration.route == ("<sip:192.0.2.9;lr>", "<sip:192.0.2.5;lr>", "<sip:192.0.2.6;lr>")
    registration.refresh()
    registrar.accept(registrar.expect(), ("service-route", "<sip:192.0.2.9;lr;x=1>"))
    assert registration.route == ("<sip:192.0.2.9;lr;x=1>",)


def test_without_outbound(registrar: RegistrarScene) -> None:
    registration = registrar.register(settings=RegistrationSettings(outbound=False), contact_user="alice")
    request: Request = registrar.expect()
    assert request.headers.first("supported") == "path, gruu"
    [contact] = request.typed("contact")
    assert contact.reg_id is None and contact.address.uri_text == f"sip:alice@{HOST}:5060"
    assert contact.instance == registration.instance
    registrar.accept(request)
    assert registration.best is registration.flows[0]


def test_a_first_hop_without_outbound(registrar: RegistrarScene) -> None:
    registrar.register()
    registrar.answer(registrar.expect(), 439)
    request = registrar.expect()
    assert request.typed("contact")[0].reg_id is None
