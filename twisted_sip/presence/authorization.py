"""Who may watch whom, and see what: presence rules and what stands in for them (RFC 5025, 4745, 3856 section 6.6.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Any, cast

import attrs
from twisted.internet.defer import Deferred

from twisted_sip.documents.common_policy import ExternalList, Ruleset, Sphere, Validity
from twisted_sip.documents.permissions import ALL_PERMISSIONS, Permissions, SubHandling
from twisted_sip.documents.pres_rules import evaluate, parse
from twisted_sip.errors import DocumentError
from twisted_sip.interfaces.documents import Document, IDocumentStore
from twisted_sip.presence.reauthorization import ANY_SPHERE
from twisted_sip.presence.rule_lists import Members

#: The application usages whose documents are presence rules: the IETF's and the Open Mobile Alliance's.
RULES_AUIDS = ("pres-rules", "org.openmobilealliance.pres-rules")

#: By the names that the settings have for them: who is not in any rule sees everything, if anything.
_DEFAULTS = {
    name: attrs.evolve(ALL_PERMISSIONS, sub_handling=handling)
    for name, handling in (
        ("allow", SubHandling.ALLOW),
        ("confirm", SubHandling.CONFIRM),
        ("polite-block", SubHandling.POLITE_BLOCK),
        ("block", SubHandling.BLOCK),
    )
}
#: Rulesets kept parsed.
_MOST_PARSED = 10_000
#: The most lists that the rules of one presentity may refer to; others grant nothing.
_MOST_LISTS = 50


@attrs.frozen(slots=True)
class _Parsed:
    """One document.

    :ivar etag: its version.
    :ivar ruleset: what stands in it, None if it cannot be read.
    :ivar spheres: a rule asks for the sphere.
    :ivar moments: when a validity begins or ends, seconds since the epoch.
    :ivar anchors: the lists that rules refer to.
    """

    etag: str
    ruleset: Ruleset | None
    spheres: bool = False
    moments: tuple[float, ...] = ()
    anchors: tuple[str, ...] = ()


def by_default(permissions: Permissions) -> bool:
    """Tell whether *permissions* are those of a presentity without rules."""
    return any(permissions is each for each in _DEFAULTS.values())


class WatcherRules:
    """The presence rules of all presentities, read where XCAP puts them, parsed once for each version.

    :param documents: where rules are kept, None where nobody keeps any.
    :param clock: seconds since the epoch, for rules with a validity.
    :param default: gives the name of the handling for who is not mentioned in any rule, because there are none: called
        with the watcher.
    :param sphere_of: gives the sphere of a presentity (RFC 4745 section 7.3), None while it has none; asked where a
        rule does.
    :param depends: called with (resource, sphere, until, listed) where a decision depends on the sphere, on the time or
        on lists (reauthorization.Reauthorization.note).
    :param members_of: gives who is in a list that the rules of a presentity refer to, called with both
        (rule_lists.RuleLists.members).
    """

    def __init__(
        self,
        documents: IDocumentStore | None,
        clock: Callable[[], float],
        default: Callable[[str], str],
        sphere_of: Callable[[str], str | None] = lambda resource: None,
        depends: Callable[[str, str | None, float, bool], None] = lambda resource, sphere, until, listed: None,
        members_of: Callable[[str, str], Members | Deferred[Members]] = lambda resource, anchor: None,
    ) -> None:
        self._documents = documents
        self._clock = clock
        self._default = default
        self._sphere_of = sphere_of
        self._depends = depends
        self._members_of = members_of
        self._parsed: dict[tuple[str, str, str], _Parsed] = {}

    def decide(self, resource: str, watcher: str, *, authenticated: bool) -> Permissions | Deferred[Permissions]:
        """Return what *watcher* may see of *resource*; ``sub_handling`` says what becomes of the subscription.

        A presentity without rules has the configured default. Where there are rules, they alone decide, and who is in
        none of them is blocked (RFC 5025 section 3.2.1).

        :param authenticated: whether the watcher has proved to be that.
        """
        if watcher == resource:
            return ALL_PERMISSIONS
        if self._documents is None:
            return _DEFAULTS[self._default(watcher)]
        found = [self._documents.names(auid, resource) for auid in RULES_AUIDS]
        if any(isinstance(documents, Deferred) for documents in found):
            return Deferred.fromCoroutine(self._wait(found, resource, watcher, authenticated))
        known = [each for documents in cast("list[Sequence[Document]]", found) for each in documents]
        return self._evaluate(known, resource, watcher, authenticated)

    async def _wait(self, found: Sequence[Any], resource: str, watcher: str, authenticated: bool) -> Permissions:
        documents: list[Document] = []
        for each in found:
            documents += await each if isinstance(each, Deferred) else each
        answer = self._evaluate(documents, resource, watcher, authenticated)
        return await answer if isinstance(answer, Deferred) else answer

    def _evaluate(
        self, documents: Sequence[Document], resource: str, watcher: str, authenticated: bool
    ) -> Permissions | Deferred[Permissions]:
        if not documents:
            return _DEFAULTS[self._default(watcher)]
        parsed = [self._read(document) for document in documents]
        anchors = [anchor for each in parsed for anchor in each.anchors][:_MOST_LISTS]
        if not anchors:
            return self._judge(parsed, resource, watcher, authenticated, {})
        found = {anchor: self._members_of(resource, anchor) for anchor in anchors}
        if any(isinstance(members, Deferred) for members in found.values()):
            return Deferred.fromCoroutine(self._wait_for_lists(parsed, resource, watcher, authenticated, found))
        return self._judge(parsed, resource, watcher, authenticated, cast("dict[str, Members]", found))

    async def _wait_for_lists(
        self,
        parsed: Sequence[_Parsed],
        resource: str,
        watcher: str,
        authenticated: bool,
        found: dict[str, Members | Deferred[Members]],
    ) -> Permissions:
        lists = {anchor: await each if isinstance(each, Deferred) else each for anchor, each in found.items()}
        return self._judge(parsed, resource, watcher, authenticated, lists)

    def _judge(
        self,
        parsed: Sequence[_Parsed],
        resource: str,
        watcher: str,
        authenticated: bool,
        lists: dict[str, Members],
    ) -> Permissions:
        rulesets = [each.ruleset for each in parsed if each.ruleset is not None]
        now = self._clock()
        spheres = any(each.spheres for each in parsed)
        sphere = self._sphere_of(resource) if spheres else None
        until = min((moment for each in parsed for moment in each.moments if moment > now), default=inf)
        if spheres or until != inf or lists:
            self._depends(resource, sphere if spheres else ANY_SPHERE, until, bool(lists))

        def members(anchor: str) -> tuple[str, ...] | None:
            # All that counts is whether the watcher is one of them.
            known = lists.get(anchor)
            return None if known is None else (watcher,) * (watcher in known)

        _, permissions = evaluate(
            rulesets, watcher, sphere=sphere, now=now, authenticated=authenticated, members=members
        )
        return permissions

    def _read(self, document: Document) -> _Parsed:
        """Return the rules in *document*; where they cannot be read nothing is granted by them."""
        place = (document.auid, document.owner, document.name)
        known = self._parsed.pop(place, None)
        if known is None or known.etag != document.etag:
            known = _parsed(document)
            while len(self._parsed) >= _MOST_PARSED:
                del self._parsed[next(iter(self._parsed))]
        # At the end again: what was used last goes last.
        self._parsed[place] = known
        return known


def _parsed(document: Document) -> _Parsed:
    try:
        ruleset = parse(document.content)
    except DocumentError:
        return _Parsed(document.etag, None)
    conditions = [condition for rule in ruleset.rules for condition in rule.conditions]
    periods = [period for each in conditions if isinstance(each, Validity) for period in each.periods]
    return _Parsed(
        document.etag,
        ruleset,
        any(isinstance(each, Sphere) for each in conditions),
        tuple(sorted({moment for period in periods for moment in period})),
        tuple(
            dict.fromkeys(anchor for each in conditions if isinstance(each, ExternalList) for anchor in each.anchors)
        ),
    )
