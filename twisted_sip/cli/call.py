"""``twisted-sip call``: one call, with sound from and to WAV files (RFC 3261 section 13)."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import attrs
import click
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from twisted_sip.agent.call import Call
from twisted_sip.agent.call_events import DTMF, Progress
from twisted_sip.agent.dtmf import check_digits
from twisted_sip.cli.call_agent import call_agent, media_settings, parse_callee, stun_servers, with_stun_servers
from twisted_sip.cli.call_line import CallLine
from twisted_sip.cli.client import ClientOptions, client_options, read_options, with_element
from twisted_sip.cli.number_range import NumberRange
from twisted_sip.cli.output import Failed, print_json
from twisted_sip.cli.traced_message import plain
from twisted_sip.element.element import Element
from twisted_sip.errors import LocalProtocolError, RequestRefused
from twisted_sip.media.settings import MediaSettings
from twisted_sip.media.wav import WavSink, WavSource
from twisted_sip.message.uri import SIPURI

#: Seconds after the last sound of a file until the call is ended: it has to get there, and an echo back.
_TAIL = 1.0
#: Seconds after the answer until keys are pressed.
_BEFORE_KEYS = 0.5
#: What it means that there is a status and no response.
_UNANSWERED = {408: "No Answer", 503: "Cannot Be Reached"}
#: Seconds for the peer to take our farewell.
_FAREWELL = 3.0


@attrs.define(slots=True, kw_only=True)
class _Outcome:
    """What has become of the call."""

    status: int = 0
    reason: str = ""
    details: dict[str, Any] = attrs.Factory(dict)


@attrs.frozen(slots=True, kw_only=True)
class _Plan:
    """What to do in the call."""

    target: SIPURI
    play: WavSource | None
    record: WavSink | None
    dtmf: str
    dtmf_how: str
    duration: float | None
    media: MediaSettings
    stun: tuple[tuple[str, int], ...]


def _ringing_options(command: Any) -> Any:
    return client_options(command, timeout=60.0)


@click.command()
@click.argument("uri")
@click.option("--play", type=click.Path(path_type=Path), metavar="FILE", help="Play this WAV file, then hang up.")
@click.option(
    "--record", type=click.Path(path_type=Path), metavar="FILE", help="Record what is heard to this WAV file."
)
@click.option("--dtmf", metavar="DIGITS", help="Press these keys after the answer; a comma waits for a second.")
@click.option(
    "--dtmf-how", type=click.Choice(["auto", "rtp", "info", "inband"]), default="auto", help="How keys are sent [auto]."
)
@click.option("--duration", type=NumberRange(0.0, 86400.0), metavar="S", help="Hang up after so many seconds.")
@click.option("--codecs", metavar="NAMES", help="Codecs in order of preference [PCMU,PCMA].")
@click.option(
    "--srtp", type=click.Choice(["off", "offered", "required"]), default="off", help="Encrypt the sound [off]."
)
@click.option(
    "--ice",
    type=click.Choice(["off", "lite", "full"]),
    default=None,
    help="Look for a way through NATs (RFC 8445) [off; full with --stun].",
)
@click.option(
    "--stun", multiple=True, metavar="HOST", help="A STUN server for that, HOST or HOST:PORT; may be repeated."
)
@_ringing_options
def call(
    uri: str,
    play: Path | None,
    record: Path | None,
    dtmf: str | None,
    dtmf_how: str,
    duration: float | None,
    codecs: str | None,
    srtp: str,
    ice: str | None,
    stun: tuple[str, ...],
    **given: Any,
) -> None:
    """Call URI (sip:bob@example.com).

    Without --play and --duration the call lasts until the other side hangs up, or Control-C. The exit status is 0 if
    it was answered, 1 if not. --timeout is for how long it may ring.
    """
    options = read_options(**given)
    target = parse_callee(uri)
    servers = stun_servers(stun, ice)
    media = media_settings(codecs, srtp, ice or ("full" if servers else "off"))
    try:
        keys = check_digits(dtmf) if dtmf else ""
        source = WavSource(play) if play is not None else None
        if record is not None:
            if play is not None and record.exists() and record.samefile(play):
                raise click.UsageError("--record would write over the file that --play plays")
            # The wave module complains aloud of a file that cannot be opened.
            record.open("wb").close()
        sink = WavSink(record) if record is not None else None
    except LocalProtocolError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise Failed(f"{error.filename}: {(error.strerror or str(error)).lower()}") from error
    plan = _Plan(
        target=target, play=source, record=sink, dtmf=keys, dtmf_how=dtmf_how, duration=duration, media=media,
        stun=servers,
    )  # fmt: skip
    outcome = _Outcome()

    async def work(element: Element) -> _Outcome:
        await _call(element, options, plan, outcome)
        return outcome

    try:
        with_element(work, insecure=options.insecure, show=options.show)
    finally:
        if sink is not None:
            with contextlib.suppress(OSError):
                sink.close()
    if sink is not None and sink.fault is not None:
        reason = (sink.fault.strerror or str(sink.fault)).lower()
        click.echo(f"twisted-sip: {record}: not all was recorded ({reason})", err=True)
    _report(options, outcome)


async def _call(element: Element, options: ClientOptions, plan: _Plan, outcome: _Outcome) -> None:
    agent = call_agent(element, options, media=await with_stun_servers(element, plan.media, plan.stun))
    line = CallLine(element.reactor, plain(str(plan.target)), quiet=options.as_json)
    began = element.reactor.seconds()
    try:
        made = agent.call(plan.target, timeout=options.timeout)
        line.follow(made)
        try:
            await made.answered
            outcome.status, outcome.reason = 200, "OK"
            outcome.details["answered_after"] = round(element.reactor.seconds() - began, 3)
            await _talk(element, made, plan)
        except RequestRefused as error:
            response = getattr(error, "response", None)
            outcome.status = error.status
            outcome.reason = response.reason if response is not None else _UNANSWERED.get(error.status, error.reason)
        except CancelledError:
            # Control-C: hang up in good order.
            line.say("hanging up")
        if not made.over:
            made.hangup()
        ended = made.ended
        await ended.addTimeout(_FAREWELL, element.reactor, lambda value, timeout: None)
        _note(made, outcome)
    finally:
        line.close()
        await agent.stopService()


async def _talk(element: Element, made: Call, plan: _Plan) -> None:
    """Do what was asked for in the call; returns when it is time to hang up, or it is over."""
    over: Deferred[Any] = made.ended
    limit = element.reactor.callLater(plan.duration, made.hangup) if plan.duration is not None else None
    try:
        if plan.record is not None:
            made.record(plan.record)
        if plan.dtmf:
            await deferLater(element.reactor, _BEFORE_KEYS)
            if made.established:
                await made.send_dtmf(plan.dtmf, plan.dtmf_how)
        if plan.play is not None and made.established:
            await made.play(plan.play)
        if plan.duration is None and (plan.play is not None or plan.dtmf) and made.established:
            await deferLater(element.reactor, _TAIL)
            return
        await over
    except LocalProtocolError:
        if made.established:
            raise
    finally:
        if limit is not None and limit.active():
            limit.cancel()


def _note(made: Call, outcome: _Outcome) -> None:
    """Keep what is worth telling of a call that is over."""
    end = made.ending
    found = made.statistics()
    if end is not None:
        outcome.details.update(seconds=round(end.seconds, 3), ended_by=end.by, cause=end.cause)
        if not outcome.status:
            outcome.status, outcome.reason = end.status or 487, end.reason or end.cause
    ringing = [event.status for event in made.log.kept() if isinstance(event, Progress)]
    outcome.details.update(
        provisional=ringing,
        keys="".join(event.digit for event in made.log.kept() if isinstance(event, DTMF)),
        media=attrs.asdict(found),
    )


def _report(options: ClientOptions, outcome: _Outcome) -> None:
    status = f"{outcome.status} {plain(outcome.reason)}"
    if options.as_json:
        print_json({"status": outcome.status, "reason": outcome.reason, **outcome.details})
    else:
        click.echo("\n".join([status, *_lines(outcome.details)]))
    if not 200 <= outcome.status < 300:
        if outcome.status in (401, 407):
            wanted = "a password is wanted: give --user and --password-stdin"
            click.echo(f"twisted-sip: {wanted if options.digest is None else 'the password is wrong'}", err=True)
        sys.exit(1)


def _lines(details: dict[str, Any]) -> list[str]:
    media = details.get("media", {})
    lines = []
    if details.get("seconds"):
        lines.append(f"  talked      {details['seconds']:.1f} s, ended by {details['ended_by']} ({details['cause']})")
    if media.get("packets_received") or media.get("packets_sent"):
        trip = media["round_trip"]
        lines += [
            f"  codec       {media['codec']}",
            f"  packets     {media['packets_sent']} sent, {media['packets_received']} received, "
            f"{media['packets_lost']} lost",
            f"  jitter      {media['jitter'] * 1000:.1f} ms" + (f", round trip {trip * 1000:.1f} ms" if trip else ""),
            f"  MOS         {media['mos']:.2f}",
        ]
    if details.get("keys"):
        lines.append(f"  keys heard  {details['keys']}")
    return lines
