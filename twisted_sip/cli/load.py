"""``twisted-sip load``: many calls at a steady rate, and how they went."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from rich.live import Live
from twisted.internet.defer import CancelledError
from twisted.internet.task import LoopingCall

from twisted_sip.cli.call_agent import call_agent, media_settings, parse_callee
from twisted_sip.cli.client import client_options, read_options, with_element
from twisted_sip.cli.load_calls import LoadCalls, LoadPlan
from twisted_sip.cli.number_range import NumberRange
from twisted_sip.cli.output import Failed, console, print_json, table_of
from twisted_sip.element.element import Element
from twisted_sip.errors import LocalProtocolError
from twisted_sip.media.wav import WavSource

#: Seconds between two looks at the table.
_REFRESH = 0.5


@click.command()
@click.argument("uri")
@click.option("--rate", type=NumberRange(0.01, 10_000.0), default=10.0, metavar="R", help="Calls a second [10].")
@click.option("--calls", type=click.IntRange(1, 10_000_000), default=100, metavar="N", help="Calls in all [100].")
@click.option("--duration", type=NumberRange(0.0, 86400.0), default=1.0, metavar="S", help="Seconds of a call [1].")
@click.option("--limit", type=click.IntRange(1, 100_000), default=2000, metavar="N", help="Calls at a time [2000].")
@click.option("--play", type=click.Path(path_type=Path), metavar="FILE", help="Play this WAV file in each call.")
@click.option("--codecs", metavar="NAMES", help="Codecs in order of preference [PCMU,PCMA].")
@client_options
def load(
    uri: str,
    rate: float,
    calls: int,
    duration: float,
    limit: int,
    play: Path | None,
    codecs: str | None,
    **given: Any,
) -> None:
    """Call URI again and again; {n} in it is the number of the call.

    Without --play there is no sound: calls offer an inactive stream. The exit status is 0 if every call was answered.
    """
    options = read_options(**given)
    if "{n}" not in uri:
        parse_callee(uri)
    parse_callee(uri.replace("{n}", "1"))
    if play is not None:
        try:
            WavSource(play).close()
        except (LocalProtocolError, OSError) as error:
            raise Failed(f"{play}: {getattr(error, 'strerror', None) or error}") from error
    media = media_settings(codecs, "off")
    plan = LoadPlan(uri=uri, rate=rate, calls=calls, duration=duration, limit=limit, play=play, timeout=options.timeout)
    found: list[LoadCalls] = []

    async def work(element: Element) -> bool:
        agent = call_agent(element, options, media=None if play is None else media, max_calls=limit)
        running = LoadCalls(agent, plan)
        found.append(running)
        shown = _Shown(element.reactor, running, quiet=options.as_json)
        try:
            await running.run()
        except CancelledError:
            await running.stop()
        finally:
            shown.close()
            await agent.stopService()
        return True

    with_element(work, insecure=options.insecure, show=options.show)
    result = found[0].result()
    if options.as_json:
        print_json(result)
    else:
        console().print(table_of(("", ""), rows(result)))
    if result["answered"] < calls:
        sys.exit(1)


class _Shown:
    """The table while calls go on; nothing on what is no terminal."""

    def __init__(self, reactor: Any, running: LoadCalls, *, quiet: bool) -> None:
        self._running = running
        self._live: Live | None = None
        self._loop = LoopingCall(self._refresh)
        self._loop.clock = reactor
        output = console()
        if not quiet and output.is_terminal:
            self._live = Live(console=output, auto_refresh=False, transient=True)
            self._live.start()
            self._loop.start(_REFRESH)

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.update(table_of(("", ""), rows(self._running.result())), refresh=True)

    def close(self) -> None:
        """Show nothing more."""
        if self._loop.running:
            self._loop.stop()
        if self._live is not None:
            self._live.stop()


def rows(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the rows of the table."""
    setup, rtp = result["setup_ms"], result["rtp"]
    made = [
        ("calls", f"{result['started']} of {result['calls']}, {result['active']} now"),
        ("rate", f"{result['rate']:.1f} a second"),
        ("answered", str(result["answered"])),
        ("failed", ", ".join(f"{count} x {status}" for status, count in result["failed"].items()) or "0"),
    ]
    if setup:
        made.append(("set-up ms", "  ".join(f"{name} {value:.1f}" for name, value in setup.items())))
    if rtp["sent"] or rtp["received"]:
        made += [
            ("RTP packets", f"{rtp['sent']} sent, {rtp['received']} received, {rtp['lost']} lost ({rtp['loss']:.2%})"),
            ("MOS", f"least {rtp['mos_least']:.2f}, mean {rtp['mos_mean']:.2f}"),
        ]
    return made
