"""When a device that did not take a message is tried again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted_sip.messaging.devices import Device

#: Seconds: what floats lose by adding must not cost a round of its own.
_GRAIN = 0.001


class _State:
    """What is known of one device.

    :ivar shape: its contacts and flows: with another one it counts as registered anew.
    """

    __slots__ = ("failures", "last_try", "next_try", "shape")

    def __init__(self, shape: Any) -> None:
        self.shape = shape
        self.failures = 0
        self.last_try = 0.0
        self.next_try = 0.0


class BackOff:
    """The devices of one recipient that failed lately, and what they have refused."""

    __slots__ = ("_refused", "_states")

    def __init__(self) -> None:
        self._states: dict[str, _State] = {}
        self._refused: dict[str, set[str]] = {}

    def look(self, devices: Sequence[Device]) -> None:
        """Take note of the *devices* that are registered: others are forgotten, and so is what was before a change."""
        known, self._states = self._states, {}
        for device in devices:
            shape = _shape(device)
            state = known.get(device.id)
            self._states[device.id] = state if state is not None and state.shape == shape else _State(shape)

    def may_try(self, device: Device, now: float) -> bool:
        """Tell whether it is time to try *device*."""
        return self._state(device).next_try <= now + _GRAIN

    def _state(self, device: Device) -> _State:
        state = self._states.get(device.id)
        if state is None:
            state = self._states[device.id] = _State(_shape(device))
        return state

    def failed(self, device: Device, now: float, first: float, most: float, retry_after: float) -> None:
        """*device* did not take a message.

        :param first: seconds until it is tried again, the first time; doubled from then on.
        :param most: the most of that.
        :param retry_after: the seconds that it asked for.
        """
        state = self._state(device)
        state.last_try = now
        state.next_try = now + min(most, max(retry_after, first * 2.0 ** min(state.failures, 32)))
        state.failures += 1

    def taken(self, device: Device) -> None:
        """*device* took a message."""
        state = self._state(device)
        state.failures, state.next_try = 0, 0.0

    def hurry(self, first: float) -> None:
        """There is a reason to try: *first* seconds after the last one are enough."""
        for state in self._states.values():
            state.next_try = min(state.next_try, state.last_try + first)

    def next_try(self, devices: Sequence[Device]) -> float:
        """Return when the first of *devices*, one or more, is to be tried again."""
        return min(self._state(device).next_try for device in devices)

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


def _shape(device: Device) -> Any:
    return tuple((str(way.uri), way.flow and way.flow.token, way.flow_lost, way.path) for way in device.ways)
