"""What is published: the event state compositor's table of publications (RFC 3903 sections 4.1 and 6).

Memory is authoritative. A change is seen by those who ask from the moment it is made durable; entity-tags change at
once, so that of two PUBLISH requests with one entity-tag the second is told 412 whatever the disk does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.errors import StoreError, StoreFull
from twisted_sip.interfaces.publication import IPublicationStore, Publication, PublicationChange
from twisted_sip.storage.expiry import ExpirySchedule

_log = Logger()

#: Called once a change is durable and has been told of, with None; or with why it is not.
Then: TypeAlias = Callable[[Failure | None], object]

#: (resource, package).
Place = tuple[str, str]

_NONE: dict[str, Publication] = {}


#: Within so many seconds a device may not have heard yet of the entity-tag of its first publication. A deviation from
#: RFC 3903 section 6, which makes a new publication of each PUBLISH without SIP-If-Match: see _twin.
_AT_ONCE = 0.5


def _never(known: Publication) -> bool:
    return False


class Publications:
    """All publications of one event state compositor.

    :ivar most: the most publications of all resources.
    :ivar most_each: the most of one resource.

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
        self._commit_then: Callable[[PublicationChange, Then], None] = getattr(
            store, "commit_then", self._commit_waiting
        )
        self._clock = clock
        self._make_text = make_text
        self._changed = changed
        self.most = max_publications
        self.most_each = max_per_resource
        # What is durable, by place and key, and the entity-tags that are good now (of changes under way, too).
        self._durable: dict[Place, dict[str, Publication]] = {}
        self._tags: dict[Place, dict[str, Publication]] = {}
        # How many changes of a publication are on their way to the store: what expires meanwhile waits for them.
        self._under_way: dict[tuple[str, str, str], int] = {}
        self._size = 0
        self._closed = False
        self._expiry: ExpirySchedule[Place] = ExpirySchedule(clock, self._look)

    def __len__(self) -> int:
        """How many publications there are, those on their way to the store among them."""
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
            self._expiry.at(place, publication.expires_at)

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

    def publish(self, resource: str, package: str, **what: Any) -> tuple[Publication, Deferred[None]]:
        """As :meth:`put`, with a Deferred.

        :return: the publication with its new entity-tag, and a Deferred that fires with None once it is durable and
            has been told of; or fails with StoreError, and all is as before.
        :raises StoreFull: there are too many.
        """
        committed: Deferred[None] = Deferred()
        return self.put(resource, package, then=partial(_fire, committed), **what), committed

    def put(
        self,
        resource: str,
        package: str,
        *,
        then: Then,
        content_type: str,
        body: bytes,
        expires: int,
        publisher: str = "",
        source: str = "",
        alike: Callable[[Publication], bool] = _never,
        replaces: Publication | None = None,
    ) -> Publication:
        """Make a publication, or replace one; refresh it if nothing but the time is new.

        :param then: called once, perhaps before this returns. Where the change is not durable it is called with the
            Failure, a StoreError, and all is as before.
        :param expires: seconds that it lives.
        :param source: which device it came from, as far as that can be told; empty for programs on this server.
        :param alike: tells whether another publication is about the same entity and components.
        :param replaces: the one that it replaces, as :meth:`tagged` gave it.
        :return: the publication with its new entity-tag.
        :raises StoreFull: there are too many.
        """
        place = (resource, package)
        now = self._clock.seconds()
        superseded = ""
        if replaces is not None:
            # It has heard of its entity-tag.
            source = ""
        elif source:
            replaces = self._twin(place, source, publisher, body, alike)
            superseded = "" if replaces is None else replaces.etag
        refreshed = replaces is not None and replaces.body == body and replaces.content_type == content_type
        if replaces is None:
            if self._size >= self.most or len(self._tags.get(place, ())) >= self.most_each:
                key = "presence.max_publications" if self._size >= self.most else "presence.max_publications_per_user"
                raise StoreFull(f"too many publications of {resource}", key=key)
            self._size += 1
        # In the order of its fields.
        made = Publication(
            resource,
            package,
            self._make_text() if replaces is None else replaces.key,
            self._make_text(),
            content_type,
            body,
            now + expires,
            replaces.published_at if refreshed and replaces is not None else now,
            publisher,
            source,
        )
        tags = self._tags.get(place)
        if tags is None:
            tags = self._tags[place] = {}
        if replaces is not None and (tags.pop(replaces.etag, None) is None or tags):
            # There are others, some of them of this publication perhaps.
            self._untag(place, made.key)
        tags[made.etag] = made
        if superseded:
            # Whichever of its answers the device goes by: it is good until one of the two is used.
            tags[superseded] = made
        name = (resource, package, made.key)
        self._under_way[name] = self._under_way.get(name, 0) + 1
        self._commit_then(PublicationChange((made,)), partial(self._put_ended, made, replaces, then))
        return made

    def _twin(
        self, place: Place, source: str, publisher: str, body: bytes, alike: Callable[[Publication], bool]
    ) -> Publication | None:
        """Return what the same device has published before of the same, None if there is nothing.

        Some devices publish again before they have heard of their first entity-tag, and forget that one. Nobody would
        withdraw that publication: it would tell the same until it expires, whatever the device says then. Each of their
        PUBLISH requests has a Call-ID and a From tag of its own, so these tell nothing. What has been named by its
        entity-tag once is no twin of anything.
        """
        just_now = self._clock.seconds() - _AT_ONCE
        for known in self._tags.get(place, _NONE).values():
            if known.source == source and known.publisher == publisher and known.published_at >= just_now:
                if known.body == body or alike(known):
                    return known
        return None

    def remove(self, publication: Publication) -> Deferred[None]:
        """Drop a publication (section 4.5); fires with None once that is durable and has been told of."""
        committed: Deferred[None] = Deferred()
        self.drop(publication, partial(_fire, committed))
        return committed

    def drop(self, publication: Publication, then: Then) -> None:
        """As :meth:`remove`; *then* is called once, perhaps before this returns."""
        # Resource, package and key are its first fields.
        name = publication[:3]
        self._untag(publication[:2], publication.key)
        self._under_way[name] = self._under_way.get(name, 0) + 1
        self._commit_then(PublicationChange((), (name,)), partial(self._drop_ended, publication, then))

    def _commit_waiting(self, change: PublicationChange, done: Then) -> None:
        """For stores that have nothing but commit()."""
        self._store.commit(change).addCallbacks(lambda _: done(None), done).addErrback(_not_told)

    def _end_of_commit(self, of: Publication) -> None:
        name = of[:3]
        left = self._under_way.pop(name) - 1
        if left:
            self._under_way[name] = left

    # -- what became of a change ------------------------------------------------------------

    def _put_ended(self, made: Publication, replaces: Publication | None, then: Then, failure: Failure | None) -> None:
        self._end_of_commit(made)
        if failure is not None:
            self._not_published(made, replaces)
        else:
            try:
                self._published(made)
            except Exception:
                # Who hears of changes has failed: that is not to be acknowledged.
                failure = Failure()
        then(failure)

    def _drop_ended(self, publication: Publication, then: Then, failure: Failure | None) -> None:
        self._end_of_commit(publication)
        if failure is not None:
            self._not_removed(publication)
        else:
            try:
                self._removed(publication)
            except Exception:
                failure = Failure()
        then(failure)

    def _published(self, made: Publication) -> None:
        if self._closed:
            return
        place = made[:2]
        known = self._durable.get(place)
        if known is None:
            known = self._durable[place] = {}
        before = known.get(made.key)
        known[made.key] = made
        self._expiry.at(place, made.expires_at)
        if before is None or before.body != made.body or before.content_type != made.content_type:
            self._changed(*place)

    def _not_published(self, made: Publication, replaces: Publication | None) -> None:
        place = made[:2]
        tags = self._tags.get(place, _NONE)
        if tags.get(made.etag) is made:
            # Unless somebody has gone on from the new entity-tag already, the old one is good again, if it ever was, or
            # may yet be: what it is for can be on its way still.
            self._untag(place, made.key)
            if replaces is not None and (made.key in self._durable.get(place, _NONE) or made[:3] in self._under_way):
                tags[replaces.etag] = replaces
            else:
                self._size -= 1
        self._end_of_change(place)

    def _removed(self, publication: Publication) -> None:
        place = publication[:2]
        if self._closed:
            return
        if self._durable.get(place, _NONE).pop(publication.key, None) is not None:
            self._size -= 1
            self._end_of_change(place)
            self._changed(*place)

    def _not_removed(self, publication: Publication) -> None:
        place = publication[:2]
        if publication.key in self._durable.get(place, _NONE):
            self._tags.setdefault(place, {})[publication.etag] = publication
        self._end_of_change(place)

    def _end_of_change(self, place: Place) -> None:
        """Forget the place if nothing is left there; look at what has expired meanwhile."""
        self._tidy(place)
        known = self._durable.get(place)
        if known:
            self._expiry.at(place, min(publication.expires_at for publication in known.values()))

    def _untag(self, place: Place, key: str) -> None:
        """Make the entity-tags of a publication bad."""
        tags = self._tags.get(place)
        if tags is not None:
            for etag in [etag for etag, publication in tags.items() if publication.key == key]:
                del tags[etag]

    def _tidy(self, place: Place) -> None:
        if not self._tags.get(place, True):
            del self._tags[place]
        if not self._durable.get(place, True):
            del self._durable[place]
            self._expiry.forget(place)

    # -- the end of what is not refreshed --------------------------------------------------

    def _look(self, place: Place, now: float) -> float | None:
        """Drop what has expired at a place (section 4.1); return when to look again."""
        gone = [publication for publication in self._settled(place) if publication.expires_at <= now]
        if gone:
            self._forget(place, gone)
            self._changed(*place)
        # Read anew: who was told may have changed it.
        return min((publication.expires_at for publication in self._settled(place)), default=None)

    def _settled(self, place: Place) -> list[Publication]:
        """Return what is published without what is being changed: the end of the change says what becomes of it."""
        known = self._durable.get(place, _NONE)
        return [publication for key, publication in known.items() if (*place, key) not in self._under_way]

    def _forget(self, place: Place, gone: Iterable[Publication]) -> None:
        known = self._durable[place]
        for publication in gone:
            del known[publication.key]
            self._untag(place, publication.key)
            self._size -= 1
        self._tidy(place)
        # Should this not become durable, it has expired all the same when it is read again.
        dropped = self._store.commit(PublicationChange(remove=tuple((*place, one.key) for one in gone)))
        dropped.addErrback(_not_dropped)

    def close(self) -> Deferred[None]:
        """Forget everything here and close the store; fires with None once what was under way is durable."""
        self._closed = True
        self._expiry.stop()
        self._durable.clear()
        self._tags.clear()
        self._size = 0
        return self._store.close()


def _fire(committed: Deferred[None], failure: Failure | None) -> None:
    if failure is None:
        committed.callback(None)
    else:
        committed.errback(failure)


def _not_told(failure: Failure) -> None:
    _log.failure("what follows a change has failed", failure)


def _not_dropped(failure: Failure) -> None:
    failure.trap(StoreError)
    _log.error("an expired publication was not dropped: {reason}", reason=str(failure.value))
