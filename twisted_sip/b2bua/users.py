"""How many calls each user has (session limits)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted_sip.interfaces.routing import Target
from twisted_sip.message.uri import SIPURI

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call
    from twisted_sip.b2bua.bridged_call import BridgedCall
    from twisted_sip.b2bua.joined_legs import JoinedLegs


class UserCalls:
    """Counts the calls of users, in and out.

    :ivar most: calls of one user at a time, 0 for no limit.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._counts: dict[str, int] = {}
        self._of: dict[Any, list[str]] = {}

    def __len__(self) -> int:
        """How many users have calls."""
        return len(self._counts)

    def count(self, user: str) -> int:
        """How many calls *user* has."""
        return self._counts.get(user, 0)

    def enter(self, call: Any, user: str) -> bool:
        """Count *call* for *user*, once; False if that has as many as there may be."""
        if not self.most or user in self._of.get(call, ()):
            return True
        count = self._counts.get(user, 0)
        if count >= self.most:
            return False
        self._counts[user] = count + 1
        self._of.setdefault(call, []).append(user)
        return True

    def keep(self, call: Any, users: Iterable[str]) -> None:
        """*call* is at *users* alone, as far as it is counted for them: nobody else's any more."""
        wanted = set(users)
        for user in [one for one in self._of.get(call, ()) if one not in wanted]:
            self.drop(call, user)

    def drop(self, call: Any, user: str) -> None:
        """*call* is none of *user* any more, if it was."""
        counted = self._of.get(call, [])
        if user in counted:
            counted.remove(user)
            self._release(user)

    def leave(self, call: Any) -> None:
        """*call* is over."""
        for user in self._of.pop(call, ()):
            self._release(user)

    def _release(self, user: str) -> None:
        left = self._counts[user] - 1
        if left:
            self._counts[user] = left
        else:
            del self._counts[user]


def caller_key(bridged: BridgedCall) -> str:
    """Return as whose call of his own *bridged* counts."""
    if bridged.user:
        return bridged.user
    return _remote_key(bridged.caller_leg.call)


def _remote_key(call: Call) -> str:
    uri = call.remote.uri
    return uri.address_of_record if isinstance(uri, SIPURI) else str(uri)


def callee_key(bridged: BridgedCall, target: Target) -> str:
    """Return as whose call *bridged* counts while it is at *target*, empty for nobody's."""
    uri = bridged.uri
    if target.aor or not isinstance(uri, SIPURI) or not bridged.b2bua.element.domains.is_local_uri(uri):
        return target.aor
    return uri.address_of_record


def took_place(bridged: JoinedLegs, old: Call, new: Call) -> None:
    """*new* is in *bridged* in place of *old*: it is a call of that user from now on. Where it is nobody of ours it
    stays a call of who has led it there, and pays for it."""
    users = bridged.b2bua.users
    user: str = getattr(new.leg, "user", "") if new.outgoing else _key(new)
    if not users.most or not user or bridged.over:
        return
    # It is not ended for that: the user has taken it.
    users.enter(bridged, user)
    others = [call for call in (bridged.caller, bridged.callee) if call is not None and call is not old]
    gone = _key(old)
    if gone != user and gone not in [_key(call) for call in others]:
        users.drop(bridged, gone)


def _key(call: Call) -> str:
    return getattr(call.leg, "user", "") or _remote_key(call)
