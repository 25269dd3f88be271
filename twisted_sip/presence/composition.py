"""Composition: what is published about a presentity becomes one document (RFC 3903 section 3).

The inputs are publications (soft state), a document that the user keeps on the XCAP server (hard state, RFC 4827
section 3), and whether somebody is registered. A policy decides how publications go together; another function with the
same signature can take its place. What comes out is in the order of the schemas, and its identifiers are unique
(RFC 4479 section 3.5).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from typing import Final, TypeAlias

import attrs
from twisted.logger import Logger

from twisted_sip.documents.data_model import DEVICE, PERSON
from twisted_sip.documents.pidf import NAMESPACE, NOTE, TUPLE, Presence, arranged
from twisted_sip.documents.xml import Element
from twisted_sip.errors import DocumentError
from twisted_sip.interfaces.publication import Publication

_log = Logger()

#: ``policy(resource, publications, hard_state, registered)``: what watchers of *resource* are told.
Policy: TypeAlias = Callable[[str, Sequence[Publication], Presence | None, bool], Presence]

#: The children of <presence> that have an identifier, unique among all of them (RFC 4479 section 3.5).
_COMPONENTS = (TUPLE, PERSON, DEVICE)
# Bodies longer than this are not kept parsed.
_KEPT_LENGTH = 16384
# What :func:`offline` tells of most: made of its elements each time it would cost as much as all the rest of a PUBLISH
# that removes a publication.
_OFFLINE = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<presence xmlns="%b" entity="%%b"><tuple id="offline">'
    b"<status><basic>closed</basic></status><contact>%%b</contact></tuple></presence>"
) % NAMESPACE.encode()
_needs_no_escape = re.compile(r"[A-Za-z0-9:@.;=+_~*!$/?%-]*").fullmatch
# Activities of somebody who is there, but hardly to be reached (RFC 4480 section 3.2).
_ABSENT = frozenset(("away", "permanent-absence", "sleeping", "vacation", "holiday", "worship", "steering"))
_ENGAGED = frozenset(("busy", "on-the-phone", "meeting", "appointment", "presentation", "performance", "working"))


@lru_cache(maxsize=256)
def _parse_kept(body: bytes) -> Presence:
    return Presence.parse(body)


def published(body: bytes, limit: int = 65536) -> Presence:
    """Return the document in the *body* of a publication; the last few hundred small ones are kept.

    :param limit: the most bytes.
    :raises DocumentError: it is no presence document, or beyond a limit.
    """
    if len(body) <= min(limit, _KEPT_LENGTH):
        return _parse_kept(body)
    return Presence.parse(body, limit=limit)


def _newest_first(publications: Sequence[Publication]) -> list[tuple[Publication, Presence]]:
    """Return what can be read, newest first: many a watcher shows the first tuple or person and no other."""
    made: list[tuple[Publication, Presence]] = []
    if len(publications) > 1:
        publications = sorted(publications, key=lambda each: -each.published_at)
    for publication in publications:
        try:
            made.append((publication, published(publication.body, len(publication.body))))
        except DocumentError as error:
            # It was good when it was published: it comes out of a store that an older version wrote.
            _log.warn("Publication of {resource} cannot be read", resource=publication.resource, reason=error.reason)
    return made


def _is_about(presence: Presence, resource: str) -> bool:
    """Tell whether the entity of *presence* is *resource*, or its pres URI (RFC 3863 section 4.1.1)."""
    entity = presence.entity
    return entity == resource or (entity.startswith("pres:") and entity[5:] == resource.partition(":")[2])


def _about(presence: Presence, resource: str) -> Presence:
    return presence if _is_about(presence, resource) else presence.with_entity(resource)


def _merged(resource: str, documents: Iterable[tuple[str, Presence]], hard_state: Presence | None) -> Presence:
    """Return all components of *documents* in one, and what *hard_state* has beside them.

    :param documents: with a key each, that tells where an identifier comes from when two are the same.
    """
    taken: set[str] = set()
    children: list[Element] = []
    notes: set[tuple[str | None, str | None]] = set()
    for key, presence in documents:
        for child in presence.root.iterchildren("*"):
            if child.tag in _COMPONENTS:
                child = _unique(child, taken, key)
            elif child.tag == NOTE:
                text = (child.text, child.get("{http://www.w3.org/XML/1998/namespace}lang"))
                if text in notes:
                    continue
                notes.add(text)
            children.append(child)
    if hard_state is not None:
        # Soft state hides hard state of the same identifier.
        children += [
            child
            for child in hard_state.root.iterchildren("*")
            if child.tag not in _COMPONENTS or child.get("id") not in taken
        ]
    return Presence.of(arranged(Presence(resource).root, children))


def _unique(child: Element, taken: set[str], key: str) -> Element:
    """Return *child* with an identifier that is not *taken* yet: the same one each time, for watchers compare them."""
    id = child.get("id", "")
    if not id or id in taken:
        child = deepcopy(child)
        mark = hashlib.blake2b(key.encode(), digest_size=4).hexdigest()
        base = id = f"{id or 'c'}.{mark}"
        number = 1
        while id in taken:
            number += 1
            id = f"{base}.{number}"
        child.set("id", id)
    taken.add(id)
    return child


def union(
    resource: str, publications: Sequence[Publication], hard_state: Presence | None, registered: bool
) -> Presence:
    """Tell everything that is published; a single publication goes out as it came in."""
    if hard_state is None:
        # The usual cases.
        if not publications:
            return _unpublished(resource, None, registered)
        if len(publications) == 1:
            body = publications[0].body
            try:
                presence = published(body, len(body))
            except DocumentError:
                return _composed(resource, _newest_first(publications), None, registered)
            return presence if presence.entity == resource else _about(presence, resource)
    return _composed(resource, _newest_first(publications), hard_state, registered)


def latest(
    resource: str, publications: Sequence[Publication], hard_state: Presence | None, registered: bool
) -> Presence:
    """Tell what was published last."""
    return _composed(resource, _newest_first(publications)[:1], hard_state, registered)


def most_available(
    resource: str, publications: Sequence[Publication], hard_state: Presence | None, registered: bool
) -> Presence:
    """Tell the publication by which the presentity is reached best, the latest of several."""
    documents = _newest_first(publications)
    best = max(documents, key=lambda each: _availability(each[1]), default=None)
    return _composed(resource, [] if best is None else [best], hard_state, registered)


def _availability(presence: Presence) -> tuple[bool, int, bool, float]:
    """Return how well somebody is reached, for comparison: open, not away, not idle, and by the priority."""
    activities = set(presence.activities)
    inputs = [part.user_input for part in (*presence.persons, *presence.devices, *presence.services)]
    states = {found.state for found in inputs if found is not None}
    return (
        presence.basic == "open",
        0 if activities & _ABSENT else 1 if activities & _ENGAGED else 2,
        "active" in states or "idle" not in states,
        max((service.priority for service in presence.services if service.basic == "open"), default=0.0),
    )


def _composed(
    resource: str,
    documents: Sequence[tuple[Publication, Presence]],
    hard_state: Presence | None,
    registered: bool,
) -> Presence:
    if len(documents) == 1 and hard_state is None:
        return _about(documents[0][1], resource)
    if documents:
        return _merged(resource, [(publication.key, presence) for publication, presence in documents], hard_state)
    return _unpublished(resource, hard_state, registered)


def _unpublished(resource: str, hard_state: Presence | None, registered: bool) -> Presence:
    if registered:
        present = Presence(resource).with_status("open", id="registered")
        return present if hard_state is None else _merged(resource, [("", present)], hard_state)
    if hard_state is None:
        return offline(resource)
    if hard_state.services:
        return _about(hard_state, resource)
    return _merged(resource, [("", offline(resource))], hard_state)


@lru_cache(maxsize=1024)
def offline(resource: str, note: str = "", lang: str = "") -> Presence:
    """Return the document about somebody who has published nothing and is not registered.

    The same is for watchers who are politely blocked (RFC 5025 section 3.2.1): it has nothing, no time either, that
    would tell one from the other; and no note, which rules withhold from some.
    """
    if not note and _needs_no_escape(resource):
        name = resource.encode()
        return Presence.of_text(_OFFLINE % (name, name), resource)
    return Presence(resource).with_status("closed", note=note, lang=lang, id="offline")


#: The policies by the names that the settings have for them.
POLICIES: Final[Mapping[str, Policy]] = {"union": union, "latest": latest, "most-available": most_available}


def _policy(policy: str | Policy) -> Policy:
    return POLICIES[policy] if isinstance(policy, str) else policy


@attrs.frozen(slots=True)
class Compositor:
    """Composes by a policy, as an operator has configured it.

    :ivar policy: a name in :data:`POLICIES`, or a function like them.
    :ivar registration_fallback: show who has published nothing as open while registered.
    :ivar max_bytes: the most bytes that go together into one document.
    """

    policy: Policy = attrs.field(default=union, converter=_policy)
    registration_fallback: bool = True
    max_bytes: int = 49_152

    def compose(
        self,
        resource: str,
        publications: Sequence[Publication],
        hard_state: Presence | None = None,
        registered: bool = False,
    ) -> Presence:
        """Return what watchers of *resource* are told.

        :param resource: the canonical URI of the presentity.
        :param publications: what is published and has not expired.
        :param hard_state: the document of the application usage pidf-manipulation.
        :param registered: whether the presentity has a binding.

        What is too much for one document is left out (RFC 3903 section 3 leaves composition to local policy): the
        publications that were published first, and hard state before these. The latest one always goes out.
        """
        if publications:
            size = (
                len(publications[0].body) if len(publications) == 1 else sum([len(each.body) for each in publications])
            )
            if hard_state is not None:
                size += len(hard_state.to_xml())
            if size > self.max_bytes:
                publications, hard_state = self._fitting(resource, publications, hard_state)
        return self.policy(resource, publications, hard_state, registered and self.registration_fallback)

    def _fitting(
        self, resource: str, publications: Sequence[Publication], hard_state: Presence | None
    ) -> tuple[Sequence[Publication], Presence | None]:
        left = self.max_bytes
        kept: set[str] = set()
        for each in sorted(publications, key=lambda each: -each.published_at):
            if kept and len(each.body) > left:
                break
            kept.add(each.key)
            left -= len(each.body)
        if hard_state is not None and len(hard_state.to_xml()) > left:
            hard_state = None
        fitting = [each for each in publications if each.key in kept]
        _log.info(
            "What is published about {resource} is too long: {kept} of {count} publications are told",
            resource=resource,
            kept=len(fitting),
            count=len(publications),
            hard_state=hard_state is not None,
        )
        return fitting, hard_state
