"""A request that is sent without a transaction: the ACK for a 2xx (RFC 3261 sections 13.2.2.4, 16.11 and 17)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger

from twisted_sip.element.destination_walk import DestinationWalk, push_via
from twisted_sip.errors import TransportError
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.request import Request

if TYPE_CHECKING:
    from twisted_sip.element.request_sender import RequestSender

log = Logger()


class StatelessSend(DestinationWalk):
    """A request that is sent once and forgotten."""

    __slots__ = ("_branch_suffix",)

    def __init__(self, sender: RequestSender, request: Request, branch_suffix: str) -> None:
        super().__init__(sender, request)
        self._branch_suffix = branch_suffix

    def start(self, flow: Flow) -> None:
        """Send over *flow* and no other."""
        if not self._launch(flow):
            self._no_way(503, "Service Unavailable")

    def _dress(self, request: Request, flow: Flow) -> None:
        push_via(request, flow, self._sender.new_branch() + self._branch_suffix, self.destination)

    def _launch(self, flow: Flow) -> bool:
        request = self.original.copy() if self._more else self.original
        push_via(request, flow, self._sender.new_branch() + self._branch_suffix, self.destination)
        try:
            flow.send(request.to_bytes(), request)
        except TransportError as error:
            self.error = error
            destination = self.destination
            if destination is not None:
                self._sender.dead_targets.suspect(destination.kind, destination.address)
            return False
        return True

    def _no_way(self, status: int, reason: str) -> None:
        # Nobody waits for an answer; a 2xx that is not acknowledged comes again.
        log.debug("{method} not sent: {error}", method=self.original.method, error=self.error)
