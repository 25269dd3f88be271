"""Push notifications: what wakes a device before a request goes there (RFC 8599)."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Interface

from twisted_sip.interfaces.location import Binding


@attrs.frozen(slots=True, kw_only=True)
class PushNotification:
    """A push notification to be sent: it makes a device register, and has nothing else to say.

    :ivar provider: the push service, ``pn-provider``: ``apns``, ``fcm``, ``webpush`` ...
    :ivar param: what that service wants to know of the application, ``pn-param``, escapes undone; or empty.
    :ivar prid: the device as that service knows it, ``pn-prid``, escapes undone.
    :ivar aor: the user whose device it is.
    :ivar method: the method of the request that waits for it, REGISTER where its registration is about to end.
    """

    provider: str
    param: str
    prid: str
    aor: str
    method: str


class IPushNotifier(Interface):
    """Sends push notifications."""

    def notify(notification: PushNotification) -> Deferred[object] | Awaitable[object] | None:
        """Send *notification*, or have it sent.

        An exception, or a failure of what is returned, says that it does not arrive: requests that wait for the device
        are answered 480 (RFC 8599 section 5.6.2).
        """


class Waker(Protocol):
    """Wakes devices and waits for them; for routers."""

    def asleep(self, binding: Binding) -> bool:
        """Tell whether the device of *binding*, which has push parameters, has to be woken."""

    def wake(self, binding: Binding, method: str) -> Deferred[Binding | None]:
        """Have the device of *binding* woken for a request of *method*.

        The Deferred fires with its binding once it has registered anew, with None where it does not or where too many
        wait. It may be cancelled.
        """

    def nudge(self, binding: Binding, method: str) -> None:
        """Do what :meth:`wake` does for somebody who does not wait."""
