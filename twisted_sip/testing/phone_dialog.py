"""One dialog of a simulated phone: its state, the requests in it, the 2xx that waits for its ACK.

RFC 3261 sections 12 to 15.
It is a phone of the simplest kind: one usage, an INVITE session without media.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from twisted_sip.message.builders import response_to
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.route_set import apply_route_set, route_set_of_uac, route_set_of_uas
from twisted_sip.transaction.timers import Timer

if TYPE_CHECKING:
    from twisted_sip.interfaces.processing import IncomingRequest
    from twisted_sip.testing.phone import SimulatedPhone

#: (Call-ID, local tag, remote tag)
DialogID = tuple[str, str, str]


class AnswerRetransmission:
    """A 2xx to an INVITE, sent again until its ACK comes (section 13.3.1.4)."""

    def __init__(self, phone: SimulatedPhone, transaction: Any, response: Response, lost: Callable[[], None]) -> None:
        """Send *response* now.

        :param lost: called when 64*T1 have passed without an ACK.
        """
        self._phone = phone
        self._transaction = transaction
        self._response = response
        self._lost = lost
        values = phone.element.timer_values
        self._interval: float = values.T1
        self._left: float = values.timeout
        self._timer: Timer | None = None
        transaction.send(response)
        self._wait()

    def _wait(self) -> None:
        interval = min(self._interval, self._left)
        self._left -= interval
        self._timer = self._phone.element.timers.start(interval, self._due)

    def _due(self) -> None:
        if self._left <= 0:
            self._timer = None
            self._lost()
            return
        self._transaction.send(self._response)
        self._interval = min(2 * self._interval, self._phone.element.timer_values.T2)
        self._wait()

    def acknowledged(self) -> None:
        """The ACK has come, or nobody waits for it any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class PhoneDialog:
    """A confirmed dialog.

    :ivar id: (Call-ID, local tag, remote tag).
    :ivar ended: how it ended, empty as long as it goes on: ``bye sent``, ``bye received``, ``no ack`` (the 2xx was
        never acknowledged, so BYE was sent).
    :ivar bye_outcome: the status that our BYE ended with, 0 without one.
    """

    def __init__(
        self,
        phone: SimulatedPhone,
        id: DialogID,
        *,
        local: str,
        remote: str,
        remote_target: str,
        route_set: Iterable[str],
        cseq: int,
        remote_cseq: int,
        on_end: Callable[[], None],
    ) -> None:
        self.phone = phone
        self.id = id
        self.ended = ""
        self.bye_outcome = 0
        self._local = local
        self._remote = remote
        self._remote_target = remote_target
        self._route_set = tuple(route_set)
        self._cseq = cseq
        self._remote_cseq = remote_cseq
        self._on_end = on_end
        self._answers: dict[int, AnswerRetransmission] = {}
        self._acks: dict[int, Request] = {}
        self._inviting = False
        phone.dialogs[id] = self

    @classmethod
    def of_uac(
        cls, phone: SimulatedPhone, invite: Request, response: Response, on_end: Callable[[], None]
    ) -> PhoneDialog:
        """Return the dialog that a 2xx to our INVITE makes (section 12.1.2)."""
        local_tag, remote_tag = invite.from_.tag or "", response.to.tag or ""
        return cls(
            phone,
            (invite.call_id, local_tag, remote_tag),
            local=invite.headers.first("from") or "",
            remote=response.headers.first("to") or "",
            remote_target=response.contacts[0].uri_text,
            route_set=route_set_of_uac(response),
            cseq=invite.cseq.number,
            remote_cseq=0,
            on_end=on_end,
        )

    @classmethod
    def of_uas(cls, phone: SimulatedPhone, invite: Request, local_tag: str, on_end: Callable[[], None]) -> PhoneDialog:
        """Return the dialog that our 2xx to *invite* makes (section 12.1.1)."""
        return cls(
            phone,
            (invite.call_id, local_tag, invite.from_.tag or ""),
            local=f"{invite.headers.first('to')};tag={local_tag}",
            remote=invite.headers.first("from") or "",
            remote_target=invite.contacts[0].uri_text,
            route_set=route_set_of_uas(invite),
            cseq=0,
            remote_cseq=invite.cseq.number,
            on_end=on_end,
        )

    # -- requests of ours ------------------------------------------------------------

    def request(self, method: str, headers: Iterable[tuple[str, str]] = (), cseq: int = 0) -> Request:
        """Return a request in this dialog (section 12.2.1.1)."""
        if not cseq:
            self._cseq += 1
            cseq = self._cseq
        made = Request(
            method,
            self._remote_target,
            [
                ("max-forwards", "70"),
                ("from", self._local),
                ("to", self._remote),
                ("call-id", self.id[0]),
                ("cseq", f"{cseq} {method}"),
                *headers,
            ],
        )
        apply_route_set(made, self._route_set, self._remote_target)
        return made

    def acknowledge(self, cseq: int) -> None:
        """Send the ACK for the 2xx to our INVITE number *cseq*: once for each time that the 2xx comes (section
        13.2.2.4)."""
        ack = self._acks.get(cseq)
        if ack is None:
            ack = self._acks[cseq] = self.request("ACK", cseq=cseq)
        self.phone.element.sender.send_ack(ack.copy())

    def hang_up(self) -> None:
        """Send BYE, unless it is over; over it is at once (section 15.1.1)."""
        if self.ended:
            return
        self.end("bye sent")
        self.phone.send(self.request("BYE"), self._bye_answered)

    def _bye_answered(self, status: int, response: Response | None) -> None:
        self.bye_outcome = status

    def reinvite(self) -> None:
        """Send a re-INVITE, unless one is on its way (section 14.1)."""
        if self.ended or self._inviting or self._answers:
            return
        self._inviting = True
        request = self.request("INVITE", [("contact", self.phone.contact)])
        self.phone.send(request, self._reinvited, accepted=self._reinvite_accepted)

    def _reinvite_accepted(self, response: Response) -> None:
        self._remote_target = response.contacts[0].uri_text if response.contacts else self._remote_target
        self.acknowledge(response.cseq.number)

    def _reinvited(self, status: int, response: Response | None) -> None:
        self._inviting = False
        self._cseq = max(self._cseq, response.cseq.number if response is not None else 0)
        if status in (408, 481) and not self.ended:
            # Section 12.2.1.2: the dialog is over; the other side may not know.
            self.hang_up()

    # -- requests of the peer ----------------------------------------------------------

    def request_received(self, incoming: IncomingRequest) -> None:
        """Answer an in-dialog request (section 12.2.2)."""
        request = incoming.request
        if request.cseq.number <= self._remote_cseq:
            incoming.respond(500)
            return
        self._remote_cseq = request.cseq.number
        if request.method == "BYE":
            incoming.respond(200)
            self.end("bye received")
        elif request.method == "INVITE":
            self._reinvite_received(incoming)
        elif request.method == "OPTIONS":
            incoming.respond(200)
        else:
            incoming.respond(501)

    def _reinvite_received(self, incoming: IncomingRequest) -> None:
        if self._inviting:
            # Glare (section 14.2).
            incoming.respond(491)
        elif self._answers:
            incoming.respond(500, headers=[("retry-after", "5")])
        else:
            request = incoming.request
            if request.contacts:
                self._remote_target = request.contacts[0].uri_text
            self.answer(incoming.start_transaction(), request)

    def answer(self, transaction: Any, invite: Request) -> None:
        """Send the 2xx to an INVITE of this dialog, until it is acknowledged."""
        headers = [("contact", self.phone.contact)]
        if not invite.to.tag:
            headers += [("record-route", value) for value in invite.headers.all("record-route")]
        response = response_to(invite, 200, headers=headers, to_tag=self.id[1])
        self._answers[invite.cseq.number] = AnswerRetransmission(self.phone, transaction, response, self._no_ack)

    def _no_ack(self) -> None:
        # Section 13.3.1.4: the dialog is confirmed, the session is to be terminated with BYE.
        if not self.ended:
            self.hang_up()
            self.ended = "no ack"

    def ack_received(self, request: Request) -> bool:
        """Take an ACK; tell whether it was waited for."""
        waiting = self._answers.pop(request.cseq.number, None)
        if waiting is None:
            return False
        waiting.acknowledged()
        return True

    # -- the end -----------------------------------------------------------------------

    def end(self, how: str) -> None:
        """The dialog is over, *how* is for :attr:`ended`."""
        if self.ended:
            return
        self.ended = how
        for waiting in self._answers.values():
            waiting.acknowledged()
        self._answers.clear()
        self.phone.dialog_ended(self)
        self._on_end()
