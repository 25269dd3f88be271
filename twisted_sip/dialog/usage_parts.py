"""What the INVITE usage of a dialog consists of, and what it is at the moment; what few sessions need is made when
somebody asks for it.

RFC 3261 sections 12 and 13, RFC 6337 section 4.3. Its life is :mod:`invite_usage`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from twisted.logger import Logger

from twisted_sip.dialog.client_request import ClientRequest, ClientRequestUser
from twisted_sip.dialog.dialog import Dialog
from twisted_sip.dialog.dialogs import INVITE_USAGE, Dialogs
from twisted_sip.dialog.session_modification import Modification
from twisted_sip.dialog.session_offers import STABLE, OfferTracker
from twisted_sip.dialog.session_peer import TELLING, Peer
from twisted_sip.dialog.session_server import SessionServer
from twisted_sip.dialog.session_terms import Ending, Header, SessionBody, SessionTerms
from twisted_sip.dialog.session_timer import SessionTimer
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.message import Message
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.transaction.timers import Timer, TimerQueue

if TYPE_CHECKING:
    from twisted_sip.dialog.client_invite import ClientInvite
    from twisted_sip.dialog.invite_attempt import InviteAttempt
    from twisted_sip.dialog.server_invite import ServerInvite
    from twisted_sip.dialog.session import Session
    from twisted_sip.dialog.session_user import SessionUser

_log = Logger()

#: The states of a session. Terminating: over, with a BYE or something else still on its way.
EARLY: Final = "early"
CONFIRMED: Final = "confirmed"
TERMINATING: Final = "terminating"
TERMINATED: Final = "terminated"


class UsageParts:
    """What an INVITE usage has, and what it is; see InviteUsage.

    :ivar dialog: the dialog.
    :ivar user: the host and user.
    :ivar over: it is over, even if a BYE is still on its way.
    :ivar terms: what we can do and want.
    :ivar state: EARLY, CONFIRMED, TERMINATING or TERMINATED.
    :ivar uac: we have sent the INVITE that made it.
    :ivar attempt: that INVITE and its other sessions, None at the UAS.
    :ivar invite: the INVITE that made it at the UAS, None at the UAC.
    :ivar inviting: our INVITE that is in progress, the initial one included; None without one.
    :ivar acknowledged: the 2xx has had its ACK.
    :ivar ending: why it is over, None before.
    :ivar offers: the offer/answer exchanges; ``local`` and ``remote`` are what is agreed.
    :ivar prack_offer: an offer to go with the PRACK for the answer to ours (RFC 3262 section 5).
    """

    def __init__(
        self,
        dialog: Dialog,
        user: SessionUser,
        timers: TimerQueue,
        dialogs: Dialogs,
        terms: SessionTerms,
        random: Callable[[], float],
        attempt: InviteAttempt | None = None,
    ) -> None:
        """Be the INVITE usage of *dialog*, early; it is not in *dialogs* yet."""
        self.dialog = dialog
        self.user = user
        self.timers = timers
        self.dialogs = dialogs
        self.terms = terms
        self.random = random
        self.attempt = attempt
        self.uac = attempt is not None
        self.state: str = EARLY
        self.over = False
        self.acknowledged = False
        self.ending: Ending | None = None
        self.invite: ServerInvite | None = None
        self.inviting: ClientInvite | None = None
        self.offers = OfferTracker()
        self.prack_offer: SessionBody | None = None
        # Made when somebody asks for them: most sessions do without.
        self._timer: SessionTimer | None = None
        self._peer: Peer | None = None
        self._modification: Modification | None = None
        self._server: SessionServer | None = None
        self._listed = False
        self._was_free = False
        self.parted = False
        # A BYE that waits for the ACK: its header fields.
        self._bye_later: list[Header] | None = None
        self._bye_accepted = False
        # Our BYE is on its way until then at most.
        self._guard: Timer | None = None

    def enlist(self) -> bool:
        """Put it into the table of dialogs; False if there is no room."""
        try:
            self._listed = self.dialogs.add(self.dialog, INVITE_USAGE, self)
        except LocalProtocolError:
            # Somebody repeats an INVITE with our tag.
            return False
        return self._listed

    # -- what it is ---------------------------------------------------------------------

    @property
    def _session(self) -> Session:
        """Itself, by the name that its users know it by."""
        return self  # type: ignore[return-value]

    @property
    def timer(self) -> SessionTimer:
        """The session timer."""
        made = self._timer
        if made is None:
            made = self._timer = SessionTimer(self.terms, self.timers, self.refresh, self.expire)
        return made

    @property
    def peer(self) -> Peer:
        """What the peer can do."""
        made = self._peer
        if made is None:
            made = self._peer = Peer()
        return made

    @property
    def modification(self) -> Modification:
        """What we do to modify or to refresh it."""
        made = self._modification
        if made is None:
            made = self._modification = Modification(self._session)
        return made

    @property
    def server(self) -> SessionServer:
        """What the peer asks for."""
        made = self._server
        if made is None:
            made = self._server = SessionServer(self._session)
        return made

    @property
    def can_reinvite(self) -> bool:
        """Whether a re-INVITE may be sent (RFC 3261 section 14.1, RFC 6337 section 4.3: UAC-II and UAC-UI)."""
        modification, server = self._modification, self._server
        return (
            self.state is CONFIRMED
            and self.acknowledged
            and self.inviting is None
            and (modification is None or modification.update is None)
            and (server is None or not server.busy)
            and self.offers.state is STABLE
        )

    @property
    def can_update(self) -> bool:
        """Whether an UPDATE without offer may be sent (RFC 3311 section 5.1, RFC 6337 section 4.3: UAC-UU)."""
        modification, peer = self._modification, self._peer
        if self.over or (modification is not None and modification.update is not None):
            return False
        if peer is not None and peer.allows("UPDATE") is False:
            return False
        # The peer must know of the dialog, which is made by our first response.
        return self.uac or self.state == CONFIRMED or (self.invite is not None and self.invite.progressed)

    def refresh(self) -> None:
        """Refresh the session."""
        raise NotImplementedError

    def expire(self) -> None:
        """Nobody has refreshed it in time."""
        raise NotImplementedError

    def dialog_destroyed(self, status: int) -> None:
        """The dialog is gone."""
        raise NotImplementedError

    # -- parts for the machines that it is made of ---------------------------------------------

    def make(
        self, method: str, waiting: ClientRequestUser, fields: Iterable[Header], body: SessionBody | None = None
    ) -> ClientRequest:
        """Return a request in the dialog, to be sent.

        :raises LocalProtocolError: a value that SIP does not allow.
        """
        made = [*self.terms.headers, *fields]
        data = b""
        if body is not None:
            made += body.fields()
            data = body.data
        return ClientRequest(self.dialog.request(method, made, data), waiting, self.dialog)

    def recv_info_answer(self, request: Request) -> list[Header]:
        """Return Recv-Info for a response, where the request has it too (RFC 6086 section 5.2.3)."""
        return self.terms.recv_info_field() if "recv-info" in request.headers.names else []

    def learn(self, message: Message) -> None:
        """Take note of what the peer can do."""
        if not TELLING.isdisjoint(message.headers.names):
            self.peer.learn(message)

    def forbid(self, method: str) -> None:
        """The peer does not know *method*, whatever it has said."""
        self.peer.forbid(method)

    def refresh_target(self, message: Request | Response) -> None:
        """Set the remote target; a Contact that is of no use changes nothing."""
        try:
            self.dialog.refresh_target(message)
        except RemoteProtocolError as error:
            _log.debug("the remote target stays: {reason}", reason=error.reason)
