"""The redirect service: it says where a request is to go, the way is the sender's (RFC 3261 sections 8.3 and 21.3).

``route`` is the hook that a subclass overrides to change one decision and nothing else. RFC 3841 section 7.2.4 (caller
preferences), RFC 5806 section 5.3 (Diversion), RFC 7044 section 8 (History-Info).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred
from zope.interface import implementer

from twisted_sip.element.caller_preferences import preferred
from twisted_sip.element.element import Element
from twisted_sip.element.history import history_of
from twisted_sip.element.redirection import redirection
from twisted_sip.interfaces.processing import TAKEN, IncomingRequest, IRequestProcessor, Verdict
from twisted_sip.interfaces.routing import IRouter, Target
from twisted_sip.message.builders import response_to
from twisted_sip.message.diversion import Diversion
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI
from twisted_sip.redirect.settings import RedirectSettings

#: What a router may give.
Routed = Sequence[Target] | Response


@implementer(IRequestProcessor, IRouter)
class RedirectService(Service):
    """Answers each request with 302, 300 or why there is nowhere to go; the last link of the chain.

    Nothing is asked of a request but where it goes: unknown methods and extensions are no matter (section 8.3).

    :param element: the element whose requests it answers.
    :param router: finds where requests go.
    :param now: gives seconds since the epoch, for what is left of registrations.
    :param settings: gives the settings, as they are when a request comes.
    :param history_info: gives when to write History-Info: ``asked``, ``always`` or ``never``.
    :param diversion: tells whether Diversion is written where users have calls forwarded.
    :param open_to_all: answer what no earlier link of the chain has admitted, too.
    """

    name = "sip-redirect"

    def __init__(
        self,
        element: Element,
        router: IRouter,
        now: Callable[[], float],
        *,
        settings: Callable[[], RedirectSettings] = RedirectSettings,
        history_info: Callable[[], str] = lambda: "asked",
        diversion: Callable[[], bool] = lambda: False,
        open_to_all: bool = False,
    ) -> None:
        self.element = element
        self.router = router
        self._now = now
        self._settings = settings
        self._history_info = history_info
        self._diversion = diversion
        self._open_to_all = open_to_all

    # -- hooks ---------------------------------------------------------------------------

    def route(self, incoming: IncomingRequest) -> Routed | Awaitable[Routed]:
        """Decide where a request is to go; override to decide otherwise, as a coroutine if need be.

        :return: the targets, or a response to send instead; or what can be awaited for one of them.
        """
        found: Routed | Awaitable[Routed] = self.router.route(incoming)
        return found

    # -- the chain -----------------------------------------------------------------------

    def process(self, incoming: IncomingRequest) -> Verdict | Deferred[Verdict]:
        """Redirect, or answer why not. ACK ends here; CANCEL is the transaction layer's.

        :raises RemoteProtocolError: Accept-Contact or Reject-Contact is malformed.
        """
        request = incoming.request
        if request.method == "ACK":
            return TAKEN
        if not incoming.admitted and not self._open_to_all:
            incoming.respond_statelessly(403)
            return TAKEN
        if request.to.tag:
            # Nobody who redirects is in a dialog (section 12.2.2).
            return response_to(request, 481)
        routed: Any = self.route(incoming)
        if not isawaitable(routed):
            return self._answer(routed, incoming)
        if not isinstance(routed, Deferred):
            routed = ensureDeferred(routed)  # type: ignore[arg-type]
        answered: Deferred[Verdict] = routed.addCallback(self._answer, incoming)
        return answered

    def _answer(self, found: Routed, incoming: IncomingRequest) -> Verdict:
        if isinstance(found, Response):
            return found
        request = incoming.request
        targets = preferred(incoming, found)
        if not targets:
            return response_to(request, 480, to_tag=incoming.to_tag)
        return redirection(
            incoming,
            targets,
            expires=self._settings().expires,
            now=self._now(),
            history=history_of(incoming, self._history_info()),
            headers=self._diversions(targets) if self._diversion() else (),
        )

    @staticmethod
    def _diversions(targets: Sequence[Target]) -> list[tuple[str, str]]:
        """Return who has had the request forwarded to the best of *targets*, the latest first."""
        steps = targets[0].steps
        return [
            ("diversion", str(Diversion.build(step.uri.address_of_record, step.reason)))
            for step in reversed(steps)
            if step.reason and isinstance(step.uri, SIPURI)
        ]
