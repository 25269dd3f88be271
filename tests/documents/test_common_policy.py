"""Rulesets: the examples of RFC 4745, its combining rules, and what is not understood."""

from __future__ import annotations

from datetime import datetime

import pytest

from twisted_sip.documents.common_policy import (
    Identity,
    Many,
    One,
    OtherIdentity,
    Request,
    Rule,
    Ruleset,
    Unknown,
    Validity,
    domain_of,
    holds,
    parse,
    same_domain,
    same_entity,
)
from twisted_sip.errors import DocumentError

ALICE = "sip:alice@example.com"


def conditions(inner: str) -> Ruleset:
    return parse(
        f"""<ruleset xmlns="urn:ietf:params:xml:ns:common-policy" xmlns:o="urn:oma:xml:xdm:common-policy">
        <rule id="f3g44r1"><conditions>{inner}</conditions><actions/><transformations/></rule></ruleset>""".encode()
    )


def fires(inner: str, watcher: str = ALICE, **how: object) -> bool:
    request = Request(watcher=watcher, **{"authenticated": True, **how})  # type: ignore[arg-type]
    return bool(conditions(inner).matching(request))


def test_one_entity() -> None:
    # Section 7.1.2.
    inner = """<identity><one id="sip:alice@example.com"/><one id="tel:+1-212-555-1234"/>
        <one id="mailto:bob@example.net"/></identity>"""
    for watcher in (ALICE, "sip:alice@EXAMPLE.com", "tel:+12125551234", "mailto:bob@example.net"):
        assert fires(inner, watcher), watcher
    for watcher in ("sip:Alice@example.com", "sip:+12125551234@example.com", "sip:bob@example.net", "", "nonsense"):
        assert not fires(inner, watcher), watcher
    assert not fires(inner, authenticated=False)


def test_everybody_but_some() -> None:
    # Sections 7.1.3.1 to 7.1.3.3.
    assert fires("<identity><many/></identity>")
    assert not fires("<identity><many/></identity>", authenticated=False)
    excepted = """<identity><many><except domain="example.com"/><except domain="example.org"/>
        <except id="sip:alice@bad.example.net"/><except id="tel:+1-212-555-1234"/><except/></many></identity>"""
    for watcher, fired in (
        (ALICE, False),
        ("sip:x@example.org", False),
        ("sip:alice@bad.example.net", False),
        ("sip:carol@bad.example.net", True),
        ("tel:+12125551234", False),
        ("tel:+12125551235", True),
    ):
        assert fires(excepted, watcher) is fired, watcher
    domain = '<identity><many domain="example.com"><except id="sip:alice@example.com"/></many></identity>'
    assert fires(domain, "sip:carol@example.com")
    assert not fires(domain, ALICE)
    assert not fires(domain, "sip:carol@example.org")


def test_what_is_not_understood_in_an_identity_matches_nobody() -> None:
    for inner in (
        "<identity/>",
        '<identity><x:y xmlns:x="urn:x"/></identity>',
        "<identity><one/></identity>",
        '<identity><one id="sip:alice@example.com"><x:y xmlns:x="urn:x"/></one></identity>',
        '<identity><many><x:except xmlns:x="urn:x"/></many></identity>',
    ):
        assert not fires(inner), inner
    assert fires('<identity><x:y xmlns:x="urn:x"/><many/></identity>')


def test_spheres() -> None:
    # Section 7.3.
    for value, sphere, fired in (
        ("work", "work", True),
        ("home Work", "WORK", True),
        ("work", "home", False),
        ("work", None, False),
        ("", "", False),
    ):
        assert fires(f'<sphere value="{value}"/>', sphere=sphere) is fired, value
    assert not fires("<sphere/>", sphere="work")


def test_validity() -> None:
    # Section 7.4.
    inner = """<validity><from>2003-08-15T10:20:00.000-05:00</from><until>2003-09-15T10:20:00.000-05:00</until>
        <from>2004-01-01T00:00:00</from><until>2004-01-02T00:00:00Z</until></validity>"""

    def at(text: str) -> float:
        return datetime.fromisoformat(text).timestamp()

    for moment, fired in (
        ("2003-08-15T10:19:59-05:00", False),
        ("2003-08-15T10:20:00-05:00", True),
        ("2003-09-15T10:19:59-05:00", True),
        ("2003-09-15T10:20:00-05:00", False),
        ("2004-01-01T12:00:00+00:00", True),
        ("2004-01-02T00:00:00+00:00", False),
    ):
        assert fires(inner, now=at(moment)) is fired, moment
    for broken in (
        "<validity/>",
        "<validity><until>2003-09-15T10:20:00Z</until></validity>",
        "<validity><from>yesterday</from><until>2033-09-15T10:20:00Z</until></validity>",
        "<validity><from>2003-09-15T10:20:00Z</from><until>soon</until></validity>",
        "<validity><from/><x/><until>0001-01-01T00:00:00+14:00</until></validity>",
        "<validity><from>2003-09-15T10:20:00Z</from></validity>",
    ):
        assert not fires(broken, now=at("2020-01-01T00:00:00Z")), broken


