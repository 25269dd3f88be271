"""When watchers have to be decided about anew though nobody has changed the rules: the sphere of a presentity is
another (RFC 4745 section 7.3, RFC 5025 section 3.1.2), a validity has begun or ended (RFC 4745 section 7.4), or a list
that the rules refer to is another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IReactorTime

from twisted_sip.storage.expiry import ExpirySchedule

#: Seconds after which a presentity is forgotten whom nobody watches any more.
_LOOK_EVERY: Final = 3600.0

#: Stands for the sphere where no rule asks for it.
ANY_SPHERE: Final = "\n"


class Reauthorization:
    """Presentities whose rules depend on more than the watcher, as long as somebody watches them.

    :param clock: a reactor; its seconds are seconds since the epoch.
    :param sphere_of: gives the sphere that a presentity has now.
    :param watched: tells whether somebody watches it.
    :param again: has all its watchers decided about anew.
    :param most: the most presentities that are looked after; the watchers of others are decided about when they
        refresh.
    """

    def __init__(
        self,
        clock: IReactorTime,
        sphere_of: Callable[[str], str | None],
        watched: Callable[[str], bool],
        again: Callable[[str], None],
        most: int = 100_000,
    ) -> None:
        self._clock = clock
        self._sphere_of = sphere_of
        self._watched = watched
        self._again = again
        self._most = most
        # The sphere in which decisions were made, when they end, and whether lists counted.
        self._noted: dict[str, tuple[str | None, float, bool]] = {}
        self._dates: ExpirySchedule[str] = ExpirySchedule(clock, self._look)

    def __len__(self) -> int:
        """How many presentities are looked after."""
        return len(self._noted)

    def note(self, resource: str, sphere: str | None, until: float, listed: bool = False) -> None:
        """The rules of *resource* were evaluated.

        :param sphere: the sphere that counted, ANY_SPHERE if none did.
        :param until: when another decision may be due, seconds since the epoch; infinite for never.
        :param listed: lists counted.
        """
        if resource not in self._noted and len(self._noted) >= self._most:
            return
        self._noted[resource] = (sphere, until, listed)
        self._dates.at(resource, self._date(until))

    def _date(self, until: float) -> float:
        return min(until, self._clock.seconds() + _LOOK_EVERY)

    def forget(self, resource: str) -> None:
        """The rules of *resource* are others: what was noted of the old ones counts no more."""
        if self._noted.pop(resource, None) is not None:
            self._dates.forget(resource)

    def state_changed(self, resource: str) -> None:
        """The state of *resource* has changed, its sphere perhaps."""
        noted = self._noted.get(resource)
        if noted is not None and noted[0] != ANY_SPHERE and noted[0] != self._sphere_of(resource):
            self.forget(resource)
            self._again(resource)

    def lists_changed(self, owner: str) -> None:
        """A list of *owner* has changed, a global one if it is empty."""
        for resource in [owner] if owner else list(self._noted):
            noted = self._noted.get(resource)
            if noted is not None and noted[2]:
                self.forget(resource)
                self._again(resource)

    def _look(self, resource: str, now: float) -> float | None:
        noted = self._noted.get(resource)
        if noted is not None and noted[1] <= now:
            del self._noted[resource]
            if self._watched(resource):
                # They are noted again, at once or when the rules have been read.
                self._again(resource)
        elif not self._watched(resource):
            self._noted.pop(resource, None)
        left = self._noted.get(resource)
        return None if left is None else self._date(left[1])

    def stop(self) -> None:
        """Look after nobody any more."""
        self._noted.clear()
        self._dates.stop()
