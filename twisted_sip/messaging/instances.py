"""Which instances of our users there are, for messages to GRUUs (RFC 5627 section 6.1).

Every registered one is known, and every one that was registered while the service ran, for as long as a message may
wait for it. Of others no more is known than that messages wait for them already.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import isawaitable
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime

from twisted_sip.interfaces.location import ILocationStore, LocationChange
from twisted_sip.interfaces.message_store import IMessageStore
from twisted_sip.message.gruu import instance_key
from twisted_sip.storage.expiry import ExpirySchedule

#: The most instances that are remembered; who registers when there are as many is known while it is registered.
MOST_KNOWN: Final = 100_000


class KnownInstances:
    """Tells which instances are known.

    :param lifetime: gives the seconds for which one is remembered.
    """

    def __init__(
        self,
        clock: IReactorTime,
        location: ILocationStore,
        messages: IMessageStore,
        lifetime: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._location = location
        self._messages = messages
        self._lifetime = lifetime
        self._until: dict[str, float] = {}
        self._dates = ExpirySchedule(clock, self._look)
        self._end: Callable[[], None] | None = None

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._until)

    def start(self) -> None:
        """Remember who registers from now on."""
        self._end = self._location.observe(self._changed)

    def stop(self) -> None:
        """Forget everybody. Harmless when repeated."""
        end, self._end = self._end, None
        if end is not None:
            end()
        self._until.clear()
        self._dates.stop()

    async def known(self, aor: str, instance: str) -> bool:
        """Tell whether *aor* has, or had lately, a device with the instance key *instance*.

        :raises StoreError: the stores cannot be read.
        """
        if _name(aor, instance) in self._until:
            return True
        for binding in await _settled(self._location.lookup(aor)):
            if binding.instance and instance_key(binding.instance) == instance:
                return True
        return any(message.instance == instance for message in await _settled(self._messages.waiting(aor)))

    def _changed(self, change: LocationChange) -> None:
        for binding in change.put:
            if binding.instance:
                self._note(_name(change.aor, instance_key(binding.instance)), binding.expires_at)

    def _note(self, name: str, expires_at: float) -> None:
        if name not in self._until and len(self._until) >= MOST_KNOWN:
            return
        self._until[name] = max(expires_at, self._clock.seconds()) + self._lifetime()
        self._dates.at(name, self._until[name])

    def _look(self, name: str, now: float) -> float | None:
        until = self._until[name]
        if until > now:
            return until
        del self._until[name]
        return None


def _name(aor: str, instance: str) -> str:
    return f"{aor}\n{instance}"


async def _settled(value: Any) -> Any:
    return await value if isawaitable(value) else value
