"""Published event state and the store that keeps it (RFC 3903)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from twisted.internet.defer import Deferred
from zope.interface import Interface


class Publication(NamedTuple):
    """One publication of event state (RFC 3903 section 4.1).

    :ivar resource: the canonical address-of-record that it is about, ``sip:user@host``.
    :ivar package: the event package: ``presence``.
    :ivar key: what makes it itself however often it is refreshed: never told to anybody, unique within resource and
        package.
    :ivar etag: the current entity-tag; a new one with each successful PUBLISH (section 6).
    :ivar content_type: the media type of the body.
    :ivar body: the published document.
    :ivar expires_at: end of life, seconds since the epoch.
    :ivar published_at: when the body came, seconds since the epoch; a refresh without a body leaves it.
    :ivar publisher: the address-of-record that proved itself when it was published, or empty.
    :ivar source: which device it came from, as far as that can be told, until its entity-tag names it; else empty.
    """

    resource: str
    package: str
    key: str
    etag: str
    content_type: str
    body: bytes
    expires_at: float
    published_at: float
    publisher: str = ""
    source: str = ""


class PublicationChange(NamedTuple):
    """An atomic change of what is published.

    :ivar put: publications to add or replace, by (resource, package, key).
    :ivar remove: (resource, package, key) of publications to drop.
    """

    put: tuple[Publication, ...] = ()
    remove: tuple[tuple[str, str, str], ...] = ()


class IPublicationStore(Interface):
    """Makes publications outlive the process; what is current is in the memory of the service that owns them.

    Every implementation passes ``twisted_sip.testing.publication_contract``.
    """

    def load() -> Sequence[Publication] | Deferred[Sequence[Publication]]:
        """Return every unexpired publication, in the order in which they were first made; asked once, at the start.

        :raises StoreError: the store cannot be read.
        """

    def commit(change: PublicationChange) -> Deferred[None]:
        """Make *change* durable, all or nothing.

        The Deferred fires with None once the change would survive a crash of the process; changes become durable in the
        order of the calls. On failure it fires with StoreError (StoreFull where there are too many).

        A store may have a method ``commit_then(change, done)`` beside it, which spares the Deferred: ``done`` is called
        once with what that would fire with, None or a Failure.
        """

    def close() -> Deferred[None]:
        """Flush and release what is held; fires with None."""
