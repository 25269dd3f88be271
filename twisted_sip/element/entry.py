"""The first links of the chain: what every request must pass before anybody looks at it; OPTIONS for the server.

RFC 3261 sections 8.2.2.1 and 16.3 step 2 (scheme), 16.4 (our own Routes, maddr), 11.2 (OPTIONS).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from zope.interface import implementer

from twisted_sip.element.domains import Domains
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.processing import TAKEN, IncomingRequest, IRequestProcessor, Verdict
from twisted_sip.message.builders import response_to
from twisted_sip.message.methods import METHODS
from twisted_sip.message.request import Request
from twisted_sip.message.route_set import enter_proxy
from twisted_sip.message.uri import SIPURI, AbsoluteURI

# Lines that need no look.
_USUAL_MAX_FORWARDS = frozenset([f"Max-Forwards: {hops}" for hops in range(256)])


def _nothing(request: Request) -> bool:
    return False


@implementer(IRequestProcessor)
class EntryProcessor:
    """Refuses foreign schemes and takes our own Route values off.

    :param domains: tells what is ours.
    :param schemes: foreign schemes of URIs like ``pres:user@host``: those of our users are taken for their sip URIs
        (RFC 3856 section 5, RFC 3428 section 5).
    """

    def __init__(self, domains: Domains, schemes: Collection[str] = ()) -> None:
        self._domains = domains
        self._schemes = frozenset(schemes)
        #: Tells which requests with a Request-URI of another scheme are known all the same: ``urn:service:sos``.
        self.knows: Callable[[Request], bool] = _nothing

    def process(self, incoming: IncomingRequest) -> Verdict:
        """Fill in ``incoming.own_routes``; 416 for a foreign scheme.

        :raises RemoteProtocolError: Request-URI, Max-Forwards or a Route is malformed.
        """
        request = incoming.request
        uri = request.known_uri or request.uri
        headers = request.headers
        names = headers.names
        # No use to whom the request ends at, but not to be passed over either (section 20.22); ACKs get no answer.
        try:
            hops = headers.lines[names.index("max-forwards")]
        except ValueError:
            pass
        else:
            if hops not in _USUAL_MAX_FORWARDS and request.method != "ACK":
                _ = request.max_forwards
        if type(uri) is SIPURI and ";" not in uri.text and "route" not in names:
            # Most requests: no parameter, so no maddr.
            return None
        if isinstance(uri, AbsoluteURI):
            ours = self._our_user(uri) if uri.scheme in self._schemes else None
            if ours is not None:
                request.set_uri(ours)
            elif not self.knows(request):
                return response_to(request, 416, to_tag=incoming.to_tag)
        if "route" in names:
            incoming.own_routes = enter_proxy(request, self._domains.is_local_uri, self._is_own_record_route)
            uri = request.uri
        if isinstance(uri, SIPURI) and uri.maddr:
            self._resolve_maddr(incoming, uri)
        return None

    def _our_user(self, uri: AbsoluteURI) -> SIPURI | None:
        """Return the sip URI of the user of ours whom *uri* means, None if it means none of them."""
        try:
            found = SIPURI.parse(f"sip:{uri.opaque.partition('?')[0]}")
        except RemoteProtocolError:
            return None
        return found if found.user and self._domains.is_local_uri(found) else None

    def _is_own_record_route(self, uri: SIPURI) -> bool:
        # What we put into a Record-Route has a token for its user.
        return uri.lr and bool(uri.user) and self._domains.is_local_uri(uri)

    def _resolve_maddr(self, incoming: IncomingRequest, uri: SIPURI) -> None:
        """Section 16.4: a maddr that brought the request here has done its duty, and so have port and transport."""
        flow = incoming.flow
        secure = uri.secure
        port = uri.port or (5061 if secure or uri.transport == "tls" else 5060)
        transport = uri.transport or ("tls" if secure else "udp")
        if secure and transport == "tcp":
            transport = "tls"
        if (
            flow.local.port == port
            and flow.kind.parameter == transport
            and self._domains.is_local(uri.maddr, uri.port, secure)
        ):
            kept = uri.params.without("maddr").without("transport")
            default = uri.port == (5061 if secure else 5060)
            incoming.request.set_uri(uri.replace(params=kept, port=uri.port if default else None))


@implementer(IRequestProcessor)
class OptionsProcessor:
    """Answers OPTIONS for the server itself: a Request-URI of ours without a user part.

    :param domains: tells what is ours.
    :param extensions: option tags to list in Supported, given by a callable so that services may come and go.
    :param methods: what to list in Allow: all that is answered or forwarded here (section 11.2).
    :param fields: further header fields of the answer, (name, value).
    """

    for_methods = frozenset(("OPTIONS",))

    def __init__(
        self,
        domains: Domains,
        extensions: Callable[[], Sequence[str]] = lambda: (),
        methods: Iterable[str] = METHODS,
        fields: Iterable[tuple[str, str]] = (),
    ) -> None:
        self._domains = domains
        self._extensions = extensions
        self._fields = tuple(fields)
        self._allow = ", ".join(methods)

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
        if incoming.user and not incoming.claim_as_uas():
            return TAKEN
        required = request.headers.elements("require")
        if required:
            return response_to(request, 420, "", [("unsupported", ", ".join(required))], to_tag=incoming.to_tag)
        fields = [
            ("allow", self._allow),
            ("accept", "*/*"),
            ("accept-encoding", "identity"),
            ("accept-language", "en"),
            *self._fields,
        ]
        supported = self._extensions()
        if supported:
            fields.append(("supported", ", ".join(supported)))
        if not incoming.user:
            # Anybody may ask, from any address; nothing is kept of it (section 8.2.7).
            incoming.respond_statelessly(200, headers=fields)
            return TAKEN
        return response_to(request, 200, "", fields, to_tag=incoming.to_tag)
