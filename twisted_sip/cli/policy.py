"""``twisted-sip policy``: what becomes of the calls of a user: forwarding, blocking, hours, do-not-disturb."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import click

from twisted_sip.calls.call_policy import Action, Outcome, caller_of, decide
from twisted_sip.cli import state_dir as state
from twisted_sip.cli.aor import canonical_aor
from twisted_sip.cli.client import parse_target
from twisted_sip.cli.output import Failed, json_option, print_json, print_table
from twisted_sip.cli.policy_store import check_user, open_policies
from twisted_sip.errors import LocalProtocolError
from twisted_sip.interfaces.call_policy import ANONYMOUS, CallPolicy, Hours, check_caller, check_target

#: Keys that a command line sets as they are, and what they mean.
_FORWARDING = {
    "always": "forward_always",
    "busy": "forward_busy",
    "no-answer": "forward_no_answer",
    "unavailable": "forward_unavailable",
    "closed": "forward_closed",
}
_OFF = ("", "off", "none")
_SWITCH = click.Choice(["on", "off"])


@click.group()
def policy() -> None:
    """Say what becomes of the calls of a user."""


@policy.command()
@click.argument("aor")
@json_option
@state.state_dir_options
def show(aor: str, as_json: bool, state_dir: Path | None, config: Path | None) -> None:
    """Show the call policy of AOR (alice@example.com)."""
    wanted = canonical_aor(aor)
    check_user(state_dir, config, wanted)
    with open_policies(state_dir, config) as policies:
        found = policies.lookup(wanted)
    _print(found or CallPolicy(), as_json)


@policy.command(name="set")
@click.argument("aor")
@click.option("--forward-always", metavar="URI", help="Where every call goes; off for nowhere.")
@click.option("--forward-busy", metavar="URI", help="Where calls go while AOR is busy.")
@click.option("--forward-no-answer", metavar="URI", help="Where calls go when nobody has answered.")
@click.option("--after", type=click.IntRange(1, 180), metavar="S", help="Seconds of ringing until then [20].")
@click.option("--forward-unavailable", metavar="URI", help="Where calls go when no device of AOR is there.")
@click.option("--forward-closed", metavar="URI", help="Where calls go outside of the hours.")
@click.option("--do-not-disturb", type=_SWITCH, help="Decline all calls.")
@click.option(
    "--block", multiple=True, metavar="CALLER", help="Decline alice@example.com, @example.com, +49* or anonymous."
)
@click.option("--unblock", multiple=True, metavar="CALLER", help="Block CALLER no longer; all for nobody.")
@click.option("--allow", multiple=True, metavar="CALLER", help="Let CALLER through whatever else is said.")
@click.option("--disallow", multiple=True, metavar="CALLER", help="Allow CALLER no longer; all for nobody.")
@click.option("--allowed-only", type=_SWITCH, help="Decline everybody who is not allowed by name.")
@click.option("--hours", multiple=True, metavar="HOURS", help='Take calls then alone: "mon-fri 09:00-17:00"; always.')
@click.option("--time-zone", metavar="ZONE", help="The time zone of the hours, as Europe/Berlin.")
@state.state_dir_options
def set_(aor: str, state_dir: Path | None, config: Path | None, **given: Any) -> None:
    """Change the call policy of AOR; what is not named stays."""
    wanted = canonical_aor(aor)
    check_user(state_dir, config, wanted)
    with open_policies(state_dir, config, make=True) as policies:
        before = policies.lookup(wanted) or CallPolicy()
        try:
            after = changed(before, wanted, given)
        except LocalProtocolError as error:
            raise click.UsageError(str(error)) from error
        if after == before and all(value in (None, ()) for value in given.values()):
            raise click.UsageError("nothing to change: give an option")
        policies.set(wanted, after)
    _print(after, False)


@policy.command()
@click.argument("aor")
@state.state_dir_options
def clear(aor: str, state_dir: Path | None, config: Path | None) -> None:
    """Forget the call policy of AOR."""
    with open_policies(state_dir, config) as policies:
        known = policies.remove(canonical_aor(aor))
    if not known:
        raise Failed(f"{aor} has no call policy")
    click.echo(f"call policy of {aor} removed")


@policy.command()
@click.argument("aor")
@click.argument("caller")
@click.option("--at", metavar="TIME", help="When, as 2026-07-01T12:00 in UTC [now].")
@click.option(
    "--outcome",
    type=click.Choice([one.value for one in Outcome]),
    default="arrived",
    help="What has become of the call.",
)
@json_option
@state.state_dir_options
def test(
    aor: str, caller: str, at: str | None, outcome: str, as_json: bool, state_dir: Path | None, config: Path | None
) -> None:
    """Tell what becomes of a call of CALLER (bob@example.net, anonymous) to AOR."""
    who = ANONYMOUS if caller.lower() == ANONYMOUS else caller_of(parse_target(caller))
    try:
        now = datetime.now(UTC) if at is None else datetime.fromisoformat(at)
    except ValueError as error:
        raise click.UsageError(f'"{at}" is no time, write it like 2026-07-01T12:00') from error
    wanted = canonical_aor(aor)
    check_user(state_dir, config, wanted)
    with open_policies(state_dir, config) as policies:
        found = policies.lookup(wanted)
    made = decide(found, who, now if now.tzinfo is not None else now.replace(tzinfo=UTC), Outcome(outcome))
    if as_json:
        print_json({**attrs.asdict(made), "action": made.action.value})
        return
    words = {
        Action.PROCEED: "goes on",
        Action.FORWARD: f"is forwarded to {made.target}",
        Action.DECLINE: f"is declined with {made.status}{f' {made.reason}' if made.reason else ''}",
    }
    click.echo(f"the call {words[made.action]}" + (f" ({made.rule})" if made.rule else ""))


def changed(before: CallPolicy, aor: str, given: dict[str, Any]) -> CallPolicy:
    """Return *before* with what the options say; see the command ``set``.

    :raises LocalProtocolError: a value that cannot be.
    """
    changes: dict[str, Any] = {}
    for option, key in _FORWARDING.items():
        value = given[f"forward_{option.replace('-', '_')}"]
        if value is not None:
            target = "" if value.lower() in _OFF else check_target(value)
            if target and target.partition(";")[0] == aor:
                raise LocalProtocolError(f"--forward-{option}: {aor} is where the calls come from")
            changes[key] = target
    for option, key in (("do_not_disturb", "do_not_disturb"), ("allowed_only", "allowed_only")):
        if given[option] is not None:
            changes[key] = given[option] == "on"
    if given["after"] is not None:
        changes["no_answer_after"] = given["after"]
    if given["time_zone"] is not None:
        changes["time_zone"] = given["time_zone"]
    if given["hours"]:
        changes["hours"] = tuple(Hours.parse(one) for one in given["hours"] if one.lower() != "always")
    changes["blocked"] = _listed(before.blocked, given["block"], given["unblock"])
    changes["allowed"] = _listed(before.allowed, given["allow"], given["disallow"])
    return attrs.evolve(before, **changes)


def _listed(known: Iterable[str], more: Iterable[str], less: Iterable[str]) -> tuple[str, ...]:
    gone = [one if one.lower() == "all" else check_caller(one) for one in less]
    kept = () if "all" in [one.lower() for one in gone] else [one for one in known if one not in gone]
    return tuple(dict.fromkeys([*kept, *(check_caller(one) for one in more)]))


def _print(found: CallPolicy, as_json: bool) -> None:
    shown = found.to_mapping()
    if as_json:
        print_json(shown)
        return
    rows = [(key.replace("_", " "), _words(value)) for key, value in shown.items()]
    print_table(("calls", ""), rows, "every call is let through")


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return "yes" if value is True else str(value)
