"""Who may watch whom, and see what: presence rules and what stands in for them (RFC 5025, 4745, 3856 section 6.6.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import attrs
from twisted.internet.defer import Deferred

from twisted_sip.documents.common_policy import Ruleset
from twisted_sip.documents.permissions import ALL_PERMISSIONS, Permissions, SubHandling
from twisted_sip.documents.pres_rules import evaluate, parse
from twisted_sip.errors import DocumentError
from twisted_sip.interfaces.documents import Document, IDocumentStore

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


class WatcherRules:
    """The presence rules of all presentities, read where XCAP puts them, parsed once for each version.

    :param documents: where rules are kept, None where nobody keeps any.
    :param clock: seconds since the epoch, for rules with a validity.
    :param default: gives the name of the handling for who is not mentioned in any rule, because there are none: called
        with the watcher.
    """

    def __init__(
        self, documents: IDocumentStore | None, clock: Callable[[], float], default: Callable[[str], str]
    ) -> None:
        self._documents = documents
        self._clock = clock
        self._default = default
        self._parsed: dict[tuple[str, str, str], tuple[str, Ruleset | None]] = {}

    def decide(
        self, resource: str, watcher: str, *, authenticated: bool, sphere: str | None
    ) -> Permissions | Deferred[Permissions]:
        """Return what *watcher* may see of *resource*; ``sub_handling`` says what becomes of the subscription.

        A presentity without rules has the configured default. Where there are rules, they alone decide, and who is in
        none of them is blocked (RFC 5025 section 3.2.1).

        :param sphere: the sphere of the presentity (RFC 4745 section 7.2), None while it has none.
        """
        if watcher == resource:
            return ALL_PERMISSIONS
        if self._documents is None:
            return _DEFAULTS[self._default(watcher)]
        found = [self._documents.names(auid, resource) for auid in RULES_AUIDS]
        if any(isinstance(documents, Deferred) for documents in found):
            return Deferred.fromCoroutine(self._wait(found, resource, watcher, authenticated, sphere))
        known = [each for documents in cast("list[Sequence[Document]]", found) for each in documents]
        return self._evaluate(known, watcher, authenticated, sphere)

    async def _wait(
        self, found: Sequence[Any], resource: str, watcher: str, authenticated: bool, sphere: str | None
    ) -> Permissions:
        documents: list[Document] = []
        for each in found:
            documents += await each if isinstance(each, Deferred) else each
        return self._evaluate(documents, watcher, authenticated, sphere)

    def _evaluate(
        self, documents: Sequence[Document], watcher: str, authenticated: bool, sphere: str | None
    ) -> Permissions:
        if not documents:
            return _DEFAULTS[self._default(watcher)]
        rulesets = [ruleset for document in documents if (ruleset := self._ruleset(document)) is not None]
        _, permissions = evaluate(rulesets, watcher, sphere=sphere, now=self._clock(), authenticated=authenticated)
        return permissions

    def _ruleset(self, document: Document) -> Ruleset | None:
        """Return the rules in *document*, None if they cannot be read: nothing is granted by them then."""
        place = (document.auid, document.owner, document.name)
        known = self._parsed.get(place)
        if known is not None and known[0] == document.etag:
            return known[1]
        try:
            ruleset: Ruleset | None = parse(document.content)
        except DocumentError:
            ruleset = None
        if len(self._parsed) >= _MOST_PARSED:
            self._parsed.clear()
        self._parsed[place] = (document.etag, ruleset)
        return ruleset
