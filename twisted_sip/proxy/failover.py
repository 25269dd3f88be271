"""Branches to one of several gateways: when the next one is tried, and what becomes of the one given up.

RFC 3261 sections 9.1 (CANCEL waits for a provisional response), 16.6 (serial search), 16.7 step 5 (a 2xx that comes
late) and 16.9; RFC 3263 section 4.3 is the same thing for the servers of one name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted_sip.errors import TransactionLimitReached
from twisted_sip.interfaces.routing import Failover, Target
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.proxy.branch import Branch
from twisted_sip.proxy.gateways.channels import name_of

if TYPE_CHECKING:
    from twisted_sip.interfaces.processing import IncomingRequest
    from twisted_sip.proxy.response_context import ResponseContext


class FailoverBranch(Branch):
    """A branch whose target has a Failover.

    :ivar rang: the callee was reached: 180 has come.
    """

    __slots__ = ("_given_up", "_silence", "_terms", "rang")

    def __init__(self, context: ResponseContext, target: Target, breadth: int) -> None:
        Branch.__init__(self, context, target, breadth)
        assert target.failover is not None
        self._terms: Failover = target.failover
        self._silence: Any = None
        self._given_up = False
        self.rang = False

    def start(self) -> None:
        """Send the copy; the first response has to come in time."""
        context = self._context
        context.incoming.note("gateway", f"sent to {self._terms.name}: {self.target.uri}", self._terms.key)
        if self._terms.began is not None and context.calls:
            self._terms.began(_name(context.request))
        Branch.start(self)
        if self._terms.no_response:
            self._silence = context.service.element.timers.start(self._terms.no_response, self._silent)

    def response_received(self, outgoing: Any, response: Response) -> None:
        """A response of the gateway."""
        self._heard_of()
        status = response.status
        if self._given_up:
            self._late(response)
            return
        if status == 180:
            self.rang = True
        elif status >= 200 and self.final is None:
            self._terms.outcome(status, True)
            if status >= 300:
                self._came_to_nothing()
        Branch.response_received(self, outgoing, response)

    def _late(self, response: Response) -> None:
        """A response of a gateway that was given up. Provisional ones are answered with the CANCEL that waited for one
        (section 9.1), by the transaction; other failures tell nothing any more."""
        status = response.status
        if status < 200:
            return
        transaction, self.transaction = self.transaction, None
        if transaction is not None:
            transaction.forget()
        self._terms.outcome(status, True)
        if status < 300:
            if self._terms.began is not None and self._context.calls:
                self._terms.began(_name(self._context.request))
            # Section 16.7 step 5: it is forwarded, and what rings elsewhere is cancelled.
            self._context.final(self, response, True)

    def failed(self, outgoing: Any, status: int, reason: str) -> None:
        """No response, or no way."""
        if self.final is not None:
            return
        self._heard_of()
        self._came_to_nothing()
        full = outgoing is not None and isinstance(outgoing.error, TransactionLimitReached)
        if status in (408, 503) and not self._proceeding and not full:
            self._terms.outcome(status, False)
        Branch.failed(self, outgoing, status, reason)

    def _came_to_nothing(self) -> None:
        if self._terms.ended is not None and self._context.calls:
            self._terms.ended(_name(self._context.request))

    def _heard_of(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def _silent(self) -> None:
        """Not even a 100 (Trying): the next one is tried. Should it answer yet, it is told that it is too late."""
        self._silence = None
        if self.final is not None or self.cancelled:
            return
        outgoing = self.outgoing
        if self._context.calls:
            self.cancelled = True
            self._cancel_sent()
        elif outgoing is not None:
            outgoing.cancel()
        self._given_up = True
        self.failed(None, 408, "Request Timeout")


def groups_left(
    branch: Branch, response: Response, groups: list[list[Target]], incoming: IncomingRequest
) -> list[list[Target]]:
    """Return those of the *groups* of targets that are still to be tried.

    :param branch: the one that has ended; its target has a Failover.
    :param response: how it has ended, no 2xx.
    :param incoming: is told why.
    """
    terms = branch.target.failover
    assert terms is not None
    note, status = incoming.note, response.status
    if branch.rang_out:
        # Who does not answer would not answer over another gateway.
        others = [[target for target in group if target.failover is None] for group in groups]
        return [group for group in others if group]
    made_here = response.flow is None
    if (made_here and status in (408, 430, 480, 500, 503)) or (
        status in terms.statuses and not (isinstance(branch, FailoverBranch) and branch.rang)
    ):
        if not made_here:
            what, key = f"answered {status}", "gateways.failover"
        elif status == 408:
            what, key = "gave no response", "gateways.no_response"
        else:
            what, key = "was not reached", terms.key
        note("gateway", f"{terms.name} {what}: the next one is tried", key)
        return groups
    if status in terms.statuses:
        # The key would go on with the next one: it is the ringing that keeps it from doing so.
        note("gateway", f"{terms.name} has rung, and then answered {status}: nobody else is tried")
    else:
        note("gateway", f"{terms.name} answered {status}: nobody else is tried", "gateways.failover")
    return []


def _name(request: Request) -> str:
    return name_of(request, request.from_.tag)
