"""Our re-INVITEs and UPDATEs: when they may be sent, and what becomes of them.

RFC 3261 section 14.1, RFC 3311 sections 5.1 and 5.3, RFC 6337 section 4.3 (what may go beside what), RFC 6141 sections
3.4 and 4 (changes that were made meanwhile), RFC 4028 sections 7.3 and 10 (422, refreshes).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from twisted.logger import Logger

from twisted_sip.dialog.client_invite import ClientInvite
from twisted_sip.dialog.client_request import ClientRequest
from twisted_sip.dialog.dialogs import Effect, effect_of
from twisted_sip.dialog.session_offers import session_body_of
from twisted_sip.dialog.session_terms import Header, SessionBody
from twisted_sip.dialog.subscription_terms import retry_after_of
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.response import Response
from twisted_sip.transaction.timers import Timer

if TYPE_CHECKING:
    from twisted_sip.dialog.session import Session

_log = Logger()

#: How often in a row a 422 is given way to.
_MOST_TOO_SMALL = 2


def glare_delay(owner: bool, chance: float) -> float:
    """Return the wait after a 491 in seconds, in units of 10 ms (RFC 3261 section 14.1).

    :param owner: we have made the Call-ID.
    :param chance: from 0 to less than 1.
    """
    return (210 + int(chance * 191)) / 100 if owner else int(chance * 201) / 100


class Modification:
    """What we do to modify or to refresh one session.

    :ivar update: our UPDATE that is in progress, None without one.
    """

    __slots__ = ("_again", "_asked", "_session", "_timeout", "_too_small", "update")

    def __init__(self, session: Session) -> None:
        self.update: ClientRequest | None = None
        self._session = session
        # Method -> offer and header fields of the last one: a refresh may pass a re-INVITE that is under way.
        self._asked: dict[str, tuple[SessionBody | None, list[Header]]] = {}
        self._too_small = 0
        self._again: Timer | None = None
        self._timeout: Timer | None = None

    @property
    def offering(self) -> bool:
        """True while a PRACK or our UPDATE with an offer is on its way, or a late offer is to come."""
        invite = self._session.inviting
        return invite is not None and (invite.pracks > 0 or not invite.resolved)

    # -- re-INVITE ------------------------------------------------------------------------

    def reinvite(self, offer: SessionBody | None, headers: Iterable[Header]) -> None:
        """Send a re-INVITE; the session has seen to it that it may be sent."""
        self._too_small = 0
        self._asked["INVITE"] = offer, list(headers)
        self._reinvite()

    def _reinvite(self) -> None:
        session = self._session
        self._stop_again()
        fields = [*session.terms.capabilities(), *session.timer.request_fields(), *session.terms.recv_info_field()]
        body, headers = self._asked["INVITE"]
        invite = ClientInvite(session, body is not None)
        outgoing = invite.outgoing = session.make("INVITE", invite, [*fields, *headers], body)
        session.inviting = invite
        if body is not None:
            session.offers.offer_sent(body, invite)
        self._limit(session.terms.ring_timeout, self._cancel)
        session.user.send(session, outgoing)

    def _cancel(self) -> None:
        """Nobody answers: CANCEL, and in the end a timeout."""
        session = self._session
        invite = session.inviting
        if invite is not None and not invite.initial and not invite.accepted:
            self._limit(2 * session.terms.values.timeout, invite.outgoing.failed, 408)
            session.user.cancel(session, invite.outgoing, ())

    def cancel(self) -> None:
        """Give our re-INVITE up, if one is in progress (section 9.1)."""
        self._cancel()

    def _accepted(self, invite: ClientInvite, response: Response) -> None:
        """Our re-INVITE has a 2xx."""
        session = self._session
        self._stop_timeout()
        session.refresh_target(response)
        session.learn(response)
        if not session.over:
            session.timer.response_received(invite.outgoing.request, response)
        invite.accept(response)
        if not session.over:
            session.user.modified(session, "INVITE", response.status)

    # -- UPDATE ---------------------------------------------------------------------------

    def send_update(self, offer: SessionBody | None, headers: Iterable[Header]) -> None:
        """Send an UPDATE; the session has seen to it that it may be sent."""
        self._too_small = 0
        self._asked["UPDATE"] = offer, list(headers)
        self._update()

    def _update(self) -> None:
        session = self._session
        body, headers = self._asked["UPDATE"]
        if body is not None:
            # What met with a glare is superseded; a refresh that comes meanwhile supersedes nothing.
            self._stop_again()
        fields = [*session.terms.capabilities(), *session.timer.request_fields(), *session.terms.recv_info_field()]
        outgoing = self.update = session.make("UPDATE", self, [*fields, *headers], body)
        if body is not None:
            session.offers.offer_sent(body, outgoing)
        session.user.send(session, outgoing)

    def _updated(self, outgoing: ClientRequest, response: Response) -> None:
        session = self._session
        self.update = None
        session.refresh_target(response)
        session.learn(response)
        session.timer.response_received(outgoing.request, response)
        if session.offers.awaits(outgoing):
            body = None
            try:
                body = session_body_of(response)
            except RemoteProtocolError as error:
                _log.debug("the answer is of no use: {reason}", reason=error.reason)
            if body is None:
                session.offers.abandon(outgoing)
                session.user.rolled_back(session)
            else:
                session.offers.answer_received(body)
                session.user.answer_received(session, body)
        if not session.over:
            session.user.modified(session, "UPDATE", response.status)

    # -- outcomes -------------------------------------------------------------------------

    def response_received(self, outgoing: ClientRequest, response: Response) -> None:
        """A response to our UPDATE."""
        status = response.status
        if status >= 300:
            self._refused(outgoing, status, response)
        elif status >= 200 and not self._session.over:
            self._updated(outgoing, response)
        self._session.settle()

    def failed(self, outgoing: ClientRequest, status: int) -> None:
        """Our UPDATE has no response: 408 after a timeout, 503 where it could not be sent."""
        self._refused(outgoing, status, None)
        self._session.settle()

    def invite_response(self, invite: ClientInvite, response: Response) -> None:
        """A response to our re-INVITE, up to the first 2xx."""
        status = response.status
        if status >= 300:
            self.invite_refused(invite, status, response)
        elif status >= 200:
            self._accepted(invite, response)
        elif status > 100 and not self._session.over:
            invite.provisional(response)

    def invite_refused(self, invite: ClientInvite, status: int, response: Response | None) -> None:
        """Our re-INVITE is refused, or has no response."""
        if invite is self._session.inviting:
            self._session.inviting = None
        invite.abandon()
        self._stop_timeout()
        self._refused(invite.outgoing, status, response, invite)

    def _refused(
        self, outgoing: ClientRequest, status: int, response: Response | None, invite: ClientInvite | None = None
    ) -> None:
        session = self._session
        method = outgoing.method
        carrier: object = invite or outgoing
        if invite is None:
            self.update = None
        if session.over:
            return
        if status == 422 and response is not None and self._once_more(method, carrier, response):
            return
        if session.offers.abandon(carrier):
            session.user.rolled_back(session)
        if session.over or self._fatal(method, status):
            return
        session.user.modified(session, method, status)
        if session.over:
            return
        if status == 491:
            body = self._asked[method][0]
            if self._again is None or body is not None or method == "INVITE":
                # A re-INVITE that waits already refreshes the session as well.
                self._stop_again()
                delay = glare_delay(session.uac, session.random())
                self._again = session.timers.start(delay, self._glare_over, method, body)
            return
        if invite is not None and invite.executed:
            # RFC 6141 section 3.4: the peer may have undone what was agreed meanwhile.
            session.user.offer_wanted(session, "resync")
        wait = None
        if response is not None:
            wait = retry_after_of(response)
            session.timer.refused()
        session.timer.again(wait)

    def _once_more(self, method: str, carrier: object, response: Response) -> bool:
        """422: the same again with the longer interval (RFC 4028 section 7.3)."""
        session = self._session
        self._too_small += 1
        if self._too_small > _MOST_TOO_SMALL or not session.timer.too_small(response):
            return False
        session.offers.abandon(carrier)
        if method == "INVITE":
            self._reinvite()
        else:
            self._update()
        return True

    def _fatal(self, method: str, status: int) -> bool:
        """End what the response destroys (RFC 3261 section 12.2.1.2, RFC 5057 section 5.1)."""
        session = self._session
        if method == "UPDATE" and status in (405, 501):
            # It does not know the method, and the session lives without.
            session.forbid("UPDATE")
            return False
        effect = effect_of(status, method)
        if effect is Effect.DIALOG:
            session.dialogs.destroy(session.dialog.id, status)
            session.dialog_destroyed(status)
        elif effect is Effect.USAGE:
            # RFC 4028 section 10: with a BYE.
            session.end_with_bye("timeout" if status == 408 else "dialog", status, by="network")
        return effect is not Effect.TRANSACTION

    def _glare_over(self, method: str, body: SessionBody | None) -> None:
        self._again = None
        session = self._session
        if session.over:
            return
        if body is None and method == "UPDATE":
            session.refresh()
        else:
            session.user.offer_wanted(session, "glare")

    # -- time -------------------------------------------------------------------------------

    def _limit(self, seconds: float, alarm: Callable[..., None], *args: object) -> None:
        self._stop_timeout()
        self._timeout = self._session.timers.start(seconds, alarm, *args)

    def _stop_timeout(self) -> None:
        if self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None

    def _stop_again(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def close(self) -> None:
        """The session is over."""
        if self._again is not None:
            self._stop_again()
        if self._timeout is not None:
            self._stop_timeout()
