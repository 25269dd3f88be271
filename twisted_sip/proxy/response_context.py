"""The response context: all branches of one request and what goes back upstream (RFC 3261 section 16.7).

Serial groups by q, CANCEL of losers, 6xx, the best of the final responses, RFC 4320 for requests other than INVITE.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.errors import RemoteProtocolError, TransportError
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.builders import response_to
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.proxy.best_response import best_response
from twisted_sip.proxy.branch import Branch
from twisted_sip.proxy.failover import FailoverBranch, groups_left
from twisted_sip.proxy.notes import ANSWERED, GIVEN_UP, NEXT_FLOW, note_chosen, note_group
from twisted_sip.proxy.onward import search_on
from twisted_sip.proxy.record_route import FlowMark
from twisted_sip.proxy.target_groups import grouped, identity_of
from twisted_sip.proxy.waking import WakingBranch
from twisted_sip.transaction.states import TERMINATED

if TYPE_CHECKING:
    from twisted_sip.interfaces.processing import IncomingRequest
    from twisted_sip.proxy.service import ProxyService

#: Final responses after which another flow of the same instance is tried (RFC 5626 section 7), beside a 503 made here
#: where nobody was reached.
_NEXT_FLOW = (408, 430)
#: Why the other branches are cancelled (RFC 3326 section 3.1).
_ELSEWHERE = (("reason", 'SIP;cause=200;text="Call completed elsewhere"'),)

_log = Logger()


class ResponseContext:
    """The state of one forwarded request; the user of its server transaction.

    :ivar service: the proxy.
    :ivar incoming: the request as it came, with its server transaction.
    :ivar calls: the request is an INVITE.
    :ivar caller_mark: the flow back to the caller for Record-Route, None if its Contact is reachable.
    :ivar pinned: both sides of the dialog stay on the flows over which it is set up, whatever their Contacts say.
    :ivar in_dialog: the request has a To tag.
    :ivar loop_suffix: the loop part of the branches.
    :ivar breadth: what may be shared out among the branches (RFC 5393 section 5.3.3).
    :ivar breadth_given: the request has a Max-Breadth.
    """

    __slots__ = (
        "_alternatives",
        "_answered",
        "_branches",
        "_cancelled",
        "_ends_at",
        "_groups",
        "_pending",
        "_stop",
        "breadth",
        "breadth_given",
        "caller_mark",
        "calls",
        "forked",
        "in_dialog",
        "incoming",
        "loop_suffix",
        "pinned",
        "request",
        "service",
        "transaction",
    )

    def __init__(
        self,
        service: ProxyService,
        incoming: IncomingRequest,
        loop_suffix: str,
        breadth: int,
        breadth_given: bool,
        in_dialog: bool,
        caller_mark: FlowMark | None,
        pinned: bool,
    ) -> None:
        self.service = service
        self.incoming = incoming
        self.request: Request = incoming.request
        self.calls = incoming.request.method == "INVITE"
        self.in_dialog = in_dialog
        self.loop_suffix = loop_suffix
        self.breadth = breadth
        self.breadth_given = breadth_given
        self.caller_mark = caller_mark
        self.pinned = pinned
        self.forked = False
        self.transaction: Any = None
        # Groups and alternatives are made where there is more than one target.
        self._groups: list[list[Target]] | None = None
        self._alternatives: dict[tuple[str, str], list[Target]] | None = None
        self._branches: list[Branch] = []
        self._pending = 0
        self._answered = False
        self._cancelled = False
        self._stop = False
        # When the client of another request than an INVITE gives up; None while nobody but one target is asked.
        self._ends_at: float | None = None

    def start(self, targets: Sequence[Target]) -> None:
        """Begin with the first group of *targets* (section 16.6)."""
        incoming = self.incoming
        calls = self.calls
        transaction = self.transaction = incoming.start_transaction(self, trying=calls)
        if incoming.over:
            # Cancelled while its way was looked for.
            return
        if calls:
            # For one that was there before.
            transaction.trying()
        if len(targets) == 1:
            # The usual case of _next_group(): nobody to fork to, and no group after this one.
            target = targets[0]
            branch = _branch(self, target, self.breadth)
            self._branches.append(branch)
            self._pending = 1
            self._start(branch)
        else:
            if not calls:
                # A round trip before Timer F fires there: an answer made later would come too late.
                values = self.service.element.transactions.values
                self._ends_at = self.service.element.timers.now() + values.timeout - values.T1
            settings = self.service.settings
            self._alternatives = {}
            groups = self._groups = grouped(targets, settings.fork, settings.max_branches, self._alternatives)
            self._next_group(groups)

    def _next_group(self, groups: list[list[Target]]) -> None:
        group = groups.pop(0)
        share = self.breadth
        if len(group) > 1:
            self.forked = True
            if len(group) > self.breadth:
                # RFC 5393 section 5.3.3: not enough breadth for all of them.
                groups.insert(0, group[self.breadth :])
                group = group[: self.breadth]
            share = max(1, self.breadth // len(group))
        note_group(self, group, bool(groups))
        branches = [_branch(self, target, share) for target in group]
        self._branches.extend(branches)
        self._pending += len(branches)
        if self._branches[0] is not branches[0] and self.calls:
            # The search goes on: nobody upstream shall think that we are gone.
            self.transaction.send(response_to(self.request, 100))
        for branch in branches:
            if self._stop:
                # One before it has ended the search at once.
                self._pending -= 1
                branch.final = self.local_response(487, "")
            else:
                self._start(branch)
        if self._stop and not self._pending and not self._answered:
            self._finish()

    def _start(self, branch: Branch) -> None:
        if branch.target.flow_lost:
            branch.failed(None, 430, "Flow Failed")
            return
        try:
            branch.start()
        except RemoteProtocolError as error:
            branch.failed(None, error.status, error.reason)
        except Exception:
            # A policy, or what a target says, is wrong: the other branches go on.
            _log.failure("a branch was not sent: {target}", target=branch.target)
            branch.failed(None, 500, "Server Internal Error")

    # -- from the branches -----------------------------------------------------------

    def local_response(self, status: int, reason: str, headers: Iterable[tuple[str, str]] = ()) -> Response:
        """Return a response made here in the name of a branch that gave none."""
        return response_to(self.request, status, reason, headers, b"", self.incoming.to_tag)

    def provisional(self, branch: Branch, response: Response) -> None:
        """Forward a 101 to 199 at once (section 16.7 step 5); RFC 4320 section 4.1 has none but for INVITE."""
        if self.calls and not self._answered:
            self._forward(response)

    def final(self, branch: Branch, response: Response, again: bool) -> None:
        """A branch has ended with *response*; *again* for one more 2xx of the same branch (RFC 6026 section 7.2)."""
        if not again:
            self._pending -= 1
            if response.status < 300 and not self._answered and not self._pending and not self._groups:
                # The usual case of _judge(): it is the only one.
                self._answered = self._stop = True
                self._forward(response)
                self._release()
                return
        self._judge(branch, response, again)
        if self._answered and not self._pending:
            self._release()

    def _release(self) -> None:
        """Let go of what is done, so that it is not kept for as long as the transactions last, nor by cycles."""
        self._branches = []
        self._alternatives = None
        if not self.calls:
            self.transaction.forget()

    def _judge(self, branch: Branch, response: Response, again: bool) -> None:
        """Decide what becomes of a final *response* (section 16.7 steps 5 and 6)."""
        status = response.status
        if status < 300:
            first = not self._answered
            if first or self.calls:
                self._answered = True
                self._forward(response)
            if first:
                if self._pending or self._groups:
                    self.incoming.note("proxy", ANSWERED, "", str(branch.target.uri))
                    self._give_up(_ELSEWHERE)
                else:
                    self._stop = True
            return
        if again or self._answered:
            return
        if status >= 600:
            # Step 5: the search is over, but the others may still give a 2xx.
            self._give_up((("reason", f"SIP;cause={status}"),))
        elif self._too_late():
            # RFC 4320 section 4.2: nobody waits for what others would answer.
            self._stop = True
        elif not self._stop and self._next_flow(branch, response):
            return
        if branch.target.failover is not None and self._groups and not self._stop:
            self._groups = groups_left(branch, response, self._groups, self.incoming)
        if self._pending:
            return
        if self._groups and not self._stop:
            self._next_group(self._groups)
            return
        self._finish()

    def _too_late(self) -> bool:
        """Tell whether the client of a request other than an INVITE has given up, or is about to."""
        if self._ends_at is None:
            return False
        return self.transaction.state is TERMINATED or self.service.element.timers.now() >= self._ends_at

    def _next_flow(self, branch: Branch, response: Response) -> bool:
        """Try another flow of the same instance; tell whether there was one."""
        if response.status not in _NEXT_FLOW and (response.status != 503 or response.flow is not None):
            return False
        if self._alternatives is None or not branch.target.instance or branch.rang_out:
            # What has rung for long enough is not called over another flow.
            return False
        others = self._alternatives.get(identity_of(branch.target))
        if not others:
            return False
        self.incoming.note("proxy", NEXT_FLOW)
        following = _branch(self, others.pop(0), branch.breadth)
        self._branches.remove(branch)
        self._branches.append(following)
        self._pending += 1
        self._start(following)
        return True

    def _give_up(self, headers: tuple[tuple[str, str], ...]) -> None:
        self._stop = True
        self._groups = None
        for branch in self._branches:
            if branch.final is None:
                branch.cancel(headers)

    def _finish(self) -> None:
        """Every branch has ended without a 2xx: go on, or forward the best response (section 16.7 step 6)."""
        if self.calls and not self._cancelled and self._branches and search_on(self, self._branches):
            return
        self._end_search()

    def go_on(self, targets: Sequence[Target]) -> None:
        """Go on with further *targets*, if there are any, when all others have been tried."""
        settings = self.service.settings
        tried = [branch.target for branch in self._branches]
        self._alternatives = {}
        groups = grouped(targets, settings.fork, max(0, settings.max_branches - len(tried)), self._alternatives, tried)
        if not groups or self._cancelled:
            self._end_search()
            self._release()
            return
        self._stop = False
        # RFC 5359 section 2.8.
        self._forward(self.local_response(181, ""))
        self._groups = groups
        self._next_group(groups)

    def _end_search(self) -> None:
        self._answered = True
        finals = [branch.final for branch in self._branches if branch.final is not None]
        chosen = best_response(finals)
        if self._cancelled and (chosen.status == 408 or (chosen.flow is None and chosen.status != 487)):
            # Nobody has answered: the one who does, for the caller has given up, is us (section 9.2).
            chosen = self.local_response(487, "")
        note_chosen(self, finals, chosen)
        if chosen.status == 408 and not self.calls:
            # RFC 4320 section 4.2: nobody gains from a 408 to such a request.
            self.transaction.abandon()
            return
        self._forward(chosen)

    def _forward(self, response: Response) -> None:
        if response.flow is not None:
            # Section 16.7 step 3: our own Via goes; what is left names the client.
            headers = response.headers
            place = headers.names.index("via")
            if "," in headers.lines[place]:
                headers.remove_first_element("via")
            else:
                # The same without looking for the place again.
                del headers.names[place], headers.lines[place]
                headers.parsed.pop("via", None)
            if "via" not in headers.names:
                if response.status < 200:
                    return
                # It must not be forwarded, but the client is to have its end.
                response = self.local_response(502, "")
        service = self.service
        holds: list[Deferred[Any]] | None = None
        try:
            for policy in service.policies:
                hold = policy.response(response, self)
                if hold is not None:
                    holds = [hold] if holds is None else [*holds, hold]
            service.response_forwarded(response, self)
        except Exception:
            # What should be hidden from the client may still be in it.
            _log.failure("a response was not forwarded: {response}", response=response)
            if response.status < 200:
                return
            response = self.local_response(500, "")
            holds = None
        if holds is None:
            self.transaction.send(response)
        else:
            self._send_after(holds, response)

    def _send_after(self, holds: list[Deferred[Any]], response: Response) -> None:
        """Send *response* once all *holds* have fired, in whatever way: they may be shared by many."""
        if holds:
            holds.pop().addBoth(self._held, holds, response)
        else:
            self.transaction.send(response)

    def _held(self, result: Any, holds: list[Deferred[Any]], response: Response) -> None:
        if isinstance(result, Failure):
            _log.failure("what {response} has waited for failed", result, response=str(response))
        self._send_after(holds, response)

    # -- the user of the server transaction ----------------------------------------------

    def cancelled(self, transaction: Any, cancel: Request) -> None:
        """The client gives up (section 16.10)."""
        self._cancelled = True
        self.incoming.note("proxy", GIVEN_UP)
        reasons = tuple(("reason", value) for value in cancel.headers.all("reason"))
        self._give_up(reasons)

    def ack_timed_out(self, transaction: Any) -> None:
        """Timer H: the client never acknowledged; there is nothing to undo in a proxy (section 17.2.1)."""

    def transport_failed(self, transaction: Any, error: TransportError) -> None:
        """The response found no way back: look for another one (section 18.2.2)."""
        self.service.element.find_way_back(transaction)


def _branch(context: ResponseContext, target: Target, breadth: int) -> Branch:
    if target.waking is not None:
        return WakingBranch(context, target, breadth)
    return (Branch if target.failover is None else FailoverBranch)(context, target, breadth)
