"""Which way media flow (RFC 8866 section 6.7, RFC 3264 sections 5.1 and 6.1)."""

from __future__ import annotations

import enum


class Direction(enum.Enum):
    """The direction of a stream as the one who describes it sees it."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @classmethod
    def of(cls, *, send: bool, receive: bool) -> Direction:
        """Return the direction of one who sends, or receives, or does both or nothing."""
        if send:
            return cls.SENDRECV if receive else cls.SENDONLY
        return cls.RECVONLY if receive else cls.INACTIVE

    @property
    def sends(self) -> bool:
        """Whether the one who describes it sends."""
        return self in {Direction.SENDRECV, Direction.SENDONLY}

    @property
    def receives(self) -> bool:
        """Whether the one who describes it receives."""
        return self in {Direction.SENDRECV, Direction.RECVONLY}

    @property
    def mirrored(self) -> Direction:
        """The same as the other side sees it."""
        return Direction.of(send=self.receives, receive=self.sends)

    def within(self, other: Direction) -> Direction:
        """Return what both allow."""
        return Direction.of(send=self.sends and other.sends, receive=self.receives and other.receives)

    @property
    def held(self) -> Direction:
        """The same with the other side put on hold: it is not to send (RFC 3264 section 8.4)."""
        return Direction.of(send=self.sends, receive=False)

    @property
    def held_by_peer(self) -> Direction:
        """The same with nothing sent: the other side receives nothing."""
        return Direction.of(send=False, receive=self.receives)

    def __str__(self) -> str:
        return self.value
