"""Where the session descriptions of a call come from, and who reads those of the peer: its media, or the application.

RFC 3264 as RFC 3261 section 13.2.1 carries it. What the signalling says stays with the dialog floor.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import ref

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger

from twisted_sip.dialog.session_terms import SessionBody
from twisted_sip.errors import LocalProtocolError, MediaRefused, RemoteProtocolError
from twisted_sip.message.reason_fields import SIPWarning
from twisted_sip.sdp.description import MEDIA_TYPE, SessionDescription

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call

_log = Logger()

#: Takes the call and the offer of the peer, None to make an offer; returns our description, or what can be awaited.
OnOffer = Callable[["Call", "SessionBody | None"], Any]

#: What applications may give for a session description: bytes and texts are ``application/sdp``.
Description = SessionBody | SessionDescription | bytes | str


def deferred(function: Callable[..., Any], *args: Any) -> Deferred[Any]:
    """Call *function*, which may be a coroutine function or return anything; return a Deferred of its outcome."""

    def call() -> Any:
        result = function(*args)
        return Deferred.fromCoroutine(result) if inspect.iscoroutine(result) else result

    return maybeDeferred(call)


class Descriptions:
    """The descriptions of one call.

    :ivar media: its media, None for signalling only.
    :ivar body: without media: our description, for want of a better one.
    :ivar on_offer: without media: makes our descriptions.
    :ivar holding: what is agreed puts the peer on hold.
    :ivar closed: the call is over.
    """

    def __init__(self, call: Call, media: Any, body: SessionBody | None) -> None:
        self.media = media
        self.body = body
        self.on_offer: OnOffer | None = None
        self.closed = False
        self.holding = False
        # What belongs to a call does not keep it alive.
        self._weak_call = ref(call)
        # Whether the next description holds the peer, our last offer does, and what was agreed before our last answer.
        self._hold = False
        self._offered: bool | None = None
        self._held_before = False
        # The media have made no answer to the last offer of the peer (yet).
        self._unanswered = False
        # The last offer or answer of ours has come to nothing already, or is none of the media.
        self._undone = False
        self._apart = False

    @property
    def _call(self) -> Call:
        call = self._weak_call()
        if call is None:
            raise LocalProtocolError("the call is over")
        return call

    def offer(self) -> Deferred[SessionBody | None]:
        """Return a Deferred of our offer, None for none; it may fail with any exception."""
        if self.media is not None:
            return deferred(self.media.offer).addCallback(self._made_offer)
        if self.on_offer is not None:
            return deferred(self.on_offer, self._call, None).addCallback(self._keep)
        return deferred(lambda: self.body)

    def answer(self, offer: SessionBody) -> Deferred[SessionBody | None]:
        """Return a Deferred of our answer to *offer*.

        It fails with RemoteProtocolError where there is none: its status says why.
        """
        if self.media is not None:
            return deferred(self._answer, offer)
        if self.on_offer is not None:
            return deferred(self.on_offer, self._call, offer).addCallback(self._keep).addCallback(_required)
        return deferred(_required, self.body)

    def _answer(self, offer: SessionBody) -> Any:
        self._unanswered = True
        return maybeDeferred(self.media.answer, _parse(offer)).addCallback(self._made)

    def _made(self, description: SessionDescription) -> SessionBody:
        self._unanswered = self._undone = self._apart = False
        self._offered = None
        self._held_before, self.holding = self.holding, self._hold
        return _to_body(description)

    def _made_offer(self, description: SessionDescription) -> SessionBody:
        self._offered = self._hold
        self._undone = self._apart = False
        return _to_body(description)

    def answered(self, answer: SessionBody) -> None:
        """The peer's answer to our offer.

        :raises RemoteProtocolError: it cannot be used.
        """
        if self.media is not None and not self._apart:
            self.media.answered(_parse(answer))
            self._held_before, self.holding = self.holding, bool(self._offered)
            self._offered = None

    def offer_of_program(self) -> None:
        """The next offer is made by the program: neither its answer nor its refusal is for the media."""
        self._apart = True

    def withdraw(self) -> None:
        """Our offer does not go out after all; an answer that is being made meanwhile stays."""
        if self.media is not None and not self.closed and self._offered is not None:
            self._offered = None
            self._undone = True
            self._have(self.media.rolled_back)

    def rolled_back(self) -> None:
        """What was offered or answered last has come to nothing."""
        if self._unanswered:
            # An offer that was refused has changed nothing.
            self._unanswered = False
        elif self.media is not None and not (self.closed or self._undone or self._apart):
            self._undone = True
            if self._offered is None:
                self.holding = self._held_before
            self._offered = None
            self._have(self.media.rolled_back)

    def hold(self, on: bool) -> None:
        """Hold the peer with the next offer, or no longer."""
        if self.media is None:
            raise LocalProtocolError("there is no media to hold: make an offer of your own")
        self.media.hold(on)
        self._hold = on

    def close(self) -> None:
        """The call is over. Harmless when repeated."""
        if not self.closed:
            self.closed = True
            if self.media is not None:
                self._have(self.media.close)

    def _have(self, done: Callable[[], object]) -> None:
        """Have the media do what nobody waits for: a mistake of theirs must not keep the call from going on."""
        try:
            done()
        except Exception:
            call = self._weak_call()
            _log.failure("media of {call_id}", call_id="" if call is None else call.id)

    def _keep(self, made: Description | None) -> SessionBody | None:
        body = session_body(made)
        self.body = body or self.body
        return body


def session_body(description: Description | None) -> SessionBody | None:
    """Return *description* as what a message carries, None for none.

    :raises LocalProtocolError: it is something else.
    """
    if description is None or isinstance(description, SessionBody):
        return description
    if isinstance(description, SessionDescription):
        return _to_body(description)
    if isinstance(description, str):
        return SessionBody(MEDIA_TYPE, description.encode())
    if isinstance(description, bytes):
        return SessionBody(MEDIA_TYPE, description)
    raise LocalProtocolError(f"no session description: {type(description).__name__}")


def is_held(body: SessionBody | None) -> bool:
    """Tell whether the peer's *body* puts us on hold (RFC 3264 section 8.4)."""
    if body is None or not _is_sdp(body):
        return False
    try:
        return SessionDescription.parse(body.data).is_held
    except RemoteProtocolError:
        return False


def warning_of(error: RemoteProtocolError, agent: str) -> list[tuple[str, str]]:
    """Return the Warning that tells why media were refused (RFC 3261 section 20.43), none for other mistakes.

    :param agent: the host that warns.
    """
    if not isinstance(error, MediaRefused):
        return []
    return [("warning", str(SIPWarning(error.warning_code, agent, error.warning_text)))]


def _parse(body: SessionBody) -> SessionDescription:
    if not _is_sdp(body):
        raise RemoteProtocolError("Unsupported Session Description", status=415, header="Content-Type")
    return SessionDescription.parse(body.data)


def _is_sdp(body: SessionBody) -> bool:
    return body.content_type.partition(";")[0].strip().lower() == MEDIA_TYPE


def _to_body(description: SessionDescription) -> SessionBody:
    return SessionBody(MEDIA_TYPE, description.to_bytes())


def _required(body: SessionBody | None) -> SessionBody:
    if body is None:
        raise RemoteProtocolError("Not Acceptable Here", status=488)
    return body
