"""What the client tools share: an element of their own for one request, the password, the outcome in words.

The element opens ports that the system chooses, sends the request through the RequestSender and is gone.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import attrs
import click
from twisted.internet import task
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.logger import globalLogBeginner

from twisted_sip import __version__
from twisted_sip.auth.client import ANY_REALM, DigestClient
from twisted_sip.auth.credentials import user_of
from twisted_sip.cli.aor import parse_aor
from twisted_sip.cli.number_range import NumberRange
from twisted_sip.cli.output import Failed, print_json
from twisted_sip.cli.traced_message import plain
from twisted_sip.cli.user import read_password
from twisted_sip.element.element import Element
from twisted_sip.element.trace import Trace
from twisted_sip.errors import ConfigurationError, RemoteProtocolError, SIPError
from twisted_sip.message.builders import build_request
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI
from twisted_sip.transport.settings import TLSSettings, TransportSettings

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
#: What is done with an element.
Work: TypeAlias = Callable[[Element], Coroutine[Deferred[Any], Any, T]]

#: Where the tools listen for what comes back: any free port.
_LISTEN = ("udp:0", "tcp:0")


@attrs.frozen(slots=True, kw_only=True)
class ClientOptions:
    """What the options of a client tool say.

    :ivar identity: the address-of-record to send as.
    :ivar digest: the credentials, None if none were given.
    :ivar proxy: where to send everything, None for where the URI leads.
    :ivar timeout: seconds to wait for an answer.
    :ivar insecure: accept any certificate.
    :ivar show: print the messages too.
    :ivar as_json: print JSON.
    """

    identity: SIPURI
    digest: DigestClient | None
    proxy: SIPURI | None
    timeout: float
    insecure: bool
    show: bool
    as_json: bool


def client_options(command: F, timeout: float = 10.0) -> F:
    """Give *command* the options that all client tools have.

    :param timeout: seconds to wait where nothing is said.
    """
    for option in reversed(
        [
            click.option("--user", metavar="AOR", help="Send as this user (alice@example.com)."),
            click.option("--password-stdin", is_flag=True, help="Read the user's password from standard input."),
            click.option("--proxy", metavar="URI", help="Send to this server, whatever the target is."),
            click.option(
                "--timeout", type=NumberRange(0.1, 3600), default=timeout, help=f"Seconds to wait [{timeout:g}]."
            ),
            click.option("--insecure", is_flag=True, help="Over TLS, accept any certificate."),
            click.option("--show", is_flag=True, help="Print the messages, credentials masked, on standard error."),
            click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts."),
        ]
    ):
        command = option(command)
    return command


def read_options(
    user: str | None,
    password_stdin: bool,
    proxy: str | None,
    timeout: float,
    insecure: bool,
    show: bool,
    as_json: bool,
) -> ClientOptions:
    """Return what the options say.

    :raises click.UsageError: a value is wrong.
    """
    identity = parse_aor(user) if user else SIPURI.parse("sip:anonymous@anonymous.invalid")
    digest = None
    if password_stdin:
        if not user:
            raise click.UsageError("--password-stdin needs --user")
        # Whoever runs the command chose the server: its realm is the one to answer, whatever it is called.
        digest = DigestClient(user_of(identity), read_password(True), realms=(ANY_REALM,))
    return ClientOptions(
        identity=identity,
        digest=digest,
        proxy=None if proxy is None else parse_target(proxy),
        timeout=timeout,
        insecure=insecure,
        show=show,
        as_json=as_json,
    )


def parse_target(text: str) -> SIPURI:
    """Return the SIP URI *text*, ``sip:`` understood where it is missing.

    :raises click.UsageError: it is none.
    """
    written = text if text.lower().startswith(("sip:", "sips:")) else f"sip:{text}"
    try:
        return SIPURI.parse(written)
    except RemoteProtocolError as error:
        raise click.UsageError(f'"{text}" is not a SIP URI like sip:bob@example.com ({error})') from error


def ask(
    options: ClientOptions,
    method: str,
    target: SIPURI,
    *,
    to: str = "",
    contact: bool = False,
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
) -> Response:
    """Send one request and return the final response to it; runs the reactor, so only once in a process.

    :param to: the To value, the target if it is empty.
    :param contact: give the address of our socket as Contact.
    :raises Failed: there was no answer; the text says why.
    """

    async def work(element: Element) -> Response:
        request = _request(element, options, method, target, to or f"<{target}>", contact, headers, body)
        sending = element.sender.request(request, uri=options.proxy, credentials=options.digest)
        return await sending.addTimeout(options.timeout, element.reactor, too_late(options.timeout))

    return with_element(work, insecure=options.insecure, show=options.show)


def with_element(
    work: Callable[[Element], Coroutine[Deferred[Any], Any, T]], *, insecure: bool = False, show: bool = False
) -> T:
    """Give *work* an element that listens, and return its result; runs the reactor, so only once in a process.

    A signal cancels what *work* awaits, and what it does then is still waited for.

    :param insecure: accept any certificate.
    :param show: print the messages, on standard error.
    :raises Failed: *work* raised an exception, or was interrupted.
    """
    results: list[T] = []
    problems: list[str] = []

    async def run(reactor: Any) -> None:
        settings = TransportSettings(tls=TLSSettings(verify_peers=not insecure))
        element = Element(reactor, transport_settings=settings)
        if show:
            _show(element)
        ended: Deferred[None] = Deferred()
        try:
            element.transports.listen(*_LISTEN)
            working = ensureDeferred(work(element))

            def stop() -> Deferred[None]:
                working.cancel()
                return ended

            reactor.addSystemEventTrigger("before", "shutdown", stop)
            results.append(await working)
        except CancelledError:
            problems.append("interrupted")
        except ConfigurationError as error:
            problems.extend(error.problems)
        except SIPError as error:
            problems.append(str(error) or type(error).__name__)
        except Failed as error:
            problems.append(error.message)
        except Exception as error:
            problems.append(_unexpected(error))
        finally:
            await element.stop()
            ended.callback(None)

    # Nothing is logged: what matters is told as the outcome.
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False, discardBuffer=True)
    try:
        task.react(lambda reactor: Deferred.fromCoroutine(run(reactor)))
    except SystemExit as end:
        if end.code not in (0, None) and not problems:
            raise Failed("interrupted") from end
    if problems:
        raise Failed("\n".join(problems))
    if not results:
        raise Failed("interrupted")
    return results[0]


def _unexpected(error: Exception) -> str:
    """Return what to tell of an *error* that nobody has foreseen, on one line: what it is, and where it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    reason = " ".join(str(error).split()) or "no reason given"
    return plain(f"unexpected {type(error).__name__}: {reason}{place}")


