"""The server without HTTP: directories, usages of one's own, and what only a program can ask."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from twisted_sip.documents import xcap_error
from twisted_sip.documents.resource_lists import NAMESPACE
from twisted_sip.interfaces.documents import Document
from twisted_sip.storage.documents_memory import MemoryDocumentStore
from twisted_sip.storage.service_index import ServiceIndex
from twisted_sip.xcap.digest import HTTPDigest
from twisted_sip.xcap.list_constraints import check_lists
from twisted_sip.xcap.node_edits import ConflictError
from twisted_sip.xcap.selectors import DocumentSelector, Target
from twisted_sip.xcap.server import Ask, Reply, XCAPServer
from twisted_sip.xcap.usage import ApplicationUsage, Client, Usages
from twisted_sip.xcap.usages import RLSServices, default_usages

ALICE = "sip:alice@example.com"
TYPE = "application/resource-lists+xml"
BODY = f'<resource-lists xmlns="{NAMESPACE}"/>'.encode()


class Later(MemoryDocumentStore):
    """A store that has to be waited for."""

    def get(self, auid: str, owner: str, name: str) -> Any:
        return succeed(super().get(auid, owner, name))

    def names(self, auid: str, owner: str) -> Any:
        return succeed(super().names(auid, owner))

    def every(self, auid: str) -> Any:
        return succeed(super().every(auid))


def result(coroutine: Any) -> Any:
    results: list[Any] = []
    Deferred.fromCoroutine(coroutine).addBoth(results.append)
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


@pytest.fixture(params=[MemoryDocumentStore, Later])
def server(request: Any) -> XCAPServer:
    store = request.param()
    return XCAPServer(store, default_usages(ServiceIndex(store)), root="http://x/", now=lambda: 5.0)


def ask(server: XCAPServer, method: str, name: str, auid: str = "resource-lists", **how: Any) -> Reply:
    target = Target(document=DocumentSelector(auid=auid, owner=how.pop("owner", ALICE), name=name))
    client = Client(user=ALICE, trusted=how.pop("trusted", False))
    reply = result(server.answer(Ask(method=method, target=target, client=client, content_type=TYPE, body=BODY, **how)))
    assert isinstance(reply, Reply)
    return reply


def test_directories_that_are_there(server: XCAPServer) -> None:
    server.store.put(Document(auid="resource-lists", owner=ALICE, name="sub/one", etag="1", content=BODY))
    assert ask(server, "PUT", "sub/two").status == 201
    assert xcap_error.parse(ask(server, "PUT", "other/two").body).condition == "no-parent"
    # Section 6.2: no document with the name of a directory.
    assert xcap_error.parse(ask(server, "PUT", "sub").body).condition == "constraint-failure"
    assert ask(server, "PUT", "index").status == 201
    assert ask(server, "GET", "sub/two").body == BODY


def test_documents_that_are_made(server: XCAPServer) -> None:
    ask(server, "PUT", "index")
    made = ask(server, "GET", "directory.xml", "org.openmobilealliance.xcap-directory")
    assert b'auid="resource-lists"' in made.body and b'uri="http://x/resource-lists/users/sip:' in made.body
    assert ask(server, "GET", "index", "rls-services", owner="", trusted=True).status == 200
    assert ask(server, "GET", "index", "rls-services", owner="").status == 403


def test_a_usage_that_is_not_served(server: XCAPServer) -> None:
    assert ask(server, "GET", "index", "nothing").status == 404
    assert server.allowed(Target(document=DocumentSelector(auid="nothing", owner=ALICE, name="index"))) == ()


def test_a_usage_without_schemas_takes_any_document() -> None:
    class Anything(ApplicationUsage):
        auid = "anything"
        content_type = TYPE

        def read_only(self, selector: DocumentSelector) -> bool:
            return selector.name == "made"

    store = MemoryDocumentStore()
    server = XCAPServer(store, Usages((Anything(),)), root="http://x", now=lambda: 5.0)
    assert ask(server, "PUT", "index", "anything").status == 201
    assert ask(server, "GET", "made", "anything").status == 404
    found = store.get("anything", ALICE, "index")
    assert found is not None and found.changed_at == 5.0


def test_alternatives_that_are_all_taken() -> None:
    store = MemoryDocumentStore()
    usage = RLSServices(ServiceIndex(store), lambda uri: succeed(True))
    root = etree.fromstring(
        '<rls-services xmlns="urn:ietf:params:xml:ns:rls-services">'
        '<service uri="sip:a@example.com"><list/></service><service uri="urn:b"><list/></service></rls-services>'
    )
    selector = DocumentSelector(auid="rls-services", owner=ALICE, name="index")
    with pytest.raises(ConflictError) as refused:
        result(usage.constraints(selector, root, "http://x"))
    assert [each.alternatives for each in refused.value.conflict.exists] == [(), ()]
    assert not usage.index.taken("sip:a@example.com", ("sip:bob@example.com", "index")), "the claim is gone"


@pytest.mark.parametrize("inner", ['<entry-ref ref="//["/>', '<external anchor="http://["/>'])
def test_references_that_are_no_uris(inner: str) -> None:
    root = etree.fromstring(f'<resource-lists xmlns="{NAMESPACE}"><list>{inner}</list></resource-lists>')
    with pytest.raises(ConflictError, match="constraint-failure"):
        check_lists(root)


def test_names_that_are_no_identifiers() -> None:
    assert HTTPDigest._identity("a b@", "example.com") == "sip:a%20b%40@example.com"
    assert HTTPDigest._identity("sip:bob@example.com", "example.com") == "sip:bob@example.com"
    assert HTTPDigest._identity("bob@example.org", "example.com") == "sip:bob%40example.org@example.com"
