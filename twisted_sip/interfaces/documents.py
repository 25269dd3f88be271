"""XML documents of users, as an XCAP server keeps them, and the store for them (RFC 4825)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Interface


@attrs.frozen(slots=True, kw_only=True)
class Document:
    """One document (RFC 4825 section 6.2).

    :ivar auid: the application usage: ``pres-rules``.
    :ivar owner: the canonical address-of-record of its user, empty for the global tree.
    :ivar name: its path below the user's home or the global directory: ``index``.
    :ivar etag: its entity-tag (section 8.5), never the same for two versions.
    :ivar content: the document as it was put.
    :ivar changed_at: seconds since the epoch.
    """

    auid: str
    owner: str
    name: str
    etag: str
    content: bytes
    changed_at: float = 0.0


@attrs.frozen(slots=True)
class DocumentChange:
    """A change that became durable.

    :ivar before: the document before, None if it was made.
    :ivar after: the document now, None if it was deleted.
    """

    before: Document | None
    after: Document | None


class IDocumentStore(Interface):
    """Keeps documents. Every implementation passes ``twisted_sip.testing.document_contract``."""

    def get(auid: str, owner: str, name: str) -> Document | Deferred[Document | None] | None:
        """Return a document, None if there is none; a value where it is in memory.

        :raises StoreError: the store cannot be read.
        """

    def names(auid: str, owner: str) -> Sequence[Document] | Deferred[Sequence[Document]]:
        """Return the documents of one user and application usage, by name."""

    def every(auid: str) -> Sequence[Document] | Deferred[Sequence[Document]]:
        """Return the documents of all users of one application usage, by owner and name: for an index, at a start."""

    def owned(owner: str) -> Sequence[Document] | Deferred[Sequence[Document]]:
        """Return the documents of one user of every application usage, by usage and name: for who removes the user."""

    def put(document: Document, replaces: str = "") -> Deferred[None]:
        """Make *document* durable.

        :param replaces: the entity-tag of the version that it replaces, empty where there is none.
        Fires with None; fails with DocumentConflict where another version is there, QuotaExceeded where the user has
        too many or too much, StoreError.
        """

    def delete(document: Document) -> Deferred[None]:
        """Delete this version of a document; fires with None, fails as :meth:`put`."""

    def observe(observer: Callable[[DocumentChange], None]) -> Callable[[], None]:
        """Call *observer* with every change that became durable; return what ends it."""

    def close() -> Deferred[None]:
        """Flush and release what is held; fires with None."""
