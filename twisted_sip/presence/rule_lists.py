"""Lists that presence rules refer to: the condition ``external-list`` (OMA XML Document Management, on RFC 4745).

A rule may grant to whoever is in a list of the presentity's own, or in a global one, on this server (RFC 4826). Who is
in it is read once, and anew when one of those documents has changed. What cannot be resolved as a whole (a list
elsewhere, of somebody else, or beyond a limit) grants nothing; a list that is not there has no members.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.documents.resource_lists import Entry, EntryRef, External, ResourceList
from twisted_sip.errors import DocumentError
from twisted_sip.interfaces.documents import IDocumentStore
from twisted_sip.presence.lists.references import References, ReferenceToNothing
from twisted_sip.presence.lists.resources import subscribable

_log = Logger()

#: The most entries of one list, those that it refers to included; the most references in it; how deep lists may stand
#: in lists.
MOST_MEMBERS: Final = 5_000
MOST_REFERENCES: Final = 50
MOST_DEEP: Final = 32
#: Lists that are kept, and the members of all of them together.
_MOST_KEPT: Final = 2_000
_MOST_KEPT_MEMBERS: Final = 200_000

#: Canonical addresses-of-record; None for a list that cannot be resolved.
Members = frozenset[str] | None


class RuleLists:
    """Knows who is in the lists that rules refer to.

    :param documents: the documents of users, None where there are none.
    :param path: the path of the XCAP root, by which references to this server are known.
    """

    def __init__(self, documents: IDocumentStore | None, path: str) -> None:
        self._references = References(documents, path)
        self._known: dict[tuple[str, str], Members] = {}
        self._kept = 0
        self._under_way: dict[tuple[str, str], list[Deferred[Members]]] = {}

    def __len__(self) -> int:
        """How many lists are kept."""
        return len(self._known)

    def members(self, owner: str, anchor: str) -> Members | Deferred[Members]:
        """Return who is in the list at *anchor*, None if that cannot be resolved.

        :param owner: the canonical address-of-record of the user whose rule refers to it.
        :param anchor: an absolute HTTP URI.
        :return: the answer, or a Deferred that fires with it; never fails.
        """
        key = (owner, anchor)
        if key in self._known:
            return self._known[key]
        waiting = self._under_way.get(key)
        begun = waiting is not None
        if waiting is None:
            waiting = self._under_way[key] = []
        made: Deferred[Members] = Deferred()
        waiting.append(made)
        if not begun:
            reading = Deferred.fromCoroutine(self._read(owner, anchor))
            reading.addCallbacks(self._came, _failed, callbackArgs=(key, waiting))
            reading.addCallback(self._answered, key, waiting)
        return made.result if made.called else made  # type: ignore[return-value]

    def _came(self, members: Members, key: tuple[str, str], waiting: list[Deferred[Members]]) -> Members:
        # Unless a document has changed meanwhile.
        if self._under_way.get(key) is waiting:
            size = len(members or ())
            if len(self._known) >= _MOST_KEPT or self._kept + size > _MOST_KEPT_MEMBERS:
                self._known.clear()
                self._kept = 0
            self._known[key] = members
            self._kept += size
        return members

    def _answered(self, members: Members, key: tuple[str, str], waiting: list[Deferred[Members]]) -> None:
        if self._under_way.get(key) is waiting:
            del self._under_way[key]
        for each in waiting:
            each.callback(members)

    async def _read(self, owner: str, anchor: str) -> Members:
        try:
            return await self._walk(owner, anchor)
        except ReferenceToNothing:
            return frozenset()
        except DocumentError as error:
            _log.debug(
                "the list {anchor} of {owner} grants nothing: {reason}", anchor=anchor, owner=owner, reason=error.reason
            )
            return None

    async def _walk(self, owner: str, anchor: str) -> frozenset[str]:
        """Return the members of the list at *anchor*, of lists in it, and of those that it refers to.

        :raises DocumentError: a part of it cannot be resolved, or it is too much.
        :raises StoreError: the documents cannot be read.
        """
        members: set[str] = set()
        traversed = {anchor}
        followed = entries = 0
        # Not recursive: (member, how deep it stands).
        waiting: list[tuple[Entry | EntryRef | External | ResourceList, int]] = [
            (await self._references.list_at(owner, anchor), 0)
        ]
        while waiting:
            member, depth = waiting.pop()
            if isinstance(member, ResourceList):
                if depth > MOST_DEEP:
                    raise DocumentError("a list that is nested too deep")
                waiting += [(each, depth + 1) for each in member.members]
                continue
            if not isinstance(member, Entry):
                followed += 1
                if followed > MOST_REFERENCES:
                    raise DocumentError("a list with too many references")
                try:
                    if isinstance(member, External):
                        if member.anchor not in traversed:
                            traversed.add(member.anchor)
                            waiting.append((await self._references.list_at(owner, member.anchor), depth))
                        continue
                    member = await self._references.entry_at(owner, member.ref)
                except ReferenceToNothing:
                    continue
            entries += 1
            if entries > MOST_MEMBERS:
                raise DocumentError("a list with too many entries")
            uri = subscribable(member.uri)
            if uri is not None:
                members.add(uri.address_of_record)
        return frozenset(members)

    def changed(self, owner: str) -> None:
        """A list of *owner* has changed, a global one if it is empty: what was read of it counts no more."""
        for table in (self._known, self._under_way):
            for key in [key for key in table if not owner or key[0] == owner]:
                del table[key]
        self._kept = sum(len(members or ()) for members in self._known.values())


def _failed(failure: Failure) -> Members:
    """The store cannot be read: nothing is granted now, and whoever asks next asks it again."""
    _log.error("a list of presence rules cannot be read: {reason}", reason=failure.getErrorMessage())
    return None
