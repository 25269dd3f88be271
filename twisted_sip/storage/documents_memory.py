"""The document store that forgets: for tests, simulations, and servers that keep nothing (RFC 4825)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from zope.interface import implementer

from twisted_sip.errors import DocumentConflict, QuotaExceeded, StoreError
from twisted_sip.interfaces.documents import Document, DocumentChange, IDocumentStore
from twisted_sip.storage.document_quota import DocumentQuota

_log = Logger()


class DocumentObservers:
    """Whoever wants to hear of changes; one that fails stops nobody."""

    def __init__(self) -> None:
        self._observers: list[Callable[[DocumentChange], None]] = []

    def add(self, observer: Callable[[DocumentChange], None]) -> Callable[[], None]:
        """Call *observer* with every change from now on; return what ends it."""
        self._observers.append(observer)

        def end() -> None:
            if observer in self._observers:
                self._observers.remove(observer)

        return end

    def tell(self, change: DocumentChange) -> None:
        """Tell everybody of *change*."""
        for observer in tuple(self._observers):
            try:
                observer(change)
            except Exception:
                _log.failure("an observer of documents failed")


def check_version(document: Document, before: Document | None, replaces: str) -> None:
    """Refuse a change that was made for another version than the one that is there.

    :param before: what is there.
    :param replaces: the entity-tag that is expected there, empty for none.
    :raises DocumentConflict: it is another.
    """
    if (before.etag if before is not None else "") != replaces:
        raise DocumentConflict(f"{document.auid}/{document.owner}/{document.name} was changed meanwhile")


@implementer(IDocumentStore)
class MemoryDocumentStore:
    """Keeps documents in memory.

    :param quota: what one user may have.
    """

    def __init__(self, quota: DocumentQuota | None = None) -> None:
        self.quota = quota or DocumentQuota()
        self._homes: dict[tuple[str, str], dict[str, Document]] = {}
        self._observers = DocumentObservers()
        self._open = True

    def get(self, auid: str, owner: str, name: str) -> Document | None:
        return self._find(auid, owner, name)

    def _find(self, auid: str, owner: str, name: str) -> Document | None:
        return self._homes.get((auid, owner), {}).get(name)

    def names(self, auid: str, owner: str) -> Sequence[Document]:
        return sorted(self._homes.get((auid, owner), {}).values(), key=attrgetter("name"))

    def every(self, auid: str) -> Sequence[Document]:
        found = [document for (kind, _), home in self._homes.items() if kind == auid for document in home.values()]
        return sorted(found, key=attrgetter("owner", "name"))

    def owned(self, owner: str) -> Sequence[Document]:
        found = [document for (_, one), home in self._homes.items() if one == owner for document in home.values()]
        return sorted(found, key=attrgetter("auid", "name"))

    def put(self, document: Document, replaces: str = "") -> Deferred[None]:
        before = self._find(document.auid, document.owner, document.name)
        try:
            self._check_open()
            check_version(document, before, replaces)
            kept = [one for (_, owner), home in self._homes.items() if owner == document.owner for one in home.values()]
            self.quota.check(document, before, len(kept), sum(len(one.content) for one in kept))
        except (DocumentConflict, QuotaExceeded, StoreError) as error:
            return fail(error)
        self._homes.setdefault((document.auid, document.owner), {})[document.name] = document
        self._observers.tell(DocumentChange(before, document))
        return succeed(None)

    def delete(self, document: Document) -> Deferred[None]:
        key = (document.auid, document.owner)
        before = self._find(*key, document.name)
        try:
            self._check_open()
            check_version(document, before, document.etag)
        except StoreError as error:
            return fail(error)
        del self._homes[key][document.name]
        if not self._homes[key]:
            del self._homes[key]
        self._observers.tell(DocumentChange(before, None))
        return succeed(None)

    def observe(self, observer: Callable[[DocumentChange], None]) -> Callable[[], None]:
        return self._observers.add(observer)

    def close(self) -> Deferred[None]:
        self._open = False
        return succeed(None)

    def _check_open(self) -> None:
        if not self._open:
            raise StoreError("the document store is closed")
