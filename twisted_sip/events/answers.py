"""What packages answer: a value at once, a Deferred, or something to await."""

from __future__ import annotations

from inspect import isawaitable
from typing import Any

from twisted.internet.defer import Deferred

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.response import Response


async def settled(answer: Any) -> Any:
    """Return *answer*, waited for where that is needed."""
    return await answer if isawaitable(answer) else answer


def deferred_answer(answer: Any) -> Deferred[Any]:
    """Return a Deferred of *answer*, which is not there yet.

    :raises LocalProtocolError: it is nothing that can be waited for.
    """
    if isinstance(answer, Deferred):
        return answer
    if not isawaitable(answer):
        raise LocalProtocolError(f"an event package gave {answer!r}")
    return Deferred.fromCoroutine(settled(answer))


def retry_after_of(response: Response) -> int | None:
    """Return the seconds in the Retry-After of *response*, None if it has none, or one that makes no sense."""
    if "retry-after" not in response.headers.names:
        return None
    try:
        seconds: int = response.typed("retry-after").seconds
    except RemoteProtocolError:
        return None
    return seconds
