"""The calls that are answered and not over, as those see them who make records of them: by dialog, with deadlines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from twisted_sip.calls.settings import LedgerSettings
from twisted_sip.interfaces.accounting import CallRecord

#: Call-ID and tags, the caller's first.
Key = tuple[str, str, str]

#: Texts of peers that are longer are not kept as they are. Of Call-IDs and tags that are longer in all, each that is
#: longer than _BRIEF is kept as a hash.
LONGEST, _BRIEF = 512, 128


def key_of(call_id: str, caller_tag: str, callee_tag: str) -> Key:
    """Return what a dialog is known by: its identifiers, or something as good where they are very long."""
    if len(call_id) + len(caller_tag) + len(callee_tag) <= LONGEST:
        return call_id, caller_tag, callee_tag
    return _brief(call_id), _brief(caller_tag), _brief(callee_tag)


def _brief(text: str) -> str:
    if len(text) <= _BRIEF:
        return text
    return f"{text[:32]} {sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()}"


class OpenCall:
    """An answered call.

    :ivar record: its record so far.
    :ivar keys: the dialogs of it that are not over; more than one where several forks have answered.
    :ivar expires_at: when it is taken for over, seconds since the epoch.
    :ivar restored: it began before this program did, and nothing was heard of it since.
    :ivar hold: what its answer waits for, None for nothing.
    """

    __slots__ = ("expires_at", "hold", "keys", "record", "restored")

    def __init__(self, record: CallRecord, key: Key, expires_at: float) -> None:
        self.record = record
        self.keys = [key]
        self.expires_at = expires_at
        self.restored = False
        self.hold: Deferred[Any] | None = None


class OpenCalls:
    """All of them.

    :ivar table: dialog -> call.
    """

    def __init__(self, clock: IReactorTime, settings: LedgerSettings, expired: Callable[[OpenCall], None]) -> None:
        """Know none.

        :param clock: its seconds are seconds since the epoch.
        :param expired: told of each call whose time is over, which is here no more.
        """
        self.table: dict[Key, OpenCall] = {}
        self._clock = clock
        self._settings = settings
        self._expired = expired
        self._sweep_call: IDelayedCall | None = None

    def __len__(self) -> int:
        """How many dialogs there are."""
        return len(self.table)

    def add(self, key: Key, call: OpenCall) -> None:
        """Take *call* in as what *key* means."""
        table = self.table
        if key in table:
            # Two calls with the same Call-ID and tags: they cannot be told apart. One ends by what is heard, the other
            # one when its time is over.
            call.keys.remove(key)
            key = (key[0], key[1], f"{key[2]} {len(table)} {call.record.id}")
            call.keys.append(key)
        table[key] = call
        if self._sweep_call is None:
            self._sweep_call = self._clock.callLater(self._settings.sweep_interval, self._sweep)

    def find(self, call_id: str, tag: str, other: str) -> tuple[OpenCall | None, Key, bool]:
        """Return the call that a request with these identifiers, its From tag first, belongs to, its dialog, and
        whether it is the caller's."""
        key = call_id, tag, other
        if len(call_id) + len(tag) + len(other) > LONGEST:
            key = key_of(call_id, tag, other)
        call = self.table.get(key)
        if call is not None:
            return call, key, True
        key = key[0], key[2], key[1]
        return self.table.get(key), key, False

    def drop(self, call: OpenCall, key: Key) -> bool:
        """The dialog *key* of *call* is over; tell whether that was the last one."""
        del self.table[key]
        call.keys.remove(key)
        return not call.keys

    def calls(self) -> Iterable[OpenCall]:
        """Return every call once."""
        return dict.fromkeys(self.table.values())

    def _sweep(self) -> None:
        """End what has lasted too long: nobody has told that it is over."""
        self._sweep_call = None
        now = self._clock.seconds()
        for call in [call for call in self.calls() if call.expires_at <= now]:
            for key in call.keys:
                del self.table[key]
            self._expired(call)
        if self.table:
            self._sweep_call = self._clock.callLater(self._settings.sweep_interval, self._sweep)

    def stop(self) -> None:
        """Forget every call; nobody is told."""
        self.table.clear()
        if self._sweep_call is not None:
            self._sweep_call.cancel()
            self._sweep_call = None
