"""A call as its user holds it: ring, answer, hang up, transfer, and what is heard (RFC 3261, 3515, 3891, 5589)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.agent.call_events import CallState
from twisted_sip.agent.call_sound import CallSound, outcome_to
from twisted_sip.agent.descriptions import Description, session_body
from twisted_sip.agent.dialog_reference import join_value, replaces_value, target_dialog_value
from twisted_sip.agent.incoming_leg import IncomingLeg
from twisted_sip.agent.transfer import Transfer
from twisted_sip.dialog.session_terms import SessionBody
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError, SIPError
from twisted_sip.message.header_map import HeaderMap
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.response import Response
from twisted_sip.message.transfer import Replaces
from twisted_sip.message.uri import SIPURI

if TYPE_CHECKING:
    from twisted_sip.message.uri import URI

Headers = Iterable[tuple[str, str]]

_log = Logger()

#: Stands for the media of the agent.
AGENTS_OWN: Any = object()


class Call(CallSound):
    """A call; made by ``UserAgent.call``, or given to ``UserAgent.incoming_call``.

    Deferreds of it are awaitable as they are. What cannot be done now raises, or fails with, LocalProtocolError; what
    the peer does not want fails with RequestRefused.
    """

    _described_by_program = False

    # -- calls that come in ---------------------------------------------------------------------

    def ring(
        self,
        status: int = 180,
        *,
        early_media: bool = False,
        body: Description | None = None,
        reliable: bool | None = None,
        headers: Headers = (),
        reason: str = "",
    ) -> Deferred[Call]:
        """Send a provisional response (RFC 3261 section 13.3.1.1, RFC 3262).

        :param status: 101 to 199.
        :param early_media: with our session description, so that there is sound before the answer (RFC 3960).
        :param body: that description, made by the application: a SessionDescription, SDP as text or bytes, or a
            SessionBody of another type.
        :param reliable: have the peer acknowledge it (RFC 3262); None for as the settings and the peer have it.
        :param headers: further header fields, as pairs of name and value.
        :param reason: the reason phrase; the usual one of *status* unless given.
        :return: fires with this call once it is sent; fails with LocalProtocolError where that cannot be, and with
            RemoteProtocolError where no media can be agreed.
        """
        leg = self._incoming()
        if isinstance(leg, Failure):
            return fail(leg)
        try:
            made = session_body(body)
        except LocalProtocolError:
            return fail(Failure())
        if early_media and made is None:
            self.choose_media(AGENTS_OWN, None)
        return leg.ring(status, early_media=early_media, body=made, reliable=reliable, headers=headers, reason=reason)

    def answer(
        self, *, media: Any = AGENTS_OWN, body: Description | None = None, headers: Headers = ()
    ) -> Deferred[Call]:
        """Answer (RFC 3261 section 13.3.1.4).

        :param media: an IMediaSession, what makes one of a call, or None for signalling only; the agent's unless given.
        :param body: without media: our session description, the answer to ``remote_body``, or an offer where there is
            none; as for :meth:`ring`.
        :param headers: further header fields of the 200, as pairs of name and value.
        :return: as :attr:`answered`: fires with this call once the 200 has gone out, or, where that has our offer, once
            the ACK is here; fails with LocalProtocolError where there is nothing to answer, with MediaRefused where
            there is no room for media, with CallRefused where the caller has gone or no media can be agreed.
        """
        leg = self._incoming()
        if isinstance(leg, Failure):
            return fail(leg)
        if media is not AGENTS_OWN and self.negotiated:
            return fail(LocalProtocolError("media have been agreed already"))
        headers = list(headers)
        try:
            # Before anything is agreed: what cannot be sent leaves the call as it is.
            HeaderMap(headers)
            made = session_body(body)
            self.choose_media(media, made)
        except Exception:
            # What makes media is a hook.
            return fail(Failure())
        return leg.answer(made if self.media is None else None, headers)

    def answer_unless_done(self) -> None:
        """Answer it if nobody has answered or refused it yet; where that cannot be it is refused."""
        leg = self.leg
        if isinstance(leg, IncomingLeg) and self.state in (CallState.TRYING, CallState.RINGING) and not leg.answering:
            self.answer().addErrback(self.refuse_unless_done)

    def refuse_unless_done(self, failure: Failure) -> None:
        """It cannot be answered because of *failure*: refuse it, unless that was done, or it is being answered."""
        leg, error = self.leg, failure.value
        if failure.check(SIPError) is None:
            _log.failure("{call} cannot be answered", failure, call=repr(self))
        if isinstance(leg, IncomingLeg) and self.state in (CallState.TRYING, CallState.RINGING) and not leg.answering:
            self.reject(error.status if isinstance(error, RemoteProtocolError) else 500)

    def choose_media(self, media: Any, body: SessionBody | None) -> None:
        """Have *media*: an IMediaSession, what makes one, None, or AGENTS_OWN: what the agent makes, unless the
        application describes the session itself, with *body* or ``on_offer``."""
        if body is not None:
            self.descriptions.body = body
        old = self.media
        if media is AGENTS_OWN:
            if old is not None or body is not None or self.on_offer is not None or self._described_by_program:
                return
            self.use_media(self.agent.make_media(self))
            return
        self._described_by_program = media is None
        made = media(self) if callable(media) else media
        self.use_media(made)
        if old is not None and old is not made:
            old.close()

    def choose_media_of_agent(self) -> None:
        """Have the media that the agent makes, unless there are others."""
        self.choose_media(AGENTS_OWN, None)

    def reject(self, status: int = 486, reason: str = "", headers: Headers = (), body: bytes = b"") -> None:
        """Refuse it (RFC 3261 section 13.3.1.3).

        :param status: 300 to 699.
        :param reason: the reason phrase; the usual one of *status* unless given.
        :param headers: further header fields, as pairs of name and value: Retry-After, Warning ...
        :param body: goes with a Content-Type in *headers*.
        :raises LocalProtocolError: it is answered or over, was made by us, or a value that SIP does not allow.
        """
        leg = self._incoming()
        if isinstance(leg, Failure):
            leg.raiseException()
        assert isinstance(leg, IncomingLeg)
        leg.reject(status, reason, headers, body)

    def redirect(self, *targets: URI | str, permanent: bool = False) -> None:
        """Tell the caller to call *targets* instead, best first (RFC 3261 section 13.3.1.2).

        :param permanent: from now on (301), not this time alone (302).
        :raises LocalProtocolError: as :meth:`reject`, or no or bad targets.
        """
        if not targets:
            raise LocalProtocolError("a redirection needs a target")
        count = len(targets)
        contacts = [
            ("contact", str(NameAddr.build(target, "", [("q", f"{1 - place / (count + 1):.3f}")] if count > 1 else ())))
            for place, target in enumerate(targets)
        ]
        self.reject(301 if permanent else 302, headers=contacts)

    def _incoming(self) -> IncomingLeg | Failure:
        if self.over:
            return Failure(LocalProtocolError("the call is over"))
        leg = self.leg
        if not isinstance(leg, IncomingLeg):
            return Failure(LocalProtocolError("we have made this call"))
        return leg

    # -- transfers ------------------------------------------------------------------------------------

    def transfer(
        self, target: URI | str | Call, *, notify: bool = True, hangup: bool = True, headers: Headers = ()
    ) -> Transfer:
        """Ask the peer to call somebody else (RFC 5589 sections 6 and 7).

        :param target: a URI (blind), or another call of ours, whose place the peer is to take (attended). Where one
            of the two peers does not know Replaces, that call is hung up and its peer called anew (section 7.7).
        :param notify: be told what becomes of it; otherwise the REFER asks for no subscription (RFC 4488).
        :param hangup: end this call, and that of an attended transfer, once the peer has its new call.
        :param headers: further header fields of the REFER, as pairs of name and value.
        :return: the transfer; ``done`` fires with the final status of the peer's call.
        :raises LocalProtocolError: the call is not established, or the peer has said that it does not take REFER.
        """
        session = self._confirmed_session()
        if session.peer_allows("REFER") is False:
            raise LocalProtocolError("the peer does not take REFER")
        headers = list(headers)
        # Before anything is hung up: what cannot be sent leaves both calls as they are.
        HeaderMap(headers)
        other = target if isinstance(target, Call) else None
        if isinstance(target, Call):
            refer_to = refer_to_call(target)
            known = target.session
            if not session.peer_supports("replaces") or known is None or not known.peer_supports("replaces"):
                if not self.established:
                    raise LocalProtocolError("the call is not established")
                refer_to, other = f"<{target.remote.uri_text}>", None
                target.hangup()
        else:
            refer_to = str(NameAddr.build(target))
        # RFC 4488 section 4: a Require would fail with those who do not know it; they subscribe us all the same.
        made = Transfer(self.agent, refer_to, subscribed=notify or not session.peer_supports("norefersub"))
        fields = [("refer-to", refer_to), ("referred-by", f"<{self.local.uri_text}>"), *headers]
        if not notify:
            fields.append(("refer-sub", "false"))
        fields.append(("supported", ", ".join(self.agent.terms.supported)))
        session.request("REFER", fields, b"", made.refer_answered)
        number = session.dialog.local_cseq
        assert number is not None
        made.refer_sent(session.dialog, number)
        self.agent.referring.begun(made, self)
        if hangup:

            def finished(transfer: Transfer) -> None:
                if 200 <= transfer.status < 300:
                    for call in (self, other):
                        if call is not None and not call.over:
                            call.hangup()

            made.when_over(finished)
        return made

    def replaces_value(self, *, early_only: bool = False) -> Replaces:
        """Return the Replaces with which somebody takes our place at the peer (RFC 3891 section 6.1).

        :param early_only: not once the call is answered (section 6.1, ``early-only``).
        :raises LocalProtocolError: there is no dialog yet, or no more.
        """
        return replaces_value(self._known_session().dialog, early_only=early_only)

    def join_value(self) -> str:
        """Return the Join with which somebody joins us at the peer (RFC 3911 section 7.1)."""
        return join_value(self._known_session().dialog)

    def target_dialog_value(self) -> str:
        """Return the Target-Dialog that shows the peer that we are in this call (RFC 4538 section 7)."""
        return target_dialog_value(self._known_session().dialog)

    def _known_session(self) -> Any:
        session = self.session
        if session is None or session.over:
            raise LocalProtocolError("there is no dialog yet, or no more")
        return session

    # -- other requests -----------------------------------------------------------------------------------

    def message(
        self, text: str | bytes, content_type: str = "text/plain;charset=utf-8", headers: Headers = ()
    ) -> Deferred[Response]:
        """Send a MESSAGE within the call (RFC 3428 section 4).

        :param text: what to say; text goes as UTF-8.
        :param content_type: what it is.
        :param headers: further header fields, as pairs of name and value.
        :return: as :meth:`send`.
        """
        body = text.encode() if isinstance(text, str) else text
        return self.send("MESSAGE", [("content-type", content_type), *headers], body)

    def send(self, method: str, headers: Headers = (), body: bytes = b"") -> Deferred[Response]:
        """Send a request of *method* within the call: OPTIONS, MESSAGE or one of your own (RFC 3261 section 12.2.1).

        INVITE, BYE and others that the call itself depends on have methods of their own.

        :param headers: further header fields, as pairs of name and value.
        :param body: goes with a Content-Type in *headers*.
        :return: fires with the 2xx; fails with RequestRefused, whose status is that of the response, 408 without one
            or 503 where it could not be sent, and with LocalProtocolError where the call is not established.
        """
        result: Deferred[Response] = Deferred()
        try:
            self._confirmed_session().request(method, headers, body, outcome_to(result, method))
        except LocalProtocolError:
            return fail(Failure())
        return result


def refer_to_call(call: Call) -> str:
    """Return the Refer-To for an attended transfer to the peer of *call* (RFC 5589 section 7.1).

    A GRUU leads to that very device from everywhere. Without one the Contact does so at most where no proxy has stood
    in the way; else it is the address-of-record, where the Replaces finds the device.

    :raises LocalProtocolError: the call is not established.
    """
    session = call.session
    if session is None or session.state != "confirmed":
        raise LocalProtocolError("the call to transfer to is not established")
    dialog = session.dialog
    target = SIPURI.parse(dialog.remote_target)
    remote = NameAddr.parse(dialog.remote_uri).uri
    if "gr" not in target.params and dialog.route_set and isinstance(remote, SIPURI):
        target = remote
    value = "".join(_escaped(char) for char in str(replaces_value(dialog)))
    return f"<{target.replace(headers=f'Replaces={value}')}>"


def _escaped(char: str) -> str:
    return char if (char.isalnum() and char.isascii()) or char in "-_.!~*'()" else f"%{ord(char):02X}"
