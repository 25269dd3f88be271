"""What the peer asks for in a session: re-INVITE, UPDATE, PRACK, BYE, INFO, OPTIONS.

RFC 3261 sections 12.2.2, 14.2 and 15.1.2, RFC 3262 section 3, RFC 3311 section 5.2, RFC 6086 section 4.2.2, RFC 6337
section 4.3 (which request has to wait for which), RFC 5407 section 3.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import attrs

from twisted_sip.dialog.server_invite import ServerInvite
from twisted_sip.dialog.server_offer import ServerOffer
from twisted_sip.dialog.session_offers import SDP, is_plain, session_body_of
from twisted_sip.dialog.session_terms import (
    Ending,
    Header,
    InviteRefused,
    SessionBody,
    SessionTerms,
    option_tags,
    reasons_of,
    tokens_of,
)
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.builders import response_to
from twisted_sip.message.media_types import MediaType
from twisted_sip.message.multipart import parse_multipart, understood_parts
from twisted_sip.message.reliability import RAck
from twisted_sip.message.request import Request

if TYPE_CHECKING:
    from twisted_sip.dialog.session import Session
    from twisted_sip.dialog.session_user import ServerRequest

#: The dispositions of bodies that a user agent can do something with (RFC 3261 section 20.11).
_DISPOSITIONS = ("render", "session", "early-session", "alert", "icon")

_new = tuple.__new__

#: The most INVITEs of the peer in one session that wait for their ACK.
_MOST_INVITES = 4


def check_invite(request: Request, terms: SessionTerms) -> SessionBody | None:
    """Return the offer in an INVITE, None without one.

    :raises InviteRefused: it requires what we do not know (420, RFC 3261 section 8.2.2.3), or a part of its body that
        must be understood is not (415, section 8.2.3).
    :raises RemoteProtocolError: its body is malformed (400), or coded in an unknown way (415).
    """
    if "require" in request.headers.names:
        check_require(request, terms)
    if not request.body:
        return None
    if SDP in terms.accept and is_plain(request, SDP):
        return _new(SessionBody, (SDP, request.body))
    return _body_of(request, terms)


def _body_of(request: Request, terms: SessionTerms) -> SessionBody | None:
    """Return the session description in *request*, once all of its body is known to be understood."""
    if not request.body:
        return None
    found = session_body_of(request)
    if SDP in terms.accept and is_plain(request, SDP):
        return found
    content_type: MediaType | None = request.typed("content-type") if request.body else None
    if content_type is None:
        return found
    whole = parse_multipart(content_type, request.body)
    whole = attrs.evolve(whole, disposition=request.typed("content-disposition"))
    known = {text.partition(";")[0].strip().lower() for text in terms.accept}
    try:
        understood_parts(whole, known, _DISPOSITIONS)
    except RemoteProtocolError as error:
        headers = [("accept", ", ".join(terms.accept))] if error.status == 415 else []
        raise InviteRefused(error.status, "", headers) from error
    return found


def check_require(request: Request, terms: SessionTerms) -> None:
    """Check that we know all that *request* requires.

    :raises InviteRefused: we do not (RFC 3261 section 8.2.2.3).
    """
    if "require" not in request.headers.names:
        return
    unknown = sorted(tag for tag in option_tags(request, "require") if not terms.supports(tag))
    if unknown:
        raise InviteRefused(420, "", [("unsupported", ", ".join(unknown))])


class SessionServer:
    """The UAS of one session.

    :ivar update: the UPDATE of the peer that waits for our answer, None without one.
    :ivar invites: the INVITEs of the peer that are not over, by their number.
    """

    __slots__ = ("_newest", "_prack", "_session", "invites", "update")

    def __init__(self, session: Session) -> None:
        self._session = session
        self.invites: dict[int, ServerInvite] = {}
        self.update: ServerOffer | None = None
        self._prack: ServerOffer | None = None
        self._newest = 0

    # -- what is in progress --------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """True while an INVITE of the peer, or an UPDATE with an offer, is in progress (RFC 3261 section 14.1)."""
        return self.update is not None or bool(self.invites)

    @property
    def unresolved(self) -> bool:
        """True while an INVITE of the peer may still bring an offer or answer of ours (RFC 6337 section 4.3)."""
        return any(not invite.resolved for invite in self.invites.values())

    @property
    def awaits_first_ack(self) -> bool:
        """True while the 2xx to the INVITE that made the session waits for its ACK."""
        return bool(self.invites) and any(invite.initial and invite.acknowledging for invite in self.invites.values())

    def newer(self, invite: ServerInvite) -> bool:
        """Tell whether an INVITE behind *invite* has come."""
        return self._newest > invite.number

    def invited(self, incoming: ServerRequest, offer: SessionBody | None, *, initial: bool) -> ServerInvite:
        """Take an INVITE that has been judged."""
        session = self._session
        invite = ServerInvite(session, incoming, offer, initial)
        if offer is not None:
            session.offers.offer_received(offer, invite)
        self.invites[invite.number] = invite
        self._newest = invite.number
        return invite

    def forget(self, invite: ServerInvite) -> None:
        """*invite* is over."""
        if self.invites.get(invite.number) is invite:
            del self.invites[invite.number]

    # -- requests ----------------------------------------------------------------------------

    def request_received(self, incoming: ServerRequest) -> bool:
        """Take a request in the dialog; False where it is none of a session's."""
        session = self._session
        request = incoming.request
        serve = _SERVE.get(request.method)
        if serve is None:
            return False
        if session.over:
            # RFC 5407 section 3.2: a BYE that has crossed ours is welcome, nothing else.
            if request.method == "BYE":
                self.respond(incoming, 200)
                if self.awaits_first_ack:
                    # Ours need not wait for an ACK that may never come, nor be sent.
                    self.close(silent=True)
                    session.let_go()
            else:
                self.respond(incoming, 481)
            return True
        try:
            session.dialog.receive(request, refresh=False)
            if "require" in request.headers.names:
                check_require(request, session.terms)
            serve(self, incoming)
        except InviteRefused as refusal:
            self.respond(incoming, refusal.status, headers=refusal.headers)
        except RemoteProtocolError as error:
            self.respond(incoming, error.status, _phrase(error.reason))
        return True

    def respond(
        self,
        incoming: ServerRequest,
        status: int,
        reason: str = "",
        headers: Iterable[Header] = (),
        body: SessionBody | None = None,
    ) -> None:
        """Answer *incoming*."""
        session = self._session
        fields = [*session.terms.headers, *headers]
        data = b""
        if body is not None:
            fields += body.fields()
            data = body.data
        tag = session.dialog.local_tag
        session.user.respond(session, incoming, response_to(incoming.request, status, reason, fields, data, tag))

    def _later(self) -> InviteRefused:
        """Return the refusal of who has to wait for the answer before (RFC 3261 section 14.2)."""
        wait = int(self._session.random() * 11)
        return InviteRefused(500, "", [("retry-after", str(min(wait, 10)))])

    def _serve_invite(self, incoming: ServerRequest) -> None:
        session = self._session
        request = incoming.request
        if any(not invite.acknowledging for invite in self.invites.values()) or len(self.invites) >= _MOST_INVITES:
            raise self._later()
        if session.inviting is not None:
            raise InviteRefused(491)
        if session.modification.update is not None or not session.offers.stable:
            # RFC 6337 section 4.3: UAS-UcI and UAS-UsI; RFC 5407 section 3.1.5 for our offer in a 2xx.
            if self.update is not None:
                raise self._later()
            raise InviteRefused(491)
        self._check_interval(request)
        offer = check_invite(request, session.terms)
        session.user.reinvited(session, self.invited(incoming, offer, initial=False))

    def _check_interval(self, request: Request) -> None:
        timer = self._session.timer
        minimum = timer.minimum_for(request)
        if minimum:
            # RFC 4028 section 9.
            raise InviteRefused(422, "", [("min-se", str(minimum))])
        timer.request_received(request)

    def _serve_update(self, incoming: ServerRequest) -> None:
        session = self._session
        request = incoming.request
        if self.update is not None:
            raise self._later()
        self._check_interval(request)
        offer = _body_of(request, session.terms)
        if offer is None:
            self._accept_update(incoming, None, [])
            return
        if session.modification.update is not None:
            # RFC 6337 section 4.3: UAS-UcU.
            raise InviteRefused(491)
        if any(invite.unconfirmed for invite in self.invites.values()) or not (
            session.offers.established or not session.offers.stable
        ):
            # RFC 6337 section 4.3: UAS-IsU; RFC 3311 section 5.1: no UPDATE makes the first offer.
            raise self._later()
        update = ServerOffer(session, incoming, offer, "UPDATE", self._update_accepted, self._update_over)
        try:
            session.offers.offer_received(offer, update)
        except RemoteProtocolError as error:
            raise (self._later() if error.status == 500 else InviteRefused(491)) from error
        self.update = update
        update.begin()

    def _update_accepted(self, update: ServerOffer, body: SessionBody, headers: list[Header]) -> None:
        self.update = None
        self._accept_update(update.incoming, body, headers)

    def _accept_update(self, incoming: ServerRequest, body: SessionBody | None, headers: list[Header]) -> None:
        session = self._session
        request = incoming.request
        session.refresh_target(request)
        session.learn(request)
        fields = [
            *session.terms.capabilities(),
            *session.recv_info_answer(request),
            *session.timer.answer(request),
            *headers,
        ]
        self.respond(incoming, 200, "", fields, body)

    def _update_over(self, update: ServerOffer) -> None:
        self.update = None

    def _serve_prack(self, incoming: ServerRequest) -> None:
        session = self._session
        request = incoming.request
        rack: RAck | None = request.typed("rack")
        if rack is None:
            raise RemoteProtocolError("Missing RAck header field", header="RAck")
        body = session_body_of(request)
        for invite in list(self.invites.values()):
            if invite.matches(rack):
                break
        else:
            if self._session.invite is None or not self._session.invite.matches(rack):
                raise InviteRefused(481)
            invite = self._session.invite
        if self._prack is not None and body is not None:
            raise self._later()
        session.learn(request)
        offer = invite.acknowledged_by(rack, body)
        if offer is None:
            self.respond(incoming, 200)
            invite.go_on()
            return
        prack = ServerOffer(session, incoming, offer, "PRACK", self._prack_accepted, self._prack_over)
        prack.invite = invite
        session.offers.offer_received(offer, prack)
        self._prack = prack
        prack.begin()

    def _prack_accepted(self, prack: ServerOffer, body: SessionBody, headers: list[Header]) -> None:
        self.respond(prack.incoming, 200, "", headers, body)
        self._prack_over(prack)

    def _prack_over(self, prack: ServerOffer) -> None:
        self._prack = None
        if prack.invite is not None:
            prack.invite.go_on()

    def _serve_bye(self, incoming: ServerRequest) -> None:
        session = self._session
        request = incoming.request
        self.respond(incoming, 200)
        session.end(
            Ending(by="remote", cause="bye", reasons=reasons_of(request)) if "reason" in request.headers.names else _BYE
        )

    def _serve_info(self, incoming: ServerRequest) -> None:
        session = self._session
        request = incoming.request
        names = tokens_of(request.headers, "info-package")
        package = ""
        if names is not None:
            ours = session.terms.recv_info or ()
            package = names[0] if len(names) == 1 else ""
            if package.lower() not in {name.lower() for name in ours}:
                # RFC 6086 section 4.2.2.
                raise InviteRefused(469, "", [("recv-info", ", ".join(ours))])
        session.user.info_received(session, request, package)
        self.respond(incoming, 200)

    def _serve_options(self, incoming: ServerRequest) -> None:
        session = self._session
        self.respond(
            incoming, 200, headers=[*session.terms.capabilities(), *session.recv_info_answer(incoming.request)]
        )

    def ack_received(self, ack: Request) -> None:
        """Take an ACK: that of the INVITE with its number (RFC 3261 section 13.2.2.4)."""
        try:
            cseq = ack.headers.parsed.get("cseq") or ack.cseq
        except RemoteProtocolError:
            return
        invite = self.invites.get(cseq[0])
        if invite is not None:
            invite.ack_received(ack)

    # -- the end --------------------------------------------------------------------------------

    def close(self, *, silent: bool, keep_first: bool = False) -> None:
        """The session is over: what waits for an answer is told 487 (RFC 3261 section 15.1.2).

        :param silent: it is told nothing.
        :param keep_first: the 2xx that made the session still waits for its ACK.
        """
        if self.update is not None or self._prack is not None:
            for offer in (self.update, self._prack):
                if offer is not None:
                    offer.close(silent=silent)
            self.update = self._prack = None
        if not self.invites:
            return
        for number, invite in list(self.invites.items()):
            if keep_first and invite.initial:
                continue
            del self.invites[number]
            if silent:
                invite.close()
            else:
                invite.terminate()


#: How most sessions end.
_BYE = Ending(by="remote", cause="bye")


def _phrase(reason: str) -> str:
    """Return *reason* fit for a status line."""
    return "".join(char if char.isprintable() else "?" for char in reason)[:120]


_SERVE: dict[str, Callable[[SessionServer, ServerRequest], None]] = {
    "INVITE": SessionServer._serve_invite,
    "UPDATE": SessionServer._serve_update,
    "PRACK": SessionServer._serve_prack,
    "BYE": SessionServer._serve_bye,
    "INFO": SessionServer._serve_info,
    "OPTIONS": SessionServer._serve_options,
}
