"""What can be made of calls and subscriptions: pickup, call-back when busy, polite calling, three-way calls.

RFC 5359 sections 2.10, 2.14 and 2.16; RFC 3891 section 7.1; RFC 4235; RFC 3856.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from twisted_sip.agent.invitation import target_of
from twisted_sip.dialog.subscriber import Notified
from twisted_sip.errors import DocumentError, LocalProtocolError, RemoteProtocolError, RequestRefused, SIPError
from twisted_sip.events.subscription import Subscription
from twisted_sip.message.transfer import Replaces
from twisted_sip.message.uri import URI
from twisted_sip.transaction.timers import Timer

if TYPE_CHECKING:
    from twisted_sip.agent.account import Account
    from twisted_sip.agent.call import Call
    from twisted_sip.agent.user_agent import UserAgent

_log = Logger()

#: The longest time that a call-back waits unless something else is said, in seconds.
_PATIENCE = 1800.0


class NotNow(RequestRefused):
    """Whoever is to be called does not seem to want calls now.

    :ivar presence: what is known of the callee (documents.pidf.Presence).
    """

    def __init__(self, reason: str, presence: Any) -> None:
        super().__init__(reason, status=480)
        self.presence = presence


async def pick_up(agent: UserAgent, uri: URI | str, *, account: Account | None = None, **how: Any) -> Call:
    """Take the call that rings at *uri* (RFC 5359 section 2.16): the caller is called in its place.

    :param how: further arguments of ``UserAgent.call``.
    :raises RequestRefused: nothing rings there that could be taken, or we are not told (404, 403 ...).
    """
    from twisted_sip.documents.dialog_info import MEDIA_TYPE, DialogInfoDocument

    who = account or agent.account_of_choice
    notified = await fetch(agent, uri, "dialog", MEDIA_TYPE, who)
    try:
        document = DialogInfoDocument.parse(notified.body) if notified.body else None
    except DocumentError as error:
        raise RequestRefused(f"what {uri} tells of its calls: {error.reason}", status=400) from error
    for dialog in document.dialogs if document is not None else ():
        remote = dialog.remote
        if dialog.state != "early" or dialog.direction == "initiator" or remote is None:
            continue
        target = remote.target.uri if remote.target is not None else ""
        if not target and remote.identities:
            target = remote.identities[0].uri
        if not is_callable(target, who):
            continue
        if dialog.call_id and dialog.local_tag and dialog.remote_tag:
            # Section 7.1 of RFC 3891: the tags as the caller knows them; nothing if somebody has answered meanwhile.
            wanted = Replaces(dialog.call_id, dialog.remote_tag, dialog.local_tag, early_only=True)
            return agent.call(target, account=who, replaces=wanted, **how)
    raise RequestRefused(f"nothing rings at {uri}", status=404)


def is_callable(uri: str, account: Account) -> bool:
    """Tell whether *uri*, which comes from a peer, can be called."""
    try:
        target_of(uri, account)
    except LocalProtocolError:
        return False
    return True


async def polite_call(
    agent: UserAgent,
    uri: URI | str,
    *,
    account: Account | None = None,
    acceptable: Callable[[Any], bool] | None = None,
    **how: Any,
) -> Call:
    """Look at the presence of *uri* first, and call if that does not speak against it.

    :param acceptable: tells from the presence whether to call; unless given it has to be open, and nobody to be busy,
        in a meeting or on the phone. Whose presence we are not told is called.
    :param how: further arguments of ``UserAgent.call``.
    :raises NotNow: it speaks against it.
    """
    from twisted_sip.documents.pidf import MEDIA_TYPE, Presence

    who = account or agent.account_of_choice
    try:
        notified = await fetch(agent, uri, "presence", MEDIA_TYPE, who)
        presence = Presence.parse(notified.body) if notified.body else None
    except (RequestRefused, DocumentError):
        presence = None
    if presence is not None and not (acceptable or is_open)(presence):
        raise NotNow(f"{uri} does not want calls now", presence)
    return agent.call(uri, account=who, **how)


def is_open(presence: Any) -> bool:
    """Tell whether *presence* speaks for a call: something is open, and no activity is one of those that do not go
    with a call (RFC 4480 section 3.2)."""
    return presence.basic != "closed" and not _ENGAGED.intersection(presence.activities)


#: RFC 4480 section 3.2.
_ENGAGED = frozenset(("busy", "meeting", "on-the-phone", "presentation", "sleeping", "performance", "worship"))


def fetch(agent: UserAgent, uri: URI | str, event: str, accept: str, account: Account) -> Deferred[Notified]:
    """Fetch a state once, as *account* (RFC 6665 section 4.4.3): of whom a call to *uri* would go to."""
    return agent.subscriber.fetch(
        target_of(uri, account),
        event,
        from_=account.address,
        accept=[accept],
        credentials=account.credentials,
        flow=account.flow,
        route=account.route,
    )


class CallBack:
    """Calls somebody who is busy as soon as he is not (RFC 5359 section 2.14): it watches his calls.

    :ivar uri: whom.
    :ivar call: the call, once it is made.
    """

    def __init__(
        self,
        agent: UserAgent,
        uri: URI | str,
        *,
        account: Account | None = None,
        timeout: float = _PATIENCE,
        **how: Any,
    ) -> None:
        """Begin to watch.

        :param timeout: seconds after which it is given up.
        :param how: further arguments of ``UserAgent.call``.
        :raises LocalProtocolError: a value that SIP does not allow.
        """
        from twisted_sip.documents.dialog_info import MEDIA_TYPE, DialogTable

        if timeout <= 0:
            raise LocalProtocolError("a call-back waits for more than 0 seconds")
        self.uri = str(uri)
        self.call: Call | None = None
        self._agent = agent
        self._account = account or agent.account_of_choice
        self._how = how
        self._table = DialogTable()
        self._failed: RequestRefused | None = None
        self._waiting: list[Deferred[Call]] = []
        self._timer: Timer | None = None
        self._subscription: Subscription = agent.subscriber.subscribe(
            target_of(uri, self._account),
            "dialog",
            from_=self._account.address,
            accept=[MEDIA_TYPE],
            credentials=self._account.credentials,
            flow=self._account.flow,
            route=self._account.route,
            on_notify=self._told,
        )
        self._timer = agent.element.timers.start(timeout, self._too_long)
        self._subscription.when_over().addCallback(self._over)

    @property
    def called(self) -> Deferred[Call]:
        """A Deferred that fires with the call once it is made; fails with RequestRefused if it is given up. Another one
        each time."""
        waiting: Deferred[Call] = Deferred()
        self._waiting.append(waiting)
        self._settle()
        return waiting

    def cancel(self) -> None:
        """Give it up. Harmless when it is over."""
        self._end(RequestRefused(f"the call-back to {self.uri} was given up", status=487))

    def _told(self, notified: Notified) -> None:
        from twisted_sip.documents.dialog_info import DialogInfoDocument

        if self._timer is None or not notified.body:
            return
        try:
            complete = self._table.receive(DialogInfoDocument.parse(notified.body))
        except DocumentError as error:
            raise RemoteProtocolError(error.reason) from error
        if not complete:
            self._subscription.refresh()
        elif not self._table.busy and notified.state == "active":
            # Not from within the answer to a NOTIFY.
            self._agent.element.timers.start(0.0, self._call)

    def _call(self) -> None:
        if self._timer is None:
            return
        try:
            self.call = self._agent.call(self.uri, account=self._account, **self._how)
        except SIPError as error:
            self._end(
                RequestRefused(str(error), status=error.status if isinstance(error, RemoteProtocolError) else 503)
            )
            return
        except Exception as error:
            _log.failure("the call-back to {uri}", uri=self.uri)
            self._end(RequestRefused(f"the call could not be made: {error}", status=500))
            return
        self._end(None)

    def _too_long(self) -> None:
        self._end(RequestRefused(f"{self.uri} is busy for too long", status=408))

    def _over(self, _: object) -> None:
        status = self._subscription.status or 480
        self._end(RequestRefused(f"we are not told of the calls of {self.uri}: {status}", status=status))

    def _end(self, failed: RequestRefused | None) -> None:
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        self._failed = failed
        self._subscription.unsubscribe()
        self._settle()

    def _settle(self) -> None:
        if self._timer is not None:
            return
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if self.call is not None:
                waiter.callback(self.call)
            else:
                waiter.errback(self._failed or RequestRefused("given up", status=487))
