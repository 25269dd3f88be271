"""Asserted identity at the edge of the trust domain (RFC 3325), and what Privacy takes away there (RFC 3323)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zope.interface import implementer

from twisted_sip.element.anonymous import is_anonymous
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.routing import IForwardingPolicy, Target
from twisted_sip.message.header_map import HeaderMap
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.route_set import next_hop
from twisted_sip.message.uri import SIPURI, URI, TelURI
from twisted_sip.proxy.privacy import hide_in_request, hide_in_response, levels_of
from twisted_sip.proxy.trust import trusts
from twisted_sip.proxy.upstream import Upstream

__all__ = ["IdentityPolicy", "trusts"]

#: What networks tell each other of calls (RFC 7315 sections 6.5 and 6.6, RFC 6050): nobody else's business.
_OF_NETWORKS = ("p-charging-vector", "p-charging-function-addresses", "p-asserted-service")

#: Most messages have none of these: asked in one go.
_NOTHING = frozenset(
    ("p-asserted-identity", "p-preferred-identity", "privacy", "history-info", "remote-party-id", *_OF_NETWORKS)
).isdisjoint

#: The levels of privacy that keep the asserted identity inside (RFC 3325 section 7, RFC 3323 section 4.2).
_KEEPS_IDENTITY = frozenset(("id", "user", "header"))


def _same_user(user: str, identity: URI) -> bool:
    return isinstance(identity, SIPURI) and identity.address_of_record == user


def _nowhere(uri: URI) -> bool:
    return False


@implementer(IForwardingPolicy)
class IdentityPolicy:
    """Takes P-Asserted-Identity from the trusted only, asserts the identity of those who authenticated, keeps it from
    the untrusted where the sender asked for privacy, and hides what else it can (:mod:`privacy`).

    :param trusted: tells whether a numeric host is inside the trust domain.
    :param is_local_uri: tells whether a URI is in one of our domains.
    :param owns: tells whether the user with an address-of-record has a further identity, which P-Preferred-Identity may
        choose (RFC 3325 section 6): another of our addresses, or a telephone number.
    """

    def __init__(
        self,
        trusted: Callable[[str], bool],
        is_local_uri: Callable[[URI], bool] = _nowhere,
        owns: Callable[[str, URI], bool] = _same_user,
    ) -> None:
        self._trusted = trusted
        self._is_local_uri = is_local_uri
        self._owns = owns

    def branch(self, request: Request, target: Target, incoming: IncomingRequest) -> None:
        """Apply RFC 3325 sections 5 to 7 and RFC 3323 section 5 to a request on its way out."""
        headers = request.headers
        names = headers.names
        nothing = _NOTHING(names)
        if nothing and not incoming.user:
            return
        to_trusted = self._leaves_to_trusted(request, target)
        if nothing:
            # The usual case of what follows: a user of ours who says no more than From.
            if to_trusted:
                self._assert(request, incoming, [])
            return
        from_trusted = self._trusted(incoming.flow.remote.host)
        if not from_trusted:
            for name in _OF_NETWORKS:
                headers.remove(name)
        asserted = "p-asserted-identity" in names
        if asserted and not from_trusted:
            # Section 5: what an untrusted node asserts is removed or replaced.
            headers.remove("p-asserted-identity")
            asserted = False
            incoming.note("privacy", "P-Asserted-Identity of the untrusted is taken out", "proxy.trusted")
        if "remote-party-id" in names and not (to_trusted and from_trusted):
            # What went before RFC 3325, which gateways still believe.
            headers.remove("remote-party-id")
            incoming.note("privacy", "Remote-Party-ID is taken out", "proxy.trusted")
        hints = headers.elements("p-preferred-identity")
        headers.remove("p-preferred-identity")
        if not to_trusted:
            # Section 7, RFC 3323: id or user privacy keeps the identity inside.
            if asserted and _wants_privacy(headers):
                headers.remove("p-asserted-identity")
                incoming.note("privacy", "P-Asserted-Identity stays inside: the caller wants privacy", "proxy.trusted")
        elif not asserted and incoming.user:
            self._assert(request, incoming, hints)
        if "privacy" in names or "history-info" in names:
            hide_in_request(request, incoming, not to_trusted and not target.aor, self._is_local_uri)

    def _assert(self, request: Request, incoming: IncomingRequest, hints: Sequence[str]) -> None:
        """Vouch for the sender, who has proved to be a user of ours (section 5)."""
        headers = request.headers
        for identity in self._identities(incoming.user, hints):
            headers.append("p-asserted-identity", identity)
        if is_anonymous(request.from_.uri) and "privacy" not in headers.names:
            # The sender hides: whoever trusts us shall not tell those whom he does not trust (RFC 3325 section 7).
            headers.append("privacy", "id")
        incoming.note("privacy", "{0} is vouched for", "proxy.trusted", incoming.user)

    def _identities(self, user: str, hints: Sequence[str]) -> list[str]:
        """Return what is asserted of *user*: of the preferred identities those that are the user's, at most one SIP URI
        and one number (sections 6 and 9.1); else the address-of-record."""
        found: dict[bool, str] = {}
        for hint in hints:
            try:
                preferred = NameAddr.parse(hint)
                uri = preferred.uri
            except RemoteProtocolError:
                continue
            kind = isinstance(uri, SIPURI)
            if kind not in found and (kind or isinstance(uri, TelURI)) and self._owns(user, uri):
                found[kind] = str(preferred)
        return list(found.values()) or [f"<{user}>"]

    def response(self, response: Response, context: Upstream) -> None:
        """Take asserted identities out of responses that an untrusted server made, or that say so on their way to an
        untrusted client (RFC 3325 sections 5 and 7), and hide what else is to be hidden there."""
        headers = response.headers
        if _NOTHING(headers.names):
            return
        incoming = context.incoming
        to_trusted = self._trusted(incoming.flow.remote.host)
        flow = response.flow
        from_trusted = flow is not None and self._trusted(flow.remote.host)
        if not from_trusted or (not to_trusted and _wants_privacy(headers)):
            headers.remove("p-asserted-identity")
        if not (from_trusted and to_trusted):
            headers.remove("remote-party-id")
        if not from_trusted:
            for name in _OF_NETWORKS:
                headers.remove(name)
        leaves = not to_trusted and not incoming.user
        stranger = leaves and not self._is_local_uri(context.request.from_.uri)
        hide_in_response(response, leaves, self._is_local_uri, context.request if stranger else None)

    def _leaves_to_trusted(self, request: Request, target: Target) -> bool:
        if target.flow is not None:
            return self._trusted(target.flow.remote.host)
        try:
            uri = next_hop(request)
        except RemoteProtocolError:
            return False
        # A name may lead anywhere: only an address tells who is next.
        return isinstance(uri, SIPURI) and self._trusted((uri.maddr or uri.host).strip("[]"))


def _wants_privacy(headers: HeaderMap) -> bool:
    """Tell whether the asserted identity is to be kept from the untrusted (RFC 3325 section 7)."""
    levels = levels_of(headers)
    return "none" not in levels and not _KEEPS_IDENTITY.isdisjoint(levels)
