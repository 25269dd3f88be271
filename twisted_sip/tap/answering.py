"""What is done with a call that has been answered: echo, a file that is played."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from twisted.logger import Logger

from twisted_sip.errors import LocalProtocolError
from twisted_sip.media.wav import WavSource
from twisted_sip.tap.voice_prompts import Prompt, prompt_source

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call

_log = Logger()


class Answer(Protocol):
    """What is done with calls. One for all calls of a line."""

    def refusal(self) -> int:
        """Return the status to refuse a call with before it rings, 0 to take it."""
        ...

    async def talk(self, call: Call) -> None:
        """Do it with *call*, which was answered; who returns leaves the call as it is."""
        ...


class Echo:
    """Sends back what the caller says."""

    def refusal(self) -> int:
        return 0

    async def talk(self, call: Call) -> None:
        call.echo()


class Player:
    """Plays a WAV file, then hangs up."""

    def __init__(self, path: Path, *, repeat: bool = False) -> None:
        """Make one.

        :param repeat: play it again and again until the caller hangs up.
        """
        self._path = path
        self._repeat = repeat

    def refusal(self) -> int:
        """Refuse calls while the file cannot be played."""
        source = self._open()
        if source is None:
            return 480
        source.close()
        return 0

    async def talk(self, call: Call) -> None:
        source = self._open()
        if source is None or await call.play(source):
            call.hangup()

    def _open(self) -> WavSource | None:
        try:
            return WavSource(self._path, repeat=self._repeat)
        except (OSError, LocalProtocolError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            _log.warn("{path} cannot be played: {reason}", path=str(self._path), reason=reason)
            return None


class Refuser:
    """Refuses every call."""

    def __init__(self, status: int) -> None:
        self._status = status

    def refusal(self) -> int:
        return self._status

    async def talk(self, call: Call) -> None:
        """A call that we have made: because of a transfer."""
        call.hangup()


async def play_prompt(call: Call, prompt: Prompt) -> bool:
    """Play *prompt*, if there is one; tell whether it was heard to its end.

    A file that is gone since it was checked is logged, and the call goes on.
    """
    if not prompt or not call.established:
        return True
    try:
        source: Any = prompt_source(prompt)
    except (OSError, LocalProtocolError) as error:
        _log.error("{prompt} cannot be played: {reason}", prompt=prompt, reason=str(error))
        return True
    heard: bool = await call.play(source)
    return heard
