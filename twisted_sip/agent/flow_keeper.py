"""The flows that an agent relies on: kept alive once each, however many registrations use them (RFC 5626 section 4.4).

Whoever watches a flow hears of its end: by the transport, or since a keep-alive was not answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted_sip.interfaces.flow import Flow
from twisted_sip.transport.datagram import DatagramFlow
from twisted_sip.transport.keepalive import (
    DATAGRAM_INTERVALS,
    STREAM_INTERVAL,
    DatagramKeepAlive,
    StreamKeepAlive,
)
from twisted_sip.transport.stream_flow import StreamFlow

if TYPE_CHECKING:
    from twisted_sip.element.element import Element

#: The shortest time between keep-alives, in seconds: a server that asks for less is not obeyed.
_SHORTEST = 5.0


class WatchedFlow:
    """A flow as one who relies on it holds it.

    :ivar flow: the flow.
    """

    __slots__ = ("_keeper", "ended", "flow")

    def __init__(self, keeper: FlowKeeper, flow: Flow, ended: Callable[[str], object]) -> None:
        self._keeper = keeper
        self.flow = flow
        self.ended = ended

    def keep_alive(self, flow_timer: int | None = None) -> None:
        """Send keep-alives from now on: the server has said that it answers them.

        :param flow_timer: seconds within which the server wants one, None where it has not said.
        """
        self._keeper.keep_alive(self.flow, flow_timer)

    @property
    def kept_alive(self) -> bool:
        """True while keep-alives are sent."""
        return self._keeper.is_kept_alive(self.flow)

    @property
    def answered(self) -> bool:
        """True once a keep-alive was answered (RFC 5626 section 4.5)."""
        return self._keeper.is_answered(self.flow)

    def leave(self) -> None:
        """Rely on it no more. Harmless when repeated."""
        self._keeper.leave(self)


class FlowKeeper:
    """Watches flows of one element."""

    def __init__(self, element: Element) -> None:
        """Make a keeper for *element*; one is enough."""
        self._element = element
        # A list of those who rely on it for each flow; the entry goes with the last of them.
        self._watchers: dict[Flow, list[WatchedFlow]] = {}
        self._keep_alives: dict[Flow, tuple[int | None, StreamKeepAlive | DatagramKeepAlive]] = {}
        element.observe_flows(self._closed)

    def __len__(self) -> int:
        return len(self._watchers)

    def watch(self, flow: Flow, ended: Callable[[str], object]) -> WatchedFlow:
        """Rely on *flow*.

        :param ended: called once with the reason if it fails, after which nobody watches it any more.
        """
        watched = WatchedFlow(self, flow, ended)
        self._watchers.setdefault(flow, []).append(watched)
        return watched

    def leave(self, watched: WatchedFlow) -> None:
        """*watched* is not relied on any more; without anybody who does keep-alives end."""
        watchers = self._watchers.get(watched.flow, [])
        if watched in watchers:
            watchers.remove(watched)
            if not watchers:
                del self._watchers[watched.flow]
                self._stop(watched.flow)

    def keep_alive(self, flow: Flow, flow_timer: int | None) -> None:
        """See WatchedFlow.keep_alive."""
        known = self._keep_alives.get(flow)
        if flow not in self._watchers or (known is not None and known[0] == flow_timer):
            return
        self._stop(flow)
        made: StreamKeepAlive | DatagramKeepAlive
        if isinstance(flow, StreamFlow):
            interval = STREAM_INTERVAL if flow_timer is None else max(_SHORTEST, float(flow_timer))
            made = StreamKeepAlive(flow, self._element.reactor, self._failed, self._chance, interval)
        elif isinstance(flow, DatagramFlow):
            # RFC 5626 section 4.4: at 80 to 100 % of what the server recommends.
            longest = DATAGRAM_INTERVALS[1] if flow_timer is None else max(_SHORTEST, float(flow_timer))
            intervals = DATAGRAM_INTERVALS if flow_timer is None else (0.8 * longest, longest)
            made = DatagramKeepAlive(
                flow, self._element.transports, self._failed, self._chance, self._transaction_id, intervals
            )
        else:
            return
        self._keep_alives[flow] = (flow_timer, made)

    def is_kept_alive(self, flow: Flow) -> bool:
        """See WatchedFlow.kept_alive."""
        return flow in self._keep_alives

    def is_answered(self, flow: Flow) -> bool:
        """See WatchedFlow.answered."""
        known = self._keep_alives.get(flow)
        return known is not None and known[1].answered

    def stop(self) -> None:
        """Send no keep-alives and tell nobody anything from now on."""
        for flow in list(self._keep_alives):
            self._stop(flow)
        self._watchers.clear()

    def _chance(self) -> float:
        return int(self._element.random_text(), 16) / float(1 << 64)

    def _transaction_id(self) -> bytes:
        return bytes.fromhex(self._element.random_text() + self._element.random_text())[:12]

    def _stop(self, flow: Flow) -> None:
        known = self._keep_alives.pop(flow, None)
        if known is not None:
            known[1].stop()

    def _closed(self, flow: Flow) -> None:
        self._end(flow, "connection lost")

    def _failed(self, flow: Flow) -> None:
        self._end(flow, "keep-alive not answered")

    def _end(self, flow: Flow, reason: str) -> None:
        watchers = self._watchers.pop(flow, [])
        # They ask whether it was ever answered.
        for watched in watchers:
            watched.ended(reason)
        self._stop(flow)
