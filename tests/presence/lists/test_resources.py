"""From lists and references to resources (RFC 4826 section 4.5)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed

from twisted_sip.documents import resource_lists
from twisted_sip.documents.resource_lists import DisplayName, Entry, EntryRef, External, ResourceList, ResourceLists
from twisted_sip.documents.rls_services import RLSService
from twisted_sip.errors import DocumentError, LocalProtocolError
from twisted_sip.interfaces.documents import Document
from twisted_sip.presence.lists.references import References
from twisted_sip.presence.lists.resources import FlatList, ListRefused, flatten, subscribable
from twisted_sip.presence.lists.settings import ListSettings
from twisted_sip.storage.documents_memory import MemoryDocumentStore

ADAM = "sip:adam@example.com"
ROOT = "http://xcap.example.com/xcap-root"
HOME = "resource-lists/users/sip:adam@example.com/index/~~/resource-lists"
FRIENDS = f"{ROOT}/{HOME}/list%5b@name=%22friends%22%5d"


class Slow(MemoryDocumentStore):
    """Answers later, if at once."""

    def get(self, auid: str, owner: str, name: str) -> Any:
        return succeed(super().get(auid, owner, name))


def now(work: Any) -> Any:
    """Return what *work* gives."""
    results: list[Any] = []
    Deferred.fromCoroutine(work).addBoth(results.append)
    (result,) = results
    if hasattr(result, "raiseException"):
        result.raiseException()
    return result


def keep(store: Any, *lists: ResourceList, owner: str = ADAM, name: str = "index", content: bytes = b"") -> None:
    document = Document(
        auid="resource-lists",
        owner=owner,
        name=name,
        etag=f"{owner}{name}{len(lists)}",
        content=content or resource_lists.build(ResourceLists(lists)),
    )
    store.put(document)


@pytest.fixture(params=[MemoryDocumentStore, Slow])
def store(request: Any) -> Any:
    made = request.param()
    bob = Entry("sip:bob@example.com", DisplayName("Bob", "en"))
    keep(made, ResourceList("friends", (bob, Entry("sip:carol@example.com"))), ResourceList("b/b", (bob,)))
    keep(made, ResourceList("all", (Entry("sip:all@example.com"),)), owner="")
    keep(made, ResourceList("friends", (bob,)), owner="sip:eve@example.com")
    keep(made, name="broken", content=b"<resource-lists/>")
    return made


@pytest.fixture
def references(store: Any) -> References:
    return References(store, "/xcap-root/")


def uris(found: FlatList) -> list[str]:
    return [resource.uri for resource in found.resources]


# -- lists ---------------------------------------------------------------------


def test_a_flat_list_of_entries() -> None:
    found = ResourceList(
        "x",
        (
            Entry("sip:bob@example.com", DisplayName("Bob", "en")),
            ResourceList("y", (Entry("pres:carol@example.com"), Entry("sip:bob@example.com"))),
            Entry("tel:+12015550123"),
            Entry("sip:example.com"),
            Entry("not a uri"),
            Entry("mailto:bob@example.com"),
            EntryRef("nowhere"),
            Entry("sips:dave@example.com;user=phone"),
        ),
        DisplayName("Buddies", "en"),
    )
    flat = now(flatten(found, ADAM, ListSettings()))
    assert uris(flat) == ["sip:bob@example.com", "pres:carol@example.com", "sips:dave@example.com;user=phone"]
    assert flat.owner == ADAM and flat.names[0].text == "Buddies"
    assert [(name.text, name.lang) for name in flat.resources[0].names] == [("Bob", "en")]
    assert flat.resources[1].names == ()


def test_where_a_subscribe_would_go() -> None:
    carol = subscribable("pres:carol@example.com?subject=x")
    assert carol is not None and carol.address_of_record == "sip:carol@example.com"
    assert subscribable("pres:") is None and subscribable(" sip:a@b ") is not None


def test_too_much_of_something(references: References) -> None:
    def refused(found: ResourceList, **settings: Any) -> int:
        with pytest.raises(ListRefused) as caught:
            now(flatten(found, ADAM, ListSettings(**settings), references))
        return caught.value.status

    entries = tuple(Entry(f"sip:{number}@example.com") for number in range(3))
    assert refused(ResourceList("", entries), max_resources=2) == 403
    deep = ResourceList("", (ResourceList("", (ResourceList("", entries),)),))
    assert refused(deep, max_depth=1) == 403
    assert len(now(flatten(deep, ADAM, ListSettings(max_depth=2))).resources) == 3
    assert refused(ResourceList("", (External(FRIENDS), EntryRef("x"))), max_references=1) == 403


def test_thousands_of_entries() -> None:
    entries = tuple(Entry(f"sip:{number}@example.com") for number in range(5000))
    assert len(now(flatten(ResourceList("", entries), ADAM, ListSettings(max_resources=5000))).resources) == 5000


def test_settings_make_sense() -> None:
    with pytest.raises(LocalProtocolError):
        ListSettings(max_resources=0)
    with pytest.raises(LocalProtocolError):
        ListSettings(gather=-1)
    with pytest.raises(LocalProtocolError, match="ad_hoc_user"):
        ListSettings(ad_hoc_user="a b")


# -- references ------------------------------------------------------------------


def test_references_are_followed(references: References) -> None:
    found = ResourceList(
        "",
        (
            External(FRIENDS),
            EntryRef(f"{HOME}/list%5b2%5d/entry%5b1%5d", DisplayName("Bobby")),
            EntryRef("resource-lists/global/index/~~/resource-lists/list/entry"),
        ),
    )
    flat = now(flatten(found, ADAM, ListSettings(), references))
    assert uris(flat) == ["sip:bob@example.com", "sip:carol@example.com", "sip:all@example.com"]
    flat = now(flatten(ResourceList("", found.members[1:]), ADAM, ListSettings(), references))
    assert flat.resources[0].names[0].text == "Bobby"


@pytest.mark.parametrize(
    "reference",
    [
        "resource-lists/users/sip:adam@example.com/index",
        "resource-lists/users/sip:adam@example.com/other/~~/resource-lists/list/entry",
        "resource-lists/users/sip:eve@example.com/index/~~/resource-lists/list/entry",
        "resource-lists/users/tel:1/index/~~/resource-lists/list/entry",
        "resource-lists/users/::/index/~~/resource-lists/list/entry",
        "resource-lists/other/index/~~/resource-lists/list/entry",
        "pres-rules/users/sip:adam@example.com/index/~~/ruleset",
        f"{HOME}",
        f"{HOME}/list",
        f"{HOME}/list[9]/entry",
        f"{HOME}/list[0]/entry",
        f"{HOME}/list/entry",
        f"{HOME}/list[1]/entry/@uri",
        f"{HOME}/list[1]/display-name",
        f"{HOME}/list[1]" + "/x" * 80,
        "resource-lists/users/sip:adam@example.com/broken/~~/resource-lists/list/entry",
        "",
    ],
)
def test_what_leads_nowhere_is_left_out(references: References, reference: str) -> None:
    with pytest.raises(DocumentError):
        now(references.entry_at(ADAM, reference))
    with pytest.raises(DocumentError):
        now(references.list_at(ADAM, f"{ROOT}/{reference}" + ("/entry[1]" if reference.endswith("list") else "")))
    found = ResourceList("", (EntryRef(reference), External(f"{ROOT}/{reference}/x"), Entry("sip:bob@example.com")))
    assert uris(now(flatten(found, ADAM, ListSettings(), references))) == ["sip:bob@example.com"]


@pytest.mark.parametrize(
    "uri", ["http://xcap.example.net/other/x", "ftp://xcap.example.com/xcap-root/x", "http://[", "/xcap-root/x"]
)
def test_other_servers_are_not_asked(references: References, uri: str) -> None:
    with pytest.raises(DocumentError):
        now(references.list_at(ADAM, uri))


def test_without_documents() -> None:
    with pytest.raises(DocumentError):
        now(References(None, "/xcap-root").list_at(ADAM, FRIENDS))


def test_names_with_slashes_and_quotes(references: References) -> None:
    assert len(now(references.list_at(ADAM, f"{ROOT}/{HOME}/rl:list%5b@name='b/b'%5d")).members) == 1
    short = HOME.replace("sip:adam", "adam")
    assert len(now(references.list_at(ADAM, f"{ROOT}/{short}/*%5b2%5d")).members) == 1


def test_a_new_version_is_read(references: References, store: Any) -> None:
    assert len(now(references.list_at(ADAM, FRIENDS)).members) == 2
    before = MemoryDocumentStore.get(store, "resource-lists", ADAM, "index")
    assert before is not None
    content = resource_lists.build(ResourceLists((ResourceList("friends"),)))
    store.put(
        Document(auid="resource-lists", owner=ADAM, name="index", etag="new", content=content), replaces=before.etag
    )
    assert now(references.list_at(ADAM, FRIENDS)).members == ()
    for number in range(40):
        keep(store, ResourceList("x"), name=f"d{number}")
        now(references.list_at(ADAM, f"{ROOT}/{HOME}/list".replace("index", f"d{number}")))
    assert len(references._parsed) <= 32


# -- seen from a watcher -------------------------------------------------------------


def test_a_service_that_refers_to_a_list(site: Any) -> None:
    uri = "sip:adam-buddies@example.com"
    site.put_services(RLSService(uri=uri, resource_list=FRIENDS))
    assert site.watcher().subscribe(uri).status == 502
    site.put_resource_lists(site.list_of("sip:bob@example.com", name="friends"))
    watcher = site.subscribed(uri)
    assert list(watcher.table.rows) == ["sip:bob@example.com"]
    before = site.documents.get("resource-lists", ADAM, "index")
    assert before is not None
    site.put_resource_lists(site.list_of("sip:bob@example.com", "sip:carol@example.com", name="friends"))
    assert watcher.told().full and len(watcher.table.rows) == 2
    # Somebody else's lists, or other documents, do not count.
    site.put_resource_lists(site.list_of(name="friends"), owner="sip:eve@example.com")
    site.put("pidf-manipulation", "sip:zoe@example.com", b"<x/>")
    watcher.quiet()
    site.put_resource_lists(site.list_of("sip:bob@example.com", name="friends"), owner="")
    watcher.quiet()


def test_a_list_that_refers_to_itself(site: Any) -> None:
    circle = ResourceList("friends", (External(FRIENDS), Entry("sip:bob@example.com")))
    site.put_resource_lists(circle)
    uri = "sip:adam-buddies@example.com"
    site.put_services(RLSService(uri=uri, members=ResourceList("", (External(FRIENDS),))))
    assert site.watcher().subscribe(uri).status == 502


def test_a_list_that_breaks_while_it_is_watched(site: Any) -> None:
    uri = "sip:adam-buddies@example.com"
    site.put_resource_lists(site.list_of("sip:bob@example.com", name="friends"))
    site.put_services(RLSService(uri=uri, resource_list=FRIENDS))
    watcher = site.subscribed(uri)
    site.put_resource_lists(site.list_of(name="enemies"))
    request = watcher.notify()
    assert request.typed("subscription-state").reason == "giveup"
    assert not watcher.table.take(watcher.body_of(request)).resources
