"""Where a request may be sent: the outcome of RFC 3263, and the seam that produces it."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Interface

from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TransportKind
from twisted_sip.message.uri import SIPURI
from twisted_sip.message.via import Via


@attrs.frozen(slots=True)
class Destination:
    """One server to try.

    :ivar kind: the transport.
    :ivar address: numeric host and port.
    :ivar name: the domain or host name from the URI, which the peer's certificate must prove (RFC 5922 section 7.2);
        the numeric host itself where the URI had one.
    """

    kind: TransportKind
    address: Address
    name: str


class IResolver(Interface):
    """RFC 3263: from a URI to the servers to try, in order."""

    def resolve(uri: SIPURI) -> Sequence[Destination] | Deferred[Sequence[Destination]]:
        """Return the destinations for *uri*, best first, never empty; a value at once where no look-up is needed.

        A ``sips`` URI yields secure transports only (RFC 5630 section 5). ``maddr``, ``transport`` and port are
        honoured.

        :raises ResolutionError: there is none (raised, or the Deferred's failure).
        """

    def resolve_response(via: Via) -> Sequence[Destination] | Deferred[Sequence[Destination]]:
        """Return where a response may go whose connection is gone (RFC 3263 section 5).

        :param via: the topmost Via value of the response.
        :raises ResolutionError: as :meth:`resolve`.
        """
