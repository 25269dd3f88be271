"""A simulated presence client: a phone that publishes and watches, and remembers what it was promised and told."""

from __future__ import annotations

from typing import Any

from twisted.python.failure import Failure

from twisted_sip.dialog.subscriber import Notified
from twisted_sip.documents.pidf import MEDIA_TYPE, Presence
from twisted_sip.errors import RequestRefused
from twisted_sip.events.publishing import Publisher
from twisted_sip.events.subscriber import Subscriber
from twisted_sip.events.subscription import Subscription
from twisted_sip.testing.network import Network
from twisted_sip.testing.node import Node
from twisted_sip.testing.phone import SimulatedPhone


class PresenceWatch:
    """One subscription of a client.

    :ivar uri: who is watched.
    :ivar subscription: the subscription.
    :ivar told: what the last NOTIFY with a body said, None before.
    :ivar states: the Subscription-State of each NOTIFY.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.subscription: Subscription | None = None
        self.told: bytes | None = None
        self.states: list[str] = []

    def notified(self, notified: Notified) -> None:
        """A NOTIFY has come."""
        self.states.append(notified.state)
        if notified.body:
            self.told = notified.body


class PresenceClient(SimulatedPhone):
    """A phone with presence.

    :ivar watches: its subscriptions.
    :ivar documents: every document that it was to publish, in order, each another one.
    """

    def __init__(self, network: Network, node: Node, user: str, *, proxy: str, **how: Any) -> None:
        """Switch it on; *how* is as for SimulatedPhone."""
        super().__init__(network, node, user, proxy=proxy, **how)
        self.subscriber = Subscriber(self.element)
        self.publisher = Publisher(self.element)
        self.element.chain.insert(0, self.subscriber)
        self.watches: list[PresenceWatch] = []
        self.documents: list[bytes] = []
        self._state: Any = None

    def publish(self, presence: Presence, expires: int = 120) -> None:
        """Publish, in place of what was published before, and refresh it from then on."""
        if self._state is None:
            self._state = self.publisher.publication(
                self.aor,
                "presence",
                from_=f"<{self.aor}>",
                expires=expires,
                credentials=self._credentials,
                route=[f"<{self._proxy}>"],
            )
        body = presence.to_xml()
        self.documents.append(body)
        # What fails is tried again by itself.
        self._state.publish(body, MEDIA_TYPE).addErrback(_refused)

    @property
    def published(self) -> bytes | None:
        """What the server has acknowledged last, None for nothing."""
        state = self._state
        return state.published_body if state is not None and state.etag else None

    @property
    def candidates(self) -> list[bytes]:
        """What may stand in the server: what it has acknowledged last, and what was sent since."""
        published = self.published
        return [] if published is None else self.documents[self.documents.index(published) :]

    def unpublish(self) -> None:
        """Withdraw what is published."""
        if self._state is not None:
            self._state.remove().addErrback(_refused)

    @property
    def promised(self) -> bool:
        """True while something that the server has acknowledged has to be there."""
        return self.published is not None and self._state.expires_at > self.element.timers.now() + 1.0

    def watch(self, uri: str, expires: int = 120, event: str = "presence") -> PresenceWatch:
        """Watch *uri* from now on."""
        made = PresenceWatch(uri)
        made.subscription = self.subscriber.subscribe(
            uri,
            event,
            from_=f"<{self.aor}>",
            expires=expires,
            on_notify=made.notified,
            credentials=self._credentials,
            route=[f"<{self._proxy}>"],
            persistent=True,
        )
        self.watches.append(made)
        return made

    def unwatch(self) -> None:
        """Watch nobody any more."""
        for watch in self.watches:
            if watch.subscription is not None:
                watch.subscription.unsubscribe()

    def quiet(self) -> None:
        """Begin nothing new: withdraw and unsubscribe, refresh no more."""
        super().quiet()
        self.unpublish()
        self.unwatch()

    def leftovers(self) -> dict[str, int]:
        """Return what is still held, by name; empty once every deadline has passed."""
        held = {"subscriptions": len(self.subscriber), "publications": len(self.publisher)}
        return {name: count for name, count in held.items() if count} | super().leftovers()


def _refused(failure: Failure) -> None:
    failure.trap(RequestRefused)
