"""Sends calls where the call policies of our users say: forwarded always, declined by caller, hours, do-not-disturb.

RFC 5359 sections 2.7 and 2.13. What becomes of a call later (busy, no answer) is not seen here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from twisted_sip.calls.call_policy import Action, caller_of, decide
from twisted_sip.interfaces.call_policy import ANONYMOUS, CallPolicy, ICallPolicyStore
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.routing import IRouter, Target
from twisted_sip.message.builders import response_to
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, URI, parse_uri

Routed = Sequence[Target] | Response


@implementer(IRouter)
class PolicyRouter:
    """Asks the call policies of our users; put it before the location router.

    :param store: an ICallPolicyStore.
    :param is_local_uri: tells whether a URI is in one of our domains.
    :param now: seconds since the epoch.
    """

    def __init__(self, store: Any, is_local_uri: Callable[[URI], bool], now: Callable[[], float]) -> None:
        self._store: ICallPolicyStore = store
        self._is_local_uri = is_local_uri
        self._now = now

    def route(self, incoming: IncomingRequest) -> Routed | Deferred[Routed]:
        """Return where the call goes, or how it is declined; an empty sequence where the policy has no word on it."""
        request = incoming.request
        uri = request.known_uri or request.uri
        if request.method != "INVITE" or not isinstance(uri, SIPURI) or not uri.user or not self._is_local_uri(uri):
            return ()
        found: Any = self._store.lookup(uri.address_of_record)
        if isinstance(found, Deferred):
            return found.addCallback(self._decided, incoming)
        return self._decided(found, incoming)

    def _decided(self, policy: CallPolicy | None, incoming: IncomingRequest) -> Routed:
        request = incoming.request
        if policy is None:
            return ()
        caller = caller_of(request.from_.uri)
        if incoming.user and caller != ANONYMOUS:
            # Whom digest has told us counts for more than what stands in From.
            caller = caller_of(parse_uri(incoming.user))
        made = decide(policy, caller, datetime.fromtimestamp(self._now(), UTC))
        if made.action is Action.FORWARD:
            return [Target(uri=parse_uri(made.target))]
        if made.action is Action.DECLINE:
            return response_to(request, made.status, made.reason, to_tag=incoming.to_tag)
        return ()
