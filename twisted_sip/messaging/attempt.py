"""One message to one device: the user of an Outgoing, over one flow of the device after the other (RFC 5626)."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from twisted_sip.element.outgoing import Outgoing
from twisted_sip.element.request_sender import RequestSender
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.flow import Flow
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.route_set import leave_proxy
from twisted_sip.messaging.devices import Device
from twisted_sip.messaging.outcome import Outcome, outcome_of, retry_after_of

_log = Logger()

#: What it counts as that the flow to a client is gone (RFC 5626 section 11.5).
FLOW_FAILED = 430


class Attempt:
    """One message on its way to one device.

    :ivar device: the device.
    :ivar status: the status of the outcome, 0 until there is one: of the final response, 408 after a timeout, 430 where
        every flow is gone, another one where there is no way to it.
    :ivar response: the final response, None where there is none.
    """

    __slots__ = ("_ended", "_make", "_sender", "_suffix", "_target", "_ways", "device", "response", "status")

    def __init__(
        self,
        sender: RequestSender,
        device: Device,
        make: Callable[[Target], Request],
        ended: Callable[[Attempt], None],
        suffix: str = "",
    ) -> None:
        """Make an attempt that is not started.

        :param make: gives the request for one way to the device.
        :param ended: called once with this, with the outcome.
        :param suffix: ends the branches, for loop detection.
        """
        self.device = device
        self.status = 0
        self.response: Response | None = None
        self._sender = sender
        self._make = make
        self._ended = ended
        self._suffix = suffix
        self._ways = list(device.ways)
        self._target: Target | None = None

    @property
    def outcome(self) -> Outcome:
        """What the outcome means for the message."""
        if self.status == 413 and retry_after_of(self.response):
            # RFC 3261 section 21.4.11: a temporary condition.
            return Outcome.TEMPORARY
        return outcome_of(self.status)

    def start(self) -> None:
        """Send; the outcome may be there at once where there is no way."""
        status = FLOW_FAILED
        while self._ways:
            target = self._target = self._ways.pop(0)
            if target.flow_lost:
                continue
            try:
                request = self._make(target)
                strict = leave_proxy(request)
                self._sender.send(
                    request,
                    self,
                    flow=target.flow,
                    uri=strict,
                    secure_required=target.secure,
                    branch_suffix=self._suffix,
                )
                return
            except RemoteProtocolError as error:
                status = error.status
            except Exception:
                # A policy, or what a contact says, is wrong: other ways and devices may do.
                _log.failure("a message was not sent: {target}", target=target)
                status = 500
        self._end(status, None)

    def _end(self, status: int, response: Response | None) -> None:
        if self.status:
            return
        self.status = status
        self.response = response
        self._ended(self)

    # -- the user of an Outgoing -----------------------------------------------------

    def prepare(self, request: Request, flow: Flow) -> None:
        """Nothing depends on the flow: MESSAGE makes no dialog, so there is no Record-Route (RFC 3428 section 9)."""

    def response_received(self, outgoing: Outgoing, response: Response) -> None:
        """The final response is the outcome, but for one that says that the flow is gone while there are others."""
        if response.status < 200:
            return
        if response.status == FLOW_FAILED and self._ways:
            self.start()
            return
        self._end(response.status, response)

    def failed(self, outgoing: Outgoing, status: int, reason: str) -> None:
        """No answer: after a timeout there is no time for another way (RFC 4320), after a lost flow there is."""
        if status == 503:
            if self._ways:
                self.start()
                return
            if self._target is not None and self._target.flow is not None:
                status = FLOW_FAILED
        self._end(status, None)
