"""Locating SIP servers: RFC 3263 whole, with RFC 7984 (both address families) and RFC 2782 (weights).

:class:`Resolver` is the default IResolver. What needs no look-up, a numeric host above all, is answered at once; the
rest goes through twisted.names. ``sips`` leads to secure transports only (RFC 5630 section 5).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sip.errors import ResolutionError
from twisted_sip.interfaces.destination import Destination, IResolver
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TRANSPORT_KINDS, TransportKind
from twisted_sip.message.uri import SIPURI
from twisted_sip.message.via import Via
from twisted_sip.transport.resolver_dns import DNSQuestions, DNSSettings, Names, system_names
from twisted_sip.transport.resolver_selection import (
    Answer,
    RandBelow,
    Search,
    Target,
    choose_kind,
    default_kind,
    locate,
    numeric_host,
)

_MAX_NUMERIC = 1024
_LABEL = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")


@implementer(IResolver)
class Resolver:
    """The default IResolver.

    :ivar kinds: the transports to use, the preferred ones first where a domain says nothing (RFC 3263 section 4.1).
    :ivar questions: the look-ups and their memory.
    """

    def __init__(
        self,
        clock: IReactorTime,
        names: Names | None = None,
        *,
        kinds: Sequence[TransportKind] = tuple(TRANSPORT_KINDS.values()),
        settings: DNSSettings | None = None,
        questions: DNSQuestions | None = None,
        randbelow: RandBelow = secrets.randbelow,
        deadline: float = 10.0,
    ) -> None:
        """Resolve with *clock*, the reactor.

        :param names: a twisted.names resolver; by default the name servers of /etc/resolv.conf are asked.
        :param questions: in place of *names*, the look-ups themselves.
        :param randbelow: draws a number below its argument, for SRV weights (RFC 2782).
        :param deadline: seconds after which a search is given up, however many questions it still has.
        """
        settings = settings or DNSSettings()
        self._clock = clock
        self._names = names
        self._settings = settings
        self._questions = questions
        self.kinds = tuple(kinds)
        self._randbelow = randbelow
        self._deadline = deadline
        self._system_names: Any = None
        self._numeric: dict[str, tuple[Destination, ...]] = {}

    @property
    def questions(self) -> DNSQuestions:
        """The look-ups; the system's name servers are read when the first name comes."""
        questions = self._questions
        if questions is None:
            names = self._names
            if names is None:
                names = self._system_names = system_names(self._clock, self._settings.query_timeouts)
            questions = self._questions = DNSQuestions(self._clock, names, self._settings)
        return questions

    def resolve(self, uri: Any) -> Sequence[Destination] | Deferred[Sequence[Destination]]:
        """Return the destinations for *uri*, best first, never empty (RFC 3263 section 4).

        :param uri: a SIPURI.
        :return: the destinations, or a Deferred of them where somebody must be asked.
        :raises ResolutionError: there is none (raised, or the Deferred's failure): a ``tel`` URI, a transport that we
            do not have or that a ``sips`` URI may not use, a name that does not exist, a name server that is silent.
        """
        text = uri.text if type(uri) is SIPURI else str(uri)
        numeric = self._numeric.get(text)
        if numeric is not None:
            return numeric
        if not isinstance(uri, SIPURI):
            raise ResolutionError(f"{text} is no SIP URI")
        secure = uri.secure
        kind = choose_kind(uri.transport, secure, self.kinds)
        # TARGET is the maddr if there is one (section 4); the certificate proves the domain of the URI all the same.
        host = uri.maddr or uri.host
        name = _bare(uri.host)
        number = numeric_host(host)
        if number is not None:
            found = (_at_number(number, uri.port, kind or default_kind(secure, self.kinds), name),)
            if len(self._numeric) >= _MAX_NUMERIC:
                self._numeric.clear()
            self._numeric[text] = found
            return found
        return self._search(Target(checked_name(host), uri.port, kind, secure, name))

    def resolve_response(self, via: Via) -> Sequence[Destination] | Deferred[Sequence[Destination]]:
        """Return where a response may go whose connection is gone or whose sending failed (RFC 3263 section 5).

        :param via: the topmost Via value of the response; its sent-by and transport count, ``received`` does not.
        :return: as :meth:`resolve`.
        :raises ResolutionError: there is none, or the transport is not ours.
        """
        kind = TRANSPORT_KINDS.get(via.transport)
        if kind is None or kind not in self.kinds:
            raise ResolutionError(f"transport {via.transport} is not supported")
        name = _bare(via.host)
        number = numeric_host(via.host)
        if number is not None:
            return (_at_number(number, via.port, kind, name),)
        return self._search(Target(checked_name(via.host), via.port, kind, kind.secure, name))

    def stop(self) -> None:
        """Stop watching /etc/resolv.conf. Searches that are under way end by themselves."""
        names, self._system_names = self._system_names, None
        # twisted.names looks at the file every minute, and offers no way to end that.
        call = getattr(names, "_parseCall", None)
        if call is not None and call.active():
            call.cancel()

    def _search(self, target: Target) -> Sequence[Destination] | Deferred[Sequence[Destination]]:
        if target.port is None and self.questions.local(target.host):
            # This host's own names have no service records; nor does anybody wait for a name server because of them.
            kind = target.kind or default_kind(target.secure, self.kinds)
            target = target._replace(port=kind.default_port, kind=kind)
        search = locate(target, self.kinds, self._randbelow)
        questions = next(search)
        while True:
            answers = [self.questions.ask(question) for question in questions]
            ready = [answer for answer in answers if isinstance(answer, Answer)]
            if len(ready) < len(answers):
                return _Search(self._clock, self.questions, search, target.host).start(answers, self._deadline)
            try:
                questions = search.send(ready)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]


