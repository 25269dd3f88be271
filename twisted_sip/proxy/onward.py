"""How the search for somebody who takes a request goes on when all targets have been tried, or one has redirected it.

RFC 3261 sections 16.5 and 16.7 (step 4): targets may be added while a request is forwarded. RFC 5359 sections 2.8 and
2.9 (181 Call Is Being Forwarded).
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.element.caller_preferences import preferred
from twisted_sip.interfaces.routing import Ended, Target
from twisted_sip.message.response import Response
from twisted_sip.proxy.sips import fit_scheme

if TYPE_CHECKING:
    from twisted_sip.proxy.branch import Branch
    from twisted_sip.proxy.search import Search

_log = Logger()


def how_ended(branch: Branch) -> Ended:
    """Return how *branch*, which is over without a 2xx, has ended."""
    final = branch.final
    assert final is not None
    return Ended(final.status, final.flow is None, branch.alerted, branch.rang_out)


def search_on(context: Search, branches: Sequence[Branch]) -> bool:
    """Ask where a request goes on that nobody has taken; tell whether it may go on.

    Of several users it goes on for the one who was called last, of those who have it go on.

    :param branches: all branches, each of them over.
    """
    for onward in dict.fromkeys([branch.target.onward for branch in reversed(branches)]):
        if onward is None:
            continue
        others = [branch.final for branch in branches if branch.target.onward is not onward]
        if any(final is not None and final.status > 600 for final in others):
            # RFC 3261 section 21.6: another one has said no, for everybody. That somebody is busy everywhere tells of
            # that user alone.
            continue
        ours = [branch for branch in branches if branch.target.onward is onward]
        if any(branch.final is None for branch in ours):
            # A device has said where else to go, and nobody has answered there: neither is it busy, nor away.
            continue
        asked = onward.after([how_ended(branch) for branch in ours])
        if asked is not None:
            _follow(context, asked)
            return True
    return False


def _follow(context: Search, asked: Awaitable[Sequence[Target] | Response]) -> None:
    async def wait() -> Sequence[Target]:
        targets = await asked
        if isinstance(targets, Response):
            # What has come from devices tells more than why there are no others.
            return ()
        found = await context.service.expanded(context.incoming, targets)
        return () if isinstance(found, Response) else found

    def found(targets: Sequence[Target]) -> None:
        context.go_on(fit_scheme(context.request, preferred(context.incoming, targets)))

    def failed(failure: Failure) -> None:
        _log.failure("where a call goes on was not found", failure)
        context.go_on(())

    Deferred.fromCoroutine(wait()).addCallback(found).addErrback(failed)
