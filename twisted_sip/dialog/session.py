"""The INVITE usage of a dialog: one session, early or confirmed, at either side (RFC 3261 sections 12 to 15, RFC 5057).

What we ask of the peer is in :mod:`session_modification`, what it asks of us in :mod:`session_server`. Sans-I/O: the
user sends, time comes from a TimerQueue and chance from a function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from twisted_sip.dialog.client_request import ClientRequest
from twisted_sip.dialog.dialog import Dialog
from twisted_sip.dialog.dialogs import Dialogs
from twisted_sip.dialog.invite_usage import CONFIRMED, EARLY, TERMINATED, TERMINATING, InviteUsage
from twisted_sip.dialog.requests_within import GenericRequest
from twisted_sip.dialog.session_server import SessionServer, check_invite
from twisted_sip.dialog.session_terms import (
    Ending,
    Header,
    InviteRefused,
    SessionBody,
    SessionTerms,
)
from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.header_map import HeaderMap
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.transaction.timers import TimerQueue

if TYPE_CHECKING:
    from twisted_sip.dialog.session_user import ServerRequest, SessionUser

__all__ = ["CONFIRMED", "EARLY", "TERMINATED", "TERMINATING", "Session"]


#: How most sessions end.
_BYE = Ending(by="local", cause="bye")


class Session(InviteUsage):
    """The INVITE usage of one dialog, as its user sees it."""

    @classmethod
    def invited(
        cls,
        incoming: ServerRequest,
        user: SessionUser,
        timers: TimerQueue,
        dialogs: Dialogs,
        terms: SessionTerms,
        *,
        local_tag: str,
        random: Callable[[], float],
    ) -> Session:
        """Return the session that an INVITE outside of dialogs asks for (RFC 3261 section 13.3.1).

        :param local_tag: the To tag of our responses.
        :param random: gives numbers from 0 to less than 1.
        :raises InviteRefused: answer with its status and headers.
        :raises RemoteProtocolError: answer with its status.
        """
        request = incoming.request
        offer = check_invite(request, terms)
        session = cls(Dialog.as_uas(request, local_tag, early=True), user, timers, dialogs, terms, random)
        if "session-expires" in request.headers.names:
            minimum = session.timer.minimum_for(request)
            if minimum:
                # RFC 4028 section 9.
                raise InviteRefused(422, "", [("min-se", str(minimum))])
        if "min-se" in request.headers.names:
            session.timer.request_received(request)
        if not session.enlist():
            raise InviteRefused(503, "", [("retry-after", "10")])
        session.learn(request)
        server = session._server = SessionServer(session)
        session.invite = server.invited(incoming, offer, initial=True)
        return session

    # -- what it is ---------------------------------------------------------------------

    @property
    def can_offer_update(self) -> bool:
        """Whether an UPDATE with an offer may be sent (RFC 3311 section 5.1, RFC 6337 section 4.3: UAC-IU)."""
        return (
            self.can_update
            and self.offers.stable
            and self.offers.established
            and not self.modification.offering
            and not self.server.unresolved
        )

    def peer_allows(self, method: str) -> bool | None:
        """Tell whether the peer takes *method*, None if it has not said so (RFC 3261 section 20.5)."""
        return self.peer.allows(method)

    def peer_supports(self, tag: str) -> bool:
        """Tell whether the peer has said to support the option *tag*."""
        return self.peer.supports(tag)

    @property
    def peer_packages(self) -> tuple[str, ...] | None:
        """The Info Packages that the peer takes, None if it has not said (RFC 6086)."""
        return self.peer.packages

    # -- what comes in --------------------------------------------------------------------

    def request_received(self, incoming: ServerRequest) -> bool:
        """Take a request in the dialog.

        :return: False where its method is none of a session's: it is the host's to judge and to answer.
        """
        handled = (self._server or self.server).request_received(incoming)
        if not self.over:
            self.settle()
        return handled

    def ack_received(self, request: Request) -> None:
        """Take an ACK in the dialog: it belongs to the INVITE with its number (section 13.3.1.4)."""
        if self._server is not None:
            self._server.ack_received(request)
        self.settle()

    # -- what we ask for --------------------------------------------------------------------

    def reinvite(self, offer: SessionBody | None, headers: Iterable[Header] = ()) -> None:
        """Send a re-INVITE (RFC 3261 section 14.1); ``modified`` tells the outcome.

        :param offer: None has the peer make the offer.
        :raises LocalProtocolError: there is no room for one now, see :attr:`can_reinvite`.
        """
        if not self.can_reinvite:
            raise LocalProtocolError("no re-INVITE can be sent now")
        self.modification.reinvite(offer, headers)
        self.settle()

    def update(self, offer: SessionBody | None = None, headers: Iterable[Header] = ()) -> None:
        """Send an UPDATE (RFC 3311 section 5.1); ``modified`` tells the outcome.

        :raises LocalProtocolError: see :attr:`can_update` and :attr:`can_offer_update`.
        """
        if not (self.can_update if offer is None else self.can_offer_update):
            raise LocalProtocolError("no such UPDATE can be sent now")
        self.modification.send_update(offer, headers)
        self.settle()

    def info(
        self,
        body: bytes = b"",
        headers: Iterable[Header] = (),
        package: str = "",
        done: Callable[[Response | None, int], object] | None = None,
    ) -> None:
        """Send an INFO (RFC 6086 section 4.2.1).

        :param headers: Content-Type above all.
        :param package: the Info Package with its parameters; empty for a legacy INFO.
        :param done: called with the final response, None without one, and its status.
        :raises LocalProtocolError: the peer does not take the package, or the session is over.
        """
        fields = list(headers)
        if package:
            name = package.partition(";")[0].strip().lower()
            if name not in {known.lower() for known in self.peer.packages or ()}:
                raise LocalProtocolError(f"the peer does not take the Info Package {name}")
            fields.insert(0, ("info-package", package))
            if body and not any(known.lower() == "content-disposition" for known, _ in fields):
                fields.append(("content-disposition", "Info-Package"))
        self.request("INFO", fields, body, done)

    def request(
        self,
        method: str,
        headers: Iterable[Header] = (),
        body: bytes = b"",
        done: Callable[[Response | None, int], object] | None = None,
    ) -> None:
        """Send a request that is neither of an INVITE nor a BYE in the dialog: REFER, MESSAGE, OPTIONS.

        :param done: called with the final response, None without one, and its status: 408 or 503 then.
        :raises LocalProtocolError: the session is over, the peer does not know of it yet, or a value that SIP does not
            allow.
        """
        if self.over:
            raise LocalProtocolError("the session is over")
        if method in ("INVITE", "ACK", "CANCEL", "BYE", "PRACK", "UPDATE"):
            raise LocalProtocolError(f"{method} has a method of its own")
        if self.invite is not None and self.state == EARLY and not self.invite.progressed:
            raise LocalProtocolError("the peer does not know of the dialog yet")
        waiting = GenericRequest(self, done)
        fields = list(headers)
        if not any(name.lower() in ("supported", "k") for name, _ in fields):
            fields += self.terms.supported_field()
        made = self.dialog.request(method, [*self.terms.headers, *fields], body)
        self.user.send(self, ClientRequest(made, waiting, self.dialog))

    def bye(self, headers: Iterable[Header] = ()) -> None:
        """End it (RFC 3261 section 15.1.1). Harmless when it is over.

        At the UAS the BYE waits for the ACK, or for 64*T1; the session is over at once (section 15).

        :param headers: Reason (RFC 3326).
        :raises LocalProtocolError: it is early at the UAS: reject the INVITE; or a value that SIP does not allow.
        """
        if self.over:
            return
        fields = list(headers)
        if fields:
            # What cannot be sent leaves the session as it is.
            HeaderMap(fields)
        if self.state == EARLY and self.invite is not None:
            if not self.invite.withdraw():
                raise LocalProtocolError("the callee cannot send a BYE in an early dialog")
            return
        self._end(_BYE, fields)
