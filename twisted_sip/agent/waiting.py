"""Going on with what a hook gives, at once where it is there: hooks that need no waiting cost no Deferred."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure


def then(ask: Callable[[], Any], answered: Callable[[Any], object], failed: Callable[[Failure], object]) -> None:
    """Call *ask*, then *answered* with what it gives, or *failed*.

    :param ask: may be a coroutine function or return a Deferred.
    """
    try:
        result = ask()
    except Exception:
        failed(Failure())
        return
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
