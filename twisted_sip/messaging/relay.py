"""One message on its way to every device of its recipient, and what becomes of it (RFC 3428 sections 6 and 7).

The proxy part: copies go to all devices at once, whatever their q, and the first 2xx is the answer (RFC 3261 section
16.7 step 5). The relay part: without a 2xx the message is kept, where that makes sense, and the answer is 202 once it
is durable. Devices that are silent are given up early enough for the 202 to come before Timer F of the sender; a 2xx
that comes after that takes the message out of the store again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.errors import QuotaExceeded, StoreError, StoreFull, TransportError
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.message.builders import response_to
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.messaging.attempt import Attempt
from twisted_sip.messaging.copies import forwarded_copy
from twisted_sip.messaging.devices import Device
from twisted_sip.messaging.outcome import Outcome, best_refusal

if TYPE_CHECKING:
    from twisted_sip.messaging.service import MessagingService

_log = Logger()

#: Local outcomes that are no answer for a sender: nobody was there.
_NOBODY = (408, 430, 503)

#: Seconds after which a sender may try again when the store is full, and when it is full for one recipient.
RETRY_FULL = 60
RETRY_QUOTA = 3600

# Where a relay is: devices are asked; the message is being stored; the sender has its answer.
_ASKING, _STORING, _ANSWERED = range(3)


class Relay:
    """One message; the user of its server transaction.

    :ivar request: the message as it came.
    :ivar recipient: the address-of-record that it is for.
    :ivar sender: the canonical URI of who sent it.
    :ivar incoming: the request with its transaction, None for a message of a program on this server.
    :ivar stranger: the sender is nobody of ours, or nobody knows.
    :ivar instance: the key of the one instance of the recipient that it is for (RFC 5627), empty for all devices.
    """

    __slots__ = (
        "_answer",
        "_attempts",
        "_begun",
        "_deadline",
        "_fallback",
        "_given_up",
        "_key",
        "_pending",
        "_service",
        "_share",
        "_state",
        "incoming",
        "instance",
        "recipient",
        "request",
        "sender",
        "stranger",
        "transaction",
    )

    def __init__(
        self,
        service: MessagingService,
        request: Request,
        recipient: str,
        sender: str,
        incoming: IncomingRequest | None,
        answer: Callable[[Response], None] | None = None,
        *,
        stranger: bool = False,
        instance: str = "",
    ) -> None:
        """Make a relay that is not started.

        :param answer: called once with the answer, where there is no *incoming*.
        """
        self.request = request
        self.recipient = recipient
        self.sender = sender
        self.incoming = incoming
        self.stranger = stranger
        self.instance = instance
        self.transaction: Any = None
        self._service = service
        self._answer = answer
        self._attempts: list[Attempt] = []
        self._pending = 0
        self._share = 1
        self._state = _ASKING
        self._deadline: Any = None
        self._begun = False
        self._given_up = False
        self._fallback: Response | None = None
        self._key = ""

    def start(self, devices: Sequence[Device], breadth: int, suffix: str, *, last: bool = False) -> None:
        """Send a copy to each of *devices*; without any the message is stored at once.

        :param breadth: the Max-Breadth that they share (RFC 5393 section 5.3.3).
        :param suffix: ends the branches, for loop detection.
        :param last: others wait for the recipient already: it is stored behind them, if it can be stored.
        """
        if self.incoming is not None:
            self.transaction = self.incoming.start_transaction(self)
        sender = self._service.element.sender
        self._attempts = [Attempt(sender, device, self._copy, self._ended, suffix) for device in devices]
        self._share = max(1, breadth // max(1, len(devices)))
        if last or not devices:
            self._note("{0} is nowhere now" if not devices else "others wait for {0} already", "", self.recipient)
            self._keep()
        else:
            self._note("sent to {1} of {0}", "", self.recipient, "a device" if len(devices) == 1 else "several devices")
            self._begin()

    def _note(self, text: str, key: str = "", first: str = "", second: str = "") -> None:
        if self.incoming is not None:
            self.incoming.note("messaging", text, key, first, second)

    def _begin(self) -> None:
        self._begun = True
        self._pending = len(self._attempts)
        if not self._given_up:
            service = self._service
            self._deadline = service.element.timers.start(service.settings.answer_within, self._too_late)
        for attempt in self._attempts:
            attempt.start()

    def _copy(self, target: Any) -> Request:
        service = self._service
        copy = forwarded_copy(self.request, target, self._share, service.element.timers.now())
        if self.incoming is not None:
            for policy in service.policies:
                policy.branch(copy, target, self.incoming)
        return copy

    # -- outcomes ----------------------------------------------------------------------

    def _ended(self, attempt: Attempt) -> None:
        self._pending -= 1
        if attempt.outcome is Outcome.TAKEN and attempt.response is not None:
            self._taken(attempt.response)
        elif self._key and attempt.outcome is Outcome.REFUSED:
            # Late, but it need not be asked again.
            self._service.delivery.failed(self.recipient, self._key, attempt)
        if not self._pending:
            self._all_ended()

    def _taken(self, response: Response) -> None:
        """A device has the message: the first one answers the sender, and nothing has to be kept."""
        if self._key:
            self._service.delivery.taken(self._key)
        self._respond(response)

    def _too_late(self) -> None:
        """The devices have had their time."""
        self._deadline = None
        self._note("no device has answered in time", "messaging.answer_within")
        if self._declined():
            self._refuse()
        else:
            self._keep()

    def _all_ended(self) -> None:
        if self._key:
            self._service.delivery.release(self._key, self.recipient)
        if self._state is _ASKING:
            refused = all(attempt.outcome is not Outcome.TEMPORARY for attempt in self._attempts)
            if self._given_up or self._declined() or refused:
                self._refuse()
            else:
                self._keep()
        elif self._state is _ANSWERED:
            self._release()

    def _declined(self) -> bool:
        """Tell whether the user has refused the message on one of the devices: all others are to agree (6xx)."""
        return any(attempt.status >= 600 for attempt in self._attempts)

    def _refuse(self) -> None:
        """Nobody has taken it and it is not kept."""
        responses = [attempt.response for attempt in self._attempts if attempt.response is not None]
        chosen = best_refusal(responses) or self._fallback
        if chosen is None:
            chosen = next((response for response in responses if response.status not in _NOBODY), None)
        if chosen is None:
            # A timeout after Timer F needs no answer (RFC 4320 section 4.2): the transaction sends none.
            late = self._begun and all(attempt.status == 408 for attempt in self._attempts)
            chosen = self._made(408 if late else 480)
        self._respond(chosen)

    # -- keeping it ----------------------------------------------------------------------

    def _keep(self) -> None:
        self._state = _STORING
        self._stop_deadline()
        Deferred.fromCoroutine(self._store()).addErrback(self._not_stored)

    async def _store(self) -> None:
        service = self._service
        message: Any = service.message_to_keep(self)
        if isawaitable(message):
            message = await message
        if message is None or isinstance(message, Response):
            self._note(*self._why_not_kept(message))
            self._go_on(message)
            return
        if self._state is not _STORING:
            # A device was faster.
            return
        self._key = message.key
        if self._pending:
            service.delivery.hold(message.key)
        try:
            await service.messages.add(message)
        except StoreError:
            service.delivery.release(message.key, self.recipient)
            self._key = ""
            raise
        for attempt in self._attempts:
            if attempt.status:
                service.delivery.failed(self.recipient, message.key, attempt)
        if self._state is _STORING:
            self._note("202: kept until {0} registers, or for so long", "messaging.lifetime", self.recipient)
            self._respond(self._made(202))
            service.delivery.stored(message)

    def _why_not_kept(self, message: Response | None) -> tuple[str, str, str]:
        """Return words, key and value for a message that is not kept; *message* says so to the sender, if anything."""
        settings = self._service.settings
        if message is not None:
            return "404: there is no user {0}", "auth.required", self.recipient
        if not settings.store:
            return "it is not kept", "messaging.store", ""
        forbidden = self.stranger and not settings.store_for_strangers
        return "it is not kept", "messaging.store_for_strangers" if forbidden else "", ""

    def _not_stored(self, failure: Failure) -> None:
        error = failure.value
        key = error.key if isinstance(error, StoreFull) else ""
        self._note("it could not be kept: {0}", key, str(error) or type(error).__name__)
        if isinstance(error, QuotaExceeded):
            # RFC 3261 section 21.4.18: reached, but not available now; when it may be is in Retry-After.
            self._go_on(self._made(480, RETRY_QUOTA, "Too many messages wait for this user"))
        elif isinstance(error, StoreFull):
            # Section 21.5.1: the condition is temporary. A 503 would keep the calls of the sender away as well.
            self._go_on(self._made(500, RETRY_FULL, "The message store is full"))
        elif isinstance(error, StoreError):
            _log.error("a message was not stored: {reason}", reason=str(error), call_id=self.request.call_id)
            self._go_on(self._made(500))
        else:
            _log.failure("while keeping a message for {recipient}", failure, recipient=self.recipient)
            self._go_on(self._made(500))

    def _go_on(self, fallback: Response | None) -> None:
        """It cannot be kept: what devices there are may take it yet; if none does, *fallback* is the answer."""
        if self._state is _STORING:
            self._state = _ASKING
            self._given_up = True
            self._fallback = fallback
            if not self._begun and self._attempts:
                self._begin()
            elif not self._pending:
                self._refuse()

    # -- the answer ---------------------------------------------------------------------------

    def _made(self, status: int, retry_after: int = 0, warning: str = "") -> Response:
        """Return a response of our own."""
        incoming = self.incoming
        headers: list[tuple[str, str]] = []
        if retry_after:
            headers.append(("retry-after", str(retry_after)))
        if warning:
            agent = "twisted-sip" if incoming is None else incoming.flow.sent_by
            headers.append(("warning", f'399 {agent} "{warning}"'))
        tag = self._service.element.random_text() if incoming is None else incoming.to_tag
        return response_to(self.request, status, "", headers, b"", tag)

    def _respond(self, response: Response) -> None:
        if self._state is _ANSWERED:
            return
        self._state = _ANSWERED
        self._stop_deadline()
        if self.incoming is None:
            assert self._answer is not None
            self._answer(response)
        else:
            self.transaction.send(self._upstream(response, self.incoming))
        if not self._pending:
            self._release()

    def _upstream(self, response: Response, incoming: IncomingRequest) -> Response:
        """Return *response* as it goes to the sender (RFC 3261 section 16.7 steps 3 and 8)."""
        if response.flow is not None:
            response.headers.remove_first_element("via")
            if "via" not in response.headers.names:
                return self._made(502)
        try:
            for policy in self._service.policies:
                policy.response(response, self)
        except Exception:
            # What should be hidden from the sender may still be in it.
            _log.failure("a response was not forwarded: {response}", response=response)
            return self._made(500)
        return response

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _release(self) -> None:
        """Let go of what is done, so that it is not kept for as long as the transaction lasts."""
        self._attempts = []
        if self.transaction is not None:
            self.transaction.forget()

    # -- the user of the server transaction -----------------------------------------------------

    def cancelled(self, transaction: Any, cancel: Request) -> None:
        """A MESSAGE cannot be cancelled (RFC 3261 section 9.1)."""

    def ack_timed_out(self, transaction: Any) -> None:
        """There is no ACK for a MESSAGE."""

    def transport_failed(self, transaction: Any, error: TransportError) -> None:
        """The response found no way back: look for another one (RFC 3261 section 18.2.2)."""
        self._service.element.find_way_back(transaction)
