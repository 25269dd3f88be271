"""Targets from the location service (RFC 3261 section 16.5), with Path, flows, GRUU and the rules for sips.

RFC 3327 section 5.3, RFC 5626 sections 5.3 and 6, RFC 5627 section 5, RFC 5630 section 5.3.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from zope.interface import implementer

from twisted_sip.element.element import Element
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.flow import Flow
from twisted_sip.interfaces.location import Binding, ILocationStore
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.routing import IRouter, Target
from twisted_sip.message.builders import response_to
from twisted_sip.message.gruu import gruu_instance, instance_key
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI

Routed = Sequence[Target] | Response


@implementer(IRouter)
class LocationRouter:
    """Routes requests for our users to their contacts, and those of our users for others to where their URI says.

    :param element: knows the domains and the flows.
    :param store: the bindings, None where there are none.
    """

    def __init__(self, element: Element, store: ILocationStore | None) -> None:
        self._element = element
        self._store = store

    def route(self, incoming: IncomingRequest) -> Routed | Deferred[Routed]:
        """Return the contacts of the user that the Request-URI names, or the URI itself if it is not ours."""
        request = incoming.request
        uri = request.uri
        if not isinstance(uri, SIPURI):
            # A tel URI that no route has turned into something better.
            return response_to(request, 404, to_tag=incoming.to_tag)
        if not self._element.domains.is_local_uri(uri):
            return [Target(uri=uri)]
        if self._store is None or not uri.user:
            return response_to(request, 404, to_tag=incoming.to_tag)
        found = self._store.lookup(uri.address_of_record)
        if isinstance(found, Deferred):
            return found.addCallback(lambda bindings: self._targets(incoming, uri, bindings))
        return self._targets(incoming, uri, found)

    def _targets(self, incoming: IncomingRequest, uri: SIPURI, bindings: Sequence[Binding]) -> Routed:
        if "gr" in uri.params:
            # RFC 5627 section 5.1: a GRUU means one instance.
            instance = gruu_instance(uri)
            bindings = [binding for binding in bindings if instance and instance_key(binding.instance) == instance]
            if not bindings:
                return response_to(incoming.request, 480, to_tag=incoming.to_tag)
        targets: list[Target] = []
        for binding in bindings:
            try:
                target = self.target_of(binding)
            except RemoteProtocolError:
                continue
            if isinstance(target.uri, SIPURI) and target.uri.headers and self._element.domains.is_local_uri(target.uri):
                # The registrar keeps it (RFC 4475 section 3.3.14), but it would bring the request back here.
                continue
            if uri.secure and not (isinstance(target.uri, SIPURI) and target.uri.secure):
                # RFC 5630 section 5.3: a sips Request-URI is never retargeted to sip.
                continue
            targets.append(target)
        if not targets:
            return response_to(incoming.request, 480, to_tag=incoming.to_tag)
        return targets

    def target_of(self, binding: Binding) -> Target:
        """Return *binding* as a target.

        :raises RemoteProtocolError: its contact cannot be used.
        """
        uri = SIPURI.parse(binding.contact)
        flow: Flow | None = None
        lost = False
        if binding.flow and not binding.path:
            if not _reachable(uri, binding):
                flow = self._element.transports.flow_from_token(binding.flow)
                lost = flow is None
        return Target(
            uri=uri,
            q=binding.q,
            flow=flow,
            flow_lost=lost,
            path=binding.path,
            instance=binding.instance if binding.reg_id else "",
            aor=binding.aor,
            key=binding.key,
        )

    def flow_of_binding(self, aor: str, key: str) -> Flow | None:
        """Return the open flow of the binding *key* of *aor*, None if there is none (or it is not in memory)."""
        for binding in self._in_memory(aor):
            if binding.key == key and binding.flow:
                return self._element.transports.flow_from_token(binding.flow)
        return None

    def key_of_flow(self, aor: str, token: str) -> str:
        """Return the key of the binding of *aor* that came over the flow with *token*, or an empty text."""
        for binding in self._in_memory(aor):
            if binding.flow == token:
                return binding.key
        return ""

    def _in_memory(self, aor: str) -> Sequence[Binding]:
        if self._store is None:
            return ()
        found = self._store.lookup(aor)
        if isinstance(found, Deferred):
            found.addErrback(lambda failure: None)
            return ()
        return found


def _reachable(uri: SIPURI, binding: Binding) -> bool:
    """Tell whether the contact is the very address that the REGISTER came from, over a datagram transport."""
    transport, _, address = binding.received.partition(":")
    if transport.upper() != "UDP":
        return False
    return f"{uri.host.lower()}:{uri.port or 5060}" == address.lower()
