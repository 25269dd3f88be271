"""An INVITE of ours outside of dialogs, and the sessions that come of it.

RFC 3261 sections 9.1 and 13.2 (forks, CANCEL, several 2xx), RFC 6026 section 7.2, RFC 4028 section 7.3 (422), RFC 6228
section 4 (199).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from twisted.logger import Logger

from twisted_sip.dialog.client_invite import ClientInvite
from twisted_sip.dialog.client_request import ClientRequest
from twisted_sip.dialog.dialog import Dialog
from twisted_sip.dialog.dialogs import Dialogs
from twisted_sip.dialog.session import Session
from twisted_sip.dialog.session_terms import (
    Ending,
    Header,
    SessionBody,
    SessionTerms,
    cause_of,
    option_tags,
    reasons_of,
)
from twisted_sip.dialog.session_timer import min_se_asked
from twisted_sip.dialog.unsent import Unsent
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.header_map import HeaderMap
from twisted_sip.message.reason_fields import Reason
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.transaction.timers import Timer, TimerQueue

if TYPE_CHECKING:
    from twisted_sip.dialog.session_user import AttemptUser

_log = Logger()

#: The most dialogs that the provisional responses to one INVITE may make, and all of its responses.
_MOST_EARLY, _MOST_FORKS = 32, 64

_NONE: frozenset[str] = frozenset()

#: How often in a row a 422 is given way to.
_MOST_TOO_SMALL = 2


class InviteAttempt:
    """An INVITE outside of dialogs.

    :ivar terms: what we can do and want.
    :ivar sessions: To tag -> the session in that dialog, those that are over included.
    :ivar winner: the session that has been accepted, None without one.
    :ivar status: of the final response that decided; 408 or 503 where none came; 0 before.
    :ivar response: that response, None without one. A 3xx has other addresses in its Contacts.
    :ivar heard: a response to it has come, be it 100.
    :ivar rang: so has a 180.
    :ivar cancelled: it was given up.
    :ivar timed_out: because it took too long: Expires, or the ring timeout.
    :ivar wanted: a 2xx that comes in spite of a CANCEL is welcome (section 15).
    :ivar over: it has its outcome.
    :ivar gone: nothing more can come of it.
    """

    def __init__(
        self,
        invite: Request,
        user: AttemptUser,
        timers: TimerQueue,
        dialogs: Dialogs,
        terms: SessionTerms,
        random: Callable[[], float],
        offer: SessionBody | None = None,
        expires: int | None = None,
        keep_all: bool = False,
    ) -> None:
        """Make an attempt; :meth:`start` sends it.

        :param invite: what is sent: without Contact and body, and without the header fields that *terms* tell.
        :param random: gives numbers from 0 to less than 1.
        :param offer: None has the peer make the offer.
        :param expires: seconds for which the invitation is good (section 13.2.1).
        :param keep_all: every 2xx makes a session of its own; otherwise the first one wins.
        :raises LocalProtocolError: *expires* is none.
        """
        if expires is not None and expires < 1:
            raise LocalProtocolError("an invitation expires after a second at least")
        self.terms = terms
        self.user = user
        self.sessions: dict[str, Session] = {}
        self.winner: Session | None = None
        self.status = 0
        self.response: Response | None = None
        self.heard = self.rang = False
        self.cancelled = False
        self.timed_out = False
        self.wanted = False
        self.over = False
        self.gone = False
        self._first: Request | None = invite
        self._invite = Unsent.of(invite)
        self._timers = timers
        self._dialogs = dialogs
        self._random = random
        self._offer = offer
        self._expires = expires
        self._keep_all = keep_all
        self._invites: dict[str, ClientInvite] = {}
        # The tags of early dialogs that lack a Contact yet.
        self._makeshifts: frozenset[str] = _NONE
        # The longest Min-SE that a 422 has asked for.
        self._min_se = 0
        self._too_small = 0
        self._cseq = (invite.headers.parsed.get("cseq") or invite.cseq)[0]
        # The To line of the latest response, and its tag: the responses of one fork have the same.
        self._to_line = self._tag = ""
        self._timer: Timer | None = None
        self._outgoing: ClientRequest | None = None

    # -- what the user asks for -------------------------------------------------------

    def start(self) -> None:
        """Send it."""
        self._send()
        seconds = self.terms.ring_timeout
        if self._expires is not None:
            seconds = min(seconds, float(self._expires))
        self._timer = self._timers.start(seconds, self._too_long)

    def _send(self) -> None:
        terms = self.terms
        request, self._first = self._first or self._invite.request(), None
        offer = self._offer
        if self._too_small:
            request.headers.set("cseq", f"{self._cseq} INVITE")
        if offer is not None and self._expires is None and not self._min_se and offer[0] == "application/sdp":
            request.headers.add(terms.invite_sdp_lines)
            request.body = offer[1]
        else:
            request.headers.add(terms.invite_lines)
            if self._min_se:
                for name, value in terms.interval_fields(self._min_se):
                    request.headers.set(name, value)
            if self._expires is not None:
                request.headers.extend((("expires", str(self._expires)),))
            if offer is not None:
                offer.put_into(request)
        self._outgoing = outgoing = ClientRequest(request, self)
        self.user.send(self, outgoing)

    def cancel(self, headers: Iterable[Header] = ()) -> None:
        """Give it up (section 9.1). Early dialogs end with its final response; a 2xx is answered with ACK and BYE.

        :param headers: Reason (RFC 3326).
        :raises LocalProtocolError: a value that SIP does not allow; it is still wanted then.
        """
        outgoing = self._outgoing
        if self.over or self.cancelled or outgoing is None:
            return
        HeaderMap(fields := tuple(headers))
        self.cancelled = True
        self._stop_timer()
        # Before the first provisional response, and after it, a transaction each; then it is enough.
        self._timer = self._timers.start(3 * self.terms.values.timeout, self.failed, outgoing, 408)
        self.user.cancel(self, outgoing, fields)

    def _too_long(self) -> None:
        self.timed_out = True
        self.cancel([("reason", str(Reason.build("SIP", 408, "Request Timeout")))])

    def close(self) -> None:
        """Stop at once, without a word to anybody."""
        for session in list(self.sessions.values()):
            session.close()
        self._finish(self.status or 487, self.response)
        self._end()

    # -- responses -----------------------------------------------------------------------

    def response_received(self, outgoing: ClientRequest, response: Response) -> None:
        """A response to the INVITE."""
        if outgoing is not self._outgoing:
            return
        status = response.status
        self.heard = True
        if status < 200:
            if status == 180:
                self.rang = True
            if status > 100 and not self.over:
                self._progress(response)
        elif status < 300:
            self._accepted(response)
        elif not self.over:
            self._refused(response)

    def failed(self, outgoing: ClientRequest, status: int) -> None:
        """There is no final response."""
        if outgoing is not self._outgoing or self.over:
            return
        outgoing.done = True
        cause = "cancel" if self.cancelled else "timeout"
        self._end_sessions(Ending(by="local" if self.cancelled else "network", cause=cause, status=status))
        self._finish(status, None)
        self._end()

    def _tag_of(self, response: Response) -> str | None:
        """Return the To tag of *response*, None where To is of no use.

        Peers of RFC 2543 have none (section 12.1.2), and ring all the same.
        """
        try:
            line = response.headers.lines[response.headers.names.index("to")]
            if line != self._to_line:
                self._tag = response.to.tag
                self._to_line = line
        except (ValueError, RemoteProtocolError):
            return None
        return self._tag

    def _progress(self, response: Response) -> None:
        tag = self._tag_of(response)
        if tag is None:
            return
        session = self.sessions.get(tag)
        if session is None:
            if response.status == 199 and "100rel" not in option_tags(response, "require"):
                # RFC 6228 section 4: it ends what has never begun.
                return
            session = self._fork(tag, response)
        if session is None or session.over:
            return
        if tag in self._makeshifts:
            self._mend(session, tag, response)
        self._invites[tag].provisional(response)
        if response.status == 199 and not session.over:
            session.end(Ending(by="remote", cause="199", status=cause_of(response), reasons=reasons_of(response)))
        session.settle()

    def _fork(self, tag: str, response: Response) -> Session | None:
        """Return a session in the dialog that *response* makes, None if it makes none."""
        outgoing = self._outgoing
        assert outgoing is not None  # there is a response to it
        if len(self.sessions) >= (_MOST_EARLY if response.status < 200 else _MOST_FORKS):
            _log.debug("too many forks: a {status} is left alone", status=response.status)
            return None
        try:
            dialog = Dialog.as_uac(outgoing.request, response)
        except RemoteProtocolError as error:
            _log.debug("a response makes no dialog: {reason}", reason=error.reason)
            try:
                dialog = self._makeshift(outgoing.request, response, tag)
            except RemoteProtocolError:
                # The Request-URI is none of SIP.
                return None
            self._makeshifts |= {tag}
        sent = outgoing.request
        dialog.local_cseq = (sent.headers.parsed.get("cseq") or sent.cseq)[0]
        session = Session(dialog, self.user, self._timers, self._dialogs, self.terms, self._random, self)
        if not session.enlist() and response.status < 200:
            return None
        invite = ClientInvite(session, self._offer is not None, outgoing)
        if self._offer is not None:
            session.offers.offer_sent(self._offer, invite)
        session.inviting = invite
        if response.status < 200:
            # Of a 2xx the session learns when it is confirmed.
            session.learn(response)
        self.sessions[tag] = session
        self._invites[tag] = invite
        self.user.forked(self, session)
        return session

    def _makeshift(self, invite: Request, response: Response, tag: str) -> Dialog:
        """Return a dialog for a response that makes none, for want of a Contact above all.

        It is enough to know that it rings, and to acknowledge and to end a 2xx.
        """
        copy = response.copy()
        copy.headers.remove("record-route")
        copy.headers.set("contact", f"<{invite.uri_text}>")
        copy.headers.set("to", str(invite.to.with_("tag", tag) if tag else invite.to))
        return Dialog.as_uac(invite, copy)

    def _mend(self, session: Session, tag: str, response: Response) -> None:
        """Take from *response* what the first one in its early dialog has lacked."""
        assert self._outgoing is not None  # there is a response to it
        try:
            made = Dialog.as_uac(self._outgoing.request, response)
        except RemoteProtocolError:
            return
        self._makeshifts -= {tag}
        session.dialog.route_set, session.dialog.remote_target = made.route_set, made.remote_target

    def _accepted(self, response: Response) -> None:
        tag = self._tag_of(response)
        if tag is None:
            return
        session = self.sessions.get(tag)
        if session is None:
            if self.gone:
                return
            session = self._fork(tag, response)
            if session is None:
                return
        invite = self._invites[tag]
        if invite.accepted:
            # RFC 6026 section 7.2: the ACK was lost, or is on its way.
            invite.accepted_again()
            return
        if tag in self._makeshifts:
            self._mend(session, tag, response)
        # Nobody waits for a second one where the first was of no use.
        welcome = (not self.cancelled or self.wanted) and (not self.over or self.winner is not None)
        if session.over or not welcome or (self.winner is not None and not self._keep_all):
            session.decline(invite, response, "fork" if self.winner is not None else "cancel")
        elif tag in self._makeshifts or session.dialog.id not in self._dialogs:
            # Section 12.1.1: a dialog needs a Contact, of this response or of one before; and room in the table.
            session.decline(invite, response, "protocol")
        else:
            self._won(session, invite, response)
        if not self.over:
            self._finish(response.status, response)

    def _won(self, session: Session, invite: ClientInvite, response: Response) -> None:
        if self.winner is None:
            self.winner = session
        session.confirm(invite, response)
        if not self._keep_all and len(self.sessions) > 1:
            self._end_sessions(Ending(by="local", cause="fork", status=response.status), self.winner)

    def _refused(self, response: Response) -> None:
        """Section 13.2.2.3: the early dialogs end with it."""
        longer = 0
        if response.status == 422 and not self.cancelled and self._too_small < _MOST_TOO_SMALL:
            longer = min_se_asked(response, self.terms, self._min_se)
        if longer:
            # RFC 4028 section 7.3: the same call with a longer interval.
            self._min_se = longer
            self._too_small += 1
            assert self._outgoing is not None  # there is a response to it
            self._cseq = self._outgoing.request.cseq.number + 1
            self._end_sessions(Ending(by="remote", cause="refused", status=422))
            self.sessions.clear()
            self._invites.clear()
            self._makeshifts = _NONE
            self._send()
            return
        cause = "cancel" if self.cancelled else "refused"
        by = "local" if self.cancelled else "remote"
        self._end_sessions(Ending(by=by, cause=cause, status=response.status, reasons=reasons_of(response)))
        self._finish(response.status, response)
        self._end()

    # -- the end ----------------------------------------------------------------------------

    def _end_sessions(self, ending: Ending, but: Session | None = None) -> None:
        """End the early dialogs."""
        for session in list(self.sessions.values()):
            if session is not but and session.dialog.early:
                session.end(ending)

    def _finish(self, status: int, response: Response | None) -> None:
        """It has its outcome; after a 2xx others may come for 64*T1 (section 13.2.2.4)."""
        if self.over:
            return
        self.over = True
        self.status = status
        self.response = response
        self._stop_timer()
        if status < 300:
            self._timer = self._timers.start(self.terms.values.timeout, self._end)
        self.user.attempt_over(self)

    def _end(self) -> None:
        """No 2xx is waited for any more."""
        if self.gone:
            return
        self.gone = True
        self._stop_timer()
        if any(session.dialog.early for session in self.sessions.values()):
            self._end_sessions(Ending(by="network", cause="timeout"))
        self.user.attempt_gone(self)

    def part(self) -> None:
        """Its user has gone as well: see ``Session.part``."""
        for session in self.sessions.values():
            session.part()
        self._invites.clear()
        self._outgoing = None

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __repr__(self) -> str:
        return f"<InviteAttempt {self._invite.uri} {self.status or 'under way'}>"
