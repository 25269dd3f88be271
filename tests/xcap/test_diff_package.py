"""The xcap-diff event package (RFC 5874)."""

from __future__ import annotations

import unittest
from typing import Any

from lxml import etree
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from twisted_sip.documents import resource_lists, xcap_diff
from twisted_sip.documents.resource_lists import Entry, ResourceList, ResourceLists
from twisted_sip.documents.xcap_diff import AttributeDiff, DocumentDiff, ElementDiff
from twisted_sip.interfaces.documents import Document
from twisted_sip.interfaces.event_package import Notification
from twisted_sip.storage.documents_memory import MemoryDocumentStore
from twisted_sip.storage.service_index import ServiceIndex
from twisted_sip.testing.package_contract import EventPackageContract, FakeSubscription
from twisted_sip.xcap.diff_package import XCAPDiffPackage
from twisted_sip.xcap.usages import default_usages
from twisted_sip.xcap.validation import validator

ALICE = "sip:alice@example.com"
BOB = "sip:bob@example.com"
ROOT = "http://xcap.example.com/root"
HOME = f"resource-lists/users/{ALICE}"
LISTS = b"""<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists" xmlns:x="urn:x">
<list name="a"><entry uri="sip:joe@example.com" x:y="z"/></list></resource-lists>"""


def wanting(*uris: str) -> tuple[str, bytes]:
    lists = ResourceLists((ResourceList("", tuple(map(Entry, uris))),))
    return resource_lists.MEDIA_TYPE, resource_lists.build(lists)


