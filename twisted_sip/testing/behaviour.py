"""What a simulated phone does when it is called, and how patient its user is."""

from __future__ import annotations

import random

import attrs

#: What becomes of a call that comes in.
ANSWER, DECLINE, BUSY, UNAVAILABLE, NO_ANSWER, SILENT = (
    "answer",
    "decline",
    "busy",
    "unavailable",
    "no answer",
    "silent",
)

#: The status for each way to say no.
REFUSALS = {DECLINE: 603, BUSY: 486, UNAVAILABLE: 480}


@attrs.frozen(slots=True, kw_only=True)
class Behaviour:
    """How a phone and its user deal with calls. Times are in seconds.

    :ivar reaction: ``answer``, ``decline`` (603), ``busy`` (486), ``unavailable`` (480), ``no answer`` (rings for as
        long as the caller waits) or ``silent`` (never says more than 100).
    :ivar rings_after: until 180 is sent; None for no 180.
    :ivar reacts_after: until the reaction, counted from the INVITE.
    :ivar patience: as a caller: until an unanswered call is cancelled, None for never.
    :ivar talks: as either side: until it hangs up an established call.
    :ivar reinvites_after: as a caller: until one re-INVITE is sent in an established call, None for none.
    """

    reaction: str = ANSWER
    rings_after: float | None = 0.1
    reacts_after: float = 2.0
    patience: float | None = None
    talks: float = 30.0
    reinvites_after: float | None = None

    @classmethod
    def drawn(cls, chance: random.Random) -> Behaviour:
        """Return a behaviour that *chance* decides; answering is the most likely one."""
        reaction = chance.choices((ANSWER, DECLINE, BUSY, UNAVAILABLE, NO_ANSWER, SILENT), weights=(10, 2, 2, 1, 2, 1))[
            0
        ]
        return cls(
            reaction=reaction,
            rings_after=chance.choice((0.0, 0.1, 1.0, None)),
            reacts_after=chance.choice((0.0, 0.05, 1.0, 3.0, 8.0)),
            patience=chance.choice((None, None, 0.01, 1.0, 3.0, 10.0, 40.0)),
            talks=chance.choice((0.5, 5.0, 20.0, 60.0)),
            reinvites_after=chance.choice((None, None, 0.5, 4.0)),
        )
