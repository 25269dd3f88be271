"""Two ends of sessions and the link between them: machines of ``dialog`` over real transaction layers, no elements.

For tests of sessions alone. What an end is told it notes in ``told``; what is left open to its user it does by itself
unless ``manual`` names it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from twisted.internet.task import Clock

from twisted_sip.dialog.client_request import ClientRequest
from twisted_sip.dialog.dialog import TARGET_REFRESH
from twisted_sip.dialog.dialogs import INVITE_USAGE, Dialogs, dialog_id_of
from twisted_sip.dialog.invite_attempt import InviteAttempt
from twisted_sip.dialog.server_invite import ServerInvite
from twisted_sip.dialog.session import Session
from twisted_sip.dialog.session_offers import OfferReceived
from twisted_sip.dialog.session_terms import InviteRefused, SessionBody, SessionTerms
from twisted_sip.errors import RemoteProtocolError, TransportError
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import UDP
from twisted_sip.message.builders import build_request, response_to
from twisted_sip.message.parser import parse_message
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.transaction.layer import TransactionLayer
from twisted_sip.transaction.timers import TimerQueue


class SessionLink:
    """Carries datagrams between ends.

    :ivar clock: to be advanced by the test.
    :ivar chance: all that is left to chance.
    :ivar loss: the share of datagrams that vanish.
    :ivar delays: the shortest and the longest delay in seconds; unequal ones reorder.
    :ivar carried: (sender's name, message) of all that was sent, lost ones too.
    :ivar drop: told (sender's name, message); True loses it.
    """

    def __init__(self, seed: int = 0, *, loss: float = 0.0, delays: tuple[float, float] = (0.01, 0.01)) -> None:
        self.clock = Clock()
        self.chance = random.Random(seed)
        self.loss = loss
        self.delays = delays
        self.carried: list[tuple[str, Request | Response]] = []
        self.drop: Any = lambda sender, message: False
        self.ends: dict[str, SessionEnd] = {}

    def carry(self, sender: str, target: str, data: bytes) -> None:
        """Deliver *data* to the end named *target*, or lose it, as what goes to nobody."""
        message = parse_message(data)
        self.carried.append((sender, message))
        if self.chance.random() < self.loss or self.drop(sender, message) or target not in self.ends:
            return
        self.clock.callLater(self.chance.uniform(*self.delays), self.ends[target].arrived, sender, data)

    def words(self, sender: str = "") -> list[str]:
        """Return what was sent, by *sender* or anybody: methods and statuses."""
        return [_word(message) for name, message in self.carried if sender in ("", name)]

    def advance(self, seconds: float, step: float = 0.05) -> None:
        """Let *seconds* pass."""
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end - 1e-9:
            self.clock.advance(min(step, end - self.clock.seconds()))


def _word(message: Request | Response) -> str:
    if isinstance(message, Request):
        return message.method
    return f"{message.status} {message.cseq.method}"


class _Flow:
    """From one end to another."""

    kind = UDP
    open = True
    identities: tuple[str, ...] = ()
    token = "link"

    def __init__(self, link: SessionLink, sender: str, target: str) -> None:
        self.link = link
        self.sender = sender
        self.target = target
        self.local = Address(sender, 5060)
        self.remote = Address(target, 5060)
        self.sent_by = f"{sender}:5060"

    def send(self, data: bytes, message: Request | Response) -> None:
        self.link.carry(self.sender, self.target, data)

    def reply_flow(self, request: Request) -> _Flow:
        return self


class _Sent:
    """A client transaction's user."""

    def __init__(self, outgoing: ClientRequest) -> None:
        self.outgoing = outgoing
        self.cancelled = False

    def response_received(self, transaction: Any, response: Response) -> None:
        if response.status >= 200:
            transaction.forget()
        self.outgoing.response_received(response)

    def timed_out(self, transaction: Any) -> None:
        self.outgoing.failed(487 if self.cancelled else 408)

    def transport_failed(self, transaction: Any, error: TransportError) -> None:
        self.outgoing.failed(503)


class Received:
    """A request that has come in: a ServerRequest, and the user of its transaction.

    :ivar invite: what was made of it, None if it is no INVITE.
    """

    def __init__(self, request: Request, transaction: Any = None) -> None:
        self.request = request
        self.transaction = transaction
        self.invite: ServerInvite | None = None

    def cancelled(self, transaction: Any, cancel: Request) -> None:
        if self.invite is not None:
            self.invite.cancelled(cancel)

    def ack_timed_out(self, transaction: Any) -> None:
        """The session does without."""

    def transport_failed(self, transaction: Any, error: TransportError) -> None:
        """The response will be sent again."""


class SessionEnd:
    """One end: the host and user of its sessions.

    :ivar told: (name of the callback, detail) in order.
    :ivar manual: names of callbacks after which the test acts: ``offer_received``, ``reinvited``, ``offer_wanted``.
    :ivar sessions: all of them, in order.
    :ivar incoming: the sessions that others have asked for.
    """

    def __init__(self, link: SessionLink, name: str, terms: SessionTerms | None = None) -> None:
        self.link = link
        self.name = name
        self.terms = terms or SessionTerms()
        self.timers = TimerQueue(link.clock)
        self.layer = TransactionLayer(self.timers, self, self.terms.values, new_tag=self._tag)
        self.dialogs = Dialogs()
        self.told: list[tuple[str, Any]] = []
        self.manual: set[str] = set()
        self.sessions: list[Session] = []
        self.incoming: list[Session] = []
        self.pending: list[OfferReceived] = []
        self.pending_invites: list[ServerInvite] = []
        self._serial = 0
        self._transactions: dict[ClientRequest, Any] = {}
        link.ends[name] = self

    # -- for tests ----------------------------------------------------------------------

    def call(self, target: str, *, offer: bool = True, **how: Any) -> InviteAttempt:
        """Send an INVITE to the end named *target*."""
        self._serial += 1
        invite = build_request(
            "INVITE",
            f"sip:{target}",
            from_=f"<sip:{self.name}>;tag={self._tag()}",
            to=f"<sip:{target}>",
            call_id=f"{self.name}-{self._serial}",
            cseq=1,
        )
        chance = self.link.chance.random
        body = self.describe("offer") if offer else None
        attempt = InviteAttempt(invite, self, self.timers, self.dialogs, self.terms, random=chance, offer=body, **how)
        attempt.start()
        return attempt

    def describe(self, what: str) -> SessionBody:
        """Return a description like no other."""
        self._serial += 1
        return SessionBody("application/sdp", f"{what} {self._serial} of {self.name}".encode())

    def names(self) -> list[str]:
        """Return the names of the callbacks."""
        return [name for name, _ in self.told]

    def settled(self) -> bool:
        """Tell whether nothing is left."""
        return not self.timers.pending and not len(self.dialogs) and not any(self.layer.counts().values())

    def _tag(self) -> str:
        return f"t{self.link.chance.getrandbits(40):x}"

    # -- the link and the transaction layer -------------------------------------------------

    def arrived(self, sender: str, data: bytes) -> None:
        message = parse_message(data)
        flow = _Flow(self.link, self.name, sender)
        message.flow = flow
        if isinstance(message, Request):
            self.layer.request_received(message, flow)
        else:
            self.layer.response_received(message, flow)

    def request_received(self, request: Request, flow: Any) -> None:
        received = Received(request)
        received.transaction = self.layer.create_server(request, flow, received)
        if not request.to.tag:
            self._invited(received)
            return
        session = self.dialogs.usage(dialog_id_of(request), INVITE_USAGE)
        if not isinstance(session, Session):
            received.transaction.send(response_to(request, 481))
        elif not session.request_received(received):
            session.dialog.receive(request)
            received.transaction.send(response_to(request, 200))

    def _invited(self, received: Received) -> None:
        chance = self.link.chance.random
        try:
            session = Session.invited(
                received, self, self.timers, self.dialogs, self.terms, local_tag=self._tag(), random=chance
            )
        except RemoteProtocolError as error:
            headers = error.headers if isinstance(error, InviteRefused) else ()
            received.transaction.send(response_to(received.request, error.status, "", headers, to_tag="refused"))
            return
        received.invite = session.invite
        self.sessions.append(session)
        self.incoming.append(session)
        self.invited(session)

    def ack_received(self, request: Request, flow: Any) -> None:
        session = self.dialogs.usage(dialog_id_of(request), INVITE_USAGE)
        if isinstance(session, Session):
            session.ack_received(request)

    def cancel_unmatched(self, request: Request, flow: Any) -> None:
        transaction = self.layer.create_server(request, flow, Received(request))
        transaction.send(response_to(request, 481))

    def stray_response(self, response: Response, flow: Any) -> None:
        """Nobody wants it."""

    # -- the host ------------------------------------------------------------------------------

    def send(self, machine: Session | InviteAttempt, outgoing: ClientRequest) -> None:
        request = outgoing.request.copy()
        self._dress(request)
        outgoing.sent(request)
        target = _target(request)
        sent = _Sent(outgoing)
        branch = request.top_via.branch or ""
        self._transactions[outgoing] = self.layer.start_client(
            request, _Flow(self.link, self.name, target), sent, branch
        )

    def _dress(self, request: Request) -> None:
        if request.method in TARGET_REFRESH:
            request.headers.set("contact", f"<sip:{self.name}>")
        branch = f"z9hG4bK{self.link.chance.getrandbits(60):x}"
        request.headers.prepend("via", f"SIP/2.0/UDP {self.name}:5060;branch={branch}")

    def cancel(
        self, machine: Session | InviteAttempt, outgoing: ClientRequest, headers: Iterable[tuple[str, str]]
    ) -> None:
        transaction = self._transactions[outgoing]
        transaction.user.cancelled = True
        self.layer.cancel(transaction, headers)

    def send_ack(self, machine: Session | InviteAttempt, ack: Request, secure: bool) -> None:
        self._dress(ack)
        self.link.carry(self.name, _target(ack), ack.to_bytes())

    def respond(self, session: Session, incoming: Any, response: Response) -> None:
        if 100 < response.status < 300 and incoming.request.method in TARGET_REFRESH:
            response.headers.set("contact", f"<sip:{self.name}>")
        if incoming.transaction is not None:
            incoming.transaction.send(response)

    # -- the user ----------------------------------------------------------------------------------

    def _note(self, name: str, detail: Any) -> None:
        self.told.append((name, detail))

    def invited(self, session: Session) -> None:
        """Somebody calls."""
        self._note("invited", session)

    def forked(self, attempt: InviteAttempt, session: Session) -> None:
        self.sessions.append(session)
        self._note("forked", session)

    def attempt_over(self, attempt: InviteAttempt) -> None:
        self._note("attempt_over", attempt.status)

    def attempt_gone(self, attempt: InviteAttempt) -> None:
        self._note("attempt_gone", attempt)

    def progressed(self, session: Session, response: Response) -> None:
        self._note("progressed", response.status)

    def offer_received(self, session: Session, offer: OfferReceived) -> None:
        self._note("offer_received", offer.body.data)
        if "offer_received" in self.manual:
            self.pending.append(offer)
        else:
            offer.answer(self.describe("answer"))

    def answer_received(self, session: Session, body: SessionBody) -> None:
        self._note("answer_received", body.data)

    def rolled_back(self, session: Session) -> None:
        self._note("rolled_back", session)

    def confirmed(self, session: Session) -> None:
        self._note("confirmed", session)

    def reinvited(self, session: Session, invite: ServerInvite) -> None:
        self._note("reinvited", invite)
        invite.incoming.invite = invite  # type: ignore[attr-defined]
        if "reinvited" in self.manual:
            self.pending_invites.append(invite)
        else:
            invite.accept(self.describe("answer" if invite.offer is not None else "offer"))

    def modified(self, session: Session, method: str, status: int) -> None:
        self._note("modified", (method, status))

    def offer_wanted(self, session: Session, why: str) -> None:
        self._note("offer_wanted", why)
        if "offer_wanted" not in self.manual and session.can_reinvite:
            session.reinvite(self.describe("offer"))

    def free(self, session: Session) -> None:
        self._note("free", session)

    def info_received(self, session: Session, info: Request, package: str) -> None:
        self._note("info_received", (package, info.body))

    def ended(self, session: Session) -> None:
        self._note("ended", session)

    def gone(self, session: Session) -> None:
        self._note("gone", session)


def _target(request: Request) -> str:
    return request.uri_text.partition(":")[2].partition(";")[0]
