"""The first links of the chain: what every request must pass before anybody looks at it; OPTIONS for the server.

RFC 3261 sections 8.2.2.1 and 16.3 step 2 (scheme), 16.4 (our own Routes), 11.2 (OPTIONS).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zope.interface import implementer

from twisted_sip.element.domains import Domains
from twisted_sip.interfaces.processing import TAKEN, IncomingRequest, IRequestProcessor, Verdict
from twisted_sip.message.builders import response_to
from twisted_sip.message.methods import METHODS
from twisted_sip.message.route_set import enter_proxy
from twisted_sip.message.uri import SIPURI, AbsoluteURI


@implementer(IRequestProcessor)
class EntryProcessor:
    """Refuses foreign schemes and takes our own Route values off.

    :param domains: tells what is ours.
    """

    def __init__(self, domains: Domains) -> None:
        self._domains = domains

    def process(self, incoming: IncomingRequest) -> Verdict:
        """Fill in ``incoming.own_routes``; 400 for a malformed Request-URI or Route, 416 for a foreign scheme."""
        request = incoming.request
        if isinstance(request.uri, AbsoluteURI):
            return response_to(request, 416, to_tag=incoming.to_tag)
        if "route" in request.headers.names:
            incoming.own_routes = enter_proxy(request, self._domains.is_local_uri, self._is_own_record_route)
        return None

    def _is_own_record_route(self, uri: SIPURI) -> bool:
        return uri.lr and self._domains.is_local_uri(uri)


@implementer(IRequestProcessor)
class OptionsProcessor:
    """Answers OPTIONS for the server itself: a Request-URI of ours without a user part, or no forwards left.

    :param domains: tells what is ours.
    :param extensions: option tags to list in Supported, given by a callable so that services may come and go.
    """

    def __init__(self, domains: Domains, extensions: Callable[[], Sequence[str]] = lambda: ()) -> None:
        self._domains = domains
        self._extensions = extensions

    def process(self, incoming: IncomingRequest) -> Verdict:
        """Answer 200 with Allow, Accept and Supported; 420 where the request requires what is not there."""
        request = incoming.request
        if request.method != "OPTIONS":
            return None
        uri = request.uri
        if not isinstance(uri, SIPURI) or uri.user or not self._domains.is_local_uri(uri):
            return None
        if "route" in request.headers.names:
            return None
        if not incoming.claim_as_uas():
            return TAKEN
        required = request.headers.elements("require")
        if required:
            return response_to(request, 420, "", [("unsupported", ", ".join(required))], to_tag=incoming.to_tag)
        fields = [("allow", ", ".join(METHODS)), ("accept", "*/*")]
        supported = self._extensions()
        if supported:
            fields.append(("supported", ", ".join(supported)))
        return response_to(request, 200, "", fields, to_tag=incoming.to_tag)