class _Search:
    """One search that has to wait for answers."""

    __slots__ = ("_asking", "_clock", "_host", "_questions", "_result", "_search", "_timeout")

    def __init__(self, clock: IReactorTime, questions: DNSQuestions, search: Search, host: str) -> None:
        self._clock = clock
        self._questions = questions
        self._search = search
        self._host = host
        self._asking: Deferred[list[Answer]] | None = None
        self._timeout: IDelayedCall | None = None
        self._result: Deferred[Sequence[Destination]] = Deferred(self._cancelled)

    def start(self, answers: list[Answer | Deferred[Answer]], deadline: float) -> Deferred[Sequence[Destination]]:
        self._timeout = self._clock.callLater(deadline, self._timed_out)
        self._wait_for(answers)
        return self._result

    def _wait_for(self, answers: list[Answer | Deferred[Answer]]) -> None:
        waiting = [answer if isinstance(answer, Deferred) else _fired(answer) for answer in answers]
        self._asking = gatherResults(waiting, consumeErrors=True)
        self._asking.addCallbacks(self._answered, self._stopped)

    def _answered(self, answers: list[Answer]) -> None:
        try:
            questions = self._search.send(answers)
        except StopIteration as done:
            self._end()
            self._result.callback(done.value)
        except ResolutionError:
            self._end()
            self._result.errback(Failure())
        else:
            self._wait_for([self._questions.ask(question) for question in questions])

    def _stopped(self, failure: Failure) -> None:
        # Only our own cancelling makes an answer fail; who cancelled has told the one who waits.
        failure.trap(CancelledError)

    def _timed_out(self) -> None:
        self._timeout = None
        self._end()
        self._result.errback(ResolutionError(f"the name servers did not say in time where {self._host} is"))

    def _cancelled(self, result: Deferred[Sequence[Destination]]) -> None:
        self._end()

    def _end(self) -> None:
        if self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()
        self._search.close()


def checked_name(host: str) -> str:
    """Return *host* in lower case without a trailing dot.

    :raises ResolutionError: it cannot be a name in the DNS (RFC 1035 section 2.3.4).
    """
    name = host.lower().removesuffix(".")
    if not 0 < len(name) <= 253:
        raise ResolutionError(f"{host[:64]!r} is no host name")
    for label in name.split("."):
        if not 0 < len(label) <= 63 or not _LABEL.issuperset(label):
            raise ResolutionError(f"{host!r} is no host name")
    return name


def _at_number(number: str, port: int | None, kind: TransportKind, name: str) -> Destination:
    """Return the one destination of a numeric host (RFC 3263 sections 4.2 and 5).

    :raises ResolutionError: nobody can be reached there.
    """
    port = kind.default_port if port is None else port
    if number in ("0.0.0.0", "::") or not 0 < port < 65536:
        raise ResolutionError(f"{Address(number, port)} is no address to send to")
    return Destination(kind, Address(number, port), name)


def _bare(host: str) -> str:
    return host.lower().strip("[]").removesuffix(".")


def _fired(answer: Answer) -> Deferred[Answer]:
    done: Deferred[Answer] = Deferred()
    done.callback(answer)
    return done
