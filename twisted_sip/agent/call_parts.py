"""What a call consists of, and what it is at the moment; what few calls need is made when somebody asks for it.

RFC 3261 section 13. Its life is :mod:`call_core`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from twisted_sip.agent.account import Account
from twisted_sip.agent.call_events import CallEnd, CallEvent, CallRefused, CallState
from twisted_sip.agent.descriptions import Descriptions, OnOffer
from twisted_sip.agent.event_log import EventLog
from twisted_sip.agent.renegotiation import Renegotiation
from twisted_sip.agent.wire import Wire
from twisted_sip.dialog.dialog import Dialog
from twisted_sip.dialog.session import Session
from twisted_sip.dialog.session_terms import SessionBody
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call
    from twisted_sip.agent.incoming_leg import IncomingLeg
    from twisted_sip.agent.outgoing_leg import OutgoingLeg
    from twisted_sip.agent.referral import Referral
    from twisted_sip.agent.three_way import ThreeWay
    from twisted_sip.agent.user_agent import UserAgent


# To ask an enumeration for its members is slow.
_TRYING = CallState.TRYING


class CallParts:
    """What a call has, and what it is; see Call.

    :ivar agent: whose it is.
    :ivar id: its Call-ID.
    :ivar outgoing: we have made it.
    :ivar account: who we are in it.
    :ivar local: our address as the peer sees it, without tag; and *remote*, the peer's.
    :ivar request: the INVITE that it was made by, as it came or was last sent.
    :ivar state: where it is.
    :ivar over: it has ended.
    :ivar session: its session, None before there is one that counts.
    :ivar identity: the address-of-record that the caller has proved to have, empty for none.
    :ivar on_hold: we have put the peer on hold, and *held*: it has put us on hold.
    :ivar negotiated: media were agreed.
    :ivar replaces: the call that this one takes the place of (RFC 3891), and *joins*, that which it joins (RFC 3911).
    :ivar conversation: where its peer hears those of other calls, None if nowhere.
    :ivar referral: the REFER because of which we have made it.
    :ivar referrals: how many REFERs in a row have led to it.
    :ivar ending: how it ended, None before.
    :ivar log: what has happened.
    """

    leg: OutgoingLeg | IncomingLeg

    # What most calls never have stands here: an object has a cheap place for thirty attributes.
    identity = ""
    on_hold = False
    held = False
    negotiated = False
    replaces: Call | None = None
    joins: Call | None = None
    conversation: ThreeWay | None = None
    referral: Referral | None = None
    referrals = 0
    answer_response: Response | None = None
    # Made when somebody asks for them.
    _descriptions: Descriptions | None = None
    _changes: Renegotiation | None = None
    _data: dict[str, Any] | None = None
    # Who waits for it to be answered, and to end: mostly nobody.
    _answered: list[Deferred[Call]] | None = None
    _ended: list[Deferred[CallEnd]] | None = None
    _refusal: CallRefused | None = None
    _cause: tuple[str, int, str] | None = None

    def __init__(
        self,
        agent: UserAgent,
        account: Account,
        wire: Wire,
        id: str,
        outgoing: bool,
        local: NameAddr,
        remote: NameAddr,
        request: Request,
        body: SessionBody | None = None,
    ) -> None:
        self.agent = agent
        self.id = id
        self.outgoing = outgoing
        self.account = account
        self.wire = wire
        self.local = local
        self.remote = remote
        self.request = request
        self.state = _TRYING
        self.over = False
        self.session: Session | None = None
        self._body = body
        self.ending: CallEnd | None = None
        self.log: EventLog[CallEvent] = EventLog()
        self._established_at: float | None = None

    def __repr__(self) -> str:
        arrow = "to" if self.outgoing else "from"
        return f"<Call {arrow} {self.remote.uri_text} {self.state.value}>"

    # -- what it is -----------------------------------------------------------------------

    @property
    def descriptions(self) -> Descriptions:
        """Where session descriptions come from."""
        made = self._descriptions
        if made is None:
            made = self._descriptions = Descriptions(self._call, None, self._body)
            made.closed = self.over
        return made

    @property
    def changes(self) -> Renegotiation:
        """Changes of it, one after the other."""
        made = self._changes
        if made is None:
            made = self._changes = Renegotiation(self._call)
            if self.over:
                made.close()
        return made

    @property
    def data(self) -> dict[str, Any]:
        """For the application to keep what it likes."""
        if self._data is None:
            self._data = {}
        return self._data

    @property
    def _call(self) -> Call:
        """Itself, by the name that others know it by."""
        return self  # type: ignore[return-value]

    @property
    def media(self) -> Any:
        """Its media (interfaces.media.IMediaSession), None for signalling only."""
        return self.descriptions.media

    @property
    def on_offer(self) -> OnOffer | None:
        """Without media: what describes our side of the session (RFC 3264); None for nobody.

        Called with the call and the peer's offer as SessionBody, None where the offer is ours to make. Returns our
        description as SessionBody, None for none, or what can be awaited for it. RemoteProtocolError refuses with its
        status.
        """
        return self.descriptions.on_offer

    @on_offer.setter
    def on_offer(self, hook: OnOffer | None) -> None:
        """Set it, before the call is answered or has its answer."""
        self.descriptions.on_offer = hook

    @property
    def dialog(self) -> Dialog | None:
        """Its dialog, None before there is one that counts."""
        return self.session.dialog if self.session is not None else None

    @property
    def established(self) -> bool:
        """True while it is answered and not over."""
        return self.state is CallState.ESTABLISHED

    @property
    def leaving(self) -> bool:
        """True once it has ended, or is about to."""
        return self.state in (CallState.ENDING, CallState.ENDED)

    @property
    def local_body(self) -> SessionBody | None:
        """Our description that is agreed, None before."""
        return self.session.offers.local if self.session is not None else None

    @property
    def remote_body(self) -> SessionBody | None:
        """The peer's description that is agreed, or the offer in its INVITE."""
        session = self.session
        if session is None:
            return None
        if session.offers.remote is None and session.invite is not None:
            return session.invite.offer
        return session.offers.remote

    @property
    def local_host(self) -> str:
        """The numeric address of ours by which it goes, as far as that is known before anything is sent."""
        return self.wire.local_host(self.remote)

    @property
    def signalling_is_secure(self) -> bool:
        """Whether its messages leave us encrypted, as far as that is known: keys of media may stand in them then."""
        return self.wire.is_secure(self.remote)

    @property
    def seconds(self) -> float:
        """For how long it is established, or was."""
        if self.ending is not None:
            return self.ending.seconds
        began = self._established_at
        return 0.0 if began is None else self.agent.element.timers.now() - began

    @property
    def warn_agent(self) -> str:
        """The host that Warning header fields name."""
        return self.account.domain or "invalid"
