"""Requests that wait for a device to wake up, and devices that are woken to renew their registration.

RFC 8599 sections 5.2, 5.5 and 5.6.2: the SIP Request Push Bucket. A device has woken up when a registration with the
same push parameters is durable, whatever else of its contact has changed (section 5.3).
"""

from __future__ import annotations

from collections.abc import Iterable
from inspect import isawaitable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.interfaces.location import Binding, ILocationStore, LocationChange
from twisted_sip.interfaces.push import IPushNotifier, PushNotification
from twisted_sip.message.escapes import unescape
from twisted_sip.registrar.settings import PushSettings
from twisted_sip.storage.expiry import ExpirySchedule

_log = Logger()


class _Waiter:
    """One request that waits.

    :ivar push: the push parameters of the device.
    :ivar key: the key of the binding as it was.
    :ivar done: fires when the waiting is over.
    :ivar deadline: ends it.
    """

    __slots__ = ("deadline", "done", "key", "push")

    def __init__(self, push: str, key: str, done: Deferred[Binding | None]) -> None:
        self.push = push
        self.key = key
        self.done = done
        self.deadline: IDelayedCall | None = None


class PushBucket:
    """Wakes devices; an interfaces.push.Waker.

    :ivar notifier: sends push notifications; may be replaced at any time.
    :ivar settings: likewise.
    """

    def __init__(
        self, notifier: IPushNotifier, location: ILocationStore, clock: IReactorTime, settings: PushSettings
    ) -> None:
        """Watch *location*.

        :param notifier: sends push notifications.
        :param clock: a reactor; its seconds are seconds since the epoch.
        """
        self.settings = settings
        self.notifier = notifier
        self._location = location
        self._clock = clock
        self._waiting: dict[str, list[_Waiter]] = {}
        self._count = 0
        self._schedule = ExpirySchedule(clock, self._due)
        self._end = location.observe(self._changed)

    def __len__(self) -> int:
        """How many requests wait."""
        return self._count

    def start(self) -> None:
        """Look at the registrations there are: those of sleeping devices have to be renewed, also after a restart."""
        found: Any = self._location.bindings()
        if isinstance(found, Deferred):
            found.addCallback(self._planned).addErrback(self._not_read)
        else:
            self._planned(found)

    def stop(self) -> None:
        """Wake nobody any more; what waits is told that nobody came."""
        self._end()
        self._schedule.stop()
        for waiters in list(self._waiting.values()):
            for waiter in list(waiters):
                waiter.done.cancel()

    # -- interfaces.push.Waker ---------------------------------------------------------

    def asleep(self, binding: Binding) -> bool:
        return self._clock.seconds() - binding.registered_at >= self.settings.awake

    def wake(self, binding: Binding, method: str) -> Deferred[Binding | None]:
        settings = self.settings
        waiters = self._waiting.get(binding.aor, [])
        same = [waiter for waiter in waiters if waiter.push == binding.push]
        if self._count >= settings.max_waiting or len(same) >= settings.max_waiting_per_device:
            return succeed(None)
        aor = binding.aor
        waiter = _Waiter(binding.push, binding.key, Deferred(lambda _: self._finish(aor, waiter, None)))
        self._waiting.setdefault(aor, []).append(waiter)
        self._count += 1
        wait = settings.wait if method == "INVITE" else settings.wait_other
        waiter.deadline = self._clock.callLater(wait, self._finish, aor, waiter, None)
        if not same:
            # One wakes it for all that wait.
            self._notify(binding, method)
        return waiter.done

    def nudge(self, binding: Binding, method: str) -> None:
        if self.asleep(binding) and not any(
            waiter.push == binding.push for waiter in self._waiting.get(binding.aor, ())
        ):
            self._notify(binding, method)

    def _notify(self, binding: Binding, method: str) -> None:
        provider, param, prid = binding.push.split(" ", 2)
        notification = PushNotification(
            provider=provider, param=unescape(param), prid=unescape(prid), aor=binding.aor, method=method
        )
        try:
            sent: Any = self.notifier.notify(notification)
        except Exception:
            self._not_sent(Failure(), binding)
            return
        if isawaitable(sent):
            Deferred.fromCoroutine(_settled(sent)).addErrback(self._not_sent, binding)

    def _not_sent(self, failure: Failure, binding: Binding) -> None:
        """Section 5.6.2: whoever waits for that device waits in vain."""
        _log.warn(
            "no push notification to a device of {aor}: {reason}", aor=binding.aor, reason=failure.getErrorMessage()
        )
        for waiter in [each for each in self._waiting.get(binding.aor, ()) if each.push == binding.push]:
            self._finish(binding.aor, waiter, None)

    # -- the end of waiting --------------------------------------------------------------

    def _over(self, aor: str, waiter: _Waiter) -> bool:
        """Forget *waiter*; tell whether it was waiting."""
        waiters = self._waiting.get(aor, [])
        if waiter not in waiters:
            return False
        waiters.remove(waiter)
        if not waiters:
            del self._waiting[aor]
        self._count -= 1
        if waiter.deadline is not None and waiter.deadline.active():
            waiter.deadline.cancel()
        return True

    def _finish(self, aor: str, waiter: _Waiter, fresh: Binding | None) -> None:
        if self._over(aor, waiter):
            waiter.done.callback(fresh)

    def _changed(self, change: LocationChange) -> None:
        aor = change.aor
        if self.settings.refresh_before:
            self._plan(change.put)
        for waiter in list(self._waiting.get(aor, ())):
            fresh = next((binding for binding in change.put if binding.push == waiter.push), None)
            if fresh is not None or waiter.key in change.remove:
                if waiter.deadline is not None:
                    waiter.deadline.cancel()
                # The 200 to the REGISTER goes first.
                waiter.deadline = self._clock.callLater(0, self._finish, aor, waiter, fresh)

    # -- renewals (section 5.5) -----------------------------------------------------------

    def _planned(self, bindings: Iterable[Binding]) -> None:
        if self.settings.refresh_before:
            self._plan(bindings)

    def _plan(self, bindings: Iterable[Binding]) -> None:
        for binding in bindings:
            if binding.push:
                self._schedule.at(binding.aor, binding.expires_at - self.settings.refresh_before)

    def _due(self, aor: str, now: float) -> float | None:
        found: Any = self._location.lookup(aor)
        if isinstance(found, Deferred):
            found.addCallback(self._renew_later, aor, now).addErrback(self._not_read)
            return None
        return self._renew(found, now)

    def _renew(self, bindings: Iterable[Binding], now: float) -> float | None:
        """Wake the devices whose registrations are about to end; return when the next one is."""
        following: float | None = None
        for binding in bindings:
            if not binding.push:
                continue
            date = binding.expires_at - self.settings.refresh_before
            if date <= now:
                self.nudge(binding, "REGISTER")
            elif following is None or date < following:
                following = date
        return following

    def _renew_later(self, bindings: Iterable[Binding], aor: str, now: float) -> None:
        date = self._renew(bindings, now)
        if date is not None:
            self._schedule.at(aor, date)

    @staticmethod
    def _not_read(failure: Failure) -> None:
        _log.error("devices cannot be woken to renew: {reason}", reason=failure.getErrorMessage())


async def _settled(value: Any) -> Any:
    return await value
