"""The body of a NOTIFY about a list: meta-information, and a part for each resource that it tells of (RFC 4662
section 5)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from twisted_sip.documents import rlmi
from twisted_sip.documents.rlmi import ListState, list_notification
from twisted_sip.documents.values import Note, fit
from twisted_sip.interfaces.event_package import Notification
from twisted_sip.message.media_types import MediaType
from twisted_sip.message.multipart import BodyPart
from twisted_sip.presence.lists.resources import ListedResource
from twisted_sip.presence.lists.row import RowState

#: What a NOTIFY and the 200 to a SUBSCRIBE say (section 4.1).
REQUIRE = (("require", "eventlist"),)
#: Where there is no forking there is one instance, and this is its name (section 5.5).
_INSTANCE = "1"


class ListBody:
    """Collects what one NOTIFY tells."""

    def __init__(self, uri: str, names: tuple[Note, ...], *, key: str, version: int, full: bool) -> None:
        """Begin a body.

        :param uri: the URI of the list (section 5.2).
        :param key: tells the subscription from all others: for Content-IDs.
        :param version: its version.
        :param full: whether it tells of all resources.
        """
        self._uri = uri
        self._names = names
        self._version = version
        self._full = full
        self._resources: list[rlmi.Resource] = []
        self._parts: list[BodyPart] = []
        mark = hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=9).hexdigest()
        self._mark = f"{version}.{mark}@lists.invalid"

    def add(self, resource: ListedResource, known: RowState) -> None:
        """Tell *known* of *resource*; without a state its URI alone (section 4.5)."""
        instances: tuple[rlmi.Instance, ...] = ()
        if known.state:
            cid = ""
            told = known.notification
            if told.content_type:
                cid = f"{len(self._parts) + 1}.{self._mark}"
                self._parts.append(
                    BodyPart(content_type=MediaType.parse(told.content_type), content_id=cid, body=told.body)
                )
            instances = (rlmi.Instance(id=_INSTANCE, state=known.state, reason=known.reason, cid=cid),)
        self._resources.append(rlmi.Resource(uri=fit(resource.uri), names=resource.names, instances=instances))

    def notification(self, etag: str) -> Notification:
        """Return what to send."""
        state = ListState(
            uri=fit(self._uri),
            version=self._version,
            full=self._full,
            names=self._names,
            resources=tuple(self._resources),
        )
        content_type, body = list_notification(state, self._parts, f"0.{self._mark}")
        return Notification(content_type=content_type, body=body, etag=etag, headers=REQUIRE)


def list_etag(uri: str, digests: Iterable[tuple[str, bytes]]) -> str:
    """Return the entity-tag of the full state of a list (RFC 5839), whichever part of it is told.

    :param digests: the resources and what is known of each.
    """
    whole = hashlib.blake2b(uri.encode("utf-8", "surrogateescape"), digest_size=12)
    for resource, digest in digests:
        whole.update(resource.encode("utf-8", "surrogateescape") + b"\0" + digest)
    return whole.hexdigest()
