"""Calls whose media are decoded here and made anew: each leg has media of its own (RFC 7092 section 3.2.3).

The legs agree on media without each other. Hold and keys are carried from one to the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.agent.call_events import DTMF, CallEvent, HoldChanged
from twisted_sip.errors import LocalProtocolError, MediaRefused, RequestRefused, SIPError

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call
    from twisted_sip.b2bua.joined_legs import JoinedLegs
    from twisted_sip.b2bua.legs import CalleeLeg

_log = Logger()


class Transcoding:
    """The media of one call, terminated here."""

    def __init__(self, bridged: JoinedLegs) -> None:
        """Begin.

        :raises MediaRefused: there is nothing that makes media, or there are as many as there may be.
        """
        plane = bridged.b2bua.plane
        if plane is None:
            raise MediaRefused("No media here", status=488)
        self._plane = plane
        self._forget: list[Callable[[], None]] = []
        self._early = False
        self.joined: tuple[Any, Any] | None = None

    def begin(self, leg: CalleeLeg) -> None:
        """Call with media of its own."""
        leg.call.choose_media(self._plane, None)
        leg.start()

    def early(self, caller: Call, callee: Call, status: int) -> bool:
        """*callee* has early media: *caller* hears it; False if it hears somebody already, or cannot."""
        if self._early or not caller.request.body:
            return False
        self._early = True
        ringing = caller.ring(status, early_media=True)
        ringing.addCallbacks(lambda _: self._join(caller, callee), self._no_early_media)
        return True

    def _no_early_media(self, failure: Failure) -> None:
        failure.trap(SIPError)
        _log.debug("no early media: {reason}", reason=failure.getErrorMessage())

    def _join(self, caller: Call, callee: Call) -> None:
        if callee.media is not None and caller.media is not None and not callee.over:
            self.joined = (caller.media, callee.media)
            caller.bridge(callee)

    def answered(self, caller: Call, callee: Call, headers: list[tuple[str, str]]) -> None:
        """*callee* has answered: so does the leg of *caller*."""
        caller.answer(headers=headers).addErrback(self._refused, callee)
        self.join(caller, callee)

    def join(self, one: Call, other: Call) -> None:
        """Connect two legs that have media of their own."""
        self.close()
        self._join(one, other)
        self._forget = [
            one.observe(lambda event: self._happened(event, other)),
            other.observe(lambda event: self._happened(event, one)),
        ]

    def _refused(self, failure: Failure, callee: Call) -> None:
        failure.trap(SIPError)
        if not callee.over:
            callee.hangup(failure.getErrorMessage()[:80])

    def _happened(self, event: CallEvent, peer: Call) -> None:
        if isinstance(event, HoldChanged):
            changing = peer.hold() if event.on else peer.resume()
            changing.addErrback(self._not_changed)
        elif isinstance(event, DTMF) and peer.established:
            try:
                peer.send_dtmf(event.digit).addErrback(self._not_changed)
            except LocalProtocolError as error:
                _log.debug("a key is not passed on: {reason}", reason=str(error))

    @staticmethod
    def _not_changed(failure: Failure) -> None:
        failure.trap(RequestRefused, LocalProtocolError)
        _log.debug("the other leg is not told: {reason}", reason=failure.getErrorMessage())

    def close(self) -> None:
        """Observe no more; the media are closed with their calls. Harmless when repeated."""
        forget, self._forget = self._forget, []
        for one in forget:
            one()
