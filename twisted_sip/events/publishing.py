"""The publication client: an event publication agent in the words of RFC 3903 (sections 4, 5 and 8.2).

Publishes, refreshes in time, modifies and removes event state. There is one PUBLISH at a time for each Request-URI
(section 4), and what is published is published anew when the other side has lost it (412).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, DeferredList

from twisted_sip.element.sending import ClientCredentials
from twisted_sip.errors import LocalProtocolError
from twisted_sip.events.published_state import PublishedState
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.route_set import own_route_set
from twisted_sip.message.uri import URI

if TYPE_CHECKING:
    from twisted_sip.element.element import Element


class Publisher:
    """Publishes event state.

    :ivar element: what it sends through.
    """

    def __init__(self, element: Element, *, limit: int = 1000) -> None:
        """Make a publisher.

        :param limit: the most publications at a time.
        """
        self.element = element
        self.limit = limit
        self._published: set[PublishedState] = set()
        # Who may send for a Request-URI is the first; the others wait for their turn.
        self._turns: dict[str, deque[PublishedState]] = {}

    def __len__(self) -> int:
        return len(self._published)

    @property
    def turns(self) -> int:
        """For how many Request-URIs a PUBLISH is on its way."""
        return len(self._turns)

    def publication(
        self,
        uri: URI | str,
        event: str,
        *,
        from_: NameAddr | str,
        expires: int = 3600,
        headers: Iterable[tuple[str, str]] = (),
        credentials: ClientCredentials | None = None,
        flow: Flow | None = None,
        route: Sequence[str] = (),
        on_lost: Callable[[int], object] | None = None,
    ) -> PublishedState:
        """Return a publication of *event* state of *uri*, with nothing published yet.

        :param from_: who publishes; a tag is added.
        :param expires: seconds.
        :param headers: header fields for every PUBLISH.
        :param credentials: answer challenges with these.
        :param flow: send over this flow while it is open.
        :param route: Route values: an outbound proxy.
        :param on_lost: called with the status that has ended it when a refresh was refused for good.
        :raises LocalProtocolError: a value that SIP does not allow.
        """
        if expires <= 0:
            raise LocalProtocolError("a publication lasts for 1 second at least")
        address = NameAddr.given(from_)
        state = PublishedState(
            self,
            uri,
            event,
            from_=address.with_("tag", self.element.random_text()),
            expires=expires,
            headers=tuple(headers),
            credentials=credentials,
            flow=flow,
            route=own_route_set(route),
            on_lost=on_lost,
        )
        # Values that SIP does not allow are found now.
        state.build_request()
        return state

    def stop(self) -> Deferred[None]:
        """Remove all that is published; fires with None when that is done, well or not."""
        ends = [state.remove() for state in list(self._published)]
        return DeferredList(ends, consumeErrors=True).addCallback(lambda _: None)

    # -- for publications ---------------------------------------------------------

    def admit(self, state: PublishedState) -> None:
        """Count *state* in.

        :raises LocalProtocolError: there are as many as there may be.
        """
        if state not in self._published:
            if len(self._published) >= self.limit:
                raise LocalProtocolError(f"there are {self.limit} publications, as many as there may be")
            self._published.add(state)

    def forget(self, state: PublishedState) -> None:
        """*state* is over."""
        self._published.discard(state)

    def take_turn(self, state: PublishedState) -> None:
        """Call *state* back, at once or later, when it may send (section 4)."""
        queue = self._turns.get(state.uri)
        if queue is None:
            self._turns[state.uri] = deque((state,))
            state.send_now()
        elif state not in queue:
            queue.append(state)

    def end_turn(self, state: PublishedState) -> None:
        """*state* has had the final response to what it has sent."""
        queue = self._turns[state.uri]
        queue.popleft()
        if queue:
            queue[0].send_now()
        else:
            del self._turns[state.uri]
