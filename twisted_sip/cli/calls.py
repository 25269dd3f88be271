"""``twisted-sip calls``: who called whom, now and before."""

from __future__ import annotations

import contextlib
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import attrs
import click
from click.core import ParameterSource

from twisted_sip.cli import state_dir as state
from twisted_sip.cli.aor import canonical_aor
from twisted_sip.cli.call_rows import (
    call_columns,
    call_row,
    print_calls_csv,
    print_totals_csv,
    record_object,
    totals_columns,
    totals_row,
)
from twisted_sip.cli.control_client import ControlClient, NoAnswer, NoServer
from twisted_sip.cli.output import Failed, json_option, print_json, print_table
from twisted_sip.errors import StoreError
from twisted_sip.interfaces.accounting import CallRecord, Result
from twisted_sip.storage.accounting_reading import CallFilter, CallReader, UserTotals
from twisted_sip.storage.accounting_rows import ACCOUNTING_FILE
from twisted_sip.storage.accounting_text import record_from

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

if TYPE_CHECKING:
    _Param = click.ParamType[float]
else:
    _Param = click.ParamType


class _Seconds(_Param):
    """A duration: ``90``, ``90s``, ``5m``, ``2h``, ``7d``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, (int, float)):
            return float(value)
        found = seconds_in(value)
        if found is None:
            self.fail(f"{value!r} is no duration, write one like 90, 5m, 2h or 7d", param, ctx)
        return found


class _Time(_Param):
    """A time: a date, a date and a time of day, or how long ago."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, (int, float)):
            return float(value)
        with contextlib.suppress(ValueError, OverflowError):
            # Without a zone it is local time. 20261121 is a day before it is a number of seconds.
            return datetime.fromisoformat(value).astimezone().timestamp()
        ago = seconds_in(value)
        if ago is not None:
            return time.time() - ago
        if value in ("today", "yesterday"):
            day = datetime.fromtimestamp(time.time()).astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
            return (day - timedelta(days=value == "yesterday")).timestamp()
        self.fail(
            f"{value!r} is no time, write one like 2026-11-21, '2026-11-21 09:30', yesterday or 2h (ago)", param, ctx
        )


def seconds_in(text: str) -> float | None:
    """Return the seconds that *text* stands for, None if it is no duration."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    if not number.isascii() or not number.replace(".", "", 1).isdigit():
        return None
    return float(number) * _UNITS[unit]


@click.command()
@click.option("--live", is_flag=True, help="Those of now alone.")
@click.option("--user", metavar="AOR", default="", help="From or to this user of ours.")
@click.option("--from", "caller", metavar="TEXT", default="", help="With this in the caller's URI.")
@click.option("--to", "callee", metavar="TEXT", default="", help="With this in the URI that was called.")
@click.option("--since", type=_Time(), help="Begun then or later: 2026-11-21, '2026-11-21 09:30', yesterday, 2h (ago).")
@click.option("--until", type=_Time(), help="Begun before that.")
@click.option(
    "--result", type=click.Choice([result for result in get_args(Result) if result]), default=None, help="Come out so."
)
@click.option("--min-duration", type=_Seconds(), default=0, help="Talked for so long at least: 90, 5m.")
@click.option("--call-id", metavar="CALL-ID", default="", help="With this Call-ID.")
@click.option(
    "--limit", type=click.IntRange(0, 10**9), default=50, show_default=True, help="At most so many, 0 for all."
)
@click.option("--totals", is_flag=True, help="What they come to, by user and direction.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV for spreadsheets.")
@json_option
@state.state_dir_options
@click.pass_context
def calls(
    context: click.Context,
    /,
    live: bool,
    user: str,
    totals: bool,
    limit: int,
    as_csv: bool,
    as_json: bool,
    result: str | None,
    min_duration: float,
    state_dir: Path | None,
    config: Path | None,
    **given: Any,
) -> None:
    """List calls, the latest first: those of now, and those whose records are kept. The server need not run.

    Where --limit is not given and there are more, a line on standard error says so.
    """
    wanted = CallFilter(user=canonical_aor(user) if user else "", result=result or "", seconds=min_duration, **given)
    if live and totals:
        raise click.UsageError("--totals sums calls that are over, leave --live out")
    settings = state.settings(state_dir, config)
    path = (settings.storage.directory or settings.server.state_dir) / ACCOUNTING_FILE
    try:
        if totals:
            with contextlib.closing(CallReader(path)) as reader:
                _print_totals(reader.totals(wanted), as_csv, as_json)
            return
        now = time.time()
        # One more than is shown, to know whether there are more.
        most = limit + 1 if limit else 0
        under_way: list[CallRecord] = []
        if not result:
            of_now = _under_way(settings.server.state_dir, path, wanted, most, live)
            under_way = [one for one in of_now if wanted.fits(one, now)]
        under_way.sort(key=lambda record: -record.set_up)
        past: list[CallRecord] = []
        room = max(0, most - len(under_way))
        if not live and (room or not limit) and (path.exists() or not under_way):
            with contextlib.closing(CallReader(path)) as reader:
                # Those that were over a moment later are among both.
                known = {record.id for record in under_way}
                past = [record for record in reader.calls(wanted, room) if record.id not in known]
    except StoreError as error:
        raise Failed(str(error)) from error
    found = [*under_way, *past]
    more = bool(limit) and len(found) > limit
    found = found[:limit] if limit else found
    if as_json:
        print_json([record_object(record) for record in found])
    elif as_csv:
        print_calls_csv(found)
    else:
        print_table(call_columns(now), [call_row(record, now) for record in found], "no call")
    if more and context.get_parameter_source("limit") is ParameterSource.DEFAULT:
        click.echo(f"twisted-sip: these are the latest {limit}, --limit 0 lists all", err=True)


def _under_way(state_dir: Path, path: Path, wanted: CallFilter, limit: int, live: bool) -> list[CallRecord]:
    """Return the calls of now; where no server runs, those that it has left behind, and where it does not answer, those
    that it has kept a record of.

    :param live: nothing else is asked for.
    :raises NoServer: none runs, and none has left anything.
    """
    try:
        with ControlClient(state_dir) as server:
            found = server.ask("calls", wanted=attrs.asdict(wanted), limit=limit)
            try:
                return [record_from(one) for one in found]
            except (TypeError, ValueError, AttributeError) as error:
                raise Failed(
                    "the server that runs keeps no call records: it is a user agent (twistd sip-ua), or of another "
                    "version"
                ) from error
    except (NoServer, NoAnswer) as error:
        if not path.exists():
            if live:
                raise
            return []
        if isinstance(error, NoAnswer):
            click.echo(f"twisted-sip: {error.message}; of the calls of now these are recorded", err=True)
        with contextlib.closing(CallReader(path)) as reader:
            return reader.under_way()


def _print_totals(found: list[UserTotals], as_csv: bool, as_json: bool) -> None:
    objects = [attrs.asdict(one) for one in found]
    if as_json:
        print_json(objects)
    elif as_csv:
        print_totals_csv(objects, [field.name for field in attrs.fields(UserTotals)])
    else:
        print_table(totals_columns(), [totals_row(one) for one in found], "no call of a user")
