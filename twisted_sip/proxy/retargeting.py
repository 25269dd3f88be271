"""A request as somebody has it forwarded: for another Request-URI, at the cost of who has said so.

RFC 3261 section 16.5 (targets that a proxy is responsible for), RFC 7044 section 10.4 (mapping to another user).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.flow import Flow
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.routing import Retarget
from twisted_sip.message.diversion import Diversion
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI

#: How often one request is forwarded, so that users who forward to each other come to an end.
MOST_FORWARDINGS = 5


class Retargeted:
    """What routers see of a request that is forwarded; provides interfaces.processing.IncomingRequest.

    :ivar request: a copy for the new Request-URI; nothing of it is sent.
    :ivar user: who has it forwarded, and pays for it.
    :ivar original: the request as it came.
    :ivar steps: who has had it forwarded, from the Request-URI on.

    :param step: what is new.
    :param before: what has been before, where that is not known of *incoming*.
    """

    __slots__ = ("admitted", "believed", "flow", "original", "own_routes", "request", "steps", "user")

    def __init__(
        self, incoming: IncomingRequest, step: Retarget, user: str, before: tuple[Retarget, ...] | None = None
    ) -> None:
        self.original: IncomingRequest = original_of(incoming)
        self.steps: tuple[Retarget, ...] = (*(steps_of(incoming) if before is None else before), step)
        self.request: Request = self.original.request.copy()
        self.request.set_uri(step.to)
        self.user = user
        self.flow: Flow = incoming.flow
        self.admitted = incoming.admitted
        self.believed = incoming.believed
        self.own_routes: list[SIPURI] = []

    @property
    def to_tag(self) -> str:
        return self.original.to_tag

    @property
    def over(self) -> bool:
        return self.original.over

    def note(self, room: str, text: str, key: str = "", first: str = "", second: str = "") -> None:
        self.original.note(room, text, key, first, second)

    def respond(
        self, status: int, reason: str = "", headers: Iterable[tuple[str, str]] = (), body: bytes = b""
    ) -> None:
        self.original.respond(status, reason, headers, body)

    def respond_statelessly(self, status: int, reason: str = "", headers: Iterable[tuple[str, str]] = ()) -> None:
        self.original.respond_statelessly(status, reason, headers)

    def send(self, response: Response) -> None:
        self.original.send(response)

    def claim_as_uas(self) -> bool:
        return self.original.claim_as_uas()

    def start_transaction(self, user: Any = None, *, trying: bool = False) -> Any:
        return self.original.start_transaction(user, trying=trying)


def original_of(incoming: IncomingRequest) -> IncomingRequest:
    """Return the request as it came, of which *incoming* may be what is forwarded."""
    return incoming.original if isinstance(incoming, Retargeted) else incoming


def steps_of(incoming: IncomingRequest) -> tuple[Retarget, ...]:
    """Return who has had *incoming* forwarded here."""
    return incoming.steps if isinstance(incoming, Retargeted) else ()


def times_forwarded(incoming: IncomingRequest) -> int:
    """Return how often users have had *incoming* forwarded, here and on its way here (RFC 5806 section 4: counter;
    RFC 7044 section 10.4: entries mapped to another user, whichever is more)."""
    request = original_of(incoming).request
    return len(steps_of(incoming)) + max(_diversions(request), _mappings(request))


def _diversions(request: Request) -> int:
    if "diversion" not in request.headers.names:
        return 0
    count = 0
    for text in request.headers.elements("diversion"):
        try:
            count += Diversion.parse(text).counter
        except RemoteProtocolError:
            count += 1
    return count


def _mappings(request: Request) -> int:
    if "history-info" not in request.headers.names:
        return 0
    try:
        return sum(entry.target is not None and entry.target[0] == "mp" for entry in request.typed("history-info"))
    except RemoteProtocolError:
        return 0
