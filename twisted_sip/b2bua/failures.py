"""What the caller is told when no callee has answered (RFC 3261 section 16.7 step 6, for want of a b2bua's own)."""

from __future__ import annotations

from collections.abc import Iterable

#: A callee's response -> what the caller gets: what is about a leg of ours is no business of the caller's.
_MAPPED = {
    401: 403,
    402: 402,
    407: 403,
    405: 480,
    408: 480,
    420: 480,
    421: 480,
    422: 480,
    423: 480,
    430: 480,
    439: 480,
    440: 480,
    481: 480,
    482: 480,
    # The CANCEL was ours.
    487: 480,
    491: 480,
    494: 403,
    503: 500,
}

#: Of several responses with the same first digit these tell most, best first.
_TELLING = (486, 480, 404, 410, 484, 488, 415, 403)


def status_for_caller(status: int) -> int:
    """Return the status that the caller gets for a callee's *status*."""
    if status < 400:
        # A redirection that is not followed; nothing at all.
        return 480
    return _MAPPED.get(status, status)


def best_status(statuses: Iterable[int]) -> int:
    """Return which of the callees' *statuses* decides, 480 where there is none (section 16.7 step 6)."""
    found = [status for status in statuses if status >= 300]
    if not found:
        return 480
    declined = [status for status in found if status >= 600]
    if declined:
        return min(declined)

    def rank(status: int) -> tuple[int, int, int]:
        place = _TELLING.index(status) if status in _TELLING else len(_TELLING)
        return (status // 100 if status // 100 != 3 else 5, place, status)

    return min(found, key=rank)
