"""What delivery knows of one recipient for whom something waits, and what a round of tries can lead to."""

from __future__ import annotations

import enum

from twisted_sip.messaging.backoff import BackOff


class Result(enum.Enum):
    """What a round of tries has led to."""

    #: The message is gone, one way or the other.
    DONE = "done"
    #: Nobody who is there takes it now.
    LEFT = "left"
    #: No device is there, or all wait for something: nothing behind it can be delivered either.
    LATER = "later"
    #: No device that is there can be given it, for its size or its ``sips``; others need not wait for it.
    UNFIT = "unfit"


class RecipientQueue:
    """One recipient for whom something waits.

    :ivar again: something has changed while it was worked off.
    :ivar unfit: keys of messages that nobody who is there can be given.
    """

    __slots__ = ("again", "backoff", "ready", "recipient", "running", "unfit")

    def __init__(self, recipient: str) -> None:
        self.recipient = recipient
        self.backoff = BackOff()
        self.ready = False
        self.running = False
        self.again = False
        self.unfit: set[str] = set()
