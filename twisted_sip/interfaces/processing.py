"""The ingress chain: what a request processor gets and what it may return."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from zope.interface import Interface

from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


class Taken(enum.Enum):
    """The type of :data:`TAKEN`."""

    TAKEN = "taken"


#: Returned by a processor that has taken the request over and will answer it itself.
TAKEN = Taken.TAKEN

#: What a processor gives: None to pass on, TAKEN, or a Response to send and be done.
Verdict = Taken | Response | None


class IncomingRequest(Protocol):
    """A request on its way through the chain, and the means to answer it.

    :ivar request: the request as received, received/rport already filled in.
    :ivar flow: where it came from.
    :ivar user: the address-of-record that digest authentication or a client certificate proved, or empty.
    :ivar admitted: True once it may be forwarded: authenticated, for one of our users, or with a valid dialog token.
    :ivar believed: it is from one of our users as far as it says, where everybody is believed.
    :ivar own_routes: our own Route URIs that stood in it, taken off when it entered (RFC 3261 section 16.4), topmost
        first; dialog tokens stand in their user parts.
    """

    request: Request
    flow: Flow
    user: str
    admitted: bool
    believed: bool
    own_routes: list[SIPURI]

    def respond(
        self,
        status: int,
        reason: str = "",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        """Answer through a server transaction (one is made if there is none yet); the To tag is added."""

    def respond_statelessly(self, status: int, reason: str = "", headers: Iterable[tuple[str, str]] = ()) -> None:
        """Answer once, keep nothing (RFC 3261 sections 8.2.7 and 26.3.2.4)."""

    def send(self, response: Response) -> None:
        """Send a ready *response* through the server transaction."""

    def note(self, room: str, text: str, key: str = "", first: str = "", second: str = "") -> None:
        """Keep what was decided about this request and why, for ``twisted-sip explain``.

        :param room: who decides: ``admission``, ``route``, ``gateway``, ``policy``, ``location`` ...
        :param text: what, in a few words for people; no credentials.
        :param key: the key of the configuration that caused it (``route[2].to``), if one did.
        :param first: stands for ``{0}`` in *text*, put together when somebody looks; where it is empty *text* is shown
            as it is. On the usual way of requests constant texts and values cost less than f-strings.
        :param second: stands for ``{1}`` beside *first*.
        """

    @property
    def to_tag(self) -> str:
        """The To tag of the responses made here (RFC 3261 section 8.2.6.2)."""

    @property
    def over(self) -> bool:
        """True once the server transaction has had its final response: cancelled, perhaps, while its way was looked
        for."""

    def claim_as_uas(self) -> bool:
        """Tell whether this element may answer as the UAS; False if it was a merged request, now answered 482 (RFC 3261
        section 8.2.2.2)."""

    def start_transaction(self, user: Any = None, *, trying: bool = False) -> Any:
        """Return the server transaction, made now if there is none; *user* is a transaction.seams.ServerUser.

        :param trying: send 100 (Trying) to an INVITE at once, where the transaction is made now.
        """


class IRequestProcessor(Interface):
    """One link of the ingress chain.

    One that has an attribute ``for_methods`` sees requests of those methods alone. A subclass that overrides
    ``process`` sees all again, unless it has a ``for_methods`` of its own.
    """

    def process(incoming: IncomingRequest) -> Verdict | Deferred[Verdict] | Awaitable[Verdict]:
        """Answer, take or pass on one request; ACK comes here too and is never answered.

        A plain return value costs nothing; a Deferred or coroutine holds the request back meanwhile (its
        retransmissions are absorbed). An exception answers 500; RemoteProtocolError answers with its status.
        """


class IService(Interface):
    """What SIP services have in common: they are Twisted services, and links of the chain."""

    element: Any
