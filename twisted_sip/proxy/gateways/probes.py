"""Asks gateways whether they live: OPTIONS at intervals (RFC 3261 section 11), sooner where something is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted_sip.element.element import Element
from twisted_sip.element.outgoing import Outgoing
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.builders import build_request
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.proxy.gateways.live import LiveGateway
from twisted_sip.proxy.gateways.table import Gateways

#: Seconds until the first probe of the first gateway, and between two of them at the start.
_FIRST, _APART = 0.1, 0.05

#: Seconds until the next probe of a gateway that has just failed a request.
_SOON = 1.0


class GatewayProbes:
    """Probes all gateways for as long as it runs.

    :param gateways: the table; this is told of its changes from now on.
    :param element: sends.
    :param from_: the URI that probes come from.
    """

    def __init__(self, gateways: Gateways, element: Element, from_: str) -> None:
        self._gateways = gateways
        self._element = element
        self._from = from_
        self._running = False
        # When each one is probed next, and what is under way.
        self._calls: dict[LiveGateway, Any] = {}
        self._under_way: dict[LiveGateway, _Probe] = {}
        gateways.changed = self._changed
        gateways.troubled = self._troubled

    def __len__(self) -> int:
        """Return how many probes are planned or under way."""
        return len(self._calls) + len(self._under_way)

    def start(self) -> None:
        """Begin."""
        self._running = True
        self._changed()

    def stop(self) -> None:
        """End: nothing is under way any more."""
        self._running = False
        for call in self._calls.values():
            call.cancel()
        self._calls.clear()
        under_way, self._under_way = self._under_way, {}
        for probe in under_way.values():
            probe.end()

    def _changed(self) -> None:
        """There are other gateways, or other intervals."""
        if not self._running:
            return
        wanted = {gateway for gateway in self._gateways if gateway.enabled and gateway.probe_interval}
        for gateway in [gateway for gateway in self._calls if gateway not in wanted]:
            self._calls.pop(gateway).cancel()
        new = [gateway for gateway in wanted if gateway not in self._calls and gateway not in self._under_way]
        for place, gateway in enumerate(sorted(new, key=lambda gateway: gateway.key)):
            self._plan(gateway, _FIRST + place * _APART)
        for gateway, call in self._calls.items():
            left = gateway.probe_interval
            if call.getTime() - self._element.reactor.seconds() > left:
                call.reset(left)

    def _troubled(self, gateway: LiveGateway) -> None:
        """A request has failed: see whether it lives, soon."""
        call = self._calls.get(gateway)
        if call is not None and call.getTime() - self._element.reactor.seconds() > _SOON:
            call.reset(_SOON)

    def _plan(self, gateway: LiveGateway, seconds: float) -> None:
        self._calls[gateway] = self._element.reactor.callLater(seconds, self._probe, gateway)

    def _probe(self, gateway: LiveGateway) -> None:
        self._calls.pop(gateway, None)
        self._under_way[gateway] = _Probe(self._element, gateway, self._from, self._done)

    def _done(self, gateway: LiveGateway) -> None:
        self._under_way.pop(gateway, None)
        wanted = gateway.enabled and any(gateway is one for one in self._gateways)
        if self._running and wanted and gateway.probe_interval:
            # Not all of them at one moment for ever: some are a little earlier or later.
            self._plan(gateway, gateway.probe_interval * (0.95 + 0.1 * self._gateways.chance()))


class _Probe:
    """One OPTIONS on its way; the user of its Outgoing."""

    __slots__ = ("_began", "_done", "_element", "_gateway", "_outgoing", "_timer")

    def __init__(
        self, element: Element, gateway: LiveGateway, from_: str, done: Callable[[LiveGateway], object]
    ) -> None:
        self._element = element
        self._gateway = gateway
        self._done = done
        self._began = element.reactor.seconds()
        text = element.random_text
        request = build_request(
            "OPTIONS",
            gateway.uri,
            from_=NameAddr.build(from_).with_("tag", text()),
            to=NameAddr.build(gateway.uri),
            call_id=text(),
            cseq=1,
            headers=[("accept", "application/sdp")],
        )
        self._timer: Any = element.timers.start(gateway.watch.probe_timeout, self._silent)
        self._outgoing = element.sender.send(request, self)

    def prepare(self, request: Request, flow: Flow) -> None:
        """Nothing depends on the flow."""

    def response_received(self, outgoing: Outgoing, response: Response) -> None:
        """Whatever it says, it has answered."""
        if response.status >= 200 and self._over():
            flow = response.flow
            host = flow.remote.host if flow is not None else ""
            self._gateway.probe_answered(response.status, self._element.reactor.seconds() - self._began, host)
            self._done(self._gateway)

    def failed(self, outgoing: Outgoing, status: int, reason: str) -> None:
        """There is no way to it, or no answer."""
        if self._over():
            # 503 is what it counts as where nobody was reached (RFC 3261 section 8.1.3.1).
            self._gateway.probe_failed("it was not reached" if status == 503 else f"a probe failed ({status} {reason})")
            self._done(self._gateway)

    def _silent(self) -> None:
        self.end()
        self._gateway.probe_failed("a probe had no answer")
        self._done(self._gateway)

    def _over(self) -> bool:
        """Note that it is over; return False if it was before."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        return timer is not None

    def end(self) -> None:
        """Wait no longer, and do not repeat it."""
        self._over()
        outgoing = self._outgoing
        transaction = outgoing.transaction
        outgoing.cancel()
        if transaction is not None:
            transaction.terminate()
