"""ENUM (RFC 6116), and the numbers that it is asked about."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from twisted_sip.proxy.routes.e164 import E164, region_fault
from twisted_sip.proxy.routes.enum_lookup import ENUMLookup, domain_of, uris_of
from twisted_sip.proxy.routes.naptr_regexp import substituted
from twisted_sip.proxy.routes.ways import Ways
from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.transport.resolver_dns import DNSQuestions
from twisted_sip.transport.resolver_selection import NAPTRRecord

from .conftest import Incoming, gateways

NUMBER = "+4930123"


def test_the_domain_of_a_number() -> None:
    assert domain_of("+442079460148", "e164.arpa.") == "8.4.1.0.6.4.9.7.0.2.4.4.e164.arpa"


@pytest.mark.parametrize(
    ("field", "result"),
    [
        ("!^.*$!sip:Info@example.com!", "sip:Info@example.com"),
        ("!^.*$!sip:info@example.com!i", "sip:info@example.com"),
        (r"!^\+49(.*)$!sip:\1@example.com!", "sip:30123@example.com"),
        (r"/^\+49(..)(.*)$/sip:\2-\1-\2@example.com/", "sip:123-30-123@example.com"),
        (r"!^(\+)49!sip:a\!b\9@example.com!", "sip:a!b@example.com"),
        ("!^[+]49[[:digit:]]{2,5}$!sip:x!", "sip:x"),
        ("!^[+]49[^3]!sip:x!", None),
        ("!1|2|3!sip:x!", "sip:x"),
        # What only looks like a digit is none.
        ("!^.*$!sip:x\\²@y!", "sip:x²@y"),
        (r"!^(.*)$!sip:x\١@y!", "sip:x١@y"),
        ("!(1)|(9)!sip:\\1@x!", "sip:@x"),
        (r"!^\+1!sip:x!", None),
        (r"!^\+49(.*)$!\0\\!", "\\"),
        # More or fewer delimiters, and what cannot be one.
        ("!^.*$!sip:x", None),
        ("!^.*$!sip:x!!", None),
        ("", None),
        ("!", None),
        ("1^.*$1sip:x1", None),
        ("i.*isip:xi", None),
        ("!.*!sip:x!g", None),
        # What is not of the simple kind.
        ("!(1*)*!sip:x!", None),
        ("!(.)\\1!sip:x!", None),
        ("!(?=1)!sip:x!", None),
        ("!1*?!sip:x!", None),
        ("!(!sip:x!", None),
        ("!^*!sip:x!", None),
        ("!.*.*.*.*!sip:x!", None),
        ("![[:alpha:]]!sip:x!", None),
        ("![1--3]!sip:x!", None),
        ("![1||3]!sip:x!", None),
        ("!1{9,1}!sip:x!", None),
        ("!a\\!sip:x!", None),
    ],
)
def test_substitutions(field: str, result: str | None) -> None:
    assert substituted(field, NUMBER) == result


def test_no_expression_takes_long() -> None:
    drawn = random.Random(7)
    pieces = ["1", ".", "(", ")", "[12]", "*", "+", "?", "{1,15}", "|", "^", "$", "\\+", "[^3]"]
    began = time.process_time()
    for _ in range(20_000):
        pattern = "".join(drawn.choice(pieces) for _ in range(drawn.randrange(1, 30)))
        substituted(f"!{pattern}!sip:x!", "+111111111111111")
    assert time.process_time() - began < 30.0


def record(order: int, preference: int, uri: str, service: str = "E2U+sip", flags: str = "u") -> NAPTRRecord:
    return NAPTRRecord(order, preference, flags, service, f"!^.*$!{uri}!", ".")


def test_which_records_are_used() -> None:
    records = [
        record(100, 20, "sip:third@x"),
        record(100, 10, "sip:second@x", "E2U+voice:tel+sip", "U"),
        record(50, 99, "sip:first@x", "sip+E2U"),
        record(1, 1, "mailto:a@x", "E2U+sip"),
        record(1, 1, "sip:a@x", "E2U+email:mailto"),
        record(1, 1, "sip:a@x", "E2U+sip", ""),
        record(1, 1, "sip:a@x", "SIP+D2U"),
        record(1, 1, "sip:a b@x"),
        record(1, 1, "sip:ä@x"),
        record(200, 1, "sip:first@x"),
        record(200, 2, "sip:fourth@x?subject=x"),
        record(200, 3, "sip:fifth@x"),
    ]
    assert [str(uri) for uri in uris_of(records, NUMBER)] == [
        "sip:first@x", "sip:second@x", "sip:third@x", "sip:fourth@x",
    ]  # fmt: skip


@pytest.fixture
def dns() -> FakeDNS:
    name = "3.2.1.0.3.9.4."
    made = FakeDNS().naptr(name + "e164.arpa", 1, 1, "E2U+sip", "", flags="u", regexp="!^.*$!sip:Bob@Example.net!")
    made.naptr("8.7.6.5.4.3.2.1.0.3.9.4.e164.arpa", 1, 1, "E2U+sip", "", flags="u", regexp="!^.*$!sip:carol@x!")
    return made.naptr(name + "own.example", 1, 1, "E2U+sip", "", flags="u", regexp="!^.*$!sip:bob@example.com!")


def asking(dns: FakeDNS, *suffixes: str, region: str = "") -> Ways:
    questions = DNSQuestions(Clock(), dns, hosts=lambda name: ())
    return Ways(gateways(berlin=["b1"]), None, ENUMLookup(lambda: questions, suffixes), E164(region))


def test_routes_to_what_enum_says(desk: Any, dns: FakeDNS) -> None:
    ways = asking(dns, "e164.arpa")
    made = desk({"to": ("enum", "gateway:berlin")}, ways=ways)
    assert made.ask("sip:+4930123@example.com") == ["sip:Bob@Example.net", "sip:+4930123@b1.example.net"]
    assert made.incoming.notes == [
        ("enum", "+4930123: sip:Bob@Example.net", "route[0].to"),
        ("route", "* goes to enum, gateway:berlin", "route[0].to"),
    ]
    # Answers are kept.
    made.ask("tel:+49-30-123")
    assert len(dns.queries) == 1
    assert made.ask("sip:+4930124@example.com") == ["sip:+4930124@b1.example.net"]
    assert made.ask("sip:030123@example.com") == ["sip:030123@b1.example.net"]
    # It is not for strangers to be led away.
    assert made.ask("sip:+4930123@example.com", user="") == 403


def test_strangers_keep_nobody_from_the_dns(desk: Any, dns: FakeDNS) -> None:
    made = desk({"to": ("enum",)}, ways=asking(dns, "e164.arpa"))
    dns.hold = True
    waiting = [
        Deferred.fromCoroutine(made.router.route(Incoming(f"sip:+49{number}@example.com", user="")))
        for number in range(128)
    ]
    assert made.ask("sip:+4930123@example.com", user="") == 503
    assert made.keys == ["enum.suffixes"]
    ours: Any = Deferred.fromCoroutine(made.router.route(Incoming("sip:+4930123@example.com")))
    for one in waiting[:2]:
        one.addErrback(lambda failure: failure.trap(CancelledError)).cancel()
    dns.release()
    assert [str(target.uri) for target in ours.result] == ["sip:Bob@Example.net"]
    dns.hold = False
    assert made.ask("sip:+4930123@example.com", user="") == 403


def test_the_next_route_where_nothing_is_found(desk: Any, dns: FakeDNS) -> None:
    made = desk({"to": ("enum",)}, {"to": ("enum",)}, {"user": "+*", "status": 404}, ways=asking(dns, "e164.arpa"))
    assert made.ask("sip:+4930124@example.com") == 404
    assert desk({"to": ("enum",)}, ways=asking(dns, "e164.arpa")).ask("sip:+4930124@example.com") == []


def test_several_suffixes(desk: Any, dns: FakeDNS) -> None:
    made = desk({"to": ("enum",)}, ways=asking(dns, "none.example", "own.example", "e164.arpa"))
    assert made.ask("sip:+4930123@example.com") == ["sip:bob@example.com"]
    # One of our users: strangers may call him.
    assert made.ask("sip:+4930123@example.com", user="") == ["sip:bob@example.com"]


def test_national_numbers(desk: Any, dns: FakeDNS) -> None:
    pytest.importorskip("phonenumbers")
    made = desk(
        {"e164": True, "to": ("enum",)}, {"to": ("sip:x@192.0.2.9",)}, ways=asking(dns, "e164.arpa", region="DE")
    )
    for number in ("03012345678", "00493012345678", "+493012345678", "(030)1234-5678"):
        assert made.ask(f"sip:{number}@example.com") == ["sip:carol@x"]
    for number in ("1", "112", "7042", "bob", "9" * 50):
        assert made.ask(f"sip:{number}@example.com") == ["sip:x@192.0.2.9"]


def test_numbers() -> None:
    pytest.importorskip("phonenumbers")
    german, none = E164("DE"), E164()
    assert german("01711234567") == "+491711234567" and german("0012125551234") == "+12125551234"
    assert none("01711234567") == "" and none("+491711234567") == "+491711234567"
    assert none("+" + "1" * 16) == none("+1x") == none("") == german("") == german("12") == german("*21#") == ""
    assert german("999999999999999999999") == ""
    assert region_fault("DE") == ("", "")
    assert region_fault("de") == ('"de" is no country', "write two capital letters, as DE")


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twisted_sip.proxy.routes.e164.NEEDS", "no_such_library")
    assert region_fault("DE") == ("needs the library phonenumbers", "install twisted-sip[numbers]")
    assert E164()("+491") == "+491"
