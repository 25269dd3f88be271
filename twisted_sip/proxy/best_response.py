"""Which of several final responses goes upstream (RFC 3261 section 16.7 steps 6 and 7)."""

from __future__ import annotations

from collections.abc import Sequence

from twisted_sip.message.response import Response

#: Within 4xx, those that tell the client how to do better (section 16.7 step 6), best first.
_TELLING = (401, 407, 415, 420, 484)


def _rank(response: Response) -> tuple[int, int]:
    status = response.status
    family = status // 100
    if family == 6:
        # A 6xx ends the search: it wins over everything but a 2xx (which never waits here).
        return (0, 0)
    if status == 503:
        # "SHOULD NOT forward a 503": any other answer tells more (section 16.7 step 6, RFC 5390).
        return (9, 0)
    if status in (430, 408):
        # RFC 5626 section 5.3.2 (a lost flow) and a branch that never answered tell least of their class.
        return (family, 50)
    if status in _TELLING:
        return (family, _TELLING.index(status))
    return (family, 20)


def best_response(responses: Sequence[Response]) -> Response:
    """Return the response to forward out of final, non-2xx *responses*, one or more.

    401 and 407 carry the challenges of all branches (step 7); a lone 503 becomes 500.
    """
    chosen = min(responses, key=_rank)
    if chosen.status in (401, 407):
        merged = chosen.copy()
        for other in responses:
            if other is not chosen and other.status in (401, 407):
                for name in ("www-authenticate", "proxy-authenticate"):
                    for value in other.headers.all(name):
                        merged.headers.append(name, value)
        return merged
    if chosen.status == 503 and (chosen.flow is not None or "retry-after" not in chosen.headers.names):
        # One made here with Retry-After says that we can take no more ourselves: that goes upstream.
        changed = chosen.copy()
        changed.status, changed.reason = 500, "Server Internal Error"
        changed.headers.remove("retry-after")
        return changed
    return chosen
