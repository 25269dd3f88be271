"""A request other than an INVITE on its way to one target: response context and branch in one (RFC 3261 section 16).

Most requests have one target, and get a 2xx from there. What else may happen is for a ResponseContext with a Branch,
which are made as soon as it turns out, and go on as if they had been there from the beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted_sip.element.straight import StraightUser
from twisted_sip.interfaces.flow import Flow
from twisted_sip.interfaces.routing import IForwardingPolicy, Target
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI
from twisted_sip.proxy.branch import Branch, forwarded_copy
from twisted_sip.proxy.response_context import ResponseContext
from twisted_sip.proxy.upstream import Upstream

if TYPE_CHECKING:
    from twisted_sip.interfaces.processing import IncomingRequest
    from twisted_sip.proxy.service import ProxyService


class OneTarget(StraightUser, Upstream):
    """Such a request on its way; the user of its client transaction.

    Its server transaction has no user but the element, which does what a ResponseContext would: there is no CANCEL for
    such requests (section 9.2), and a response that cannot be sent is sent another way.

    :ivar target: where it goes.
    :ivar loop_suffix: as that of ResponseContext.
    :ivar record: as that of ResponseContext.
    """

    __slots__ = (
        "in_dialog",
        "incoming",
        "loop_suffix",
        "policies",
        "record",
        "request",
        "server",
        "service",
        "target",
    )

    # As those of ResponseContext are for such a request.
    breadth_given = calls = forked = pinned = setting_up = False
    caller_mark = disposition = history = None
    began_at = rang_at = 0.0

    def __init__(
        self,
        service: ProxyService,
        incoming: IncomingRequest,
        target: Target,
        loop_suffix: str,
        in_dialog: bool,
        server: Any,
        policies: Sequence[IForwardingPolicy],
    ) -> None:
        self.service = service
        self.incoming = incoming
        self.request = incoming.request
        self.target = target
        self.loop_suffix = loop_suffix
        self.in_dialog = in_dialog
        self.server = server
        self.policies = policies
        self.record: Any = None
        self.transaction = None
        self.cancelled = False

    @property
    def branches(self) -> Sequence[OneTarget]:
        """What stands for the branches: this, for its target."""
        return (self,)

    def unfolded(self) -> Branch:
        """Put a ResponseContext and its Branch in the place of this, and return the branch."""
        service = self.service
        breadth = service.settings.max_breadth
        context = ResponseContext(
            service, self.incoming, self.loop_suffix, breadth, False, self.in_dialog, None, False, self.policies
        )
        context.record = self.record
        branch = context.begin(self.server, self.target)
        if self.transaction is not None:
            branch.sender, branch.to_server, branch.transaction = self.sender, self.to_server, self.transaction
            self.transaction = None
        return branch

    # -- the user of a client transaction --------------------------------------------------

    def prepare(self, request: Request, flow: Flow) -> None:
        """Nothing in *request* depends on the flow; but it may be one that it must not take."""
        guard = self.service.guard
        if guard is not None and not self.in_dialog:
            guard(request, self.target, flow.remote, self.incoming)

    def response_received(self, outgoing: Any, response: Response) -> None:
        """A response of the server (section 16.7)."""
        status = response.status
        if status >= 300:
            self.unfolded().response_received(outgoing, response)
            return
        transaction = self.transaction
        if transaction is not None:
            if self.sender.dead_targets.marks:
                self.note_answer(response)
            if status < 200:
                # RFC 4320 section 4.1: it goes no further.
                return
            self.transaction = None
            transaction.forget()
        if status >= 200:
            self._forward(response)
            self.server.forget()

    def failed(self, outgoing: None, status: int, reason: str) -> None:
        """The server did not answer (section 16.9)."""
        self.unfolded().failed(outgoing, status, reason)


def forward_to_one(
    service: ProxyService, incoming: IncomingRequest, target: Target, loop_suffix: str, in_dialog: bool
) -> bool:
    """Forward a request, none of whose header fields asks for more, to *target*.

    :return: False if nothing was done, since *target* is not the usual one: it is for a ResponseContext.
    :raises TransactionLimitReached: there is no room for it.
    """
    uri = target.uri
    if (
        type(uri) is not SIPURI
        or uri.scheme != "sip"
        or incoming.request.uri_text[:4] != "sip:"
        or target.flow_lost
        or target.path
        or target.steps
        or target.secure
        or target.waking is not None
        or target.failover is not None
    ):
        return False
    server = incoming.start_transaction()
    if server.last_response is not None:
        return False
    policies = service.policies_for(incoming.request.method, in_dialog)
    one = OneTarget(service, incoming, target, loop_suffix, in_dialog, server, policies)
    copy = forwarded_copy(incoming.request, target, service.settings.max_forwards)
    headers = copy.headers
    # RFC 5393 section 5.3.3: every proxied request has one.
    headers.names.append("max-breadth")
    headers.lines.append(f"Max-Breadth: {service.settings.max_breadth}")
    try:
        for policy in policies:
            policy.branch(copy, target, incoming)
        if "route" in headers.names or not service.element.sender.start_straight(copy, one, target.flow, loop_suffix):
            one.unfolded().send(copy)
    except Exception as error:
        one.unfolded().not_sent(error)
    return True
