"""A REFER of the peer: what it asks for, and the NOTIFYs that tell what becomes of it (RFC 3515, RFC 4488, RFC 5589).

The subscription is a usage of the dialog that the REFER came in, or made; it may outlive the call (RFC 5057).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted_sip.agent.sipfrag import MEDIA_TYPE, status_fragment
from twisted_sip.agent.wire import Wire
from twisted_sip.dialog.client_request import ClientRequest
from twisted_sip.dialog.dialog import Dialog
from twisted_sip.dialog.dialogs import Dialogs, UsageKey
from twisted_sip.dialog.notifier import TERMINATED, NotifierSubscription, Outcome
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.escapes import unescape
from twisted_sip.message.header_names import canonical
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.transfer import Replaces
from twisted_sip.message.uri import SIPURI, TelURI
from twisted_sip.transaction.timers import TimerQueue

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call

#: What a URI may put into the request that it asks for; all else is left out (RFC 3261 section 19.1.5).
_ALLOWED = frozenset(("replaces", "join", "target-dialog", "require", "subject", "priority", "in-reply-to"))


class Referral:
    """What a REFER asks for.

    :ivar request: the REFER.
    :ivar call: the call that it came in, None for one outside of calls.
    :ivar target: whom to call, a ``sip``, ``sips`` or ``tel`` URI without header fields.
    :ivar headers: header fields that the URI wants in the INVITE.
    :ivar replaces: the dialog that the new call shall replace at the target, None for none.
    :ivar referred_by: the Referred-By for the INVITE, empty for none.
    :ivar wants_notify: the peer wants to be told what becomes of it.
    :ivar outside: it came outside of the call, which its Target-Dialog names (RFC 4538).
    :ivar by_servers: it came by way of our servers, and *identity*: who has sent it, as far as that is proved.
    :ivar new_call: the call that was made of it, None before.
    """

    def __init__(self, request: Request, call: Call | None) -> None:
        """Read a REFER.

        :raises RemoteProtocolError: answer with its status.
        """
        self.request = request
        self.call = call
        self.new_call: Call | None = None
        self.outside = False
        self.by_servers = False
        self.identity = ""
        if len(request.headers.elements("refer-to")) != 1:
            # RFC 3515 section 2.4.2.
            raise RemoteProtocolError("One Refer-To is required", header="Refer-To")
        address: NameAddr = request.typed("refer-to")
        uri = address.uri
        self.headers: tuple[tuple[str, str], ...] = ()
        if isinstance(uri, SIPURI):
            if uri.method not in ("", "INVITE"):
                raise RemoteProtocolError("Nothing but INVITE is made of a REFER", status=403, header="Refer-To")
            self.headers = headers_of(uri)
            self.target: SIPURI | TelURI = uri.replace(headers="", params=uri.params.without("method"))
        elif isinstance(uri, TelURI):
            self.target = uri
        else:
            raise RemoteProtocolError("Unsupported URI Scheme", status=416, header="Refer-To")
        wanted = [value for name, value in self.headers if name == "replaces"]
        if len(wanted) > 1:
            raise RemoteProtocolError("More than one Replaces in Refer-To", header="Refer-To")
        self.replaces = Replaces.parse(wanted[0]) if wanted else None
        referred_by = request.typed("referred-by")
        # RFC 3892 section 2.2: as it came, or made of who has sent the REFER.
        self.referred_by = str(referred_by) if referred_by is not None else f"<{request.from_.uri_text}>"
        told = (request.headers.first("refer-sub") or "").partition(";")[0].strip().lower()
        self.wants_notify = told != "false"

    def __repr__(self) -> str:
        return f"<Referral to {self.target}>"


def headers_of(uri: SIPURI) -> tuple[tuple[str, str], ...]:
    """Return the header fields that *uri* wants in a request, those that may not be set so left out.

    :raises RemoteProtocolError: one holds what no header field may.
    """
    found: list[tuple[str, str]] = []
    for part in uri.headers.split("&") if uri.headers else ():
        name, _, value = part.partition("=")
        known = canonical(unescape(name))
        if known in _ALLOWED:
            text = unescape(value)
            if any(char in text for char in "\r\n\0"):
                raise RemoteProtocolError("Malformed Refer-To header field: a line end in a value", header="Refer-To")
            found.append((known, text))
    return tuple(found)


class ReferralNotifier:
    """Tells the one who has sent a REFER what becomes of it: the notifier's side of the implicit subscription.

    :ivar subscription: the machine.
    """

    def __init__(
        self,
        dialog: Dialog,
        wire: Wire,
        timers: TimerQueue,
        dialogs: Dialogs,
        *,
        number: int,
        with_id: bool,
        expires: float,
        over: Callable[[ReferralNotifier], object],
    ) -> None:
        """Make the notifier of one REFER; it is in *dialogs* until it is over.

        :param number: the CSeq number of the REFER, and *with_id*, whether NOTIFYs name it (RFC 3515 section 2.4.6).
        :param expires: seconds that it lasts at most.
        :param over: called once, at the end.
        """
        self.dialog = dialog
        self._key = UsageKey("notifier", "refer", str(number))
        now = timers.now()
        id = str(number) if with_id else ""
        self.subscription = NotifierSubscription(dialog, "refer", id, now + expires)
        self.subscription.decide("active")
        self._wire = wire
        self._timers = timers
        self._dialogs = dialogs
        self._over: Callable[[ReferralNotifier], object] | None = over
        self._news: tuple[int, str] | None = None
        if not dialogs.add(dialog, self._key, self):
            raise RemoteProtocolError("Too Many Dialogs", status=503)
        self._expiry = timers.start(expires, self._expired)

    def matches(self, event_id: str) -> bool:
        """Tell whether a SUBSCRIBE with this id means it."""
        return event_id in ("", self._key.event_id)

    def tell(self, status: int, reason: str = "", *, final: bool = False) -> None:
        """Tell that the new call has got as far as *status*."""
        if self._over is None or self.subscription.state == TERMINATED:
            return
        self._news = (status, reason)
        if final:
            # RFC 3515 section 2.4.7.
            self.subscription.end("noresource")
        self._serve()

    def granted(self, expires: int) -> int:
        """Return for how long the peer may have it that asks for *expires* seconds (RFC 3515 section 2.4.4)."""
        return min(expires, max(0, int(self.subscription.expires_at - self._timers.now())))

    def refresh(self, expires: int) -> None:
        """The peer has asked for *expires* seconds from now, and been answered; 0 ends it."""
        if expires == 0:
            self.subscription.end("timeout")
        self._serve()

    def dialog_destroyed(self, status: int) -> None:
        """The dialog is gone."""
        self.subscription.drop()
        self._finish(ended=False)

    def close(self) -> None:
        """Tell nothing any more."""
        self.subscription.drop()
        self._finish()

    def _serve(self) -> None:
        subscription = self.subscription
        if subscription.busy or self._news is None:
            return
        subscription.begin()
        status, reason = self._news
        body = status_fragment(status, reason)
        names = ["content-type"]
        lines = [f"Content-Type: {MEDIA_TYPE};version=2.0"]
        request = subscription.notify(self._timers.now(), "", names, lines, body)
        self._told = self._news
        self._wire.send(ClientRequest(request, self, self.dialog))

    def response_received(self, outgoing: ClientRequest, response: Response) -> None:
        """The NOTIFY is answered."""
        if response.status >= 200:
            self._answered(response.status)

    def failed(self, outgoing: ClientRequest, status: int) -> None:
        """The NOTIFY is not answered."""
        self._answered(status)

    def _answered(self, status: int) -> None:
        if self._over is None:
            return
        outcome = self.subscription.answered(status, self._timers.now())
        if outcome is Outcome.DIALOG_OVER:
            # The call ends with it (RFC 5057 section 5.1); we are told by the way.
            self._dialogs.destroy(self.dialog.id, status)
            self._finish()
        elif outcome is Outcome.OVER:
            self._finish()
        elif self._news != self._told or self.subscription.state == TERMINATED:
            self._serve()

    def _expired(self) -> None:
        self.subscription.end("timeout")
        self._serve()

    def _finish(self, *, ended: bool = True) -> None:
        over, self._over = self._over, None
        if over is None:
            return
        self._expiry.cancel()
        if ended:
            self._dialogs.end_usage(self.dialog.id, self._key)
        over(self)
