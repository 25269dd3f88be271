"""How many calls each user has (session limits)."""

from __future__ import annotations

from typing import Any


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
        if not self.most:
            return True
        users = self._of.setdefault(call, [])
        if user in users:
            return True
        count = self._counts.get(user, 0)
        if count >= self.most:
            return False
        self._counts[user] = count + 1
        users.append(user)
        return True

    def leave(self, call: Any) -> None:
        """*call* is over."""
        for user in self._of.pop(call, ()):
            left = self._counts[user] - 1
            if left:
                self._counts[user] = left
            else:
                del self._counts[user]
