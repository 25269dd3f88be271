"""An answering machine: greeting, beep, a message in a file; it ends by a key, by silence, by its length."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from twisted_sip.agent.call_events import DTMF, Ended
from twisted_sip.calls.call_policy import caller_of
from twisted_sip.media.wav import WavSink
from twisted_sip.tap.answering import play_prompt
from twisted_sip.tap.mailboxes import Mailbox
from twisted_sip.tap.ua_sections import VoicemailSection
from twisted_sip.tap.voice_prompts import beep

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call
    from twisted_sip.transaction.timers import Timer

_log = Logger()


class AnsweringMachine:
    """Takes messages for one mailbox."""

    def __init__(self, mailbox: Mailbox, section: VoicemailSection) -> None:
        self.mailbox = mailbox
        self._section = section

    def refusal(self) -> int:
        """Refuse calls while the mailbox is full."""
        if self.mailbox.counts().new >= self._section.max_messages:
            _log.warn("{directory}: the mailbox is full", directory=str(self.mailbox.directory))
            return 480
        return 0

    async def talk(self, call: Call) -> None:
        """Greet, take a message, say good-bye, hang up."""
        await play_prompt(call, self._section.greeting)
        await self.take_message(call)
        await play_prompt(call, self._section.goodbye)
        call.hangup()

    async def take_message(self, call: Call) -> Path | None:
        """Take one message; return its file, None where nothing was left."""
        section = self._section
        if section.beep and call.established:
            await call.play(beep())
        if not call.established:
            return None
        caller = caller_of(call.remote.uri)
        try:
            path = self.mailbox.begin(caller)
            sink = WavSink(path, longest=section.longest)
        except OSError as error:
            _log.error("no message can be taken: {reason}", reason=str(error))
            return None
        call.record(sink)
        silent = await _Recording(call, section).done
        if call.established:
            call.stop_recording()
        try:
            sink.close()
        except OSError as error:
            _log.debug("{path}: {reason}", path=str(path), reason=str(error))
        if sink.fault is not None:
            # A part of a message that nobody can play.
            reason = sink.fault.strerror or str(sink.fault)
            _log.error("the message of {caller} could not be recorded: {reason}", caller=caller, reason=reason)
            self.mailbox.discard(path)
            return None
        # Of a silence that has ended a message nothing need be kept; whether there was more the length tells.
        if sink.seconds - silent < section.shortest:
            self.mailbox.discard(path)
            _log.info("{caller} has left no message", caller=caller)
            return None
        try:
            kept = self.mailbox.keep(path)
        except OSError as error:
            _log.error("{path} cannot be kept: {reason}", path=str(path), reason=str(error))
            return None
        _log.info(
            "message of {seconds:.1f} s from {caller} in {path}", seconds=sink.seconds, caller=caller, path=str(kept)
        )
        return kept


class _Recording:
    """Waits until a message ends.

    :ivar done: fires with the seconds of silence at the end.
    """

    def __init__(self, call: Call, section: VoicemailSection) -> None:
        self.done: Deferred[float] = Deferred()
        self._call = call
        self._section = section
        self._silence: Timer | None = None
        self._silent_since = 0.0
        timers = call.agent.element.timers
        self._timers = timers
        self._longest = timers.start(section.longest, lambda: self._end(0.0))
        self._forget = call.observe(self._happened)
        call.media.on_silence = self._heard
        self._begun = timers.now()

    def _happened(self, event: Any) -> None:
        if isinstance(event, Ended) or (isinstance(event, DTMF) and event.digit == self._section.end_key):
            self._end(0.0)

    def _heard(self, silent: bool) -> None:
        """The media tell that nobody has spoken for a while, or that somebody speaks again."""
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        if silent and self._section.silence:
            told_after = self._call.media.settings.silence
            left = max(0.0, self._section.silence - told_after)
            self._silent_since = self._timers.now() - told_after
            self._silence = self._timers.start(left, self._nobody)

    def _nobody(self) -> None:
        since = max(self._begun, self._silent_since)
        self._end(self._timers.now() - since)

    def _end(self, silent: float) -> None:
        if self.done.called:
            return
        self._forget()
        self._longest.cancel()
        if self._silence is not None:
            self._silence.cancel()
        self._call.media.on_silence = None
        self.done.callback(silent)
