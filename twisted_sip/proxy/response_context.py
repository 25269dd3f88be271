"""The response context: all branches of one request and what goes back upstream (RFC 3261 section 16.7).

Serial groups by q, CANCEL of losers, 6xx, the best of the final responses, RFC 4320 for requests other than INVITE.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted_sip.errors import TransportError
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.proxy.branch import Branch
from twisted_sip.proxy.failover import groups_left
from twisted_sip.proxy.notes import ANSWERED, GIVEN_UP
from twisted_sip.proxy.recursion import recurse
from twisted_sip.proxy.search import Search, branch_to
from twisted_sip.transaction.states import TERMINATED

#: Why the other branches are cancelled (RFC 3326 section 3.1).
_ELSEWHERE = (("reason", 'SIP;cause=200;text="Call completed elsewhere"'),)


class ResponseContext(Search):
    """The state of one forwarded request; the user of its server transaction. Its attributes are those of Search."""

    __slots__ = ()

    def start(self, targets: Sequence[Target]) -> None:
        """Begin with the first group of *targets* (section 16.6)."""
        incoming = self.incoming
        calls = self.calls
        transaction = self.server = incoming.start_transaction(self, trying=calls)
        if incoming.over:
            # Cancelled while its way was looked for.
            return
        if calls:
            # For one that was there before.
            transaction.trying()
        if len(targets) == 1:
            # The usual case of _next_group(): nobody to fork to, and no group after this one.
            target = targets[0]
            branch = branch_to(self, target, self.breadth)
            self._branches.append(branch)
            self._pending = 1
            self._start(branch)
        else:
            if not calls:
                # A round trip before Timer F fires there: an answer made later would come too late.
                values = self.service.element.transactions.values
                self._ends_at = self.service.element.timers.now() + values.timeout - values.T1
            groups = self._groups = self._grouped(targets)
            self._next_group(groups)

    def begin(self, server: Any, target: Target) -> Branch:
        """Go on with what was begun without a context, and return the branch to *target*, the only one.

        :param server: the server transaction.
        """
        self.server = server
        if server.state is not TERMINATED:
            server.user = self
        branch = branch_to(self, target, self.breadth)
        self._branches.append(branch)
        self._pending = 1
        return branch

    # -- from the branches -----------------------------------------------------------

    def provisional(self, branch: Branch, response: Response) -> None:
        """Forward a 101 to 199 at once (section 16.7 step 5); RFC 4320 section 4.1 has none but for INVITE."""
        if self.history is not None:
            self.history.heard(branch, response)
        if self.calls and not self._answered:
            self._forward(response)

    def final(self, branch: Branch, response: Response, again: bool) -> None:
        """A branch has ended with *response*; *again* for one more 2xx of the same branch (RFC 6026 section 7.2)."""
        if self.history is not None:
            self.history.heard(branch, response)
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
        elif 300 <= status < 400 and not self._stop and self.service.settings.recurse:
            self._pending += 1
            if recurse(self, branch, response):
                return
            self._pending -= 1
        if branch.target.failover is not None and self._groups and not self._stop:
            self._groups = groups_left(branch, response, self._groups, self.incoming)
        self._ended()

    def _too_late(self) -> bool:
        """Tell whether the client of a request other than an INVITE has given up, or is about to."""
        if self._ends_at is None:
            return False
        return self.server.state is TERMINATED or self.service.element.timers.now() >= self._ends_at

    def _give_up(self, headers: tuple[tuple[str, str], ...]) -> None:
        self._stop = True
        self._groups = None
        if headers is _ELSEWHERE and self.disposition is not None and "no-cancel" in self.disposition:
            # RFC 3841 section 9.1: the caller sees to that.
            return
        for branch in self._branches:
            if branch.final is None:
                branch.cancel(headers)

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
