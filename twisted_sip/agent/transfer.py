"""A REFER of ours, and what the peer tells of it (RFC 3515, RFC 4488, RFC 5589 sections 6 and 7).

The implicit subscription is a usage of the dialog that the REFER was sent in: it may outlive the call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail, succeed

from twisted_sip.agent.call_events import TransferProgress
from twisted_sip.agent.event_log import EventLog, EventStream
from twisted_sip.agent.sipfrag import status_of
from twisted_sip.dialog.dialog import Dialog
from twisted_sip.dialog.dialogs import UsageKey
from twisted_sip.dialog.subscriber import read_subscription_state
from twisted_sip.errors import RemoteProtocolError, RequestRefused
from twisted_sip.message.event_fields import Event
from twisted_sip.message.response import Response
from twisted_sip.transaction.timers import Timer

if TYPE_CHECKING:
    from twisted_sip.agent.user_agent import UserAgent

#: The most seconds between two NOTIFYs.
_LONGEST = 600.0


class Transfer:
    """A transfer that we have asked for.

    :ivar target: what stands in Refer-To.
    :ivar status: the latest status that is known of the peer's call; 0 before.
    :ivar accepted: the peer has taken the REFER.
    :ivar over: nothing more comes.
    """

    def __init__(self, agent: UserAgent, target: str, *, subscribed: bool) -> None:
        """Make a transfer whose REFER is being sent.

        :param subscribed: we want to be told what becomes of it. Where we do not the peer may tell all the same (RFC
            4488 section 4).
        """
        self.target = target
        self.status = 0
        self.reason = ""
        self.accepted = False
        self.over = False
        self.log: EventLog[TransferProgress] = EventLog()
        self._agent = agent
        self._quiet = not subscribed
        self._subscribed = True
        self._dialog: Dialog | None = None
        self._key: UsageKey | None = None
        self._timer: Timer | None = None
        self._waiting: list[Deferred[int]] = []
        self._failed: RequestRefused | None = None
        self._finished: Callable[[Transfer], object] | None = None

    def __repr__(self) -> str:
        return f"<Transfer to {self.target} {self.status}>"

    # -- for the user ------------------------------------------------------------------------

    @property
    def done(self) -> Deferred[int]:
        """A Deferred that fires with the final status of the peer's call, another one each time.

        Where the peer tells nothing (RFC 4488) it fires with the status of its response to the REFER. It fails with
        RequestRefused if the REFER was refused, or nothing was heard of it.
        """
        if self.over:
            return succeed(self.status) if self._failed is None else fail(self._failed)
        waiting: Deferred[int] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def events(self) -> EventStream[TransferProgress]:
        """Return what the peer tells, to iterate over."""
        return self.log.stream()

    # -- the REFER ------------------------------------------------------------------------------

    def refer_sent(self, dialog: Dialog, number: int) -> None:
        """The REFER has this CSeq number in *dialog*: NOTIFYs may come from now on (RFC 3515 section 2.4.4)."""
        self._dialog = dialog
        self._key = UsageKey("subscriber", "refer", str(number))
        if not self._agent.dialogs.add(dialog, self._key, self):
            self._key = None
            self._subscribed = False

    def refer_answered(self, response: Response | None, status: int) -> None:
        """The REFER has its final response."""
        if self.over:
            return
        if response is None or not 200 <= status < 300:
            reason = response.reason if response is not None else ""
            self._fail(RequestRefused(f"REFER was refused: {status} {reason}".rstrip(), status=status))
            return
        self.accepted = True
        if not self._subscribed or is_unsubscribed(response):
            self.status = self.status or status
            self._tell(status, response.reason, final=True)
        elif self._timer is None:
            if self._quiet:
                self.status, self.reason = status, response.reason
            self._wait(self._agent.element.timer_values.timeout)

    # -- NOTIFYs -----------------------------------------------------------------------------------

    def notify_received(self, incoming: Any) -> None:
        """Take a NOTIFY, and answer it.

        :raises RemoteProtocolError: answer with its status.
        """
        notify = incoming.request
        dialog = self._dialog
        assert dialog is not None
        dialog.receive(notify)
        told = read_subscription_state(notify)
        try:
            status, reason = status_of(notify)
        except RemoteProtocolError:
            if told.terminated:
                # Nothing more comes, whatever this was to say.
                self._fail(RequestRefused("the peer does not tell what became of the transfer", status=480))
            raise
        incoming.respond(200)
        self.accepted = True
        self.status, self.reason = status, reason
        # Whatever the state says: after a final status nothing more comes that matters.
        self._tell(status, reason, final=told.terminated or status >= 200)
        if not self.over:
            expires = told.expires
            self._wait(min(_LONGEST, float(expires) if expires else _LONGEST))

    def matches(self, event: Event) -> bool:
        """Tell whether a NOTIFY with *event* belongs to it (RFC 3515 section 2.4.6)."""
        return self._key is not None and event.token.lower() == "refer" and event.id in ("", self._key.event_id)

    def dialog_destroyed(self, status: int) -> None:
        """The dialog is gone."""
        self._key = None
        self._fail(RequestRefused("the dialog of the transfer is gone", status=status or 481))

    # -- the end ---------------------------------------------------------------------------------------

    def when_over(self, finished: Callable[[Transfer], object]) -> None:
        """Call *finished* once it is over."""
        self._finished = finished

    def close(self) -> None:
        """Wait for nothing any more."""
        self._fail(RequestRefused("the agent has stopped", status=487))

    def _wait(self, seconds: float) -> None:
        self._stop()
        self._timer = self._agent.element.timers.start(seconds, self._silence)

    def _silence(self) -> None:
        self._timer = None
        if self._quiet and self.status >= 200:
            # Nothing was to be heard of it.
            self._tell(self.status, self.reason, final=True)
            return
        self._fail(RequestRefused("nothing was heard of the transfer", status=408))

    def _tell(self, status: int, reason: str, *, final: bool) -> None:
        event = TransferProgress(status=status, reason=reason, final=final)
        if final:
            self.over = True
        self.log.add(event)
        self._agent.referring.progressed(self, event)
        if final:
            if self.status < 200:
                # RFC 3515 section 2.4.7 leaves it open what became of it.
                self._failed = RequestRefused("the peer does not tell what became of the transfer", status=480)
            self._end()

    def _fail(self, error: RequestRefused) -> None:
        if self.over:
            return
        self.over = True
        self._failed = error
        self.status = error.status
        event = TransferProgress(status=error.status, reason=error.reason, final=True)
        self.log.add(event)
        self._agent.referring.progressed(self, event)
        self._end()

    def _end(self) -> None:
        self._stop()
        self.log.close()
        if self._key is not None and self._dialog is not None:
            # After the answer to this NOTIFY: further ones are told 481.
            self._agent.dialogs.end_usage(self._dialog.id, self._key)
            self._key = None
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if self._failed is None:
                waiter.callback(self.status)
            else:
                waiter.errback(self._failed)
        finished, self._finished = self._finished, None
        if finished is not None:
            finished(self)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def is_unsubscribed(response: Response) -> bool:
    """Tell whether *response*, a 2xx to a REFER, says that there is no subscription (RFC 4488 section 4)."""
    return (response.headers.first("refer-sub") or "").partition(";")[0].strip().lower() == "false"
