"""The seams of sessions: who sends for them, and who hears of them.

The host of a session sends what it makes, adds Contact, and hands in what comes (RFC 3261 sections 8.1.1.8 and 12.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from twisted_sip.dialog.client_request import ClientRequest
from twisted_sip.dialog.session_terms import SessionBody
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

if TYPE_CHECKING:
    from twisted_sip.dialog.invite_attempt import InviteAttempt
    from twisted_sip.dialog.server_invite import ServerInvite
    from twisted_sip.dialog.session import Session
    from twisted_sip.dialog.session_offers import OfferReceived


class ServerRequest(Protocol):
    """A request that has come in, and for the host the means to answer it."""

    @property
    def request(self) -> Request:
        """The request."""


class SessionUser(Protocol):
    """The host and user of sessions. The state of a session has changed already when a method is called."""

    def send(self, machine: Session | InviteAttempt, outgoing: ClientRequest) -> bool | None:
        """Add a Contact where the method refreshes targets, tell ``outgoing.sent`` and send ``outgoing.request``.

        Every response goes to ``outgoing.response_received``, a failure to ``outgoing.failed``, neither from within
        this call.

        :return: True if one client transaction decides, so that there is an outcome after 64*T1 at the latest, unless
            it is an INVITE.
        """

    def cancel(
        self, machine: Session | InviteAttempt, outgoing: ClientRequest, headers: Iterable[tuple[str, str]]
    ) -> None:
        """Send a CANCEL for this INVITE, with *headers*, once it has had a provisional response (section 9.1)."""

    def send_ack(self, machine: Session | InviteAttempt, ack: Request, secure: bool) -> None:
        """Send the ACK for a 2xx, which is the host's from now on; over a secure transport where *secure*."""

    def respond(self, session: Session, incoming: ServerRequest, response: Response) -> None:
        """Send *response*, with a Contact where it is neither 100 nor a refusal and the method refreshes targets.

        The same response comes again to be sent again.
        """

    def progressed(self, session: Session, response: Response) -> None:
        """A provisional response to our INVITE has come in this dialog."""

    def offer_received(self, session: Session, offer: OfferReceived) -> None:
        """The peer makes an offer in an UPDATE, a PRACK or a response: answer or refuse it, now or soon."""

    def answer_received(self, session: Session, body: SessionBody) -> None:
        """The answer to our offer, or a preview of it that will not change: once for each offer and dialog."""

    def rolled_back(self, session: Session) -> None:
        """Our offer, or our answer, has come to nothing: what was agreed before it is in force."""

    def confirmed(self, session: Session) -> None:
        """The INVITE is accepted: at the UAC its 2xx has come, at the UAS the ACK."""

    def reinvited(self, session: Session, invite: ServerInvite) -> None:
        """The peer wants to modify the session: accept or reject *invite*, now or later."""

    def modified(self, session: Session, method: str, status: int) -> None:
        """Our re-INVITE or UPDATE has its outcome; 408 or 503 where nobody answered."""

    def offer_wanted(self, session: Session, why: str) -> None:
        """Modify the session with a new offer: ``refresh`` it, repeat what met with a ``glare``, or ``resync``."""

    def free(self, session: Session) -> None:
        """The session can be modified again: what had to wait may be sent."""

    def info_received(self, session: Session, info: Request, package: str) -> None:
        """An INFO for a *package* of ours; or of no package, which is empty then. It is answered 200 afterwards.

        :raises RemoteProtocolError: answer with its status.
        """

    def ended(self, session: Session) -> None:
        """The session is over, ``session.ending`` says why: no media from now on."""

    def gone(self, session: Session) -> None:
        """Nothing is left of it. No method is called with this session any more."""


class AttemptUser(SessionUser, Protocol):
    """The user of an INVITE outside of dialogs, and of the sessions that come of it."""

    def forked(self, attempt: InviteAttempt, session: Session) -> None:
        """A response has made a dialog, and *session* in it."""

    def attempt_over(self, attempt: InviteAttempt) -> None:
        """It has its outcome: ``attempt.winner`` or ``attempt.status`` and ``attempt.response``."""

    def attempt_gone(self, attempt: InviteAttempt) -> None:
        """No further 2xx is waited for. No method is called with this attempt any more."""
