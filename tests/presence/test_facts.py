"""Registrations and hard state, from stores that answer at once, later, or not at all (RFC 3856 section 6.7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from twisted_sip.documents.pidf import Presence
from twisted_sip.errors import StoreError
from twisted_sip.interfaces.documents import Document, DocumentChange
from twisted_sip.interfaces.location import Binding, LocationChange
from twisted_sip.presence.facts import Facts

ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"
CARD = Presence(ALICE).with_person(display_name="Alice", id="card")
OPEN = Presence(ALICE).with_status("open", id="phone")
BINDING = Binding(aor=ALICE, key="c", contact="sip:alice@192.0.2.9", call_id="x", cseq=1, expires_at=2e9)


def document(content: bytes = CARD.to_xml(), **how: Any) -> Document:
    made: dict[str, Any] = {"auid": "pidf-manipulation", "owner": ALICE, "name": "index", "etag": "e"}
    return Document(content=content, **{**made, **how})


class Slow:
    """Both stores; answers when a test says."""

    def __init__(self) -> None:
        self.asked: list[Deferred[Any]] = []

    def lookup(self, aor: str) -> Any:
        self.asked.append(Deferred())
        return self.asked[-1]

    def get(self, auid: str, owner: str, name: str) -> Any:
        return self.lookup(owner)


def made(most: int = 10) -> tuple[Facts, Slow, list[str]]:
    store, changed = Slow(), list[str]()
    stores: Any = store
    return Facts(stores, stores, changed.append, most), store, changed


def test_nothing_to_ask() -> None:
    facts = Facts(None, None, lambda resource: None)
    assert facts.registered(ALICE) is False and facts.hard_state(ALICE) is None and facts.settling(ALICE) is None


def test_answers_that_come_later() -> None:
    facts, store, changed = made()
    assert facts.registered(ALICE) is False and facts.hard_state(ALICE) is None
    assert facts.registered(ALICE) is False and len(store.asked) == 2
    settling: Any = facts.settling(ALICE)
    assert facts.settling(BOB) is None and not settling.called
    store.asked[0].callback([BINDING])
    assert facts.registered(ALICE) is True and changed == [ALICE] and not settling.called
    store.asked[1].callback(None)
    assert settling.called and changed == [ALICE] and facts.settling(ALICE) is None and len(facts) == 2


def test_an_answer_that_has_come_already_is_no_news() -> None:
    facts, _, changed = made()
    stores: Any = facts
    ready: Deferred[Any] = Deferred()
    ready.callback(document())
    stores._documents = type("Ready", (), {"get": lambda self, *place: ready})()
    assert facts.hard_state(ALICE).to_xml() == CARD.to_xml() and changed == []  # type: ignore[union-attr]
    assert facts.settling(ALICE) is None


def test_what_observers_tell_counts_more_than_an_answer_that_is_older() -> None:
    facts, store, changed = made()
    facts.hard_state(ALICE)
    settling: Any = facts.settling(ALICE)
    assert facts.document_changed(DocumentChange(None, document())) == ALICE
    assert settling.called
    store.asked[0].callback(None)
    assert facts.hard_state(ALICE) is not None and changed == []
    assert facts.document_changed(DocumentChange(document(), None)) == ALICE
    assert facts.hard_state(ALICE) is None
    for other in (document(auid="pres-rules"), document(name="other")):
        assert facts.document_changed(DocumentChange(None, other)) is None
    assert facts.document_changed(DocumentChange(None, None)) is None
    assert facts.document_changed(DocumentChange(None, document(owner=BOB))) == BOB


def test_bindings_that_change() -> None:
    facts, store, changed = made()
    facts.bindings_changed(ALICE)
    assert not store.asked
    facts.registered(ALICE)
    facts.bindings_changed(ALICE)
    store.asked[1].callback([BINDING])
    store.asked[0].callback([])
    assert facts.registered(ALICE) is True and changed == [ALICE]
    facts._location = type("Quick", (), {"lookup": lambda self, aor: []})()
    facts.bindings_changed(ALICE)
    assert facts.registered(ALICE) is False and changed == [ALICE]


def test_a_store_that_fails(failures: Any) -> None:
    facts, store, changed = made()
    facts.registered(ALICE)
    settling: Any = facts.settling(ALICE)
    facts.bindings_changed(ALICE)
    for asked in store.asked[:2]:
        asked.errback(StoreError("broken"))
    assert settling.called and changed == [] and not len(facts)
    assert [text for text in failures.texts if "registered of sip:alice@example.com cannot be read: broken" in text]
    failures.texts.clear()
    # Asked again.
    facts.registered(ALICE)
    store.asked[2].callback([BINDING])
    assert facts.registered(ALICE) is True


def test_no_more_answers_are_kept_than_may_be() -> None:
    facts, store, _ = made(most=2)
    for resource in (ALICE, BOB, "sip:carol@example.com"):
        facts.registered(resource)
    assert len(facts) == 2
    waiting: Any = facts.settling(BOB)
    facts.forget()
    assert waiting.called and not len(facts)
    for asked in store.asked:
        asked.callback([BINDING])


def test_a_document_that_cannot_be_read_is_none() -> None:
    facts, store, _ = made()
    facts.hard_state(ALICE)
    store.asked[0].callback(document(b"<x/>"))
    assert facts.hard_state(ALICE) is None


# -- the same with a server -----------------------------------------------------------------


def register(desk: Any, *bindings: Binding) -> None:
    remove = () if bindings else (BINDING.key,)
    desk.location.commit(LocationChange(ALICE, tuple(bindings), remove))
    desk.network.advance(0.01)


def test_who_is_registered_is_there(desk: Any, alice: Any) -> None:
    watching = desk.user("bob").watched()
    register(desk, BINDING)
    assert watching.presence().basic == "open"
    # A refresh is no news.
    register(desk, BINDING)
    watching.quiet(2.0)
    # What is published counts more.
    alice.publish(Presence(ALICE).with_status("closed", note="On holiday", id="own"))
    assert watching.presence().note == "On holiday"
    register(desk)
    watching.quiet(2.0)
    alice.publish(expires=0)
    assert watching.presence().basic == "closed"


def test_registrations_may_be_nobodys_business(make_desk: Callable[..., Any]) -> None:
    desk = make_desk(registration_fallback=False).start()
    watching = desk.user("bob").watched()
    register(desk, BINDING)
    watching.quiet(2.0)
    register(desk)


def test_hard_state_comes_and_goes(desk: Any, alice: Any) -> None:
    watching = desk.user("bob").watched()
    put = desk.put("pidf-manipulation", CARD.to_xml())
    told = watching.presence()
    assert told.persons and told.basic == "closed"
    alice.publish(OPEN)
    told = watching.presence()
    assert told.persons and told.basic == "open"
    desk.put("pidf-manipulation", b"no XML")
    assert watching.notify().body == OPEN.to_xml()
    desk.put("pidf-manipulation", CARD.to_xml(), name="other")
    desk.put("pidf-manipulation", CARD.to_xml(), owner="sip:nobody@example.net")
    desk.put("resource-lists", b"<x/>")
    watching.quiet(2.0)
    desk.documents.delete(desk.documents.get("pidf-manipulation", ALICE, "index"))
    watching.quiet(2.0)
    del put


def test_the_first_notify_waits_for_stores_that_are_slow(make_desk: Callable[..., Any]) -> None:
    desk = make_desk()
    get, waiting = desk.documents.get, list[Any]()

    def later(*place: str) -> Any:
        waiting.append((Deferred(), place))
        return waiting[-1][0]

    desk.start()
    desk.documents.get = later
    watching = desk.user("bob").watch()
    assert watching.status == 200
    watching.quiet(2.0)
    desk.documents.get = get
    waiting[0][0].callback(document())
    assert watching.presence().persons
    watching.quiet(2.0)
    # It is kept: what is published later does not wait.
    desk.user("alice").publish(OPEN)
    told = watching.presence()
    assert told.persons and told.basic == "open"
    assert len(waiting) == 1
