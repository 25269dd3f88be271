"""The seams of sending: who wants a request sent, who holds credentials, what the sender needs of the transports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs
from twisted.internet.defer import Deferred

from twisted_sip.interfaces.destination import Destination
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

if TYPE_CHECKING:
    from twisted_sip.element.outgoing import Outgoing


class OutgoingUser(Protocol):
    """The user of an Outgoing. Nothing is called from within ``RequestSender.send`` but *prepare*."""

    def prepare(self, request: Request, flow: Flow) -> None:
        """Put into *request* what depends on the *flow* that it is about to leave by: Record-Route, Contact.

        Called for each attempt, each time with a fresh copy, before our Via is put on top; and now and then for one
        that is then not made, since the size decides on the transport.
        """

    def response_received(self, outgoing: Outgoing, response: Response) -> None:
        """A response: every provisional one, then one final one; for INVITE every 2xx (RFC 6026 section 7.2).

        Responses that made the sender go on to another server or answer a challenge are not among them.
        """

    def failed(self, outgoing: Outgoing, status: int, reason: str) -> None:
        """No server answered; called in place of a final response, never after one.

        :param status: what the outcome counts as: 408 after a timeout, 503 where no server could be reached (RFC 3261
            sections 8.1.3.1 and 16.9), 487 where it was cancelled before anybody answered, 416 for a next hop that is
            no SIP URI, 480 where a ``sips`` URI leads to insecure transports only (RFC 5630 section 5.3), 4xx for a
            malformed Route or Request-URI.
        """


class ClientCredentials(Protocol):
    """Holds a password, and answers challenges with it."""

    def authorize(self, request: Request, response: Response) -> Request | None:
        """Return *request* with the credentials for the challenges in *response* (401 or 407).

        The sender sees to CSeq, Via and branch (RFC 3261 section 22.2), and to not asking for ever.

        :param request: a copy for the callee to keep, without the Via of the attempt that was challenged; credentials
            of earlier rounds are in it.
        :return: the request to send, or None if no challenge can be answered: the response then goes to the user.
        """


class Transports(Protocol):
    """What the sender needs of the transport floor."""

    def flow_to(self, destination: Destination) -> Flow | Deferred[Flow]:
        """Return the flow to *destination*, at once where there is one.

        :raises TransportError: it cannot be reached (raised, or the Deferred's failure).
        """


@attrs.frozen(slots=True, kw_only=True)
class SenderSettings:
    """How requests are sent.

    :ivar datagram_limit: bytes; a larger request goes over TCP where the URI does not say UDP: the path MTU less 200,
        or 1300 where that is unknown (RFC 3261 section 18.1.1).
    :ivar try_next_after: seconds after which a server that has sent no response at all is given up while there are
        others to try, in place of Timer B or F; None waits for the timer.
    :ivar max_servers: the most servers that one request tries.
    """

    datagram_limit: int = 1300
    try_next_after: float | None = None
    max_servers: int = 8
