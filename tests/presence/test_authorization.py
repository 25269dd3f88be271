"""Presence rules as they are kept by XCAP, and decisions that depend on more than the watcher (RFC 4745, RFC 5025)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from twisted_sip.documents.permissions import ALL_PERMISSIONS, SubHandling
from twisted_sip.documents.pidf import Presence
from twisted_sip.interfaces.documents import Document
from twisted_sip.presence import authorization
from twisted_sip.presence.authorization import WatcherRules
from twisted_sip.presence.reauthorization import ANY_SPHERE, Reauthorization
from twisted_sip.storage.documents_memory import MemoryDocumentStore

ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"
COMMON = "urn:ietf:params:xml:ns:common-policy"


def ruleset(*rules: str) -> str:
    return (
        f'<ruleset xmlns="{COMMON}" xmlns:pr="urn:ietf:params:xml:ns:pres-rules">'
        + "".join(f'<rule id="r{n}">{rule}</rule>' for n, rule in enumerate(rules))
        + "</ruleset>"
    )


def rule(handling: str, *conditions: str, watcher: str = BOB) -> str:
    identity = f'<identity><one id="{watcher}"/></identity>' if watcher else ""
    return (
        f"<conditions>{identity}{''.join(conditions)}</conditions>"
        f"<actions><pr:sub-handling>{handling}</pr:sub-handling></actions>"
    )


def document(content: str, auid: str = "pres-rules", etag: str = "e", name: str = "index") -> Document:
    return Document(auid=auid, owner=ALICE, name=name, etag=etag, content=content.encode())


def made(*documents: Document, default: str = "confirm", **how: Any) -> WatcherRules:
    store = MemoryDocumentStore()
    for each in documents:
        store.put(each)
    return WatcherRules(store, how.pop("clock", lambda: 1000.0), lambda watcher: default, **how)


def handling(rules: WatcherRules, watcher: str = BOB, *, authenticated: bool = True) -> str:
    found: Any = rules.decide(ALICE, watcher, authenticated=authenticated)
    return str(found.sub_handling.name)


@pytest.mark.parametrize("default", ["allow", "confirm", "polite-block", "block"])
def test_without_rules_there_is_a_default(default: str) -> None:
    wanted = default.upper().replace("-", "_")
    assert handling(made(default=default)) == wanted
    assert handling(WatcherRules(None, lambda: 0.0, lambda watcher: default)) == wanted


def test_where_there_are_rules_they_alone_decide() -> None:
    rules = made(document(ruleset(rule("allow"))))
    assert handling(rules) == "ALLOW"
    assert handling(rules, "sip:carol@example.com") == "BLOCK"
    # RFC 5025 section 3.1.1.1: nobody is matched who has not proved to be that.
    assert handling(rules, authenticated=False) == "BLOCK"
    assert handling(made(document(ruleset()))) == "BLOCK"


def test_everybody_sees_himself() -> None:
    assert made(document(ruleset())).decide(ALICE, ALICE, authenticated=True) is ALL_PERMISSIONS


def test_all_documents_count_and_the_most_generous_wins() -> None:
    oma = document(ruleset(rule("allow")), "org.openmobilealliance.pres-rules")
    assert handling(made(document(ruleset(rule("block"))), oma)) == "ALLOW"
    assert handling(made(document(ruleset(rule("block")), name="a"), document("no XML", etag="f"))) == "BLOCK"


def test_a_document_that_cannot_be_read_grants_nothing() -> None:
    assert handling(made(document("<ruleset>"), default="allow")) == "BLOCK"


def test_a_document_is_read_once_for_each_version(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[bytes] = []
    parse = authorization.parse
    monkeypatch.setattr(authorization, "parse", lambda content: (reads.append(content), parse(content))[1])
    store = MemoryDocumentStore()
    first = document(ruleset(rule("allow")))
    store.put(first)
    rules = WatcherRules(store, lambda: 0.0, lambda watcher: "allow")
    assert [handling(rules) for _ in range(3)] == ["ALLOW"] * 3 and len(reads) == 1
    store.put(document(ruleset(rule("block")), etag="f"), "e")
    assert handling(rules) == "BLOCK" and len(reads) == 2
    monkeypatch.setattr(authorization, "_MOST_PARSED", 1)
    for name in ("a", "b"):
        store.put(document(ruleset(), name=name, etag=name))
    handling(rules)
    assert len(rules._parsed) == 1


def test_a_store_that_answers_later() -> None:
    rules = made(document(ruleset(rule("allow"))))
    names = rules._documents.names  # type: ignore[union-attr]
    waiting: list[Deferred[Any]] = []

    def later(auid: str, owner: str) -> Any:
        if auid == "pres-rules":
            waiting.append(Deferred())
            return waiting[-1].addCallback(lambda _: names(auid, owner))
        return names(auid, owner)

    rules._documents.names = later  # type: ignore[method-assign, union-attr]
    answer: Any = rules.decide(ALICE, BOB, authenticated=True)
    got: list[Any] = []
    answer.addCallback(got.append)
    assert not got
    waiting[0].callback(None)
    assert got[0].sub_handling is SubHandling.ALLOW


def test_the_sphere_is_asked_for_where_a_rule_does() -> None:
    asked: list[str] = []
    depends: list[Any] = []

    def sphere_of(resource: str) -> str:
        asked.append(resource)
        return "work"

    how: Any = {"sphere_of": sphere_of, "depends": lambda *noted: depends.append(noted)}
    assert handling(made(document(ruleset(rule("allow"))), **how)) == "ALLOW"
    assert asked == depends == []
    assert handling(made(document(ruleset(rule("allow", '<sphere value="work"/>'))), **how)) == "ALLOW"
    assert handling(made(document(ruleset(rule("allow", '<sphere value="home"/>'))), **how)) == "BLOCK"
    assert asked == [ALICE] * 2 and depends == [(ALICE, "work", float("inf"), False)] * 2


def test_until_when_a_decision_holds() -> None:
    depends: list[Any] = []
    validity = (
        "<validity><from>1970-01-01T00:10:00Z</from><until>1970-01-01T00:20:00Z</until>"
        "<from>1970-01-01T00:30:00Z</from><until>1970-01-01T00:40:00Z</until></validity>"
    )
    content = document(ruleset(rule("allow", validity)))
    for now, wanted in ((0, "BLOCK"), (600, "ALLOW"), (1200, "BLOCK"), (1800, "ALLOW"), (2400, "BLOCK")):
        rules = made(content, clock=lambda now=now: float(now), depends=lambda *noted: depends.append(noted))
        assert handling(rules) == wanted
    assert depends == [(ALICE, ANY_SPHERE, moment, False) for moment in (600.0, 1200.0, 1800.0, 2400.0)]


# -- decisions anew -----------------------------------------------------------------------


class Watch:
    def __init__(self, most: int = 10) -> None:
        self.clock = Clock()
        self.sphere: str | None = "work"
        self.watched = True
        self.again: list[str] = []
        self.reauthorization = Reauthorization(
            self.clock, lambda resource: self.sphere, lambda resource: self.watched, self.again.append, most
        )


def test_another_sphere() -> None:
    watch = Watch()
    noted = watch.reauthorization
    noted.state_changed(ALICE)
    noted.note(ALICE, "work", float("inf"))
    noted.note(BOB, ANY_SPHERE, 5000.0)
    for resource in (ALICE, BOB):
        noted.state_changed(resource)
    assert watch.again == []
    watch.sphere = None
    for resource in (ALICE, BOB):
        noted.state_changed(resource)
    assert watch.again == [ALICE] and len(noted) == 1
    noted.forget(ALICE)
    noted.forget(BOB)
    assert not len(noted) and not watch.clock.getDelayedCalls()


def test_the_time_has_come() -> None:
    watch = Watch()
    noted = watch.reauthorization
    noted.note(ALICE, ANY_SPHERE, 100.0)
    noted.note(ALICE, ANY_SPHERE, 10_000.0)
    watch.clock.advance(3700)
    # Looked at, and still of use.
    assert watch.again == [] and len(noted) == 1
    watch.clock.pump([1000] * 7)
    assert watch.again == [ALICE] and not len(noted)
    noted.note(ALICE, ANY_SPHERE, 20_000.0)
    watch.watched = False
    watch.clock.pump([1000] * 4)
    assert watch.again == [ALICE] and not len(noted) and not watch.clock.getDelayedCalls()
    noted.note(ALICE, ANY_SPHERE, watch.clock.seconds() + 1)
    watch.clock.advance(2)
    assert watch.again == [ALICE] and not len(noted)


def test_no_more_than_so_many_are_looked_after() -> None:
    watch = Watch(most=1)
    for resource in (ALICE, BOB, ALICE):
        watch.reauthorization.note(resource, "work", 10.0)
    assert len(watch.reauthorization) == 1
    watch.reauthorization.stop()
    assert not len(watch.reauthorization) and not watch.clock.getDelayedCalls()


# -- the same with a server -----------------------------------------------------------------


def at(sphere: str) -> Presence:
    text = Presence(ALICE).with_status("open", id="t").with_person(id="p").to_xml().decode()
    rpid = f'<r:sphere xmlns:r="urn:ietf:params:xml:ns:pidf:rpid"><r:{sphere}/></r:sphere>'
    return Presence.parse(text.replace('id="p"/>', f'id="p">{rpid}</dm:person>').encode())


def test_colleagues_see_at_work_alone(desk: Any, alice: Any) -> None:
    desk.put(
        "pres-rules",
        ruleset(
            rule("allow", '<sphere value="work"/>') + "<transformations><pr:provide-services><pr:all-services/>"
            "</pr:provide-services></transformations>",
            rule("polite-block"),
        ),
    )
    watching = desk.user("bob").watched()
    alice.publish(at("work"))
    assert watching.presence().basic == "open"
    alice.publish(at("home"))
    assert watching.presence().basic == "closed"
    alice.publish(at("home").with_note("x"))
    watching.quiet()
    alice.publish(at("work"))
    assert watching.presence().basic == "open"
    assert len(desk.service._reauthorization) == 1
    # Other rules, to which the sphere is nothing.
    desk.put("pres-rules", ruleset(rule("polite-block")))
    assert watching.presence().basic == "closed"
    assert not len(desk.service._reauthorization)


def test_a_validity_begins_and_ends(desk: Any, alice: Any) -> None:
    from datetime import UTC, datetime

    now = desk.network.clock.seconds()
    begin, end = (datetime.fromtimestamp(now + after, UTC).isoformat() for after in (100, 200))
    validity = f"<validity><from>{begin}</from><until>{end}</until></validity>"
    everything = "<transformations><pr:provide-services><pr:all-services/></pr:provide-services></transformations>"
    desk.put("pres-rules", ruleset(rule("allow", validity) + everything, rule("polite-block")))
    alice.publish(Presence(ALICE).with_status("open"))
    watching = desk.user("bob").watched()
    assert Presence.parse(watching.told[-1]).basic == "closed"
    watching.quiet(95)
    assert watching.presence().basic == "open"
    watching.quiet(90)
    assert watching.presence(within=15).basic == "closed"
    watching.subscribe(0)


def test_rules_of_a_program_may_come_later(make_desk: Callable[..., Any]) -> None:
    desk = make_desk()
    names = desk.documents.names
    desk.documents.names = lambda auid, owner: succeed(names(auid, owner))
    desk.start()
    desk.user("alice").publish(at("work"))
    assert desk.user("bob").watched().told == [at("work").to_xml()]
