"""The search for somebody who takes a request: targets in groups, one after the other, and those added on the way.

RFC 3261 sections 16.5 and 16.6 (targets), 16.7 steps 4 and 6 (redirections, the best response), RFC 5393 section 5.3.3
(Max-Breadth), RFC 5626 sections 5.3 and 7 (flows of one device). What comes back is the response context's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted_sip.interfaces.routing import IForwardingPolicy, Target
from twisted_sip.message.builders import response_to
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.proxy.best_response import best_response
from twisted_sip.proxy.branch import Branch
from twisted_sip.proxy.failover import FailoverBranch
from twisted_sip.proxy.notes import NEXT_FLOW, TOO_MANY, note_chosen, note_group
from twisted_sip.proxy.onward import search_on
from twisted_sip.proxy.record_route import FlowMark
from twisted_sip.proxy.target_groups import fork_of, grouped, identity_of
from twisted_sip.proxy.upstream import Upstream
from twisted_sip.proxy.waking import WakingBranch

if TYPE_CHECKING:
    from twisted_sip.element.history import RequestHistory
    from twisted_sip.interfaces.processing import IncomingRequest
    from twisted_sip.message.caller_preferences import RequestDisposition
    from twisted_sip.proxy.service import ProxyService

#: Final responses after which another flow of the same instance is tried (RFC 5626 section 7), beside a 503 made here
#: where nobody was reached.
_NEXT_FLOW = (408, 430)


def branch_to(context: Any, target: Target, breadth: int) -> Branch:
    """Return a branch of *context* to *target*, not started."""
    if target.waking is not None:
        return WakingBranch(context, target, breadth)
    return (Branch if target.failover is None else FailoverBranch)(context, target, breadth)


class Search(Upstream):
    """The branches of one forwarded request, and the targets that have not been tried.

    :ivar caller_mark: the flow back to the caller for Record-Route, None if its Contact is reachable.
    :ivar pinned: both sides of the dialog stay on the flows over which it is set up, whatever their Contacts say.
    :ivar loop_suffix: the loop part of the branches.
    :ivar breadth: what may be shared out among the branches (RFC 5393 section 5.3.3).
    :ivar breadth_given: the request has a Max-Breadth.
    :ivar disposition: what the caller wishes us to do (RFC 3841 section 9.1), None where nothing is said.
    :ivar history: the targets that the request has had (RFC 7044), None where nobody wants to know.
    :ivar began_at: when a call began, in seconds since the epoch.
    :ivar rang_at: when a device first rang, 0.0 if none has; who keeps call records notes it.
    :ivar record: what those know of the call that it is, None for nothing.
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
        "began_at",
        "breadth",
        "breadth_given",
        "caller_mark",
        "calls",
        "disposition",
        "forked",
        "history",
        "in_dialog",
        "incoming",
        "loop_suffix",
        "pinned",
        "policies",
        "rang_at",
        "record",
        "request",
        "server",
        "service",
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
        policies: Sequence[IForwardingPolicy],
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
        self.policies = policies
        self.forked = False
        self.disposition: RequestDisposition | None = None
        self.history: RequestHistory | None = None
        self.server: Any = None
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
        self.began_at = service.element.timers.now() if self.calls else 0.0
        self.rang_at = 0.0
        self.record: Any = None

    @property
    def setting_up(self) -> bool:
        """It is a call that has not come to an answer or a refusal yet."""
        return self.calls and not self.in_dialog and not self._answered

    @property
    def given_up(self) -> bool:
        """The client has cancelled it before there was an answer or a refusal."""
        return self._cancelled

    @property
    def branches(self) -> Sequence[Branch]:
        """The branches so far, in the order in which they were made; none once all is over."""
        return self._branches

    def _grouped(self, targets: Sequence[Target]) -> list[list[Target]]:
        """Return those of *targets* that have not been tried, in groups."""
        settings = self.service.settings
        tried = [branch.target for branch in self._branches]
        most = max(0, settings.max_branches - len(tried))
        if len(targets) > most:
            self.incoming.note("proxy", TOO_MANY, "proxy.max_branches", str(len(targets)), str(most))
        if self._alternatives is None:
            self._alternatives = {}
        return grouped(targets, fork_of(settings.fork, self.disposition), most, self._alternatives, tried)

    def _next_group(self, groups: list[list[Target]], breadth: int = 0) -> None:
        group = groups.pop(0)
        share = breadth = breadth or self.breadth
        if len(group) > 1:
            self.forked = True
            if len(group) > breadth:
                # RFC 5393 section 5.3.3: not enough breadth for all of them.
                groups.insert(0, group[breadth:])
                group = group[:breadth]
            share = max(1, breadth // len(group))
        note_group(self, group, bool(groups))
        branches = [branch_to(self, target, share) for target in group]
        self._branches.extend(branches)
        self._pending += len(branches)
        if self._branches[0] is not branches[0] and self.calls:
            # The search goes on: nobody upstream shall think that we are gone.
            self.server.send(response_to(self.request, 100))
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
        except Exception as error:
            branch.not_sent(error)

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
        following = branch_to(self, others.pop(0), branch.breadth)
        self._branches.remove(branch)
        self._branches.append(following)
        self._pending += 1
        self._start(following)
        return True

    def _ended(self) -> None:
        """Go on where nobody is left who could answer."""
        if self._pending:
            return
        if self._groups and not self._stop:
            self._next_group(self._groups)
            return
        self._finish()

    def go_on(self, targets: Sequence[Target]) -> None:
        """Go on with further *targets*, if there are any, when all others have been tried."""
        if self._answered:
            # By somebody who was given up, meanwhile.
            return
        self._alternatives = None
        groups = self._grouped(targets)
        if not groups or self._cancelled:
            self._end_search()
            self._release()
            return
        self._stop = False
        self._say_forwarded()
        self._groups = groups
        self._next_group(groups)

    def redirected(self, branch: Branch, targets: Sequence[Target], rest: Response | None) -> None:
        """Go on with *targets* in the place of *branch*, which has ended with a redirection (section 16.7 step 4).

        :param rest: what is left of the response if they are followed.
        """
        self._pending -= 1
        groups = [] if self._answered or self._stop else self._grouped(targets)
        if groups:
            # Without contacts the response tells nobody anything.
            branch.final = rest if rest is not None and "contact" in rest.headers.names else None
            self._say_forwarded()
            groups += self._groups or []
            self._groups = groups
            self._next_group(groups, branch.breadth)
        elif self._answered:
            if not self._pending:
                self._release()
        else:
            self._ended()
            if self._answered and not self._pending:
                self._release()

    def _say_forwarded(self) -> None:
        """RFC 5359 section 2.8; none but an INVITE has provisional responses."""
        if self.calls:
            self._forward(self.local_response(181, ""))

    def _finish(self) -> None:
        """Every branch has ended without a 2xx: go on, or forward the best response (section 16.7 step 6)."""
        if self.calls and not self._cancelled and self._branches and search_on(self, self._branches):
            return
        self._end_search()

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
            self.server.abandon()
            return
        self._forward(chosen)

    def _release(self) -> None:
        """Let go of what is done, so that it is not kept for as long as the transactions last, nor by cycles."""
        self._branches = []
        self._alternatives = None
        if self.history is not None:
            self.history.over()
        if not self.calls:
            self.server.forget()
