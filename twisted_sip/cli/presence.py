"""``twisted-sip presence``: who is where, as a table once or live."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from twisted_sip.cli import state_dir as state
from twisted_sip.cli.aor import canonical_aor
from twisted_sip.cli.control_client import ControlClient
from twisted_sip.cli.output import (
    Failed,
    console,
    duration,
    json_line,
    json_option,
    print_json,
    print_table,
    table_of,
)
from twisted_sip.cli.traced_message import plain

_COLUMNS = ("user", "state", "doing", "note", "reached at", "since", "expires in")

#: Seconds between two looks at the clock while nothing happens.
_TICK = 1.0


@click.command()
@click.argument("aor", required=False)
@click.option("--watch", is_flag=True, help="Go on and show every change, until interrupted.")
@json_option
@state.state_dir_options
def presence(aor: str | None, watch: bool, as_json: bool, state_dir: Path | None, config: Path | None) -> None:
    """Show who is where: everybody, or AOR (alice@example.com).

    With --watch the table is live. Where the output is no terminal each change is a line of its own, with --json an
    object on a line.
    """
    wanted = canonical_aor(aor) if aor else ""
    directory = state.find(state_dir, config)
    with ControlClient(directory) as server:
        if watch:
            _watch(directory, server, wanted, as_json)
            return
        found: Any = server.ask("presence", aor=wanted) if wanted else _everybody(server)
    if as_json:
        print_json(found)
        return
    rows = [_row(one, one["expires_in"]) for one in ([found] if wanted else found)]
    print_table(_COLUMNS, rows, "nobody is there")


def _everybody(server: ControlClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.ask("presence-list")
    return sorted(found, key=lambda one: str(one["aor"]))


def _row(one: Mapping[str, Any], expires_in: float | None) -> list[object]:
    """Return what the table says of *one*.

    :param expires_in: seconds that what is published has left, None where nothing is.
    """
    there = one["basic"] == "open"
    return [
        one["aor"].removeprefix("sip:"),
        Text("online", "green") if there else Text("offline", "dim"),
        ", ".join(one["activities"]),
        one["note"],
        Text("\n".join(plain(place) for place in _places(one))),
        "" if one["since"] is None else _clock(one["since"]),
        "" if expires_in is None else duration(max(0, expires_in)),
    ]


def _places(one: Mapping[str, Any]) -> Iterable[str]:
    """Return by what services *one* can be reached, and what devices are known, each once."""
    services = [
        service["contact"].removeprefix("sip:") or service["id"]
        for service in one["services"]
        if service["basic"] == "open"
    ]
    devices = [device["note"] or device["device_id"] or device["id"] for device in one["devices"]]
    return dict.fromkeys([*services, *devices])


def _clock(seconds: float) -> str:
    """Return a moment as people want to see it: the time alone if it is of today."""
    moment = datetime.fromtimestamp(seconds)
    today = datetime.now().date()
    return moment.strftime("%H:%M:%S" if moment.date() == today else "%Y-%m-%d %H:%M")


def _watch(directory: Path, server: ControlClient, aor: str, as_json: bool) -> None:
    """Show *aor*, or everybody for an empty one, until interrupted."""
    people = _People(directory, aor)
    out = console()
    # Followed before it is looked at: nothing that happens between is missed.
    reports = server.follow("presence-follow", tick=_TICK, aor=aor)
    try:
        first = people.look()
        if as_json or not out.is_terminal:
            _print_changes(people, first, reports, as_json)
        else:
            _show_live(people, reports, out)
    except KeyboardInterrupt:
        return
    raise Failed("the server went away")


class _People:
    """Who is followed, and when their states end, on the clock of this machine."""

    def __init__(self, directory: Path, aor: str) -> None:
        self._directory = directory
        self._aor = aor
        self._known: dict[str, tuple[dict[str, Any], float | None]] = {}

    def look(self) -> list[dict[str, Any]]:
        """Ask the server anew; return the states."""
        with ControlClient(self._directory) as server:
            found = [server.ask("presence", aor=self._aor)] if self._aor else _everybody(server)
        for one in found:
            self.take(one)
        return list(found)

    def take(self, one: dict[str, Any]) -> None:
        """Remember the state *one*."""
        expires_in = one["expires_in"]
        self._known[one["aor"]] = (one, None if expires_in is None else time.monotonic() + expires_in)

    def screen(self) -> Group:
        """Return the table and a line above it."""
        now = time.monotonic()
        known = sorted(self._known.values(), key=lambda item: item[0]["aor"])
        rows = [_row(one, None if end is None else end - now) for one, end in known]
        online = sum(one["basic"] == "open" for one, _ in known)
        line = f"{online} online, {len(known) - online} offline   {datetime.now():%H:%M:%S}   Control-C ends"
        return Group(Text(line, "dim"), Text(""), table_of(_COLUMNS, rows))


def _show_live(people: _People, reports: Iterable[Mapping[str, Any]], out: Console) -> None:
    with Live(people.screen(), console=out, auto_refresh=False) as live:
        for report in reports:
            if "skipped" in report:
                people.look()
            elif report:
                people.take(report["event"])
            live.update(people.screen(), refresh=True)


def _print_changes(
    people: _People, first: Iterable[dict[str, Any]], reports: Iterable[Mapping[str, Any]], as_json: bool
) -> None:
    for one in first:
        _print_change(one, as_json)
    for report in reports:
        for one in people.look() if "skipped" in report else [report["event"]] if report else []:
            _print_change(one, as_json)


def _print_change(one: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json_line(one))
        return
    words = [
        f"{datetime.now():%H:%M:%S}",
        one["aor"].removeprefix("sip:"),
        "online" if one["basic"] == "open" else "offline",
        ", ".join(one["activities"]),
        one["note"],
    ]
    click.echo("  ".join(plain(word) for word in words if word))
