"""When a device that did not take a message is tried again, and what it may be given until then."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from twisted_sip.messaging.devices import Device

#: Seconds: what floats lose by adding must not cost a round of its own.
_GRAIN = 0.001


class _State:
    """What is known of one device.

    :ivar shape: its contacts and flows: with another one it counts as registered anew.
    :ivar not_before: what it asked for with Retry-After.
    :ivar hurried: it is tried sooner than it was to be: if that fails, it is not put off any longer for it.
    :ivar eager: it may be: it has not failed when it was hurried last.
    :ivar silent: it gave no answer.
    :ivar suspect: the key of the message that it has answered 5xx to, empty once it has taken another.
    """

    __slots__ = (
        "eager",
        "failures",
        "hurried",
        "last_try",
        "next_try",
        "not_before",
        "shape",
        "silent",
        "suspect",
    )

    def __init__(self, shape: Any) -> None:
        self.shape = shape
        self.failures = 0
        self.last_try = 0.0
        self.next_try = 0.0
        self.not_before = 0.0
        self.suspect = ""
        self.hurried = self.silent = False
        self.eager = True

    def failed(self, now: float, first: float, most: float, retry_after: float) -> None:
        self.last_try = now
        self.not_before = now + min(most, retry_after)
        self.eager = not self.hurried
        if self.hurried:
            self.failures = max(0, self.failures - 1)
            self.hurried = False
        self.next_try = now + min(most, max(retry_after, first * 2.0 ** min(self.failures, 32)))
        self.failures += 1

    def hurry(self, least: float) -> None:
        """There is a reason to try now, unless it has asked for more time; twice in a row *least* seconds apart."""
        date = self.not_before if self.eager else max(self.not_before, self.last_try + least)
        if self.next_try > date:
            self.next_try = date
            self.hurried = True

    def merged(self, least: float) -> None:
        """It took the last try for one that has come by two ways: *least* seconds have to lie between them."""
        self.next_try = max(self.not_before, self.last_try + least)
        self.hurried = self.eager = False

    def gone(self, now: float) -> None:
        self.hurried = False
        self.last_try = self.not_before = now
        self.next_try = math.inf
        self.failures += 1


class BackOff:
    """The devices of one recipient that failed lately, and what they have refused."""

    __slots__ = ("_failed", "_refused", "_states")

    def __init__(self) -> None:
        self._states: dict[str, _State] = {}
        self._refused: dict[str, set[str]] = {}
        # By message and device: what one of them answered 5xx to.
        self._failed: dict[str, dict[str, _State]] = {}

    def look(self, devices: Sequence[Device]) -> None:
        """Take note of the *devices* that are registered: others are forgotten, and so is what was before a change."""
        known, self._states = self._states, {}
        for device in devices:
            shape = _shape(device)
            state = known.get(device.id)
            self._states[device.id] = state if state is not None and state.shape == shape else _State(shape)

    def may_try(self, device: Device, now: float, key: str = "") -> bool:
        """Tell whether it is time to try *device*, with the message with *key*."""
        return self.next_try(device, key) <= now + _GRAIN

    def _state(self, device: Device) -> _State:
        state = self._states.get(device.id)
        if state is None:
            state = self._states[device.id] = _State(_shape(device))
        return state

    def failed(
        self, device: Device, now: float, first: float, most: float, retry_after: float, *, silent: bool = False
    ) -> None:
        """*device* did not take a message.

        :param first: seconds until it is tried again, the first time; doubled from then on.
        :param most: the most of that.
        :param retry_after: the seconds that it asked for.
        :param silent: it gave no answer.
        """
        state = self._state(device)
        state.failed(now, first, most, retry_after)
        state.silent = silent

    def gone(self, device: Device, now: float) -> None:
        """*device* is not at its contact: to try again leads to nothing before it registers, or something new waits."""
        self._state(device).gone(now)

    def failed_with(self, key: str, device: Device, now: float, first: float, most: float, retry_after: float) -> bool:
        """*device* failed over the message with *key*; the parameters are those of :meth:`failed`.

        :return: the message may be the reason. False where another one failed before it, and none was taken: it is the
            device.
        """
        state = self._state(device)
        tried = self._failed.setdefault(key, {})
        alone = state.suspect in ("", key)
        state.suspect = key
        tried.setdefault(device.id, _State(state.shape)).failed(now, first, most, retry_after)
        return alone

    def has_failed(self, key: str, device: Device) -> bool:
        """Tell whether *device* has failed over the message with *key*, registered as it is now."""
        state = self._failed.get(key, {}).get(device.id)
        return state is not None and state.shape == self._state(device).shape

    def taken(self, device: Device) -> None:
        """*device* took a message."""
        state = self._state(device)
        state.failures, state.next_try, state.suspect = 0, 0.0, ""
        state.hurried, state.eager = False, True

    def merged(self, device: Device, now: float, least: float) -> bool:
        """*device* has answered 482: it was tried again while it remembered the try before (RFC 3261 section 8.2.2.2).

        :param least: the seconds for which it does.
        :return: False if that cannot be, for it was not tried lately.
        """
        state = self._state(device)
        if not state.failures or now - state.last_try >= least:
            return False
        state.merged(least)
        return True

    def refreshed(self, names: Sequence[str], date: float, least: float) -> None:
        """A device that goes by one of *names* has registered again: it is there, and worth a try.

        :param date: when it did; what came before the last try says nothing.
        :param least: the seconds that have to lie between two tries because of this.
        """
        for name in names:
            state = self._states.get(name)
            if state is not None and state.failures and date >= state.last_try:
                state.hurry(least)

    def hurry(self, first: float, least: float) -> None:
        """Something new waits, a reason to try those at once who have answered.

        :param first: the seconds since the last try that are enough for others, over which everybody else would wait,
            and for what a device has failed over alone.
        :param least: the seconds that have to lie between two tries because of this.
        """
        alone = [state for tried in self._failed.values() for state in tried.values()]
        for state in self._states.values():
            if state.silent:
                alone.append(state)
            else:
                state.hurry(least)
        for state in alone:
            state.next_try = min(state.next_try, state.last_try + first)

    def next_try(self, device: Device, key: str = "") -> float:
        """Return when *device* is to be tried again, with the message with *key*."""
        date = self._state(device).next_try
        return max(date, self._failed[key][device.id].next_try) if self.has_failed(key, device) else date

    # -- refusals ---------------------------------------------------------------------

    def refused(self, key: str, device: Device) -> None:
        """*device* will never take the message with *key*."""
        self._refused.setdefault(key, set()).add(device.id)

    def has_refused(self, key: str, device: Device) -> bool:
        """Tell whether it said so."""
        return device.id in self._refused.get(key, ())

    def forget(self, key: str) -> None:
        """The message with *key* waits no more."""
        self._refused.pop(key, None)
        self._failed.pop(key, None)


class Round:
    """One time of going through what waits for a recipient.

    :ivar next: when the next round is due, None if nothing says so.
    """

    __slots__ = ("_blocked", "_known", "next")

    def __init__(self) -> None:
        # Ids of devices that a message has been left for, and of those that were there for all that were passed by.
        self._blocked: set[str] = set()
        self._known: set[str] | None = None
        self.next: float | None = None

    def is_open(self, device: Device) -> bool:
        """Tell whether *device* may have what is next without it overtaking anything there."""
        return device.id not in self._blocked and (self._known is None or device.id in self._known)

    def pass_by(self, present: Sequence[Device]) -> None:
        """A message stays: devices that come after *present* were not asked for it, and wait for the next round."""
        ids = {device.id for device in present}
        self._known = ids if self._known is None else self._known & ids

    def look_again(self, date: float, device: Device | None = None) -> None:
        """There is a try due at *date*, infinity for none; until then a message is left for *device*."""
        if date < math.inf:
            self.next = date if self.next is None else min(self.next, date)
        if device is not None:
            self._blocked.add(device.id)


def _shape(device: Device) -> Any:
    return tuple((str(way.uri), way.flow and way.flow.token, way.flow_lost, way.path) for way in device.ways)
