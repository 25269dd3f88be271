"""The two ends of a call between simulated phones, and what each makes of it (RFC 3261 sections 9, 13 and 15)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted_sip.errors import TransportError
from twisted_sip.message.builders import response_to
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.testing.behaviour import ANSWER, REFUSALS, Behaviour
from twisted_sip.testing.phone_dialog import PhoneDialog
from twisted_sip.transaction.timers import Timer

if TYPE_CHECKING:
    from twisted_sip.interfaces.processing import IncomingRequest
    from twisted_sip.testing.phone import SimulatedPhone

#: Seconds after which a phone that nobody picks up stops ringing.
_RINGS_AT_MOST = 220.0


class OutgoingCall:
    """The caller's end.

    :ivar call_id: its Call-ID.
    :ivar status: the outcome of the INVITE, 0 as long as there is none.
    :ivar decided_at: when it came, in seconds of the simulation.
    :ivar cancelled: the user gave up before there was an outcome.
    :ivar dialogs: remote tag -> dialog, one for each 2xx; the first is the call, the others were hung up at once.
    """

    def __init__(self, phone: SimulatedPhone, uri: str, behaviour: Behaviour) -> None:
        """Send the INVITE."""
        self.phone = phone
        self.behaviour = behaviour
        self.status = 0
        self.decided_at = 0.0
        self.cancelled = False
        self.dialogs: dict[str, PhoneDialog] = {}
        self._timers: list[Timer] = []
        request = phone.build("INVITE", uri, [("contact", phone.contact)])
        self.call_id = request.call_id
        self.sent = phone.send(request, self._done, accepted=self._accepted)
        if behaviour.patience is not None:
            self._later(behaviour.patience, self.cancel)

    def __repr__(self) -> str:
        ends = [dialog.ended or "up" for dialog in self.dialogs.values()]
        return f"<{self.phone.user} calls {self.call_id}: {self.status}{' cancelled' if self.cancelled else ''} {ends}>"

    def _later(self, seconds: float, call: Any) -> None:
        self._timers.append(self.phone.element.timers.start(seconds, call))

    @property
    def over(self) -> bool:
        """True once nothing of it is left."""
        return bool(self.status) and all(dialog.ended for dialog in self.dialogs.values())

    @property
    def dialog(self) -> PhoneDialog | None:
        """The dialog of the first 2xx, None without one."""
        return next(iter(self.dialogs.values()), None)

    def cancel(self) -> None:
        """Give the call up (section 9.1), if it has no outcome yet."""
        if not self.status and not self.cancelled:
            self.cancelled = True
            self.sent.outgoing.cancel()

    def hang_up(self) -> None:
        """End it, whatever its state."""
        self.cancel()
        for dialog in list(self.dialogs.values()):
            dialog.hang_up()

    def _accepted(self, response: Response) -> None:
        tag = response.to.tag or ""
        dialog = self.dialogs.get(tag)
        if dialog is None:
            invite = self.sent.outgoing.request
            dialog = PhoneDialog.of_uac(self.phone, invite, response, self._dialog_ended)
            self.dialogs[tag] = dialog
        dialog.acknowledge(response.cseq.number)
        if dialog is not self.dialog or self.cancelled:
            # One call is enough (section 13.2.2.4); and one that was given up is over (section 9.1).
            dialog.hang_up()

    def _done(self, status: int, response: Response | None) -> None:
        self.status = status
        self.decided_at = self.phone.now()
        self._stop_timers()
        dialog = self.dialog
        if dialog is not None and not dialog.ended:
            self._later(self.behaviour.talks, dialog.hang_up)
            if self.behaviour.reinvites_after is not None:
                self._later(self.behaviour.reinvites_after, dialog.reinvite)

    def _dialog_ended(self) -> None:
        first = self.dialog
        if first is None or first.ended:
            self._stop_timers()

    def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()


class IncomingCall:
    """The callee's end; the user of its INVITE server transaction.

    :ivar call_id: its Call-ID.
    :ivar tag: our tag, by which the caller tells the ends of a forked call apart.
    :ivar status: our final response, 0 as long as there is none.
    :ivar began_at: when the INVITE came, in seconds of the simulation.
    :ivar decided_at: when we sent the final response.
    :ivar was_cancelled: a CANCEL came before the final response.
    :ivar acknowledged: the ACK for our 2xx came.
    :ivar dialog: the dialog of our 2xx, None without one.
    """

    def __init__(self, phone: SimulatedPhone, incoming: IncomingRequest, behaviour: Behaviour) -> None:
        self.phone = phone
        self.behaviour = behaviour
        self.call_id = incoming.request.call_id
        self.tag = phone.element.random_text()
        self.status = 0
        self.began_at = phone.now()
        self.decided_at = 0.0
        self.was_cancelled = False
        self.acknowledged = False
        self.dialog: PhoneDialog | None = None
        self._request: Request = incoming.request
        self._timers: list[Timer] = []
        self._transaction: Any = incoming.start_transaction(self)
        if behaviour.rings_after is not None:
            self._later(behaviour.rings_after, self._ring)
        if behaviour.reaction == ANSWER:
            self._later(behaviour.reacts_after, self.answer)
        elif behaviour.reaction in REFUSALS:
            self._later(behaviour.reacts_after, self.refuse, REFUSALS[behaviour.reaction])
        else:
            # Longer than Timer C of any proxy: only a call that nobody waits for any more gets there.
            self._later(_RINGS_AT_MOST, self.refuse, 480)

    def __repr__(self) -> str:
        end = (self.dialog.ended or "up") if self.dialog is not None else ""
        said = (
            f"{self.status}{' cancelled' if self.was_cancelled else ''}{' acknowledged' if self.acknowledged else ''}"
        )
        return f"<{self.phone.user} called by {self.call_id}: {said} {end}>"

    def _later(self, seconds: float, call: Any, *args: Any) -> None:
        self._timers.append(self.phone.element.timers.start(seconds, call, *args))

    @property
    def over(self) -> bool:
        """True once nothing of it is left."""
        if self.dialog is not None:
            return bool(self.dialog.ended)
        return bool(self.status)

    def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    # -- what the user does ----------------------------------------------------------------

    def _ring(self) -> None:
        if not self.status:
            headers = [("record-route", value) for value in self._request.headers.all("record-route")]
            headers.append(("contact", self.phone.contact))
            self._transaction.send(response_to(self._request, 180, headers=headers, to_tag=self.tag))

    def answer(self) -> None:
        """Pick up, if there is still something to pick up."""
        if self.status:
            return
        self._stop_timers()
        self.status = 200
        self.decided_at = self.phone.now()
        self.dialog = PhoneDialog.of_uas(self.phone, self._request, self.tag, self._stop_timers)
        self.dialog.answer(self._transaction, self._request)

    def refuse(self, status: int) -> None:
        """Say no with *status*."""
        if self.status:
            return
        self._stop_timers()
        self.status = status
        self.decided_at = self.phone.now()
        self._transaction.send(response_to(self._request, status, to_tag=self.tag))

    def established(self) -> None:
        """The ACK has come."""
        if not self.acknowledged:
            self.acknowledged = True
            if self.dialog is not None and not self.dialog.ended:
                self._later(self.behaviour.talks, self.dialog.hang_up)

    # -- the user of the server transaction --------------------------------------------------

    def cancelled(self, transaction: Any, cancel: Request) -> None:
        """The caller gives up (section 9.2)."""
        if not self.status:
            self.was_cancelled = True
            self.refuse(487)

    def ack_timed_out(self, transaction: Any) -> None:
        """Timer H: the refusal counts all the same."""

    def transport_failed(self, transaction: Any, error: TransportError) -> None:
        """The connection is gone: look for another way back (section 18.2.2)."""
        self.phone.element.find_way_back(transaction)