def too_late(seconds: float) -> Callable[[Any, float], Any]:
    """Return what makes an error of a time that is over."""

    def convert(value: Any, timeout: float) -> Any:
        raise SIPError(f"no answer within {seconds:g} s")

    return convert


def _request(
    element: Element,
    options: ClientOptions,
    method: str,
    target: SIPURI,
    to: str,
    contact: bool,
    headers: Sequence[tuple[str, str]],
    body: bytes,
) -> Request:
    fields = [("user-agent", f"twisted-sip/{__version__}"), *headers]
    if contact:
        fields.append(("contact", f"<sip:{options.identity.user}@{element.transports.listeners[0].address}>"))
    return build_request(
        method,
        target,
        from_=NameAddr.parse(f"<{options.identity}>;tag={element.random_text()}"),
        to=to,
        call_id=f"{element.random_text()}{element.random_text()}",
        cseq=1,
        headers=fields,
        body=body,
    )


def _show(element: Element) -> None:
    """Print every message as it goes and comes."""
    trace = Trace(element.reactor.seconds)
    element.message_sent = trace.sent
    element.message_seen = trace.seen
    trace.follow(
        lambda call_id, message: click.echo(
            f"{'->' if message.sent else '<-'} {message.remote} {message.transport}\n"
            + "\n".join(plain(line.removesuffix("\r")) for line in message.text.split("\n")),
            err=True,
        )
    )


def report(options: ClientOptions, response: Response, lines: Sequence[str], details: dict[str, Any]) -> None:
    """Print the outcome; the exit status is 1 unless it is a 2xx.

    :param lines: what to print below the status for people.
    :param details: what to add to it for programs.
    """
    status = f"{response.status} {plain(response.reason)}"
    if options.as_json:
        print_json({"status": response.status, "reason": response.reason, **details})
    else:
        click.echo("\n".join([status, *lines]))
    if not 200 <= response.status < 300:
        hint = _hint(options, response)
        if hint:
            click.echo(f"twisted-sip: {hint}", err=True)
        sys.exit(1)


def _hint(options: ClientOptions, response: Response) -> str:
    if response.status in (401, 407):
        if options.digest is None:
            return "a password is wanted: give --user and --password-stdin"
        return "the password is wrong, or there is no such user"
    return ""
