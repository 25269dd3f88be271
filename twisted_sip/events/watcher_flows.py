"""Ways to watchers whose connection is gone: the flows by which their devices have registered since (RFC 5626).

A NOTIFY goes down the connection of its SUBSCRIBE. A device that has lost that, and is behind a NAT, can be reached
where it has registered anew. As soon as it has, it is told what could not be told meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.events.delivery import Delivery
from twisted_sip.events.hosted import HostedSubscription
from twisted_sip.interfaces.flow import Flow
from twisted_sip.interfaces.location import Binding, ILocationStore, LocationChange
from twisted_sip.message.gruu import gruu_instance, instance_key
from twisted_sip.message.uri import SIPURI

_STREAMS = frozenset(("tcp", "tls", "ws", "wss"))


class WatcherFlows:
    """Finds flows for the subscriptions of one notifier.

    :param flow_from_token: gives the open flow that a token names, None if it is gone.
    :param location: where the devices of watchers register.
    """

    def __init__(self, flow_from_token: Callable[[str], Flow | None], location: ILocationStore) -> None:
        self._flow_from_token = flow_from_token
        self._location = location
        self._stop: Callable[[], None] | None = None

    def find(self, subscription: HostedSubscription) -> Flow | None:
        """Return the flow to the watcher: that of its SUBSCRIBE while it is open, else that of the binding of the same
        device; None where there is none.

        Where it has a way but no flow, nobody answered there: another one is looked for.
        """
        flow = self._flow_from_token(subscription.flow) if subscription.flow else None
        if flow is not None:
            return flow
        failed = "" if subscription.way is None else subscription.way.token
        for binding in bindings_of(subscription, self._bindings(subscription)):
            flow = self._flow_from_token(binding.flow) if binding.flow and binding.flow != failed else None
            if flow is not None:
                return flow
        return None

    def observe(self, delivery: Delivery) -> None:
        """From now on have *delivery* try again at once when a watcher has registered anew."""
        held_off = delivery.held_off

        def changed(change: LocationChange) -> None:
            for subscription in held_off.of(change.aor) if change.put else ():
                if bindings_of(subscription, change.put):
                    held_off.retry(subscription)

        def back(subscription: HostedSubscription) -> bool:
            found = bindings_of(subscription, self._bindings(subscription))
            return any(binding.registered_at >= subscription.sent_at for binding in found)

        held_off.back = back
        self._stop = self._location.observe(changed)

    def close(self) -> None:
        """Observe no more. Harmless when repeated."""
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()

    def _bindings(self, subscription: HostedSubscription) -> Sequence[Binding]:
        found = self._location.lookup(subscription.watcher)
        # A NOTIFY does not wait for a store elsewhere.
        return () if isinstance(found, Deferred) else found


def bindings_of(subscription: HostedSubscription, bindings: Sequence[Binding]) -> list[Binding]:
    """Return those of *bindings*, all of the watcher, that are the device of *subscription*, the surest first.

    It is the same device that has the same contact or instance (RFC 5626 section 4.1, RFC 5627 section 3.3); failing
    these, the only one that differs in the port of its connection alone.
    """
    text = str(subscription.dialog.remote_target)
    sure = [binding for binding in bindings if binding.contact == text]
    target = _sip_uri(text)
    instance = subscription.instance or (gruu_instance(target) if target is not None else None)
    if instance:
        sure += [each for each in bindings if each.instance and instance_key(each.instance) == instance]
    if sure or target is None:
        return sure
    place = _place(target)
    likely = [each for each in bindings if (uri := _sip_uri(each.contact)) is not None and _place(uri) == place]
    return likely if place is not None and len(likely) == 1 else []


def _sip_uri(text: str) -> SIPURI | None:
    try:
        return SIPURI.parse(text)
    except RemoteProtocolError:
        return None


def _place(uri: SIPURI) -> tuple[str, str, bool] | None:
    """Return what the contacts of one device share whose connections come from another port each; None for what is
    reached without a connection."""
    if not uri.secure and uri.transport not in _STREAMS:
        return None
    return uri.address_of_record, uri.transport, uri.secure
