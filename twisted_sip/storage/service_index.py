"""Which user's document defines a list service (RFC 4826 sections 4.4.5, 4.4.7 and 4.5).

The URI of a service is unique on a server, and whoever subscribes to it names nothing but that URI. So the URIs of all
services are kept in memory; what a service is, is read from its document when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.documents.rls_services import RLSService, parse
from twisted_sip.errors import DocumentError, RemoteProtocolError, StoreError
from twisted_sip.interfaces.documents import Document, DocumentChange, IDocumentStore
from twisted_sip.message.uri import SIPURI, parse_uri

AUID = "rls-services"
#: The documents that services are taken from (section 4.4.7); URIs are unique in all.
INDEX = "index"

_Place = tuple[str, str]


def service_key(uri: str) -> str:
    """Return what the URIs of one service share (section 5): the address-of-record of a SIP URI, else the URI."""
    try:
        parsed = parse_uri(uri.strip())
    except RemoteProtocolError:
        return uri.strip()
    return parsed.address_of_record if isinstance(parsed, SIPURI) else uri.strip()


class ServiceIndex:
    """The URIs of all list services in a document store; keeps itself up to date.

    :param store: where the documents are.
    """

    _log = Logger()

    def __init__(self, store: IDocumentStore) -> None:
        self._store = store
        self._services: dict[str, _Place] = {}
        self._documents: dict[_Place, tuple[str, ...]] = {}
        self._claims: list[tuple[_Place, frozenset[str]]] = []
        self._loaded = False
        self._waiting: list[Deferred[None]] = []
        self._stop = store.observe(self._changed)

    def __len__(self) -> int:
        """The number of services."""
        return len(self._services)

    def ready(self) -> Deferred[None]:
        """Fire when every document has been read once; fails with StoreError, and reads anew when asked again."""
        if self._loaded:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        self._waiting.append(waiter)
        if len(self._waiting) == 1:
            read: Deferred[Any] = maybeDeferred(self._store.every, AUID)
            read.addCallback(self._load).addErrback(self._failed)
        return waiter

    def _load(self, documents: Iterable[Document]) -> None:
        for document in documents:
            # What changed meanwhile was heard of already.
            if (document.owner, document.name) not in self._documents:
                self._take(document)
        self._documents = {place: keys for place, keys in self._documents.items() if keys}
        self._loaded = True
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(None)

    def _failed(self, failure: Failure) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.errback(failure)

    def _changed(self, change: DocumentChange) -> None:
        document = change.after or change.before
        assert document is not None
        if document.auid != AUID or not document.owner:
            return
        self._drop((document.owner, document.name))
        if change.after is not None:
            self._take(change.after)
        elif not self._loaded:
            # Remembered as empty: the reading that is under way must not bring it back.
            self._documents[document.owner, document.name] = ()

    def _take(self, document: Document) -> None:
        place = (document.owner, document.name)
        try:
            services = parse(document.content, limit=len(document.content)).services if document.owner else ()
        except DocumentError as error:
            self._log.warn("the services of {owner} cannot be read: {reason}", owner=document.owner, reason=str(error))
            services = ()
        keys = tuple(service_key(service.uri) for service in services)
        self._documents[place] = keys
        for key in keys:
            self._services.setdefault(key, place)

    def _drop(self, place: _Place) -> None:
        for key in self._documents.pop(place, ()):
            if self._services.get(key) == place:
                del self._services[key]

    # -- asking ---------------------------------------------------------------

    def owner_of(self, uri: str) -> str | None:
        """Return the address-of-record of the user who defines the service *uri*, None if nobody does."""
        place = self._services.get(service_key(uri))
        return None if place is None or place[1] != INDEX else place[0]

    async def find(self, uri: str) -> tuple[str, RLSService] | None:
        """Return the service *uri* and the address-of-record of its user, None if there is none (section 4.5).

        :raises StoreError: the store cannot be read.
        """
        await self.ready()
        key = service_key(uri)
        owner = self.owner_of(uri)
        if owner is None:
            return None
        document = self._store.get(AUID, owner, INDEX)
        if isinstance(document, Deferred):
            document = await document
        if document is None:
            return None
        try:
            services = parse(document.content, limit=len(document.content)).services
        except DocumentError as error:
            raise StoreError(f"the services of {owner} cannot be read: {error.reason}") from error
        return next(((owner, service) for service in services if service_key(service.uri) == key), None)

    # -- claiming -------------------------------------------------------------

    def taken(self, uri: str, place: _Place) -> bool:
        """Tell whether another document than the one at *place* (owner, name) has, or is about to have, *uri*."""
        key = service_key(uri)
        if self._services.get(key, place) != place:
            return True
        return any(key in claimed for other, claimed in self._claims if other != place)

    def claim(self, uris: Iterable[str], place: _Place) -> Callable[[], None]:
        """Keep *uris* for the document at *place* while it is being written; return what ends that."""
        claim = (place, frozenset(map(service_key, uris)))
        self._claims.append(claim)
        return lambda: self._claims.remove(claim)

    def close(self) -> None:
        """Stop listening to the store."""
        self._stop()
