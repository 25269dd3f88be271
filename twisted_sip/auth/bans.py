"""Who gave too many wrong answers, and until when nobody listens to them (RFC 7616 sections 3.4 and 5.7).

Only answers to a nonce that was issued to the very source count, so nobody gets another banned by forging addresses.
A ban is for one source and one user: one bad phone does not ban an office. A source that fails for many users is
banned as a whole, except for users who have authenticated from there before. Both tables are bounded and every row has
a deadline; rows of one table live equally long, so the first row is always the next to go.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeVar

import attrs

from twisted_sip.auth.settings import AuthSettings
from twisted_sip.message.hosts import source_of

K = TypeVar("K")
V = TypeVar("V")

#: What is kept of a user name; attackers choose it.
_NAME_CHARS = 128

#: Seconds for which a user who authenticated from a source is spared when the source is banned as a whole.
KNOWN_FOR = 86_400.0


@attrs.frozen(slots=True)
class Ban:
    """A ban.

    :ivar source: the numeric host, or the /64 network of an IPv6 host.
    :ivar user: the digest user name, empty: whoever speaks from there.
    :ivar failures: the wrong answers (for a whole source: the users who gave them) that led to it.
    :ivar until: when it ends, in seconds on the clock that Bans was given.
    """

    source: str
    user: str
    failures: int
    until: float


class _Row:
    """Failures that add up.

    :ivar until: when they are forgotten.
    :ivar count: how many there were.
    :ivar last: hash of the last wrong response: the same once more is a retransmission of the request, not a new guess.
    """

    __slots__ = ("count", "last", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self.count = 0
        self.last = 0


class Bans:
    """Counts failures, bans, lists and lifts.

    :param settings: ``ban_failures``, ``ban_users``, ``ban_window``, ``ban_time`` and ``max_bans``; may be replaced.
    :param now: gives the time in seconds.
    """

    __slots__ = ("_bans", "_failures", "_known", "_now", "_observers", "_users", "settings")

    def __init__(self, settings: AuthSettings, now: Callable[[], float]) -> None:
        self.settings = settings
        self._now = now
        # Ordered in their own right: to find the first row of a dict whose first ones are gone means to pass them all.
        self._bans: OrderedDict[tuple[str, str], Ban] = OrderedDict()
        self._failures: OrderedDict[tuple[str, str], _Row] = OrderedDict()
        self._users: OrderedDict[str, tuple[float, set[int]]] = OrderedDict()
        self._known: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._observers: list[Callable[[Ban], None]] = []

    def observe(self, observer: Callable[[Ban], None]) -> Callable[[], None]:
        """Call *observer* with every new ban; return what ends it, harmless when repeated."""

        def tell(ban: Ban) -> None:
            observer(ban)

        def end() -> None:
            self._observers = [other for other in self._observers if other is not tell]

        self._observers.append(tell)
        return end

    def banned(self, host: str, user: str = "") -> bool:
        """Tell whether requests from *host* are refused: all of them, or those with credentials of *user*."""
        if not self._bans:
            return False
        source = source_of(host)
        user = user[:_NAME_CHARS]
        if user and self._live(source, user):
            return True
        return self._live(source, "") and not (user and self._known.get((source, user), 0.0) > self._now())

    def _live(self, source: str, user: str) -> bool:
        ban = self._bans.get((source, user))
        if ban is None:
            return False
        if ban.until > self._now():
            return True
        del self._bans[source, user]
        return False

    def succeeded(self, host: str, user: str) -> None:
        """Note that *user* has authenticated from *host*. Failures before it still count: others may have made them."""
        key = (source_of(host) if ":" in host else host, user[:_NAME_CHARS])
        known = self._known
        until = self._now() + KNOWN_FOR
        # Moved to the end once in an hour at most: this runs for every authenticated request.
        if known.get(key, 0.0) > until - 3600.0:
            return
        known.pop(key, None)
        known[key] = until
        self._trim(known, lambda until: until)

    def failed(self, host: str, user: str, response: str) -> Ban | None:
        """Count a wrong answer to a nonce that was issued to *host*.

        :param response: the wrong response.
        :returns: the ban that it led to, None if there is none.
        """
        source = source_of(host)
        user = user[:_NAME_CHARS]
        guess = hash(response)
        now = self._now()
        settings = self.settings
        key = (source, user)
        row = self._failures.get(key)
        if row is None or row.until <= now:
            self._failures.pop(key, None)
            row = self._failures[key] = _Row(now + settings.ban_window)
            self._trim(self._failures, lambda row: row.until)
        elif row.last == guess:
            return None
        row.count += 1
        row.last = guess
        if settings.ban_users:
            until, users = self._users.get(source, (0.0, set()))
            if until <= now:
                self._users.pop(source, None)
                until, users = self._users[source] = (now + settings.ban_window, set())
                self._trim(self._users, lambda entry: entry[0])
            users.add(hash(user))
            if len(users) >= settings.ban_users:
                del self._users[source]
                return self._ban(source, "", len(users))
        # A ban of nobody by name would be one of all who are there.
        if user and settings.ban_failures and row.count >= settings.ban_failures:
            del self._failures[key]
            return self._ban(source, user, row.count)
        return None

    def _ban(self, source: str, user: str, failures: int) -> Ban:
        ban = Ban(source, user, failures, self._now() + self.settings.ban_time)
        self._bans.pop((source, user), None)
        self._bans[source, user] = ban
        self._trim(self._bans, lambda ban: ban.until)
        for observer in tuple(self._observers):
            observer(ban)
        return ban

    def _trim(self, table: OrderedDict[K, V], until: Callable[[V], float]) -> None:
        """Take at most two rows off *table*, which has just got one: past their deadline, or over the bound."""
        now = self._now()
        for _ in range(2):
            oldest = next(iter(table))
            if until(table[oldest]) > now and len(table) <= self.settings.max_bans:
                break
            del table[oldest]

    def list(self) -> Sequence[Ban]:
        """Return the bans in force, oldest first."""
        now = self._now()
        return tuple(ban for ban in self._bans.values() if ban.until > now)

    def lift(self, source: str, user: str = "") -> int:
        """End the ban of *user* at *source*, or, without a user, every ban of that source; forget the failures too.

        :param source: a numeric host or the text of Ban.source.
        :returns: how many bans were lifted.
        """
        source = source_of(source)
        now = self._now()
        lifted = 0
        for table in (self._bans, self._failures):
            for key in [key for key in table if key[0] == source and user in ("", key[1])]:
                gone = table.pop(key)
                lifted += isinstance(gone, Ban) and gone.until > now
        self._users.pop(source, None)
        return lifted

    def expire(self) -> None:
        """Drop what is past its deadline, for a caller that looks now and then."""
        now = self._now()
        self._bans = OrderedDict((key, ban) for key, ban in self._bans.items() if ban.until > now)
        self._failures = OrderedDict((key, row) for key, row in self._failures.items() if row.until > now)
        self._users = OrderedDict((key, entry) for key, entry in self._users.items() if entry[0] > now)
        self._known = OrderedDict((key, until) for key, until in self._known.items() if until > now)

    def __len__(self) -> int:
        """Return how many rows are kept in all."""
        return len(self._bans) + len(self._failures) + len(self._users) + len(self._known)
