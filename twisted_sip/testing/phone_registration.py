"""The registration of a simulated phone: REGISTER, refresh, unregister, and what was acknowledged (RFC 3261 section
10.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from twisted_sip.message.numeric_fields import parse_delta_seconds
from twisted_sip.message.response import Response
from twisted_sip.transaction.timers import Timer

if TYPE_CHECKING:
    from twisted_sip.testing.phone import SimulatedPhone


@attrs.frozen(slots=True)
class Acknowledged:
    """A binding that the registrar has acknowledged.

    :ivar contact: the contact URI.
    :ivar until: its end of life, in seconds of the simulation.
    """

    contact: str
    until: float


class PhoneRegistration:
    """Keeps a phone registered; at most one REGISTER is on its way at a time (section 10.2).

    :ivar acknowledged: the binding that the last 200 promised; None before it, and from the moment that anything is
        sent that may change it in a way that the phone cannot know of (unregistering).
    :ivar statuses: the outcome of each REGISTER.
    :ivar on_acknowledged: called after each 200.
    """

    def __init__(self, phone: SimulatedPhone) -> None:
        self.phone = phone
        self.acknowledged: Acknowledged | None = None
        self.statuses: list[int] = []
        self.on_acknowledged: Callable[[], None] = lambda: None
        self._call_id = phone.new_call_id()
        self._cseq = 0
        self._expires = 0
        self._keep = False
        self._busy = False
        self._wanted: int | None = None
        self._timer: Timer | None = None

    @property
    def busy(self) -> bool:
        """True while a REGISTER is on its way."""
        return self._busy

    def start(self, expires: int) -> None:
        """Register for *expires* seconds and refresh in time, until :meth:`stop` or :meth:`unregister`."""
        self._keep = True
        self._expires = expires
        self._send(expires)

    def stop(self) -> None:
        """Refresh no more; the binding runs out by itself."""
        self._keep = False
        self._wanted = None
        self._cancel()

    def unregister(self) -> None:
        """Take the binding away (section 10.2.2)."""
        self.stop()
        self._send(0)

    def again(self, delay: float) -> None:
        """Register anew after *delay* seconds, since the flow is gone (RFC 5626 section 4.5), if it is kept at all."""
        if self._keep:
            self._cancel()
            self._timer = self.phone.element.timers.start(delay, self._send, self._expires)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send(self, expires: int) -> None:
        self._cancel()
        if self._busy:
            self._wanted = expires
            return
        self._busy = True
        phone = self.phone
        if not expires:
            self.acknowledged = None
        headers = [("contact", f"<{phone.contact_uri}>{phone.contact_params};expires={expires}")]
        if phone.contact_params:
            headers.append(("supported", "path, outbound, gruu"))
        request = phone.build(
            "REGISTER", f"sip:{phone.domain}", headers, to=f"<{phone.aor}>", call_id=self._call_id, cseq=self._cseq + 1
        )
        self._cseq += 1
        sent = phone.send(request, self._answered)
        self._sent = sent

    def _answered(self, status: int, response: Response | None) -> None:
        self._busy = False
        self.statuses.append(status)
        # Challenges that were answered have used up more numbers.
        self._cseq = max(self._cseq, self._sent.outgoing.request.cseq.number)
        if status == 200 and response is not None:
            self._note(response)
            self.on_acknowledged()
        wanted, self._wanted = self._wanted, None
        if wanted is not None:
            self._send(wanted)
        elif self._keep:
            if status == 200 and self.acknowledged is not None:
                left = self.acknowledged.until - self.phone.now()
                delay = left * 0.5
            elif status == 423 and response is not None:
                self._expires = int(response.headers.first("min-expires") or self._expires)
                delay = 0.1
            else:
                delay = 2.0 + 8.0 * self.phone.chance.random()
            self._timer = self.phone.element.timers.start(delay, self._send, self._expires)

    def _note(self, response: Response) -> None:
        phone = self.phone
        for contact in response.contacts:
            if contact.uri_text == phone.contact_uri:
                seconds = parse_delta_seconds(contact.params.get("expires") or "", "expires")
                # Counted from when it may have been granted at the earliest: what comes may be the retransmission of a
                # response that was made long ago. The registrar's seconds are whole ones, rounded.
                self.acknowledged = Acknowledged(contact.uri_text, self._sent.sent_at + seconds - 1.0)
                return
        self.acknowledged = None
