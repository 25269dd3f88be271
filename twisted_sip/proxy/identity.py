"""Asserted identity at the edge of the trust domain (RFC 3325), and what Privacy takes away there (RFC 3323)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence

from zope.interface import implementer

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.routing import IForwardingPolicy, Target
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.route_set import next_hop
from twisted_sip.message.uri import SIPURI
from twisted_sip.proxy.response_context import ResponseContext

#: Most requests have neither: asked in one go.
_NO_IDENTITY = frozenset(("p-asserted-identity", "p-preferred-identity")).isdisjoint


def trusts(networks: Sequence[str]) -> Callable[[str], bool]:
    """Return what tells whether a numeric host is in one of *networks* (``192.0.2.0/24``, ``2001:db8::/32``)."""
    if not networks:
        return lambda host: False
    known = [ipaddress.ip_network(network, strict=False) for network in networks]

    def trusted(host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in known)

    return trusted


@implementer(IForwardingPolicy)
class IdentityPolicy:
    """Takes P-Asserted-Identity from the trusted only, asserts the identity of those who authenticated, and keeps
    both from the untrusted where the caller asked for privacy.

    :param trusted: tells whether a numeric host is inside the trust domain.
    """

    def __init__(self, trusted: Callable[[str], bool]) -> None:
        self._trusted = trusted

    def branch(self, request: Request, target: Target, incoming: IncomingRequest) -> None:
        """Apply RFC 3325 sections 5 and 6 to a request on its way out."""
        headers = request.headers
        names = headers.names
        if not incoming.user and _NO_IDENTITY(names):
            return
        asserted = "p-asserted-identity" in names
        preferred = "p-preferred-identity" in names
        from_trusted = self._trusted(incoming.flow.remote.host)
        if asserted and not from_trusted:
            # Section 5: what an untrusted node asserts is removed or replaced.
            headers.remove("p-asserted-identity")
            asserted = False
        hint = headers.first("p-preferred-identity") if preferred else None
        if preferred:
            headers.remove("p-preferred-identity")
        if not self._leaves_to_trusted(request, target):
            # Section 7, RFC 3323: id or user privacy keeps the identity inside.
            if asserted and _wants_privacy(request):
                headers.remove("p-asserted-identity")
            return
        if not asserted and incoming.user:
            headers.append("p-asserted-identity", _identity(incoming.user, hint))

    def response(self, response: Response, context: ResponseContext) -> None:
        """Take asserted identities out of responses that an untrusted server made, or that say so on their way to an
        untrusted client (RFC 3325 sections 5 and 7)."""
        if "p-asserted-identity" in response.headers.names:
            flow = response.flow
            from_trusted = flow is not None and self._trusted(flow.remote.host)
            to_trusted = self._trusted(context.incoming.flow.remote.host)
            if not from_trusted or (not to_trusted and _wants_privacy(response)):
                response.headers.remove("p-asserted-identity")

    def _leaves_to_trusted(self, request: Request, target: Target) -> bool:
        if target.flow is not None:
            return self._trusted(target.flow.remote.host)
        try:
            uri = next_hop(request)
        except RemoteProtocolError:
            return False
        # A name may lead anywhere: only an address tells who is next.
        return isinstance(uri, SIPURI) and self._trusted((uri.maddr or uri.host).strip("[]"))


def _wants_privacy(message: Request | Response) -> bool:
    """Tell whether the asserted identity is to be kept from the untrusted (RFC 3325 section 7)."""
    values = [value.strip(" \t") for value in ";".join(message.headers.all("privacy")).lower().split(";")]
    return "none" not in values and any(value in ("id", "user", "header") for value in values)


def _identity(user: str, hint: str | None) -> str:
    """Return the P-Asserted-Identity of *user*, with the display name that the user prefers (section 6)."""
    if hint:
        try:
            preferred = NameAddr.parse(hint)
            if getattr(preferred.uri, "address_of_record", "") == user:
                return str(preferred)
        except RemoteProtocolError:
            pass
    return f"<{user}>"
