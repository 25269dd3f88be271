"""``twisted-sip trace``: a call as a ladder diagram, the list of calls, messages as they come."""

from __future__ import annotations

from pathlib import Path

import click
from rich.text import Text

from twisted_sip.cli import state_dir as state
from twisted_sip.cli.control_client import ControlClient
from twisted_sip.cli.ladder import ASCII, LINES, Ladder
from twisted_sip.cli.output import Failed, console, duration, json_line, json_option, print_json, print_table
from twisted_sip.cli.traced_message import Traced, plain


@click.command()
@click.argument("call_id", metavar="CALL-ID", required=False)
@click.option("--last", is_flag=True, help="The call that began last.")
@click.option("--follow", is_flag=True, help="Print messages as they come, until interrupted.")
@click.option("--list", "listing", is_flag=True, help="List the calls that the server remembers.")
@click.option("--method", default="", metavar="METHOD", help="With --last or --list: only those begun by METHOD.")
@click.option("--full", is_flag=True, help="Print the messages themselves too, credentials masked.")
@click.option("--count", type=click.IntRange(1, 100_000), default=20, help="With --list: how many calls.")
@json_option
@state.state_dir_options
def trace(
    call_id: str | None,
    last: bool,
    follow: bool,
    listing: bool,
    method: str,
    full: bool,
    count: int,
    as_json: bool,
    state_dir: Path | None,
    config: Path | None,
) -> None:
    """Show the messages of a call as a ladder diagram.

    CALL-ID is the Call-ID, or its beginning if only one call begins so. Messages are kept in the memory of the running
    server.
    """
    if not (call_id or last or follow or listing):
        raise click.UsageError("name a CALL-ID, or say --last, --list or --follow")
    if last and (call_id or listing or follow):
        raise click.UsageError("--last goes with no CALL-ID, --list or --follow")
    with ControlClient(state.find(state_dir, config)) as server:
        if listing:
            _list(server, method, count, as_json)
        elif follow:
            _follow(server, call_id or "", full, as_json)
        else:
            _show(server, call_id or "", last, method, full, as_json)


def _show(server: ControlClient, call_id: str, last: bool, method: str, full: bool, as_json: bool) -> None:
    if last:
        newest = server.ask("trace-list", method=method, count=1)
        if not newest:
            raise Failed(f"no call begun by {method.upper()} is in the trace" if method else "no call is in the trace")
        call_id = newest[0]["call_id"]
    found = server.ask("trace", call_id=call_id)
    if as_json:
        print_json(found)
        return
    messages = [Traced.of(message) for message in found["messages"]]
    draw(found["call_id"], messages)
    if full:
        for message in messages:
            print_message(message)


def draw(call_id: str, messages: list[Traced]) -> None:
    """Print *messages* as a ladder, or as a list where the terminal is too narrow."""
    out = console()
    utf = (out.encoding or "").lower().startswith("utf")
    ladder = Ladder(messages, out.width, LINES if utf else ASCII)
    out.print(Text(f"Call-ID {plain(call_id)}", "dim"))
    if ladder.readable:
        for line in ladder.draw():
            out.print(line, no_wrap=True, overflow="crop")
    else:
        for message in messages:
            out.print(Text(message.line(), message.colour))


def print_message(message: Traced) -> None:
    """Print the whole *message* below its line."""
    out = console()
    out.print()
    out.print(Text(message.line(), message.colour))
    for line in message.text.split("\n"):
        out.print(Text("    " + plain(line.removesuffix("\r"))), soft_wrap=True)


def _follow(server: ControlClient, call_id: str, full: bool, as_json: bool) -> None:
    out = console()
    try:
        for report in server.follow("trace-follow", call_id=call_id):
            if as_json:
                click.echo(json_line(report))
                continue
            if "skipped" in report:
                out.print(Text(f"... {report['skipped']} messages left out, this terminal is too slow", "red"))
                continue
            message = Traced.of(report["event"]["message"])
            line = Text(message.line(), message.colour)
            line.append(f"  {plain(report['event']['call_id'])}", "dim")
            out.print(line, soft_wrap=True)
            if full:
                print_message(message)
    except KeyboardInterrupt:
        return
    raise Failed("the server went away")


def _list(server: ControlClient, method: str, count: int, as_json: bool) -> None:
    calls = server.ask("trace-list", method=method, count=count)
    if as_json:
        print_json(calls)
        return
    rows = [
        (
            Traced.of({"time": call["started"], "sent": False, "transport": "", "local": "", "remote": "", "text": ""})
            .line()
            .partition(" ")[0],
            duration(call["ended"] - call["started"]),
            call["messages"] + call["left_out"],
            call["start_line"].removesuffix(" SIP/2.0"),
            call["call_id"],
        )
        for call in calls
    ]
    print_table(("began", "lasted", "messages", "first message", "Call-ID"), rows, "no call is in the trace")
