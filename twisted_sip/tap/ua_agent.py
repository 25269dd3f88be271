"""The user agent of ``twistd sip-ua``: it answers the calls of its lines as the configuration says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sip.agent.account import Account
from twisted_sip.agent.call import Call
from twisted_sip.agent.call_events import (
    DTMF,
    Answered,
    CallState,
    Ended,
    HoldChanged,
    MediaChanged,
    Replaced,
    TransferRequested,
)
from twisted_sip.agent.referral import Referral
from twisted_sip.agent.registration import Registration
from twisted_sip.agent.user_agent import UserAgent
from twisted_sip.errors import LocalProtocolError, RequestRefused
from twisted_sip.interfaces.agent import ICallListener
from twisted_sip.tap.answering import Answer
from twisted_sip.tap.ua_transfers import may_lead_to

_log = Logger()

#: The most keys of one call that stand in the log.
_KEYS = 100


class AnsweringAgent(UserAgent):
    """Goes on with whom it is transferred to as with whom it was called by.

    :ivar lines: what is done with calls.
    """

    lines: LineAnswers

    def transferred(self, old: Call, new: Call) -> None:
        """See AgentHooks."""
        self.lines.follow(old, new)

    def accept_transfer(self, call: Call | None, referral: Referral) -> Any:
        """See AgentHooks; without a line to where the caller is as well."""
        if super().accept_transfer(call, referral):
            return True
        return not self.accounts and may_lead_to(self.settings, call, referral)

    def registration_failed(self, failure: Failure, registration: Registration) -> None:
        """See AgentHooks: the log of the registration has a line of it."""


@implementer(ICallListener)
class LineAnswers:
    """Answers calls by the line that they are for, and writes a line of the log for what happens to them.

    :ivar other: what is done with calls that are for no line.
    :ivar packets_refused: datagrams of strangers and the like that came to the media of calls that are over.
    """

    def __init__(self, other: tuple[Answer, float], *, longest: float = 0.0) -> None:
        """Know of no line.

        :param other: the answer, and for how many seconds to ring before.
        :param longest: seconds after which a call is ended, 0 for never.
        """
        self.other = other
        self._lines: dict[Account, tuple[Answer, float]] = {}
        self._longest = longest
        self.packets_refused = 0
        self._keys: dict[Call, int] = {}

    def add(self, account: Account, answer: Answer, ring: float) -> None:
        """Answer the calls of *account* with *answer* after *ring* seconds."""
        self._lines[account] = (answer, ring)

    # -- calls ---------------------------------------------------------------------------------

    def incoming_call(self, call: Call) -> None:
        """See ICallListener."""
        _log.info("call {id} from {caller} to {line}", id=call.id, **_who(call))
        answer, ring = self._lines.get(call.account, self.other)
        status = answer.refusal()
        if status:
            call.reject(status)
        else:
            # Before the time, too, where the caller asks for that and may.
            call.answered.addCallbacks(self._talk, lambda _: None, (answer,))
            if ring:
                call.ring().addErrback(self._not_answered, call)
                call.agent.table.later(ring, lambda: self._take(call), call)
            else:
                self._take(call)

    def _take(self, call: Call) -> None:
        if call.state in (CallState.TRYING, CallState.RINGING):
            call.answer().addErrback(self._not_answered, call)

    def follow(self, old: Call, new: Call) -> None:
        """*new* was made because of a REFER in *old*: do with it what is done with calls of that line."""
        _log.info("call {id} goes on to {target}", id=old.id, target=new.remote.uri_text)
        answer, _ = self._lines.get(old.account, self.other)
        new.answered.addCallbacks(self._talk, self._not_answered, (answer,), errbackArgs=(new,))

    def _talk(self, call: Call, answer: Answer) -> None:
        if call.media is None or not hasattr(call.media, "play"):
            # Streams of other kinds alone: there is nothing to say.
            return
        if self._longest:
            call.agent.table.later(self._longest, call.hangup, call)
        Deferred.fromCoroutine(answer.talk(call)).addErrback(self._failed, call)

    @staticmethod
    def _not_answered(failure: Failure, call: Call) -> None:
        _log.info("call {id} was not answered: {reason}", id=call.id, reason=failure.getErrorMessage())
        call.refuse_unless_done(failure)

    @staticmethod
    def _failed(failure: Failure, call: Call) -> None:
        if failure.check(LocalProtocolError, RequestRefused) is not None and not call.established:
            # It ended while something was about to be done with it.
            return
        _log.failure("call {id} is ended", failure, id=call.id)
        call.hangup()

    # -- the log --------------------------------------------------------------------------------

    def call_event(self, call: Call, event: Any) -> None:
        """See ICallListener."""
        if isinstance(event, Answered):
            _log.info("call {id} answered", id=call.id)
        elif isinstance(event, MediaChanged):
            found = call.statistics()
            _log.info("call {id} media {codec}", id=call.id, codec=found.codec or "agreed", by=event.by)
        elif isinstance(event, DTMF):
            self._key(call, event)
        elif isinstance(event, HoldChanged):
            _log.info("call {id} {state}", id=call.id, state="on hold" if event.on else "off hold")
        elif isinstance(event, TransferRequested):
            _log.info("call {id} is to be transferred", id=call.id)
        elif isinstance(event, Replaced):
            _log.info("call {id} is replaced by {other}", id=call.id, other=event.by.id)
        elif isinstance(event, Ended):
            self._keys.pop(call, None)
            self.packets_refused += call.statistics().packets_refused
            _log.info(
                "call {id} ended: {words}", id=call.id, words=ending_words(call, event), **ending_fields(call, event)
            )

    def _key(self, call: Call, event: DTMF) -> None:
        """A peer presses keys as fast as it sends packets: it does not fill the log with them."""
        count = self._keys[call] = self._keys.get(call, 0) + 1
        if count <= _KEYS:
            _log.info("call {id} key {digit} by {how}", id=call.id, digit=event.digit, how=event.how)
        elif count == _KEYS + 1:
            _log.info("call {id} has pressed {count} keys, further ones are not logged", id=call.id, count=_KEYS)


def _who(call: Call) -> Mapping[str, str]:
    return {"caller": call.remote.uri_text, "line": call.local.uri_text}


def ending_words(call: Call, event: Ended) -> str:
    """Return what there is to say of a call at its end."""
    end, media = event.end, call.statistics()
    parts = [f"{end.cause} by {end.by}" + (f" {end.status}" if end.status else ""), f"{end.seconds:.1f} s"]
    if media.packets_received or media.packets_sent:
        parts.append(
            f"{media.codec}, {media.packets_sent} packets sent, {media.packets_received} received, "
            f"{media.packets_lost} lost, jitter {media.jitter * 1000:.0f} ms, MOS {media.mos:.1f}"
        )
    return ", ".join(parts)


def ending_fields(call: Call, event: Ended) -> dict[str, Any]:
    """Return the same for programs that read the log."""
    end, media = event.end, call.statistics()
    return {
        **_who(call), "cause": end.cause, "by": end.by, "status": end.status, "seconds": round(end.seconds, 3),
        "codec": media.codec, "packets_sent": media.packets_sent, "packets_received": media.packets_received,
        "packets_lost": media.packets_lost, "mos": round(media.mos, 2),
    }  # fmt: skip
