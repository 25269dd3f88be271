"""Delivery of what was kept: in order, one message at a time, when a device of the recipient registers (RFC 3428).

Each recipient for whom something waits has a queue here. It is worked off when a device registers, when a message comes
on top while one is there, and after a while where a device did not take what it was given. A 2xx takes a message out of
the store. Each device is given them in order: while one is left for a device that may yet take it, that device gets
none of those behind, but other devices do. A message that a device has refused, has answered with a 5xx that speaks of
it alone, or cannot be given, keeps none of the following from that device. Each try has the Call-ID, From, To and CSeq
that the message came with. A 2xx that is not durable when the machine dies is the one thing that makes a message
come twice.

A device that is not at its contact any more (404, 410, 481) is not tried again before it registers, or something new
waits for its user. Nothing is delivered to who is no user any more; it waits until it expires, or somebody removes it.

A device that refuses a message will not be asked again for it, and when all that are registered have refused it, or the
user has (6xx), it is dropped; so it is when it expires. Its sender is told, where that was asked for (RFC 5438).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.errors import StoreError
from twisted_sip.interfaces.location import LocationChange
from twisted_sip.interfaces.message_store import IMessageStore, StoredMessage
from twisted_sip.messaging.attempt import Attempt
from twisted_sip.messaging.backoff import Round
from twisted_sip.messaging.copies import is_secure, request_for
from twisted_sip.messaging.devices import Device
from twisted_sip.messaging.notifications import failed_notification, stored_notification
from twisted_sip.messaging.outcome import CONTACT_GONE, Outcome, retry_after_of
from twisted_sip.messaging.recipient_queue import RecipientQueue, Result
from twisted_sip.storage.expiry import ExpirySchedule

if TYPE_CHECKING:
    from twisted_sip.messaging.service import MessagingService


class OfflineDelivery:
    """Delivers what the store of a service holds.

    :ivar running: how many recipients are being delivered to.
    """

    _log = Logger()

    def __init__(self, service: MessagingService) -> None:
        self._service = service
        self._store: IMessageStore = service.messages
        self._queues: dict[str, RecipientQueue] = {}
        self._ready: deque[RecipientQueue] = deque()
        self._held: set[str] = set()
        self._in_flight: set[str] = set()
        self._schedule = ExpirySchedule(service.element.reactor, self._due)
        self._sweep_timer: Any = None
        self._sweeping = False
        self._active = False
        self._ends: list[Callable[[], None]] = []
        self.running = 0

    def __len__(self) -> int:
        """The number of recipients for whom something waits."""
        return len(self._queues)

    # -- life ----------------------------------------------------------------------------

    def start(self) -> None:
        """Begin: what waits for those who are registered now is delivered."""
        self._active = True
        store: Any = self._store
        self._ends = [store.observe(self._changed), self._service.devices.location.observe(self._registered)]
        Deferred.fromCoroutine(self._begin()).addErrback(self._broken)

    async def _begin(self) -> None:
        recipients = await _settled(self._store.recipients())
        for recipient in recipients:
            self._wake(self._queue(recipient), self._service.settings.settle_time)
        await self._sweep()

    def stop(self) -> None:
        """End: what is under way ends by itself, nothing new begins."""
        self._active = False
        for end in self._ends:
            end()
        self._ends = []
        self._schedule.stop()
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
            self._sweep_timer = None
        self._queues.clear()
        self._ready.clear()
        self._held.clear()

    # -- what the relays tell ------------------------------------------------------------

    async def comes_first(self, recipient: str) -> bool:
        """Tell whether something waits for *recipient* that a new message must not overtake."""
        queue = self._queues.get(recipient)
        if queue is None:
            return False
        waiting = await _settled(self._store.waiting(recipient))
        return any(message.key not in queue.unfit for message in waiting)

    def hold(self, key: str) -> None:
        """Do not deliver the message with *key* for now: devices that were asked may still take it."""
        self._held.add(key)

    def release(self, key: str, recipient: str) -> None:
        """Those devices have all answered, or will not."""
        if key in self._held:
            self._held.discard(key)
            queue = self._queues.get(recipient)
            if queue is not None:
                self._wake(queue, 0.0)

    def taken(self, key: str) -> None:
        """A device took the message with *key* late."""
        self._remove(key)

    def failed(self, recipient: str, key: str, attempt: Attempt) -> None:
        """*attempt* led to no 2xx; the message was kept for *recipient* as *key* then."""
        queue = self._queues.get(recipient)
        if queue is not None:
            self._note(queue, key, attempt)

    async def forget(self, recipient: str) -> int:
        """Drop what waits for *recipient*, who is no user any more, and tell the senders who want to know.

        :return: how many messages.
        :raises StoreError: that is not durable.
        """
        waiting: list[StoredMessage] = await _settled(self._store.waiting(recipient))
        for message in waiting:
            if message.key not in self._in_flight:
                self._notify(failed_notification, message)
        await self._store.remove([message.key for message in waiting])
        return len(waiting)

    def stored(self, message: StoredMessage) -> None:
        """*message* was kept: tell its sender, where that is asked for."""
        self._notify(stored_notification, message)

    # -- what happens ------------------------------------------------------------------------

    def _registered(self, change: LocationChange) -> None:
        queue = self._queues.get(change.aor) if change.put else None
        if queue is not None:
            for binding in change.put:
                queue.backoff.refreshed((binding.instance, binding.key), binding.registered_at, self._least())
            # Its 200 comes first.
            self._wake(queue, self._service.settings.settle_time)

    def _changed(self, recipient: str) -> None:
        queue = self._queue(recipient)
        if queue.running:
            queue.again = True
            return
        settings = self._service.settings
        queue.backoff.hurry(settings.retry_first, self._least())
        self._wake(queue, 0.0)

    def _queue(self, recipient: str) -> RecipientQueue:
        queue = self._queues.get(recipient)
        if queue is None:
            queue = self._queues[recipient] = RecipientQueue(recipient)
            self._sweep_later()
        return queue

    def _wake(self, queue: RecipientQueue, delay: float) -> None:
        if queue.running:
            queue.again = True
        elif self._active:
            self._schedule.at(queue.recipient, self._now() + delay)

    def _due(self, recipient: str, now: float) -> None:
        queue = self._queues.get(recipient)
        if queue is not None and not queue.ready and not queue.running:
            queue.ready = True
            self._ready.append(queue)
            self._pump()

    def _pump(self) -> None:
        while self._ready and self.running < self._service.settings.max_deliveries:
            queue = self._ready.popleft()
            queue.ready = False
            queue.running = True
            self.running += 1
            work = Deferred.fromCoroutine(self._work_off(queue))
            work.addErrback(self._broken)
            work.addBoth(self._worked_off, queue)

    def _worked_off(self, result: object, queue: RecipientQueue) -> None:
        queue.running = False
        self.running -= 1
        if self._active:
            if queue.again:
                queue.again = False
                self._wake(queue, 0.0)
            self._pump()

    def _broken(self, failure: Failure) -> None:
        if failure.check(StoreError):
            self._log.error("kept messages are not delivered: {reason}", reason=str(failure.value))
        else:
            self._log.failure("while delivering kept messages", failure)

    # -- one recipient ---------------------------------------------------------------------------

    async def _work_off(self, queue: RecipientQueue) -> None:
        passed: set[str] = set()
        queue.unfit.clear()
        queue.again = False
        if not await self._is_user(queue.recipient):
            return
        current = Round()
        while self._active:
            waiting = await _settled(self._store.waiting(queue.recipient))
            message = next((found for found in waiting if found.key not in passed), None)
            if message is None:
                if not waiting and not queue.again:
                    self._queues.pop(queue.recipient, None)
                break
            if message.key in self._held:
                # Its release goes on here.
                break
            result = await self._deliver(queue, message, current)
            if result is Result.LATER:
                break
            # Whatever it led to, it is not tried again in this round.
            passed.add(message.key)
            if result is Result.UNFIT:
                queue.unfit.add(message.key)
        if current.next is not None and self._active:
            self._schedule.at(queue.recipient, current.next)

    async def _is_user(self, recipient: str) -> bool:
        """Tell whether *recipient* is a user still: a device may outlive its user by what is left of its binding."""
        try:
            return bool(await _settled(self._service.user_known(recipient)))
        except StoreError:
            if self._active:
                self._schedule.at(recipient, self._now() + self._service.settings.retry_first)
            raise

    async def _deliver(self, queue: RecipientQueue, message: StoredMessage, current: Round) -> Result:
        settings = self._service.settings
        backoff, key = queue.backoff, message.key
        find = self._service.devices.of
        present = devices = await find(queue.recipient, most=settings.max_devices)
        # All of them, or what is known of the others would be forgotten.
        backoff.look(present)
        secure, instance = is_secure(message), message.instance
        if (secure or instance) and present:
            # RFC 5630 section 5.3, RFC 5627 section 6.1.
            devices = await find(queue.recipient, secure=secure, instance=instance, most=settings.max_devices)
        if not any(map(current.is_open, present)):
            return Result.LATER
        if self._service.size_of(message) > settings.size_limit:
            # RFC 3428 section 8 holds for every hop.
            devices = [device for device in devices if device.congestion_safe]
        if not devices:
            current.pass_by(present)
            return Result.UNFIT
        left = [device for device in devices if not backoff.has_refused(key, device)]
        for device in left:
            if not current.is_open(device) or not backoff.may_try(device, self._now(), key):
                continue
            attempt = await self._try(message, device)
            outcome = attempt.outcome
            if outcome is Outcome.TAKEN:
                backoff.taken(device)
                backoff.forget(key)
                self._remove(key)
                return Result.DONE
            if outcome is Outcome.DECLINED:
                return self._drop(queue, message, attempt.status)
            self._note(queue, key, attempt)
            if not self._active:
                return Result.LATER
        left = [device for device in left if not backoff.has_refused(key, device)]
        if not left:
            return self._drop(queue, message, 0)
        current.pass_by(present)
        for device in left:
            alone = backoff.has_failed(key, device)
            current.look_again(backoff.next_try(device, key), None if alone else device)
        return Result.LEFT

    async def _try(self, message: StoredMessage, device: Device) -> Attempt:
        ended: Deferred[Attempt] = Deferred()
        self._in_flight.add(message.key)
        sender = self._service.element.sender
        Attempt(sender, device, lambda target: request_for(message, target), ended.callback).start()
        try:
            return await ended
        finally:
            self._in_flight.discard(message.key)

    def _note(self, queue: RecipientQueue, key: str, attempt: Attempt) -> None:
        """Take note of what *attempt* to give away the message with *key* has led to, which is no 2xx."""
        device, status = attempt.device, attempt.status
        settings, now = self._service.settings, self._now()
        if attempt.outcome is not Outcome.TEMPORARY:
            queue.backoff.refused(key, device)
            return
        retry_after = retry_after_of(attempt.response)
        if status == 482 and queue.backoff.merged(device, now, self._least()):
            return
        if status in CONTACT_GONE and not retry_after:
            queue.backoff.gone(device, now)
            return
        times = (now, settings.retry_first, settings.retry_most, retry_after)
        # RFC 3261 section 21.5: a 503 speaks of the server, the others may well speak of this request.
        if not (status >= 500 and status != 503 and queue.backoff.failed_with(key, device, *times)):
            queue.backoff.failed(device, *times, silent=attempt.response is None)

    def _drop(self, queue: RecipientQueue, message: StoredMessage, status: int) -> Result:
        self._log.info(
            "a message from {sender} was refused by {recipient}",
            sender=message.sender,
            recipient=message.recipient,
            call_id=message.call_id,
            status=status,
        )
        queue.backoff.forget(message.key)
        self._notify(failed_notification, message)
        self._remove(message.key)
        return Result.DONE

    def _remove(self, *keys: str) -> Deferred[None]:
        removed: Deferred[None] = self._store.remove(keys)
        # It waits no more, as long as the process lives; what there is to say has been said.
        return removed.addErrback(self._broken)

    # -- senders who want to know -------------------------------------------------------------------

    def _notify(self, make: Callable[..., StoredMessage | None], message: StoredMessage) -> None:
        service = self._service
        settings = service.settings
        if not settings.notifications:
            return
        notification = make(message, service.element.domains.is_local_uri, self._now(), settings.lifetime)
        if notification is not None:
            self._store.add(notification).addErrback(self._broken)

    # -- expiry -----------------------------------------------------------------------------------

    def _sweep_later(self) -> None:
        if self._sweep_timer is None and self._active:
            self._sweep_timer = self._service.element.timers.start(
                self._service.settings.expiry_interval, self._sweep_due
            )

    def _sweep_due(self) -> None:
        self._sweep_timer = None
        Deferred.fromCoroutine(self._sweep()).addErrback(self._broken)

    async def _sweep(self) -> None:
        """Drop what has expired, and tell those who want to know."""
        if self._sweeping:
            return
        self._sweeping = True
        try:
            while self._active:
                expired = await _settled(self._store.expired())
                due = [message for message in expired if message.key not in self._in_flight]
                if not due:
                    break
                for message in due:
                    self._notify(failed_notification, message)
                await self._remove(*[message.key for message in due])
        finally:
            self._sweeping = False
        if self._queues or self._in_flight:
            self._sweep_later()

    def _least(self) -> float:
        """For so many seconds a device may know what it was sent, and take the same once more for a loop (RFC 3261
        section 8.2.2.2)."""
        return self._service.element.timer_values.timeout + 1.0

    def _now(self) -> float:
        return float(self._service.element.reactor.seconds())


async def _settled(value: Any) -> Any:
    return await value if isawaitable(value) else value
