"""Going on with what a hook gives, at once where it is there: hooks that need no waiting cost no Deferred."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import NoneType
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

#: What is there, and has not to be waited for; to ask whether something is a Deferred is slow.
_PLAIN = frozenset((NoneType, bool, int, float, str, list, tuple))


def then(
    ask: Callable[..., Any], answered: Callable[[Any], object], failed: Callable[[Failure], object], *args: Any
) -> None:
    """Call *ask* with *args*, then *answered* with what it gives, or *failed*.

    :param ask: may be a coroutine function or return a Deferred.
    """
    try:
        result = ask(*args)
    except Exception:
        failed(Failure())
        return
    if type(result) not in _PLAIN:
        if inspect.iscoroutine(result):
            result = Deferred.fromCoroutine(result)
        if isinstance(result, Deferred):
            # What *answered* raises is a failure too.
            result.addCallback(answered).addErrback(failed)
            return
    try:
        answered(result)
    except Exception:
        failed(Failure())
