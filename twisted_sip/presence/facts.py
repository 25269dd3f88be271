"""What counts for presence beside publications: registrations, and documents that users keep (RFC 4827 section 3).

Most stores answer at once. What another one answers later is kept here, since composition cannot wait; whoever has
asked is told when it has come.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.documents.pidf import Presence
from twisted_sip.errors import DocumentError
from twisted_sip.interfaces.documents import DocumentChange, IDocumentStore
from twisted_sip.interfaces.location import ILocationStore
from twisted_sip.presence.composition import published

_log = Logger()

#: The application usage of hard state (RFC 4827).
HARD_STATE_AUID: Final = "pidf-manipulation"
_DOCUMENT: Final = "index"

#: The kinds of facts.
_REGISTERED, _HARD_STATE = "registered", "hard state"
_KINDS: Final = (_REGISTERED, _HARD_STATE)
# What stores answer at once.
_AT_ONCE: Final = frozenset((tuple, list, type(None)))


class _Late:
    """What a slow store has answered, or will.

    :ivar value: the answer; before the first one what is assumed.
    :ivar asked: the question that has not been answered yet, None for none.
    """

    __slots__ = ("asked", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.asked: object = None


class Facts:
    """Knows who is registered, and what users keep on the XCAP server.

    :param documents: where that is kept, None for nowhere.
    :param location: the bindings of our users, None for none.
    :param changed: called with a resource when another answer has come than was given before.
    :param most: the most answers of slow stores that are kept.
    """

    def __init__(
        self,
        documents: IDocumentStore | None,
        location: ILocationStore | None,
        changed: Callable[[str], None],
        most: int = 50_000,
    ) -> None:
        self._documents = documents
        self._location = location
        self._changed = changed
        self._most = most
        self._late: dict[tuple[str, str], _Late] = {}
        self._waiters: dict[str, list[Deferred[None]]] = {}

    def __len__(self) -> int:
        """How many answers of slow stores are kept."""
        return len(self._late)

    # -- asking ------------------------------------------------------------------------

    def registered(self, resource: str) -> bool:
        """Tell whether a device of *resource* is registered; no, as long as that is not known."""
        location = self._location
        if location is None:
            return False
        late = self._late.get((_REGISTERED, resource)) if self._late else None
        if late is not None:
            return bool(late.value)
        answer = location.lookup(resource)
        return bool(answer if type(answer) in _AT_ONCE else self._known(_REGISTERED, resource, answer))

    def hard_state(self, resource: str) -> Presence | None:
        """Return the document that *resource* keeps; None for none, and as long as that is not known."""
        if self._documents is None:
            return None
        late = self._late.get((_HARD_STATE, resource)) if self._late else None
        if late is None:
            return self._known(_HARD_STATE, resource, self._look_up(_HARD_STATE, resource))  # type: ignore[no-any-return]
        found: Presence | None = late.value
        return found

    def settling(self, resource: str) -> Deferred[None] | None:
        """Return a Deferred that fires with None once every fact that was asked for is known; None if they all are."""
        late = self._late
        if not late:
            return None
        for kind in _KINDS:
            known = late.get((kind, resource))
            if known is not None and known.asked is not None:
                break
        else:
            return None
        waiter: Deferred[None] = Deferred()
        self._waiters.setdefault(resource, []).append(waiter)
        return waiter

    def _unknown(self, resource: str) -> bool:
        for kind in _KINDS:
            late = self._late.get((kind, resource))
            if late is not None and late.asked is not None:
                return True
        return False

    def _known(self, kind: str, resource: str, answer: Any) -> Any:
        """Return what *answer*, the first about this, says now."""
        # To ask whether something is a Deferred, an abstract class, takes longer than the answer of most stores.
        if type(answer) in _AT_ONCE or not isinstance(answer, Deferred):
            return _read(kind, answer)
        while len(self._late) >= self._most:
            del self._late[next(iter(self._late))]
        late = self._late[kind, resource] = _Late(_read(kind, None))
        self._wait(late, kind, resource, answer)
        return late.value

    def _look_up(self, kind: str, resource: str) -> Any:
        if kind == _REGISTERED:
            assert self._location is not None
            return self._location.lookup(resource)
        assert self._documents is not None
        return self._documents.get(HARD_STATE_AUID, resource, _DOCUMENT)

    # -- what comes later -------------------------------------------------------------------

    def _wait(self, late: _Late, kind: str, resource: str, answer: Deferred[Any]) -> None:
        asked = late.asked = object()
        # What has come by the end of this is part of the answer; what comes later is news.
        later = False

        def came(found: Any) -> None:
            if late.asked is asked:
                late.asked = None
                before, late.value = late.value, _read(kind, found)
                self._settled(resource, told=later and before is not late.value)

        def failed(failure: Failure) -> None:
            _log.error(
                "{kind} of {resource} cannot be read: {reason}",
                kind=kind,
                resource=resource,
                reason=failure.getErrorMessage(),
            )
            if late.asked is asked:
                late.asked = None
                # Whoever asks next asks the store again.
                self._late.pop((kind, resource), None)
                self._settled(resource, told=False)

        answer.addCallbacks(came, failed)
        later = True

    def _settled(self, resource: str, *, told: bool) -> None:
        if told:
            self._changed(resource)
        if not self._unknown(resource):
            for waiter in self._waiters.pop(resource, ()):
                waiter.callback(None)

    # -- what observers of the stores hear -----------------------------------------------------

    def document_changed(self, change: DocumentChange) -> str | None:
        """A document has changed; return whose hard state is another one now, None for nobody's."""
        document = change.after or change.before
        if document is None or document.auid != HARD_STATE_AUID or document.name != _DOCUMENT:
            return None
        late = self._late.get((_HARD_STATE, document.owner))
        if late is not None:
            late.asked = None
            late.value = _read(_HARD_STATE, change.after)
            self._settled(document.owner, told=False)
        return document.owner

    def bindings_changed(self, resource: str) -> None:
        """The bindings of *resource* have changed."""
        late = self._late.get((_REGISTERED, resource))
        if late is None:
            return
        answer = self._look_up(_REGISTERED, resource)
        if isinstance(answer, Deferred):
            self._wait(late, _REGISTERED, resource, answer)
        else:
            late.asked = None
            late.value = _read(_REGISTERED, answer)
            self._settled(resource, told=False)

    def forget(self) -> None:
        """Forget everything; who waits is let go."""
        self._late.clear()
        for waiters in list(self._waiters.values()):
            for waiter in waiters:
                waiter.callback(None)
        self._waiters.clear()


def _read(kind: str, found: Any) -> Any:
    if kind == _REGISTERED:
        return bool(found)
    if found is None:
        return None
    try:
        return published(found.content, len(found.content))
    except DocumentError:
        # It was good when it was put, or somebody else has put it there.
        return None
