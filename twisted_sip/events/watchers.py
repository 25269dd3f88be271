"""Who may watch, for packages whose watchers are few: the owner itself, and whom the program names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from twisted_sip.interfaces.event_package import Authorization, PackageSubscription

Answer = TypeVar("Answer")

#: What may be asked whether there is such a resource: gives True or False, or what can be awaited for it.
HasResource = Callable[[str], "bool | Awaitable[bool]"]

#: Not told more than that: whoever has no right to watch learns nothing else (RFC 6665 section 4.2.1.3).
FORBIDDEN = Authorization(state="terminated", reason="rejected", status=403)


def every_resource(resource: str) -> bool:
    """Say that there is such a resource: whoever may not watch it does not learn more."""
    return True


def owns(subscription: PackageSubscription) -> bool:
    """Tell whether the watcher is the resource itself: another device of the same user."""
    return bool(subscription.watcher) and subscription.watcher == subscription.resource


def may_know(subscription: PackageSubscription) -> bool:
    """Tell whether the watcher may be told the state now: active, or over for a reason that does not take the right."""
    if subscription.authorization.state != "active" or subscription.authorization.status:
        return False
    return subscription.state == "active" or (
        subscription.state == "terminated" and subscription.reason not in ("rejected", "deactivated", "giveup")
    )
