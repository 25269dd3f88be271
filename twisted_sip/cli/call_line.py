"""One line that shows a call while it goes on: state, codec, packet loss, jitter, listening quality."""

from __future__ import annotations

from typing import Any

import click
from rich.live import Live
from rich.text import Text
from twisted.internet.task import LoopingCall

from twisted_sip.agent.call import Call
from twisted_sip.agent.call_events import DTMF, Answered, CallState, HoldChanged, Progress
from twisted_sip.cli.output import console, duration
from twisted_sip.cli.traced_message import plain
from twisted_sip.interfaces.media import MediaStatistics

#: Seconds between two looks at the numbers.
_REFRESH = 0.25

_COLOURS = {CallState.TRYING: "yellow", CallState.RINGING: "yellow", CallState.ESTABLISHED: "green"}


class CallLine:
    """The line; on what is no terminal a line for each thing that happens."""

    def __init__(self, reactor: Any, target: str, *, quiet: bool = False) -> None:
        """Show nothing yet.

        :param target: whom we call.
        :param quiet: show nothing at all.
        """
        self._reactor = reactor
        self._target = target
        self._quiet = quiet
        self._note = ""
        self._call: Call | None = None
        self._live: Live | None = None
        self._loop = LoopingCall(self._refresh)
        self._loop.clock = reactor

    def follow(self, call: Call) -> None:
        """Show *call* until :meth:`close`."""
        self._call = call
        call.observe(self._happened)
        if self._quiet:
            return
        output = console()
        if output.is_terminal:
            self._live = Live(self.text(), console=output, auto_refresh=False, transient=True)
            self._live.start()
            self._loop.start(_REFRESH)

    def say(self, note: str) -> None:
        """Show *note*."""
        self._note = note
        if self._live is not None:
            self._refresh()
        elif not self._quiet:
            click.echo(note)

    def close(self) -> None:
        """Show nothing more."""
        if self._loop.running:
            self._loop.stop()
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def _happened(self, event: Any) -> None:
        if isinstance(event, Progress):
            self.say(f"{event.status} {plain(event.reason)}".rstrip())
        elif isinstance(event, Answered):
            # The state says so on a terminal.
            self.say("" if self._live is not None else "answered")
        elif isinstance(event, DTMF):
            self.say(f"key {event.digit} ({event.how})")
        elif isinstance(event, HoldChanged):
            self.say("on hold" if event.on else "off hold")

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.update(self.text(), refresh=True)

    def text(self) -> Text:
        """Return the line as it is now."""
        # It stays one line: where there is no room the end of it is left out.
        found = Text(no_wrap=True, overflow="ellipsis", end="")
        call = self._call
        if call is None:
            return found.append(self._target)
        found.append(f"{call.state.value:<11}  ", style=_COLOURS.get(call.state, ""))
        found.append(self._target, style="bold")
        if call.state is CallState.ESTABLISHED:
            found.append(f"  {duration(call.seconds)}")
        if self._note:
            found.append(f"  {self._note}", style="cyan")
        if call.state is CallState.ESTABLISHED:
            found.append(f"  {media_words(call.statistics())}")
        return found


def media_words(found: MediaStatistics) -> str:
    """Return how the media do, on one line, what matters most first."""
    if not found.codec:
        return "no sound"
    if not found.packets_received:
        return f"{found.codec}  nothing heard  {found.packets_sent} out"
    trip = f"  rtt {found.round_trip * 1000:.0f} ms" if found.round_trip is not None else ""
    return (
        f"{found.codec}  loss {found.fraction_lost:.1%}  jitter {found.jitter * 1000:.1f} ms  MOS {found.mos:.1f}"
        f"{trip}  {found.packets_sent} out, {found.packets_received} in"
    )