def test_a_rule_without_conditions_is_for_everybody() -> None:
    assert fires("", authenticated=False)
    (rule,) = parse(b'<ruleset xmlns="urn:ietf:params:xml:ns:common-policy"><rule/></ruleset>').rules
    assert rule == Rule("")


def test_all_conditions_have_to_hold() -> None:
    both = '<identity><many/></identity><sphere value="work"/>'
    assert fires(both, sphere="work")
    assert not fires(both, sphere="home")
    assert not fires(f'{both}<x:y xmlns:x="urn:x"/>', sphere="work")
    assert holds(Unknown("{urn:x}y"), Request()) is False


def test_the_example_of_section_10_3() -> None:
    a1, a2, a3 = (
        datetime.fromisoformat(f"2003-12-24T{time}+01:00").timestamp() for time in ("17:00", "21:00", "23:30")
    )
    b1, b2 = (datetime.fromisoformat(f"2003-12-{day}T17:00+01:00").timestamp() for day in (22, 23))
    from twisted_sip.documents.common_policy import Sphere

    table = [
        ("1", "bob", "home", a1, a2),
        ("2", "alice", "work", a1, a2),
        ("3", "bob", "work", a1, a2),
        ("4", "tom", "work", a1, a2),
        ("5", "bob", "work", a1, a3),
        ("6", "bob", "work", b1, b2),
    ]
    rules = tuple(
        Rule(number, (Identity((One(f"sip:{who}@example.com"),)), Sphere((where,)), Validity(((start, end),))))
        for number, who, where, start, end in table
    )
    now = datetime.fromisoformat("2003-12-24T17:15:00+01:00").timestamp()
    request = Request(watcher="sip:bob@example.com", authenticated=True, sphere="work", now=now)
    assert [rule.id for rule in Ruleset(rules).matching(request)] == ["3", "5"]


def test_identities_that_no_rule_names() -> None:
    rules = parse(
        b"""<ruleset xmlns="urn:ietf:params:xml:ns:common-policy" xmlns:o="urn:oma:xml:xdm:common-policy">
        <rule id="friend"><conditions><identity><one id="sip:alice@example.com"/></identity><sphere value="w"/>
        </conditions></rule>
        <rule id="list"><conditions><o:external-list><o:entry anc="http://x/list"/><o:entry/></o:external-list>
        </conditions></rule>
        <rule id="other"><conditions><o:other-identity/></conditions></rule>
        <rule id="nobody"><conditions><o:anonymous-request/></conditions></rule></ruleset>"""
    )

    def members(anchor: str) -> list[str] | None:
        return ["sip:bob@example.com"] if anchor == "http://x/list" else []

    for watcher, authenticated, fired in (
        (ALICE, True, []),  # named, though its rule does not hold just now
        ("sip:bob@example.com", True, ["list"]),
        ("sip:carol@example.com", True, ["other"]),
        ("sip:anonymous@anonymous.invalid", False, ["nobody"]),
    ):
        request = Request(watcher=watcher, authenticated=authenticated, members=members)
        assert [rule.id for rule in rules.matching(request)] == fired, watcher
    # A list that cannot be had grants nothing to anybody, and may name everybody.
    assert rules.matching(Request(watcher="sip:bob@example.com", authenticated=True)) == []
    assert holds(OtherIdentity(), Request(authenticated=True, named=True)) is False


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("sips:alice@example.com", ALICE, True),
        ("pres:alice@example.com", ALICE, True),
        ("sip:%61lice@example.com:5070;x=y", ALICE, True),
        ("mailto:alice@example.com", ALICE, False),
        (ALICE, "mailto:alice@example.com", False),
        ("alice@example.com", ALICE, False),
        ("urn:a", "urn:a", True),
    ],
)
def test_what_makes_two_uris_one_entity(one: str, other: str, same: bool) -> None:
    assert same_entity(one, other) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("example.com", "EXAMPLE.COM.", True),
        ("b%C3%BCcher.example", "xn--bcher-kva.example", True),
        ("", "", False),
        ("\u2488com.example", "x", False),
        ("b\u00fc\ud800.example", "b\u00fc\ud800.example", False),
    ],
)
def test_what_makes_two_domains_one(one: str, other: str, same: bool) -> None:
    assert same_domain(one, other) is same
    assert domain_of("mailto:a@b.example") == "b.example"
    assert domain_of("tel:+1") == ""


def test_what_is_no_ruleset() -> None:
    for body in (b"", b"<ruleset/>", b"<!DOCTYPE x><ruleset xmlns='urn:ietf:params:xml:ns:common-policy'/>"):
        with pytest.raises(DocumentError):
            parse(body)


def test_many_is_read_with_its_domain() -> None:
    (rule,) = conditions('<identity><many domain="a"><except id="sip:b@a"/></many></identity>').rules
    assert rule.conditions == (Identity((Many("a", ("sip:b@a",), ()),)),)
