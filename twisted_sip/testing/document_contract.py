"""What every document store must do, as test cases (IDocumentStore; RFC 4825 sections 6.2, 7.11 and 8.5).

Mix it into a test case of your own, and run that with trial or pytest::

    class MyStoreTests(DocumentStoreContract, unittest.TestCase):
        def make_store(self, clock, quota):
            return MyStore(clock, quota)
"""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from twisted_sip.errors import DocumentConflict, QuotaExceeded, StoreError
from twisted_sip.interfaces.documents import Document, DocumentChange, IDocumentStore
from twisted_sip.storage.document_quota import DocumentQuota
from twisted_sip.testing.store_contract import StoreContract
from twisted_sip.testing.waiting import START

ALICE = "sip:alice@example.com"
BOB = "sip:bob@example.com"
#: What one user may have in the tests.
QUOTA = DocumentQuota(documents=4, octets=1000)


def document(
    name: str = "index", etag: str = "1", *, owner: str = ALICE, auid: str = "pres-rules", content: bytes = b"<a/>"
) -> Document:
    """Return a document to put into a store."""
    return Document(auid=auid, owner=owner, name=name, etag=etag, content=content, changed_at=START)


class DocumentStoreContract(StoreContract):
    """Test cases for one kind of store."""

    # -- for the store's own tests to fill in ---------------------------------------

    def make_store(self, clock: Clock, quota: DocumentQuota) -> Any:
        """Return an empty store that grants each user *quota*."""
        raise NotImplementedError

    def _empty(self) -> Any:
        return self.make_store(self.clock, QUOTA)

    def _put(self, made: Document, replaces: str = "") -> None:
        assert self.wait(self.store.put(made, replaces)) is None

    def _get(self, name: str = "index", owner: str = ALICE, auid: str = "pres-rules") -> Document | None:
        found: Document | None = self.wait(self.store.get(auid, owner, name))
        return found

    def _names(self, owner: str = ALICE, auid: str = "pres-rules") -> list[str]:
        return [found.name for found in self.wait(self.store.names(auid, owner))]

    def _refused(self, change: Any, error: type[StoreError]) -> None:
        try:
            self.wait(change)
        except error as refused:
            assert "\n" not in str(refused)
        else:
            raise AssertionError("the change was acknowledged")

    # -- reading and changing --------------------------------------------------------------

    def test_provides_the_interface(self) -> None:
        verifyObject(IDocumentStore, self.store)

    def test_nothing_is_there_at_first(self) -> None:
        assert self._get() is None
        assert self._names() == []
        assert list(self.wait(self.store.every("pres-rules"))) == []

    def test_every_field_comes_back(self) -> None:
        whole = document("sub/größe", "W\u2603", content=b"\xef\xbb\xbf<a>\r\n\0\xff</a>")
        self._put(whole)
        assert self._get("sub/größe") == whole
        assert list(self.wait(self.store.names("pres-rules", ALICE))) == [whole]

    def test_documents_come_by_name(self) -> None:
        for name in ("c", "a", "b"):
            self._put(document(name))
        assert self._names() == ["a", "b", "c"]

    def test_users_usages_and_the_global_tree_are_apart(self) -> None:
        made = [
            document(content=b"1"),
            document(owner=BOB, content=b"2"),
            document(owner="", content=b"3"),
            document(auid="resource-lists", content=b"4"),
        ]
        for each in made:
            self._put(each)
        for each in made:
            assert self._get(each.name, each.owner, each.auid) == each
        assert list(self.wait(self.store.every("pres-rules"))) == [made[2], made[0], made[1]]

    def test_what_one_user_has_of_every_usage(self) -> None:
        made = [document(), document("other"), document(auid="a"), document(owner=BOB), document(owner="")]
        for each in made:
            self._put(each)
        assert list(self.wait(self.store.owned(made[0].owner))) == [made[2], made[0], made[1]]
        assert list(self.wait(self.store.owned("sip:nobody@example.com"))) == []

    def test_a_version_replaces_the_one_it_was_made_from(self) -> None:
        self._put(document(etag="1"))
        assert self._get() is not None
        self._put(document(etag="2", content=b"<b/>"), "1")
        assert self._get() == document(etag="2", content=b"<b/>")
        assert self._names() == ["index"]

    def test_another_version_is_not_replaced(self) -> None:
        self._put(document(etag="1"))
        self._refused(self.store.put(document(etag="2")), DocumentConflict)
        self._refused(self.store.put(document(etag="2"), "0"), DocumentConflict)
        self._refused(self.store.put(document("other", etag="2"), "1"), DocumentConflict)
        assert self._get() == document(etag="1")
        assert self._names() == ["index"]

    def test_of_two_that_come_at_once_one_is_first(self) -> None:
        self._put(document(etag="1"))
        first = self.store.put(document(etag="2"), "1")
        second = self.store.put(document(etag="3"), "1")
        self.wait(first)
        self._refused(second, DocumentConflict)
        assert self._get() == document(etag="2")

    def test_a_version_is_deleted(self) -> None:
        self._put(document(etag="1"))
        self._put(document("other"))
        self._refused(self.store.delete(document(etag="0")), DocumentConflict)
        assert self.wait(self.store.delete(document(etag="1"))) is None
        assert self._get() is None
        assert self._names() == ["other"]
        self._refused(self.store.delete(document(etag="1")), DocumentConflict)
        assert self.wait(self.store.delete(document("other"))) is None
        self._put(document(etag="4"))
        assert self._get() == document(etag="4")

    # -- quota ---------------------------------------------------------------------------------

    def test_a_user_has_so_many_documents(self) -> None:
        for number in range(4):
            self._put(document(str(number), auid="resource-lists" if number % 2 else "pres-rules"))
        self._refused(self.store.put(document("more")), QuotaExceeded)
        self._put(document("0", "2"), "1")
        self._put(document(owner=BOB))
        self.wait(self.store.delete(document("2")))
        self._put(document("more"))

    def test_a_user_has_so_many_bytes(self) -> None:
        self._put(document("one", content=b"x" * 600))
        self._refused(self.store.put(document("two", content=b"x" * 401)), QuotaExceeded)
        self._put(document("two", content=b"x" * 400))
        self._refused(self.store.put(document("two", "2", content=b"x" * 401), "1"), QuotaExceeded)
        self._put(document("two", "2", content=b"x" * 400), "1")
        self._put(document("one", "2", content=b"x"), "1")
        self._put(document("two", "3", content=b"x" * 999), "2")

    def test_the_global_tree_has_no_quota(self) -> None:
        for number in range(6):
            self._put(document(str(number), owner="", content=b"x" * 600))

    # -- observers --------------------------------------------------------------------------------

    def test_observers_hear_of_durable_changes_in_order(self) -> None:
        heard: list[DocumentChange] = []
        end = self.store.observe(heard.append)
        one, two = document(etag="1"), document(etag="2")
        self._put(one)
        self._put(two, "1")
        self._refused(self.store.put(document(etag="3"), "1"), DocumentConflict)
        self.wait(self.store.delete(two))
        assert heard == [DocumentChange(None, one), DocumentChange(one, two), DocumentChange(two, None)]
        end()
        end()
        self._put(one)
        assert len(heard) == 3

    def test_an_observer_that_fails_stops_nobody(self) -> None:
        heard: list[DocumentChange] = []

        def broken(change: DocumentChange) -> None:
            raise RuntimeError("oh")

        self.store.observe(broken)
        self.store.observe(heard.append)
        self._put(document())
        assert len(heard) == 1

    # -- durability ---------------------------------------------------------------------------------

    def test_what_was_acknowledged_outlives_a_crash(self) -> None:
        self._put(document(etag="1"))
        self._put(document(etag="2", content=b"<b/>"), "1")
        self._put(document("gone"))
        self.wait(self.store.delete(document("gone")))
        self.store = self.crash_and_reopen()
        assert self._get() == document(etag="2", content=b"<b/>")
        assert self._names() == ["index"]

    def test_a_change_that_could_not_be_written_is_not_there(self) -> None:
        self._put(document(etag="1"))
        heard: list[DocumentChange] = []
        self.store.observe(heard.append)
        self.fail_writes(True)
        for change in (
            self.store.put(document(etag="2"), "1"),
            self.store.put(document("other")),
            self.store.delete(document(etag="1")),
        ):
            self._refused(change, StoreError)
        assert self._get() == document(etag="1")
        assert heard == []
        self.fail_writes(False)
        self._put(document(etag="2"), "1")
        assert attrs.asdict(heard[0])["after"]["etag"] == "2"

    # -- the end ----------------------------------------------------------------------------------------

    def test_a_closed_store_takes_nothing(self) -> None:
        self._put(document())
        self.wait(self.store.close())
        self._refused(self.store.put(document("other")), StoreError)
        self._refused(self.store.delete(document()), StoreError)
        self.wait(self.store.close())
