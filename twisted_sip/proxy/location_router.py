"""Targets from the location service (RFC 3261 section 16.5), with Path, flows, GRUU and the rules for sips.

RFC 3327 section 5.4, RFC 5626 sections 5.3 and 7, RFC 5627 section 6.1, RFC 8599 sections 5.6.2 and 6.2.3 (devices
that have to be woken first).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
from twisted.internet.defer import Deferred
from zope.interface import implementer

from twisted_sip.element.element import Element
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.flow import Flow
from twisted_sip.interfaces.location import Binding, ILocationStore
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.push import Waker
from twisted_sip.interfaces.routing import IRouter, Target
from twisted_sip.message.builders import response_to
from twisted_sip.message.gruu import gruu_instance, instance_key
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, URI, parse_uri
from twisted_sip.proxy.notes import AWAY, FOUND, NO_GRUU, NO_NUMBER, NOBODY, NOT_OURS, note_contacts
from twisted_sip.proxy.reachability import reachable

Routed = Sequence[Target] | Response

#: The most targets that are remembered.
_REMEMBERED = 20_000


@implementer(IRouter)
class LocationRouter:
    """Routes requests for our users to their contacts, and those of our users for others to where their URI says.

    :param element: knows the domains and the flows.
    :param store: the bindings, None where there are none.
    :param wakes: devices that sleep are woken before requests go there (RFC 8599), as the element can: its targets are
        for whoever knows what to do with Target.waking.
    :ivar any_scheme: give contacts that are no SIP URIs, too: for whoever leaves the way there to callers.
    """

    def __init__(self, element: Element, store: ILocationStore | None, *, wakes: bool = False) -> None:
        self._element = element
        self._domains = element.domains
        self._store = store
        self._wakes = wakes
        self.any_scheme = False
        self._plain: dict[tuple[str, str], tuple[Binding, tuple[Target]]] = {}

    def route(self, incoming: IncomingRequest) -> Routed | Deferred[Routed]:
        """Return the contacts of the user that the Request-URI names, or the URI itself if it is not ours.

        Contacts are given whatever their scheme; the proxy sees to it that sips stays sips (RFC 5630 section 5.3).
        """
        request = incoming.request
        return self.find(incoming, request.known_uri or request.uri)

    def find(self, incoming: IncomingRequest, uri: URI) -> Routed | Deferred[Routed]:
        """Return what :meth:`route` does, for *uri* in the place of the Request-URI."""
        request = incoming.request
        if not isinstance(uri, SIPURI):
            # A tel URI that no route has turned into something better.
            incoming.note("location", NO_NUMBER, "route", request.uri_text)
            return response_to(request, 404, to_tag=incoming.to_tag)
        if not self._domains.is_local_uri(uri):
            incoming.note("location", NOT_OURS, "server.domains", uri.text)
            return [Target(uri=uri)]
        if self._store is None or not uri.user:
            incoming.note("location", NOBODY, "server.domains", uri.text)
            return response_to(request, 404, to_tag=incoming.to_tag)
        aor, series = uri.address_of_record, ""
        one_instance = ";" in uri.text and "gr" in uri.params
        if one_instance and not uri.params.get("gr"):
            meant = self._element.temporary_gruus.read(uri)
            if meant is None:
                # RFC 5627 section 6.1: no valid one.
                incoming.note("location", NO_GRUU, "", uri.text)
                return response_to(request, 404, to_tag=incoming.to_tag)
            aor, series = meant
        found = self._store.lookup(aor)
        if type(found) is not list and isinstance(found, Deferred):
            return found.addCallback(lambda bindings: self._targets(incoming, uri, bindings, series))
        if len(found) == 1 and not one_instance:
            # The usual case: one phone, which is as it was when somebody called it last.
            binding = found[0]
            known = self._plain.get((binding.aor, binding.key))
            if known is not None and known[0] is binding:
                incoming.note("location", FOUND, "", binding.aor, binding.contact)
                return known[1]
        return self._targets(incoming, uri, found, series)

    def _targets(self, incoming: IncomingRequest, uri: SIPURI, bindings: Sequence[Binding], series: str) -> Routed:
        one_instance = ";" in uri.text and "gr" in uri.params
        request = incoming.request
        if series:
            bindings = [each for each in bindings if self._element.temporary_gruus.belongs(each, series)]
            if not bindings:
                # RFC 5627 section 5.3: it has ended with the last registration of its device.
                incoming.note("location", NO_GRUU, "", uri.text)
                return response_to(request, 404, to_tag=incoming.to_tag)
        elif one_instance:
            # RFC 5627 section 6.1: a GRUU means one instance; of contacts without reg-id the one refreshed last.
            instance = gruu_instance(uri)
            bindings = [binding for binding in bindings if instance and instance_key(binding.instance) == instance]
        if len(bindings) > 1:
            bindings = sorted(bindings, key=lambda binding: -binding.registered_at)
        targets: list[Target] = []
        for binding in bindings:
            try:
                target = self.target_of(binding)
            except RemoteProtocolError:
                continue
            if isinstance(target.uri, SIPURI) and target.uri.headers and self._element.domains.is_local_uri(target.uri):
                # The registrar keeps it (RFC 4475 section 3.3.14), but it would bring the request back here.
                continue
            if one_instance:
                target = self._of_gruu(request, target, binding)
            waker = self.waker if binding.push else None
            if waker is not None and (target.flow_lost or waker.asleep(binding)):
                target = self._sleeping(request, target, binding, one_instance)
            targets.append(target)
        if not targets:
            incoming.note("location", AWAY, "server.domains", uri.address_of_record)
            return response_to(request, 480, to_tag=incoming.to_tag)
        note_contacts(incoming, uri.address_of_record, targets)
        return targets

    @staticmethod
    def _of_gruu(request: Request, target: Target, binding: Binding) -> Target:
        if "route" in request.headers.names:
            # RFC 5627 section 6.1: in a dialog the Route leads there, the Path is discarded.
            target = attrs.evolve(target, path=(), flow=None, flow_lost=False)
        return target if binding.reg_id else attrs.evolve(target, q=1000)

    # -- devices that sleep (RFC 8599) ---------------------------------------------------

    @property
    def waker(self) -> Waker | None:
        """What wakes devices, None where nobody has to be woken."""
        return self._element.waker if self._wakes else None

    def _sleeping(self, request: Request, target: Target, binding: Binding, one_instance: bool) -> Target:
        """Return *target* as one whose device has to be woken first (section 5.6.2)."""

        def there(fresh: Binding) -> Target:
            found = self.target_of(fresh)
            return self._of_gruu(request, found, fresh) if one_instance else found

        return attrs.evolve(
            target, flow=None, flow_lost=False, waking=lambda: self._woken(binding, request.method, there)
        )

    def _woken(self, binding: Binding, method: str, there: Callable[[Binding], Target]) -> Deferred[Target | None]:
        """Wake the device of *binding*; the Deferred fires with where it is then, with None where nobody is."""
        waker = self.waker
        assert waker is not None
        return waker.wake(binding, method).addCallback(lambda fresh: None if fresh is None else _tried(there, fresh))

    def in_dialog(self, request: Request, target: Target) -> Target:
        """Return *target* of a *request* in a dialog as one to be woken, where its Contact says so: ``pn-purr`` (RFC
        8599 section 6.2.3)."""
        uri = request.uri
        waker = self.waker
        purr = uri.params.get("pn-purr") if isinstance(uri, SIPURI) else None
        meant = self._element.temporary_gruus.read_purr(purr) if purr else None
        if meant is None or waker is None:
            return target
        aor, device = meant
        found = self._element.temporary_gruus.of_purr(self._in_memory(aor), device)
        binding = found[0] if found else None
        if binding is None or not (target.flow_lost or waker.asleep(binding)):
            return target
        # The way to it may be another one afterwards.
        return attrs.evolve(
            target,
            flow=None,
            flow_lost=False,
            waking=lambda: self._woken(binding, request.method, lambda fresh: self._there_again(target, fresh)),
        )

    def _there_again(self, target: Target, fresh: Binding) -> Target:
        found = self.target_of(fresh)
        return attrs.evolve(target, flow=found.flow or target.flow, flow_lost=found.flow_lost, key=fresh.key)

    def reaching(self, binding: Binding) -> Target:
        """Return what :meth:`target_of` does, and have its device woken if it sleeps: for those who try again once it
        has registered, and do not wait.

        :raises RemoteProtocolError: its contact cannot be used.
        """
        waker = self._element.waker
        if binding.push and waker is not None:
            waker.nudge(binding, "MESSAGE")
        return self.target_of(binding)

    # -- single bindings -----------------------------------------------------------------

    def target_of(self, binding: Binding) -> Target:
        """Return *binding* as a target.

        :raises RemoteProtocolError: its contact cannot be used.
        """
        known = self._plain.get((binding.aor, binding.key))
        if known is not None and known[0] is binding:
            return known[1][0]
        target = self._made(binding)
        if (
            target.flow is None
            and not target.flow_lost
            and not binding.push
            and not (isinstance(target.uri, SIPURI) and target.uri.headers)
        ):
            # It stays what it is for as long as the binding does: most contacts are reached as they are written.
            if len(self._plain) >= _REMEMBERED:
                self._plain.clear()
            self._plain[binding.aor, binding.key] = (binding, (target,))
        return target

    def _made(self, binding: Binding) -> Target:
        uri = parse_uri(binding.contact)
        if not isinstance(uri, SIPURI):
            if self.any_scheme:
                return Target(uri=uri, q=binding.q, aor=binding.aor, key=binding.key, binding=binding)
            raise RemoteProtocolError("No SIP URI", status=416)
        flow: Flow | None = None
        lost = False
        if binding.flow and not binding.path:
            kind, _, address = binding.received.partition(":")
            # A contact in our own domain forwards to another of our users.
            if binding.reg_id or not (reachable(uri, kind, address) or self._element.domains.is_local_uri(uri)):
                flow = self._element.transports.flow_from_token(binding.flow)
                lost = flow is None
        return Target(
            uri=uri,
            q=binding.q,
            flow=flow,
            flow_lost=lost,
            path=binding.path,
            instance=binding.instance,
            aor=binding.aor,
            key=binding.key,
            binding=binding,
        )

    def flow_of_binding(self, aor: str, key: str) -> Flow | None:
        """Return the open flow of the binding *key* of *aor*, None if there is none (or it is not in memory)."""
        for binding in self._in_memory(aor):
            if binding.key == key and binding.flow:
                return self._element.transports.flow_from_token(binding.flow)
        return None

    def is_flow_of_binding(self, aor: str, key: str, flow: Flow) -> bool:
        """Tell whether *flow*, which is open, is that of the binding *key* of *aor*."""
        # An open flow and its token name each other.
        for binding in self._in_memory(aor):
            if binding.key == key:
                return binding.flow == flow.token
        return False

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
        if type(found) is not list and isinstance(found, Deferred):
            found.addErrback(lambda failure: None)
            return ()
        return found


def _tried(there: Callable[[Binding], Target], fresh: Binding) -> Target | None:
    try:
        return there(fresh)
    except RemoteProtocolError:
        return None
