"""Which user's document defines a list service (RFC 4826 section 4.5)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from twisted_sip.documents.resource_lists import Entry, ResourceList
from twisted_sip.documents.rls_services import RLSService, RLSServices, build
from twisted_sip.errors import StoreError
from twisted_sip.interfaces.documents import Document
from twisted_sip.storage.documents_memory import MemoryDocumentStore
from twisted_sip.storage.service_index import ServiceIndex, service_key
from twisted_sip.testing.document_contract import ALICE, BOB

FRIENDS = "sip:friends@example.com"
WORK = "sip:work@example.com"


def services(*uris: str, owner: str = ALICE, name: str = "index", etag: str = "1") -> Document:
    made = RLSServices(tuple(RLSService(uri=uri, members=ResourceList("", (Entry(BOB),))) for uri in uris))
    return Document(auid="rls-services", owner=owner, name=name, etag=etag, content=build(made))


def result(value: Any) -> Any:
    results: list[Any] = []
    deferred = value if isinstance(value, Deferred) else Deferred.fromCoroutine(value)
    deferred.addBoth(results.append)
    assert results, "it waits"
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


class LaterStore(MemoryDocumentStore):
    """A store whose look at everything has to be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Deferred[Any]] = []

    def every(self, auid: str) -> Any:
        self.asked.append(Deferred())
        return self.asked[-1]

    def get(self, auid: str, owner: str, name: str) -> Any:
        return succeed(super().get(auid, owner, name))


def test_what_was_there_before_and_what_comes() -> None:
    store = MemoryDocumentStore()
    store.put(services(FRIENDS))
    store.put(services("sip:global@example.com", owner=""))
    index = ServiceIndex(store)
    assert index.owner_of(FRIENDS) is None
    result(index.ready())
    assert index.owner_of("sip:friends@EXAMPLE.com;x=y") == ALICE and len(index) == 1
    store.put(services(FRIENDS, WORK, etag="2"), "1")
    store.put(services("sip:other@example.com", owner=BOB, name="not-index"))
    store.put(Document(auid="pres-rules", owner=BOB, name="index", etag="1", content=b""))
    assert index.owner_of(WORK) == ALICE and len(index) == 3
    assert index.owner_of("sip:other@example.com") is None, "only documents called index define services"
    store.delete(services(etag="2"))
    assert index.owner_of(FRIENDS) is None and len(index) == 1
    result(index.ready())
    index.close()
    store.put(services(FRIENDS))
    assert index.owner_of(FRIENDS) is None


def test_changes_while_everything_is_read() -> None:
    store = LaterStore()
    index = ServiceIndex(store)
    ready: list[Any] = []
    for _ in range(2):
        index.ready().addBoth(ready.append)
    assert len(store.asked) == 1
    old = [services(FRIENDS), services(WORK, owner=BOB), services("sip:c@example.com", owner="sip:c@example.com")]
    for document in old[:2]:
        store.put(document)
    store.delete(old[0])
    store.put(services("sip:new@example.com", owner=BOB, etag="2"), "1")
    store.asked[0].callback(old)
    assert ready == [None, None]
    assert index.owner_of(FRIENDS) is None and index.owner_of(WORK) is None
    assert index.owner_of("sip:new@example.com") == BOB and index.owner_of("sip:c@example.com") == "sip:c@example.com"
    found = result(index.find("sip:new@example.com"))
    assert found[0] == BOB and found[1].members.uris() == [BOB]


def test_a_store_that_cannot_be_read_is_asked_again() -> None:
    store = LaterStore()
    index = ServiceIndex(store)
    failed: list[Any] = []
    index.ready().addErrback(failed.append)
    store.asked[0].errback(StoreError("oh"))
    assert failed[0].check(StoreError)
    ready: list[Any] = []
    index.ready().addBoth(ready.append)
    store.asked[1].callback([])
    assert ready == [None]

    class Broken(MemoryDocumentStore):
        def every(self, auid: str) -> Any:
            return fail(StoreError("oh"))

    with pytest.raises(StoreError):
        result(ServiceIndex(Broken()).find(FRIENDS))


def test_what_is_found_may_have_gone_or_be_unreadable() -> None:
    store = MemoryDocumentStore()
    index = ServiceIndex(store)
    store.put(services(FRIENDS))
    assert result(index.find(WORK)) is None
    home = store._homes["rls-services", ALICE]
    home["index"] = services(WORK)
    assert result(index.find(FRIENDS)) is None
    home["index"] = Document(auid="rls-services", owner=ALICE, name="index", etag="1", content=b"<x")
    with pytest.raises(StoreError, match="cannot be read"):
        result(index.find(FRIENDS))
    del home["index"]
    assert result(index.find(FRIENDS)) is None


def test_claims() -> None:
    store = MemoryDocumentStore()
    index = ServiceIndex(store)
    store.put(services(FRIENDS))
    here, there = (ALICE, "index"), (BOB, "index")
    assert index.taken(FRIENDS, there) and not index.taken(FRIENDS, here)
    settle = index.claim([WORK], there)
    assert index.taken(WORK, here) and not index.taken(WORK, there)
    settle()
    assert not index.taken(WORK, here)


def test_of_two_documents_with_one_uri_the_first_counts() -> None:
    store = MemoryDocumentStore()
    store.put(services(FRIENDS))
    store.put(services(FRIENDS, owner=BOB))
    index = ServiceIndex(store)
    result(index.ready())
    assert index.owner_of(FRIENDS) == ALICE
    store.delete(services(FRIENDS, owner=BOB))
    assert index.owner_of(FRIENDS) == ALICE


def test_keys() -> None:
    assert service_key(" tel:+1 ") == "tel:+1"
    assert service_key("no uri") == "no uri"
