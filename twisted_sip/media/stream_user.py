"""What an audio stream tells the session it belongs to, and has from it."""

from __future__ import annotations

from typing import Protocol


class StreamUser(Protocol):
    """What a stream wants of the media session it belongs to."""

    def stream_frame(self, heard: bytes, samples: int) -> bytes | None:
        """Return the next frame to send, None for silence; *heard* is what the peer said meanwhile."""
        ...

    def stream_sent(self) -> None:
        """Keys have gone out, or a frame has: look whether something is finished."""
        ...

    def stream_key(self, key: str, seconds: float) -> None:
        """The peer has pressed a key (RFC 4733)."""
        ...

    def stream_silent(self, seconds: float) -> None:
        """Nothing has come for so long."""
        ...
