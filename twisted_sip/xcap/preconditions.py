"""If-Match and If-None-Match (RFC 4825 sections 7.11 and 8.2.6, RFC 9110 sections 13.1.1, 13.1.2 and 13.2.2)."""

from __future__ import annotations

import re

import attrs

_TAG = re.compile(r'\s*(?:(\*)|(W/)?"([\x21\x23-\x7e\x80-\xff]*)")\s*(?:,|$)')


@attrs.frozen(slots=True)
class EntityTags:
    """What an If-Match or If-None-Match names.

    :ivar any: it is ``*``.
    :ivar strong: entity-tags, without quotes.
    :ivar weak: weak ones.
    """

    any: bool = False
    strong: frozenset[str] = frozenset()
    weak: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str) -> EntityTags | None:
        """Return the value of a header field, None if it is malformed.

        A bare text is taken for one entity-tag: clients have been seen to leave the quotes out.
        """
        any_, strong, weak = False, set(), set()
        place = 0
        while place < len(text):
            found = _TAG.match(text, place)
            if found is None:
                bare = text.strip()
                return cls(strong=frozenset((bare,))) if not place and re.fullmatch(r"[\w.\-]+", bare) else None
            if found[1]:
                any_ = True
            elif found[2]:
                weak.add(found[3])
            else:
                strong.add(found[3])
            place = found.end()
        return cls(any_, frozenset(strong), frozenset(weak)) if any_ or strong or weak else None


@attrs.frozen(slots=True, kw_only=True)
class Preconditions:
    """The conditions of a request.

    :ivar match: If-Match, None without.
    :ivar none_match: If-None-Match, None without.
    """

    match: EntityTags | None = None
    none_match: EntityTags | None = None

    def fail(self, etag: str, reads: bool) -> int:
        """Return the status that answers a request whose conditions do not hold, 0 if they do.

        :param etag: the entity-tag of the document, empty if there is none. All that is in it shares it.
        :param reads: the request is a GET or HEAD.
        """
        # RFC 9110 section 13.2.2: If-Match first; strong comparison there, weak comparison in If-None-Match.
        match = self.match
        if match is not None and (not etag or not (match.any or etag in match.strong)):
            return 412
        none = self.none_match
        if none is not None and etag and (none.any or etag in none.strong or etag in none.weak):
            return 304 if reads else 412
        return 0
