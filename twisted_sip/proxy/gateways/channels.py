"""How many calls a gateway carries, and no more than it may: a place for each, from the INVITE to the BYE.

A gateway with as many calls as it may have is passed over. The BYE of a call comes by here where dialogs are
record-routed (RFC 3261 section 16.6 step 4); a place that nobody gives back is free again after a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.routing import IForwardingPolicy, Target
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

if TYPE_CHECKING:
    from twisted_sip.proxy.gateways.live import LiveGateway


def name_of(request: Request, tag: str | None) -> str:
    """Return what a place is called: one Call-ID may stand for many calls, whose callers differ in their tags."""
    return f"{request.call_id} {tag or ''}"


class Channels:
    """The places of one gateway.

    :param clock: seconds.
    """

    __slots__ = ("_clock", "_held")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        # Name -> when its place is free again in any case; in the order of that, for they all last as long.
        self._held: dict[str, float] = {}

    def __len__(self) -> int:
        """Return how many calls there are."""
        held, now = self._held, self._clock()
        while held:
            name = next(iter(held))
            if held[name] > now:
                break
            del held[name]
        return len(held)

    def take(self, name: str, seconds: float) -> None:
        """Take a place for a call, for *seconds* at most."""
        self._held.pop(name, None)
        self._held[name] = self._clock() + seconds

    def give_back(self, name: str) -> None:
        """The call is over; it may have had no place here."""
        self._held.pop(name, None)


@implementer(IForwardingPolicy)
class ChannelPolicy:
    """Sees the BYE of calls.

    :param gateways: all that there are.
    """

    for_methods = frozenset(("BYE",))

    def __init__(self, gateways: Iterable[LiveGateway]) -> None:
        self._gateways = gateways

    def branch(self, request: Request, target: Target, incoming: IncomingRequest) -> None:
        """A request is about to be forwarded."""
        to_tag = request.to.tag if request.method == "BYE" else None
        if to_tag:
            # Of either side. One outside of dialogs ends nothing.
            names = name_of(request, request.from_.tag), name_of(request, to_tag)
            for gateway in self._gateways:
                for name in names:
                    gateway.channels.give_back(name)

    def response(self, response: Response, context: Any) -> None:
        """Nothing is changed."""
