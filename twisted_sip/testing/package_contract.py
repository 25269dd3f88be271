"""What every event package must do, as test cases (IEventPackage; RFC 6665 section 5).

Mix it into a test case of your own, and run that with trial or pytest::

    class MyPackageTests(EventPackageContract, unittest.TestCase):
        resource = "sip:alice@example.com"

        def make_package(self, clock):
            return MyPackage()
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import attrs
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.event_package import (
    UNCHANGED,
    Authorization,
    IEventPackage,
    Notification,
    PackageSubscription,
)
from twisted_sip.message.event_fields import Event
from twisted_sip.message.header_map import HeaderMap
from twisted_sip.message.media_types import MediaType
from twisted_sip.testing.waiting import START, result_of

_STATES = ("active", "pending", "terminated")
_UNDECIDED = Authorization(state="pending")


@attrs.define(eq=False, kw_only=True)
class FakeSubscription:
    """A subscription as a notifier shows it to a package (interfaces.event_package.PackageSubscription)."""

    resource: str
    watcher: str
    event: str
    event_id: str = ""
    event_params: tuple[tuple[str, str], ...] = ()
    state: str = "pending"
    reason: str = ""
    expires_at: float = START + 3600
    created_at: float = START
    accept: tuple[str, ...] = ()
    supported: tuple[str, ...] = ()
    body: tuple[str, bytes] = ("", b"")
    authorization: Authorization = _UNDECIDED
    memory: dict[str, Any] = attrs.Factory(dict)
    id: str = "s1"
    version: int = 0

    def next_version(self) -> int:
        """Return the next version number."""
        self.version += 1
        return self.version - 1


class FakeHost:
    """A notifier that notes what a package asks of it (interfaces.event_package.NotifierHost).

    :ivar calls: (what, arguments) of each call but those for subscriptions.
    :ivar known: the subscriptions that it says there are.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.known: list[Any] = []

    def changed(self, event: str, resource: str) -> None:
        """Note it."""
        self.calls.append(("changed", event, resource))

    def notify(self, subscription: PackageSubscription) -> None:
        """Note it."""
        self.calls.append(("notify", subscription))

    def subscriptions(self, event: str, resource: str | None = None) -> list[Any]:
        """Return those of *known* that are meant."""
        return [one for one in self.known if one.event == event and resource in (None, one.resource)]

    def reauthorize(self, event: str, resource: str) -> None:
        """Note it."""
        self.calls.append(("reauthorize", event, resource))

    def terminate(self, subscription: PackageSubscription, reason: str, retry_after: int | None = None) -> None:
        """Note it."""
        self.calls.append(("terminate", subscription, reason, retry_after))


