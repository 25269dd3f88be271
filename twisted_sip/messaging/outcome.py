"""What the answers of devices mean for a message: taken, refused, or to be tried again (RFC 3428 section 7).

"A 4xx or 5xx response indicates that the message was not delivered successfully. A 6xx response means it was delivered
successfully, but refused." So a 6xx ends it. Of the others those count as refusals that this device would give again
for this message: what is wrong is the message, its type, its sender. Those that speak of the moment (away, busy, a
server in trouble) or of the contact (gone, moved) say nothing of the next registration: the message is worth keeping.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.response import Response

#: 4xx and 5xx that leave hope: of the contact (404, 410, 430, 480, 481), of the moment (408, 486, 487, 491), of a
#: transaction that is going on still (482, RFC 3261 section 8.2.2.2), and 5xx but those below.
_TEMPORARY = frozenset((404, 408, 410, 430, 480, 481, 482, 486, 487, 491))
#: Of these, what the contact will say again until its device registers anew: nobody of that name is there (RFC 3261
#: sections 21.4.5 and 21.4.11), or a dialog that nothing of ours has spoken of (section 12.2.2).
CONTACT_GONE = frozenset((404, 410, 481))
#: 5xx that will come again: not implemented, version, too large, precondition.
_LASTING = frozenset((501, 505, 513, 580))

#: Of refusals, those that tell the sender how to do better come first (RFC 3261 section 16.7 step 6).
_TELLING = (401, 407, 415, 420, 484)


class Outcome(enum.Enum):
    """What one final response means."""

    TAKEN = "taken"
    #: The device will not take this message.
    REFUSED = "refused"
    #: The user will not take this message (6xx).
    DECLINED = "declined"
    TEMPORARY = "temporary"


def outcome_of(status: int) -> Outcome:
    """Return what a final *status* means; a redirection is an answer for the sender, so it counts as a refusal."""
    if status < 300:
        return Outcome.TAKEN
    if status >= 600:
        return Outcome.DECLINED
    if status in _TEMPORARY or (status >= 500 and status not in _LASTING):
        return Outcome.TEMPORARY
    return Outcome.REFUSED


def retry_after_of(response: Response | None) -> float:
    """Return the seconds of Retry-After, 0 where there is none."""
    if response is None:
        return 0.0
    try:
        value = response.typed("retry-after")
    except RemoteProtocolError:
        return 0.0
    return 0.0 if value is None else float(value.seconds)


def best_refusal(responses: Iterable[Response]) -> Response | None:
    """Return which of *responses* goes to the sender: a 6xx, then a refusal, lowest class first; None for none."""
    refusals = [found for found in responses if outcome_of(found.status) in (Outcome.REFUSED, Outcome.DECLINED)]
    return min(refusals, key=_rank, default=None)


def _rank(response: Response) -> tuple[int, int]:
    status = response.status
    if status >= 600:
        return (0, 0)
    return (status // 100, _TELLING.index(status) if status in _TELLING else len(_TELLING))
