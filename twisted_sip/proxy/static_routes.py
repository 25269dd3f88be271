"""Static routes: a pattern on method, user and host, and what becomes of requests that fit (RFC 3261 section 16.5)."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence

import attrs
from zope.interface import implementer

from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.routing import IRouter, Target
from twisted_sip.message.builders import response_to
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, URI, TelURI, parse_uri


@attrs.frozen(slots=True, kw_only=True)
class StaticRoute:
    """One route.

    :ivar method: a method name or pattern (``*``, ``?``, ``[...]``); case-sensitive.
    :ivar user: a pattern for the user part, or the number of a tel URI.
    :ivar host: a pattern for the host; case-insensitive. A tel URI has none: only ``*`` fits it.
    :ivar to: the targets. ``{user}`` and ``{host}`` stand for what the Request-URI has.
    :ivar fork: ``parallel`` or ``serial``.
    :ivar no_answer: seconds for which each target may ring before the next one is tried, 0 for as long as Timer C lets
        it.
    :ivar status: answer with this status instead, 0 to forward.
    :ivar reason: the reason phrase that goes with it.
    :ivar strangers: let callers from elsewhere take it too where it leads to others than our own users. Without, they
        are refused: a route to a gateway must not make everybody's calls at our cost.
    """

    method: str = attrs.field(default="*", metadata={"help": "a method name, or a pattern with * and ?"})
    user: str = attrs.field(default="*", metadata={"help": "a pattern for the user part of the Request-URI"})
    host: str = attrs.field(default="*", metadata={"help": "a pattern for the host of the Request-URI"})
    to: tuple[str, ...] = attrs.field(
        default=(), metadata={"help": "one or several target URIs; {user} and {host} are filled in"}
    )
    fork: str = attrs.field(
        default="parallel",
        validator=attrs.validators.in_(("parallel", "serial")),
        metadata={"help": "how several targets are tried: parallel or serial"},
    )
    no_answer: float = attrs.field(
        default=0.0,
        validator=[attrs.validators.ge(0.0), attrs.validators.le(180.0)],
        metadata={"help": "seconds that each target may ring before the next one is tried, 0 for timer_c"},
    )
    status: int = attrs.field(
        default=0, metadata={"help": "answer with this status (300 to 699) instead of forwarding"}
    )
    reason: str = attrs.field(default="", metadata={"help": "the reason phrase of that answer"})
    strangers: bool = attrs.field(
        default=False,
        metadata={"help": "let callers from elsewhere take it too, where it leads to others than your own users"},
    )

    def fits(self, method: str, user: str, host: str) -> bool:
        """Tell whether a request of *method* for *user* at *host* takes this route."""
        return (
            (self.method == "*" or fnmatch.fnmatchcase(method, self.method))
            and (self.user == "*" or fnmatch.fnmatchcase(user, self.user))
            and (self.host == "*" or fnmatch.fnmatchcase(host.lower(), self.host.lower()))
        )


def _nobody(incoming: IncomingRequest) -> bool:
    return False


def _nowhere(uri: URI) -> bool:
    return False


@implementer(IRouter)
class StaticRouter:
    """Asks the static routes, the first that fits decides.

    :ivar routes: the routes, in order; may be swapped whole at any time.
    """

    def __init__(
        self,
        routes: Sequence[StaticRoute] = (),
        *,
        is_stranger: Callable[[IncomingRequest], bool] = _nobody,
        is_local_uri: Callable[[URI], bool] = _nowhere,
    ) -> None:
        """Make a router.

        :param is_stranger: tells who may take routes to our own users, and routes for strangers, only.
        :param is_local_uri: tells whether a URI is in one of our domains.
        """
        self.routes = tuple(routes)
        self._is_stranger = is_stranger
        self._is_local_uri = is_local_uri

    def route(self, incoming: IncomingRequest) -> Sequence[Target] | Response:
        """Return the targets or the answer of the first route that fits, an empty sequence if none does."""
        if not self.routes:
            return ()
        request = incoming.request
        uri = request.uri
        if isinstance(uri, SIPURI):
            user, host = uri.user or "", uri.host
        elif isinstance(uri, TelURI):
            user, host = uri.number, ""
        else:
            return ()
        for route in self.routes:
            if not route.fits(request.method, user, host):
                continue
            if route.status:
                return response_to(request, route.status, route.reason, to_tag=incoming.to_tag)
            targets = []
            for place, text in enumerate(route.to):
                q = 1000 - place if route.fork == "serial" else 1000
                targets.append(Target(uri=parse_uri(_fill(text, user, host)), q=q, no_answer=route.no_answer))
            if (
                not route.strangers
                and self._is_stranger(incoming)
                and not all(self._is_local_uri(target.uri) for target in targets)
            ):
                return response_to(request, 403, to_tag=incoming.to_tag)
            return targets
        return ()


def _fill(text: str, user: str, host: str) -> str:
    return text.replace("{user}", user).replace("{host}", host)