class EventPackageContract:
    """Test cases for one package.

    :ivar resource: a resource that there is.
    :ivar watcher: one who may watch it.
    :ivar odd_watchers: others, who may be refused but must not do harm.
    :ivar host: stands for the notifier.
    """

    resource = "sip:alice@example.com"
    watcher = "sip:bob@example.com"
    odd_watchers: tuple[str, ...] = (
        "",
        "sip:example.com",
        "sips:b%00b@[2001:db8::1]:1",
        "tel:+358-555-1234567",
        "sip:anonymous@anonymous.invalid",
        'sip:"<&>@example.com',
        "sip:b\udcffb@example.com",
        "sip:" + "b" * 5000 + "@example.com",
    )
    clock: Clock
    host: FakeHost
    package: Any

    # -- for the package's own tests to fill in ---------------------------------------

    def make_package(self, clock: Clock) -> Any:
        """Return a package that has state for :attr:`resource`, and takes the time from *clock*."""
        raise NotImplementedError

    def wait(self, value: Any) -> Any:
        """Return the result of *value*, waited for where that is needed."""
        return result_of(value, self.clock, "the package")

    # -- the frame ---------------------------------------------------------------------

    def setUp(self) -> None:
        """Make a package."""
        self.clock = Clock()
        self.clock.advance(START)
        self.host = FakeHost()
        self._had: list[FakeSubscription] = []
        self.package = self.make_package(self.clock)
        self.package.attached(self.host)

    def subscription(self, watcher: str | None = None, **fields: Any) -> FakeSubscription:
        """Return a subscription of *watcher* that nothing has been decided about."""
        watcher = self.watcher if watcher is None else watcher
        fields.setdefault("accept", tuple(self.package.content_types[:1]))
        return FakeSubscription(resource=self.resource, watcher=watcher, event=self.package.event, **fields)

    def subscribed(self, watcher: str | None = None, **fields: Any) -> FakeSubscription:
        """Return a subscription about which the package has decided."""
        made = self.subscription(watcher, **fields)
        made.authorization = self.wait(self.package.authorize(made))
        made.state = made.authorization.state
        self.host.known.append(made)
        self.package.subscriptions_changed([made])
        return made

    def told(self, subscription: FakeSubscription) -> Notification:
        """Return what the package tells *subscription*, checked."""
        found: Notification = self.wait(self.package.notification(subscription))
        if found is UNCHANGED:
            assert self.package.tells_differences, "UNCHANGED from a package that does not say so"
            assert subscription in self._had, "UNCHANGED for one who was told nothing since full state was due"
            return found
        self._had.append(subscription)
        assert type(found) is Notification, f"notification() gave {found!r}"
        assert type(found.body) is bytes
        assert bool(found.content_type) or not found.body, "a body without a type"
        if found.content_type:
            media_type = MediaType.parse(found.content_type).key
            # Section 3.2.1: one of those that the watcher accepts. An outer multipart is for those who know how.
            assert media_type in subscription.accept or media_type.startswith("multipart/"), (
                f"{media_type} is not in {subscription.accept}"
            )
        HeaderMap([("content-type", found.content_type), *found.headers])
        return found

    def full_state_due(self, subscription: FakeSubscription) -> None:
        """The watcher lacks what it was told last."""
        self._had = [one for one in self._had if one is not subscription]
        self.package.full_state_due(subscription)

    # -- what it says of itself ------------------------------------------------------------

    def test_provides_the_interface(self) -> None:
        verifyObject(IEventPackage, self.package)

    def test_what_it_says_of_itself_makes_sense(self) -> None:
        package = self.package
        event = Event.parse(package.event)
        assert event.token == package.event and not event.params
        assert isinstance(package.default_expires, int) and package.default_expires > 0
        assert package.min_interval >= 0
        assert isinstance(package.content_types, tuple) and package.content_types
        for name in package.content_types:
            assert MediaType.parse(name).token == name and not MediaType.parse(name).params

    # -- resources and watchers ---------------------------------------------------------------

    def test_the_resource_is_there(self) -> None:
        assert self.wait(self.package.has_resource(self.resource)) is True

    def test_odd_resources_do_no_harm(self) -> None:
        for resource in ("", "sip:", "sip:nobody@example.net", "sip:b\udcff@example.com", "sip:" + "a" * 5000):
            assert self.wait(self.package.has_resource(resource)) in (True, False)

    def test_the_watcher_is_let_in(self) -> None:
        decided = self.wait(self.package.authorize(self.subscription()))
        assert type(decided) is Authorization
        assert decided.state in ("active", "pending") and decided.status == 0

    def test_odd_watchers_are_decided_about(self) -> None:
        for watcher in self.odd_watchers:
            subscription = self.subscription(watcher)
            try:
                decided = self.wait(self.package.authorize(subscription))
            except RemoteProtocolError as error:
                assert 400 <= error.status <= 699
                continue
            assert decided.state in _STATES
            assert decided.status == 0 or 400 <= decided.status <= 699
            if decided.state != "terminated" and not decided.status:
                subscription.authorization = decided
                subscription.state = decided.state
                self.told(subscription)

    # -- what it tells ---------------------------------------------------------------------------

    def test_it_tells_the_watcher(self) -> None:
        self.told(self.subscribed())

    def test_it_tells_every_type_that_it_says_it_can_make(self) -> None:
        for name in self.package.content_types:
            self.told(self.subscribed(accept=(name,), id=name))

    def test_it_tells_one_who_waits(self) -> None:
        waiting = self.subscription(state="pending", authorization=Authorization(state="pending"))
        self.told(waiting)

    def test_it_tells_one_whose_subscription_is_over(self) -> None:
        for reason in ("timeout", "rejected", "noresource", "deactivated"):
            over = self.subscribed(id=reason)
            self.told(over)
            over.state, over.reason = "terminated", reason
            self.package.subscriptions_changed([over])
            self.host.known.remove(over)
            self.told(over)

    def test_it_tells_one_who_never_was(self) -> None:
        # A fetch (section 4.4.3).
        fetch = self.subscription()
        fetch.authorization = self.wait(self.package.authorize(fetch))
        fetch.state, fetch.reason = "terminated", "timeout"
        self.told(fetch)

    def test_full_state_does_not_depend_on_the_past(self) -> None:
        subscription = self.subscribed()
        first = self.told(subscription)
        for _ in range(2):
            self.full_state_due(subscription)
            again = self.told(subscription)
            # Boundaries may differ.
            assert again.content_type.partition(";")[0] == first.content_type.partition(";")[0]
            assert bool(again.body) == bool(first.body)
        # After a restart the package remembers nothing.
        subscription.memory = {}
        subscription.version = 4096
        self.full_state_due(subscription)
        assert bool(self.told(subscription).body) == bool(first.body)

    def test_versions_are_used_sparingly_and_never_again(self) -> None:
        subscription = self.subscribed()
        used = [0]
        for _ in range(5):
            self.told(subscription)
            used.append(subscription.version)
        assert used == sorted(used) and all(later - sooner <= 1 for sooner, later in pairwise(used))

    def test_subscriptions_that_it_does_not_know_do_no_harm(self) -> None:
        stranger = self.subscription(state="terminated", reason="timeout")
        self.package.subscriptions_changed([stranger])
        self.package.subscriptions_changed([])
        self.package.full_state_due(stranger)
