"""What is published: the event state compositor's table of publications (RFC 3903 sections 4.1 and 6).

Memory is authoritative. A change is seen by those who ask from the moment it is made durable; entity-tags change at
once, so that of two PUBLISH requests with one entity-tag the second is told 412 whatever the disk does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from twisted_sip.errors import StoreFull
from twisted_sip.interfaces.publication import IPublicationStore, Publication, PublicationChange
from twisted_sip.storage.expiry import ExpirySchedule

#: (resource, package).
Place = tuple[str, str]

_NONE: dict[str, Publication] = {}


class Publications:
    """All publications of one event state compositor.

    :param clock: a reactor; its seconds are seconds since the epoch.
    :param make_text: gives unique text for keys and entity-tags; unguessable, since who knows an entity-tag may look
        like the publisher.
    :param changed: called with (resource, package) when its durable state has changed: published, removed, expired.
    """

    def __init__(
        self,
        store: IPublicationStore,
        clock: IReactorTime,
        make_text: Callable[[], str],
        changed: Callable[[str, str], None],
        *,
        max_publications: int = 200_000,
        max_per_resource: int = 20,
    ) -> None:
        self._store = store
        self._clock = clock
        self._make_text = make_text
        self._changed = changed
        self._most = max_publications
        self._most_each = max_per_resource
        # What is durable, by place and key, and the entity-tags that are good now (of changes under way, too).
        self._durable: dict[Place, dict[str, Publication]] = {}
        self._tags: dict[Place, dict[str, Publication]] = {}
        self._size = 0
        self._expiry = ExpirySchedule(clock, self._look)

    def __len__(self) -> int:
        return self._size

    async def load(self) -> None:
        """Take up what the store remembers; nobody is told.

        :raises StoreError: it cannot be read.
        """
        loaded = self._store.load()
        for publication in await loaded if isinstance(loaded, Deferred) else loaded:
            place = (publication.resource, publication.package)
            self._durable.setdefault(place, {})[publication.key] = publication
            self._tags.setdefault(place, {})[publication.etag] = publication
            self._size += 1
            self._expiry.at(_name(place), publication.expires_at)

    # -- asking ------------------------------------------------------------------------

    def of(self, resource: str, package: str) -> Sequence[Publication]:
        """Return what is published, in the order of its first publication."""
        found = self._durable.get((resource, package))
        return list(found.values()) if found else ()

    def resources(self, package: str) -> Sequence[str]:
        """Return the resources about which something is published."""
        return [resource for resource, published_package in self._durable if published_package == package]

    def tagged(self, resource: str, package: str, etag: str) -> Publication | None:
        """Return the publication that has this entity-tag now, None if there is none: 412 (section 6, step 3)."""
        publication = self._tags.get((resource, package), _NONE).get(etag)
        if publication is None or publication.expires_at <= self._clock.seconds():
            return None
        return publication

    # -- changing ----------------------------------------------------------------------

    def publish(
        self,
        resource: str,
        package: str,
        *,
        content_type: str,
        body: bytes,
        expires: int,
        publisher: str = "",
        replaces: Publication | None = None,
    ) -> tuple[Publication, Deferred[None]]:
        """Make a publication, or replace one; refresh it if nothing but the time is new.

        :param expires: seconds that it lives.
        :param replaces: the one that it replaces, as :meth:`tagged` gave it.
        :return: the publication with its new entity-tag, and a Deferred that fires with None once it is durable and
            has been told of; or fails with StoreError, and all is as before.
        :raises StoreFull: there are too many.
        """
        place = (resource, package)
        now = self._clock.seconds()
        refreshed = replaces is not None and replaces.body == body and replaces.content_type == content_type
        if replaces is None:
            if self._size >= self._most or len(self._tags.get(place, ())) >= self._most_each:
                raise StoreFull(f"too many publications of {resource}")
            self._size += 1
        made = Publication(
            resource=resource,
            package=package,
            key=self._make_text() if replaces is None else replaces.key,
            etag=self._make_text(),
            content_type=content_type,
            body=body,
            expires_at=now + expires,
            published_at=replaces.published_at if refreshed and replaces is not None else now,
            publisher=publisher,
        )
        tags = self._tags.setdefault(place, {})
        if replaces is not None:
            tags.pop(replaces.etag, None)
        tags[made.etag] = made
        committed = self._store.commit(PublicationChange(put=(made,)))
        committed.addCallbacks(
            self._published, self._not_published, callbackArgs=(made, refreshed), errbackArgs=(made, replaces)
        )
        return made, committed

    def remove(self, publication: Publication) -> Deferred[None]:
        """Drop a publication (section 4.5); fires with None once that is durable and has been told of."""
        place = (publication.resource, publication.package)
        self._untag(place, publication.etag)
        committed = self._store.commit(PublicationChange(remove=((*place, publication.key),)))
        committed.addCallbacks(
            self._removed, self._not_removed, callbackArgs=(publication,), errbackArgs=(publication,)
        )
        return committed

    def _published(self, _: object, made: Publication, refreshed: bool) -> None:
        place = (made.resource, made.package)
        self._durable.setdefault(place, {})[made.key] = made
        self._expiry.at(_name(place), made.expires_at)
        if not refreshed:
            self._changed(*place)

    def _not_published(self, failure: Failure, made: Publication, replaces: Publication | None) -> Failure:
        place = (made.resource, made.package)
        tags = self._tags.get(place, _NONE)
        if tags.pop(made.etag, None) is not None and replaces is not None:
            # Unless somebody has gone on from the new entity-tag already, the old one is good again.
            tags[replaces.etag] = replaces
        if replaces is None:
            self._size -= 1
        self._tidy(place)
        return failure

    def _removed(self, _: object, publication: Publication) -> None:
        place = (publication.resource, publication.package)
        known = self._durable.get(place, _NONE)
        if known.pop(publication.key, None) is not None:
            self._size -= 1
            self._tidy(place)
            self._changed(*place)

    def _not_removed(self, failure: Failure, publication: Publication) -> Failure:
        self._tags.setdefault((publication.resource, publication.package), {})[publication.etag] = publication
        return failure

    def _untag(self, place: Place, etag: str) -> None:
        tags = self._tags.get(place)
        if tags is not None:
            tags.pop(etag, None)

    def _tidy(self, place: Place) -> None:
        """Forget a place at which nothing is left."""
        if not self._tags.get(place, True):
            del self._tags[place]
        if not self._durable.get(place, True):
            del self._durable[place]
            self._expiry.forget(_name(place))

    # -- the end of what is not refreshed --------------------------------------------------

    def _look(self, name: str, now: float) -> float | None:
        """Drop what has expired at a place (section 4.1); return when to look again."""
        place = _place(name)
        known = self._durable.get(place, _NONE)
        gone = [publication for publication in known.values() if publication.expires_at <= now]
        if gone:
            self._forget(place, gone)
            self._changed(*place)
        # Read anew: who was told may have changed it.
        left = self._durable.get(place, _NONE)
        return min((publication.expires_at for publication in left.values()), default=None)

    def _forget(self, place: Place, gone: Iterable[Publication]) -> None:
        known = self._durable[place]
        for publication in gone:
            del known[publication.key]
            self._untag(place, publication.etag)
            self._size -= 1
        self._tidy(place)
        # Should this not become durable, it has expired all the same when it is read again.
        dropped = self._store.commit(PublicationChange(remove=tuple((*place, one.key) for one in gone)))
        dropped.addErrback(lambda failure: None)

    def close(self) -> Deferred[None]:
        """Forget everything here and close the store; fires with None."""
        self._expiry.stop()
        self._durable.clear()
        self._tags.clear()
        self._size = 0
        return self._store.close()


def _name(place: Place) -> str:
    return "\n".join(place)


def _place(name: str) -> Place:
    resource, _, package = name.partition("\n")
    return resource, package
