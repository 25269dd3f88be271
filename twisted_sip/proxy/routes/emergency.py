"""Calls for help: emergency numbers and ``urn:service:sos`` (RFC 5031 section 4.2) go before routes and policies."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.builders import response_to
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, URI, TelURI, parse_uri
from twisted_sip.proxy.gateways.table import Gateways
from twisted_sip.proxy.routes.dialled import dialled

_SERVICE = "urn:service:sos"
_GATEWAY = "gateway:"

#: No failure ends the search for somebody who can help.
_ANY_FAILURE = frozenset(range(300, 600))


@attrs.frozen(slots=True, kw_only=True)
class EmergencySettings:
    """The ``[emergency]`` section.

    :ivar numbers: the numbers that are dialled for help.
    :ivar to: where such calls go, one after the other: SIP URIs, those with ``lr`` as a Route; ``gateway:GROUP``.
    :ivar number: what stands for ``urn:service:sos`` where a number is needed.
    :ivar strangers: let callers from elsewhere call for help too.
    """

    numbers: tuple[str, ...] = attrs.field(
        default=("112", "911"), metadata={"help": "the numbers that are dialled for help in your domains"}
    )
    to: tuple[str, ...] = attrs.field(
        default=(),
        metadata={
            "help": "where calls for help go, one after the other: gateway:GROUP or SIP URIs, with {user} for the "
            "number; a URI with lr becomes the Route of a call that keeps its Request-URI",
            "shown_default": "none: they are calls like any other",
        },
    )
    number: str = attrs.field(
        default="112", metadata={"help": "the number to call where urn:service:sos was asked for"}
    )
    strangers: bool = attrs.field(
        default=False, metadata={"help": "let callers who are none of your users call for help here too"}
    )


class EmergencyCalls:
    """Knows calls for help, and where they go.

    :param gateways: the groups of gateways.
    :param settings: which they are; may be replaced at any time.
    :param is_local_uri: tells whether a URI is in one of our domains.
    :ivar active: calls for help are told from others.
    """

    def __init__(
        self, gateways: Gateways | None, settings: EmergencySettings, is_local_uri: Callable[[URI], bool]
    ) -> None:
        self._gateways = gateways
        self._is_local_uri = is_local_uri
        self.adopt(settings)

    def adopt(self, settings: EmergencySettings) -> None:
        """Take new *settings* over."""
        self.settings = settings
        self.active = bool(settings.to)
        self._numbers = frozenset((*settings.numbers, settings.number))

    def number_of(self, request: Request) -> str:
        """Return the number that *request* calls for help, an empty text where it is no such call."""
        if not self.active or request.method in ("REGISTER", "PUBLISH"):
            return ""
        if request.uri_text[: len(_SERVICE)].lower() == _SERVICE:
            # Any of its sub-services: sos.fire, sos.police ...
            rest = request.uri_text[len(_SERVICE) :]
            return self.settings.number if not rest or rest[0] == "." else ""
        uri = request.known_uri or request.uri
        if isinstance(uri, TelURI) or (isinstance(uri, SIPURI) and self._is_local_uri(uri)):
            asked = dialled(uri)
            if asked is not None and asked.user in self._numbers:
                return asked.user
        return ""

    def spares(self, request: Request) -> bool:
        """Tell whether *request* is never shed: it is a call for help."""
        try:
            return request.method == "INVITE" and bool(self.number_of(request))
        except RemoteProtocolError:
            return False

    def find(
        self, incoming: IncomingRequest, is_stranger: Callable[[IncomingRequest], bool]
    ) -> Sequence[Target] | Response:
        """Return where a call for help goes; nothing if *incoming* is none."""
        number = self.number_of(incoming.request)
        if not number:
            return ()
        if not self.settings.strangers and is_stranger(incoming):
            incoming.note("emergency", "refused: not one of our users", "emergency.strangers")
            return response_to(incoming.request, 403, to_tag=incoming.to_tag)
        targets: list[Target] = []
        for text in self.settings.to:
            targets += self._targets(text, number, incoming.request.uri)
        incoming.note("emergency", "{0} is a call for help", "emergency.to", number)
        if not targets:
            return response_to(incoming.request, 503, to_tag=incoming.to_tag)
        return [attrs.evolve(target, q=1000 - place) for place, target in enumerate(targets)]

    def _targets(self, text: str, number: str, asked: URI) -> list[Target]:
        if text.startswith(_GATEWAY):
            found = self._gateways.targets(text.removeprefix(_GATEWAY), number, 0) if self._gateways else []
            return [_every_failure(target) for target in found]
        uri = parse_uri(text.replace("{user}", number))
        if isinstance(uri, SIPURI) and uri.lr:
            # RFC 5031 section 3: what was asked for stays in the Request-URI.
            return [Target(uri=asked, path=(f"<{uri}>",), configured=True)]
        return [Target(uri=uri, configured=True)]


def _every_failure(target: Target) -> Target:
    failover = target.failover
    assert failover is not None
    return attrs.evolve(target, failover=attrs.evolve(failover, statuses=_ANY_FAILURE))
