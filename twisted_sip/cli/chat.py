"""``twisted-sip chat``: a small chat by instant messages, on a terminal or in a pipe (RFC 3428)."""

from __future__ import annotations

import contextlib
import signal
import sys

import click
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from twisted_sip.auth.client import ANY_REALM, DigestClient
from twisted_sip.auth.credentials import user_of
from twisted_sip.cli.aor import parse_aor
from twisted_sip.cli.chat_input import Input, first_line
from twisted_sip.cli.chat_lines import LineReader, LineView
from twisted_sip.cli.chat_screen import Screen
from twisted_sip.cli.chat_session import ChatSession
from twisted_sip.cli.client import ClientOptions, parse_target, with_element
from twisted_sip.cli.number_range import NumberRange
from twisted_sip.cli.output import Failed
from twisted_sip.element.element import Element
from twisted_sip.message.uri import SIPURI


@click.command()
@click.argument("aor")
@click.argument("peer")
@click.option("--password-stdin", is_flag=True, help="Read the password of AOR from standard input, its first line.")
@click.option("--proxy", metavar="URI", help="Send to this server, whatever the addresses are.")
@click.option("--timeout", type=NumberRange(0.1, 3600), default=20.0, help="Seconds to wait for an answer [20].")
@click.option("--wait", type=NumberRange(0, 86400), default=0.0, help="Stay for so many seconds after the end.")
@click.option("--plain", is_flag=True, help="Send bare text, and neither marks nor that one types.")
@click.option("--insecure", is_flag=True, help="Over TLS, accept any certificate.")
@click.option("--show", is_flag=True, help="Print the messages, credentials masked, on standard error.")
@click.option("--json", "as_json", is_flag=True, help="Print an object on a line for all that happens.")
def chat(
    aor: str,
    peer: str,
    password_stdin: bool,
    proxy: str | None,
    timeout: float,
    wait: float,
    plain: bool,
    insecure: bool,
    show: bool,
    as_json: bool,
) -> None:
    """Chat as AOR (alice@example.com) with PEER (bob@example.com).

    On a terminal it asks for the password if the server does, and shows who is typing and which messages were
    delivered and displayed. In a pipe each line is a message; at the end of the input, or /quit, it waits for the
    answers that are due and for --wait, and leaves; the exit status is 1 if a message was not taken.
    """
    identity, other = parse_aor(aor), parse_aor(peer)
    interactive = sys.stdin.isatty() and sys.stdout.isatty() and not as_json
    if password_stdin and sys.stdin.isatty():
        raise click.UsageError("standard input is a terminal: leave --password-stdin out, the password is asked for")
    password = first_line(sys.stdin.fileno()) if password_stdin else ""
    if password_stdin and not password:
        raise Failed("the password is empty")
    options = ClientOptions(
        identity=identity,
        digest=_digest(identity, password) if password else None,
        proxy=None if proxy is None else parse_target(proxy),
        timeout=timeout,
        insecure=insecure,
        show=show,
        as_json=as_json,
    )
    run = _on_terminal if interactive else _in_pipe
    failed = with_element(lambda element: run(element, options, other, not plain, wait), insecure=insecure, show=show)
    if failed:
        sys.exit(1)


def _digest(identity: SIPURI, password: str) -> DigestClient:
    # Whoever runs the command chose the server: its realm is the one to answer, whatever it is called.
    return DigestClient(user_of(identity), password, realms=(ANY_REALM,))


async def _register(session: ChatSession) -> int:
    """Register; return the status that asks for a password, 0 for success.

    :raises Failed: it is refused for something else.
    """
    status, reason = await session.registration.register()
    if 200 <= status < 300:
        return 0
    if status not in (401, 407):
        raise Failed(f"not registered: {status} {reason}")
    return status


def _name_of(uri: SIPURI) -> str:
    return uri.address_of_record.partition(":")[2]


def _first(*ends: Deferred[None]) -> Deferred[None]:
    """Return what fires with None when one of *ends* does."""
    first: Deferred[None] = Deferred()

    def ended(_: None) -> None:
        if not first.called:
            first.callback(None)

    for end in ends:
        end.addCallback(ended)
    return first


async def _in_pipe(element: Element, options: ClientOptions, peer: SIPURI, marks: bool, wait: float) -> int:
    """Chat in a pipe; return how many lines were not taken."""
    view = LineView(_name_of(peer), options.as_json)
    session = ChatSession(element, options, peer, view, marks=marks)
    if await _register(session):
        raise Failed(
            "the password is wrong, or there is no such user"
            if options.digest
            else "a password is wanted: give --password-stdin, and the password as the first line"
        )
    reader = LineReader(session.say, lambda pause: lines.pause() if pause else lines.resume())
    lines = Input(element.reactor, sys.stdin.fileno(), reader.received, reader.ended)
    lines.resume()
    try:
        await _first(reader.done, view.over)
        lines.pause()
        await session.when_idle()
        if wait:
            await _first(deferLater(element.reactor, wait), view.over)
            await session.when_idle()
    finally:
        lines.pause()
        await session.end()
    return view.failed


async def _on_terminal(element: Element, options: ClientOptions, peer: SIPURI, marks: bool, wait: float) -> int:
    """Chat on the terminal; return 0."""
    over: Deferred[None] = Deferred()

    def leave() -> None:
        if not over.called:
            over.callback(None)

    screen = Screen(
        str(options.identity.user),
        _name_of(peer),
        say=lambda text: session.say(text),
        typed=lambda any_text: session.composer.typed() if any_text else session.composer.cleared(),
        quit=leave,
        now=element.reactor.seconds,
    )
    session = ChatSession(element, options, peer, screen, marks=marks)
    keys = Input(element.reactor, sys.stdin.fileno(), screen.received, leave)
    try:
        if await _register(session):
            session.use(_digest(options.identity, _asked_password()))
            if await _register(session):
                raise Failed("the password is wrong, or there is no such user")
        with screen.shown(element.reactor):
            keys.resume()
            # A signal is as good a reason to go as any.
            with contextlib.suppress(CancelledError):
                await over
            keys.pause()
    finally:
        keys.pause()
        await session.end()
    return 0


def _asked_password() -> str:
    # The reactor minds Control-C, but does not run meanwhile.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return str(click.prompt("Password", hide_input=True, err=True))
    except click.Abort:
        raise Failed("interrupted") from None
    finally:
        signal.signal(signal.SIGINT, before)
