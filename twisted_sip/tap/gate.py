"""A link of the chain that holds requests for services which are not ready yet, and refuses them where they never will
be."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.defer import Deferred
from zope.interface import implementer

from twisted_sip.interfaces.processing import IncomingRequest, IRequestProcessor, Verdict
from twisted_sip.message.builders import response_to

_SHUT = "Service Did Not Start"


@implementer(IRequestProcessor)
class Gate:
    """Holds requests of some methods until it is told that they may go on, or never will.

    The element sees to it that no more wait than it has places for.
    """

    def __init__(self, methods: Iterable[str]) -> None:
        """Begin to hold requests of *methods*."""
        self._methods = frozenset(methods)
        self._waiting: dict[Deferred[Verdict], IncomingRequest] | None = {}
        self._shut = False

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._waiting or ())

    def process(self, incoming: IncomingRequest) -> Verdict | Deferred[Verdict]:
        """Pass on, at once or later; 500 for what would wait for ever."""
        waiting = self._waiting
        if (waiting is None and not self._shut) or incoming.request.method not in self._methods:
            return None
        if waiting is None:
            return self._refusal(incoming)

        def given_up(waiter: Deferred[Verdict]) -> None:
            waiting.pop(waiter, None)

        waiter: Deferred[Verdict] = Deferred(given_up)
        waiting[waiter] = incoming
        return waiter

    def open(self) -> None:
        """Let through whoever waits, and everybody from now on."""
        waiting, self._waiting = self._waiting or {}, None
        for waiter in waiting:
            waiter.callback(None)

    def shut(self) -> None:
        """Refuse whoever waits, and everybody from now on: what the gate stands before cannot be used."""
        self._shut = True
        waiting, self._waiting = self._waiting or {}, None
        for waiter, incoming in waiting.items():
            waiter.callback(self._refusal(incoming))

    @staticmethod
    def _refusal(incoming: IncomingRequest) -> Verdict:
        # Not 503: that would keep proxies from sending us anything at all (RFC 3261 section 21.5.4).
        return response_to(incoming.request, 500, _SHUT, to_tag=incoming.to_tag)