class XCAPDiffTests(EventPackageContract, unittest.TestCase):
    resource = ALICE
    watcher = ALICE

    def make_package(self, clock: Clock) -> XCAPDiffPackage:
        self.store = MemoryDocumentStore()
        self.usages = default_usages(ServiceIndex(self.store))
        self.put("index", "1", content=LISTS)
        return XCAPDiffPackage(self.store, self.usages, ROOT + "/")

    def put(
        self, name: str, etag: str, replaces: str = "", *, content: bytes = LISTS, owner: str = ALICE,
        auid: str = "resource-lists",
    ) -> None:  # fmt: skip
        made = Document(auid=auid, owner=owner, name=name, etag=etag, content=content)
        results: list[Any] = []
        self.store.put(made, replaces).addBoth(results.append)
        assert results == [None]

    def diffs(self, subscription: FakeSubscription) -> list[Any]:
        told = self.told(subscription)
        validator(xcap_diff.NAMESPACE).check(etree.fromstring(told.body))
        parsed = xcap_diff.parse(told.body)
        assert parsed.xcap_root == ROOT + "/"
        return list(parsed.diffs)

    def notified(self) -> list[Any]:
        called = [call[1] for call in self.host.calls if call[0] == "notify"]
        self.host.calls.clear()
        return called

    def test_the_owner_alone_may_watch(self) -> None:
        assert self.subscribed().authorization.state == "active"
        assert self.subscribed(BOB).authorization.status == 403
        assert self.wait(self.package.has_resource(ALICE)) is True

    def test_bodies_that_will_not_do(self) -> None:
        for content_type, body, status in (
            ("application/xml", wanting("x/")[1], 415),
            (resource_lists.MEDIA_TYPE, b"<x", 400),
            (*wanting("http://elsewhere.example/x/users/y/z"), 400),
            (*wanting("resource-lists/users/nobody/index"), 400),
            (*wanting(f"resource-lists/users/{BOB}/"), 400),
            (*wanting("resource-lists/global/"), 0),
            (*wanting(*[str(number) for number in range(101)]), 400),
            (*wanting(f"{HOME}/", "pres-rules/", f"{ROOT}/{HOME}/index", "/root/pres-rules/"), 0),
        ):
            authorization = self.subscribed(body=(content_type, body)).authorization
            assert authorization.status == status, body

    def test_documents(self) -> None:
        subscription = self.subscribed(body=wanting(f"{HOME}/index", f"{HOME}/other"))
        sel = f"{HOME}/index"
        assert self.diffs(subscription) == [DocumentDiff(sel=sel, new_etag="1")]
        assert self.diffs(subscription) == []
        self.put("index", "2", "1")
        self.put("index", "3", "2")
        self.put("unwanted", "1")
        assert self.notified() == [subscription, subscription]
        assert self.diffs(subscription) == [DocumentDiff(sel=sel, previous_etag="1", new_etag="3")]
        self.put("other", "x")
        assert self.diffs(subscription) == [DocumentDiff(sel=f"{HOME}/other", new_etag="x")]
        self.package.full_state_due(subscription)
        assert [diff.new_etag for diff in self.diffs(subscription)] == ["3", "x"]
        self.store.delete(Document(auid="resource-lists", owner=ALICE, name="other", etag="x", content=b""))
        assert self.notified()[-1] is subscription
        assert self.diffs(subscription) == [DocumentDiff(sel=f"{HOME}/other", previous_etag="x")]

    def test_directories(self) -> None:
        all_of_it = self.subscribed()
        rules = self.subscribed(body=wanting("pres-rules/"), id="s2")
        lists = self.subscribed(body=wanting(f"{HOME}/"), id="s3")
        unknown = self.subscribed(body=wanting("unknown/"), id="s4")
        assert [diff.sel for diff in self.diffs(all_of_it)] == [f"{HOME}/index"]
        assert self.diffs(rules) == self.diffs(unknown) == []
        self.put("index", "r", auid="pres-rules")
        self.put("index", "b", auid="pres-rules", owner=BOB)
        self.put("index", "g", auid="pres-rules", owner="")
        assert self.notified() == [all_of_it, rules]
        assert [diff.new_etag for diff in self.diffs(rules)] == ["r"]
        assert [diff.new_etag for diff in self.diffs(lists)] == ["1"]

    def test_the_global_tree(self) -> None:
        subscription = self.subscribed(body=wanting("resource-lists/global/all", "rls-services/global/index"))
        assert self.diffs(subscription) == []
        self.put("all", "g", owner="")
        self.put("index", "g", owner="", auid="rls-services")
        assert self.notified() == [subscription, subscription]
        assert [diff.sel for diff in self.diffs(subscription)] == ["resource-lists/global/all"]

    def test_what_is_somebody_elses_is_never_told(self) -> None:
        subscription = self.subscribed(body=wanting(f"resource-lists/users/{BOB}/index", "nothing/users/a@b/c"))
        assert self.diffs(subscription) == []
        self.put("index", "1", owner=BOB)
        assert self.notified() == []
        assert self.diffs(subscription) == []

    def test_elements_and_attributes(self) -> None:
        node = f"{HOME}/index/~~/resource-lists/list%5b@name=%22a%22%5d"
        attribute = f"{HOME}/index/~~/resource-lists/list/entry/@x:y?xmlns(x=urn:x)"
        bad = f"{HOME}/index/~~/y:z"
        missing = f"{HOME}/none/~~/resource-lists"
        subscription = self.subscribed(body=wanting(node, attribute, bad, missing, f"{node}/@none"))
        element, value, absent, none = self.diffs(subscription)
        assert isinstance(element, ElementDiff) and element.exists
        assert etree.fromstring(element.content).tag == "{urn:ietf:params:xml:ns:resource-lists}list"
        assert value == AttributeDiff(sel=f"{HOME}/index/~~/resource-lists/list/entry/@x:y?xmlns(x=urn:x)", value="z")
        assert (absent.exists, none.exists) == (False, False) and isinstance(none, AttributeDiff)
        assert self.diffs(subscription) == []
        self.put("index", "2", "1", content=LISTS.replace(b'"z"', b'"new"'))
        assert self.notified() == [subscription]
        assert [type(diff) for diff in self.diffs(subscription)] == [ElementDiff, AttributeDiff]
        long = LISTS.replace(b"</list>", b'<entry uri="sip:long@example.com"/>' * 1000 + b"</list>")
        self.put("index", "3", "2", content=long)
        found, gone = self.diffs(subscription)
        assert isinstance(found, ElementDiff) and found.content == b"" and found.exists
        # There is more than one such entry now.
        assert isinstance(gone, AttributeDiff) and not gone.exists
        self.put("index", "4", "3", content=b"<resource-lists>\xff")
        assert self.diffs(subscription) == []

    def test_a_subscription_that_is_not_active_is_told_nothing(self) -> None:
        subscription = self.subscribed(BOB)
        assert self.wait(self.package.notification(subscription)) == Notification()

    def test_subscriptions_that_cannot_be_read_stop_nobody(self) -> None:
        good = self.subscribed()
        broken = self.subscription(body=(resource_lists.MEDIA_TYPE, b"<x"))
        self.host.known.insert(0, broken)
        self.put("index", "2", "1")
        assert self.notified() == [good]

    def test_after_the_end_nothing_is_told(self) -> None:
        self.subscribed()
        self.package.close()
        self.put("index", "2", "1")
        assert self.notified() == []
        alone = XCAPDiffPackage(self.store, self.usages, ROOT)
        self.put("index", "3", "2")
        alone.close()

    def test_a_store_may_have_to_be_waited_for(self) -> None:
        class Later:
            def __init__(self, store: MemoryDocumentStore) -> None:
                self.observe = store.observe
                self.get = lambda *key: succeed(store.get(*key))
                self.names = lambda *key: succeed(store.names(*key))

        self.package = XCAPDiffPackage(Later(self.store), self.usages, ROOT, lambda aor: succeed(aor == ALICE))
        subscription = self.subscribed(body=wanting("resource-lists/", f"{HOME}/index"))
        assert self.diffs(subscription) == [DocumentDiff(sel=f"{HOME}/index", new_etag="1")]
        answer = self.package.has_resource(BOB)
        assert isinstance(answer, Deferred) and self.wait(answer) is False
