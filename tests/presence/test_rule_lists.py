"""Rules that grant to whoever is in a list: the condition external-list (OMA), with lists of RFC 4826."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail

from twisted_sip.documents.pidf import Presence
from twisted_sip.documents.winfo import WinfoDocument
from twisted_sip.errors import StoreError
from twisted_sip.interfaces.documents import Document
from twisted_sip.presence import rule_lists
from twisted_sip.presence.rule_lists import RuleLists
from twisted_sip.storage.documents_memory import MemoryDocumentStore

ALICE, BOB, CAROL = (f"sip:{name}@example.com" for name in ("alice", "bob", "carol"))
ROOT = "https://xcap.example.com:8443/xcap-root"
FRIENDS = f"{ROOT}/resource-lists/users/{ALICE}/index/~~/resource-lists/list%5B@name=%22friends%22%5D"


def lists(*entries: str, name: str = "friends") -> str:
    inner = "".join(entry if entry.startswith("<") else f'<entry uri="{entry}"/>' for entry in entries)
    return (
        '<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists">'
        f'<list name="{name}">{inner}</list></resource-lists>'
    )


def rules(*parts: tuple[str, str]) -> str:
    """Return a ruleset: (condition, handling) of each rule."""
    return (
        '<ruleset xmlns="urn:ietf:params:xml:ns:common-policy" xmlns:pr="urn:ietf:params:xml:ns:pres-rules"'
        ' xmlns:o="urn:oma:xml:xdm:common-policy">'
        + "".join(
            f'<rule id="r{number}"><conditions>{condition}</conditions><actions><pr:sub-handling>{handling}'
            "</pr:sub-handling></actions><transformations><pr:provide-services><pr:all-services/>"
            "</pr:provide-services></transformations></rule>"
            for number, (condition, handling) in enumerate(parts)
        )
        + "</ruleset>"
    )


def in_list(anchor: str = FRIENDS) -> str:
    text = anchor.replace("&", "&amp;").replace('"', "&quot;")
    return f'<o:external-list><o:entry anc="{text}"/></o:external-list>'


OTHERS = "<o:other-identity/>"


class Kept:
    """The lists of a store of documents."""

    def __init__(self) -> None:
        self.store: Any = MemoryDocumentStore()
        self.lists = RuleLists(self.store, "/xcap-root")
        self._etags = 0

    def put(self, content: str, owner: str = ALICE, name: str = "index") -> None:
        self._etags += 1
        before = self.store.get("resource-lists", owner, name)
        document = Document(
            auid="resource-lists", owner=owner, name=name, etag=str(self._etags), content=content.encode()
        )
        self.store.put(document, before.etag if before is not None else "")

    def members(self, anchor: str = FRIENDS, owner: str = ALICE) -> Any:
        found: Any = self.lists.members(owner, anchor)
        assert not isinstance(found, Deferred)
        return found if found is None else sorted(found)


@pytest.fixture
def kept() -> Kept:
    return Kept()


def test_who_is_in_a_list(kept: Kept) -> None:
    kept.put(
        lists(
            "sip:bob@example.com:5070;transport=tcp",
            "pres:carol@EXAMPLE.com",
            "tel:+1234",
            '<list name="inner"><entry uri="sips:dave@example.com"/></list>',
            '<entry-ref ref="resource-lists/users/sip:alice@example.com/other/~~/resource-lists/list/entry"/>',
            f'<external anchor="{ROOT}/resource-lists/users/{ALICE}/other/~~/resource-lists/list"/>',
            f'<external anchor="{FRIENDS.replace(chr(34), "")}"/>',
            f'<external anchor="{ROOT}/resource-lists/users/{ALICE}/none/~~/resource-lists/list"/>',
        )
    )
    kept.put(lists("sip:erin@example.com", name="o"), name="other")
    assert kept.members() == [f"sip:{name}@example.com" for name in ("bob", "carol", "dave", "erin")]
    assert len(kept.lists) == 1


@pytest.mark.parametrize(
    "entry",
    [
        '<external anchor="https://elsewhere.example.net/lists/x"/>',
        '<external anchor="http://["/>',
        f'<external anchor="{ROOT}/resource-lists/users/{BOB}/index/~~/resource-lists/list"/>',
        '<entry-ref ref="resource-lists/users/sip:bob@example.com/index/~~/x"/>',
    ],
)
def test_a_list_that_leads_elsewhere_is_not_resolved(kept: Kept, entry: str) -> None:
    kept.put(lists(BOB, entry))
    assert kept.members() is None


def test_a_list_that_is_not_there_has_no_members(kept: Kept) -> None:
    assert kept.members() == []
    kept.put(lists(BOB, name="enemies"))
    kept.lists.changed(ALICE)
    assert kept.members() == []
    assert kept.members("https://elsewhere.example.net/x") is None
    assert kept.members(FRIENDS, BOB) is None
    assert RuleLists(None, "/xcap-root").members(ALICE, FRIENDS) == frozenset()


def test_a_global_list(kept: Kept) -> None:
    anchor = f"{ROOT}/resource-lists/global/staff/~~/resource-lists/list"
    kept.put(lists(BOB), "", "staff")
    assert kept.members(anchor) == [BOB]
    kept.put(lists(CAROL), "", "staff")
    kept.lists.changed(BOB)
    assert kept.members(anchor) == [BOB]
    kept.lists.changed("")
    assert kept.members(anchor) == [CAROL]


@pytest.mark.parametrize("limit", ["MOST_MEMBERS", "MOST_REFERENCES", "MOST_DEEP"])
def test_too_much_is_not_resolved(kept: Kept, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    nested = '<list><list><entry uri="sip:dave@example.com"/></list></list>'
    refs = [f'<external anchor="{FRIENDS.replace("friends", str(number))}"/>' for number in range(2)]
    kept.put(lists(BOB, CAROL, nested, *refs))
    assert kept.members() == [BOB, CAROL, "sip:dave@example.com"]
    kept.lists.changed(ALICE)
    monkeypatch.setattr(rule_lists, limit, 1)
    assert kept.members() is None


def test_what_is_kept_is_bounded(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.put(lists(BOB, CAROL))
    monkeypatch.setattr(rule_lists, "_MOST_KEPT", 2)
    for number in range(5):
        kept.members(f"{FRIENDS[:-6]}{number}%22%5D")
    assert len(kept.lists) <= 2
    kept.lists.changed(ALICE)
    monkeypatch.setattr(rule_lists, "_MOST_KEPT_MEMBERS", 3)
    kept.members()
    kept.put(lists(BOB, CAROL, name="more"), name="more")
    assert kept.members(f"{ROOT}/resource-lists/users/{ALICE}/more/~~/resource-lists/list") == [BOB, CAROL]
    assert len(kept.lists) == 1


def test_a_store_that_answers_later_is_asked_once(kept: Kept) -> None:
    kept.put(lists(BOB))
    get, asked = kept.store.get, []

    def later(*place: str) -> Any:
        asked.append(Deferred())
        return asked[-1].addCallback(lambda _: get(*place))

    kept.store.get = later
    got: list[Any] = []
    for _ in range(2):
        answer: Any = kept.lists.members(ALICE, FRIENDS)
        answer.addCallback(got.append)
    assert len(asked) == 1 and not got
    # What is under way may have read the old one.
    kept.lists.changed(ALICE)
    again: Any = kept.lists.members(ALICE, FRIENDS)
    again.addCallback(got.append)
    asked[0].callback(None)
    assert got == [{BOB}] * 2 and not len(kept.lists)
    asked[1].callback(None)
    assert got == [{BOB}] * 3 and len(kept.lists) == 1


def test_a_store_that_fails_grants_nothing_now(kept: Kept, failures: Any) -> None:
    get = kept.store.get
    kept.put(lists(BOB))
    kept.store.get = lambda *place: fail(StoreError("damaged"))
    assert kept.members() is None
    kept.store.get = get
    assert kept.members() == [BOB]
    failures.texts.clear()


# -- with a server ------------------------------------------------------------------------------


def test_friends_see_and_others_wait(desk: Any) -> None:
    desk.put("resource-lists", lists(BOB))
    desk.put("pres-rules", rules((in_list(), "allow"), (OTHERS, "confirm")))
    desk.user("alice").publish(Presence(ALICE).with_status("open"))
    bob, carol = desk.user("bob").watch(), desk.user("carol").watch()
    assert Presence.parse(bob.notify().body).basic == "open"
    assert not carol.notify().body
    # She becomes a friend, and he is one no more.
    desk.put("resource-lists", lists(CAROL))
    assert Presence.parse(carol.notify().body).basic == "open"
    waiting = bob.notify()
    assert str(waiting.typed("subscription-state")).startswith("pending") and not waiting.body
    # What is of no importance to anybody is not told.
    desk.put("resource-lists", lists(CAROL, "sip:dave@example.com"))
    desk.put("resource-lists", lists(BOB), "sip:erin@example.com")
    bob.quiet()
    desk.documents.delete(desk.documents.get("resource-lists", ALICE, "index"))
    assert str(carol.notify().typed("subscription-state")).startswith("pending")


def test_a_list_elsewhere_grants_nothing_to_anybody(desk: Any) -> None:
    desk.put("pres-rules", rules((in_list("https://example.net/lists/friends"), "allow"), (OTHERS, "confirm")))
    assert desk.user("bob").watch().status == 403


def test_friends_have_to_prove_who_they_are(make_desk: Callable[..., Any]) -> None:
    desk = make_desk().start()
    desk.put("resource-lists", lists("sip:mallory@example.net"))
    desk.put("pres-rules", rules((in_list(), "allow")))
    assert desk.user("mallory", "example.net").watch().status == 403


def test_the_root_has_the_path_that_the_server_says(desk: Any) -> None:
    desk.put("resource-lists", lists(BOB))
    desk.put("pres-rules", rules((in_list(FRIENDS.replace("xcap-root", "elsewhere")), "allow")))
    assert desk.user("bob").watch().status == 403


def test_a_global_list_counts_for_all(desk: Any) -> None:
    anchor = f"{ROOT}/resource-lists/global/staff/~~/resource-lists/list"
    desk.put("resource-lists", lists(CAROL), "", "staff")
    desk.put("pres-rules", rules((in_list(anchor), "allow"), (OTHERS, "confirm")))
    bob = desk.user("bob").watched()
    desk.put("resource-lists", lists(BOB), "", "staff")
    assert str(bob.notify().typed("subscription-state")).startswith("active")


def test_who_waits_is_let_in_by_a_list(desk: Any) -> None:
    desk.put("pres-rules", rules((in_list(), "allow"), (OTHERS, "confirm")))
    winfo = desk.user("alice").watched(ALICE, event="presence.winfo")
    assert desk.user("bob").watch(ALICE, 0).notify()
    (watcher,) = WinfoDocument.parse(winfo.notify().body).lists[0].watchers
    assert watcher.status == "waiting"
    desk.put("resource-lists", lists(BOB))
    (watcher,) = WinfoDocument.parse(winfo.notify().body).lists[0].watchers
    assert (watcher.status, watcher.event) == ("terminated", "approved")


def test_lists_and_rules_that_come_later(make_desk: Callable[..., Any]) -> None:
    desk = make_desk()
    get, names = desk.documents.get, desk.documents.names
    asked: list[Deferred[None]] = []

    def later(answer: Any) -> Any:
        asked.append(Deferred())
        return asked[-1].addCallback(lambda _: answer)

    desk.start()
    desk.put("resource-lists", lists(BOB))
    desk.put("pres-rules", rules((in_list(), "allow")))
    desk.documents.get = lambda *place: later(get(*place)) if place[0] == "resource-lists" else get(*place)
    desk.documents.names = lambda *place: later(names(*place))
    desk.network.clock.callLater(0.5, lambda: [each.callback(None) for each in asked if not each.called])
    desk.network.clock.callLater(1.0, lambda: [each.callback(None) for each in asked if not each.called])
    assert desk.user("bob").watched().status == 200
    desk.documents.get, desk.documents.names = get, names
