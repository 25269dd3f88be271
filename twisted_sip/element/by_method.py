"""Who of many cares for requests of a method: links of the chain, routers and policies may say so by ``for_methods``.

The others are left out of the way of the request. What is said holds for the class that says it, and for those made of
it that override nothing of what would be called: who does may care for more, and says so anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from twisted_sip.message.methods import METHODS

T = TypeVar("T")

_KNOWN = frozenset(METHODS)


class ByMethod(dict[str, tuple[T, ...]], Generic[T]):
    """Those of a list who care for the requests of a method, in their order.

    A dict, so that a look into it is no call. The list may be changed at any time: compare it with *seen* first, and
    :meth:`follow` it where that differs.

    :param called: the names of the methods that are called for requests.
    :ivar seen: the list as it was when it was followed last.
    """

    __slots__ = ("_called", "seen")

    def __init__(self, *called: str) -> None:
        super().__init__()
        self._called = called
        self.seen: list[T] = []

    def follow(self, those: Sequence[T]) -> None:
        """Take what *those* say, from now on."""
        self.clear()
        self.seen = list(those)

    def __missing__(self, method: str) -> tuple[T, ...]:
        found = tuple([each for each in self.seen if cares(each, method, self._called)])
        if method in _KNOWN:
            # Of others there are as many as somebody makes up.
            self[method] = found
        return found


def cares(one: object, method: str, called: Iterable[str]) -> bool:
    """Tell whether *one*, whose methods *called* are called for requests, wants to see those of *method*."""
    for kind in type(one).__mro__:
        own = vars(kind)
        if "for_methods" in own:
            return method in own["for_methods"]
        if not own.keys().isdisjoint(called):
            break
    return True
